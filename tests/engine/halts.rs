//! A halt, operation by operation: what it refuses, what goes on, and what ends at its time (rule 35).

use std::collections::{BTreeMap, BTreeSet};

use countersign::access::key::SettingsChange;
use countersign::access::operation::{Kind, Operation};
use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::Workflow;
use countersign::domain::ids::*;
use countersign::domain::markets::MarketStatus;
use countersign::domain::money::Amount;
use countersign::domain::orders::{CancelReason, Side};
use countersign::domain::text::{ClientId, Symbol};
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, RequestState};
use countersign::engine::command::{
    AmendOrder, Ballot, Command, Credit, CustodyResult, EarnMove, EditOrder, Invitee, NewAsset, NewMarket, NewStrategy,
    OrderRef,
};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::earn::{AutoCompound, LockType, YieldSource};
use countersign::engine::event::Event;
use countersign::engine::freezes::FreezeScope;
use countersign::engine::holdings::EarnFilter;
use countersign::engine::keys::KeyRef;
use countersign::engine::members::Kyc;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::{AddressFilter, MethodFilter, OrderFilter, Query, RequestFilter};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::service_users::KeyStatus;
use countersign::engine::transfers::TransferFilter;
use countersign::engine::withdrawals::{WithdrawalAddress, WithdrawalSummary};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::amendments::edit_of;
use super::exports::export;
use super::genesis::key;
use super::governance::{edit, invite, set};
use super::keys::{create, rename};
use super::trading_floor::amendment;
use super::world::{DAY, SECOND, Stage, asset, bot, decimal, limit, member, public, server, to_cold, venue, withdraw};

const HOUR: u64 = 3_600 * SECOND;

/// What there was when the venue was halted, one of everything that a command may name.
struct Halted {
    stage: Stage,
    order: OrderId,
    /// Three withdrawals that wait, one for each that may end it, and two with custody.
    waiting: [WithdrawalSummary; 3],
    released: [WithdrawalSummary; 2],
    /// Alice's request, which Execute could complete.
    own: RequestId,
    /// The request that made a key whose secret nobody has claimed.
    unclaimed: RequestId,
    export: ExportId,
    /// A governed change of each kind, as Alice asks for it.
    changes: Vec<Command>,
}

fn earn(amount: &str, allocate: bool) -> Command {
    let (strategy, amount) = (StrategyId(1), decimal(amount));
    Command::Earn(EarnMove { strategy, amount, allocate, auto_compound: None, client_id: None })
}

fn pooled(number: u32) -> DepositAddress {
    DepositAddress { address: format!("bc1qpool{number}"), tag: None }
}

fn deposit_addresses(new: bool) -> Command {
    Command::DepositAddresses { asset: asset("BTC"), method: None, new }
}

fn halt() -> Command {
    Command::Halt { reason: "drill".to_owned() }
}

fn halted() -> Halted {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.run(&bot(1), earn("10", true)).unwrap();
    let waiting = [(); 3].map(|()| stage.withdrawal(&bot(1), withdraw("1", None)));
    let released = [(); 2].map(|()| {
        let asked = stage.withdrawal(&bot(1), withdraw("1", None));
        stage.vote(&member(2), Decision::Approve, asked.request.unwrap()).unwrap();
        asked
    });
    let terms = PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::ManageAccess, terms)).unwrap();
    let own = stage.initiate(&member(1), rename(1, "Renamed")).unwrap().id;
    let unclaimed = stage.initiate(&member(1), create("Fresh")).unwrap().id;
    stage.vote(&member(2), Decision::Approve, unclaimed).unwrap();
    let addresses = vec![pooled(1), pooled(2)];
    stage.run(&venue(), Command::AddDepositAddresses { asset: asset("BTC"), addresses }).unwrap();
    stage.run(&bot(1), deposit_addresses(false)).unwrap();
    let Reply::Export(export) = stage.run(&bot(1), export("")).unwrap() else { panic!("an export") };
    let changes = changes().into_iter().map(|change| stage.initiation(change)).collect();
    stage.run(&venue(), halt()).unwrap();
    Halted { stage, order, waiting, released, own, unclaimed, export: export.id, changes }
}

impl Halted {
    fn ballots(&self, request: RequestId) -> Vec<Ballot> {
        vec![Ballot { request, digest: self.stage.request(request).digest.clone() }]
    }

    /// What a copy of an engine says: nothing if it does what it is asked for.
    fn refusal(&self, engine: &Engine, (by, command): &(Principal, Command)) -> Option<Code> {
        match engine.clone().handle(self.stage.now, by, command) {
            Ok(Reply::Votes(votes)) => votes.into_iter().find_map(|(_, vote)| vote.err().map(|refused| refused.code)),
            Ok(_) => None,
            Err(refused) => Some(refused.code),
        }
    }

    /// What the rule says is refused.
    fn refused(&self) -> Vec<(Principal, Command)> {
        let (step, comment) = (Some(self.stage.now.0 / (30 * SECOND)), None);
        let Command::PlaceOrder(order) = limit(Side::Buy, "1", "10", None) else { unreachable!() };
        let twice = Some(decimal("2"));
        let decision = Decision::Approve;
        let ballots = self.ballots(self.waiting[0].request.unwrap());
        let vote = Command::Vote { decision, ballots, step, comment: comment.clone() };
        let execute = Command::Execute { ballots: self.ballots(self.own), step, comment };
        let client_id = ClientId::from("r").unwrap();
        let reward = Command::PayEarnReward { strategy: StrategyId(1), amount: decimal("1"), client_id };
        let of_bot = [
            Command::PlaceOrder(order.clone()),
            Command::PlaceBatch(vec![order.clone(), order]),
            Command::AmendOrder(AmendOrder { order_qty: twice, ..amendment(self.order) }),
            Command::EditOrder(EditOrder { order_qty: twice, ..edit_of(self.order) }),
            earn("5", true),
            earn("5", false),
            withdraw("1", None),
        ];
        let of_member = self.changes.iter().map(|change| (member(1), change.clone()));
        let of_bot = of_bot.map(|command| (bot(1), command));
        let others = [(member(2), vote), (member(1), execute), (venue(), reward)];
        of_bot.into_iter().chain(of_member).chain(others).collect()
    }

    /// What goes on.
    fn goes_on(&self) -> Vec<(Principal, Command)> {
        let of_bot = [
            Command::CancelOrder(OrderRef::Id(self.order)),
            Command::CancelBatch(vec![OrderRef::Id(self.order)]),
            Command::CancelAll,
            Command::CancelAllAfter(60),
            Command::CancelWithdrawal(self.waiting[0].id),
            deposit_addresses(true),
            export(""),
            Command::RemoveExport(self.export),
        ];
        let step = Some(self.stage.now.0 / (30 * SECOND));
        let comment = Some("no".to_owned());
        let ballots = self.ballots(self.waiting[1].request.unwrap());
        let of_alice = [
            Command::Vote { decision: Decision::Reject, ballots, step: None, comment },
            Command::CancelRequest(self.own),
            Command::Freeze { scope: FreezeScope::All, reason: "odd".to_owned() },
            Command::CancelOrders(ServiceUserId(1)),
            Command::ClaimSecret { request: self.unclaimed, step },
        ];
        let finish = |at: usize, result| Command::FinishWithdrawal { withdrawal: self.released[at].id, result };
        let (status, amount, txid) = (DepositStatus::Success, decimal("1"), "t-1".to_owned());
        let of_venue = [
            finish(0, CustodyResult::Settled { txid: None }),
            finish(1, CustodyResult::Failed { reason: "lost".to_owned() }),
            Command::CreditDeposit(Credit { asset: asset("BTC"), address: pooled(1), amount, txid, status }),
            Command::SetMarketStatus { symbol: Symbol::from("BTC/USD").unwrap(), status: MarketStatus::CancelOnly },
            Command::SetKyc { member: MemberId(3), kyc: Kyc::Rejected },
            halt(),
            Command::Resume,
        ];
        let of_bot = of_bot.map(|command| (bot(1), command)).into_iter();
        let of_venue = of_venue.into_iter().chain(set_up()).map(|command| (venue(), command));
        of_bot.chain(of_alice.map(|command| (member(1), command))).chain(of_venue).collect()
    }
}

/// One of each governed change that a Member may ask for.
fn changes() -> Vec<Change> {
    let carol = MemberId(3);
    let [key, method, address] = ["k", "BTC", "bc1q"].map(str::to_owned);
    let address = WithdrawalAddress { key, method, address, tag: None };
    vec![
        create("Another"),
        rename(1, "Other"),
        Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 60 }),
        Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) }),
        invite("dora", PermissionSets::new()),
        edit(carol.0, PermissionSets::new(), Some(true)),
        Change::Members(MemberChange::Reset { member: carol }),
        Change::Members(MemberChange::Remove { member: carol }),
        Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() }),
        set(Workflow::ManageAddresses, PolicyTerms::of(1)),
        Change::Policies(PolicyChange::Remove { workflow: Workflow::ManageAccess }),
        Change::Addresses(AddressChange::Add { asset: asset("BTC"), address }),
        Change::Addresses(AddressChange::Remove { asset: asset("BTC"), key: "cold-1".to_owned() }),
        Change::Withdrawal(to_cold("1")),
    ]
}

/// What the venue operator may set up, which moves no money.
fn set_up() -> [Command; 5] {
    let [code, zero, one] = ["SOL", "0", "1"];
    let (method, network) = (code.to_owned(), code.to_owned());
    let asset_of = NewAsset {
        code: asset(code),
        decimals: 8,
        display_decimals: 2,
        method,
        network,
        withdrawal_min: decimal(zero),
        withdrawal_fee: decimal(zero),
        deposit_min: decimal(zero),
    };
    let market = NewMarket {
        symbol: Symbol::from("ETH/USD").unwrap(),
        price_decimals: 1,
        qty_decimals: 8,
        price_increment: decimal("0.1"),
        qty_min: decimal(one),
        cost_min: decimal(one),
        maker_ppm: 0,
        taker_ppm: 0,
    };
    let strategy = NewStrategy {
        asset: asset("ETH"),
        lock: LockType::Flex,
        min: decimal(one),
        user_cap: None,
        total_cap: None,
        apr: (decimal(one), decimal(one)),
        auto_compound: AutoCompound::Disabled,
        yield_source: YieldSource::Staking,
        payout_frequency_s: None,
        organizations: None,
    };
    let dora = Invitee { name: "Dora".to_owned(), email: "dora@new.test".to_owned(), token_hash: [1; 32] };
    [
        Command::CreateOrganization { name: "New".to_owned(), members: vec![dora] },
        Command::AddAsset { asset: asset_of },
        Command::AddMarket { market },
        Command::AddEarnStrategy { strategy },
        Command::AddDepositAddresses { asset: asset("BTC"), addresses: vec![pooled(3)] },
    ]
}

/// Every question that the engine answers, under the operation that it belongs to.
fn questions(halted: &Halted) -> BTreeMap<Operation, (Principal, Query)> {
    let transfers = || TransferFilter { limit: 50, ..TransferFilter::default() };
    let earn = || EarnFilter { limit: 50, ..EarnFilter::default() };
    let methods = |of| Query::Methods(of, MethodFilter::default());
    let mut of_bot = vec![
        Query::KeyInfo,
        Query::Balances,
        Query::OpenOrders(OrderFilter::default()),
        Query::Orders(vec![OrderRef::Id(halted.order)]),
        Query::Exports(Operation::ExportStatus, None),
        Query::EarnStrategies(earn()),
        Query::EarnAllocations(earn()),
        Query::EarnStatus(StrategyId(1)),
        methods(Operation::DepositMethods),
        methods(Operation::WithdrawMethods),
        Query::Deposits(transfers()),
        Query::Addresses(Operation::WithdrawAddresses, AddressFilter::default()),
        Query::WithdrawInfo(to_cold("1")),
        Query::Withdrawals(transfers()),
    ];
    let past = [Operation::ClosedOrders, Operation::TradesHistory, Operation::Ledgers, Operation::QueryLedgers];
    of_bot.extend(past.map(Query::History));
    let of_alice = vec![
        Query::MemberInfo,
        Query::Requests(RequestFilter::default()),
        Query::Request(halted.own),
        Query::ServiceUsers,
        Query::Policies,
        Query::Members,
        Query::Explain { change: to_cold("1"), service_user: None },
        Query::Addresses(Operation::Addresses, AddressFilter::default()),
        Query::Audit,
    ];
    let subscribe = |channel| Query::Subscribe { channel, open_orders: true };
    of_bot.extend(
        [
            Operation::Level3,
            Operation::Balances,
            Operation::Executions,
            Operation::Ledger,
            Operation::Earn,
            Operation::Deposits,
            Operation::Withdrawals,
        ]
        .map(subscribe),
    );
    let of_bot = of_bot.into_iter().map(|query| (bot(1), query));
    let of_alice = of_alice.into_iter().chain([subscribe(Operation::Approvals)]).map(|query| (member(1), query));
    let all = of_bot.chain(of_alice).chain([(venue(), subscribe(Operation::Custody))]);
    all.map(|(by, query)| (query.operation().unwrap(), (by, query))).collect()
}

#[test]
fn rule_35_a_halt_refuses_what_it_names_and_everything_else_goes_on() {
    let halted = halted();
    let (refused, goes_on) = (halted.refused(), halted.goes_on());
    let mut resumed = halted.stage.engine.clone();
    resumed.handle(halted.stage.now, &venue(), &Command::Resume).unwrap();
    for asked in &refused {
        assert_eq!(halted.refusal(&halted.stage.engine, asked), Some(Code::Halted), "{asked:?}");
        // Nothing but the halt is in its way; there is no freeze to end.
        let unfreeze = asked.1.operation() == Some(Operation::Unfreeze);
        assert_eq!(halted.refusal(&resumed, asked), unfreeze.then_some(Code::NotFrozen), "{asked:?}");
    }
    for asked in &goes_on {
        assert_eq!(halted.refusal(&halted.stage.engine, asked), None, "{asked:?}");
    }
    let of = |all: &[(Principal, Command)]| -> BTreeSet<Operation> {
        all.iter().filter_map(|(_, command)| command.operation()).collect()
    };
    let (refused, goes_on) = (of(&refused), of(&goes_on));
    assert_eq!(refused.intersection(&goes_on).count(), 0);
    let writes = Operation::ALL.into_iter().filter(|of| of.row().kind == Kind::Write);
    // There are no positions to settle.
    let writes: BTreeSet<Operation> = writes.filter(|of| *of != Operation::SettlePosition).collect();
    assert_eq!(&refused | &goes_on, writes, "a new one comes here");
}

#[test]
fn rule_35_a_halt_keeps_nobody_from_reading_or_from_coming_in() {
    let mut halted = halted();
    let questions = questions(&halted);
    for (by, query) in questions.values() {
        assert!(halted.stage.ask(by, query).is_ok(), "{query:?}");
    }
    // The gateway alone answers these, or asks for one of the others first.
    let elsewhere = [Operation::Ping, Operation::ExportRetrieve];
    let is_asked = |of: &Operation| match of.row().kind {
        Kind::Read => !elsewhere.contains(of),
        Kind::Stream => !of.row().public,
        Kind::Write => false,
    };
    assert_eq!(
        questions.into_keys().collect::<BTreeSet<_>>(),
        Operation::ALL.into_iter().filter(is_asked).collect(),
        "a new one comes here"
    );
    let stage = &mut halted.stage;
    stage.run(&public(), Command::OpenSession { key: KeyRef::ServiceUser(ServiceUserId(1)), nonce: 1 }).unwrap();
    let step = stage.step();
    let cookie_hash = [9; 32];
    stage.run(&public(), Command::OpenMemberSession { member: MemberId(3), step, cookie_hash }).unwrap();
    stage.run(&public(), Command::CloseMemberSession { cookie_hash }).unwrap();
    let started = stage.now;
    stage.run(&server(), Command::FinishExport { export: halted.export, started, rows: 3 }).unwrap();
}

#[test]
fn rule_35_in_a_halt_requests_keys_sessions_and_exports_end_at_their_time_and_the_switch_fires() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    let ends = |at| SettingsChange { expires_at: Some(Some(at)), ..SettingsChange::default() };
    let change = KeyChange::Edit {
        service_user: ServiceUserId(2),
        name: None,
        scopes: None,
        settings: ends(stage.now.plus_us(HOUR)),
        disabled: None,
    };
    stage.initiate(&member(1), Change::Keys(change)).unwrap();
    let [lasting, ending] = [1, 2].map(|number| stage.withdrawal(&bot(number), withdraw("1", None)).request.unwrap());
    stage.run(&bot(1), export("")).unwrap();
    stage.placed(&bot(2), limit(Side::Buy, "1", "10", None));
    stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
    stage.run(&venue(), halt()).unwrap();
    stage.events.clear();
    let fired = |stage: &Stage| {
        let by_switch =
            |event: &Event| matches!(event, Event::OrderCanceled { reason: CancelReason::DeadMansSwitch, .. });
        stage.events.iter().filter(|(_, event)| by_switch(event)).count()
    };
    stage.tick(60 * SECOND - 1);
    assert_eq!(fired(&stage), 0);
    stage.tick(1);
    assert_eq!((fired(&stage), stage.state().orders.open(AccountId(1)).count()), (1, 0));
    let held = |stage: &Stage| stage.state().ledger.held(AccountId(1), AssetId(2));
    stage.tick(HOUR);
    assert_eq!(stage.state().keys.service_user(ServiceUserId(2)).status, KeyStatus::Expired);
    assert_eq!((stage.state_of(ending), held(&stage)), (RequestState::Canceled, Amount(100_000_000)));
    let (step, cookie_hash) = (stage.step(), [9; 32]);
    stage.run(&public(), Command::OpenMemberSession { member: MemberId(3), step, cookie_hash }).unwrap();
    stage.tick(12 * HOUR);
    assert!(stage.state().members.sessions().get(&cookie_hash).is_none());
    stage.tick(7 * DAY);
    assert_eq!((stage.state_of(lasting), held(&stage)), (RequestState::Expired, Amount::ZERO));
    assert_eq!(stage.state().exports.page(None).count(), 0);
    assert!(stage.state().halted.is_some());
}
