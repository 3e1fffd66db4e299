//! The bounds of every field that has one: at the bound it is taken, one beyond it is refused by its name.

use countersign::access::key::KeySettings;
use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::Workflow;
use countersign::domain::ids::*;
use countersign::domain::orders::{Side, TimeInForce};
use countersign::domain::text::Symbol;
use countersign::domain::time::{Moment, Period};
use countersign::engine::approvals::{Decision, InitiatorId};
use countersign::engine::command::{
    Ballot, Command, CustodyResult, Initiation, Invitee, NewAsset, NewMarket, NewStrategy, PlaceOrder, RequestedTerms,
};
use countersign::engine::deposits::DepositAddress;
use countersign::engine::earn::{AutoCompound, LockType, Periods, YieldSource};
use countersign::engine::freezes::FreezeScope;
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::reject::Code;
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::exports::export;
use super::genesis::key;
use super::governance::set;
use super::keys::{create, rename};
use super::world::{DAY, SECOND, Stage, asset, bot, decimal, limit, member, venue, withdraw};

const DAYS_90: u64 = 90 * 86_400;
const TEN_YEARS: u64 = 10 * 366 * 86_400;

/// Takes each of the first values and refuses each of the others, as values that `field` cannot have.
fn bounds<V: std::fmt::Debug>(
    stage: &Stage,
    by: &Principal,
    field: &'static str,
    make: impl Fn(&V) -> Command,
    (taken, refused): (&[V], &[V]),
) {
    for value in taken {
        assert_eq!(stage.refusal(by, &make(value)), None, "{field}: {value:?}");
    }
    for value in refused {
        let told = stage.refusal(by, &make(value));
        assert_eq!(told, Some((Code::InvalidArguments, Some(field))), "{field}: {value:?}");
    }
}

/// A Member's change with a fresh code and whatever it needs.
fn asks(stage: &Stage, change: Change) -> Command {
    let mut later = Stage { engine: stage.engine.clone(), now: stage.now, events: Vec::new() };
    let initiation = Initiation { step: Some(stage.now.0 / (30 * SECOND)), ..later.asked(&change) };
    Command::Initiate(Box::new(change), initiation)
}

fn text(bytes: &usize) -> String {
    "n".repeat(*bytes)
}

fn email(bytes: &usize) -> String {
    format!("{}@x.test", "n".repeat(bytes - 7))
}

/// Bytes that a name may have, and those that it may not.
const NAMES: (&[usize], &[usize]) = (&[1, 64], &[0, 65]);

#[test]
fn names_have_up_to_sixty_four_bytes() {
    let stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let (alice, operator) = (member(1), venue());
    let edit = |name: String| {
        let (member, permissions, name) = (MemberId(2), PermissionSets::new(), Some(name));
        Change::Members(MemberChange::Edit { member, name, permissions, suspended: None })
    };
    let invite = |name: String, email: String| {
        Change::Members(MemberChange::Invite { name, email, permissions: PermissionSets::new() })
    };
    let listed = |key: String| {
        let (method, address) = ("BTC".to_owned(), "bc1q".to_owned());
        let address = WithdrawalAddress { key, method, address, tag: None };
        Change::Addresses(AddressChange::Add { asset: asset("BTC"), address })
    };
    bounds(&stage, &alice, "name", |of| asks(&stage, create(&text(of))), NAMES);
    bounds(&stage, &alice, "name", |of| asks(&stage, rename(1, &text(of))), NAMES);
    bounds(&stage, &alice, "name", |of| asks(&stage, edit(text(of))), NAMES);
    bounds(&stage, &alice, "name", |of| asks(&stage, invite(text(of), email(&20))), NAMES);
    bounds(&stage, &alice, "email", |of| asks(&stage, invite("Dora".to_owned(), email(of))), (&[8, 64], &[65]));
    bounds(&stage, &alice, "key", |of| asks(&stage, listed(text(of))), NAMES);
    let organization = |name: String, email: String| {
        let members = vec![Invitee { name: "Dora".to_owned(), email, token_hash: [1; 32] }];
        Command::CreateOrganization { name, members }
    };
    bounds(&stage, &operator, "name", |of| organization(text(of), email(&20)), NAMES);
    bounds(&stage, &operator, "email", |of| organization("New".to_owned(), email(of)), (&[8, 64], &[65]));
    bounds(&stage, &operator, "method", |of| asset_with(|asset| asset.method = text(of)), NAMES);
    bounds(&stage, &operator, "network", |of| asset_with(|asset| asset.network = text(of)), NAMES);
    // Bytes count, not letters.
    bounds(&stage, &alice, "name", |of: &&str| asks(&stage, create(&of.repeat(32))), (&["é"], &["€"]));
}

#[test]
fn addresses_and_tags_have_up_to_a_hundred_and_twenty_eight_bytes() {
    let stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let lengths: (&[usize], &[usize]) = (&[1, 128], &[0, 129]);
    let listed = |address: String, tag: Option<String>| {
        let (key, method) = ("k".to_owned(), "BTC".to_owned());
        let address = WithdrawalAddress { key, method, address, tag };
        asks(&stage, Change::Addresses(AddressChange::Add { asset: asset("BTC"), address }))
    };
    let pooled = |address: String, tag: Option<String>| Command::AddDepositAddresses {
        asset: asset("BTC"),
        addresses: vec![DepositAddress { address, tag }],
    };
    bounds(&stage, &member(1), "address", |of| listed(text(of), None), lengths);
    bounds(&stage, &member(1), "address", |of| listed("a".to_owned(), Some(text(of))), lengths);
    bounds(&stage, &venue(), "addresses", |of| pooled(text(of), None), lengths);
    bounds(&stage, &venue(), "addresses", |of| pooled("a".to_owned(), Some(text(of))), lengths);
}

#[test]
fn comments_and_reasons_have_up_to_five_hundred_bytes() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let terms = PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::ManageAccess, terms)).unwrap();
    let released = stage.withdrawal(&bot(1), withdraw("1", None));
    stage.vote(&member(2), Decision::Approve, released.request.unwrap()).unwrap();
    let own = stage.initiate(&member(1), create("x")).unwrap();
    let step = Some(stage.step());
    let ballots = vec![Ballot { request: own.id, digest: own.digest }];
    let vote = |decision, of: &usize| {
        let step = step.filter(|_| decision == Decision::Approve);
        Command::Vote { decision, ballots: ballots.clone(), step, comment: Some(text(of)) }
    };
    let execute = |of: &usize| Command::Execute { ballots: ballots.clone(), step, comment: Some(text(of)) };
    let lengths: (&[usize], &[usize]) = (&[1, 500], &[0, 501]);
    bounds(&stage, &member(2), "comment", |of| vote(Decision::Approve, of), lengths);
    bounds(&stage, &member(2), "reason", |of| vote(Decision::Reject, of), lengths);
    bounds(&stage, &member(1), "comment", execute, lengths);
    let freeze = |of: &usize| Command::Freeze { scope: FreezeScope::All, reason: text(of) };
    bounds(&stage, &member(1), "reason", freeze, lengths);
    bounds(&stage, &venue(), "reason", |of| Command::Halt { reason: text(of) }, lengths);
    let failed = |of: &usize| Command::FinishWithdrawal {
        withdrawal: released.id,
        result: CustodyResult::Failed { reason: text(of) },
    };
    bounds(&stage, &venue(), "reason", failed, lengths);
    let export = |of: &usize| export(&text(of));
    bounds(&stage, &bot(1), "description", export, (&[0, 500], &[501]));
    stage.run(&member(1), freeze(&1)).unwrap();
    let unfreeze = |of: &usize| asks(&stage, Change::Unfreeze(Unfreeze { reason: text(of) }));
    bounds(&stage, &member(1), "reason", unfreeze, lengths);
}

#[test]
fn a_message_carries_one_vote_to_fifty() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    for _ in 0..51 {
        stage.withdrawal(&bot(1), withdraw("0.01", None));
    }
    let step = Some(stage.step());
    let all = || stage.state().approvals.pending(OrganizationId(1));
    let ballots = |count: &usize| {
        let ballot = |request: &countersign::engine::approvals::Request| Ballot {
            request: request.id,
            digest: request.digest.clone(),
        };
        all().take(*count).map(ballot).collect::<Vec<_>>()
    };
    for (decision, step) in [(Decision::Approve, step), (Decision::Reject, None)] {
        let comment = Some("as told".to_owned());
        let vote = |of: &usize| Command::Vote { decision, ballots: ballots(of), step, comment: comment.clone() };
        bounds(&stage, &member(2), "requests", vote, (&[1, 50], &[0, 51]));
    }
    let execute = |of: &usize| Command::Execute { ballots: ballots(of), step, comment: None };
    bounds(&stage, &member(1), "requests", execute, (&[1, 50], &[0, 51]));
}

#[test]
fn the_terms_of_a_policy_are_within_bounds() {
    let stage = Stage::new(&[], false);
    let alice = member(1);
    let of = |workflow, change: &dyn Fn(&mut PolicyTerms)| {
        let mut terms = PolicyTerms::of(1);
        change(&mut terms);
        asks(&stage, Change::Policies(PolicyChange::Set { workflow, terms }))
    };
    let access = |change: &dyn Fn(&mut PolicyTerms)| of(Workflow::ManageAccess, change);
    bounds(&stage, &alice, "quorum", |n| access(&|terms| terms.quorum = *n), (&[1], &[0]));
    bounds(&stage, &alice, "reject_quorum", |n| access(&|terms| terms.reject_quorum = *n), (&[1, u32::MAX], &[0]));
    let expiry = |n: &u64| access(&|terms| terms.expires_after_s = *n);
    bounds(&stage, &alice, "expires_after_s", expiry, (&[1, DAYS_90], &[0, DAYS_90 + 1, u64::MAX]));
    let cool_down = |n: &u64| of(Workflow::ManageAddresses, &|terms| terms.cool_down_s = *n);
    bounds(&stage, &alice, "cool_down_s", cool_down, (&[0, DAYS_90], &[DAYS_90 + 1, u64::MAX]));
    bounds(&stage, &alice, "cool_down_s", |n| access(&|terms| terms.cool_down_s = *n), (&[0], &[1]));
    let rules = |workflow, rules: Vec<Rule>| of(workflow, &|terms| terms.rules = rules.clone());
    let rule = || Rule { quorum: 1, ..Rule::default() };
    let many = |count: &usize| rules(Workflow::InitiateWithdrawal, vec![rule(); *count]);
    bounds(&stage, &alice, "rules", many, (&[0, 50], &[51]));
    bounds(&stage, &alice, "rules", |count| rules(Workflow::ManageAccess, vec![rule(); *count]), (&[0], &[1]));
    let one = |rule: Rule| rules(Workflow::InitiateWithdrawal, vec![rule]);
    bounds(&stage, &alice, "rules", |n| one(Rule { quorum: *n, ..rule() }), (&[1], &[0]));
    let keys = |count: &usize| one(Rule { keys: Some(vec!["k".to_owned(); *count]), ..rule() });
    bounds(&stage, &alice, "rules", keys, (&[1, 100], &[0, 101]));
    let named = InitiatorId::Member(MemberId(9));
    let initiators = |count: &usize| one(Rule { initiators: Some(vec![named; *count]), ..rule() });
    bounds(&stage, &alice, "rules", initiators, (&[1, 100], &[0, 101]));
    let amounts: (&[&str], &[&str]) = (&["0", "0.00000001"], &["-0.00000001", "0.000000001"]);
    let btc = Some(asset("BTC"));
    let amount = |text: &&str| one(Rule { asset: btc, amount_from: Some(decimal(text)), ..rule() });
    bounds(&stage, &alice, "rules", amount, amounts);
    let total = |text: &&str| one(Rule { asset: btc, total_24h_from: Some(decimal(text)), ..rule() });
    bounds(&stage, &alice, "rules", total, amounts);
    for without in
        [Rule { amount_from: Some(decimal("1")), ..rule() }, Rule { total_24h_from: Some(decimal("1")), ..rule() }]
    {
        assert_eq!(stage.refusal(&alice, &one(without)), Some((Code::InvalidArguments, Some("rules"))));
    }
}

#[test]
fn the_settings_of_a_key_are_within_bounds() {
    let stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let alice = member(1);
    let rotate = |overlap_s: &u64| {
        asks(&stage, Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: *overlap_s }))
    };
    bounds(&stage, &alice, "overlap_s", rotate, (&[0, 7 * 86_400], &[7 * 86_400 + 1, u64::MAX]));
    let create = |settings: KeySettings| {
        let name = "Fresh".to_owned();
        asks(&stage, Change::Keys(KeyChange::Create { name, scopes: ScopeSet::ALL, settings }))
    };
    let listed = |count: usize| KeySettings {
        ip_allowlist: vec!["10.0.0.0/8".parse().unwrap(); count],
        ..KeySettings::default()
    };
    assert_eq!(stage.refusal(&alice, &create(listed(100))), None);
    let told = stage.refusal(&alice, &create(listed(101)));
    assert_eq!(told, Some((Code::LimitReached, Some("settings.ip_allowlist"))));
    let (from, until) = (Some(stage.now), |us: &u64| Some(stage.now.minus_us(1).plus_us(*us)));
    let dated = |us: &u64| {
        let query_dates = Period { from, until: until(us) };
        create(KeySettings { query_dates, ..KeySettings::default() })
    };
    bounds(&stage, &alice, "settings.query_end", dated, (&[2], &[0, 1]));
}

/// What `add_asset` gives, changed.
fn asset_with(change: impl Fn(&mut NewAsset)) -> Command {
    let zero = || decimal("0");
    let mut asset = NewAsset {
        code: asset("SOL"),
        decimals: 8,
        display_decimals: 2,
        method: "m".to_owned(),
        network: "n".to_owned(),
        withdrawal_min: zero(),
        withdrawal_fee: zero(),
        deposit_min: zero(),
    };
    change(&mut asset);
    Command::AddAsset { asset }
}

#[test]
fn assets_and_markets_are_within_bounds() {
    let stage = Stage::new(&[], false);
    let operator = venue();
    let decimals: (&[u8], &[u8]) = (&[2, 12], &[13, u8::MAX]);
    bounds(&stage, &operator, "decimals", |n| asset_with(|of| of.decimals = *n), decimals);
    bounds(&stage, &operator, "display_decimals", |n| asset_with(|of| of.display_decimals = *n), (&[0, 8], &[9]));
    let codes: (&[&str], &[&str]) = (&["A", "0", "ABCDEFGHIJK"], &["", "a", "A.B", "É"]);
    bounds(&stage, &operator, "asset", |code| asset_with(|of| of.code = asset(code)), codes);
    let amounts: (&[&str], &[&str]) = (&["0", "0.00000001"], &["-0.00000001", "0.000000001", "100000000000"]);
    let amount = |set: fn(&mut NewAsset, &str)| move |text: &&str| asset_with(|of| set(of, text));
    bounds(&stage, &operator, "withdrawal_min", amount(|of, n| of.withdrawal_min = decimal(n)), amounts);
    bounds(&stage, &operator, "withdrawal_fee", amount(|of, n| of.withdrawal_fee = decimal(n)), amounts);
    bounds(&stage, &operator, "deposit_min", amount(|of, n| of.deposit_min = decimal(n)), amounts);
    let market = |change: &dyn Fn(&mut NewMarket)| {
        let mut market = NewMarket {
            symbol: Symbol::from("ETH/USD").unwrap(),
            price_decimals: 2,
            qty_decimals: 8,
            price_increment: decimal("0.01"),
            qty_min: decimal("1"),
            cost_min: decimal("1"),
            maker_ppm: 0,
            taker_ppm: 0,
        };
        change(&mut market);
        Command::AddMarket { market }
    };
    bounds(&stage, &operator, "price_decimals", |n| market(&|of| of.price_decimals = *n), (&[2, 12], &[13]));
    bounds(&stage, &operator, "qty_decimals", |n| market(&|of| of.qty_decimals = *n), (&[0, 8], &[9]));
    let rates: (&[u32], &[u32]) = (&[0, 1_000_000], &[1_000_001]);
    bounds(&stage, &operator, "maker_ppm", |n| market(&|of| of.maker_ppm = *n), rates);
    bounds(&stage, &operator, "taker_ppm", |n| market(&|of| of.taker_ppm = *n), rates);
    let steps: (&[&str], &[&str]) = (&["0.01", "3"], &["0", "-0.01", "0.001"]);
    bounds(&stage, &operator, "price_increment", |n| market(&|of| of.price_increment = decimal(n)), steps);
    let least: (&[&str], &[&str]) = (&["0.00000001"], &["0", "-1", "0.000000001"]);
    bounds(&stage, &operator, "qty_min", |n| market(&|of| of.qty_min = decimal(n)), least);
    let costs: (&[&str], &[&str]) = (&["0", "0.0001"], &["-0.0001", "0.00001"]);
    bounds(&stage, &operator, "cost_min", |n| market(&|of| of.cost_min = decimal(n)), costs);
    let symbols: (&[&str], &[&str]) = (&["ETH/BTC"], &["ETH", "ETHUSD", "ETH/ETH", "", "ABCDEFGHIJKL/USD"]);
    bounds(&stage, &operator, "symbol", |text| market(&|of| of.symbol = Symbol::from(text).unwrap()), symbols);
}

#[test]
fn earn_strategies_are_within_bounds() {
    let stage = Stage::new(&[], false);
    let operator = venue();
    let of = |change: &dyn Fn(&mut NewStrategy)| {
        let mut strategy = NewStrategy {
            asset: asset("ETH"),
            lock: LockType::Flex,
            min: decimal("1"),
            user_cap: None,
            total_cap: None,
            apr: (decimal("1"), decimal("1000")),
            auto_compound: AutoCompound::Disabled,
            yield_source: YieldSource::Staking,
            payout_frequency_s: None,
            organizations: None,
        };
        change(&mut strategy);
        Command::AddEarnStrategy { strategy }
    };
    let periods: (&[u64], &[u64]) = (&[0, TEN_YEARS], &[TEN_YEARS + 1, u64::MAX]);
    let bonded = |periods: Periods| of(&|of| of.lock = LockType::Bonded(periods));
    let none = Periods::default();
    bounds(&stage, &operator, "lock_type", |n| bonded(Periods { bonding_s: *n, ..none }), periods);
    bounds(&stage, &operator, "lock_type", |n| bonded(Periods { exit_queue_s: *n, ..none }), periods);
    bounds(&stage, &operator, "lock_type", |n| bonded(Periods { unbonding_s: *n, ..none }), periods);
    bounds(&stage, &operator, "lock_type", |n| of(&|of| of.payout_frequency_s = Some(*n)), periods);
    let least: (&[&str], &[&str]) = (&["0.00000001"], &["0", "-1", "0.000000001"]);
    bounds(&stage, &operator, "user_min_allocation", |n| of(&|of| of.min = decimal(n)), least);
    let caps: (&[&str], &[&str]) = (&["1"], &["0.99999999", "0", "1.000000001"]);
    bounds(&stage, &operator, "user_cap", |n| of(&|of| of.user_cap = Some(decimal(n))), caps);
    bounds(&stage, &operator, "total_cap", |n| of(&|of| of.total_cap = Some(decimal(n))), caps);
    let highs: (&[&str], &[&str]) = (&["1", "1000"], &["1000.0001", "0.9999", "1.00001"]);
    bounds(&stage, &operator, "apr_estimate", |n| of(&|of| of.apr.1 = decimal(n)), highs);
    bounds(&stage, &operator, "apr_estimate", |n| of(&|of| of.apr.0 = decimal(n)), (&["0"], &["-0.0001"]));
    let named = |count: usize| of(&|of| of.organizations = Some(vec![OrganizationId(1); count]));
    assert_eq!(stage.refusal(&operator, &named(255)), None);
    assert_eq!(stage.refusal(&operator, &named(256)), Some((Code::LimitReached, Some("organizations"))));
}

#[test]
fn lists_of_the_venue_operator_are_within_bounds() {
    let stage = Stage::new(&[], false);
    let organization = |count: &usize| {
        let invitee = |at: usize| Invitee {
            name: format!("Member {at}"),
            email: format!("m{at}@new.test"),
            token_hash: [u8::try_from(at).unwrap(); 32],
        };
        Command::CreateOrganization { name: "New".to_owned(), members: (0..*count).map(invitee).collect() }
    };
    bounds(&stage, &venue(), "members", organization, (&[1, 20], &[0, 21]));
    let pool = |count: &usize| {
        let address = |at: usize| DepositAddress { address: format!("bc1q{at}"), tag: None };
        Command::AddDepositAddresses { asset: asset("BTC"), addresses: (0..*count).map(address).collect() }
    };
    bounds(&stage, &venue(), "addresses", pool, (&[1, 1_000], &[0, 1_001]));
}

#[test]
fn the_times_of_an_order_are_within_bounds() {
    let stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let Command::PlaceOrder(plain) = limit(Side::Buy, "1", "10", None) else { unreachable!() };
    let at = |us: &u64| Some(stage.now.plus_us(*us));
    let month = 31 * DAY;
    let with = |effective_time: Option<Moment>, expire_time: Option<Moment>| {
        let time_in_force = if expire_time.is_some() { TimeInForce::Gtd } else { TimeInForce::Gtc };
        let terms = Some(Box::new(RequestedTerms { effective_time, expire_time, ..RequestedTerms::default() }));
        Command::PlaceOrder(PlaceOrder { time_in_force, terms, ..plain.clone() })
    };
    bounds(&stage, &bot(1), "effective_time", |us| with(at(us), None), (&[0, 1, month], &[month + 1]));
    bounds(&stage, &bot(1), "expire_time", |us| with(None, at(us)), (&[1, month], &[0, month + 1]));
    bounds(&stage, &bot(1), "expire_time", |us| with(at(&SECOND), at(us)), (&[SECOND + 1], &[SECOND]));
    let until = |us: &u64| Command::PlaceOrder(PlaceOrder { deadline: at(us), ..plain.clone() });
    bounds(&stage, &bot(1), "deadline", until, (&[1, 60 * SECOND], &[60 * SECOND + 1]));
    assert_eq!(stage.refusal(&bot(1), &until(&0)), Some((Code::DeadlineElapsed, None)));
    let switch = |seconds: &u64| Command::CancelAllAfter(*seconds);
    bounds(&stage, &bot(1), "timeout", switch, (&[0, 1, 86_399], &[86_400, u64::MAX]));
}
