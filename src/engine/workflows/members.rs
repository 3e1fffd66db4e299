//! Manage Access: Members are invited, edited, suspended, reset and removed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CredentialKind, Draft, GeneratedCredential, Governed, InitiationContext, difference, unchanged};
use crate::access::operation::Operation;
use crate::access::workflow::{Permission, Permissions, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{MemberId, OrganizationId};
use crate::domain::limits::{INVITATION_US, MEMBERS_MAX};
use crate::domain::time::Moment;
use crate::engine::approvals::{InitiatorId, Request};
use crate::engine::electorate::keeps_quorums;
use crate::engine::fields::check_name;
use crate::engine::members::{self, Invitation, Kyc, Member, MemberStatus};
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;

/// Permissions by workflow.
pub type PermissionSets = BTreeMap<Workflow, BTreeSet<Permission>>;

/// A change of Members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// `invite_member`
    Invite {
        /// Name shown to others.
        name: String,
        /// Sign-in name.
        email: String,
        /// What the Member may do.
        permissions: PermissionSets,
    },
    /// `edit_member`; `None` leaves a field as it is, and workflows that are not named stay as they are.
    Edit {
        /// Whom.
        member: MemberId,
        /// New name.
        name: Option<String>,
        /// New permissions of the workflows named.
        permissions: PermissionSets,
        /// Suspend, or end the suspension.
        suspended: Option<bool>,
    },
    /// `reset_member`: password and second factor are set again by an invitation (rule 38).
    Reset {
        /// Whom.
        member: MemberId,
    },
    /// `remove_member`
    Remove {
        /// Whom.
        member: MemberId,
    },
}

impl Governed for MemberChange {
    fn workflow(&self) -> Workflow {
        Workflow::ManageAccess
    }

    fn operation(&self) -> Operation {
        match self {
            MemberChange::Invite { .. } => Operation::InviteMember,
            MemberChange::Edit { .. } => Operation::EditMember,
            MemberChange::Reset { .. } => Operation::ResetMember,
            MemberChange::Remove { .. } => Operation::RemoveMember,
        }
    }

    fn needs(&self) -> CredentialKind {
        match self {
            MemberChange::Invite { .. } | MemberChange::Reset { .. } => CredentialKind::Invitation,
            MemberChange::Edit { .. } | MemberChange::Remove { .. } => CredentialKind::Nothing,
        }
    }

    fn about(&self) -> Option<MemberId> {
        match self {
            MemberChange::Invite { .. } => None,
            MemberChange::Edit { member, .. } | MemberChange::Reset { member } | MemberChange::Remove { member } => {
                Some(*member)
            }
        }
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        if self.needs() == CredentialKind::Invitation
            && !matches!(context.generated, Some(GeneratedCredential::Invitation { .. }))
        {
            return Err(Reject::invalid("invitation", "one must be drawn for it"));
        }
        self.sound(t.state(), context.organization, context.initiator.id(), context.strand_pending)?;
        self.payload(t.state(), context.organization).map(Draft::from)
    }

    fn recheck(&self, state: &State, request: &Request, _now: Moment) -> Result<(), Reject> {
        self.sound(state, request.organization, request.initiator.id(), request.strand_pending)?;
        unchanged(self.payload(state, request.organization)?, request)
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, _at_once: bool) {
        let invitation = match request.generated {
            Some(GeneratedCredential::Invitation { token_hash }) => {
                Some(Invitation { token_hash, expires_at: t.now().plus_us(INVITATION_US) })
            }
            _ => None,
        };
        let member = match self {
            MemberChange::Invite { name, email, permissions } => Member {
                name: name.clone(),
                email: email.to_lowercase(),
                permissions: granted(&Permissions::none(), permissions),
                invitation,
                ..Member::new(t.state().members.next_id(), request.organization)
            },
            // An open invitation stays valid.
            MemberChange::Edit { member, .. } => self.changed(t.state().members.member(*member)),
            MemberChange::Reset { member } | MemberChange::Remove { member } => {
                Member { invitation, ..self.changed(t.state().members.member(*member)) }
            }
        };
        members::put(t, member, request.id);
    }
}

impl MemberChange {
    /// The record with the change applied, except an invitation.
    fn changed(&self, before: &Member) -> Member {
        let before = before.clone();
        match self {
            MemberChange::Invite { .. } => before,
            MemberChange::Edit { name, permissions, suspended, .. } => Member {
                name: name.clone().unwrap_or(before.name),
                permissions: granted(&before.permissions, permissions),
                status: match suspended {
                    Some(true) => MemberStatus::Suspended,
                    Some(false) if before.status == MemberStatus::Suspended => MemberStatus::Active,
                    _ => before.status,
                },
                ..before
            },
            // Anybody might hold the new link: the person must be verified again before they may act.
            MemberChange::Reset { .. } => Member {
                status: MemberStatus::Invited,
                kyc: Kyc::Pending,
                password_hash: None,
                totp_sealed: None,
                ..before
            },
            MemberChange::Remove { .. } => {
                Member { status: MemberStatus::Removed, password_hash: None, totp_sealed: None, ..before }
            }
        }
    }

    /// Whether it may be done now, by this initiator.
    fn sound(
        &self,
        state: &State,
        organization: OrganizationId,
        initiator: InitiatorId,
        strand_pending: bool,
    ) -> Result<(), Reject> {
        let Some(id) = self.about() else {
            let MemberChange::Invite { name, email, .. } = self else { return Ok(()) };
            if state.members.of(organization).count() >= MEMBERS_MAX {
                return Err(Reject::advised(
                    Code::LimitReached,
                    format!("at most {MEMBERS_MAX} Members; remove one first"),
                ));
            }
            return members::check_names(state, name, email);
        };
        let before = state.members.find(organization, id)?;
        let after = self.changed(before);
        match self {
            MemberChange::Edit { name, suspended, .. } => {
                if let Some(name) = name {
                    check_name("name", name)?;
                }
                if *suspended == Some(true) && before.status == MemberStatus::Invited {
                    return Err(Reject::invalid(
                        "suspended",
                        "the Member has not signed up yet; remove the invitation instead",
                    ));
                }
                if differences(before, &after).is_empty() {
                    return Err(Reject::invalid("params", "name at least one change"));
                }
                if initiator == InitiatorId::Member(id) && raises(before, &after) {
                    return Err(Reject::field(Code::OwnRequest, "member_id", "another Member must ask for it"));
                }
            }
            MemberChange::Reset { .. } if before.status == MemberStatus::Suspended => {
                return Err(Reject::invalid("member_id", "the Member is suspended"));
            }
            MemberChange::Invite { .. } | MemberChange::Reset { .. } | MemberChange::Remove { .. } => {}
        }
        keeps_quorums(state, &after, strand_pending)
    }

    fn payload(&self, state: &State, organization: OrganizationId) -> Result<Canonical, Reject> {
        if let MemberChange::Invite { name, email, permissions } = self {
            let granted = granted(&Permissions::none(), permissions);
            let named = Workflow::ALL.map(|workflow| (workflow.name(), names(&granted, workflow)));
            return Ok(Canonical::object([
                ("name", Canonical::text(name)),
                ("email", Canonical::text(email.to_lowercase())),
                ("permissions", Canonical::object(named)),
            ]));
        }
        let Some(id) = self.about() else { return Ok(Canonical::Null) };
        let before = state.members.find(organization, id)?;
        let who = [
            ("member_id", Canonical::text(id)),
            ("name", Canonical::text(&before.name)),
            ("email", Canonical::text(&before.email)),
        ];
        let edits = matches!(self, MemberChange::Edit { .. });
        let changes = edits.then(|| ("changes", Canonical::List(differences(before, &self.changed(before)))));
        Ok(Canonical::object(who.into_iter().chain(changes)))
    }
}

fn granted(before: &Permissions, sets: &PermissionSets) -> Permissions {
    let mut after = before.clone();
    for (workflow, set) in sets {
        after.set(*workflow, set.iter().copied());
    }
    after
}

fn names(permissions: &Permissions, workflow: Workflow) -> Canonical {
    Canonical::List(permissions.of(workflow).map(|permission| Canonical::text(permission.name())).collect())
}

/// Whether a change gives a Member any new right.
fn raises(before: &Member, after: &Member) -> bool {
    let gained = |workflow: Workflow| {
        after.permissions.of(workflow).any(|permission| !before.permissions.hold(workflow, permission))
    };
    Workflow::ALL.into_iter().any(gained)
        || before.status == MemberStatus::Suspended && after.status == MemberStatus::Active
}

fn differences(before: &Member, after: &Member) -> Vec<Canonical> {
    let suspended = |member: &Member| Canonical::Bool(member.status == MemberStatus::Suspended);
    let mut all = vec![
        difference("name", Canonical::text(&before.name), Canonical::text(&after.name)),
        difference("suspended", suspended(before), suspended(after)),
    ];
    all.extend(Workflow::ALL.map(|workflow| {
        let field = format!("permissions.{}", workflow.name());
        difference(&field, names(&before.permissions, workflow), names(&after.permissions, workflow))
    }));
    all.into_iter().flatten().collect()
}
