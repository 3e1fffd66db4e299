//! The stage of a script: an engine with the small world, a clock, and everything that happened.

use std::net::{IpAddr, Ipv4Addr};

use countersign::access::principal::{Actor, Credential, Principal};
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::*;
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::text::{AssetCode, ClientId, ClientOrderId, Symbol};
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation, OrderRef, PlaceOrder, Withdraw};
use countersign::engine::event::Event;
use countersign::engine::query::{Query, View};
use countersign::engine::reject::{Code, Reject};
use countersign::engine::reply::{Placed, Reply};
use countersign::engine::sessions::MemberSession;
use countersign::engine::state::State;
use countersign::engine::withdrawals::WithdrawalSummary;
use countersign::engine::workflows::withdrawal::WithdrawalChange;
use countersign::engine::workflows::{Change, CredentialKind, GeneratedCredential};

use super::genesis::{Secrets, Wanted, events, people};

pub const SECOND: u64 = 1_000_000;
pub const DAY: u64 = 86_400 * SECOND;

pub struct Stage {
    pub engine: Engine,
    pub now: Moment,
    pub events: Vec<(Moment, Event)>,
}

fn by(actor: Actor) -> Principal {
    Principal { actor, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::Key(1) }
}

pub fn bot(number: u32) -> Principal {
    by(Actor::ServiceUser(ServiceUserId(number)))
}

/// 1 is Alice with all rights, 2 Bob with View and Approve, 3 Carol with View; in the session of that number.
pub fn member(number: u32) -> Principal {
    let id = MemberId(number);
    Principal { credential: Credential::Session(cookie_hash(id)), ..by(Actor::Member(id)) }
}

/// The session that a stage's Member has.
fn cookie_hash(member: MemberId) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&member.0.to_be_bytes());
    hash
}

pub fn venue() -> Principal {
    by(Actor::Venue(VenueKeyId(1)))
}

pub fn server() -> Principal {
    by(Actor::Server)
}

pub fn public() -> Principal {
    by(Actor::Public)
}

pub fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

pub fn asset(code: &str) -> AssetCode {
    AssetCode::from(code).unwrap()
}

pub fn limit(side: Side, qty: &str, price: &str, id: Option<&str>) -> Command {
    Command::PlaceOrder(PlaceOrder {
        symbol: Symbol::from("BTC/USD").unwrap(),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        order_qty: Some(decimal(qty)),
        limit_price: Some(decimal(price)),
        cl_ord_id: id.map(|id| ClientOrderId::from(id).unwrap()),
        order_userref: None,
        validate: false,
        deadline: None,
        terms: None,
    })
}

/// A withdrawal of BTC to the approved address.
pub fn to_cold(amount: &str) -> WithdrawalChange {
    WithdrawalChange { asset: asset("BTC"), key: "cold-1".to_owned(), amount: decimal(amount) }
}

pub fn withdraw(amount: &str, id: Option<&str>) -> Command {
    withdraw_to(to_cold(amount), id)
}

/// A Service User's withdrawal.
pub fn withdraw_to(change: WithdrawalChange, id: Option<&str>) -> Command {
    let client_id = id.map(|id| ClientId::from(id).unwrap());
    Command::Withdraw(Withdraw { change, client_id, max_fee: None, address: None })
}

/// The hash of the invitation drawn with the code of that step.
pub fn token_hash(step: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&step.to_le_bytes());
    hash
}

pub fn cancel(id: OrderId) -> Command {
    Command::CancelOrder(OrderRef::Id(id))
}

impl Stage {
    pub fn new(keys: &[Wanted], policy: bool) -> Stage {
        let secrets = Secrets { sealed: &|number| vec![number], member: &|_| (Some(String::new()), Some(Vec::new())) };
        let mut stage = Stage { engine: Engine::default(), now: Moment(100 * DAY), events: Vec::new() };
        let mut genesis = events(keys, &people(), policy, &secrets);
        genesis.extend((1..=3).map(MemberId).map(|member| {
            let (organization, ends_at) = (OrganizationId(1), Moment(u64::MAX));
            Event::SessionOpened(MemberSession { cookie_hash: cookie_hash(member), member, organization, ends_at })
        }));
        stage.run(&by(Actor::Server), Command::Genesis(genesis)).unwrap();
        stage
    }

    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// Makes a Member who is new, or whose session has ended, sign in again if they may.
    pub fn sign_in(&mut self, by: &Principal) {
        let Actor::Member(member) = by.actor else { return };
        let cookie_hash = cookie_hash(member);
        if by.credential != Credential::Session(cookie_hash)
            || self.ask(&public(), &Query::BindMember(cookie_hash)).is_ok()
        {
            return;
        }
        let step = self.state().members.all().get(member.index()).map_or(0, |record| record.sign_in_step + 1);
        let _ = self.run(&public(), Command::OpenMemberSession { member, step, cookie_hash });
    }

    pub fn run(&mut self, by: &Principal, command: Command) -> Result<Reply, Reject> {
        self.sign_in(by);
        let before = self.engine.state().digest();
        let result = self.engine.handle(self.now, by, &command);
        if result.is_err() {
            assert_eq!(self.engine.state().digest(), before, "a refusal changes nothing");
        }
        let at = self.engine.state().at;
        self.events.extend(self.engine.take_events().map(|event| (at, event)));
        self.engine.state().ledger.check().unwrap();
        result
    }

    pub fn refused(&mut self, by: &Principal, command: Command) -> Code {
        self.run(by, command).expect_err("a refusal").code
    }

    /// What a copy of the engine refuses a command with, the code and the field; nothing if it would do it.
    pub fn refusal(&self, by: &Principal, command: &Command) -> Option<(Code, Option<&'static str>)> {
        let answer = self.engine.clone().handle(self.now, by, command);
        answer.err().map(|refused| (refused.code, refused.field))
    }

    pub fn ask(&self, by: &Principal, query: &Query) -> Result<View, Reject> {
        self.engine.query(self.now, by, query)
    }

    pub fn tick(&mut self, later_us: u64) {
        self.now = self.now.plus_us(later_us);
        self.run(&by(Actor::Server), Command::Tick).unwrap();
    }

    /// A step of a one-time code that was never used: one for each call.
    pub fn step(&mut self) -> u64 {
        self.now = self.now.plus_us(30 * SECOND);
        self.now.0 / (30 * SECOND)
    }

    pub fn placed(&mut self, by: &Principal, command: Command) -> OrderId {
        match self.run(by, command).unwrap() {
            Reply::Placed(Placed { order: Some(order), .. }) => order,
            other => panic!("{other:?}"),
        }
    }

    pub fn withdrawal(&mut self, by: &Principal, command: Command) -> WithdrawalSummary {
        match self.run(by, command).unwrap() {
            Reply::Withdrawal(withdrawal) => *withdrawal,
            other => panic!("{other:?}"),
        }
    }

    /// How a Member asks for a change: with a fresh code, and with what the gateway generates for it.
    pub fn asked(&mut self, change: &Change) -> Initiation {
        let step = self.step();
        let generated = match change.governed().needs() {
            CredentialKind::Nothing => None,
            CredentialKind::Key => {
                Some(GeneratedCredential::Key { api_key: format!("drawn-{step}"), secret_sealed: vec![7] })
            }
            CredentialKind::Invitation => Some(GeneratedCredential::Invitation { token_hash: token_hash(step) }),
        };
        Initiation { step: Some(step), generated, ..Initiation::default() }
    }

    /// The command by which a Member asks for a change, with a fresh code.
    pub fn initiation(&mut self, change: Change) -> Command {
        let initiation = self.asked(&change);
        Command::Initiate(Box::new(change), initiation)
    }

    /// A Member's change, with a fresh code.
    pub fn initiate(&mut self, by: &Principal, change: Change) -> Result<Request, Reject> {
        let command = self.initiation(change);
        match self.run(by, command)? {
            Reply::Request(request) => Ok(*request),
            other => panic!("{other:?}"),
        }
    }

    /// A vote on a request in its current form; returns the request afterwards.
    pub fn vote(&mut self, by: &Principal, decision: Decision, id: RequestId) -> Result<Request, Reject> {
        let digest = self.request(id).digest.clone();
        let step = Some(self.step()).filter(|_| decision == Decision::Approve);
        let ballots = vec![Ballot { request: id, digest }];
        match self.run(by, Command::Vote { decision, ballots, step, comment: None })? {
            Reply::Votes(mut votes) => votes.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    pub fn request(&self, id: RequestId) -> &Request {
        self.state().approvals.get(id).unwrap()
    }

    pub fn state_of(&self, id: RequestId) -> RequestState {
        self.request(id).state
    }
}
