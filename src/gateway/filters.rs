//! What a subscription's own filters and the key's query dates remove from a channel (rule 10).

use super::inbound::SubscribeOptions;
use super::ring::Item;
use crate::access::operation::Operation;
use crate::domain::time::Period;
use crate::engine::entries::entries;
use crate::engine::event::Event;
use crate::engine::ledger::Wallet;
use crate::engine::query::Items;
use crate::engine::reference::Reference;
use crate::engine::transfers::Transfer;

/// Whether a subscription wants an item.
pub(super) fn admits(options: &SubscribeOptions, item: &Item, reference: &Reference) -> bool {
    let route = &item.route;
    if options.order_status == Some(false) && route.is_step {
        return false;
    }
    if options.workflow.is_some() && route.workflow != options.workflow {
        return false;
    }
    let stamped = &item.stamped;
    let (asset, kind) = match (&stamped.event, route.channel) {
        _ if options.assets.is_none() && options.types.is_none() => return true,
        (Event::DepositChanged { deposit, .. }, Operation::Deposits) => (deposit.asset, None),
        (Event::WithdrawalChanged { withdrawal, .. }, Operation::Withdrawals) => (withdrawal.asset, None),
        (event, Operation::Ledger) => {
            let mut all = entries(stamped.seq, stamped.at, event);
            let Some(entry) = all.find(|entry| entry.id.0 == item.offset()) else { return false };
            let (kind, ..) = entry.source.names(entry.wallet == Wallet::Main);
            (entry.posting.asset, Some(kind))
        }
        _ => return true,
    };
    let named =
        |list: &Option<Vec<String>>, name: &str| list.as_ref().is_none_or(|list| list.iter().any(|of| of == name));
    named(&options.assets, &reference.asset(asset).code) && kind.is_none_or(|kind| named(&options.types, kind))
}

/// Whether a subscription to `approvals` wants every item that its Member may see.
pub(super) fn takes_all(options: &SubscribeOptions) -> bool {
    options.workflow.is_none()
}

/// The dates that apply to a live item. A change of present state is sent even if it dates from before the start: a
/// balance, the state of an order or an Earn allocation, a deposit or withdrawal that is open or was until this change
/// (rule 10). A replay shows the past, so all dates apply.
pub(super) fn live(dates: Period, item: &Item) -> Period {
    let is_present = match (&item.stamped.event, item.route.channel) {
        // One credited at once was never open.
        (Event::DepositChanged { deposit, .. }, Operation::Deposits) => {
            deposit.is_open() || deposit.created_at < item.stamped.at
        }
        (_, Operation::Executions) => !item.route.is_fill,
        // Every withdrawal is open before it ends.
        (_, channel) => matches!(channel, Operation::Balances | Operation::Earn | Operation::Withdrawals),
    };
    Period { from: dates.from.filter(|_| !is_present), ..dates }
}

/// A snapshot without what the subscription does not want or the key may not see. Present state stays: the dates apply
/// to ended deposits and withdrawals only.
pub(super) fn narrowed(items: Items, options: &SubscribeOptions, reference: &Reference, dates: Period) -> Items {
    let wanted = |asset| {
        let code = reference.asset(asset).code;
        options.assets.as_ref().is_none_or(|list| list.iter().any(|of| **of == *code))
    };
    match items {
        Items::Requests(mut all) => {
            all.retain(|request| options.workflow.is_none_or(|workflow| workflow == request.workflow));
            Items::Requests(all)
        }
        Items::Deposits(mut all) => {
            all.retain(|of| (of.is_open() || dates.holds(of.created_at)) && wanted(of.asset));
            Items::Deposits(all)
        }
        Items::Withdrawals(mut all) => {
            all.retain(|of| (of.is_open() || dates.holds(of.created_at)) && wanted(of.asset));
            Items::Withdrawals(all)
        }
        Items::Nothing | Items::Balances(_) | Items::Orders(_) | Items::Custody(..) | Items::Holdings(_) => items,
    }
}
