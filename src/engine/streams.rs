//! Which items an event yields on which private channel. Live streams, replays and history all use this, so that they
//! agree (rules 41, 43).

use super::entries::{TAKER_TRADE, entries};
use super::event::{Event, Fill};
use super::query::Owner;
use super::withdrawals::WithdrawalStatus;
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::ids::Seq;
use crate::domain::limits::DEPOSIT_POOL_LOW;
use crate::domain::orders::OrderStatus;
use crate::domain::time::Moment;

/// A private channel of one owner.
pub type Stream = (Owner, Operation);

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
    /// An execution that reports a fill; clients want these in frames of their own.
    pub is_fill: bool,
    /// An intermediate execution of an order, which `order_status: false` leaves out.
    pub is_step: bool,
}

impl Route {
    fn of(owner: Owner, channel: Operation, index: u8) -> Route {
        Route { owner, channel, index, workflow: None, is_fill: false, is_step: false }
    }

    /// The item's offset.
    pub fn offset(&self, seq: Seq) -> u64 {
        seq.offset(self.index)
    }
}

/// Passes every item that an event yields to `emit`, in order.
pub fn routes(seq: Seq, at: Moment, event: &Event, emit: &mut dyn FnMut(Route)) {
    match event {
        Event::OrderPlaced { order, .. } => {
            let route = Route::of(Owner::Account(order.account), Operation::Executions, 0);
            emit(Route { is_step: true, ..route });
            if order.status != OrderStatus::PendingNew {
                emit(Route { index: 1, ..route });
            }
        }
        Event::OrderActivated { order, .. } => {
            let is_step = order.trigger().is_some_and(|trigger| trigger.fired.is_some());
            emit(Route { is_step, ..Route::of(Owner::Account(order.account), Operation::Executions, 0) });
        }
        Event::OrderAmended { order, .. } | Event::OrderRefilled(order) | Event::TriggerMoved(order) => {
            emit(Route { is_step: true, ..Route::of(Owner::Account(order.account), Operation::Executions, 0) });
        }
        Event::Traded(trade) => {
            sides(&trade.maker, 0, emit);
            sides(&trade.taker, TAKER_TRADE, emit);
        }
        Event::OrderCanceled { order, .. } => emit(Route::of(Owner::Account(order.account), Operation::Executions, 0)),
        Event::WithdrawalChanged { withdrawal, .. } => {
            emit(Route::of(Owner::Account(withdrawal.account), Operation::Withdrawals, 0));
            let status = withdrawal.status;
            if !matches!(status, WithdrawalStatus::Initial | WithdrawalStatus::Canceled) {
                emit(Route::of(Owner::Venue, Operation::Custody, 0));
            }
        }
        Event::DepositChanged { deposit, .. } => {
            emit(Route::of(Owner::Account(deposit.account), Operation::Deposits, 0))
        }
        // The pool needs new addresses soon.
        Event::DepositAddressAssigned { left, .. } if (*left as usize) < DEPOSIT_POOL_LOW => {
            emit(Route::of(Owner::Venue, Operation::Custody, 0));
        }
        Event::Earned { operation, .. } => emit(Route::of(Owner::Account(operation.account), Operation::Earn, 0)),
        Event::RequestChanged { request, .. } => {
            let owner = Owner::Organization(request.organization);
            let workflow = Some(request.workflow);
            emit(Route { workflow, ..Route::of(owner, Operation::Approvals, 0) });
        }
        _ => {}
    }
    for entry in entries(seq, at, event) {
        let (_, index) = Seq::of_offset(entry.id.0);
        emit(Route::of(Owner::Account(entry.account), Operation::Balances, index));
        emit(Route::of(Owner::Account(entry.account), Operation::Ledger, index));
    }
}

fn sides(fill: &Fill, first: u8, emit: &mut dyn FnMut(Route)) {
    let route = Route::of(Owner::Account(fill.order.account), Operation::Executions, first);
    emit(Route { is_fill: true, is_step: true, ..route });
    if fill.order.status == OrderStatus::Filled {
        emit(Route { index: first + 1, ..route });
    }
}
