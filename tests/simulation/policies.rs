//! Policies and Members according to events: which policy governs a request, how many votes it needs, and who may have
//! a hand in it (rules 18 to 23, 27). The engine's verdicts are not asked.

use std::collections::BTreeMap;

use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{MemberId, OrganizationId, RequestId};
use countersign::domain::limits::ROLLING_TOTAL_US;
use countersign::domain::money::Amount;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::event::Event;
use countersign::engine::members::{Kyc, Member, MemberStatus};
use countersign::engine::policy::{PolicyTerms, Rule, Subject};
use countersign::engine::withdrawals::{Withdrawal, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::policies::PolicyChange;

use super::known::{asking_member, new_votes};

type InForce = BTreeMap<(OrganizationId, Workflow), PolicyTerms>;

/// What a policy asks of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    /// Approve and Execute on it count.
    workflow: Workflow,
    quorum: u32,
    allow_execute: bool,
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
            _ => {}
        }
    }

    /// Checks a request against the policies of when it was made and of now. `withdrawals` are all until now, its own
    /// included.
    pub fn judge<'a>(
        &mut self,
        now: &Request,
        before: Option<&Request>,
        withdrawals: impl Iterator<Item = &'a Withdrawal>,
    ) {
        if before.is_none() {
            self.made(now, withdrawals);
        }
        let pinned = self.pinned[&now.id];
        for vote in new_votes(now, before) {
            let workflow = pinned.unwrap_or_else(|| panic!("rule 18: nobody was to vote on {now:?}")).workflow;
            assert!(self.might(now, vote.member, workflow, Permission::Approve), "rule 22: {vote:?} on {now:?}");
        }
        let asked = match (pinned, self.terms(now)) {
            (Some(pinned), Some(present)) => Some(Terms {
                quorum: pinned.quorum.max(present.quorum),
                allow_execute: pinned.allow_execute && present.allow_execute,
                ..pinned
            }),
            (pinned, _) => pinned,
        };
        if now.state == RequestState::Pending {
            let told = now.policy.as_ref().map(|policy| (policy.quorum, policy.allow_execute));
            assert_eq!(told, asked.map(|of| (of.quorum, of.allow_execute)), "rules 20, 21: {now:?}");
        }
        match (now.state, asked) {
            (RequestState::Approved, Some(Terms { quorum, .. })) => {
                let votes = now.votes.iter().filter(|vote| !vote.struck && vote.decision == Decision::Approve).count();
                assert!(votes >= quorum as usize, "law 7: {quorum} were to vote on {now:?}");
            }
            (RequestState::Executed, Some(Terms { workflow, allow_execute, .. })) => {
                assert!(allow_execute, "law 7: {now:?} went past the policy");
                let executor = now.ended_by.as_ref().expect("a Member").0;
                assert!(
                    self.might(now, executor, workflow, Permission::Execute),
                    "rule 19: {executor} executed {now:?}"
                );
            }
            (RequestState::Executed, None) => {
                assert!(before.is_none(), "law 7: it was pending under no policy: {now:?}")
            }
            (RequestState::Approved, None) => panic!("law 7: approved under no policy: {now:?}"),
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
        if let (Some(subject), Some(id)) = (&now.subject, now.withdrawal) {
            self.is_subject(now, subject, withdrawals, id.0);
        }
        let asked = self.terms(now);
        let waits = now.state == RequestState::Pending;
        assert!(asked.is_some() || !waits, "rule 18: it waits under no policy: {now:?}");
        self.pinned.insert(now.id, asked);
    }

    /// The facts that rules are matched against are those of the withdrawal (rule 21).
    fn is_subject<'a>(
        &self,
        now: &Request,
        subject: &Subject,
        withdrawals: impl Iterator<Item = &'a Withdrawal>,
        own: u64,
    ) {
        let all: Vec<&Withdrawal> = withdrawals.collect();
        let withdrawal = all.iter().find(|of| of.id.0 == own).expect("a withdrawal that was told of");
        let counts = |of: &&&Withdrawal| {
            let given_up = matches!(of.status, WithdrawalStatus::Canceled | WithdrawalStatus::Returned);
            let recent = now.created_at < of.created_at.plus_us(ROLLING_TOTAL_US);
            recent && !given_up && (of.account, of.asset) == (withdrawal.account, withdrawal.asset)
        };
        let total: i64 = all.iter().filter(counts).map(|of| of.amount.0).sum();
        let facts = (withdrawal.amount, Amount(total), &withdrawal.address.key, now.initiator.id());
        assert_eq!((subject.amount, subject.total_24h, &subject.key, subject.initiator), facts, "rule 21: {now:?}");
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
            Some(Terms { workflow, quorum, allow_execute })
        };
        match &request.change {
            Change::Unfreeze(_) => {
                let quorum = of(Workflow::ManageAccess).map_or(1, |policy| policy.quorum);
                Some(Terms { workflow: Workflow::ManageAccess, quorum, allow_execute: false })
            }
            Change::Policies(change) if of(Workflow::ManagePolicies).is_none() => {
                let policy = of(Workflow::InitiateWithdrawal)?;
                let (quorum, workflow) = (policy.quorum, Workflow::InitiateWithdrawal);
                loosens_withdrawals(change, policy).then_some(Terms { workflow, quorum, allow_execute: false })
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

fn is_done(request: &Request) -> bool {
    matches!(request.state, RequestState::Approved | RequestState::Executed)
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
