//! Replies to order requests. They need only the call and the engine's answer, so that the release step can write them
//! directly to idle sockets.

use super::Object;
use super::items::{json, to_json};
use crate::domain::ids::OrderId;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;
use crate::engine;
use crate::engine::command::OrderRef;
use crate::engine::reject::Reject;
use crate::engine::reply::{Placed, Reply};
use crate::gateway::call::{Call, Continuation};
use crate::gateway::frame::Frames;
use crate::sequencer::handle::Answer;
use crate::wire::leaf::Exact;
use crate::wire::results::{Amended, BatchRow, Canceled, Count, Edited, Rate};

/// The warning for a client that has placed the order before.
const REPEATED: &str = "the order was placed before by a request with this cl_ord_id";

/// Appends the reply, made at `now`, to a call about orders. `false` if the call is about something else; then nothing
/// was appended.
pub fn reply(out: &mut Frames, call: &Call, answer: &Answer, now: Moment) -> bool {
    let Answer::Reply(reply, counted) = answer else { return false };
    let rate = counted.map(rate);
    let envelope = call.envelope(now);
    match (&call.then, reply) {
        (Continuation::Placed(cl_ord_id, userref), Reply::Placed(Placed { order, repeated })) => {
            let named = (cl_ord_id.as_deref(), *userref);
            out.text(|text| envelope.success(text, |text| placed(text, *order, named, *repeated, rate)));
        }
        (Continuation::BatchPlaced(named), Reply::Batch(rows)) => {
            let error = rows.iter().find_map(|row| row.as_ref().err()).map(Reject::text);
            let row = |(row, named)| batch_row(row, named, rate.clone());
            let rows = to_json(&rows.iter().zip(named).map(row).collect::<Vec<_>>());
            out.text(|text| envelope.batch_placed(text, &rows, error.as_deref()));
        }
        (Continuation::BatchCanceled, Reply::Canceled(ids)) => {
            let count = ids.len();
            let result = to_json(&Count { count, rate });
            out.text(|text| envelope.batch_canceled(text, &result, count));
        }
        // One reply for each order: `cancel_order` with several ids gets as many (docs.kraken.com, `cancel_order`).
        (Continuation::Order(which), Reply::Canceled(ids)) => {
            for id in ids {
                let canceled = Canceled { order_id: id.to_string(), cl_ord_id: named(which), rate: rate.clone() };
                out.text(|text| envelope.success(text, |text| json(text, &canceled)));
            }
        }
        (Continuation::Order(which), Reply::Amended { order, amend_id }) => {
            let (amend_id, order_id) = (amend_id.to_string(), order.to_string());
            let amended = Amended { amend_id, order_id, cl_ord_id: named(which), rate };
            out.text(|text| envelope.success(text, |text| json(text, &amended)));
        }
        (_, Reply::Canceled(ids)) => {
            let count = Count { count: ids.len(), rate };
            out.text(|text| envelope.success(text, |text| json(text, &count)));
        }
        (_, Reply::Edited { order, original }) => {
            let order_id = order.map(|id| id.to_string()).unwrap_or_default();
            let edited = Edited { order_id, original_order_id: original.to_string(), rate };
            out.text(|text| envelope.success(text, |text| json(text, &edited)));
        }
        _ => return false,
    }
    true
}

/// Where a key's counter stands.
fn rate(of: engine::rates::Rate) -> Rate {
    let exact = |hundredths: u64| Exact::new(i64::try_from(hundredths).unwrap_or(i64::MAX), 2);
    Rate {
        cost: exact(of.cost),
        count: exact(of.count),
        remaining: exact(of.threshold.saturating_sub(of.count)),
        maxratecount: of.threshold / 100,
    }
}

/// How many orders an answer cancels: one user reference may name them all.
pub fn canceled(answer: &Answer) -> usize {
    match answer {
        Answer::Reply(Reply::Canceled(ids), _) => ids.len(),
        _ => 0,
    }
}

/// The client's id of an order, if the request named it by that.
fn named(which: &OrderRef) -> Option<String> {
    match which {
        OrderRef::ClientId(id) => Some(id.to_string()),
        OrderRef::Id(_) | OrderRef::UserRef(_) => None,
    }
}

/// The result of `add_order`, written by hand: it is the most common reply.
fn placed(
    out: &mut String,
    order: Option<OrderId>,
    (cl_ord_id, userref): (Option<&str>, Option<i64>),
    repeated: bool,
    rate: Option<Rate>,
) {
    let mut object = Object::open(out);
    match order {
        Some(id) => object.plain("order_id", id),
        // It was only validated.
        None => object.text("order_id", ""),
    };
    if let Some(id) = cl_ord_id {
        object.text("cl_ord_id", id);
    }
    if let Some(userref) = userref {
        object.integer("order_userref", userref);
    }
    if repeated {
        object.written("warnings", |out| json(out, &[REPEATED]));
    }
    if let Some(rate) = rate {
        object.written("rate", |out| json(out, &rate));
    }
    object.close();
}

fn batch_row(
    row: &Result<Placed, Reject>,
    (cl_ord_id, order_userref): &(Option<ClientOrderId>, Option<i64>),
    rate: Option<Rate>,
) -> BatchRow {
    let placed = row.as_ref().ok();
    BatchRow {
        // Empty for an order that was only validated, as in `add_order`, and for a refused one: kraken-async-rs cannot
        // parse a row without it, and would not learn of the orders in the other rows.
        order_id: placed.and_then(|placed| placed.order).map(|id| id.to_string()).unwrap_or_default(),
        cl_ord_id: cl_ord_id.map(|id| id.to_string()),
        order_userref: *order_userref,
        error: row.as_ref().err().map(Reject::text),
        warnings: placed.is_some_and(|placed| placed.repeated).then(|| vec![REPEATED]),
        rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::results;

    #[test]
    fn the_reply_to_add_order_is_byte_for_byte_what_serde_writes() {
        let counted =
            Rate { cost: Exact::new(100, 2), count: Exact::new(250, 2), remaining: Exact::new(5, 2), maxratecount: 60 };
        for (order, cl_ord_id, userref, repeated, rate) in [
            (Some(OrderId(5)), None, None, false, None),
            (Some(OrderId(5)), Some("a-1"), Some(-3), false, Some(counted.clone())),
            (Some(OrderId(6)), Some("\"\\"), None, true, Some(counted)),
            (None, None, None, false, None),
        ] {
            let mut text = String::new();
            placed(&mut text, order, (cl_ord_id, userref), repeated, rate.clone());
            let (order_id, cl_ord_id) = (order.map(|id| id.to_string()), cl_ord_id.map(str::to_owned));
            let (order_id, warnings) = (order_id.unwrap_or_default(), repeated.then(|| vec![REPEATED]));
            let expected = results::Placed { order_id, cl_ord_id, order_userref: userref, warnings, rate };
            assert_eq!(text, serde_json::to_string(&expected).unwrap());
        }
    }
}
