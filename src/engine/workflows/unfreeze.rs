//! Manage Access: the end of a freeze, never by one Member alone (rule 27).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Draft, Governed, InitiationContext, unchanged};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{MemberId, OrganizationId};
use crate::domain::time::Moment;
use crate::engine::approvals::Request;
use crate::engine::event::Event;
use crate::engine::fields::check_comment;
use crate::engine::policy::{Policies, Policy, PolicyTerms};
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;

/// `unfreeze`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfreeze {
    /// Why.
    pub reason: String,
}

impl Governed for Unfreeze {
    fn workflow(&self) -> Workflow {
        Workflow::ManageAccess
    }

    fn operation(&self) -> Operation {
        Operation::Unfreeze
    }

    fn last_resort<'a>(&self, state: &'a State, organization: OrganizationId) -> &'a [MemberId] {
        state.freezes.members(organization)
    }

    /// Needs votes even if no policy governs, and never allows Execute.
    fn governing<'p>(&self, policies: &'p Policies, organization: OrganizationId) -> Option<Cow<'p, Policy>> {
        let workflow = Workflow::ManageAccess;
        let own = policies.get(organization, workflow).cloned();
        let mut policy = own.unwrap_or(Policy { organization, workflow, version: 0, terms: PolicyTerms::of(1) });
        policy.terms.allow_execute = false;
        Some(Cow::Owned(policy))
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        check_comment("reason", Some(&self.reason))?;
        self.payload(t.state(), context.organization).map(Draft::from)
    }

    fn recheck(&self, state: &State, request: &Request, _now: Moment) -> Result<(), Reject> {
        unchanged(self.payload(state, request.organization)?, request)
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, _at_once: bool) {
        t.emit(Event::Unfrozen { organization: request.organization });
    }
}

impl Unfreeze {
    fn payload(&self, state: &State, organization: OrganizationId) -> Result<Canonical, Reject> {
        let nothing = || Reject::field(Code::NotFrozen, "organization", "there is no freeze to end");
        let freeze = state.freezes.get(organization).ok_or_else(nothing)?;
        Ok(Canonical::object([
            ("scope", Canonical::text(freeze.scope.name())),
            ("frozen_at", Canonical::text(freeze.at)),
            ("frozen_by", Canonical::text(&state.members.member(freeze.by).name)),
            ("frozen_for", Canonical::text(&freeze.reason)),
            ("reason", Canonical::text(&self.reason)),
        ]))
    }
}
