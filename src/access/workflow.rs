//! The four governed workflows and what a Member may do in each.

use serde::{Deserialize, Serialize};

/// A governed workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Workflow {
    /// Members and Service Users.
    ManageAccess,
    /// Policies themselves.
    ManagePolicies,
    /// Withdrawal addresses.
    ManageAddresses,
    /// Withdrawals.
    InitiateWithdrawal,
}

impl Workflow {
    /// All four.
    pub const ALL: [Workflow; 4] =
        [Workflow::ManageAccess, Workflow::ManagePolicies, Workflow::ManageAddresses, Workflow::InitiateWithdrawal];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Workflow::ManageAccess => "manage_access",
            Workflow::ManagePolicies => "manage_policies",
            Workflow::ManageAddresses => "manage_addresses",
            Workflow::InitiateWithdrawal => "initiate_withdrawal",
        }
    }

    /// The workflow of that name.
    pub fn parse(name: &str) -> Option<Workflow> {
        Workflow::ALL.into_iter().find(|workflow| workflow.name() == name)
    }
}

/// What a Member may do in a workflow. The last three imply [`Permission::View`] (rule 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// See requests.
    View,
    /// Make requests.
    Initiate,
    /// Vote on others' requests.
    Approve,
    /// Complete a request at once, where the policy lets it.
    Execute,
}

impl Permission {
    /// All four.
    pub const ALL: [Permission; 4] = [Permission::View, Permission::Initiate, Permission::Approve, Permission::Execute];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Permission::View => "view",
            Permission::Initiate => "initiate",
            Permission::Approve => "approve",
            Permission::Execute => "execute",
        }
    }

    /// The permission of that name.
    pub fn parse(name: &str) -> Option<Permission> {
        Permission::ALL.into_iter().find(|permission| permission.name() == name)
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
