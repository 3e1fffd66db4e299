//! Policies: how many Members a request needs, and how pinned and present policies combine (rules 18–23).

use std::collections::BTreeMap;

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

impl PolicyTerms {
    /// The terms that satisfy both: what was pinned when a request was made and what holds now (rule 20).
    pub fn stricter(&self, other: &PolicyTerms) -> PolicyTerms {
        PolicyTerms {
            quorum: self.quorum.max(other.quorum),
            reject_quorum: self.reject_quorum.min(other.reject_quorum),
            allow_execute: self.allow_execute && other.allow_execute,
            expires_after_s: self.expires_after_s.min(other.expires_after_s),
            exclude_key_managers: self.exclude_key_managers || other.exclude_key_managers,
        }
    }

    /// Whether going from `self` to `new` is a loosening: anything but quorum up, Execute off, expiry
    /// shorter, exclusion on (rule 23). A changed reject quorum is none of these, so it loosens too.
    pub fn loosened_by(&self, new: &PolicyTerms) -> bool {
        new.quorum < self.quorum
            || new.reject_quorum != self.reject_quorum
            || new.allow_execute && !self.allow_execute
            || new.expires_after_s > self.expires_after_s
            || self.exclude_key_managers && !new.exclude_key_managers
    }
}

/// The policies in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Policies {
    by_workflow: BTreeMap<(OrganizationId, Workflow), Policy>,
}

impl Policies {
    /// Folds a policy in.
    pub fn apply(&mut self, policy: &Policy) {
        self.by_workflow.insert((policy.organization, policy.workflow), policy.clone());
    }

    /// The policy of one workflow; `None` when none governs it.
    pub fn get(&self, organization: OrganizationId, workflow: Workflow) -> Option<&Policy> {
        self.by_workflow.get(&(organization, workflow))
    }

    /// The policies of an Organization, in the order of the workflows.
    pub fn of(&self, organization: OrganizationId) -> Vec<Policy> {
        Workflow::ALL.into_iter().filter_map(|workflow| self.get(organization, workflow).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: PolicyTerms = PolicyTerms {
        quorum: 2,
        reject_quorum: 2,
        allow_execute: true,
        expires_after_s: 600,
        exclude_key_managers: false,
    };

    #[test]
    fn pinned_and_present_combine_to_the_stricter_of_each_term() {
        let present = PolicyTerms {
            quorum: 1,
            reject_quorum: 1,
            allow_execute: false,
            expires_after_s: 900,
            exclude_key_managers: true,
        };
        let both = PolicyTerms {
            quorum: 2,
            reject_quorum: 1,
            allow_execute: false,
            expires_after_s: 600,
            exclude_key_managers: true,
        };
        assert_eq!(PINNED.stricter(&present), both);
        assert_eq!(present.stricter(&PINNED), both);
    }

    #[test]
    fn only_the_four_tightenings_are_not_loosening() {
        let tighter =
            PolicyTerms { quorum: 3, allow_execute: false, expires_after_s: 60, exclude_key_managers: true, ..PINNED };
        assert!(!PINNED.loosened_by(&PINNED));
        assert!(!PINNED.loosened_by(&tighter));
        for looser in [
            PolicyTerms { quorum: 1, ..PINNED },
            PolicyTerms { reject_quorum: 1, ..PINNED },
            PolicyTerms { reject_quorum: 3, ..PINNED },
            PolicyTerms { expires_after_s: 601, ..PINNED },
        ] {
            assert!(PINNED.loosened_by(&looser), "{looser:?}");
        }
        assert!(tighter.loosened_by(&PolicyTerms { allow_execute: true, ..tighter.clone() }));
        assert!(tighter.loosened_by(&PolicyTerms { exclude_key_managers: false, ..tighter.clone() }));
    }

    #[test]
    fn the_last_policy_of_a_workflow_governs_its_organization_alone() {
        let mut policies = Policies::default();
        let (ours, theirs) = (OrganizationId(1), OrganizationId(2));
        let first = Policy { organization: ours, workflow: Workflow::ManageAccess, version: 1, terms: PINNED };
        let second = Policy { version: 2, terms: PolicyTerms { quorum: 5, ..PINNED }, ..first.clone() };
        policies.apply(&first);
        policies.apply(&second);
        assert_eq!(policies.get(ours, Workflow::ManageAccess), Some(&second));
        assert_eq!(policies.of(ours), [second]);
        assert_eq!(policies.get(ours, Workflow::ManagePolicies), None);
        assert_eq!(policies.get(theirs, Workflow::ManageAccess), None);
    }
}
