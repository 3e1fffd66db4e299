//! Properties over random scripts: money is conserved, replay gives the same state, nobody completes what they
//! asked for. A failing script is shrunk and printed with its seed.

use countersign::access::scope::ScopeSet;
use countersign::domain::ids::{AccountId, AssetId, OrganizationId, RequestId, StrategyId};
use countersign::domain::money::Amount;
use countersign::domain::orders::Side;
use countersign::domain::text::ClientId;
use countersign::engine::approvals::{Decision, Initiator, RequestState};
use countersign::engine::command::{Ballot, Command, Credit, CustodyResult, EarnMove, Initiation, NewStrategy};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::earn::{AutoCompound, LockType, Periods, YieldSource};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Wallet};
use countersign::engine::orders::held_asset;
use countersign::engine::state::State;
use countersign::engine::workflows::Change;
use proptest::prelude::*;

use super::genesis::{key, other};
use super::world::{Stage, asset, bot, decimal, limit, member, to_cold, venue, withdraw};

#[derive(Clone, Debug)]
enum Step {
    Order {
        bot: u32,
        buy: bool,
        qty: u32,
        price: u32,
    },
    CancelAll(u32),
    Withdraw(u32),
    MemberWithdraw,
    Vote {
        member: u32,
        approve: bool,
        which: usize,
    },
    /// Custody's report on its oldest withdrawal.
    Finish {
        paid: bool,
    },
    /// The operator's report on one of a few deposits.
    Credit {
        txid: u32,
        status: DepositStatus,
    },
    Earn {
        bot: u32,
        strategy: u16,
        allocate: bool,
        amount: u32,
    },
    Reward {
        strategy: u16,
        amount: u32,
    },
    Wait(u32),
}

/// A strategy with every stage, whose rewards are compounded.
fn slow() -> NewStrategy {
    NewStrategy {
        asset: asset("ETH"),
        lock: LockType::Bonded(Periods { bonding_s: 40_000, exit_queue_s: 70_000, unbonding_s: 50_000 }),
        min: decimal("1"),
        user_cap: None,
        total_cap: Some(decimal("1500")),
        apr: (decimal("1"), decimal("2")),
        auto_compound: AutoCompound::Enabled,
        yield_source: YieldSource::OffChain,
        payout_frequency_s: Some(86_400),
        organizations: None,
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..=3u32, any::<bool>(), 1..500u32, 90..110u32)
            .prop_map(|(bot, buy, qty, price)| Step::Order { bot, buy, qty, price }),
        1 => (1..=3u32).prop_map(Step::CancelAll),
        2 => (1..60u32).prop_map(Step::Withdraw),
        1 => Just(Step::MemberWithdraw),
        3 => (1..=3u32, any::<bool>(), 0..5usize).prop_map(|(member, approve, which)| Step::Vote { member, approve, which }),
        2 => any::<bool>().prop_map(|paid| Step::Finish { paid }),
        2 => (0..6u32, deposit_status()).prop_map(|(txid, status)| Step::Credit { txid, status }),
        3 => (1..=3u32, 1..=3u16, any::<bool>(), 1..300u32)
            .prop_map(|(bot, strategy, allocate, amount)| Step::Earn { bot, strategy, allocate, amount }),
        1 => (1..=3u16, 1..1_000u32).prop_map(|(strategy, amount)| Step::Reward { strategy, amount }),
        1 => (1..200_000u32).prop_map(Step::Wait),
    ]
}

fn deposit_status() -> impl Strategy<Value = DepositStatus> {
    prop_oneof![Just(DepositStatus::Pending), Just(DepositStatus::Success), Just(DepositStatus::Failure)]
}

fn play(stage: &mut Stage, step: &Step) {
    // Refusals are expected; they change nothing, which the stage checks.
    match step {
        Step::Order { bot: number, buy, qty, price } => {
            let side = if *buy { Side::Buy } else { Side::Sell };
            let order = limit(side, &format!("0.{qty:04}"), &price.to_string(), None);
            let _ = stage.run(&bot(*number), order);
        }
        Step::CancelAll(number) => drop(stage.run(&bot(*number), Command::CancelAll)),
        Step::Withdraw(amount) => drop(stage.run(&bot(1), withdraw(&amount.to_string(), None))),
        Step::MemberWithdraw => {
            let change = Change::Withdrawal(to_cold("1"));
            let _ = stage.run(&member(1), Command::Initiate(Box::new(change), Initiation::default()));
        }
        Step::Vote { member: number, approve, which } => {
            let pending = stage.state().approvals.pending(OrganizationId(1)).nth(*which).cloned();
            let Some(request) = pending else { return };
            let ballots = vec![Ballot { request: request.id, digest: request.digest.clone() }];
            let decision = if *approve { Decision::Approve } else { Decision::Reject };
            let step = Some(stage.step()).filter(|_| *approve);
            let _ = stage.run(&member(*number), Command::Vote { decision, ballots, step, comment: None });
        }
        Step::Finish { paid } => {
            let Some(oldest) = stage.state().withdrawals.pending_custody().first().map(|of| of.id) else { return };
            let result = if *paid {
                CustodyResult::Settled { txid: None }
            } else {
                CustodyResult::Failed { reason: "no".to_owned() }
            };
            stage.run(&venue(), Command::FinishWithdrawal { withdrawal: oldest, result }).unwrap();
        }
        Step::Credit { txid, status } => {
            let (address, amount) = (pooled(), decimal("0.5"));
            let credit = Credit { asset: asset("BTC"), address, amount, txid: txid.to_string(), status: *status };
            let _ = stage.run(&venue(), Command::CreditDeposit(credit));
        }
        Step::Earn { bot: number, strategy, allocate, amount } => {
            let (strategy, amount) = (StrategyId(*strategy), decimal(&amount.to_string()));
            let earn = EarnMove { strategy, amount, allocate: *allocate, auto_compound: None, client_id: None };
            let _ = stage.run(&bot(*number), Command::Earn(earn));
        }
        Step::Reward { strategy, amount } => {
            let id = format!("reward-{}", stage.state().seq.0);
            let (strategy, client_id) = (StrategyId(*strategy), ClientId::from(&id).unwrap());
            let amount = decimal(&format!("0.{amount:08}"));
            let _ = stage.run(&venue(), Command::PayEarnReward { strategy, amount, client_id });
        }
        Step::Wait(seconds) => stage.tick(u64::from(*seconds) * 1_000_000),
    }
}

/// The one address of the deposit pool.
fn pooled() -> DepositAddress {
    DepositAddress { address: "bc1qpool".to_owned(), tag: None }
}

/// The holds equal the sum held by open orders and waiting withdrawals (rule 31).
fn holds_agree(state: &State) {
    for account in [AccountId(1), AccountId(2)] {
        for asset in [AssetId(1), AssetId(2), AssetId(3)] {
            let orders = state.orders.open(account).filter(|order| held_asset(order, &state.reference) == asset);
            let of_orders: i64 = orders.map(|order| order.held.0).sum();
            let withdrawals = state.withdrawals.transfers().recent(account);
            let of_withdrawals: i64 = withdrawals.iter().filter(|of| of.asset == asset).map(|of| of.held.0).sum();
            assert_eq!(state.ledger.held(account, asset), Amount(of_orders + of_withdrawals));
        }
    }
}

/// The Earn wallets equal the positions, so do the sums that the caps limit, and nothing of a reward stays in the pool.
fn positions_agree(state: &State) {
    for account in [AccountId(1), AccountId(2)] {
        let wallets = [Wallet::Flex, Wallet::Bonded].map(|wallet| {
            let positions = state.earn.positions(account).filter(|(strategy, _)| strategy.lock.wallet() == wallet);
            let sum: i64 = positions.map(|(_, position)| position.total().0).sum();
            (Amount(sum), state.ledger.balance(account, AssetId(3), wallet))
        });
        assert!(wallets.iter().all(|(positions, wallet)| positions == wallet), "{account}: {wallets:?}");
    }
    for strategy in state.earn.strategies() {
        let committed = state.earn.holders(strategy.id).map(|(_, position)| position.committed().0).sum();
        assert_eq!(state.earn.committed(strategy.id), Amount(committed), "{}", strategy.id);
    }
    assert_eq!(state.ledger.counter(Party::EarnPool, AssetId(3)), Amount::ZERO);
}

/// Every request completed by votes has one by somebody who did not ask for it (law 5).
fn nobody_completes_their_own(state: &State, requests: &[RequestId]) {
    for request in requests.iter().filter_map(|id| state.approvals.get(*id)) {
        let own = |member| matches!(request.initiator, Initiator::Member(asker, _) if asker == member);
        assert!(request.votes.iter().all(|vote| !own(vote.member)), "{request:?}");
        if request.state == RequestState::Approved {
            assert!(request.votes.iter().any(|vote| vote.decision == Decision::Approve && !vote.struck));
        }
        assert!(request.policy.is_none() || request.state != RequestState::Executed, "{request:?}");
    }
}

/// A bot of Acme and two of Other; Acme has the pool's address, and the third strategy is the slow one.
fn stage() -> Stage {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other(), other()], true);
    let pool = Command::AddDepositAddresses { asset: asset("BTC"), addresses: vec![pooled()] };
    stage.run(&venue(), pool).unwrap();
    let own = Command::DepositAddresses { asset: asset("BTC"), method: None, new: false };
    stage.run(&bot(1), own).unwrap();
    stage.run(&venue(), Command::AddEarnStrategy { strategy: slow() }).unwrap();
    stage
}

/// Of scripts whose every step is refused, the properties would hold as well.
#[test]
fn each_kind_of_step_has_an_effect() {
    let mut stage = stage();
    let order = |bot, buy| Step::Order { bot, buy, qty: 499, price: 100 };
    let approve = || Step::Vote { member: 2, approve: true, which: 0 };
    let reject = || Step::Vote { member: 2, approve: false, which: 0 };
    let earn = |allocate| Step::Earn { bot: 1, strategy: 3, allocate, amount: 5 };
    let credit = |status| Step::Credit { txid: 0, status };
    let trading = vec![order(1, true), order(2, false), order(1, true), Step::CancelAll(1)];
    let mut paying = vec![Step::Withdraw(5), approve(), Step::Finish { paid: true }];
    paying.extend([Step::Withdraw(5), approve(), Step::Finish { paid: false }, Step::MemberWithdraw, reject()]);
    paying.extend([DepositStatus::Pending, DepositStatus::Success].map(credit));
    let earning = vec![earn(true), Step::Wait(40_000), Step::Reward { strategy: 3, amount: 500 }, earn(false)];
    let leaving = vec![Step::Wait(70_000), Step::Wait(50_000)];
    for step in [trading, paying, earning, leaving].into_iter().flatten() {
        let before = stage.state().seq;
        play(&mut stage, &step);
        assert!(stage.state().seq > before, "{step:?}");
    }
    let traded = |event: &Event| matches!(event, Event::Traded(_));
    assert_eq!(stage.events.iter().filter(|(_, event)| traded(event)).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn d5_61_d5_62_and_d5_67_money_holds_votes_and_replay_are_sound(steps in prop::collection::vec(step(), 1..60)) {
        let mut stage = stage();
        for step in &steps {
            play(&mut stage, step);
            holds_agree(stage.state());
            positions_agree(stage.state());
        }
        let requests: Vec<RequestId> = stage
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::RequestChanged { request, before: None } => Some(request.id),
                _ => None,
            })
            .collect();
        nobody_completes_their_own(stage.state(), &requests);
        prop_assert!(stage.state().halted.is_none());
        let mut replayed = State::default();
        stage.events.iter().for_each(|(at, event)| replayed.apply(*at, event));
        prop_assert_eq!(replayed.digest(), stage.state().digest());
        positions_agree(&postcard::from_bytes(&postcard::to_allocvec(&replayed).unwrap()).unwrap());
    }
}
