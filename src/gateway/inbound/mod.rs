//! Parses a client's text into a request. Parsing borrows; names and numbers go to the engine as they were written, and
//! every refusal is one text (rule 45) with the `req_id` that was sent (rule 46).

mod change;
mod earn;
mod error;
mod exports;
mod funding;
mod governance;
mod history;
mod orders;
mod placement;
mod request;
mod values;
mod venue;

#[cfg(test)]
mod tests;

pub use error::{WireError, without_place};
pub use request::{Body, HistoryRequest, Page, Request, SubscribeOptions, parse};

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::engine::reject::Code;
use crate::wire::leaf::{Object, Text};
use crate::wire::params::AddOrder;

/// A message: its method, with most params not parsed yet.
pub struct Message<'a> {
    /// The method's name.
    pub method: Text<'a>,
    /// Its params, valid JSON; `None` if `order` has them.
    pub params: Option<&'a RawValue>,
    /// The params of an `add_order`, if parsed together with the message.
    pub order: Option<Box<Object<AddOrder<'a>>>>,
    /// The client's own number for it.
    pub req_id: Option<i64>,
}

/// An `add_order`, the most common message, parsed in one pass.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Placement<'a> {
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    params: Box<Object<AddOrder<'a>>>,
    req_id: Option<i64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
}

/// Used to find method and number even in a refused message; of a repeated member the last counts.
type Salvage<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a message's envelope.
pub fn parse_message(text: &str) -> Result<Message<'_>, WireError> {
    if let Some(placement) = placement(text) {
        return Ok(placement);
    }
    // serde would accept an array for a struct, member by member.
    if !text.trim_start().starts_with('{') {
        return Err(Code::MalformedRequest.into());
    }
    let outer: Outer<'_> = serde_json::from_str(text).map_err(|problem| {
        let found = serde_json::from_str::<Salvage<'_>>(text).unwrap_or_default();
        let req_id = found.get("req_id").and_then(|raw| integer(raw));
        let method = found.get("method").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let refusal = match problem.is_data() {
            // Otherwise the error would name the first unknown field, such as v1's `event`.
            true if !found.contains_key("method") => WireError::field("method", "this field is needed"),
            true => WireError::shape::<Outer<'_>>(text, method.as_deref().unwrap_or("")),
            false => Code::MalformedRequest.into(),
        };
        WireError { method, req_id, ..refusal }
    })?;
    let req_id = match outer.req_id {
        None => None,
        Some(raw) => Some(integer(raw).ok_or_else(|| {
            let method = Some(outer.method.to_string());
            let advice = format!("give an integer from {} to {}, or leave it out", i64::MIN, i64::MAX);
            WireError { method, ..WireError::field("req_id", &advice) }
        })?),
    };
    Ok(Message { method: outer.method, params: outer.params, order: None, req_id })
}

/// An `add_order` as nearly all clients write it. Any other message, and one with an error in it, goes through the
/// general parser.
fn placement(text: &str) -> Option<Message<'_>> {
    let named = text.strip_prefix("{\"method\":")?.trim_start();
    if !named.starts_with("\"add_order\"") {
        return None;
    }
    let Placement { method, params, req_id } = serde_json::from_str(text).ok()?;
    Some(Message { method, params: None, order: Some(params), req_id })
}

fn integer(raw: &RawValue) -> Option<i64> {
    raw.get().parse().ok()
}
