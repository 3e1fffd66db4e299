//! Initiate Withdrawal: funds are held from the request to its end, and go to approved addresses only.

use super::Draft;
use crate::domain::canonical::Canonical;
use crate::domain::decimal::{Decimal, units_text};
use crate::domain::ids::WithdrawalId;
use crate::domain::text::AssetCode;
use crate::engine::approvals::Initiator;
use crate::engine::caller::MemberCaller;
use crate::engine::command::Initiation;
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;
use crate::engine::withdrawals::{Withdrawal, WithdrawalStatus, planned, quoted};

/// A Member's withdrawal.
pub(super) fn check(
    t: &Transition<'_>,
    caller: MemberCaller,
    initiator: Initiator,
    initiation: &Initiation,
    asset: &AssetCode,
    key: &str,
    amount: Decimal,
) -> Result<Draft, Reject> {
    let (organization, account) = (caller.organization, caller.account);
    let (asset, amount, address) = quoted(t.state(), organization, account, asset, key, amount)?;
    let withdrawal = planned(t, organization, account, &asset, amount, address);
    let withdrawal = Withdrawal { client_id: initiation.client_id, ..withdrawal };
    Ok(Draft::withdrawal(t.state(), withdrawal, initiator, initiation.client_id))
}

/// Whether a withdrawal is what these words ask for.
pub(super) fn same(state: &State, id: WithdrawalId, asset: &AssetCode, key: &str, amount: Decimal) -> bool {
    state.withdrawals.get(id).is_some_and(|first| {
        let of = state.reference.asset(first.asset);
        of.code == *asset && first.address.key == key && amount.units(of.decimals) == Ok(first.amount.0)
    })
}

/// What an approver sees: where it goes is resolved, so that a name cannot come to mean something else.
pub(super) fn payload(state: &State, withdrawal: &Withdrawal) -> Canonical {
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

pub(super) fn recheck(state: &State, id: WithdrawalId) -> Result<(), Reject> {
    let withdrawal = state.withdrawals.get(id).filter(|found| found.status == WithdrawalStatus::Initial);
    let withdrawal = withdrawal.ok_or(Code::NotPending)?;
    let address = state.withdrawals.address(withdrawal.organization, withdrawal.asset, &withdrawal.address.key)?;
    if *address != withdrawal.address {
        return Err(Reject::field(Code::UnknownWithdrawKey, "key", "it names another address now"));
    }
    if withdrawal.held < withdrawal.amount {
        return Err(Reject::of(Code::FundingInsufficient));
    }
    Ok(())
}
