//! Organizations, their Members, invitations, Member sessions and one-time codes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::approvals::InitiatorId;
use super::caller::MemberCaller;
use super::command::Invitee;
use super::decisions;
use super::event::Event;
use super::fields::{check_email, check_name};
use super::policy::{Policy, PolicyTerms};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::roster::{Listed, Roster};
use super::sessions::{self, Sessions};
use super::state::State;
use super::transition::Transition;
use crate::access::Rights;
use crate::access::principal::Credential;
use crate::access::workflow::{Permission, Permissions, Workflow};
use crate::domain::ids::{AccountId, MemberId, OrganizationId, RequestId};
use crate::domain::limits::{FIRST_MEMBERS_MAX, INVITATION_US, ORGANIZATIONS_MAX};
use crate::domain::named::named;
use crate::domain::time::Moment;

/// An Organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its number.
    pub id: OrganizationId,
    /// Its name, unique on the server.
    pub name: String,
    /// Its accounts; the first is `main`.
    pub accounts: Vec<AccountId>,
}

named! {
    /// A Member's KYC status.
    pub enum Kyc {
        /// Not looked at yet.
        Pending = "pending",
        /// Verified: may act.
        Verified = "verified",
        /// Refused.
        Rejected = "rejected",
    }
}

named! {
    /// The state that a Member is in.
    pub enum MemberStatus {
        /// Invited; password or second factor not set.
        Invited = "invited",
        /// May sign in.
        Active = "active",
        /// May not sign in for now.
        Suspended = "suspended",
        /// Removed for good.
        Removed = "removed",
    }
}

/// The open invitation of a Member: single use, void after its time (rule 17).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Void from here.
    pub expires_at: Moment,
}

/// What a one-time code is spent on; each purpose has its own last step (rule 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CodePurpose {
    /// Signing in.
    SignIn,
    /// One action.
    Action,
}

/// A Member as it is now. Password and second factor are hashed and sealed; neither can be recovered from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The Member's number.
    pub id: MemberId,
    /// Where the Member belongs.
    pub organization: OrganizationId,
    /// Name shown to others.
    pub name: String,
    /// Sign-in name, unique on the server, lower case.
    pub email: String,
    /// The Member's status.
    pub status: MemberStatus,
    /// KYC status.
    pub kyc: Kyc,
    /// What the Member may do.
    pub permissions: Permissions,
    /// Argon2id hash in PHC form, once set.
    pub password_hash: Option<String>,
    /// TOTP secret sealed under the master key, once set.
    pub totp_sealed: Option<Vec<u8>>,
    /// The open invitation.
    pub invitation: Option<Invitation>,
    /// Last sign-in step spent.
    pub sign_in_step: u64,
    /// Last action step spent.
    pub action_step: u64,
}

impl Member {
    /// A Member who was invited just now and may do nothing yet.
    pub fn new(id: MemberId, organization: OrganizationId) -> Member {
        Member {
            id,
            organization,
            name: String::new(),
            email: String::new(),
            status: MemberStatus::Invited,
            kyc: Kyc::Pending,
            permissions: Permissions::none(),
            password_hash: None,
            totp_sealed: None,
            invitation: None,
            sign_in_step: 0,
            action_step: 0,
        }
    }

    /// What the Member holds.
    pub fn rights(&self) -> Rights<'_> {
        Rights::Member { permissions: &self.permissions, verified: self.kyc == Kyc::Verified }
    }

    /// Whether the Member may act in a workflow: active, verified and with the permission (rule 14).
    pub fn may(&self, workflow: Workflow, permission: Permission) -> bool {
        let acts = permission == Permission::View || self.kyc == Kyc::Verified;
        self.status == MemberStatus::Active && acts && self.permissions.hold(workflow, permission)
    }
}

impl Listed for Member {
    fn index(&self) -> usize {
        self.id.index()
    }

    fn organization(&self) -> OrganizationId {
        self.organization
    }
}

/// All Organizations, Members and sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    organizations: Vec<Organization>,
    names: BTreeSet<String>,
    /// The Organization of each account, by number.
    accounts: Vec<OrganizationId>,
    members: Roster<Member>,
    by_email: BTreeMap<String, MemberId>,
    by_invitation: BTreeMap<[u8; 32], MemberId>,
    sessions: Sessions,
}

impl Members {
    /// Folds an event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::OrganizationCreated(organization) => {
                self.accounts.extend(organization.accounts.iter().map(|_| organization.id));
                self.names.insert(organization.name.clone());
                self.organizations.push(organization.clone());
            }
            Event::MemberChanged(member) => {
                self.by_email.insert(member.email.clone(), member.id);
                let before = self.members.put((**member).clone());
                if let Some(before) = before.and_then(|before| before.invitation) {
                    self.by_invitation.remove(&before.token_hash);
                }
                self.by_invitation.extend(member.invitation.as_ref().map(|open| (open.token_hash, member.id)));
            }
            Event::CodeSpent { member, purpose, step } => {
                let Some(member) = self.members.get_mut(member.index()) else { return };
                match purpose {
                    CodePurpose::SignIn => member.sign_in_step = *step,
                    CodePurpose::Action => member.action_step = *step,
                }
            }
            Event::SessionOpened(session) => self.sessions.insert(session),
            Event::SessionClosed(session) => self.sessions.remove(session),
            _ => {}
        }
    }

    /// The Organization of a number that appears in a record.
    pub fn organization(&self, id: OrganizationId) -> &Organization {
        &self.organizations[id.index()]
    }

    /// Whether there is an Organization of that number.
    pub fn has(&self, id: OrganizationId) -> bool {
        (1..=self.organizations.len()).contains(&(id.0 as usize))
    }

    /// Whether there is an account of that number.
    pub fn has_account(&self, id: AccountId) -> bool {
        id.index() < self.accounts.len()
    }

    /// Whose account it is.
    pub fn organization_of(&self, account: AccountId) -> OrganizationId {
        self.accounts[account.index()]
    }

    /// The Member of a number that appears in a record.
    pub fn member(&self, id: MemberId) -> &Member {
        &self.members.all()[id.index()]
    }

    /// A Member of that Organization who is not removed.
    pub fn find(&self, organization: OrganizationId, id: MemberId) -> Result<&Member, Reject> {
        let found = self.members.all().get(id.index());
        let found = found.filter(|found| found.organization == organization && found.status != MemberStatus::Removed);
        found.ok_or_else(|| Reject::field(Code::UnknownSubject, "member_id", "name a Member of your Organization"))
    }

    /// The number of the Member who is invited next.
    pub fn next_id(&self) -> MemberId {
        MemberId::at(self.members.all().len())
    }

    /// The Members of an Organization that are not removed.
    pub fn of(&self, organization: OrganizationId) -> impl Iterator<Item = &Member> {
        self.members.of(organization).filter(|member| member.status != MemberStatus::Removed)
    }

    /// Every Member, by number.
    pub fn all(&self) -> &[Member] {
        self.members.all()
    }

    /// Their sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The Member whose session a cookie belongs to, if it is still open.
    pub fn session(&self, cookie_hash: &[u8; 32], now: Moment) -> Option<MemberId> {
        let session = self.sessions.get(cookie_hash)?;
        (now < session.ends_at).then_some(session.member)
    }

    /// The Member as a caller, if this session of theirs is open.
    pub fn admit(&self, id: MemberId, credential: Credential, now: Moment) -> Result<MemberCaller, Reject> {
        match credential {
            Credential::Session(cookie_hash) if self.session(&cookie_hash, now) == Some(id) => self.caller(id),
            _ => Err(Reject::of(Code::InvalidSession)),
        }
    }

    /// The Member as a caller, while signing in is allowed.
    pub fn caller(&self, id: MemberId) -> Result<MemberCaller, Reject> {
        let member = self.members.all().get(id.index()).filter(|member| member.status == MemberStatus::Active);
        let member = member.ok_or(Code::InvalidSession)?;
        let account = self.organization(member.organization).accounts[0];
        Ok(MemberCaller { id, organization: member.organization, account })
    }

    /// The Member who signs in with that address.
    pub fn by_email(&self, email: &str) -> Option<&Member> {
        self.by_email.get(&email.to_lowercase()).map(|id| self.member(*id))
    }

    /// Whether two Members are one person: who was removed and invited again has another number, but the same e-mail
    /// address.
    pub fn are_one_person(&self, one: MemberId, other: MemberId) -> bool {
        self.member(one).email == self.member(other).email
    }

    /// What a Member holds.
    pub fn rights(&self, id: MemberId) -> Rights<'_> {
        self.member(id).rights()
    }

    /// Whether a Member may act in a workflow now: active, verified and with the permission (rule 14).
    pub fn may(&self, id: MemberId, workflow: Workflow, permission: Permission) -> bool {
        self.member(id).may(workflow, permission)
    }

    /// The Member whose open invitation has this token.
    pub fn invited(&self, token_hash: &[u8; 32], now: Moment) -> Option<&Member> {
        let member = self.member(*self.by_invitation.get(token_hash)?);
        member.invitation.as_ref().is_some_and(|open| now < open.expires_at).then_some(member)
    }
}

/// Whether a verified code may still be spent on that purpose (rule 15). The waiting time in a refusal is by the wall
/// clock, which the Member reads and which may be behind the stamp.
pub fn check_code(t: &Transition<'_>, id: MemberId, purpose: CodePurpose, step: u64) -> Result<(), Reject> {
    let member = t.state().members.member(id);
    let last = match purpose {
        CodePurpose::SignIn => member.sign_in_step,
        CodePurpose::Action => member.action_step,
    };
    if step > last {
        return Ok(());
    }
    let wait = ((last + 1) * 30).saturating_sub(t.clock().0 / 1_000_000).max(1);
    Err(Reject::field(Code::CodeUsed, "otp", format!("wait {wait} s for the next code")))
}

/// Whether a new Member may have this name and address; a removed Member's address is free again.
pub fn check_names(state: &State, name: &str, email: &str) -> Result<(), Reject> {
    check_name("name", name)?;
    check_email("email", email)?;
    let taken = state.members.by_email(email).is_some_and(|member| member.status != MemberStatus::Removed);
    if taken {
        return Err(Reject::field(Code::Exists, "email", "give an address that no other Member has"));
    }
    Ok(())
}

/// Puts a Member's changed record into force for request `by`, with everything that follows in the same journal entry:
/// sessions end, votes are struck, and the requests of a removed Member are canceled (rules 16, 22).
pub fn put(t: &mut Transition<'_>, member: Member, by: RequestId) {
    let (id, organization, status) = (member.id, member.organization, member.status);
    t.emit(Event::MemberChanged(Box::new(member)));
    if status != MemberStatus::Active {
        sessions::close_all_of(t, id);
    }
    decisions::strike_votes(t, organization);
    if status == MemberStatus::Removed {
        decisions::cancel_of(t, organization, InitiatorId::Member(id), Some(by), "its initiator has left");
    }
}

/// The refusal of an invalid invitation.
pub fn not_invited() -> Reject {
    Reject::field(
        Code::UnknownSubject,
        "token",
        "the invitation is not approved yet, was used or has run out; ask who sent it",
    )
}

fn invited(t: &Transition<'_>, token_hash: &[u8; 32]) -> Result<Member, Reject> {
    t.state().members.invited(token_hash, t.now()).cloned().ok_or_else(not_invited)
}

/// An invited Member chose a password and was given a second factor. May be repeated until it is confirmed.
pub fn accept_invitation(
    t: &mut Transition<'_>,
    token_hash: [u8; 32],
    password_hash: &str,
    totp_sealed: &[u8],
) -> Result<Reply, Reject> {
    let mut member = invited(t, &token_hash)?;
    member.password_hash = Some(password_hash.to_owned());
    member.totp_sealed = Some(totp_sealed.to_vec());
    t.emit(Event::MemberChanged(Box::new(member.clone())));
    Ok(Reply::Member(Box::new(member)))
}

/// The invited Member proved the second factor and may sign in from now on.
pub fn confirm_invitation(
    t: &mut Transition<'_>,
    token_hash: [u8; 32],
    totp_sealed: &[u8],
    step: u64,
) -> Result<Reply, Reject> {
    let mut member = invited(t, &token_hash)?;
    // Since the code was checked, the password may have been set again, and a new TOTP secret with it.
    if member.totp_sealed.as_deref() != Some(totp_sealed) {
        return Err(Reject::invalid("otp", "give a code of the secret that came with the last password"));
    }
    check_code(t, member.id, CodePurpose::SignIn, step)?;
    member.invitation = None;
    member.status = MemberStatus::Active;
    member.sign_in_step = step;
    t.emit(Event::MemberChanged(Box::new(member.clone())));
    Ok(Reply::Member(Box::new(member)))
}

/// `create_organization`: its first Members get all rights; with two or more, all workflows start with a
/// quorum of one (rule 17).
pub fn create_organization(t: &mut Transition<'_>, name: &str, invitees: &[Invitee]) -> Result<Reply, Reject> {
    let members = &t.state().members;
    if members.organizations.len() >= ORGANIZATIONS_MAX {
        return Err(Reject::advised(Code::LimitReached, format!("at most {ORGANIZATIONS_MAX} Organizations")));
    }
    check_name("name", name)?;
    if members.names.contains(name) {
        return Err(Reject::field(Code::Exists, "name", "choose another name"));
    }
    if !(1..=FIRST_MEMBERS_MAX).contains(&invitees.len()) {
        return Err(Reject::invalid("members", "name 1 to 20"));
    }
    for (at, invitee) in invitees.iter().enumerate() {
        check_names(t.state(), &invitee.name, &invitee.email)?;
        let email = invitee.email.to_lowercase();
        if invitees[..at].iter().any(|other| other.email.to_lowercase() == email) {
            return Err(Reject::field(Code::Exists, "email", "give each Member an address of their own"));
        }
    }
    let organization = Organization {
        id: OrganizationId::at(members.organizations.len()),
        name: name.to_owned(),
        accounts: vec![AccountId::at(members.accounts.len())],
    };
    let first = members.members.all().len();
    let expires_at = t.now().plus_us(INVITATION_US);
    let invite = |(at, invitee): (usize, &Invitee)| Member {
        name: invitee.name.clone(),
        email: invitee.email.to_lowercase(),
        permissions: Permissions::all(),
        invitation: Some(Invitation { token_hash: invitee.token_hash, expires_at }),
        ..Member::new(MemberId::at(first + at), organization.id)
    };
    let invited: Vec<Member> = invitees.iter().enumerate().map(invite).collect();
    t.emit(Event::OrganizationCreated(organization.clone()));
    invited.iter().for_each(|member| t.emit(Event::MemberChanged(Box::new(member.clone()))));
    if invited.len() >= 2 {
        for workflow in Workflow::ALL {
            t.emit(Event::PolicySet(Policy {
                organization: organization.id,
                workflow,
                version: 1,
                terms: PolicyTerms::of(1),
            }));
        }
    }
    Ok(Reply::Organization(Box::new(organization), invited))
}

/// `set_kyc`. A Member who is no longer verified does not count: votes on pending requests are struck (rule 22).
pub fn set_kyc(t: &mut Transition<'_>, member: MemberId, kyc: Kyc) -> Result<Reply, Reject> {
    let found =
        t.state().members.members.all().get(member.index()).filter(|found| found.status != MemberStatus::Removed);
    let unknown = || Reject::field(Code::UnknownSubject, "member_id", "name a Member");
    let member = Member { kyc, ..found.ok_or_else(unknown)?.clone() };
    t.emit(Event::MemberChanged(Box::new(member.clone())));
    decisions::strike_votes(t, member.organization);
    Ok(Reply::Member(Box::new(member)))
}
