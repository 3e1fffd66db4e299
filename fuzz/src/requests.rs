//! From a message's text to its answer, without a socket.

use countersign::access::operation::Operation;
use countersign::access::principal::Principal;
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::{Command, Invitee};
use countersign::engine::event::Event;
use countersign::engine::query::{Query, View};
use countersign::engine::reply::Reply;
use countersign::engine::streams::routes;
use countersign::engine::workflows::{CredentialKind, GeneratedCredential};
use countersign::gateway::call::{Call, Continuation};
use countersign::gateway::frame::Frames;
use countersign::gateway::inbound::{self, Body};
use countersign::gateway::outbound::{items, orders, results};
use countersign::sequencer::codec;
use countersign::sequencer::handle::Answer;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::server::Client;
use super::session::texts;
use super::world::{NOW, engine, principals, tokens};

/// What a message asks for, if it is understood. It is judged for each kind of principal that might ask.
pub fn dispatch(text: &str) -> Option<Operation> {
    let envelope = inbound::parse_message(text).ok()?;
    let request = inbound::parse(&envelope).ok()?;
    if let Some(token) = &request.token {
        let _ = tokens().verify(token, NOW);
    }
    let clients = Client::ALL.into_iter().zip(principals());
    for (_, by) in clients.filter(|(client, _)| client.may_ask(request.operation)) {
        match request.body.clone() {
            Body::Command(command) | Body::Coded(command, _) => carry_out(&by, request.operation, command),
            Body::CreateOrganization { name, members } => {
                let invite = |(name, email)| Invitee { name, email, token_hash: [0; 32] };
                let members = members.into_iter().map(invite).collect();
                carry_out(&by, request.operation, Command::CreateOrganization { name, members });
            }
            Body::Cancel(orders) => {
                orders.into_iter().for_each(|order| carry_out(&by, request.operation, Command::CancelOrder(order)));
            }
            Body::Query(query) => match engine().query(NOW, &by, &query) {
                // History completes these, or the gateway does.
                Ok(
                    View::Found(..)
                    | View::OpenDeposits(..)
                    | View::OpenWithdrawals(..)
                    | View::Exports(_)
                    | View::ServiceUsers(_),
                )
                | Err(_) => {}
                Ok(view) => {
                    written(|out| results::view(out, &engine().state().reference, request.operation, &view));
                }
            },
            Body::Subscribe(_) => {
                let query = Query::Subscribe { channel: request.operation, open_orders: true };
                if let Ok(View::Snapshot(snapshot)) = engine().query(NOW, &by, &query) {
                    let reference = &engine().state().reference;
                    written(|out| results::snapshot(out, reference, snapshot.at, &snapshot.items));
                }
            }
            Body::Ping | Body::Unsubscribe(_) | Body::History(_) | Body::Audit(_) => {}
        }
    }
    Some(request.operation)
}

/// What is written is JSON, or nothing.
fn written(write: impl FnOnce(&mut String)) {
    let mut out = String::new();
    write(&mut out);
    assert!(out.is_empty() || serde_json::from_str::<&RawValue>(&out).is_ok(), "no JSON: {out}");
}

/// Judges a command as a session would submit it. What happens keeps the money laws, and can be written and told.
fn carry_out(by: &Principal, operation: Operation, mut command: Command) {
    command.set_deadline(NOW.plus_us(5_000_000));
    if let Some(step) = command.step_mut() {
        *step = Some(NOW.0 / 30_000_000);
    }
    if let Command::Initiate(change, initiation) = &mut command {
        initiation.generated = match change.governed().needs() {
            CredentialKind::Nothing => None,
            CredentialKind::Key => {
                Some(GeneratedCredential::Key { api_key: "drawn".to_owned(), secret_sealed: vec![7] })
            }
            CredentialKind::Invitation => Some(GeneratedCredential::Invitation { token_hash: [7; 32] }),
        };
    }
    let mut engine = Engine::new(engine().state().clone());
    let Ok(reply) = engine.handle(NOW, by, &command) else { return };
    let call = Call::new(operation, None, NOW, Continuation::of(&command));
    engine.state().ledger.check().expect("money is conserved");
    let asked = matches!(command, Command::Halt { .. });
    assert!(asked || engine.state().halted.is_none(), "{:?}", engine.state().halted);
    let mut frames = Frames::default();
    if orders::reply(&mut frames, &call, &Answer::Reply(reply.clone(), None), NOW) {
        texts(&frames.bytes, Role::Client).into_iter().for_each(|text| written(|out| *out = text));
    } else if !matches!(reply, Reply::Claimed(_) | Reply::Organization(..)) {
        // Those show what the gateway drew.
        written(|out| results::reply(out, &engine.state().reference, &reply));
    }
    reported(&engine, by, NOW);
}

fn reported(engine: &Engine, by: &Principal, at: Moment) {
    let events: &[Event] = engine.events();
    if events.is_empty() {
        return;
    }
    let mut body = Vec::new();
    codec::encode(&mut body, at, by.actor, events);
    let entries = codec::decode(codec::FORMAT, &body).expect("what was written is read");
    let first = engine.state().seq.0 + 1 - events.len() as u64;
    for stamped in codec::stamped(entries, first) {
        routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
            written(|out| items::write(out, &engine.state().reference, &stamped, &route));
        });
    }
}
