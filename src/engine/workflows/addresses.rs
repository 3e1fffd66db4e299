//! Manage Addresses: withdrawals go to named, approved addresses only (rule 26).

use serde::{Deserialize, Serialize};

use super::{Draft, Governed, InitiationContext, unchanged};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{OrganizationId, RequestId};
use crate::domain::limits::ADDRESSES_MAX;
use crate::domain::text::AssetCode;
use crate::domain::time::Moment;
use crate::engine::approvals::{Request, RequestState};
use crate::engine::decisions;
use crate::engine::event::Event;
use crate::engine::fields::{check_address, check_name};
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;
use crate::engine::withdrawals::WithdrawalAddress;

/// A change of withdrawal addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressChange {
    /// `add_address`
    Add {
        /// Of which asset.
        asset: AssetCode,
        /// The address and its name.
        address: WithdrawalAddress,
    },
    /// `remove_address`
    Remove {
        /// Of which asset.
        asset: AssetCode,
        /// Its name.
        key: String,
    },
}

impl Governed for AddressChange {
    fn workflow(&self) -> Workflow {
        Workflow::ManageAddresses
    }

    fn operation(&self) -> Operation {
        match self {
            AddressChange::Add { .. } => Operation::AddAddress,
            AddressChange::Remove { .. } => Operation::RemoveAddress,
        }
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        self.payload(t.state(), context.organization).map(Draft::from)
    }

    fn recheck(&self, state: &State, request: &Request, _now: Moment) -> Result<(), Reject> {
        unchanged(self.payload(state, request.organization)?, request)
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, _at_once: bool) {
        let organization = request.organization;
        match self {
            AddressChange::Add { asset, address } => {
                let Ok(asset) = t.state().reference.find_asset(asset).map(|asset| asset.id) else { return };
                let wait = request.policy.as_ref().map_or(0, |verdict| verdict.cool_down_s);
                let usable_at = t.now().plus_us(wait.saturating_mul(1_000_000));
                t.emit(Event::AddressAdded { organization, asset, address: address.clone(), usable_at });
            }
            AddressChange::Remove { asset, key } => {
                let Ok(asset) = t.state().reference.find_asset(asset).map(|asset| asset.id) else { return };
                t.emit(Event::AddressRemoved { organization, asset, key: key.clone() });
                let state = t.state();
                let goes_there = |pending: &&Request| {
                    let withdrawal = pending.withdrawal.and_then(|id| state.withdrawals.get(id));
                    withdrawal.is_some_and(|to| to.asset == asset && to.address.key == *key)
                };
                let failed = state.approvals.pending(organization).filter(goes_there).map(|pending| pending.id);
                for id in failed.collect::<Vec<RequestId>>() {
                    decisions::end(t, organization, id, RequestState::Failed, "its address was removed");
                }
            }
        }
    }
}

impl AddressChange {
    fn payload(&self, state: &State, organization: OrganizationId) -> Result<Canonical, Reject> {
        let (code, address) = match self {
            AddressChange::Add { asset, address } => {
                check_form(state, asset, address)?;
                let id = state.reference.find_asset(asset)?.id;
                if state.withdrawals.listed(organization, id, &address.key).is_some() {
                    return Err(Reject::field(Code::Exists, "key", "choose another name"));
                }
                if state.withdrawals.addresses(organization, None).count() >= ADDRESSES_MAX {
                    return Err(Reject::field(Code::LimitReached, "key", "remove an address first"));
                }
                (asset, address)
            }
            AddressChange::Remove { asset, key } => {
                let id = state.reference.find_asset(asset)?.id;
                let listed = state.withdrawals.listed(organization, id, key);
                let unknown = || Reject::field(Code::UnknownWithdrawKey, "key", "name an address of the asset");
                (asset, &listed.ok_or_else(unknown)?.address)
            }
        };
        Ok(Canonical::object([
            ("asset", Canonical::text(code)),
            ("method", Canonical::text(&address.method)),
            ("key", Canonical::text(&address.key)),
            ("address", Canonical::text(&address.address)),
            ("tag", Canonical::optional(address.tag.as_ref())),
        ]))
    }
}

fn check_form(state: &State, asset: &AssetCode, address: &WithdrawalAddress) -> Result<(), Reject> {
    let asset = state.reference.find_asset(asset)?;
    check_name("key", &address.key)?;
    if address.method != asset.method {
        return Err(Reject::invalid("method", "name the asset's method"));
    }
    check_address("address", &address.address, address.tag.as_deref())
}
