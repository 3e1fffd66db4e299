//! Members' sessions: signing in opens one; signing out, its time, or a Member who may not act any more ends it (rule 16).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::members::{CodePurpose, check_code};
use super::reject::{Code, Reject};
use super::reply::{Bound, Reply};
use super::transition::Transition;
use crate::access::principal::{Actor, Credential};
use crate::domain::ids::{MemberId, OrganizationId};
use crate::domain::limits::MEMBER_SESSION_US;
use crate::domain::time::Moment;

/// A Member's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSession {
    /// SHA-256 of the cookie.
    pub cookie_hash: [u8; 32],
    /// The Member.
    pub member: MemberId,
    /// The Member's Organization.
    pub organization: OrganizationId,
    /// Absolute end.
    pub ends_at: Moment,
}

/// All open sessions, those over included until Tick ends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    all: BTreeMap<[u8; 32], MemberSession>,
    by_member: BTreeSet<(MemberId, [u8; 32])>,
    by_end: BTreeSet<(Moment, [u8; 32])>,
}

impl Sessions {
    /// Folds a new session in.
    pub fn insert(&mut self, session: &MemberSession) {
        self.by_member.insert((session.member, session.cookie_hash));
        self.by_end.insert((session.ends_at, session.cookie_hash));
        self.all.insert(session.cookie_hash, session.clone());
    }

    /// Folds the end of a session in.
    pub fn remove(&mut self, session: &MemberSession) {
        self.by_member.remove(&(session.member, session.cookie_hash));
        self.by_end.remove(&(session.ends_at, session.cookie_hash));
        self.all.remove(&session.cookie_hash);
    }

    /// Every open session.
    pub fn all(&self) -> impl Iterator<Item = &MemberSession> {
        self.all.values()
    }

    /// The session that a cookie belongs to.
    pub fn get(&self, cookie_hash: &[u8; 32]) -> Option<&MemberSession> {
        self.all.get(cookie_hash)
    }

    /// The open sessions of a Member.
    fn of(&self, member: MemberId) -> impl Iterator<Item = &MemberSession> {
        let hashes = self.by_member.range((member, [0; 32])..=(member, [u8::MAX; 32]));
        hashes.filter_map(|(_, cookie_hash)| self.get(cookie_hash))
    }

    /// The session whose time was over first, if one's is.
    fn due(&self, now: Moment) -> Option<&MemberSession> {
        let (_, cookie_hash) = self.by_end.first().filter(|(at, _)| *at <= now)?;
        self.get(cookie_hash)
    }
}

/// Signs a Member in: password and code were verified, and the code is spent here.
pub fn open(t: &mut Transition<'_>, member: MemberId, step: u64, cookie_hash: [u8; 32]) -> Result<Reply, Reject> {
    let organization = t.state().members.caller(member)?.organization;
    check_code(t, member, CodePurpose::SignIn, step)?;
    let ends_at = t.now().plus_us(MEMBER_SESSION_US);
    t.emit(Event::CodeSpent { member, purpose: CodePurpose::SignIn, step });
    t.emit(Event::SessionOpened(MemberSession { cookie_hash, member, organization, ends_at }));
    Ok(Reply::Bound(Bound::of(Actor::Member(member), Credential::Session(cookie_hash), t.state().seq)))
}

/// Signs a Member out.
pub fn close(t: &mut Transition<'_>, cookie_hash: [u8; 32]) -> Result<Reply, Reject> {
    let session = t.state().members.sessions().get(&cookie_hash).cloned().ok_or(Code::InvalidSession)?;
    t.emit(Event::SessionClosed(session));
    Ok(Reply::Done)
}

/// Ends every session of a Member.
pub fn close_all_of(t: &mut Transition<'_>, member: MemberId) {
    let open: Vec<MemberSession> = t.state().members.sessions().of(member).cloned().collect();
    open.into_iter().for_each(|session| t.emit(Event::SessionClosed(session)));
}

/// Ends the sessions whose absolute time is over.
pub fn tick(t: &mut Transition<'_>) {
    while !t.is_long()
        && let Some(session) = t.state().members.sessions().due(t.now()).cloned()
    {
        t.emit(Event::SessionClosed(session));
    }
}
