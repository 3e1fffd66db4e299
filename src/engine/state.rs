//! Everything the engine knows, and the one total function that applies an event to it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::approvals::Approvals;
use super::client_ids::GivenOrder;
use super::command::PlaceOrder;
use super::dead_mans_switch::Switches;
use super::deposits::Deposits;
use super::earn::Earn;
use super::event::Event;
use super::exports::Exports;
use super::freezes::Freezes;
use super::keys::Keys;
use super::ledger::Ledger;
use super::members::Members;
use super::orders::Orders;
use super::policy::Policies;
use super::reference::Reference;
use super::withdrawals::Withdrawals;
use crate::domain::ids::{Seq, ServiceUserId};
use crate::domain::orders::Order;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// The state after event `seq`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The last event applied.
    pub seq: Seq,
    /// Its stamp; never goes back (rule 39).
    pub at: Moment,
    /// Assets and markets.
    pub reference: Reference,
    /// Balances, holds and counter-accounts.
    pub ledger: Ledger,
    /// Open orders and books.
    pub orders: Orders,
    /// Dead man's switches.
    pub switches: Switches,
    /// Earn strategies and allocations.
    pub earn: Earn,
    /// Deposit addresses and deposits.
    pub deposits: Deposits,
    /// Withdrawal addresses and withdrawals.
    pub withdrawals: Withdrawals,
    /// Organizations, Members and their sessions.
    pub members: Members,
    /// Service Users, venue operators and nonces.
    pub keys: Keys,
    /// Policies in force.
    pub policies: Policies,
    /// Freezes in force.
    pub freezes: Freezes,
    /// The approval queue.
    pub approvals: Approvals,
    /// Exports ordered.
    pub exports: Exports,
    /// Why everything but cancels and reads is stopped, if it is (rule 35).
    pub halted: Option<String>,
}

impl State {
    /// Prefetches what the next events will look up in a large book, so that the waits for memory overlap. Changes
    /// nothing; to be called before a few events.
    pub fn prefetch<'a>(&self, events: impl Iterator<Item = &'a Event> + Clone) {
        self.orders.prefetch(events.clone().filter_map(|event| match event {
            Event::OrderCanceled { order, .. } => Some(order.id),
            _ => None,
        }));
        self.orders.prefetch_names(events.filter_map(|event| match event {
            Event::OrderPlaced { order, .. } => Some((order.owner, order.cl_ord_id?)),
            _ => None,
        }));
    }

    /// Whether an order that no event has ended is still open: not if its time is over or its account's switch has
    /// ended it, even if Tick has not run yet (rule 39).
    pub fn is_live(&self, order: &Order, now: Moment) -> bool {
        !order.is_expired(now) && !self.switches.has_ended(order, now)
    }

    /// The order that a client id still stands for (rule 30).
    pub fn find_by_client_id(&self, owner: ServiceUserId, id: ClientOrderId, now: Moment) -> Option<GivenOrder<'_>> {
        self.orders.find_by_client_id(owner, id, now, |order| self.is_live(order, now))
    }

    /// Whether a request repeats a client id, so that it places nothing (rule 30).
    pub fn repeats(&self, owner: ServiceUserId, request: &PlaceOrder, now: Moment) -> bool {
        !request.validate && request.cl_ord_id.is_some_and(|id| self.find_by_client_id(owner, id, now).is_some())
    }

    /// Applies the next event. Total: no refusal, no I/O, no clock. Replay consists of this alone.
    pub fn apply(&mut self, at: Moment, event: &Event) {
        self.seq = self.seq.next();
        self.at = at;
        self.ledger.post(event.postings());
        match event {
            Event::AssetAdded(asset) => self.reference.add_asset(asset),
            Event::MarketAdded(market) => {
                self.reference.add_market(market);
                self.orders.add_market();
            }
            Event::OrganizationCreated(_)
            | Event::MemberChanged(_)
            | Event::CodeSpent { .. }
            | Event::SessionOpened(_)
            | Event::SessionClosed(_) => self.members.apply(event),
            Event::VenueKeyChanged(_) | Event::ServiceUserChanged { .. } | Event::NonceUsed { .. } => {
                self.keys.apply(at, event);
            }
            Event::OrderPlaced { .. }
            | Event::Traded(_)
            | Event::OrderRested(_)
            | Event::OrderCanceled { .. }
            | Event::OrderActivated { .. }
            | Event::OrderAmended { .. }
            | Event::OrderRefilled(_)
            | Event::TriggerMoved(_) => {
                self.orders.apply(at, event, &self.reference, &mut self.ledger);
            }
            Event::MarketStatusSet { market, status } => self.reference.set_status(*market, *status),
            Event::StrategyAdded(_) | Event::Earned { .. } | Event::EarnPaid { .. } => self.earn.apply(event),
            Event::DepositAddressesAdded { .. }
            | Event::DepositAddressAssigned { .. }
            | Event::DepositChanged { .. } => {
                self.deposits.apply(event);
            }
            Event::WithdrawalChanged { .. } | Event::AddressAdded { .. } | Event::AddressRemoved { .. } => {
                self.withdrawals.apply(event, &mut self.ledger);
            }
            Event::PolicySet(policy) => self.policies.set(policy),
            Event::PolicyRemoved { organization, workflow } => self.policies.remove(*organization, *workflow),
            Event::Frozen(freeze) => self.freezes.begin(freeze),
            Event::Unfrozen { organization } => self.freezes.end(*organization),
            Event::SwitchSet { account, at } => self.switches.set(*account, *at),
            Event::OrdersStopped { .. } => {}
            Event::RequestChanged { request, .. } => self.approvals.apply(request),
            Event::ExportChanged { export, change } => self.exports.apply(export, *change),
            Event::Halted { reason } => self.halted = Some(reason.clone()),
            Event::Resumed => self.halted = None,
        }
    }

    /// SHA-256 of the whole state, the same on every machine after the same events.
    pub fn digest(&self) -> [u8; 32] {
        State::digest_of(&postcard::to_allocvec(self).expect("the state is plain data"))
    }

    /// The digest of the state with this serialized form.
    pub fn digest_of(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }
}
