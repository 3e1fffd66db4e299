//! Who may do what: scopes, keys, principals, the table of operations and [`permit`].
//!
//! Pure, and used twice: by the gateway for cheap refusals, by the engine for the answer that counts.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod key;
pub mod operation;
pub mod principal;
mod row;
pub mod scope;
pub mod tier;
pub mod workflow;

use operation::{MemberRight, Operation, ServiceRight};
use scope::ScopeSet;
use workflow::{Permission, Permissions};

/// What a principal holds at one moment, as far as [`permit`] looks.
#[derive(Clone, Copy, Debug)]
pub enum Rights<'a> {
    /// Nobody in particular: a socket that no credential has bound.
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

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The operation is not for this kind of principal.
    Kind,
    /// A scope or permission is missing.
    Missing,
    /// The Member's KYC is not verified (rule 14).
    Kyc,
}

/// Whether `rights` admit `operation`. The engine adds what depends on the thing itself, such as the
/// workflow of the request that a vote names.
pub fn permit(rights: Rights<'_>, operation: Operation) -> Result<(), Denied> {
    let row = operation.row();
    match rights {
        Rights::Public => row.public.then_some(()).ok_or(Denied::Kind),
        Rights::ServiceUser(scopes) => match row.service_user {
            ServiceRight::No => Err(Denied::Kind),
            ServiceRight::Any => Ok(()),
            ServiceRight::Scopes(any) => {
                any.iter().any(|scope| scopes.holds(*scope)).then_some(()).ok_or(Denied::Missing)
            }
        },
        Rights::Member { permissions, verified } => match row.member {
            MemberRight::No => Err(Denied::Kind),
            MemberRight::Any => Ok(()),
            MemberRight::Acting => verified.then_some(()).ok_or(Denied::Kyc),
            MemberRight::HoldsAny(workflows, permission) => {
                match workflows.iter().any(|workflow| permissions.hold(*workflow, permission)) {
                    false => Err(Denied::Missing),
                    true => verified.then_some(()).ok_or(Denied::Kyc),
                }
            }
            MemberRight::Holds(workflow, permission) => {
                if !permissions.hold(workflow, permission) {
                    Err(Denied::Missing)
                } else if permission != Permission::View && !verified {
                    Err(Denied::Kyc)
                } else {
                    Ok(())
                }
            }
        },
        Rights::Venue => row.venue.then_some(()).ok_or(Denied::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::scope::Scope;
    use crate::access::workflow::Workflow;

    #[test]
    fn a_service_user_with_every_scope_never_governs() {
        for operation in [
            Operation::Approve,
            Operation::Execute,
            Operation::Requests,
            Operation::SetPolicy,
            Operation::ClaimSecret,
            Operation::Approvals,
        ] {
            assert_eq!(
                permit(Rights::ServiceUser(ScopeSet::ALL), operation),
                Err(Denied::Kind),
                "{}",
                operation.name()
            );
        }
    }

    #[test]
    fn one_of_the_listed_scopes_suffices() {
        let only = |scope| Rights::ServiceUser(ScopeSet::of(&[scope]));
        assert_eq!(permit(only(Scope::Query), Operation::WithdrawStatus), Ok(()));
        assert_eq!(permit(only(Scope::Withdraw), Operation::WithdrawStatus), Ok(()));
        assert_eq!(permit(only(Scope::Deposit), Operation::WithdrawStatus), Err(Denied::Missing));
        assert_eq!(permit(Rights::Public, Operation::WithdrawStatus), Err(Denied::Kind));
    }

    #[test]
    fn a_member_without_kyc_sees_but_does_not_act() {
        let permissions = Permissions::all();
        let unverified = Rights::Member { permissions: &permissions, verified: false };
        assert_eq!(permit(unverified, Operation::Policies), Ok(()));
        assert_eq!(permit(unverified, Operation::Approve), Err(Denied::Kyc));
        assert_eq!(permit(unverified, Operation::SetPolicy), Err(Denied::Kyc));
        let mut viewer = Permissions::none();
        viewer.grant(Workflow::ManagePolicies, Permission::View);
        assert_eq!(
            permit(Rights::Member { permissions: &viewer, verified: true }, Operation::SetPolicy),
            Err(Denied::Missing)
        );
    }
}
