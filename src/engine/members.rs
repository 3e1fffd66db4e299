//! Organizations, their Members, invitations, Member sessions and one-time codes.

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::access::workflow::Permissions;
use crate::domain::ids::{AccountId, MemberId, OrganizationId};
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

/// A Member's KYC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kyc {
    /// Not looked at yet.
    Pending,
    /// Verified: may act.
    Verified,
    /// Refused.
    Rejected,
}

/// How far a Member has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberStatus {
    /// Invited; password or second factor not set.
    Invited,
    /// May sign in.
    Active,
    /// May not sign in for now.
    Suspended,
    /// Gone.
    Removed,
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

/// A Member as it stands. Password and second factor are hashed and sealed; neither can be read back here.
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
    /// How far along.
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

/// A Member's session (rule 16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSession {
    /// SHA-256 of the cookie.
    pub cookie_hash: [u8; 32],
    /// Whose.
    pub member: MemberId,
    /// Absolute end.
    pub ends_at: Moment,
}

/// All Organizations, Members and sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Members {}

impl Members {
    /// Folds an event in.
    pub fn apply(&mut self, _event: &Event) {}
}
