//! Properties over random scripts: money is conserved, replay gives the same state, nobody completes what they
//! asked for. A failing script is shrunk and printed with its seed.

use countersign::access::scope::ScopeSet;
use countersign::domain::ids::{AccountId, AssetId, RequestId};
use countersign::domain::money::Amount;
use countersign::domain::orders::Side;
use countersign::engine::approvals::{Decision, Initiator, RequestState};
use countersign::engine::command::{Ballot, Command, Credit, Initiation, Paid};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::event::Event;
use countersign::engine::orders::held_asset;
use countersign::engine::state::State;
use countersign::engine::workflows::Change;
use proptest::prelude::*;

use super::genesis::{Wanted, key};
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
    /// Custody's word on the oldest withdrawal that it has.
    Finish {
        paid: bool,
    },
    /// The operator's word on one of a few deposits.
    Credit {
        txid: u32,
        status: DepositStatus,
    },
    Earn {
        allocate: bool,
        amount: u32,
    },
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..=3u32, any::<bool>(), 1..500u32, 90..110u32)
            .prop_map(|(bot, buy, qty, price)| Step::Order { bot, buy, qty, price }),
        1 => (1..=3u32).prop_map(Step::CancelAll),
        2 => (1..60u32).prop_map(Step::Withdraw),
        1 => Just(Step::MemberWithdraw),
        3 => (1..=3u32, any::<bool>(), 0..5usize).prop_map(|(member, approve, which)| Step::Vote { member, approve, which }),
        1 => (any::<bool>(), 1..300u32).prop_map(|(allocate, amount)| Step::Earn { allocate, amount }),
        2 => any::<bool>().prop_map(|paid| Step::Finish { paid }),
        2 => (0..6u32, deposit_status()).prop_map(|(txid, status)| Step::Credit { txid, status }),
        1 => (1..200_000u32).prop_map(Step::Wait),
    ]
}

fn deposit_status() -> impl Strategy<Value = DepositStatus> {
    prop_oneof![Just(DepositStatus::Pending), Just(DepositStatus::Success), Just(DepositStatus::Failure)]
}

fn play(stage: &mut Stage, step: &Step) {
    // Refusals are part of the play; they change nothing, which the stage checks.
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
            let pending = stage.state().approvals.pending(countersign::domain::ids::OrganizationId(1));
            let Some(request) = pending.get(*which) else { return };
            let ballots = vec![Ballot { request: request.id, digest: request.digest.clone() }];
            let decision = if *approve { Decision::Approve } else { Decision::Reject };
            let step = Some(stage.step()).filter(|_| *approve);
            let _ = stage.run(&member(*number), Command::Vote { decision, ballots, step, comment: None });
        }
        Step::Finish { paid } => {
            let Some(oldest) = stage.state().withdrawals.pending_custody().first().map(|of| of.id) else { return };
            let result = if *paid { Paid::Settled { txid: None } } else { Paid::Failed { reason: "no".to_owned() } };
            stage.run(&venue(), Command::FinishWithdrawal { withdrawal: oldest, result }).unwrap();
        }
        Step::Credit { txid, status } => {
            let (address, amount) = (pooled(), decimal("0.5"));
            let credit = Credit { asset: asset("BTC"), address, amount, txid: txid.to_string(), status: *status };
            let _ = stage.run(&venue(), Command::CreditDeposit(credit));
        }
        Step::Earn { allocate, amount } => {
            let strategy = countersign::domain::ids::StrategyId(2);
            let amount = decimal(&amount.to_string());
            let earn = Command::Earn { strategy, amount, allocate: *allocate, client_id: None };
            let _ = stage.run(&bot(1), earn);
        }
        Step::Wait(seconds) => stage.tick(u64::from(*seconds) * 1_000_000),
    }
}

/// The one address of the deposit pool.
fn pooled() -> DepositAddress {
    DepositAddress { address: "bc1qpool".to_owned(), tag: None }
}

/// What is held equals what open orders and waiting withdrawals hold (rule 31).
fn holds_agree(state: &State) {
    for account in [AccountId(1), AccountId(2)] {
        for asset in [AssetId(1), AssetId(2), AssetId(3)] {
            let orders = state.orders.open(account, None);
            let of_orders: i64 = orders
                .iter()
                .filter(|order| held_asset(order, &state.reference) == asset)
                .map(|order| order.held.0)
                .sum();
            let withdrawals = state.withdrawals.transfers().recent(account);
            let of_withdrawals: i64 = withdrawals.iter().filter(|of| of.asset == asset).map(|of| of.held.0).sum();
            assert_eq!(state.ledger.held(account, asset), Amount(of_orders + of_withdrawals));
        }
    }
}

/// Every request that votes completed has a vote for it by somebody who did not ask (law 5).
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn money_holds_votes_and_replay_are_sound(steps in prop::collection::vec(step(), 1..60)) {
        let other = Wanted { organization: 2, ..key(ScopeSet::ALL) };
        let mut stage = Stage::new(&[key(ScopeSet::ALL), other.clone(), other], true);
        let pool = Command::AddDepositAddresses { asset: asset("BTC"), addresses: vec![pooled()] };
        stage.run(&venue(), pool).unwrap();
        let own = Command::DepositAddresses { asset: asset("BTC"), method: None, new: false };
        stage.run(&bot(1), own).unwrap();
        for step in &steps {
            play(&mut stage, step);
            holds_agree(stage.state());
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
    }
}
