//! A small model of the governance rules, independent of the engine: who may ask, whose vote counts, what a policy
//! requires. `agreement.rs` runs both against each other.

use countersign::domain::ids::RequestId;
use countersign::domain::time::Moment;
use countersign::engine::approvals::RequestState;

pub const VIEW: u8 = 1;
pub const INITIATE: u8 = 2;
pub const APPROVE: u8 = 4;
pub const EXECUTE: u8 = 8;
pub const ACCESS: usize = 0;
pub const POLICIES: usize = 1;
pub const ADDRESSES: usize = 2;
pub const WITHDRAWAL: usize = 3;
pub const HOUR: u64 = 3_600_000_000;
pub const LIFE_H: u64 = 7 * 24;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    pub quorum: u32,
    /// Of large withdrawals, by a rule; no other policy has one.
    pub large: Option<u32>,
    pub reject: u32,
    pub execute: bool,
    pub exclude: bool,
    pub life_h: u64,
}

impl Terms {
    /// Rule 21: the terms for one request.
    fn of(self, kind: &Kind) -> Terms {
        let large = self.large.filter(|_| *kind == Kind::Withdraw { large: true });
        Terms { quorum: large.unwrap_or(self.quorum), large: None, ..self }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Withdraw {
        large: bool,
    },
    Policy {
        workflow: usize,
        from: Option<Terms>,
        to: Option<Terms>,
    },
    Permissions {
        of: usize,
        workflow: usize,
        from: u8,
        to: u8,
    },
    Suspension {
        of: usize,
        to: bool,
    },
    Removal {
        of: usize,
    },
    Rename {
        from: u32,
    },
    /// Of the bot's key, by its name: turned on or off, or removed.
    Key {
        named: u32,
        to: Option<bool>,
    },
    /// Of the one address that withdrawals go to.
    Address {
        add: bool,
    },
    Unfreeze {
        began: u64,
    },
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub id: RequestId,
    pub kind: Kind,
    /// `None` is the bot.
    pub by: Option<usize>,
    pub pinned: (usize, Terms),
    pub at: Moment,
    /// Whether it may leave requests without approvers.
    pub strands: bool,
    /// Member, approval, struck.
    pub votes: Vec<(usize, bool, bool)>,
    pub state: RequestState,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub permissions: [u8; 4],
    pub active: bool,
    pub removed: bool,
    pub verified: bool,
}

/// The rules as a page would say them.
#[derive(Clone, Debug)]
pub struct Model {
    pub people: Vec<Person>,
    pub policies: [Option<Terms>; 4],
    pub asked: Vec<Asked>,
    /// Whether the bot's key is on; `None` once it is removed.
    pub key: Option<bool>,
    /// Who edited the bot's key last.
    pub editor: Option<usize>,
    /// Who froze, and when.
    pub frozen: Option<(usize, u64)>,
    pub renamed: u32,
    /// Whether there is an address to withdraw to.
    pub listed: bool,
    /// Whether Members ask for changes that may leave requests without approvers.
    pub strands: bool,
    /// The requests that a changed policy has just ended.
    pub recounted: Vec<usize>,
    pub steps: u64,
}

impl Model {
    pub fn may(&self, of: usize, workflow: usize, permission: u8) -> bool {
        let person = &self.people[of];
        person.active && (permission == VIEW || person.verified) && person.permissions[workflow] & permission != 0
    }

    pub fn approvers(&self, workflow: usize) -> Vec<usize> {
        (0..self.people.len()).filter(|of| self.may(*of, workflow, APPROVE)).collect()
    }

    pub fn workflow(kind: &Kind) -> usize {
        match kind {
            Kind::Withdraw { .. } => WITHDRAWAL,
            Kind::Policy { .. } => POLICIES,
            Kind::Address { .. } => ADDRESSES,
            _ => ACCESS,
        }
    }

    /// Whether `by` may ask for it.
    fn entitled(&self, by: Option<usize>, kind: &Kind) -> bool {
        by.map_or(self.key == Some(true), |by| self.may(by, Model::workflow(kind), INITIATE))
    }

    /// Rules 18, 23 and 27.
    pub fn governing(&self, kind: &Kind) -> Option<(usize, Terms)> {
        let own = Model::workflow(kind);
        let present = self.policies[own].map(|terms| (own, terms.of(kind)));
        match kind {
            Kind::Policy { workflow: WITHDRAWAL, to, .. } if present.is_none() => {
                let now = self.policies[WITHDRAWAL]?;
                let tighter = to.is_some_and(|to| {
                    to.quorum >= now.quorum
                        && to.large == now.large
                        && to.reject == now.reject
                        && (now.execute || !to.execute)
                        && (to.exclude || !now.exclude)
                        && to.life_h <= now.life_h
                });
                (!tighter).then_some((WITHDRAWAL, Terms { execute: false, ..now.of(kind) }))
            }
            Kind::Unfreeze { .. } => {
                let usual = Terms { quorum: 1, large: None, reject: 1, execute: false, exclude: true, life_h: LIFE_H };
                let (_, terms) = present.unwrap_or((ACCESS, usual));
                Some((ACCESS, Terms { execute: false, ..terms }))
            }
            _ => present,
        }
    }

    /// Rule 20.
    pub fn verdict(&self, asked: &Asked) -> (usize, Terms) {
        let (workflow, pinned) = asked.pinned;
        let terms = self.governing(&asked.kind).map_or(pinned, |(_, present)| Terms {
            quorum: pinned.quorum.max(present.quorum),
            large: None,
            reject: pinned.reject.min(present.reject),
            execute: pinned.execute && present.execute,
            exclude: pinned.exclude || present.exclude,
            life_h: pinned.life_h.min(present.life_h),
        });
        (workflow, terms)
    }

    pub fn expires_at(&self, asked: &Asked) -> Moment {
        let (_, terms) = self.verdict(asked);
        asked.at.plus_us(terms.life_h * HOUR)
    }

    pub fn about(kind: &Kind) -> Option<usize> {
        match kind {
            Kind::Permissions { of, .. } | Kind::Suspension { of, .. } | Kind::Removal { of } => Some(*of),
            _ => None,
        }
    }

    /// Rules 22, 23 and 27: whether a vote counts.
    pub fn counts(&self, asked: &Asked, of: usize) -> bool {
        let (workflow, terms) = self.verdict(asked);
        let manages = asked.by.is_none() && terms.exclude && self.editor == Some(of);
        let others = self.approvers(workflow).into_iter().any(|other| other != of && Some(other) != asked.by);
        let froze = matches!(asked.kind, Kind::Unfreeze { .. }) && self.frozen.is_some_and(|(by, _)| by == of);
        asked.by != Some(of)
            && self.may(of, workflow, APPROVE)
            && Model::about(&asked.kind) != Some(of)
            && !manages
            && !(froze && others)
    }

    pub fn sees(&self, asked: &Asked, of: usize) -> bool {
        let (workflow, _) = self.verdict(asked);
        let views = |workflow| self.may(of, workflow, VIEW);
        views(Model::workflow(&asked.kind)) || views(workflow) || asked.by == Some(of)
    }

    /// The votes for or against that count.
    fn votes(&self, asked: &Asked, approve: bool) -> u32 {
        let counts = |(of, way, struck): &&(usize, bool, bool)| *way == approve && !struck && self.counts(asked, *of);
        asked.votes.iter().filter(counts).count() as u32
    }

    fn has_voted(asked: &Asked, of: usize) -> bool {
        asked.votes.iter().any(|(voter, _, struck)| *voter == of && !struck)
    }

    /// Whether a request could still get the votes that it lacks.
    fn can_pass(&self, asked: &Asked) -> bool {
        let (_, terms) = self.verdict(asked);
        let open = (0..self.people.len()).filter(|of| self.counts(asked, *of) && !Model::has_voted(asked, *of));
        self.votes(asked, true) + open.count() as u32 >= terms.quorum
    }

    /// Rule 23: whether a change would leave pending requests without approvers, except the request that makes it.
    fn strands(&self, kind: &Kind, by: Option<usize>, own: Option<RequestId>) -> bool {
        let mut after = self.clone();
        after.apply(kind, by);
        let pending = self.asked.iter().zip(&after.asked).filter(|(now, _)| now.state == RequestState::Pending);
        let mut others = pending.filter(|(now, _)| Some(now.id) != own);
        others.any(|(now, then)| self.can_pass(now) && !after.can_pass(then))
    }

    /// Whether a change asked for by `by` is valid now; `own` is the request that makes it.
    pub fn sound(&self, kind: &Kind, by: Option<usize>, strands: bool, own: Option<RequestId>) -> bool {
        let keeps_approvers = || strands || !self.strands(kind, by, own);
        match kind {
            Kind::Withdraw { .. } => self.frozen.is_none() && self.listed,
            Kind::Policy { workflow, from, to } => {
                self.policies[*workflow] == *from
                    && (from.is_some() || to.is_some())
                    && to.is_none_or(|to| self.lacking(*workflow, to) == 0)
                    && keeps_approvers()
            }
            Kind::Permissions { of, workflow, from, to } => {
                let gains = to & !from != 0;
                !self.people[*of].removed
                    && self.people[*of].permissions[*workflow] == *from
                    && from != to
                    && !(gains && by == Some(*of))
                    && self.keeps_quorums(kind)
                    && keeps_approvers()
            }
            Kind::Suspension { of, to } => {
                let Person { active, removed, .. } = self.people[*of];
                !removed && active == *to && self.keeps_quorums(kind) && keeps_approvers()
            }
            Kind::Removal { of } => !self.people[*of].removed && self.keeps_quorums(kind) && keeps_approvers(),
            Kind::Rename { from } => self.key.is_some() && self.renamed == *from && keeps_approvers(),
            Kind::Key { named, to } => {
                let differs = to.map_or(self.key.is_some(), |on| self.key == Some(!on));
                // If the key stops, its requests end.
                differs && self.renamed == *named && (*to != Some(true) || keeps_approvers())
            }
            Kind::Address { add } => self.listed != *add,
            Kind::Unfreeze { began } => self.frozen.is_some_and(|(_, at)| at == *began),
        }
    }

    /// Rule 23: how many votes a policy requires beyond those that a request could get.
    pub fn lacking(&self, workflow: usize, terms: Terms) -> usize {
        let approvers = self.approvers(workflow);
        let members = (0..self.people.len()).filter(|of| self.may(*of, workflow, INITIATE));
        let of_members = members.map(|by| approvers.iter().filter(|voter| **voter != by).count());
        let managed = |voter: &usize| terms.exclude && self.editor == Some(*voter);
        let asks = workflow == WITHDRAWAL && self.key == Some(true);
        let of_bot = asks.then(|| approvers.iter().filter(|voter| !managed(voter)).count());
        let quorum = terms.quorum.max(terms.large.unwrap_or(0));
        (quorum as usize).saturating_sub(of_members.chain(of_bot).max().unwrap_or(0))
    }

    pub fn keeps_quorums(&self, kind: &Kind) -> bool {
        let mut after = self.clone();
        after.apply(kind, None);
        (0..4).all(|workflow| {
            let lacking = |model: &Model| model.policies[workflow].map_or(0, |terms| model.lacking(workflow, terms));
            lacking(&after) <= lacking(self)
        })
    }

    pub fn apply(&mut self, kind: &Kind, by: Option<usize>) {
        match kind {
            Kind::Withdraw { .. } => {}
            Kind::Policy { workflow, to, .. } => {
                self.policies[*workflow] = *to;
                self.recount();
            }
            Kind::Permissions { of, workflow, to, .. } => self.people[*of].permissions[*workflow] = *to,
            Kind::Suspension { of, to } => self.people[*of].active = !to,
            Kind::Removal { of } => {
                (self.people[*of].active, self.people[*of].removed) = (false, true);
                self.end(RequestState::Canceled, |asked| asked.by == Some(*of));
            }
            Kind::Rename { .. } => {
                self.renamed += 1;
                self.editor = by;
            }
            Kind::Key { to, .. } => {
                self.key = *to;
                self.editor = to.map_or(self.editor, |_| by);
                // Rule 9.
                self.end(RequestState::Canceled, |asked| *to != Some(true) && asked.by.is_none());
            }
            Kind::Address { add } => {
                self.listed = *add;
                // Rule 26.
                self.end(RequestState::Failed, |asked| !add && matches!(asked.kind, Kind::Withdraw { .. }));
            }
            Kind::Unfreeze { .. } => self.frozen = None,
        }
        self.strike();
    }

    /// Ends requests that are pending.
    fn end(&mut self, state: RequestState, which: impl Fn(&Asked) -> bool) {
        let pending = self.asked.iter_mut().filter(|asked| asked.state == RequestState::Pending);
        pending.filter(|asked| which(asked)).for_each(|asked| asked.state = state);
    }

    /// Rule 20: under a changed policy the votes against a request may now be enough.
    fn recount(&mut self) {
        for at in 0..self.asked.len() {
            let asked = &self.asked[at];
            let (_, terms) = self.verdict(asked);
            if asked.state == RequestState::Pending && self.votes(asked, false) >= terms.reject {
                self.asked[at].state = RequestState::Rejected;
                self.recounted.push(at);
            }
        }
    }

    pub fn strike(&mut self) {
        for at in 0..self.asked.len() {
            if self.asked[at].state != RequestState::Pending {
                continue;
            }
            let (workflow, _) = self.verdict(&self.asked[at]);
            for vote in 0..self.asked[at].votes.len() {
                let voter = self.asked[at].votes[vote].0;
                self.asked[at].votes[vote].2 |= !self.may(voter, workflow, APPROVE);
            }
        }
    }

    pub fn asks(&mut self, by: Option<usize>, kind: Kind) -> Option<(Kind, Option<(usize, Terms)>)> {
        if !self.entitled(by, &kind) || !self.sound(&kind, by, self.strands, None) {
            return None;
        }
        let governing = self.governing(&kind);
        if governing.is_none() {
            self.apply(&kind, by);
        }
        Some((kind, governing))
    }

    /// Rule 25: an approved change is carried out if it is still sound.
    pub fn complete(&mut self, at: usize, state: RequestState) {
        let Asked { id, kind, by, strands, .. } = self.asked[at].clone();
        if self.entitled(by, &kind) && self.sound(&kind, by, strands, Some(id)) {
            self.asked[at].state = state;
            self.apply(&kind, by);
        } else {
            self.asked[at].state = RequestState::Failed;
        }
    }

    pub fn open(&self, by: usize, which: usize) -> bool {
        self.people[by].active && self.asked[which].state == RequestState::Pending && self.sees(&self.asked[which], by)
    }

    pub fn vote(&mut self, by: usize, which: usize, approve: bool) -> bool {
        let asked = &self.asked[which];
        // Whoever approved may do so again while the request has enough approvals.
        let again = asked.votes.iter().any(|(voter, approved, struck)| {
            let enough = || approve && *approved && self.votes(asked, true) >= self.verdict(asked).1.quorum;
            *voter == by && !struck && !enough()
        });
        let stopped = approve && matches!(asked.kind, Kind::Withdraw { .. }) && self.frozen.is_some();
        if !self.people[by].verified || !self.open(by, which) || !self.counts(asked, by) || again || stopped {
            return false;
        }
        self.asked[which].votes.retain(|(voter, _, struck)| *voter != by || *struck);
        self.asked[which].votes.push((by, approve, false));
        let asked = &self.asked[which];
        let (_, terms) = self.verdict(asked);
        if self.votes(asked, false) >= terms.reject {
            self.asked[which].state = RequestState::Rejected;
        } else if approve && self.votes(asked, true) >= terms.quorum {
            self.complete(which, RequestState::Approved);
        }
        true
    }

    pub fn execute(&mut self, by: usize, which: usize) -> bool {
        let asked = &self.asked[which];
        let (workflow, terms) = self.verdict(asked);
        let stopped = matches!(asked.kind, Kind::Withdraw { .. }) && self.frozen.is_some();
        let subject = Model::about(&asked.kind) == Some(by) && asked.by != Some(by);
        let allowed = asked.by.is_some() && terms.execute && self.may(by, workflow, EXECUTE);
        if !self.people[by].verified || !self.open(by, which) || !allowed || subject || stopped {
            return false;
        }
        if self.votes(&self.asked[which], false) >= terms.reject {
            self.asked[which].state = RequestState::Rejected;
        } else {
            self.complete(which, RequestState::Executed);
        }
        true
    }
}
