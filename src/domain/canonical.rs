//! Canonical JSON (RFC 8785) for the digest of a request (rule 24).
//!
//! Only what a request needs: objects, arrays, strings, integers below 2^53, booleans and null. Money is
//! text, so no float ever has to be printed canonically. Keys are ASCII, for which byte order is RFC
//! 8785's UTF-16 order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A JSON value without floats, its objects in canonical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Canonical {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of magnitude below 2^53.
    Integer(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Canonical>),
    /// An object.
    Object(BTreeMap<String, Canonical>),
}

impl Canonical {
    /// An object of the given members.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Canonical)>) -> Canonical {
        Canonical::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A string.
    pub fn text(text: impl ToString) -> Canonical {
        Canonical::Text(text.to_string())
    }

    /// A string, or null.
    pub fn optional(text: Option<impl ToString>) -> Canonical {
        text.map_or(Canonical::Null, Canonical::text)
    }

    /// A non-negative integer; those of requests are counts and seconds, far below 2^53.
    pub fn count(number: u64) -> Canonical {
        Canonical::Integer(i64::try_from(number).expect("counts stay below 2^53"))
    }

    /// The canonical text.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Lower-case hex SHA-256 of the canonical text.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.to_json()))
    }

    fn write(&self, out: &mut String) {
        match self {
            Canonical::Null => out.push_str("null"),
            Canonical::Bool(true) => out.push_str("true"),
            Canonical::Bool(false) => out.push_str("false"),
            Canonical::Integer(number) => out.push_str(&number.to_string()),
            Canonical::Text(text) => write_string(out, text),
            Canonical::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Canonical::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// RFC 8785 §3.2.2.2: the two-character escapes where JSON has one, `\u00xx` for other controls, all else unchanged.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_and_strings_escaped() {
        let value = Canonical::object([
            ("b", Canonical::List(vec![Canonical::Integer(-1), Canonical::Null, Canonical::Bool(true)])),
            ("a", Canonical::text("é\u{1f}\"\\\n\u{202e}")),
        ]);
        assert_eq!(value.to_json(), "{\"a\":\"é\\u001f\\\"\\\\\\n\u{202e}\",\"b\":[-1,null,true]}");
    }

    #[test]
    fn the_digest_is_sha_256_in_hex() {
        let empty = Canonical::object([]);
        assert_eq!(empty.digest(), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }
}
