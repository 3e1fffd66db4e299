//! What a session must remember of a request until its answer is released.

use super::inbound::{Page, SubscribeOptions};
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
    /// When it came.
    pub time_in: Moment,
    /// What the answer needs besides the engine's words.
    pub then: Continuation,
}

impl Call {
    /// What its reply begins and ends with when it is made at `time_out`.
    pub fn envelope(&self, time_out: Moment) -> Envelope<'static> {
        let method = match (&self.then, self.operation) {
            (Continuation::Subscribe(_) | Continuation::Level3(_), _) => "subscribe",
            (_, Operation::SettlePosition) => Operation::AddOrder.name(),
            (_, operation) => operation.name(),
        };
        Envelope { method, req_id: self.req_id, time_in: self.time_in, time_out }
    }
}

/// What the answer needs besides the engine's words.
#[derive(Debug)]
pub enum Continuation {
    /// Nothing.
    Reply,
    /// Nothing, but there may be much to tell.
    List,
    /// `add_order`: the client's own ids are told back.
    Placed(Option<ClientOrderId>, Option<i64>),
    /// `batch_add`: the clients' own ids, order by order.
    BatchPlaced(Box<[(Option<ClientOrderId>, Option<i64>)]>),
    /// `batch_cancel`: the count stands at top level too.
    BatchCanceled,
    /// `cancel_order` and `amend_order`: the order as the client named it.
    Order(OrderRef),
    /// A token binds the socket; answered only when it does not.
    Bind,
    /// A stream begins, or goes on behind what history told of it.
    Subscribe(Follow),
    /// `level3` begins: market data is asked next.
    Level3(Box<SubscribeOptions>),
    /// History or the audit log is asked next.
    History(Box<Page>),
    /// History is asked for those that are not open.
    Find(Box<[OrderRef]>),
    /// History is asked for deposits or withdrawals that are not open.
    Transfers(Box<TransferFilter>),
    /// The key drawn for a Service User, by its public part.
    Key(String),
    /// The invitation tokens, shown once.
    Invitations(Box<[Text<'static>]>),
}

impl Continuation {
    /// What the answer to a command needs, unless something was drawn for it.
    pub fn of(command: &Command) -> Continuation {
        match command {
            Command::PlaceOrder(order) => Continuation::Placed(order.cl_ord_id, order.order_userref),
            Command::PlaceBatch(orders) => {
                let named = orders.iter().map(|order| (order.cl_ord_id, order.order_userref));
                Continuation::BatchPlaced(named.collect())
            }
            Command::AmendOrder(asked) => Continuation::Order(asked.order.clone()),
            Command::CancelOrder(order) => Continuation::Order(order.clone()),
            Command::CancelBatch(_) => Continuation::BatchCanceled,
            _ => Continuation::Reply,
        }
    }

    /// Whether the answer may be long, as a page is and what history may be asked for next.
    pub fn may_be_long(&self) -> bool {
        matches!(
            self,
            Continuation::List
                | Continuation::Subscribe(_)
                | Continuation::History(_)
                | Continuation::Find(_)
                | Continuation::Transfers(_)
        )
    }
}

/// Where a stream begins, and for which of the socket's subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Counts the socket's subscriptions; an answer to one that has ended is for nobody.
    pub number: u64,
    /// After this offset, instead of a snapshot.
    pub from_offset: Option<u64>,
    /// The offset asked for is not kept any more: a snapshot follows.
    pub too_old: bool,
    /// The client has its acknowledgement, and what history told.
    pub acknowledged: bool,
}
