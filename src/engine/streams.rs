//! Which items an event yields on which private channel: what is live, what is replayed and what history finds
//! again come from here, so that they are the same (rules 41, 43).

use super::entries::{TAKER_TRADE, entries};
use super::event::{Event, Fill};
use super::query::Owner;
use super::withdrawals::WithdrawalStatus;
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::ids::{AccountId, Seq};
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
pub fn routes(seq: Seq, at: Moment, event: &Event, tell: &mut dyn FnMut(Route)) {
    match event {
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
    for entry in entries(seq, at, event) {
        let (_, index) = Seq::of_offset(entry.id.0);
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
