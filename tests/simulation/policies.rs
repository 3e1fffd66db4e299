//! Policies and Members according to events: which policy governs a request, what it asks of it, and who may have a hand
//! in it (rules 18 to 23, 26, 27). The engine's verdicts are not asked.

use std::collections::BTreeMap;

use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::assets::Asset;
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{AssetId, MemberId, OrganizationId, RequestId};
use countersign::domain::limits::{REQUEST_EXPIRY_US, ROLLING_TOTAL_US};
use countersign::domain::money::Amount;
use countersign::domain::time::Moment;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::event::Event;
use countersign::engine::members::{Kyc, Member, MemberStatus};
use countersign::engine::policy::{PolicyTerms, Rule, Subject, Verdict};
use countersign::engine::withdrawals::{Withdrawal, WithdrawalAddress, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::members::MemberChange;
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::withdrawal::WithdrawalChange;

use super::known::{asking_member, is_done, new_votes};

type InForce = BTreeMap<(OrganizationId, Workflow), PolicyTerms>;

/// What a policy asks of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    /// Approve and Execute on it count.
    workflow: Workflow,
    quorum: u32,
    reject_quorum: u32,
    allow_execute: bool,
    expires_after_s: u64,
    exclude_key_managers: bool,
    cool_down_s: u64,
}

impl Terms {
    fn of(workflow: Workflow, policy: &PolicyTerms) -> Terms {
        let PolicyTerms { quorum, reject_quorum, allow_execute, .. } = *policy;
        let PolicyTerms { expires_after_s, exclude_key_managers, cool_down_s, .. } = *policy;
        Terms { workflow, quorum, reject_quorum, allow_execute, expires_after_s, exclude_key_managers, cool_down_s }
    }

    fn told(verdict: &Verdict) -> Terms {
        let Verdict { workflow, quorum, reject_quorum, allow_execute, .. } = *verdict;
        let Verdict { expires_after_s, exclude_key_managers, cool_down_s, .. } = *verdict;
        Terms { workflow, quorum, reject_quorum, allow_execute, expires_after_s, exclude_key_managers, cool_down_s }
    }

    /// Both what was asked when the request was made and what is asked now (rule 20).
    fn and(self, present: Terms) -> Terms {
        Terms {
            workflow: self.workflow,
            quorum: self.quorum.max(present.quorum),
            reject_quorum: self.reject_quorum.min(present.reject_quorum),
            allow_execute: self.allow_execute && present.allow_execute,
            expires_after_s: self.expires_after_s.min(present.expires_after_s),
            exclude_key_managers: self.exclude_key_managers || present.exclude_key_managers,
            cool_down_s: self.cool_down_s.max(present.cool_down_s),
        }
    }
}

#[derive(Default)]
pub struct Policies {
    in_force: InForce,
    /// As they were before the last change of one. A request that changes one is judged by these: it is shown as done
    /// after what it did.
    before: InForce,
    members: BTreeMap<MemberId, Member>,
    /// The Member who was changed last, as they were before; a request that changes one is judged by this.
    changed: Option<Member>,
    /// The address that was added last, and the end of its cool-down. The request that added it follows.
    added: Option<(WithdrawalAddress, Moment)>,
    assets: BTreeMap<AssetId, Asset>,
    /// What the policy of the time asked of each request when it was made.
    pinned: BTreeMap<RequestId, Option<Terms>>,
}

impl Policies {
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::PolicySet(policy) => {
                self.before = self.in_force.clone();
                self.in_force.insert((policy.organization, policy.workflow), policy.terms.clone());
            }
            Event::PolicyRemoved { organization, workflow } => {
                self.before = self.in_force.clone();
                self.in_force.remove(&(*organization, *workflow));
            }
            Event::MemberChanged(member) => self.changed = self.members.insert(member.id, (**member).clone()),
            Event::AddressAdded { address, usable_at, .. } => self.added = Some((address.clone(), *usable_at)),
            Event::AssetAdded(asset) => drop(self.assets.insert(asset.id, asset.clone())),
            _ => {}
        }
    }

    /// Checks a request as it is at `at` against the policies of when it was made and of now. `withdrawals` are all until
    /// now, its own included.
    pub fn judge<'a>(
        &mut self,
        now: &Request,
        before: Option<&Request>,
        at: Moment,
        withdrawals: impl Iterator<Item = &'a Withdrawal>,
    ) {
        if before.is_none() {
            self.made(now, withdrawals);
        }
        let pinned = self.pinned[&now.id];
        for vote in new_votes(now, before) {
            let workflow = pinned.unwrap_or_else(|| panic!("rule 18: nobody was to vote on {now:?}")).workflow;
            assert!(self.might(now, vote.member, workflow, Permission::Approve), "rule 22: {vote:?} on {now:?}");
            assert_ne!(about(&now.change), Some(vote.member), "rule 23: {vote:?} on {now:?}");
        }
        let asked = match (pinned, self.terms(now)) {
            (Some(pinned), Some(present)) => Some(pinned.and(present)),
            (pinned, _) => pinned,
        };
        if is_done(now) || matches!(now.state, RequestState::Pending | RequestState::Rejected) {
            assert_eq!(now.policy.as_ref().map(Terms::told), asked, "rules 20, 21: {now:?}");
            let life_us = asked.map_or(REQUEST_EXPIRY_US, |of| of.expires_after_s * 1_000_000);
            assert_eq!(now.expires_at, now.created_at.plus_us(life_us), "rules 18, 20: {now:?}");
        }
        self.ended(now, asked, before.is_none());
        if let (true, Change::Addresses(AddressChange::Add { address, .. })) = (is_done(now), &now.change) {
            let usable_at = at.plus_us(asked.map_or(0, |of| of.cool_down_s) * 1_000_000);
            assert_eq!(self.added, Some((address.clone(), usable_at)), "rule 26: {now:?}");
        }
    }

    /// Checks how a request ended, if it did, against all that was asked of it.
    fn ended(&self, now: &Request, asked: Option<Terms>, at_once: bool) {
        let votes = |decision| {
            let cast = now.votes.iter().filter(|vote| !vote.struck && vote.decision == decision).count();
            u32::try_from(cast).expect("fewer Members than that")
        };
        match (now.state, asked) {
            (RequestState::Approved, Some(Terms { quorum, .. })) => {
                assert!(votes(Decision::Approve) >= quorum, "law 7: {quorum} were to vote on {now:?}");
            }
            (RequestState::Rejected, Some(Terms { reject_quorum, .. })) => {
                let against = votes(Decision::Reject);
                assert!(against >= reject_quorum, "rule 20: {reject_quorum} were to vote against {now:?}");
            }
            (RequestState::Executed, Some(Terms { workflow, allow_execute, .. })) => {
                assert!(allow_execute, "law 7: {now:?} went past the policy");
                let executor = now.ended_by.as_ref().expect("a Member").0;
                let might = self.might(now, executor, workflow, Permission::Execute);
                assert!(might, "rule 19: {executor} executed {now:?}");
            }
            (RequestState::Executed, None) => assert!(at_once, "law 7: it was pending under no policy: {now:?}"),
            (RequestState::Approved | RequestState::Rejected, None) => {
                panic!("law 7: decided under no policy: {now:?}")
            }
            _ => {}
        }
    }

    /// Notes what the present policy asks of a request that was just made, and checks who made it.
    fn made<'a>(&mut self, now: &Request, withdrawals: impl Iterator<Item = &'a Withdrawal>) {
        let workflow = match &now.change {
            Change::Keys(_) | Change::Members(_) | Change::Unfreeze(_) => Workflow::ManageAccess,
            Change::Policies(_) => Workflow::ManagePolicies,
            Change::Addresses(_) => Workflow::ManageAddresses,
            Change::Withdrawal(_) => Workflow::InitiateWithdrawal,
        };
        assert_eq!(now.workflow, workflow, "{now:?}");
        if let Some(asker) = asking_member(&now.initiator) {
            assert!(self.might(now, asker, workflow, Permission::Initiate), "law 7: {asker} asked for {now:?}");
        }
        match (&now.change, &now.subject, now.withdrawal) {
            (Change::Withdrawal(change), Some(subject), Some(id)) => {
                let all: Vec<&Withdrawal> = withdrawals.collect();
                let own = all.iter().find(|of| of.id == id).expect("a withdrawal that was told of");
                self.is_as_asked(own, change);
                self.is_subject(now, subject, own, &all);
            }
            (Change::Withdrawal(_), ..) => panic!("rule 21: no rule can match {now:?}"),
            (_, subject, withdrawal) => assert_eq!((subject, withdrawal), (&None, None), "rule 21: {now:?}"),
        }
        let asked = self.terms(now);
        let waits = now.state == RequestState::Pending;
        assert!(asked.is_some() || !waits, "rule 18: it waits under no policy: {now:?}");
        self.pinned.insert(now.id, asked);
    }

    fn is_as_asked(&self, withdrawal: &Withdrawal, change: &WithdrawalChange) {
        let asset = &self.assets[&withdrawal.asset];
        let amount = change.amount.units(asset.decimals).ok();
        let there = (asset.code, &withdrawal.address.key, Some(withdrawal.amount.0));
        assert_eq!((change.asset, &change.key, amount), there, "rule 25: {withdrawal:?}");
    }

    /// The facts that rules are matched against are those of the withdrawal (rule 21).
    fn is_subject(&self, now: &Request, subject: &Subject, withdrawal: &Withdrawal, all: &[&Withdrawal]) {
        let counts = |of: &&&Withdrawal| {
            let given_up = matches!(of.status, WithdrawalStatus::Canceled | WithdrawalStatus::Returned);
            let recent = now.created_at < of.created_at.plus_us(ROLLING_TOTAL_US);
            recent && !given_up && (of.account, of.asset) == (withdrawal.account, withdrawal.asset)
        };
        let total: i64 = all.iter().filter(counts).map(|of| of.amount.0).sum();
        let Asset { code, decimals, .. } = self.assets[&withdrawal.asset];
        let facts = Subject {
            asset: code,
            decimals,
            amount: withdrawal.amount,
            total_24h: Amount(total),
            key: withdrawal.address.key.clone(),
            initiator: now.initiator.id(),
        };
        assert_eq!(*subject, facts, "rule 21: {now:?}");
    }

    /// What the policy in force asks of a request, if one governs it.
    fn terms(&self, request: &Request) -> Option<Terms> {
        let policies = if is_done(request) && matches!(request.change, Change::Policies(_)) {
            &self.before
        } else {
            &self.in_force
        };
        let of = |workflow| policies.get(&(request.organization, workflow));
        let usual = |workflow| {
            let policy = of(workflow)?;
            let rule = request.subject.as_ref().and_then(|of| policy.rules.iter().find(|rule| matches(rule, of)));
            let quorum = rule.map_or(policy.quorum, |rule| rule.quorum);
            let allow_execute = rule.and_then(|rule| rule.allow_execute).unwrap_or(policy.allow_execute);
            Some(Terms { quorum, allow_execute, ..Terms::of(workflow, policy) })
        };
        match &request.change {
            Change::Unfreeze(_) => {
                let workflow = Workflow::ManageAccess;
                let policy = of(workflow).cloned().unwrap_or(PolicyTerms::of(1));
                Some(Terms { allow_execute: false, ..Terms::of(workflow, &policy) })
            }
            Change::Policies(change) if of(Workflow::ManagePolicies).is_none() => {
                let policy = of(Workflow::InitiateWithdrawal)?;
                let asked = Terms { allow_execute: false, ..Terms::of(Workflow::InitiateWithdrawal, policy) };
                loosens_withdrawals(change, policy).then_some(asked)
            }
            _ => usual(request.workflow),
        }
    }

    /// Whether a Member had the right when they acted on a request.
    fn might(&self, request: &Request, id: MemberId, workflow: Workflow, permission: Permission) -> bool {
        let changes = is_done(request) && matches!(request.change, Change::Members(_));
        let before = self.changed.as_ref().filter(|member| changes && member.id == id);
        let Member { status, kyc, permissions, .. } = before.unwrap_or(&self.members[&id]);
        *status == MemberStatus::Active && *kyc == Kyc::Verified && permissions.hold(workflow, permission)
    }
}

/// The Member whom a change is about, who does not vote on it.
fn about(change: &Change) -> Option<MemberId> {
    match change {
        Change::Members(
            MemberChange::Edit { member, .. } | MemberChange::Reset { member } | MemberChange::Remove { member },
        ) => Some(*member),
        _ => None,
    }
}

/// Whether a change removes or loosens the policy on withdrawals (rule 23).
fn loosens_withdrawals(change: &PolicyChange, old: &PolicyTerms) -> bool {
    match change {
        PolicyChange::Remove { workflow } => *workflow == Workflow::InitiateWithdrawal,
        PolicyChange::Set { workflow: Workflow::InitiateWithdrawal, terms } => {
            let tighter = PolicyTerms {
                quorum: terms.quorum.min(old.quorum),
                allow_execute: terms.allow_execute || old.allow_execute,
                expires_after_s: terms.expires_after_s.max(old.expires_after_s),
                exclude_key_managers: terms.exclude_key_managers && old.exclude_key_managers,
                ..terms.clone()
            };
            tighter != *old
        }
        PolicyChange::Set { .. } => false,
    }
}

fn matches(rule: &Rule, of: &Subject) -> bool {
    let reached = |from: Option<Decimal>, amount: Amount| match from {
        Some(from) => amount.0 >= from.units(of.decimals).expect("it was checked with the policy"),
        None => true,
    };
    let named = rule.keys.as_ref().is_none_or(|keys| keys.contains(&of.key));
    let asked = rule.initiators.as_ref().is_none_or(|all| all.contains(&of.initiator));
    let asset = rule.asset.is_none_or(|asset| asset == of.asset);
    asset && named && asked && reached(rule.amount_from, of.amount) && reached(rule.total_24h_from, of.total_24h)
}
