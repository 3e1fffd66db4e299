//! Renders the engine's answers as text. Nothing here can fail: every answer of the engine has a text form. It is
//! rendered into a reused buffer; a frame's data part is written once and shared.

pub mod earn;
pub mod executions;
pub mod items;
pub mod orders;
pub mod records;
pub mod results;

use std::fmt::Write as _;

use crate::domain::decimal::write_units;
use crate::domain::time::Moment;

/// Writes a JSON object's members in order.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn open(out: &'a mut String) -> Object<'a> {
        out.push('{');
        Object { out, first: true }
    }

    /// A string member.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        // Most text needs no escaping, and serde would make a copy.
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        } else {
            self.out.push_str(&serde_json::to_string(text).expect("a string is JSON"));
        }
        self
    }

    /// A member whose text needs no escapes: ids and times.
    pub fn plain(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.key(key);
        self.out.push('"');
        write!(self.out, "{value}").expect("writing to a String succeeds");
        self.out.push('"');
        self
    }

    /// A fixed word, which needs no escaping.
    pub fn word(&mut self, key: &str, word: &'static str) -> &mut Self {
        self.key(key);
        self.out.push('"');
        self.out.push_str(word);
        self.out.push('"');
        self
    }

    /// A boolean.
    pub fn flag(&mut self, key: &str, is: bool) -> &mut Self {
        self.raw(key, if is { "true" } else { "false" })
    }

    /// An integer.
    pub fn integer(&mut self, key: &str, value: i64) -> &mut Self {
        self.number(key, value, 0)
    }

    /// `units × 10^-decimals`, a number with exactly that many decimals.
    pub fn number(&mut self, key: &str, units: i64, decimals: u8) -> &mut Self {
        self.key(key);
        write_units(self.out, units, decimals);
        self
    }

    /// A member whose JSON `write` appends.
    pub fn written(&mut self, key: &str, write: impl FnOnce(&mut String)) -> &mut Self {
        self.key(key);
        write(self.out);
        self
    }

    /// A member that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key);
        self.out.push_str(json);
        self
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push('}');
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

/// Appends an array, each of whose items `write` appends.
pub fn array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Appends a page: the list that `write` appends, under its name, and a cursor if another page follows.
pub fn page(out: &mut String, name: &str, next: Option<impl std::fmt::Display>, write: impl FnOnce(&mut String)) {
    let mut object = Object::open(out);
    object.written(name, write);
    if let Some(next) = next {
        object.plain("cursor", next);
    }
    object.close();
}

/// What every reply begins and ends with.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The method that it answers.
    pub method: &'a str,
    /// The client's own number for the request.
    pub req_id: Option<i64>,
    /// When the request came.
    pub time_in: Moment,
    /// When the reply was made.
    pub time_out: Moment,
}

impl<'a> Envelope<'a> {
    /// The envelope of a reply that is made when the request arrives.
    pub fn at_once(method: &'a str, req_id: Option<i64>, now: Moment) -> Envelope<'a> {
        Envelope { method, req_id, time_in: now, time_out: now }
    }

    /// Writes a reply around the members that `write` adds.
    fn around(&self, out: &mut String, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::open(out);
        object.text("method", self.method);
        if let Some(req_id) = self.req_id {
            object.integer("req_id", req_id);
        }
        write(&mut object);
        object.plain("time_in", self.time_in).plain("time_out", self.time_out);
        object.close();
    }

    /// `success` with a result that is JSON already, or the text of a refusal.
    pub fn reply(&self, out: &mut String, result: Result<&str, &str>) {
        self.around(out, |object| {
            match result {
                Ok(json) => object.flag("success", true).raw("result", json),
                Err(text) => object.flag("success", false).text("error", text),
            };
        });
    }

    /// A success whose result `write` appends.
    pub fn success(&self, out: &mut String, write: impl FnOnce(&mut String)) {
        self.around(out, |object| {
            object.flag("success", true).written("result", write);
        });
    }

    /// The reply to `batch_add` after validation: its rows, and the first refusal among them (rule 45).
    pub fn batch_placed(&self, out: &mut String, rows: &str, error: Option<&str>) {
        self.around(out, |object| {
            object.flag("success", error.is_none()).raw("result", rows);
            if let Some(error) = error {
                object.text("error", error);
            }
        });
    }

    /// The reply to `batch_cancel`, with the count at top level too: clients look for it in either place.
    pub fn batch_canceled(&self, out: &mut String, result: &str, count: usize) {
        self.around(out, |object| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            object.flag("success", true).raw("result", result).integer("orders_cancelled", count);
        });
    }

    /// The refusal of one symbol, which is given at top level (rule 45).
    pub fn refusal(&self, out: &mut String, symbol: &str, error: &str) {
        self.around(out, |object| {
            object.flag("success", false).text("error", error).text("symbol", symbol);
        });
    }

    /// `pong`, which never has `success`.
    pub fn pong(&self, out: &mut String) {
        self.around(out, |_| {});
    }
}

/// A channel frame around a shared data part; `sequence` on executions and balances only (rule 43).
pub fn frame(out: &mut String, channel: &str, snapshot: bool, data: &str, sequence: Option<u64>) {
    let mut object = Object::open(out);
    object.plain("channel", channel).word("type", if snapshot { "snapshot" } else { "update" }).raw("data", data);
    if let Some(sequence) = sequence {
        object.integer("sequence", sequence.cast_signed());
    }
    object.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_as_clients_read_them() {
        let at = Moment(1_716_480_000_000_001);
        let mut out = String::new();
        Envelope::at_once("add_order", Some(3), at).reply(&mut out, Err("a \"b\""));
        assert_eq!(
            out,
            r#"{"method":"add_order","req_id":3,"success":false,"error":"a \"b\"","time_in":"2024-05-23T16:00:00.000001Z","time_out":"2024-05-23T16:00:00.000001Z"}"#
        );
        out.clear();
        frame(&mut out, "executions", true, "[]", Some(1));
        assert_eq!(out, r#"{"channel":"executions","type":"snapshot","data":[],"sequence":1}"#);
    }
}
