//! Which items an event yields on which private channel, and their text (rules 41, 43).

use super::earn;
use super::executions::{self, Execution, OneSide};
use super::records;
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::ids::{AccountId, ExecId, Seq};
use crate::domain::limits::DEPOSIT_POOL_LOW;
use crate::domain::orders::{Order, OrderStatus};
use crate::engine::entries::{TAKER_TRADE, entries};
use crate::engine::event::{Event, Fill};
use crate::engine::query::Owner;
use crate::engine::reference::Reference;
use crate::engine::withdrawals::WithdrawalStatus;
use crate::sequencer::Stamped;

/// Where one item of an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whose channel.
    pub owner: Owner,
    /// Which channel.
    pub channel: Operation,
    /// Its number among the event's items on that channel.
    pub index: u8,
    /// The workflow of a request.
    pub workflow: Option<Workflow>,
    /// An execution that tells of a fill; clients want these in frames of their own.
    pub is_fill: bool,
    /// An execution between the turning points of an order's life, which `order_status: false` leaves out.
    pub is_step: bool,
}

impl Route {
    fn of(account: AccountId, channel: Operation, index: u8) -> Route {
        let owner = Owner::Account(account);
        Route { owner, channel, index, workflow: None, is_fill: false, is_step: false }
    }

    /// The item's offset.
    pub fn offset(&self, seq: Seq) -> u64 {
        seq.offset(self.index)
    }
}

/// Tells every item that an event yields, in order.
pub fn routes(stamped: &Stamped, tell: &mut dyn FnMut(Route)) {
    match &stamped.event {
        Event::OrderPlaced { order, .. } => {
            let route = Route::of(order.account, Operation::Executions, 0);
            tell(Route { is_step: true, ..route });
            if order.status != OrderStatus::PendingNew {
                tell(Route { index: 1, ..route });
            }
        }
        Event::OrderActivated { order, .. } => {
            let is_step = order.trigger().is_some_and(|trigger| trigger.fired.is_some());
            tell(Route { is_step, ..Route::of(order.account, Operation::Executions, 0) });
        }
        Event::OrderAmended { order, .. } | Event::OrderRefilled(order) | Event::TriggerMoved(order) => {
            tell(Route { is_step: true, ..Route::of(order.account, Operation::Executions, 0) });
        }
        Event::Traded(trade) => {
            sides(&trade.maker, 0, tell);
            sides(&trade.taker, TAKER_TRADE, tell);
        }
        Event::OrderCanceled { order, .. } => tell(Route::of(order.account, Operation::Executions, 0)),
        Event::WithdrawalChanged { withdrawal, .. } => {
            let route = Route::of(withdrawal.account, Operation::Withdrawals, 0);
            tell(route);
            let status = withdrawal.status;
            if !matches!(status, WithdrawalStatus::Initial | WithdrawalStatus::Canceled) {
                tell(Route { owner: Owner::Venue, channel: Operation::Custody, ..route });
            }
        }
        Event::DepositChanged { deposit, .. } => tell(Route::of(deposit.account, Operation::Deposits, 0)),
        Event::DepositAddressAssigned { account, left, .. } if is_low(*left) => {
            tell(Route { owner: Owner::Venue, ..Route::of(*account, Operation::Custody, 0) });
        }
        Event::Earned { operation, .. } => tell(Route::of(operation.account, Operation::Earn, 0)),
        Event::RequestChanged { request, .. } => {
            let owner = Owner::Organization(request.organization);
            let workflow = Some(request.workflow);
            tell(Route { owner, workflow, ..Route::of(AccountId(1), Operation::Approvals, 0) });
        }
        _ => {}
    }
    for entry in entries(stamped.seq, stamped.at, &stamped.event) {
        let index = (entry.id.0 % 256) as u8;
        tell(Route::of(entry.account, Operation::Balances, index));
        tell(Route::of(entry.account, Operation::Ledger, index));
    }
}

/// Whether a pool of deposit addresses is to be filled soon.
fn is_low(left: u32) -> bool {
    usize::try_from(left).is_ok_and(|left| left < DEPOSIT_POOL_LOW)
}

fn sides(fill: &Fill, first: u8, tell: &mut dyn FnMut(Route)) {
    let route = Route::of(fill.order.account, Operation::Executions, first);
    tell(Route { is_fill: true, is_step: true, ..route });
    if fill.order.status == OrderStatus::Filled {
        tell(Route { index: first + 1, ..route });
    }
}

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
    out.push_str(&serde_json::to_string(value).expect("wire types are JSON"));
}

/// The item of an open order in a snapshot or a list.
pub fn open_order(out: &mut String, reference: &Reference, order: &Order, offset: u64) {
    executions::item(out, reference, order, Execution::New, order.opened_at, offset);
}
