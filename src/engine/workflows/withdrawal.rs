//! Initiate Withdrawal: funds are held while the request is open, and go to approved addresses only.

use serde::{Deserialize, Serialize};

use super::{Draft, Governed, InitiationContext};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::decimal::{Decimal, units_text};
use crate::domain::ids::OrganizationId;
use crate::domain::text::AssetCode;
use crate::domain::time::Moment;
use crate::engine::approvals::Request;
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;
use crate::engine::withdrawals::{self, Withdrawal, WithdrawalStatus};

/// A withdrawal, by a Member or a Service User.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalChange {
    /// Of which asset.
    pub asset: AssetCode,
    /// To which address, by name.
    pub key: String,
    /// Gross amount.
    pub amount: Decimal,
}

impl Governed for WithdrawalChange {
    fn workflow(&self) -> Workflow {
        Workflow::InitiateWithdrawal
    }

    fn operation(&self) -> Operation {
        Operation::InitiateWithdrawal
    }

    fn name(&self) -> &'static str {
        "withdraw"
    }

    fn allowed(&self, state: &State, organization: OrganizationId) -> Result<(), Reject> {
        state.freezes.admit_withdrawal(organization)
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        self.allowed(t.state(), context.organization)?;
        let withdrawal = withdrawals::planned(t, context, self)?;
        let planned = (withdrawal.account, withdrawal.asset, withdrawal.amount);
        let key = &withdrawal.address.key;
        let subject = withdrawals::subject(t.state(), planned, key, context.initiator.id(), t.now());
        let payload = payload(t.state(), &withdrawal);
        Ok(Draft { payload, subject: Some(subject), withdrawal: Some(Box::new(withdrawal)) })
    }

    fn recheck(&self, state: &State, request: &Request, now: Moment) -> Result<(), Reject> {
        self.allowed(state, request.organization)?;
        let withdrawal = request.withdrawal.and_then(|id| state.withdrawals.get(id));
        let withdrawal = withdrawal.filter(|found| found.status == WithdrawalStatus::Initial);
        let withdrawal = withdrawal.ok_or(Code::NotPending)?;
        let key = &withdrawal.address.key;
        if *state.withdrawals.address(withdrawal.organization, withdrawal.asset, key, now)? != withdrawal.address {
            return Err(Reject::field(Code::UnknownWithdrawKey, "key", "it names another address now"));
        }
        match withdrawal.held < withdrawal.amount {
            true => Err(Reject::of(Code::FundingInsufficient)),
            false => Ok(()),
        }
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, _at_once: bool) {
        if let Some(withdrawal) = request.withdrawal {
            withdrawals::release(t, withdrawal);
        }
    }
}

/// What an approver is shown: the address itself, so that its name cannot be made to mean another one.
fn payload(state: &State, withdrawal: &Withdrawal) -> Canonical {
    let asset = state.reference.asset(withdrawal.asset);
    let text = |units: i64| Canonical::text(units_text(units, asset.decimals));
    let Withdrawal { id, amount, fee, address, network, .. } = withdrawal;
    Canonical::object([
        ("refid", Canonical::text(id)),
        ("account", Canonical::text("main")),
        ("asset", Canonical::text(asset.code)),
        ("amount", text(amount.0)),
        ("fee", text(fee.0)),
        ("key", Canonical::text(&address.key)),
        ("address", Canonical::text(&address.address)),
        ("network", Canonical::text(network)),
        ("tag", Canonical::optional(address.tag.as_ref())),
    ])
}
