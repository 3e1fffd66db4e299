//! The four governed workflows and what a Member may do in each.

use serde::{Deserialize, Serialize};

use crate::domain::named::named;

named! {
    /// A governed workflow.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Workflow {
        /// Members and Service Users.
        ManageAccess = "manage_access",
        /// Policies themselves.
        ManagePolicies = "manage_policies",
        /// Withdrawal addresses.
        ManageAddresses = "manage_addresses",
        /// Withdrawals.
        InitiateWithdrawal = "initiate_withdrawal",
    }
}

named! {
    /// What a Member may do in a workflow. The last three imply [`Permission::View`] (rule 14).
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Permission {
        /// See requests.
        View = "view",
        /// Make requests.
        Initiate = "initiate",
        /// Vote on others' requests.
        Approve = "approve",
        /// Complete a request at once, where the policy lets it.
        Execute = "execute",
    }
}

/// A Member's permissions by workflow, four bits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions([u8; 4]);

impl Permissions {
    /// Nothing anywhere.
    pub fn none() -> Permissions {
        Permissions::default()
    }

    /// Everything everywhere.
    pub fn all() -> Permissions {
        Permissions([0b1111; 4])
    }

    /// Gives `permission`, and View with it.
    pub fn grant(&mut self, workflow: Workflow, permission: Permission) {
        self.0[workflow as usize] |= 1 << permission as u8 | 1 << Permission::View as u8;
    }

    /// Replaces what is held in `workflow`; View comes with anything.
    pub fn set(&mut self, workflow: Workflow, permissions: impl Iterator<Item = Permission>) {
        self.0[workflow as usize] = 0;
        permissions.for_each(|permission| self.grant(workflow, permission));
    }

    /// Whether the Member has `permission` in `workflow`.
    pub fn hold(&self, workflow: Workflow, permission: Permission) -> bool {
        self.0[workflow as usize] & 1 << permission as u8 != 0
    }

    /// The permissions held in `workflow`.
    pub fn of(&self, workflow: Workflow) -> impl Iterator<Item = Permission> + '_ {
        Permission::ALL.into_iter().filter(move |permission| self.hold(workflow, *permission))
    }
}
