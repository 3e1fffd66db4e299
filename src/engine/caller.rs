//! Who a command comes from, as the engine knows it at this sequence number.

use crate::access::scope::ScopeSet;
use crate::domain::ids::{AccountId, MemberId, OrganizationId, ServiceUserId};

/// A Service User whose key is good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCaller {
    /// Its id.
    pub id: ServiceUserId,
    /// Its Organization.
    pub organization: OrganizationId,
    /// The account it acts on.
    pub account: AccountId,
    /// Its scopes.
    pub scopes: ScopeSet,
}

/// A Member who may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberCaller {
    /// Its id.
    pub id: MemberId,
    /// The Member's Organization.
    pub organization: OrganizationId,
    /// Its main account.
    pub account: AccountId,
}

/// A caller that passed the checks of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular.
    Public,
    /// A Service User.
    Service(ServiceCaller),
    /// A Member.
    Member(MemberCaller),
    /// A venue operator.
    Venue,
    /// The server itself.
    Server,
}
