//! The keys of Service Users according to events: whether an acting key is valid at that moment and has the scope (laws
//! 3 and 6), and which Members manage it, so that their votes on its requests do not count (law 5).

use std::collections::{BTreeMap, BTreeSet};

use countersign::access::principal::Actor;
use countersign::access::scope::Scope;
use countersign::domain::ids::{MemberId, OrganizationId, ServiceUserId};
use countersign::engine::approvals::{Decision, Initiator, Request, RequestState, Vote};
use countersign::engine::event::Event;
use countersign::engine::freezes::FreezeScope;
use countersign::engine::keys::KeyRef;
use countersign::engine::service_users::{KeyStatus, ServiceUser, ServiceUserChange};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::keys::KeyChange;
use countersign::sequencer::Stamped;

use super::known::{asking_member, is_done, new_votes};

#[derive(Default)]
pub struct Keys {
    records: BTreeMap<ServiceUserId, ServiceUser>,
    /// Who created, rotated or claimed a key (rule 22).
    managers: BTreeMap<ServiceUserId, BTreeSet<MemberId>>,
    /// Who edited it last.
    editors: BTreeMap<ServiceUserId, MemberId>,
    /// The key that was made last. The request that made it follows immediately.
    made: Option<ServiceUserId>,
    /// Organizations whose keys are refused (rule 27).
    frozen: BTreeSet<OrganizationId>,
}

impl Keys {
    pub fn see(&mut self, stamped: &Stamped) {
        if let Actor::ServiceUser(id) = stamped.by {
            self.may(id, stamped);
        }
        match &stamped.event {
            Event::NonceUsed { key: KeyRef::ServiceUser(id), credential, .. } => {
                let user = self.good(*id, stamped);
                let retires = user.retiring.as_ref().filter(|of| of.credential == *credential).map(|of| of.until);
                let serves = *credential == user.credential || retires.is_some_and(|until| stamped.at < until);
                assert!(serves, "law 6: a secret of before: {stamped:?}");
            }
            Event::ServiceUserChanged { service_user, change } => {
                if *change == ServiceUserChange::Created {
                    self.made = Some(service_user.id);
                }
                if let (ServiceUserChange::Claimed, Actor::Member(claimer)) = (change, stamped.by) {
                    self.manages(claimer, Some(service_user.id));
                }
                self.records.insert(service_user.id, (**service_user).clone());
            }
            Event::RequestChanged { request, .. } => self.carried_out(request),
            Event::Frozen(freeze) if freeze.scope == FreezeScope::All => drop(self.frozen.insert(freeze.organization)),
            Event::Unfrozen { organization } => drop(self.frozen.remove(organization)),
            _ => {}
        }
    }

    /// The record of a key that is valid now, even if no tick has run since.
    fn good(&self, id: ServiceUserId, stamped: &Stamped) -> &ServiceUser {
        let user = self.records.get(&id).unwrap_or_else(|| panic!("law 6: {id} was never told of: {stamped:?}"));
        assert_eq!(user.status, KeyStatus::Active, "law 6: {id} acts: {stamped:?}");
        let expired = user.settings.expires_at.is_some_and(|end| end <= stamped.at);
        assert!(!expired, "law 6: {id} is past its time: {stamped:?}");
        assert!(user.settings.allow_websocket, "law 6: {id} may open no socket: {stamped:?}");
        assert!(!self.frozen.contains(&user.organization), "law 6: everything is frozen: {stamped:?}");
        user
    }

    fn may(&self, id: ServiceUserId, stamped: &Stamped) {
        let user = self.good(id, stamped);
        let needed = match &stamped.event {
            Event::OrderPlaced { order, .. } if order.owner == id => Scope::ModifyOrders,
            Event::WithdrawalChanged { .. } => Scope::Withdraw,
            Event::Earned { .. } => Scope::Earn,
            Event::DepositAddressAssigned { .. } => Scope::Deposit,
            Event::ExportChanged { .. } => Scope::ExportData,
            _ => return,
        };
        assert!(user.scopes.holds(needed), "law 3: {id} has no scope for it: {stamped:?}");
    }

    /// After a change of a key, the Member who asked for it counts as its manager or editor.
    fn carried_out(&mut self, request: &Request) {
        let (true, Change::Keys(change), Some(asker)) =
            (is_done(request), &request.change, asking_member(&request.initiator))
        else {
            return;
        };
        match change {
            KeyChange::Create { .. } => self.manages(asker, self.made),
            KeyChange::Edit { service_user, .. } => drop(self.editors.insert(*service_user, asker)),
            KeyChange::Rotate { service_user, .. } => self.manages(asker, Some(*service_user)),
            KeyChange::Remove { .. } => {}
        }
    }

    /// Rule 9: a key's request waits no longer than the key is valid and has the scope for it.
    pub fn let_wait(&self, request: &Request) {
        let Initiator::ServiceUser(key, _) = request.initiator else { return };
        let ServiceUser { status, scopes, .. } = &self.records[&key];
        let waits = *status == KeyStatus::Active && scopes.holds(Scope::Withdraw);
        assert!(waits, "rule 9: {status:?} with {scopes:?}: {request:?}");
    }

    /// Whether a request ends because its key, which is still valid, has lost the scope.
    pub fn lost_scope(&self, event: &Event) -> bool {
        let Event::RequestChanged { request, .. } = event else { return false };
        let Initiator::ServiceUser(key, _) = request.initiator else { return false };
        let ServiceUser { status, scopes, .. } = &self.records[&key];
        request.state == RequestState::Canceled && *status == KeyStatus::Active && !scopes.holds(Scope::Withdraw)
    }

    fn manages(&mut self, member: MemberId, key: Option<ServiceUserId>) {
        self.managers.entry(key.expect("a key was made")).or_default().insert(member);
    }

    /// Law 5 for a key's requests: a new vote, and the votes that complete the request, come from Members who do not
    /// manage the key, while the policy requires that.
    pub fn judge(&self, now: &Request, before: Option<&Request>) {
        let (Initiator::ServiceUser(key, _), Some(policy)) = (&now.initiator, &now.policy) else { return };
        if !policy.exclude_key_managers {
            return;
        }
        let editor = self.editors.get(key);
        let managers: BTreeSet<&MemberId> = self.managers.get(key).into_iter().flatten().chain(editor).collect();
        let manages = |vote: &&Vote| managers.contains(&vote.member);
        let wrong = new_votes(now, before).find(manages);
        assert_eq!(wrong, None, "law 5: of a Member who has {key} in hand: {now:?}");
        if now.state == RequestState::Approved {
            let counts = |vote: &&Vote| !vote.struck && vote.decision == Decision::Approve && !manages(vote);
            let votes = now.votes.iter().filter(counts).count();
            assert!(votes >= policy.quorum as usize, "law 5: too few votes without those of {managers:?}: {now:?}");
        }
    }
}
