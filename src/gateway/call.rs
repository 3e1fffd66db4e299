//! What a session must remember of a request until its answer arrives.

use super::inbound::{HistoryRequest, Page, SubscribeOptions};
use super::outbound::Envelope;
use crate::access::operation::Operation;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;
use crate::engine::command::{Command, OrderRef};
use crate::engine::transfers::TransferFilter;
use crate::wire::leaf::Text;

/// A request under way.
#[derive(Debug)]
pub struct Call {
    /// What was asked for.
    pub operation: Operation,
    /// The client's own number for it.
    pub req_id: Option<i64>,
    /// When it was received.
    pub time_in: Moment,
    /// What is needed for the answer besides the engine's reply.
    pub then: Continuation,
    /// Whether the engine may be busy with it for long.
    pub is_heavy: bool,
}

impl Call {
    /// A call that keeps the engine busy only briefly.
    pub fn new(operation: Operation, req_id: Option<i64>, time_in: Moment, then: Continuation) -> Call {
        Call { operation, req_id, time_in, then, is_heavy: false }
    }

    /// Whether the answer may be long, or long in coming.
    pub fn may_be_long(&self) -> bool {
        self.is_heavy || self.then.may_be_long()
    }

    /// The envelope of its reply, if made at `time_out`.
    pub fn envelope(&self, time_out: Moment) -> Envelope<'static> {
        let method = match (&self.then, self.operation) {
            (Continuation::Subscribe(_) | Continuation::Level3(_), _) => "subscribe",
            (_, Operation::SettlePosition) => Operation::AddOrder.name(),
            (_, operation) => operation.name(),
        };
        Envelope { method, req_id: self.req_id, time_in: self.time_in, time_out }
    }
}

/// What is needed for the answer besides the engine's reply.
#[derive(Debug)]
pub enum Continuation {
    /// Nothing.
    Reply,
    /// Nothing, but the answer may be long.
    List,
    /// `add_order`: the client's own ids, to echo them.
    Placed(Option<ClientOrderId>, Option<i64>),
    /// `batch_add`: the client's own ids, order by order.
    BatchPlaced(Box<[(Option<ClientOrderId>, Option<i64>)]>),
    /// `batch_cancel`: the count is also at the top level.
    BatchCanceled,
    /// `cancel_order` and `amend_order`: the order as the client named it.
    Order(OrderRef),
    /// A token binds the socket; answered only on failure.
    Bind,
    /// A stream starts, or continues after what history delivered.
    Subscribe(Follow),
    /// `level3` starts: market data is queried next.
    Level3(Box<SubscribeOptions>),
    /// History is queried next.
    History(Box<HistoryRequest>),
    /// The audit log is queried next.
    Audit(Box<Page>),
    /// History is queried next for those that are not open.
    Find(Box<[OrderRef]>),
    /// History is queried next for deposits or withdrawals that are not open.
    Transfers(Box<TransferFilter>),
    /// The key generated for a Service User, by its public part.
    Key(String),
    /// The invitation tokens, shown once.
    Invitations(Box<[Text<'static>]>),
}

impl Continuation {
    /// What is needed to answer a command, unless a credential was generated for it.
    pub fn of(command: &Command) -> Continuation {
        match command {
            Command::PlaceOrder(order) => Continuation::Placed(order.cl_ord_id, order.order_userref),
            Command::PlaceBatch(orders) => {
                let named = orders.iter().map(|order| (order.cl_ord_id, order.order_userref));
                Continuation::BatchPlaced(named.collect())
            }
            Command::AmendOrder(amend) => Continuation::Order(amend.order.clone()),
            Command::CancelOrder(order) => Continuation::Order(order.clone()),
            Command::CancelBatch(_) => Continuation::BatchCanceled,
            _ => Continuation::Reply,
        }
    }

    /// Whether the answer may be long, like a page, or a list that history may have to complete.
    fn may_be_long(&self) -> bool {
        matches!(
            self,
            Continuation::List
                | Continuation::Subscribe(_)
                | Continuation::History(_)
                | Continuation::Audit(_)
                | Continuation::Find(_)
                | Continuation::Transfers(_)
        )
    }
}

/// Whether a command is only checked: no counter of the key refuses it, and it takes the longer, the more orders the book
/// has.
pub fn is_heavy(command: &Command) -> bool {
    match command {
        Command::PlaceOrder(order) => order.validate,
        Command::PlaceBatch(orders) => orders.iter().any(|order| order.validate),
        Command::EditOrder(edit) => edit.validate,
        _ => false,
    }
}

/// Where a stream starts, and which of the socket's subscriptions it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// A count of the socket's subscriptions; an answer to one that has ended is discarded.
    pub number: u64,
    /// After this offset, instead of a snapshot.
    pub from_offset: Option<u64>,
    /// The requested offset is too old: a snapshot follows.
    pub too_old: bool,
    /// The client has got its acknowledgement, and what history delivered.
    pub acknowledged: bool,
}
