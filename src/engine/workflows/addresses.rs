//! Manage Addresses: withdrawals go to named, approved addresses only (rule 26).

use super::Action;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{AssetId, OrganizationId};
use crate::domain::text::AssetCode;
use crate::engine::event::Event;
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;
use crate::engine::venue::checked_name;
use crate::engine::withdrawals::WithdrawalAddress;

/// Bytes of an address or tag.
const ADDRESS_BYTES_MAX: usize = 128;

pub(super) fn check(
    state: &State,
    organization: OrganizationId,
    asset: &AssetCode,
    address: &WithdrawalAddress,
) -> Result<(Action, Canonical), Reject> {
    let asset = state.reference.find_asset(asset)?;
    checked_name("key", &address.key)?;
    if address.method != asset.method {
        return Err(Reject::field(Code::InvalidArguments, "method", "name the asset's method"));
    }
    let plain =
        |text: &str| (1..=ADDRESS_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(&address.address) || address.tag.as_deref().is_some_and(|tag| !plain(tag)) {
        return Err(Reject::field(Code::InvalidArguments, "address", "give 1 to 128 printable ASCII characters"));
    }
    recheck(state, organization, asset.id, address)?;
    let payload = Canonical::object([
        ("asset", Canonical::text(asset.code)),
        ("method", Canonical::text(&address.method)),
        ("key", Canonical::text(&address.key)),
        ("address", Canonical::text(&address.address)),
        ("tag", Canonical::optional(address.tag.as_ref())),
    ]);
    Ok((Action::AddAddress { asset: asset.id, address: address.clone() }, payload))
}

pub(super) fn recheck(
    state: &State,
    organization: OrganizationId,
    asset: AssetId,
    address: &WithdrawalAddress,
) -> Result<(), Reject> {
    match state.withdrawals.address(organization, asset, &address.key) {
        Ok(_) => Err(Reject::field(Code::Exists, "key", "choose another name")),
        Err(_) => Ok(()),
    }
}

pub(super) fn carry_out(
    t: &mut Transition<'_>,
    organization: OrganizationId,
    asset: AssetId,
    address: &WithdrawalAddress,
) {
    t.emit(Event::AddressAdded { organization, asset, address: address.clone() });
}
