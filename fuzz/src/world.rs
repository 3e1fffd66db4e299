//! The small world that understood messages are judged on.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use countersign::access::principal::{Actor, Credential, Principal};
use countersign::access::scope::ScopeSet;
use countersign::domain::decimal::Decimal;
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::{MemberId, ServiceUserId, StrategyId, VenueKeyId};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::text::{AssetCode, ClientId, Symbol};
use countersign::domain::time::{Moment, Period};
use countersign::engine::Engine;
use countersign::engine::command::{Command, Credit, EarnMove, PlaceOrder, Withdraw};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::event::Event;
use countersign::engine::exports::RequestedExport;
use countersign::engine::reply::Reply;
use countersign::engine::workflows::withdrawal::WithdrawalChange;
use countersign::gateway::passwords::{bearer_hash, code_for_step};
use countersign::gateway::secrets::MasterKey;
use countersign::gateway::sign_in::totp_context;
use countersign::gateway::token::Tokens;
use countersign::sequencer::codec;
use countersign::storage::journal::Row;
use countersign::storage::memory::Disk;
use countersign::storage::{Digest, link};

use super::genesis::{self, Secrets, key, other, people};

/// 2023-11-14.
pub const NOW: Moment = Moment(1_700_000_000_000_000);

/// Of the key in the corpus of handshakes.
pub const SECRET: [u8; 64] = [1; 64];

/// Of the Member's session.
pub const COOKIE: &str = "a-page-that-is-open";

/// Of the Member's second factor, in base32.
const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// A master key that is all zero.
pub fn master() -> MasterKey {
    MasterKey::from_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("32 bytes in base64")
}

/// The tokens of its server.
pub fn tokens() -> &'static Tokens {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new(&master()));
    &TOKENS
}

/// What the Member's app shows.
pub fn code() -> String {
    code_for_step(TOTP, step()).expect("a secret")
}

/// The step of a one-time code.
fn step() -> u64 {
    NOW.0 / 30_000_000
}

fn by(actor: Actor) -> Principal {
    Principal { actor, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::Key(1) }
}

/// Who may ask: a Service User with every scope, a Member with all rights, the venue operator.
pub fn principals() -> [Principal; 3] {
    let credential = Credential::Session(bearer_hash(COOKIE));
    let member = Principal { credential, ..by(Actor::Member(MemberId(1))) };
    [by(Actor::ServiceUser(ServiceUserId(1))), member, by(Actor::Venue(VenueKeyId(1)))]
}

/// Two Organizations with orders on both sides of the book, a withdrawal that waits for its vote, an export whose
/// file is made, a deposit on its way, and funds in Earn: at rest, on their way out, and rewarded.
pub fn engine() -> &'static Engine {
    &world().0
}

/// A disk of its own for it.
pub fn disk() -> Disk {
    static ROW: LazyLock<Row> = LazyLock::new(|| {
        let mut body = Vec::new();
        let by = principals()[0].actor;
        events().iter().for_each(|(at, event)| codec::encode(&mut body, *at, by, std::slice::from_ref(event)));
        let count = u32::try_from(events().len()).expect("the world is small");
        let chain = link(&Digest::default(), 1, count, codec::FORMAT, &body);
        Row { first_seq: 1, count, format: codec::FORMAT, body, chain }
    });
    let disk = Disk::default();
    disk.damage(|rows, _| rows.push(ROW.clone()));
    disk
}

/// Everything that happened in it.
pub fn events() -> &'static [(Moment, Event)] {
    &world().1
}

fn world() -> &'static (Engine, Vec<(Moment, Event)>) {
    static WORLD: LazyLock<(Engine, Vec<(Moment, Event)>)> = LazyLock::new(|| {
        let master = master();
        let secrets = Secrets {
            sealed: &|number| master.seal(genesis::api_key(number).as_bytes(), &SECRET),
            member: &|id| (Some(String::new()), Some(master.seal(&totp_context(id), TOTP.as_bytes()))),
        };
        let signed_in =
            Command::OpenMemberSession { member: MemberId(1), step: step() - 1, cookie_hash: bearer_hash(COOKIE) };
        let [bot, _, venue] = principals();
        let maker = by(Actor::ServiceUser(ServiceUserId(2)));
        let amount = decimal("1");
        let change = WithdrawalChange { asset: asset("BTC"), key: "cold-1".to_owned(), amount };
        let export = RequestedExport {
            report: Report::Trades,
            format: Format::Csv,
            columns: None,
            period: Period::ALWAYS,
            description: String::new(),
        };
        let mut engine = Engine::default();
        let mut events = Vec::new();
        for (who, command) in [
            (
                &by(Actor::Server),
                Command::Genesis(genesis::events(&[key(ScopeSet::ALL), other()], &people(), true, &secrets)),
            ),
            (&by(Actor::Public), signed_in),
            (&bot, Command::PlaceOrder(order(Side::Buy, "90"))),
            (&maker, Command::PlaceOrder(order(Side::Buy, "95"))),
            (&maker, Command::PlaceOrder(order(Side::Sell, "105"))),
            (&bot, Command::Withdraw(Withdraw { change, client_id: None, max_fee: None, address: None })),
            (&bot, Command::AddExport(export)),
            (&bot, earn(1, "2", true)),
            (&bot, earn(2, "2", true)),
            (&bot, earn(2, "1", false)),
            (
                &venue,
                Command::PayEarnReward { strategy: StrategyId(1), amount: decimal("0.5"), client_id: id("reward") },
            ),
            (&venue, Command::AddDepositAddresses { asset: asset("BTC"), addresses: vec![deposit_address()] }),
            (&bot, Command::DepositAddresses { asset: asset("BTC"), method: None, new: true }),
            (&venue, Command::CreditDeposit(credit())),
        ] {
            let reply = engine.handle(NOW, who, &command).expect("the world is sound");
            events.extend(engine.take_events().map(|event| (NOW, event)));
            if let Reply::Export(export) = reply {
                let made = Command::FinishExport { export: export.id, started: NOW, rows: 7 };
                engine.handle(NOW, &by(Actor::Server), &made).expect("it was just ordered");
                events.extend(engine.take_events().map(|event| (NOW, event)));
            }
        }
        (engine, events)
    });
    &WORLD
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect("a number")
}

fn asset(code: &str) -> AssetCode {
    AssetCode::from(code).expect("short")
}

fn id(text: &str) -> ClientId {
    ClientId::from(text).expect("short")
}

fn earn(strategy: u16, amount: &str, allocate: bool) -> Command {
    let (strategy, amount) = (StrategyId(strategy), decimal(amount));
    Command::Earn(EarnMove { strategy, amount, allocate, auto_compound: None, client_id: None })
}

fn deposit_address() -> DepositAddress {
    DepositAddress { address: "bc1qpool".to_owned(), tag: None }
}

fn credit() -> Credit {
    let (asset, address, amount) = (asset("BTC"), deposit_address(), decimal("1"));
    Credit { asset, address, amount, txid: "tx-0".to_owned(), status: DepositStatus::Pending }
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
