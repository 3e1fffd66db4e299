//! What the simulated clients know: only from events that were shown, as for real clients.

use std::collections::{BTreeMap, BTreeSet};

use countersign::domain::ids::*;
use countersign::domain::orders::OrderStatus;
use countersign::domain::text::{AssetCode, Symbol};
use countersign::engine::approvals::{Initiator, Request, RequestState, Vote};
use countersign::engine::deposits::DepositAddress;
use countersign::engine::event::Event;
use countersign::engine::exports::ExportChange;
use countersign::engine::withdrawals::WithdrawalStatus;
use countersign::sequencer::Stamped;

/// Orders that clients remember; some of them have ended.
const ORDERS_KEPT: usize = 256;

#[derive(Default)]
pub struct Known {
    pub assets: Vec<AssetCode>,
    pub markets: Vec<Symbol>,
    pub halted: bool,
    /// The number of Earn strategies.
    pub strategies: u16,
    pub orders: Vec<(OrderId, AccountId)>,
    /// Pending requests with the digest that approvers are shown.
    pub requests: BTreeMap<RequestId, (OrganizationId, String)>,
    /// Keys that asked for one of them.
    pub askers: BTreeMap<RequestId, ServiceUserId>,
    /// Withdrawals that were not settled.
    pub withdrawals: BTreeMap<WithdrawalId, (AccountId, WithdrawalStatus)>,
    /// Requests that made a key whose secret waits, and who may claim it.
    pub claims: Vec<(RequestId, MemberId)>,
    /// Service Users by number: the version of their credential, and their account.
    pub keys: Vec<(u32, AccountId)>,
    /// Members by number: their Organization.
    pub members: Vec<OrganizationId>,
    pub deposit_addresses: Vec<(AssetId, DepositAddress)>,
    pub exports: BTreeSet<ExportId>,
    pub invitations: Vec<[u8; 32]>,
    pub cookies: Vec<[u8; 32]>,
    /// The session that each Member opened last, if it was not closed.
    pub sessions: BTreeMap<MemberId, [u8; 32]>,
}

impl Known {
    pub fn learn(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::AssetAdded(asset) => self.assets.push(asset.code),
            Event::MarketAdded(market) => self.markets.push(market.symbol),
            Event::StrategyAdded(_) => self.strategies += 1,
            Event::Halted { .. } => self.halted = true,
            Event::Resumed => self.halted = false,
            Event::OrderPlaced { order, .. } => {
                if self.orders.len() == ORDERS_KEPT {
                    self.orders.swap_remove((order.id.0 % ORDERS_KEPT as u64) as usize);
                }
                self.orders.push((order.id, order.account));
            }
            Event::OrderCanceled { order, .. } => self.forget(order.id),
            Event::Traded(trade) => {
                let filled = [&trade.maker.order, &trade.taker.order].map(|of| (of.status, of.id));
                filled.iter().filter(|(status, _)| *status == OrderStatus::Filled).for_each(|(_, id)| self.forget(*id));
            }
            Event::MemberChanged(member) => {
                if member.id.index() == self.members.len() {
                    self.members.push(member.organization);
                }
                self.invitations.extend(member.invitation.iter().map(|invitation| invitation.token_hash));
                let kept = self.invitations.len().saturating_sub(8);
                self.invitations.drain(..kept);
            }
            Event::ServiceUserChanged { service_user: of, .. } => {
                let key = (of.credential, of.account);
                match self.keys.get_mut(of.id.index()) {
                    Some(old) => *old = key,
                    None => self.keys.push(key),
                }
                self.claims.extend(of.claim.iter().map(|claim| (claim.request, claim.member)));
                let kept = self.claims.len().saturating_sub(8);
                self.claims.drain(..kept);
            }
            Event::SessionOpened(session) => {
                self.cookies.push(session.cookie_hash);
                self.sessions.insert(session.member, session.cookie_hash);
                let kept = self.cookies.len().saturating_sub(8);
                self.cookies.drain(..kept);
            }
            Event::SessionClosed(session) => {
                self.sessions.retain(|_, open| *open != session.cookie_hash);
            }
            Event::DepositAddressAssigned { asset, address, .. } => {
                self.deposit_addresses.push((*asset, address.clone()));
            }
            Event::ExportChanged { export, change } => match change {
                ExportChange::Added | ExportChange::Made => drop(self.exports.insert(export.id)),
                ExportChange::Removed => drop(self.exports.remove(&export.id)),
            },
            Event::WithdrawalChanged { withdrawal, .. } => match withdrawal.status {
                WithdrawalStatus::Initial | WithdrawalStatus::Pending => {
                    self.withdrawals.insert(withdrawal.id, (withdrawal.account, withdrawal.status));
                }
                _ => drop(self.withdrawals.remove(&withdrawal.id)),
            },
            Event::RequestChanged { request, .. } => self.request(request),
            _ => {}
        }
    }

    fn request(&mut self, request: &Request) {
        self.requests.remove(&request.id);
        self.askers.remove(&request.id);
        if request.state != RequestState::Pending {
            return;
        }
        self.requests.insert(request.id, (request.organization, request.digest.clone()));
        if let Initiator::ServiceUser(asker, _) = request.initiator {
            self.askers.insert(request.id, asker);
        }
    }

    fn forget(&mut self, id: OrderId) {
        self.orders.retain(|(of, _)| *of != id);
    }
}

/// Who asked, when it was a Member.
pub fn asking_member(initiator: &Initiator) -> Option<MemberId> {
    match initiator {
        Initiator::Member(id, _) => Some(*id),
        Initiator::ServiceUser(..) => None,
    }
}

/// Whether it was carried out.
pub fn is_done(request: &Request) -> bool {
    matches!(request.state, RequestState::Approved | RequestState::Executed)
}

/// Whether a request has this vote, struck or not.
pub fn has_vote(request: &Request, vote: &Vote) -> bool {
    request.votes.iter().any(|other| (other.member, other.at) == (vote.member, vote.at))
}

/// The votes that it did not have before; one may replace an earlier one.
pub fn new_votes<'a>(now: &'a Request, before: Option<&'a Request>) -> impl Iterator<Item = &'a Vote> {
    now.votes.iter().filter(move |vote| !before.is_some_and(|before| has_vote(before, vote)))
}
