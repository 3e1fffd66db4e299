//! Who may do what: scopes, keys, principals, the table of operations and [`permit`].
//!
//! Pure. The engine calls [`permit`] for every command and query. The gateway looks up what is public, and calls it to
//! check whether the channels of an open socket are still allowed after a key has changed.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod key;
pub mod operation;
pub mod principal;
mod row;
pub mod scope;
pub mod tier;
pub mod workflow;

use operation::{MemberRight, Operation, ServiceRight};
use scope::{Scope, ScopeSet};
use workflow::{Permission, Permissions};

/// What a principal is granted at one moment, as far as [`permit`] needs it.
#[derive(Clone, Copy, Debug)]
pub enum Rights<'a> {
    /// A socket that no credential was proved for.
    Public,
    /// A Service User's key and its scopes.
    ServiceUser(ScopeSet),
    /// A Member, the permissions and whether KYC is verified.
    Member {
        /// Permissions by workflow.
        permissions: &'a Permissions,
        /// Whether the KYC status is `verified`.
        verified: bool,
    },
    /// A venue operator.
    Venue,
}

/// Whether `rights` permit `operation`. The engine adds the checks that depend on the object itself, such as the
/// workflow of the request that a vote names.
#[must_use]
pub fn permit(rights: Rights<'_>, operation: Operation) -> bool {
    let row = operation.row();
    match rights {
        Rights::Public => row.public,
        Rights::ServiceUser(scopes) => match row.service_user {
            ServiceRight::No => false,
            ServiceRight::Any => true,
            ServiceRight::Scopes(any) => any.iter().any(|scope| scopes.holds(*scope)),
        },
        // Without verified KYC a Member may view and not act (rule 14).
        Rights::Member { permissions, verified } => match row.member {
            MemberRight::No => false,
            MemberRight::Any => true,
            MemberRight::Acting => verified,
            MemberRight::HoldsAny(workflows, permission) => {
                verified && workflows.iter().any(|workflow| permissions.hold(*workflow, permission))
            }
            MemberRight::Holds(workflow, permission) => {
                permissions.hold(workflow, permission) && (verified || permission == Permission::View)
            }
        },
        Rights::Venue => row.venue,
    }
}

/// Whether the scopes of a key that may follow `channel` also permit its past: the ledger behind `balances`, past fills
/// and closed orders behind `executions` (rule 12).
#[must_use]
pub fn permit_past(scopes: ScopeSet, channel: Operation) -> bool {
    match channel {
        Operation::Balances => scopes.holds(Scope::QueryLedger),
        Operation::Executions => scopes.holds(Scope::QueryClosedOrders),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::workflow::Workflow;

    #[test]
    fn a_service_user_with_every_scope_never_governs() {
        let all = Rights::ServiceUser(ScopeSet::ALL);
        let of_members = Operation::ALL.iter().filter(|operation| {
            let row = operation.row();
            !row.public && row.member != MemberRight::No
        });
        let shared: Vec<Operation> = of_members.copied().filter(|operation| permit(all, *operation)).collect();
        assert_eq!(shared, [Operation::Balances, Operation::Ledger, Operation::Withdrawals]);
    }

    #[test]
    fn one_of_the_listed_scopes_suffices() {
        let only = |scope| Rights::ServiceUser(ScopeSet::of(&[scope]));
        assert!(permit(only(Scope::Query), Operation::WithdrawStatus));
        assert!(permit(only(Scope::Withdraw), Operation::WithdrawStatus));
        assert!(!permit(only(Scope::Deposit), Operation::WithdrawStatus));
        assert!(!permit(Rights::Public, Operation::WithdrawStatus));
    }

    #[test]
    fn a_member_without_kyc_sees_but_does_not_act() {
        let permissions = Permissions::all();
        let unverified = Rights::Member { permissions: &permissions, verified: false };
        assert!(permit(unverified, Operation::Policies));
        assert!(!permit(unverified, Operation::Approve));
        assert!(!permit(unverified, Operation::SetPolicy));
        let mut viewer = Permissions::none();
        viewer.grant(Workflow::ManagePolicies, Permission::View);
        assert!(!permit(Rights::Member { permissions: &viewer, verified: true }, Operation::SetPolicy));
    }
}
