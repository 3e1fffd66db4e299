//! Decides what a message asks of the engine, market data, history, or nobody.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::call::{Call, Continuation, Follow, is_heavy};
use super::close::Close;
use super::credentials::ApiCredentials;
use super::fan_out;
use super::inbound::{self, Body, Request, SubscribeOptions, WireError};
use super::outbound::{Envelope, items};
use super::passwords::{bearer_hash, new_bearer_token};
use super::release::Ticket;
use super::session::{Session, Subscription};
use super::token::TokenError;
use crate::access::operation::Operation;
use crate::access::principal::{Actor, Credential, Principal};
use crate::domain::time::Moment;
use crate::engine::command::{Command, Invitee};
use crate::engine::query::Query;
use crate::engine::reject::{Code, Reject};
use crate::engine::workflows::{CredentialKind, GeneratedCredential};
use crate::sequencer::handle::{Submission, Unavailable, Work};
use crate::wire::leaf::Text;
use crate::wire::results::Subscribed;

/// Used tokens that one socket remembers: the first, which bound it, and the most recently used.
const TOKENS_MAX: usize = 8;
/// How long an order may wait if it names no deadline, µs (docs.kraken.com, `add_order`).
const DEADLINE_US: u64 = 5_000_000;

/// The refusal to end what the socket does not follow.
pub(super) fn not_subscribed() -> Reject {
    Reject::invalid("channel", "not subscribed")
}

impl Session {
    /// Answers a message at once, or adds its request to the submissions. The few messages that must wait, for market
    /// data, return a future, so that an idle session needs no memory for it.
    pub(super) fn message(&mut self, text: &str, time_in: Moment) -> Option<BoxFuture<'_, ()>> {
        let message = match inbound::parse_message(text) {
            Ok(message) => message,
            Err(refusal) => {
                self.refuse(&refusal, time_in);
                return None;
            }
        };
        let envelope = Envelope::at_once(&message.method, message.req_id, time_in);
        let request = match inbound::parse(&message) {
            Ok(request) => request,
            Err(refusal) => {
                self.refuse(&refusal, time_in);
                return None;
            }
        };
        if request.operation != Operation::Ping && !self.acted() {
            self.reply(envelope, Err(Code::InvalidSession.text()));
            return None;
        }
        self.principal.credential = self.credential;
        if let Some(token) = &request.token
            && let Err(reject) = self.present(token, time_in)
        {
            let error = reject.text();
            self.token_refused(&error);
            self.reply(envelope, Err(&error));
            return None;
        }
        let row = request.operation.row();
        if self.principal.actor == Actor::Public && !row.public {
            self.reply(envelope, Err(Code::NoToken.text()));
            return None;
        }
        self.perform(request, envelope)
    }

    fn refuse(&mut self, refusal: &WireError, now: Moment) {
        self.gateway.metrics.malformed();
        // A `pong` has no `success` (rule 46).
        let method = refusal.method.as_deref().filter(|method| *method != "pong").unwrap_or("error");
        self.reply(Envelope::at_once(method, refusal.req_id, now), Err(&refusal.text));
    }

    /// Handles a token: the first one binds the socket; later ones must be of the same principal, and only their own
    /// message is judged by them (rules 5, 6).
    fn present(&mut self, token: &str, now: Moment) -> Result<(), Reject> {
        let known = self.tokens.iter().position(|(used, _)| used == token);
        let claims = match known {
            Some(at) => self.tokens[at].1,
            None => self.gateway.tokens.verify(token, now).map_err(|error| match error {
                TokenError::Expired => {
                    Reject::field(Code::InvalidSession, "token", "it has expired, ask for a new one")
                }
                TokenError::Invalid => Reject::field(Code::InvalidToken, "token", "this server did not make it"),
            })?,
        };
        let actor = claims.key.actor();
        if self.principal.actor != Actor::Public && self.principal.actor != actor {
            return Err(Reject::field(Code::InvalidSession, "token", "this socket belongs to another principal"));
        }
        match known {
            Some(0) => {}
            Some(at) => self.tokens[at..].rotate_left(1),
            None => {
                if self.tokens.len() == TOKENS_MAX {
                    self.tokens.remove(1);
                }
                self.tokens.push((token.to_owned(), claims));
            }
        }
        self.principal.credential = Credential::Key(claims.credential_version);
        if self.principal.actor == Actor::Public {
            // The engine judges the key; later submissions in the queue are judged by the same rights.
            let call = Call::new(Operation::Ping, None, now, Continuation::Bind);
            self.ask(Work::Query(Query::Bind(claims.key)), call);
            self.principal.actor = actor;
            self.credential = self.principal.credential;
        }
        Ok(())
    }

    /// Executes a request; `envelope` is for immediate answers.
    fn perform(&mut self, request: Request<'_>, envelope: Envelope<'_>) -> Option<BoxFuture<'_, ()>> {
        let Request { operation, body, .. } = request;
        let Envelope { req_id, time_in, .. } = envelope;
        let call = |then| Call::new(operation, req_id, time_in, then);
        match body {
            Body::Ping => self.push(|text| Envelope { method: "pong", ..envelope }.pong(text)),
            Body::Subscribe(channel) => return Some(Box::pin(self.subscribe(operation, channel, req_id, time_in))),
            Body::Unsubscribe(channel) => {
                self.unsubscribe(operation, &channel, Envelope { method: "unsubscribe", ..envelope });
            }
            Body::Command(mut command) => {
                command.set_deadline(time_in.plus_us(DEADLINE_US));
                let call = Call { is_heavy: is_heavy(&command), ..call(Continuation::of(&command)) };
                self.ask(Work::Command(command), call);
            }
            Body::Cancel(orders) => {
                for order in orders {
                    let command = Command::CancelOrder(order);
                    let then = Continuation::of(&command);
                    self.ask(Work::Command(command), call(then));
                }
            }
            Body::Coded(command, code) => match self.coded(command, code.as_deref(), time_in) {
                Ok((command, then)) => self.ask(Work::Command(command), call(then)),
                Err(reject) => self.reply(envelope, Err(&reject.text())),
            },
            Body::CreateOrganization { name, members } => {
                let invite = |(name, email)| {
                    let token = new_bearer_token();
                    (Invitee { name, email, token_hash: bearer_hash(&token) }, Text::from(token.as_str()))
                };
                let (members, tokens): (_, Vec<_>) = members.into_iter().map(invite).unzip();
                let command = Command::CreateOrganization { name, members };
                self.ask(Work::Command(command), call(Continuation::Invitations(tokens.into())));
            }
            Body::Query(query) => {
                let then = match &query {
                    Query::Orders(orders) => Continuation::Find(orders.clone().into()),
                    Query::Deposits(filter) | Query::Withdrawals(filter) => {
                        Continuation::Transfers(Box::new(filter.clone()))
                    }
                    // A single object, whatever its size.
                    Query::KeyInfo | Query::MemberInfo | Query::Request(_) | Query::WithdrawInfo(_) => {
                        Continuation::Reply
                    }
                    _ => Continuation::List,
                };
                self.ask(Work::Query(query), call(then));
            }
            Body::History(request) => {
                let query = Work::Query(Query::History(operation));
                self.ask(query, call(Continuation::History(Box::new(request))));
            }
            Body::Audit(page) => self.ask(Work::Query(Query::Audit), call(Continuation::Audit(Box::new(page)))),
        }
        None
    }

    /// Verifies a one-time code and puts its step into the command; generates the credential that a change needs.
    fn coded(
        &mut self,
        mut command: Command,
        code: Option<&str>,
        now: Moment,
    ) -> Result<(Command, Continuation), Reject> {
        if let (Some(code), Some(step), Actor::Member(member)) = (code, command.step_mut(), self.principal.actor) {
            // Limited by session, not by address: with a stolen session nobody can guess from many addresses.
            if !self.gateway.codes.admit(self.credential, now) {
                return Err(Reject::field(Code::TooManyTries, "otp", "too many wrong codes; wait a minute"));
            }
            let sealed = self.gateway.directory.members(|members| members.member(member).totp_sealed.clone());
            let verified = sealed.and_then(|sealed| self.gateway.code_step(member, &sealed, code));
            let wrong = || Reject::field(Code::CodeWrong, "otp", "give the code that your app shows now");
            *step = Some(verified.ok_or_else(wrong)?);
            self.gateway.codes.take_back(&self.credential);
        }
        let mut then = Continuation::Reply;
        if let Command::Initiate(change, initiation) = &mut command {
            match change.governed().needs() {
                CredentialKind::Nothing => {}
                CredentialKind::Key => {
                    let generated = ApiCredentials::generate();
                    let secret_sealed = self.gateway.master.seal(generated.api_key.as_bytes(), &generated.secret);
                    initiation.generated =
                        Some(GeneratedCredential::Key { api_key: generated.api_key.clone(), secret_sealed });
                    then = Continuation::Key(generated.api_key);
                }
                CredentialKind::Invitation => {
                    let token = new_bearer_token();
                    initiation.generated = Some(GeneratedCredential::Invitation { token_hash: bearer_hash(&token) });
                    then = Continuation::Invitations([Text::from(token.as_str())].into());
                }
            }
        }
        Ok((command, then))
    }

    /// Adds a submission for the socket's principal.
    pub(super) fn ask(&mut self, work: Work, call: Call) {
        let by = match call.then {
            Continuation::Bind => Principal { actor: Actor::Public, ..self.principal },
            _ => self.principal,
        };
        self.long += usize::from(call.may_be_long());
        self.submissions.push(Submission { by, work, ticket: Ticket::Call(Arc::clone(&self.queue), call) });
    }

    /// Submits what was added since the last call, and refuses what the queue has no room for.
    pub(super) fn submit(&mut self, now: Moment) {
        if self.submissions.is_empty() {
            return;
        }
        let count = self.submissions.len();
        // The next read will probably bring as many.
        let submissions = std::mem::replace(&mut self.submissions, Vec::with_capacity(count));
        // Before submitting, because answers may come at once.
        self.queue.submitted(count);
        match self.gateway.handle.submit(submissions) {
            Ok(()) => {}
            Err(Unavailable(back)) => {
                // A sequencer that has ended accepts nothing ever again.
                let code = if self.gateway.handle.is_open() { Code::QueueFull } else { Code::Unavailable };
                for submission in back {
                    if let Ticket::Call(_, call) = submission.ticket {
                        self.finish_call(&call);
                        self.refused_call(&call, code.text(), now);
                    }
                }
            }
        }
    }

    /// Answers a call with a refusal.
    pub(super) fn refused_call(&mut self, call: &Call, error: &str, now: Moment) {
        if let Continuation::Bind = call.then {
            self.unbind();
            return;
        }
        if let Continuation::Level3(_) = call.then {
            self.judging = false;
        }
        if let Continuation::Subscribe(follow) = call.then {
            if !self.follows(call.operation, follow.number) {
                return self.ended_early(call, follow, now);
            }
            self.subscriptions.remove(&call.operation);
            self.queue.unsubscribed(call.operation, follow.number);
            if follow.acknowledged {
                return self.close(Close::ReplayBrokenOff);
            }
        }
        tracing::debug!(connection = self.connection_id, who = %self.principal.actor, ?error, "refused");
        self.reply(call.envelope(now), Err(error));
    }

    /// A token's key was refused: the socket is public again.
    fn unbind(&mut self) {
        if !self.bound {
            self.principal.actor = Actor::Public;
            self.tokens.clear();
        }
    }

    async fn subscribe(&mut self, operation: Operation, channel: SubscribeOptions, req_id: Option<i64>, now: Moment) {
        let envelope = Envelope::at_once("subscribe", req_id, now);
        match operation {
            Operation::Status if self.follows_status => self.reply(envelope, Err(Code::AlreadySubscribed.text())),
            Operation::Status => {
                self.follows_status = true;
                let result = Subscribed { channel: "status", ..Subscribed::default() };
                self.acknowledge(envelope, &result);
                self.status(None);
            }
            Operation::Instrument | Operation::Ticker | Operation::Book | Operation::Trade | Operation::Ohlc => {
                self.follow_market(operation, channel, envelope).await;
            }
            Operation::Level3 => {
                // Price levels are public; single orders are for keys only, as the engine judges them now (rule 5).
                let call = Call::new(operation, req_id, now, Continuation::Level3(Box::new(channel)));
                self.ask(Work::Query(Query::Subscribe { channel: operation, open_orders: false }), call);
                self.judging = true;
            }
            _ => {
                match self.subscriptions.get(&operation) {
                    None => {}
                    Some(ended) if ended.over => self.queue.unsubscribed(operation, ended.number),
                    Some(_) => return self.reply(envelope, Err(Code::AlreadySubscribed.text())),
                }
                let reference = self.gateway.directory.reference();
                // An unknown asset in the filter would silence the channel.
                let mut assets = channel.assets.iter().flatten();
                if let Some(unknown) = assets.find_map(|code| reference.find_asset(code).err()) {
                    return self.reply(envelope, Err(&unknown.text()));
                }
                self.last_subscription += 1;
                let (number, from_offset) = (self.last_subscription, channel.from_offset);
                let options = Box::new(channel);
                self.subscriptions.insert(operation, Subscription { number, options, ..Subscription::default() });
                let call = Call::new(operation, req_id, now, Continuation::Reply);
                self.follow(call, Follow { number, from_offset, too_old: false, acknowledged: false });
            }
        }
    }

    fn unsubscribe(&mut self, operation: Operation, channel: &SubscribeOptions, envelope: Envelope<'_>) {
        match operation {
            Operation::Instrument
            | Operation::Ticker
            | Operation::Book
            | Operation::Level3
            | Operation::Trade
            | Operation::Ohlc => return self.leave_market(operation, channel, envelope),
            Operation::Status if !self.follows_status => return self.reply(envelope, Err(&not_subscribed().text())),
            Operation::Status => self.follows_status = false,
            _ => {
                let Some(subscription) = self.subscriptions.remove(&operation) else {
                    return self.reply(envelope, Err(&not_subscribed().text()));
                };
                if fan_out::takes(operation) {
                    self.queue.allow_direct(None);
                }
                self.queue.unsubscribed(operation, subscription.number);
            }
        }
        self.acknowledge(envelope, &Subscribed { channel: operation.name(), ..Subscribed::default() });
    }

    /// Appends a successful reply with a wire type as its result.
    pub(super) fn acknowledge(&mut self, envelope: Envelope<'_>, result: &Subscribed) {
        self.reply(envelope, Ok(&items::to_json(result)));
    }

    /// Refuses, with the symbol at the top level if there is one (rule 45).
    pub(super) fn refuse_symbol(&mut self, envelope: Envelope<'_>, symbol: Option<&str>, error: &str) {
        match symbol {
            Some(symbol) => self.push(|text| envelope.refusal(text, symbol, error)),
            None => self.reply(envelope, Err(error)),
        }
    }
}
