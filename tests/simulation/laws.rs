//! The laws of the design checked on everything that was shown, with books of their own: the engine is not asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use countersign::access::principal::Actor;
use countersign::domain::ids::*;
use countersign::domain::money::Amount;
use countersign::domain::orders::Order;
use countersign::domain::text::ClientId;
use countersign::domain::time::Moment;
use countersign::engine::approvals::{Decision, Initiator, Request, RequestState};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Wallet};
use countersign::engine::members::CodePurpose;
use countersign::engine::orders::held_asset;
use countersign::engine::state::State;
use countersign::engine::withdrawals::{Withdrawal, WithdrawalStatus};
use countersign::sequencer::Stamped;

use super::keys::Keys;
use super::known::{asking_member, has_vote, is_done, new_votes};
use super::money::Money;
use super::policies::Policies;

/// Somebody's own id for something: it denotes one thing, for ever (rules 30, 37).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Withdrawal(ServiceUserId, ClientId),
    Earn(ServiceUserId, ClientId),
    Request(MemberId, ClientId),
    /// By the custody's id of the transaction.
    Deposit(AssetId, String),
    Reward(ClientId),
}

#[derive(Default)]
pub struct Laws {
    seq: u64,
    /// Wallets and counter-accounts.
    balances: BTreeMap<(Party, AssetId), i64>,
    held: BTreeMap<(AccountId, AssetId), i64>,
    /// Whose holds the present event has changed.
    touched: Vec<(AccountId, AssetId)>,
    orders: HashMap<OrderId, (AccountId, AssetId, i64)>,
    withdrawals: BTreeMap<WithdrawalId, Withdrawal>,
    requests: BTreeMap<RequestId, Request>,
    pub keys: Keys,
    members: BTreeMap<MemberId, OrganizationId>,
    /// The step of the last code that each Member spent.
    codes: BTreeMap<(MemberId, CodePurpose), u64>,
    halted: bool,
    /// Organizations whose withdrawals are stopped (rule 27).
    frozen: BTreeSet<OrganizationId>,
    policies: Policies,
    records: Money,
    /// Released to custody, while the request that approves them was not shown yet.
    released: BTreeSet<WithdrawalId>,
    named: BTreeMap<Name, u64>,
}

impl Laws {
    /// Checks the next event. `state` is only used for a market's assets.
    pub fn see(&mut self, stamped: &Stamped, state: &State) {
        self.seq += 1;
        assert_eq!(stamped.seq.0, self.seq, "law 8: a gap or a repeat in what was shown");
        self.money(&stamped.event);
        self.holds(&stamped.event, state);
        self.covers(&stamped.event);
        let earlier = match &stamped.event {
            Event::WithdrawalChanged { withdrawal, .. } => self.withdrawals.get(&withdrawal.id),
            _ => None,
        };
        self.records.see(stamped, earlier);
        service_users_never_govern(stamped);
        self.keys.see(stamped);
        self.policies.see(&stamped.event);
        assert!(!self.halted || !stops_at_halt(&stamped.event), "rule 35: everything stands still: {stamped:?}");
        match &stamped.event {
            Event::Traded(trade) => {
                let sides = [&trade.maker, &trade.taker].map(|fill| fill.order.organization);
                assert_ne!(sides[0], sides[1], "rule 7: an Organization trades with itself: {trade:?}");
            }
            Event::RequestChanged { request, .. } => self.request(request, stamped.at),
            Event::WithdrawalChanged { withdrawal, .. } => self.withdrawal(withdrawal),
            Event::DepositChanged { deposit, .. } => {
                self.once(Name::Deposit(deposit.asset, deposit.txid.clone()), deposit.id.0);
            }
            Event::EarnPaid { payout, .. } => self.once(Name::Reward(payout.client_id), payout.id.0),
            Event::Earned { operation: of, .. } => {
                // A reward carries the id of its payout, which many accounts share.
                if let (Some(asker), Some(id)) = (of.service_user, of.client_id) {
                    self.once(Name::Earn(asker, id), of.id.0);
                }
            }
            Event::MemberChanged(member) => {
                self.members.insert(member.id, member.organization);
                // Only the record shows the code that confirms an invitation.
                let last = self.codes.entry((member.id, CodePurpose::SignIn)).or_default();
                *last = (*last).max(member.sign_in_step);
            }
            Event::CodeSpent { member, purpose, step } => {
                let last = self.codes.insert((*member, *purpose), *step);
                assert!(last.is_none_or(|last| last < *step), "rule 15: a code of before {last:?}: {stamped:?}");
            }
            Event::Frozen(freeze) => drop(self.frozen.insert(freeze.organization)),
            Event::Unfrozen { organization } => drop(self.frozen.remove(organization)),
            Event::Halted { reason } => {
                assert!(matches!(stamped.by, Actor::Venue(_)), "law 2: {reason}");
                self.halted = true;
            }
            Event::Resumed => self.halted = false,
            _ => {}
        }
    }

    fn once(&mut self, name: Name, id: u64) {
        let first = *self.named.entry(name.clone()).or_insert(id);
        assert_eq!(first, id, "{name:?} took effect twice");
    }

    fn money(&mut self, event: &Event) {
        let postings = event.postings();
        let mut sums = BTreeMap::<AssetId, i128>::new();
        for posting in postings {
            *sums.entry(posting.asset).or_default() += i128::from(posting.delta.0);
            *self.balances.entry((posting.party, posting.asset)).or_default() += posting.delta.0;
        }
        assert!(sums.values().all(|sum| *sum == 0), "law 2: {event:?} does not sum to zero");
        for posting in postings {
            let Party::Account(account, _) = posting.party else { continue };
            let of =
                |wallet| self.balances.get(&(Party::Account(account, wallet), posting.asset)).copied().unwrap_or(0);
            let wallets = [Wallet::Main, Wallet::Flex, Wallet::Bonded].map(of);
            assert!(wallets.iter().all(|balance| *balance >= 0), "law 2: {event:?} overdraws {account}");
        }
    }

    fn holds(&mut self, event: &Event, state: &State) {
        match event {
            Event::OrderPlaced { order, .. }
            | Event::OrderCanceled { order, .. }
            | Event::OrderActivated { order, .. }
            | Event::OrderAmended { order, .. }
            | Event::OrderRefilled(order)
            | Event::TriggerMoved(order) => self.order(order, state),
            Event::Traded(trade) => {
                self.order(&trade.maker.order, state);
                self.order(&trade.taker.order, state);
            }
            Event::WithdrawalChanged { withdrawal: of, .. } => {
                let before = self.withdrawals.get(&of.id).map_or(0, |before| before.held.0);
                self.hold(of.account, of.asset, of.held.0 - before);
            }
            _ => {}
        }
    }

    /// What an event holds or moves is there: holds are within the spot wallet after each one.
    fn covers(&mut self, event: &Event) {
        let moved = event.postings().iter().filter_map(|posting| match posting.party {
            Party::Account(account, _) => Some((account, posting.asset)),
            _ => None,
        });
        for (account, asset) in self.touched.drain(..).chain(moved) {
            let held = self.held.get(&(account, asset)).copied().unwrap_or(0);
            let spot = self.balances.get(&(Party::Account(account, Wallet::Main), asset)).copied().unwrap_or(0);
            assert!((0..=spot).contains(&held), "rule 31: {account} has {held} held of {spot} {asset}: {event:?}");
        }
    }

    fn order(&mut self, order: &Order, state: &State) {
        assert!(order.held.0 >= 0 && order.filled <= order.qty, "law 2: {order:?}");
        assert!(order.is_open() || order.held.0 == 0, "rule 31: a closed order holds: {order:?}");
        let asset = held_asset(order, &state.reference);
        let before = match order.is_open() {
            true => self.orders.insert(order.id, (order.account, asset, order.held.0)),
            false => self.orders.remove(&order.id),
        };
        if let Some((account, asset, held)) = before {
            self.hold(account, asset, -held);
        }
        self.hold(order.account, asset, order.held.0);
    }

    fn hold(&mut self, account: AccountId, asset: AssetId, delta: i64) {
        *self.held.entry((account, asset)).or_default() += delta;
        self.touched.push((account, asset));
    }

    fn request(&mut self, now: &Request, at: Moment) {
        let before = self.requests.insert(now.id, now.clone());
        let asker = asking_member(&now.initiator);
        if let (Some(asker), Some(id)) = (asker, now.client_id) {
            self.once(Name::Request(asker, id), now.id.0);
        }
        let mut hands = now.votes.iter().map(|vote| vote.member).chain(asker);
        let foreign = hands.find(|member| self.members[member] != now.organization);
        assert_eq!(foreign, None, "a Member of another Organization has a hand in it: {now:?}");
        let mut cast = new_votes(now, before.as_ref());
        let done = is_done(now);
        if done || cast.any(|vote| vote.decision == Decision::Approve) {
            assert!(at < now.expires_at, "rule 39: its time was over: {now:?}");
            let frozen = now.withdrawal.is_some() && self.frozen.contains(&now.organization);
            assert!(!frozen && !self.halted, "rules 27, 35: it is to stand still: {now:?}");
        }
        self.policies.judge(now, before.as_ref(), at, self.withdrawals.values());
        let own = now.votes.iter().find(|vote| Some(vote.member) == asker);
        assert!(own.is_none(), "law 5: {asker:?} voted on what they asked for: {now:?}");
        self.keys.judge(now, before.as_ref());
        let voters: BTreeSet<_> = now.votes.iter().filter(|vote| !vote.struck).map(|vote| vote.member).collect();
        assert_eq!(voters.len(), now.votes.iter().filter(|vote| !vote.struck).count(), "one vote each: {now:?}");
        if let Some(before) = &before {
            let still = before.state == RequestState::Pending || *before == *now;
            assert!(still, "what has ended is decided again: {before:?}");
            let gone = before.votes.iter().find(|old| {
                let again = new_votes(now, Some(before)).any(|vote| vote.member == old.member);
                let renewed = again && !old.struck && old.decision == Decision::Approve;
                !(renewed || has_vote(now, old))
            });
            assert_eq!(gone, None, "a vote is gone, and not for one given anew: {now:?}");
        }
        let votes = now.votes.iter().filter(|vote| !vote.struck && vote.decision == Decision::Approve).count();
        match (now.state, &now.policy) {
            (RequestState::Approved, Some(policy)) => {
                assert!(policy.quorum >= 1 && votes >= policy.quorum as usize, "rule 18: too few votes: {now:?}");
            }
            (RequestState::Approved, None) => panic!("rule 19: nobody was to vote on {now:?}"),
            (RequestState::Executed, Some(policy)) => {
                assert!(asker.is_some() && policy.allow_execute, "rule 19: Execute was not open for {now:?}");
            }
            _ => {}
        }
        if let Some(id) = now.withdrawal.filter(|_| done) {
            assert!(self.released.remove(&id), "law 7: {now:?} is done, and its withdrawal is where it was");
        }
    }

    /// The end of a batch, and so of every command in it.
    pub fn end(&self) {
        assert!(self.released.is_empty(), "law 7: {:?} were released without their quorum", self.released);
        self.records.end();
        let pending = self.requests.values().filter(|request| request.state == RequestState::Pending);
        pending.for_each(|request| self.keys.let_wait(request));
    }

    fn withdrawal(&mut self, now: &Withdrawal) {
        let before = self.withdrawals.insert(now.id, now.clone()).map(|before| before.status);
        use WithdrawalStatus::{Canceled, Initial, Pending, Returned, Success};
        let goes_on = matches!(
            (before, now.status),
            (None | Some(Initial), Initial | Canceled | Pending) | (Some(Pending), Success | Returned)
        );
        assert!(goes_on, "a withdrawal goes from {before:?} to {:?}", now.status);
        let frozen = self.frozen.contains(&now.organization) && matches!(now.status, Initial | Pending);
        assert!(!frozen, "rule 27: withdrawals are frozen: {now:?}");
        if now.status == Pending {
            self.released.insert(now.id);
        }
        if let (Some(asker), Some(id)) = (now.service_user, now.client_id) {
            self.once(Name::Withdrawal(asker, id), now.id.0);
        }
    }

    /// Compares the accounts kept here with the engine's, asset by asset.
    pub fn compare(&self, state: &State) {
        state.ledger.check().unwrap_or_else(|why| panic!("law 2: {why}"));
        for ((party, asset), balance) in &self.balances {
            let there = match *party {
                Party::Account(account, wallet) => state.ledger.balance(account, *asset, wallet),
                counter => state.ledger.counter(counter, *asset),
            };
            assert_eq!(there, Amount(*balance), "law 2: {party:?} has another balance of {asset} than it was told");
        }
        for ((account, asset), held) in &self.held {
            assert_eq!(
                state.ledger.held(*account, *asset),
                Amount(*held),
                "rule 31: the holds of {account} in {asset}"
            );
        }
        self.records.compare(&self.balances, state);
    }
}

/// Whether it is an order, a trade, an Earn step, or a withdrawal created or released; votes are checked singly.
fn stops_at_halt(event: &Event) -> bool {
    match event {
        Event::OrderPlaced { .. }
        | Event::OrderActivated { .. }
        | Event::OrderAmended { .. }
        | Event::Traded(_)
        | Event::Earned { .. }
        | Event::EarnPaid { .. } => true,
        Event::WithdrawalChanged { withdrawal, .. } => {
            matches!(withdrawal.status, WithdrawalStatus::Initial | WithdrawalStatus::Pending)
        }
        _ => false,
    }
}

/// Law 7: a key's commands change nothing that Members decide, and cast no vote.
fn service_users_never_govern(stamped: &Stamped) {
    let Actor::ServiceUser(by) = stamped.by else { return };
    let its_own = match &stamped.event {
        Event::RequestChanged { request, .. } => {
            let asked = matches!(request.initiator, Initiator::ServiceUser(id, _) if id == by);
            // Any key of the account may cancel a withdrawal that a key asked for.
            let withdrawn = request.state == RequestState::Canceled && request.withdrawal.is_some();
            let at_once = request.state == RequestState::Executed && request.policy.is_none();
            let new = request.state == RequestState::Pending && request.votes.is_empty();
            withdrawn || (asked && (new || at_once))
        }
        Event::PolicySet(_)
        | Event::PolicyRemoved { .. }
        | Event::AddressAdded { .. }
        | Event::AddressRemoved { .. }
        | Event::MemberChanged(_)
        | Event::ServiceUserChanged { .. }
        | Event::CodeSpent { .. }
        | Event::Frozen(_)
        | Event::Unfrozen { .. } => false,
        _ => true,
    };
    assert!(its_own, "law 7: {by} governs: {stamped:?}");
}
