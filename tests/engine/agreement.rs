//! Random Members, Service Users, policies, votes and clock jumps, run against the model in `model.rs`: after every
//! step both agree on what was accepted and on every request.

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{AssetId, MemberId, OrganizationId, ServiceUserId};
use countersign::engine::approvals::{Decision, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::freezes::FreezeScope;
use countersign::engine::members::{Kyc, MemberStatus};
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::reply::Reply;
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;
use proptest::prelude::*;

use super::genesis::key;
use super::governance::joined;
use super::model::*;
use super::world::{Stage, asset, bot, decimal, member, to_cold, venue, withdraw};

#[derive(Clone, Debug)]
pub enum Step {
    /// Each for a large withdrawal or a small one.
    BotAsks(bool),
    MemberAsks(usize, bool),
    Vote {
        by: usize,
        which: usize,
        approve: bool,
    },
    Execute {
        by: usize,
        which: usize,
    },
    Cancel {
        by: usize,
        which: usize,
    },
    SetPolicy {
        by: usize,
        workflow: usize,
        terms: Terms,
    },
    RemovePolicy {
        by: usize,
        workflow: usize,
    },
    LetApprove {
        by: usize,
        of: usize,
        workflow: usize,
        on: bool,
    },
    Suspend {
        by: usize,
        of: usize,
        on: bool,
    },
    Verify {
        of: usize,
        on: bool,
    },
    Remove {
        by: usize,
        of: usize,
    },
    Rename {
        by: usize,
    },
    /// On, off, or removed.
    Key {
        by: usize,
        to: Option<bool>,
    },
    Address {
        by: usize,
        add: bool,
    },
    /// Whether from here on Members ask for changes that may leave requests without approvers.
    Strand(bool),
    Freeze {
        by: usize,
    },
    Unfreeze {
        by: usize,
    },
    Wait(u64),
}

/// The engine and the model, side by side.
pub struct Pair {
    pub stage: Stage,
    model: Model,
}

const WORKFLOWS: [Workflow; 4] = Workflow::ALL;

/// The amount of a withdrawal; the rule's limit lies between the two.
fn amount(large: bool) -> &'static str {
    if large { "0.003" } else { "0.001" }
}

fn terms(of: Terms) -> PolicyTerms {
    let rule = |quorum| {
        let (asset, amount_from) = (Some(asset("BTC")), Some(decimal("0.002")));
        Rule { asset, amount_from, quorum, ..Rule::default() }
    };
    PolicyTerms {
        rules: of.large.map(rule).into_iter().collect(),
        reject_quorum: of.reject,
        allow_execute: of.execute,
        exclude_key_managers: of.exclude,
        expires_after_s: of.life_h * 3_600,
        ..PolicyTerms::of(of.quorum)
    }
}

/// An edit of the bot's key.
fn edited(name: Option<String>, disabled: Option<bool>) -> KeyChange {
    KeyChange::Edit { service_user: ServiceUserId(1), name, scopes: None, settings: Default::default(), disabled }
}

pub fn person(of: usize) -> countersign::access::principal::Principal {
    member(u32::try_from(of).unwrap() + 1)
}

impl Pair {
    pub fn new() -> Pair {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
        joined(&mut stage, "dora", &Permission::ALL);
        joined(&mut stage, "emil", &Permission::ALL);
        let held = [15, VIEW | APPROVE, VIEW, 15, 15];
        let people = held.map(|all| Person { permissions: [all; 4], active: true, removed: false, verified: true });
        let mut policies = [None; 4];
        policies[WITHDRAWAL] =
            Some(Terms { quorum: 1, large: None, reject: 1, execute: false, exclude: true, life_h: LIFE_H });
        let model = Model {
            people: people.into(),
            policies,
            asked: Vec::new(),
            key: Some(true),
            editor: None,
            frozen: None,
            renamed: 0,
            listed: true,
            strands: true,
            recounted: Vec::new(),
            steps: 0,
        };
        Pair { stage, model }
    }

    /// Sends it to both; the model's answer determines what the engine's must be.
    fn asks(&mut self, by: Option<usize>, kind: Kind, change: Change) {
        let large = kind == Kind::Withdraw { large: true };
        let expected = self.model.asks(by, kind);
        let outcome = match by {
            None => self.stage.run(&bot(1), withdraw(amount(large), None)).map(|reply| match reply {
                Reply::Withdrawal(withdrawal) => withdrawal.request.unwrap(),
                other => panic!("{other:?}"),
            }),
            Some(by) => {
                let initiation = Initiation { strand_pending: self.model.strands, ..self.stage.asked(&change) };
                self.stage.run(&person(by), Command::Initiate(Box::new(change), initiation)).map(|reply| match reply {
                    Reply::Request(request) => request.id,
                    other => panic!("{other:?}"),
                })
            }
        };
        assert_eq!(outcome.is_ok(), expected.is_some(), "{outcome:?}\n{:?}", self.model);
        if let (Ok(id), Some((kind, governing))) = (outcome, expected) {
            let nobody = (0, Terms { quorum: 0, large: None, reject: 0, execute: false, exclude: false, life_h: 0 });
            let state = if governing.is_some() { RequestState::Pending } else { RequestState::Executed };
            let (pinned, at, strands) = (governing.unwrap_or(nobody), self.stage.now, self.model.strands);
            self.model.asked.push(Asked { id, kind, by, pinned, at, strands, votes: Vec::new(), state });
        }
    }

    /// Whether the engine took a message, and its one ballot.
    fn took(&mut self, by: usize, command: Command) -> bool {
        match self.stage.run(&person(by), command) {
            Ok(Reply::Votes(votes)) => votes[0].1.is_ok(),
            Ok(_) => true,
            Err(_) => false,
        }
    }

    pub fn play(&mut self, step: &Step) {
        self.model.steps += 1;
        let pick = |which: usize| (!self.model.asked.is_empty()).then(|| which % self.model.asked.len());
        match step {
            Step::BotAsks(large) => self.withdraw(None, *large),
            Step::MemberAsks(by, large) => self.withdraw(Some(*by), *large),
            Step::Vote { by, which, approve } => {
                let Some(which) = pick(*which) else { return };
                let (ballots, code) = self.ballot(which);
                let decision = if *approve { Decision::Approve } else { Decision::Reject };
                let took = self.took(*by, Command::Vote { decision, ballots, step: Some(code), comment: None });
                assert_eq!(took, self.model.vote(*by, which, *approve), "{:?}", self.model);
            }
            Step::Execute { by, which } => {
                let Some(which) = pick(*which) else { return };
                let (ballots, step) = self.ballot(which);
                let took = self.took(*by, Command::Execute { ballots, step: Some(step), comment: None });
                assert_eq!(took, self.model.execute(*by, which), "{:?}", self.model);
            }
            Step::Cancel { by, which } => {
                let Some(which) = pick(*which) else { return };
                let asked = &self.model.asked[which];
                let may =
                    self.model.people[*by].active && asked.by == Some(*by) && asked.state == RequestState::Pending;
                let id = asked.id;
                assert_eq!(self.took(*by, Command::CancelRequest(id)), may);
                if may {
                    self.model.asked[which].state = RequestState::Canceled;
                }
            }
            Step::Verify { of, on } => {
                if self.model.people[*of].removed {
                    return;
                }
                let kyc = if *on { Kyc::Verified } else { Kyc::Rejected };
                let id = MemberId(u32::try_from(*of).unwrap() + 1);
                self.stage.run(&venue(), Command::SetKyc { member: id, kyc }).unwrap();
                self.model.people[*of].verified = *on;
                self.model.strike();
            }
            Step::Wait(hours) => self.stage.tick(hours * HOUR),
            Step::Strand(on) => self.model.strands = *on,
            Step::Freeze { by } => self.freeze(*by),
            change => self.change(change),
        }
    }

    fn withdraw(&mut self, by: Option<usize>, large: bool) {
        self.asks(by, Kind::Withdraw { large }, Change::Withdrawal(to_cold(amount(large))));
    }

    fn ballot(&mut self, which: usize) -> (Vec<Ballot>, u64) {
        let id = self.model.asked[which].id;
        let digest = self.stage.request(id).digest.clone();
        (vec![Ballot { request: id, digest }], self.stage.step())
    }

    fn freeze(&mut self, by: usize) {
        let may = self.model.may(by, WITHDRAWAL, EXECUTE) || self.model.may(by, ACCESS, EXECUTE);
        let freeze = Command::Freeze { scope: FreezeScope::Withdrawals, reason: "odd".to_owned() };
        assert_eq!(self.took(by, freeze), may);
        if may && self.model.frozen.is_none() {
            self.model.frozen = Some((by, self.model.steps));
        }
    }

    fn change(&mut self, step: &Step) {
        let number = |of: usize| MemberId(u32::try_from(of).unwrap() + 1);
        match *step {
            Step::SetPolicy { by, workflow, terms: to } => {
                let to = Terms { large: to.large.filter(|_| workflow == WITHDRAWAL), ..to };
                let kind = Kind::Policy { workflow, from: self.model.policies[workflow], to: Some(to) };
                let change = PolicyChange::Set { workflow: WORKFLOWS[workflow], terms: terms(to) };
                self.asks(Some(by), kind, Change::Policies(change));
            }
            Step::RemovePolicy { by, workflow } => {
                let kind = Kind::Policy { workflow, from: self.model.policies[workflow], to: None };
                self.asks(Some(by), kind, Change::Policies(PolicyChange::Remove { workflow: WORKFLOWS[workflow] }));
            }
            Step::LetApprove { by, of, workflow, on } => {
                let from = self.model.people[of].permissions[workflow];
                let to = if on { from | APPROVE | VIEW } else { from & !APPROVE };
                let names = Permission::ALL.into_iter().filter(|permission| to & (1 << *permission as u8) != 0);
                let permissions = PermissionSets::from([(WORKFLOWS[workflow], names.collect())]);
                let change = MemberChange::Edit { member: number(of), name: None, permissions, suspended: None };
                self.asks(Some(by), Kind::Permissions { of, workflow, from, to }, Change::Members(change));
            }
            Step::Suspend { by, of, on } => {
                let change = MemberChange::Edit {
                    member: number(of),
                    name: None,
                    permissions: PermissionSets::new(),
                    suspended: Some(on),
                };
                self.asks(Some(by), Kind::Suspension { of, to: on }, Change::Members(change));
            }
            Step::Remove { by, of } => {
                let change = MemberChange::Remove { member: number(of) };
                self.asks(Some(by), Kind::Removal { of }, Change::Members(change));
            }
            Step::Rename { by } => {
                let from = self.model.renamed;
                let change = edited(Some(format!("Bot, {}", from + 1)), None);
                self.asks(Some(by), Kind::Rename { from }, Change::Keys(change));
            }
            Step::Key { by, to } => {
                let removed = KeyChange::Remove { service_user: ServiceUserId(1) };
                let change = to.map_or(removed, |on| edited(None, Some(!on)));
                self.asks(Some(by), Kind::Key { named: self.model.renamed, to }, Change::Keys(change));
            }
            Step::Address { by, add } => {
                let (asset, key) = (asset("BTC"), "cold-1".to_owned());
                let change = match add {
                    true => {
                        let (method, address) = ("BTC".to_owned(), "bc1qcold".to_owned());
                        AddressChange::Add { asset, address: WithdrawalAddress { key, method, address, tag: None } }
                    }
                    false => AddressChange::Remove { asset, key },
                };
                self.asks(Some(by), Kind::Address { add }, Change::Addresses(change));
            }
            _ => {
                let Step::Unfreeze { by } = *step else { return };
                let began = self.model.frozen.map_or(u64::MAX, |(_, at)| at);
                let change = Change::Unfreeze(Unfreeze { reason: "fine".to_owned() });
                self.asks(Some(by), Kind::Unfreeze { began }, change);
            }
        }
    }

    pub fn agree(&mut self) {
        // Codes take half a minute each; the stage's clock is the one that counts.
        self.stage.tick(0);
        // Rule 39: by a changed policy the time of what it ends may be over as well.
        for at in std::mem::take(&mut self.model.recounted) {
            if self.stage.now >= self.model.expires_at(&self.model.asked[at]) {
                self.model.asked[at].state = RequestState::Expired;
            }
        }
        for at in 0..self.model.asked.len() {
            let expired = self.stage.now >= self.model.expires_at(&self.model.asked[at]);
            let asked = &mut self.model.asked[at];
            if asked.state == RequestState::Pending && expired {
                asked.state = RequestState::Expired;
            }
        }
        for asked in &self.model.asked {
            let request = self.stage.request(asked.id);
            assert_eq!(request.state, asked.state, "{request:?}\n{:?}", self.model);
            let votes: Vec<(usize, bool, bool)> = request
                .votes
                .iter()
                .map(|vote| (vote.member.index(), vote.decision == Decision::Approve, vote.struck))
                .collect();
            assert_eq!(votes, asked.votes, "{:?}", self.model);
            if asked.state == RequestState::Pending {
                let verdict = request.policy.as_ref().unwrap();
                let (workflow, terms) = self.model.verdict(asked);
                let found = (verdict.workflow, verdict.quorum, verdict.reject_quorum, verdict.allow_execute);
                assert_eq!(found, (WORKFLOWS[workflow], terms.quorum, terms.reject, terms.execute));
                let found = (request.expires_at, verdict.exclude_key_managers);
                assert_eq!(found, (self.model.expires_at(asked), terms.exclude));
            }
        }
        for (of, person) in self.model.people.iter().enumerate() {
            let record = &self.stage.state().members.member(MemberId(u32::try_from(of).unwrap() + 1));
            assert_eq!(record.status == MemberStatus::Active, person.active);
        }
        assert_eq!(self.stage.state().freezes.get(OrganizationId(1)).is_some(), self.model.frozen.is_some());
        let listed = self.stage.state().withdrawals.listed(OrganizationId(1), AssetId(2), "cold-1");
        assert_eq!(listed.is_some(), self.model.listed);
    }
}

pub fn step() -> impl Strategy<Value = Step> {
    let who = 0..5usize;
    let workflow = prop_oneof![Just(ACCESS), Just(POLICIES), Just(ADDRESSES), Just(WITHDRAWAL)];
    let life_h = prop_oneof![Just(24), Just(LIFE_H)];
    let large = prop::option::weighted(0.3, 1..4u32);
    let terms = (1..4u32, large, 1..3u32, any::<bool>(), any::<bool>(), life_h);
    let terms = terms.prop_map(|(quorum, large, reject, execute, exclude, life_h)| Terms {
        quorum,
        large,
        reject,
        execute,
        exclude,
        life_h,
    });
    let key = prop_oneof![3 => Just(Some(false)), 6 => Just(Some(true)), 1 => Just(None)];
    prop_oneof![
        3 => any::<bool>().prop_map(Step::BotAsks),
        2 => (who.clone(), any::<bool>()).prop_map(|(by, large)| Step::MemberAsks(by, large)),
        12 => (who.clone(), any::<usize>(), prop::bool::weighted(0.8))
            .prop_map(|(by, which, approve)| Step::Vote { by, which, approve }),
        2 => (who.clone(), any::<usize>()).prop_map(|(by, which)| Step::Execute { by, which }),
        1 => (who.clone(), any::<usize>()).prop_map(|(by, which)| Step::Cancel { by, which }),
        3 => (who.clone(), workflow.clone(), terms).prop_map(|(by, workflow, terms)| Step::SetPolicy { by, workflow, terms }),
        1 => (who.clone(), workflow.clone()).prop_map(|(by, workflow)| Step::RemovePolicy { by, workflow }),
        3 => (who.clone(), who.clone(), workflow, any::<bool>())
            .prop_map(|(by, of, workflow, on)| Step::LetApprove { by, of, workflow, on }),
        2 => (who.clone(), who.clone(), any::<bool>()).prop_map(|(by, of, on)| Step::Suspend { by, of, on }),
        1 => (who.clone(), prop::bool::weighted(0.7)).prop_map(|(of, on)| Step::Verify { of, on }),
        1 => (who.clone(), who.clone()).prop_map(|(by, of)| Step::Remove { by, of }),
        1 => who.clone().prop_map(|by| Step::Rename { by }),
        2 => (who.clone(), key).prop_map(|(by, to)| Step::Key { by, to }),
        2 => (who.clone(), prop::bool::weighted(0.7)).prop_map(|(by, add)| Step::Address { by, add }),
        1 => any::<bool>().prop_map(Step::Strand),
        1 => who.clone().prop_map(|by| Step::Freeze { by }),
        2 => who.prop_map(|by| Step::Unfreeze { by }),
        2 => (1..100u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_and_the_model_agree(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.play(step);
            pair.agree();
        }
    }
}
