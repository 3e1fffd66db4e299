//! Freezes: one Member stops withdrawals, or everything, at once; only votes end it (rule 27).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::caller::MemberCaller;
use super::event::Event;
use super::fields::check_comment;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::trading;
use super::transition::Transition;
use crate::domain::ids::{MemberId, OrganizationId, ServiceUserId};
use crate::domain::named::named;
use crate::domain::orders::CancelReason;
use crate::domain::time::Moment;

named! {
    /// What a freeze stops.
    #[derive(PartialOrd, Ord)]
    pub enum FreezeScope {
        /// Withdrawals: none is accepted, approved or released.
        Withdrawals = "withdrawals",
        /// Keys as well: they are refused, their sockets closed, their orders canceled.
        All = "all",
    }
}

/// A freeze of an Organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The Organization.
    pub organization: OrganizationId,
    /// What it stops.
    pub scope: FreezeScope,
    /// Why.
    pub reason: String,
    /// Who froze; if it was widened, who widened it.
    pub by: MemberId,
    /// When.
    pub at: Moment,
}

/// The freezes in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Freezes {
    by_organization: BTreeMap<OrganizationId, Freeze>,
    /// Who froze, and who widened that freeze since.
    members: BTreeMap<OrganizationId, Vec<MemberId>>,
}

impl Freezes {
    /// Folds a freeze in.
    pub fn begin(&mut self, freeze: &Freeze) {
        self.by_organization.insert(freeze.organization, freeze.clone());
        self.members.entry(freeze.organization).or_default().push(freeze.by);
    }

    /// Ends a freeze.
    pub fn end(&mut self, organization: OrganizationId) {
        self.by_organization.remove(&organization);
        self.members.remove(&organization);
    }

    /// The freeze of an Organization.
    pub fn get(&self, organization: OrganizationId) -> Option<&Freeze> {
        self.by_organization.get(&organization)
    }

    /// The Members who froze an Organization or widened its freeze; none if there is no freeze.
    pub fn members(&self, organization: OrganizationId) -> &[MemberId] {
        self.members.get(&organization).map_or(&[], Vec::as_slice)
    }

    /// Refuses withdrawals of a frozen Organization.
    pub fn admit_withdrawal(&self, organization: OrganizationId) -> Result<(), Reject> {
        match self.get(organization) {
            Some(_) => {
                let advice = "withdrawals are stopped; try again once Members have ended the freeze";
                Err(Reject::field(Code::Frozen, "organization", advice))
            }
            None => Ok(()),
        }
    }

    /// Refuses the keys of an Organization that is frozen as a whole.
    pub fn admit_key(&self, organization: OrganizationId) -> Result<(), Reject> {
        match self.get(organization) {
            Some(Freeze { scope: FreezeScope::All, .. }) => {
                Err(Reject::field(Code::PermissionDenied, "api_key", "the Organization is frozen"))
            }
            _ => Ok(()),
        }
    }
}

/// `freeze`: at once and without a code, for it only stops money. A freeze of at least this scope stays as it is.
pub fn freeze(t: &mut Transition<'_>, caller: MemberCaller, scope: FreezeScope, reason: &str) -> Result<Reply, Reject> {
    check_comment("reason", Some(reason))?;
    let organization = caller.organization;
    if let Some(present) = t.state().freezes.get(organization).filter(|present| present.scope >= scope) {
        return Ok(Reply::Frozen(Box::new(present.clone())));
    }
    let freeze = Freeze { organization, scope, reason: reason.to_owned(), by: caller.id, at: t.now() };
    t.emit(Event::Frozen(freeze.clone()));
    if scope == FreezeScope::All {
        for account in t.state().members.organization(organization).accounts.clone() {
            trading::cancel_account(t, account, CancelReason::ByMember);
        }
    }
    Ok(Reply::Frozen(Box::new(freeze)))
}

/// `cancel_orders`: cancels the open orders of a Service User, even those kept when it was removed (rule 9).
pub fn cancel_orders(t: &mut Transition<'_>, caller: MemberCaller, id: ServiceUserId) -> Result<Reply, Reject> {
    let user = t.state().keys.find_ever(caller.organization, id)?;
    let (organization, account) = (user.organization, user.account);
    let canceled = trading::cancel_owned_by(t, account, id, CancelReason::ByMember);
    if !canceled.is_empty() {
        t.emit(Event::OrdersStopped { organization, service_user: id, count: canceled.len() as u64 });
    }
    Ok(Reply::Canceled(canceled))
}
