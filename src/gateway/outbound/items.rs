//! The text of the items that an event yields on private channels (rules 41, 43).

use super::earn;
use super::executions::{self, Execution, OneSide};
use super::records;
use crate::access::operation::Operation;
use crate::domain::ids::ExecId;
use crate::domain::orders::{Order, OrderStatus};
use crate::engine::entries::{TAKER_TRADE, entries};
use crate::engine::event::Event;
use crate::engine::reference::Reference;
use crate::engine::streams::Route;
use crate::sequencer::Stamped;

/// Appends the text of an item.
pub fn write(out: &mut String, reference: &Reference, stamped: &Stamped, route: &Route) {
    let offset = route.offset(stamped.seq);
    match (&stamped.event, route.channel) {
        (Event::OrderPlaced { order, .. }, _) => {
            let what = if route.index == 0 { Execution::PendingNew } else { Execution::New };
            executions::item(out, reference, order, what, stamped.at, offset);
        }
        (Event::Traded(trade), Operation::Executions) => {
            let fill = if route.index < TAKER_TRADE { &trade.maker } else { &trade.taker };
            let what = match route.index % 2 {
                0 => Execution::Trade(OneSide::of(trade, fill, ExecId(offset))),
                _ => Execution::Filled,
            };
            executions::item(out, reference, &fill.order, what, stamped.at, offset);
        }
        (Event::OrderActivated { order, .. }, _) => {
            let triggered = order.trigger().is_some_and(|trigger| trigger.fired.is_some());
            let what = if triggered { Execution::Status } else { Execution::New };
            executions::item(out, reference, order, what, stamped.at, offset);
        }
        (Event::OrderAmended { order, .. }, _) => {
            executions::item(out, reference, order, Execution::Amended, stamped.at, offset);
        }
        (Event::OrderRefilled(order), _) => {
            executions::item(out, reference, order, Execution::Refilled, stamped.at, offset);
        }
        (Event::TriggerMoved(order), _) => {
            executions::item(out, reference, order, Execution::Status, stamped.at, offset);
        }
        (Event::OrderCanceled { order, reason }, _) => {
            executions::item(out, reference, order, Execution::Canceled(*reason), stamped.at, offset);
        }
        (Event::WithdrawalChanged { withdrawal, .. }, Operation::Withdrawals | Operation::Custody) => {
            let custody = route.channel == Operation::Custody;
            json(out, &records::withdrawal(reference, withdrawal, custody, Some(offset)));
        }
        (Event::DepositChanged { deposit, .. }, Operation::Deposits) => {
            json(out, &records::deposit(reference, deposit, Some(offset)));
        }
        (Event::DepositAddressAssigned { asset, left, .. }, Operation::Custody) => {
            json(out, &records::low_pool(reference, *asset, u64::from(*left), offset));
        }
        (Event::Earned { operation, .. }, Operation::Earn) => {
            json(out, &earn::operation(reference, operation, Some(offset)));
        }
        (Event::RequestChanged { request, .. }, _) => json(out, &records::request(request, None, Some(offset))),
        (event, _) => {
            let mut entries = entries(stamped.seq, stamped.at, event);
            if let Some(entry) = entries.find(|entry| entry.id.0 == offset) {
                json(out, &records::entry(reference, &entry));
            }
        }
    }
}

/// Appends a wire type as JSON.
pub fn json(out: &mut String, value: &impl serde::Serialize) {
    out.push_str(&to_json(value));
}

/// A wire type as JSON.
pub fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("wire types are JSON")
}

/// The item of an open order in a snapshot or a list.
pub fn open_order(out: &mut String, reference: &Reference, order: &Order, offset: u64) {
    let waits = order.status == OrderStatus::PendingNew;
    let what = if waits { Execution::PendingNew } else { Execution::New };
    executions::item(out, reference, order, what, order.opened_at, offset);
}
