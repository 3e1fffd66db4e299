//! The small world that understood messages are judged on.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use countersign::access::principal::{Actor, Principal};
use countersign::access::scope::ScopeSet;
use countersign::domain::decimal::Decimal;
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::{MemberId, ServiceUserId, VenueKeyId};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::text::{AssetCode, Symbol};
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::{Command, PlaceOrder, Withdraw};
use countersign::engine::event::Event;
use countersign::engine::exports::AskedExport;
use countersign::engine::workflows::withdrawal::WithdrawalChange;
use countersign::gateway::secrets::MasterKey;
use countersign::gateway::token::Tokens;

use super::genesis::{self, Secrets, Wanted, key, people};

/// 2023-11-14.
pub const NOW: Moment = Moment(1_700_000_000_000_000);

/// Of the key in the corpus of handshakes.
pub const SECRET: [u8; 64] = [1; 64];

/// The tokens of a server whose master key is all zero.
pub fn tokens() -> &'static Tokens {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
        let text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        Tokens::new(&MasterKey::from_text(text).expect("32 bytes in base64"))
    });
    &TOKENS
}

fn by(actor: Actor) -> Principal {
    Principal { actor, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: 1 }
}

/// Who may ask: a Service User with every scope, a Member with all rights, the venue operator.
pub fn principals() -> [Principal; 3] {
    let actors = [Actor::ServiceUser(ServiceUserId(1)), Actor::Member(MemberId(1)), Actor::Venue(VenueKeyId(1))];
    actors.map(by)
}

/// Two Organizations with orders on both sides of the book, a withdrawal that waits for its vote, an export.
pub fn engine() -> &'static Engine {
    &world().0
}

/// Everything that happened in it.
pub fn events() -> &'static [(Moment, Event)] {
    &world().1
}

fn world() -> &'static (Engine, Vec<(Moment, Event)>) {
    static WORLD: LazyLock<(Engine, Vec<(Moment, Event)>)> = LazyLock::new(|| {
        let secrets = Secrets { sealed: &|number| vec![number], member: &|_| (Some(String::new()), Some(Vec::new())) };
        let other = Wanted { organization: 2, ..key(ScopeSet::ALL) };
        let [bot, ..] = principals();
        let maker = by(Actor::ServiceUser(ServiceUserId(2)));
        let amount = decimal("1");
        let change =
            WithdrawalChange { asset: AssetCode::from("BTC").expect("short"), key: "cold-1".to_owned(), amount };
        let export = AskedExport {
            report: Report::Trades,
            format: Format::Csv,
            columns: None,
            start: None,
            end: None,
            description: String::new(),
        };
        let mut engine = Engine::default();
        let mut events = Vec::new();
        for (who, command) in [
            (
                &by(Actor::Server),
                Command::Genesis(genesis::events(&[key(ScopeSet::ALL), other], &people(), true, &secrets)),
            ),
            (&bot, Command::PlaceOrder(order(Side::Buy, "90"))),
            (&maker, Command::PlaceOrder(order(Side::Buy, "95"))),
            (&maker, Command::PlaceOrder(order(Side::Sell, "105"))),
            (&bot, Command::Withdraw(Withdraw { change, client_id: None, max_fee: None, address: None })),
            (&bot, Command::AddExport(export)),
        ] {
            engine.handle(NOW, who, &command).expect("the world is sound");
            events.extend(engine.take_events().map(|event| (NOW, event)));
        }
        (engine, events)
    });
    &WORLD
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect("a number")
}

fn order(side: Side, price: &str) -> PlaceOrder {
    PlaceOrder {
        symbol: Symbol::from("BTC/USD").expect("short"),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        order_qty: Some(decimal("1")),
        limit_price: Some(decimal(price)),
        cl_ord_id: None,
        order_userref: None,
        validate: false,
        deadline: None,
        terms: None,
    }
}
