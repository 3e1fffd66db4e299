//! Policies: how many Members a request needs, and how pinned and present policies combine (rules 18–23).

use serde::{Deserialize, Serialize};

use crate::access::workflow::Workflow;
use crate::domain::ids::OrganizationId;

/// The terms of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTerms {
    /// Votes needed, at least 1.
    pub quorum: u32,
    /// Votes against that end a request, at least 1.
    pub reject_quorum: u32,
    /// Whether a Member with Execute may complete a Member's request at once.
    pub allow_execute: bool,
    /// How long a request waits, in seconds.
    pub expires_after_s: u64,
    /// Whether those who manage the asking key may not vote (rule 22).
    pub exclude_key_managers: bool,
}

/// The policy of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which workflow.
    pub workflow: Workflow,
    /// Goes up with each change of any policy of the Organization's workflow.
    pub version: u32,
    /// What it asks.
    pub terms: PolicyTerms,
}

/// The policies in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Policies {}

impl Policies {
    /// Folds a policy in.
    pub fn apply(&mut self, _policy: &Policy) {}
}
