//! Policies: how many Members a request needs, and how pinned and present policies combine (rules 18–23).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approvals::InitiatorId;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::decimal::Decimal;
use crate::domain::ids::OrganizationId;
use crate::domain::limits::REQUEST_EXPIRY_US;
use crate::domain::money::Amount;
use crate::domain::text::AssetCode;

/// Other terms for some withdrawals. All conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Of this asset.
    pub asset: Option<AssetCode>,
    /// Of at least this gross amount; needs `asset`.
    pub amount_from: Option<Decimal>,
    /// If the account's withdrawals of the last 24 hours, this one included, reach this amount; needs `asset`.
    pub total_24h_from: Option<Decimal>,
    /// To one of these addresses, by name.
    pub keys: Option<Vec<String>>,
    /// Asked for by one of these.
    pub initiators: Option<Vec<InitiatorId>>,
    /// Votes needed, at least 1.
    pub quorum: u32,
    /// Whether Execute may complete it; as in the policy when `None`.
    pub allow_execute: Option<bool>,
}

/// What the rules of a policy are matched against: a withdrawal as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its asset.
    pub asset: AssetCode,
    /// The asset's decimals.
    pub decimals: u8,
    /// Gross amount.
    pub amount: Amount,
    /// What the account withdrew of the asset in the 24 hours up to it, itself included (rule 21).
    pub total_24h: Amount,
    /// The name of its address.
    pub key: String,
    /// Who asked.
    pub initiator: InitiatorId,
}

impl Rule {
    /// Whether the rule matches this withdrawal. Its amounts were checked against the asset when the policy was set.
    fn matches(&self, subject: &Subject) -> bool {
        let reached = |from: Option<Decimal>, amount: Amount| {
            from.is_none_or(|from| from.units(subject.decimals).is_ok_and(|from| amount.0 >= from))
        };
        self.asset.is_none_or(|asset| asset == subject.asset)
            && reached(self.amount_from, subject.amount)
            && reached(self.total_24h_from, subject.total_24h)
            && self.keys.as_ref().is_none_or(|keys| keys.contains(&subject.key))
            && self.initiators.as_ref().is_none_or(|all| all.contains(&subject.initiator))
    }
}

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
    /// How long a new address waits before it may be used, in seconds; Manage Addresses only (rule 26).
    pub cool_down_s: u64,
    /// Other terms for some withdrawals, the first match wins; Initiate Withdrawal only (rule 21).
    pub rules: Vec<Rule>,
}

/// The policy of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The Organization.
    pub organization: OrganizationId,
    /// Of which workflow.
    pub workflow: Workflow,
    /// Increases with each change, even across a removal; 0 stands for no policy of one's own.
    pub version: u32,
    /// What it asks.
    pub terms: PolicyTerms,
}

/// The terms that a policy sets for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The policy's workflow: Approve and Execute on it count.
    pub workflow: Workflow,
    /// The policy's version.
    pub version: u32,
    /// The rule that matched, counted from 1.
    pub rule: Option<u32>,
    /// Votes needed.
    pub quorum: u32,
    /// Votes against that end it.
    pub reject_quorum: u32,
    /// Whether Execute may complete it.
    pub allow_execute: bool,
    /// How long it waits, in seconds.
    pub expires_after_s: u64,
    /// Whether those who manage the asking key may not vote.
    pub exclude_key_managers: bool,
    /// How long an address that it adds must wait, in seconds.
    pub cool_down_s: u64,
}

impl PolicyTerms {
    /// A policy with this quorum and the usual terms: one vote against ends a request, no Execute, seven days, key
    /// managers do not vote.
    pub fn of(quorum: u32) -> PolicyTerms {
        PolicyTerms {
            quorum,
            reject_quorum: 1,
            allow_execute: false,
            expires_after_s: REQUEST_EXPIRY_US / 1_000_000,
            exclude_key_managers: true,
            cool_down_s: 0,
            rules: Vec::new(),
        }
    }

    /// Whether going from `self` to `new` loosens it: anything but a higher quorum, Execute off, a shorter expiry, or
    /// exclusion on (rule 23). A changed reject quorum, cool-down or rule is none of these, so it counts as loosening.
    pub fn loosened_by(&self, new: &PolicyTerms) -> bool {
        new.quorum < self.quorum
            || new.reject_quorum != self.reject_quorum
            || new.allow_execute && !self.allow_execute
            || new.expires_after_s > self.expires_after_s
            || self.exclude_key_managers && !new.exclude_key_managers
            || new.cool_down_s != self.cool_down_s
            || new.rules != self.rules
    }
}

impl Policy {
    /// The policy's terms for a request; `subject` for one that rules may match.
    pub fn verdict(&self, subject: Option<&Subject>) -> Verdict {
        let terms = &self.terms;
        let found = subject.and_then(|subject| (1..).zip(&terms.rules).find(|(_, rule)| rule.matches(subject)));
        let rule = found.map(|(_, rule)| rule);
        Verdict {
            workflow: self.workflow,
            version: self.version,
            rule: found.map(|(number, _)| number),
            quorum: rule.map_or(terms.quorum, |rule| rule.quorum),
            reject_quorum: terms.reject_quorum,
            allow_execute: rule.and_then(|rule| rule.allow_execute).unwrap_or(terms.allow_execute),
            expires_after_s: terms.expires_after_s,
            exclude_key_managers: terms.exclude_key_managers,
            cool_down_s: terms.cool_down_s,
        }
    }
}

impl Verdict {
    /// The verdict that satisfies both the one pinned when a request was made and the present one (rule 20).
    pub fn stricter(&self, present: &Verdict) -> Verdict {
        Verdict {
            workflow: self.workflow,
            version: self.version.max(present.version),
            rule: if present.quorum > self.quorum { present.rule } else { self.rule },
            quorum: self.quorum.max(present.quorum),
            reject_quorum: self.reject_quorum.min(present.reject_quorum),
            allow_execute: self.allow_execute && present.allow_execute,
            expires_after_s: self.expires_after_s.min(present.expires_after_s),
            exclude_key_managers: self.exclude_key_managers || present.exclude_key_managers,
            cool_down_s: self.cool_down_s.max(present.cool_down_s),
        }
    }

    /// How long the request waits, µs.
    pub fn life_us(&self) -> u64 {
        self.expires_after_s.saturating_mul(1_000_000)
    }

    /// What an approver is shown of it, and what the digest covers (rule 24).
    pub fn canonical(&self) -> Canonical {
        let terms = [("version", Some(self.version)), ("quorum", Some(self.quorum)), ("rule", self.rule)];
        Canonical::object(terms.into_iter().filter_map(|(name, term)| Some((name, Canonical::count(term?.into())))))
    }
}

/// The policies in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Policies {
    by_workflow: BTreeMap<(OrganizationId, Workflow), Policy>,
    /// The last version of each policy, including removed ones.
    versions: BTreeMap<(OrganizationId, Workflow), u32>,
}

impl Policies {
    /// Applies a policy.
    pub fn set(&mut self, policy: &Policy) {
        let key = (policy.organization, policy.workflow);
        self.versions.insert(key, policy.version);
        self.by_workflow.insert(key, policy.clone());
    }

    /// Takes a policy away.
    pub fn remove(&mut self, organization: OrganizationId, workflow: Workflow) {
        self.by_workflow.remove(&(organization, workflow));
    }

    /// The policy of one workflow; `None` when none governs it.
    pub fn get(&self, organization: OrganizationId, workflow: Workflow) -> Option<&Policy> {
        self.by_workflow.get(&(organization, workflow))
    }

    /// The version that the next policy of a workflow has.
    pub fn next_version(&self, organization: OrganizationId, workflow: Workflow) -> u32 {
        self.versions.get(&(organization, workflow)).map_or(1, |version| version + 1)
    }

    /// The policies of an Organization, in the order of the workflows.
    pub fn of(&self, organization: OrganizationId) -> Vec<Policy> {
        Workflow::ALL.into_iter().filter_map(|workflow| self.get(organization, workflow).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{MemberId, ServiceUserId};

    fn policy(terms: PolicyTerms) -> Policy {
        Policy { organization: OrganizationId(1), workflow: Workflow::InitiateWithdrawal, version: 1, terms }
    }

    #[test]
    fn pinned_and_present_combine_to_the_stricter_of_each_term() {
        let pinned = PolicyTerms {
            reject_quorum: 2,
            allow_execute: true,
            expires_after_s: 600,
            exclude_key_managers: false,
            cool_down_s: 5,
            ..PolicyTerms::of(2)
        };
        let present = PolicyTerms { expires_after_s: 900, ..PolicyTerms::of(1) };
        let (pinned, present) = (policy(pinned).verdict(None), policy(present).verdict(None));
        let both = Verdict { reject_quorum: 1, allow_execute: false, exclude_key_managers: true, ..pinned.clone() };
        assert_eq!(pinned.stricter(&present), both);
        assert_eq!(present.stricter(&pinned), both);
    }

    #[test]
    fn only_the_four_tightenings_are_not_loosening() {
        let terms = PolicyTerms { allow_execute: true, exclude_key_managers: false, ..PolicyTerms::of(2) };
        let tighter = PolicyTerms { expires_after_s: 60, ..PolicyTerms::of(3) };
        assert!(!terms.loosened_by(&terms));
        assert!(!terms.loosened_by(&tighter));
        for looser in [
            PolicyTerms { quorum: 1, ..terms.clone() },
            PolicyTerms { reject_quorum: 3, ..terms.clone() },
            PolicyTerms { cool_down_s: 1, ..terms.clone() },
            PolicyTerms { expires_after_s: terms.expires_after_s + 1, ..terms.clone() },
            PolicyTerms { rules: vec![Rule { quorum: 9, ..Rule::default() }], ..terms.clone() },
        ] {
            assert!(terms.loosened_by(&looser), "{looser:?}");
        }
        assert!(tighter.loosened_by(&PolicyTerms { allow_execute: true, ..tighter.clone() }));
        assert!(tighter.loosened_by(&PolicyTerms { exclude_key_managers: false, ..tighter.clone() }));
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let decimal = |text| Some(Decimal::parse(text).unwrap());
        let btc = AssetCode::from("BTC").ok();
        let rule = |quorum| Rule { asset: btc, quorum, ..Rule::default() };
        let bot = InitiatorId::ServiceUser(ServiceUserId(1));
        let rules = vec![
            Rule { keys: Some(vec!["cold-1".to_owned()]), initiators: Some(vec![bot]), ..rule(1) },
            Rule { amount_from: decimal("5"), allow_execute: Some(true), ..rule(4) },
            Rule { total_24h_from: decimal("9"), ..rule(3) },
        ];
        let policy = policy(PolicyTerms { rules, ..PolicyTerms::of(2) });
        let of = |amount: i64, total: i64, key: &str, initiator| {
            let (amount, total_24h) = (Amount(amount * 100), Amount(total * 100));
            let subject =
                Subject { asset: btc.unwrap(), decimals: 2, amount, total_24h, key: key.to_owned(), initiator };
            let verdict = policy.verdict(Some(&subject));
            (verdict.rule, verdict.quorum, verdict.allow_execute)
        };
        let alice = InitiatorId::Member(MemberId(1));
        assert_eq!(of(9, 9, "cold-1", bot), (Some(1), 1, false));
        assert_eq!(of(5, 5, "cold-1", alice), (Some(2), 4, true));
        assert_eq!(of(4, 9, "cold-1", alice), (Some(3), 3, false));
        assert_eq!(of(4, 8, "cold-2", bot), (None, 2, false));
    }

    #[test]
    fn the_last_policy_of_a_workflow_governs_its_organization_alone() {
        let mut policies = Policies::default();
        let first = Policy { workflow: Workflow::ManageAccess, ..policy(PolicyTerms::of(1)) };
        let second = Policy { version: 2, terms: PolicyTerms::of(5), ..first.clone() };
        policies.set(&first);
        policies.set(&second);
        assert_eq!(policies.get(OrganizationId(1), Workflow::ManageAccess), Some(&second));
        assert_eq!(policies.get(OrganizationId(1), Workflow::ManagePolicies), None);
        assert_eq!(policies.get(OrganizationId(2), Workflow::ManageAccess), None);
        policies.remove(OrganizationId(1), Workflow::ManageAccess);
        assert_eq!(policies.of(OrganizationId(1)), []);
        assert_eq!(policies.next_version(OrganizationId(1), Workflow::ManageAccess), 3, "versions never repeat");
    }
}
