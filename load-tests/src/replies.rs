//! Parses a server's messages with three substring searches.
//!
//! A reply is recognised by its `"req_id":` key. Inside a JSON string a quote is always escaped, so the byte sequence
//! `"req_id":` can only be a key, and no v2 reply nests another one of that name.

use memchr::memmem;
use serde::Deserialize;

use crate::error::LoadError;

/// The server's warning when it acknowledges an order that it has from an earlier request.
const REPEATED: &[u8] = b"the order was placed before by a request with this cl_ord_id";

/// One message from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// The request was accepted.
    Accepted {
        /// The request's id.
        req_id: u64,
    },
    /// The request was refused.
    Refused {
        /// The request's id.
        req_id: u64,
        /// The server's `error`.
        error: String,
    },
    /// A channel frame, or anything else without a `req_id`.
    Stream,
}

/// The searches, prepared once per connection.
#[derive(Debug)]
pub struct Replies {
    req_id: memmem::Finder<'static>,
    success: memmem::Finder<'static>,
    repeated: memmem::Finder<'static>,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            req_id: memmem::Finder::new(br#""req_id":"#),
            success: memmem::Finder::new(br#""success":true"#),
            repeated: memmem::Finder::new(REPEATED),
        }
    }
}

impl Replies {
    /// Determines what a message is.
    ///
    /// # Errors
    /// `Protocol` if it has a `req_id` but is not a reply, `Repeated` if it acknowledges an order that existed already.
    pub fn read(&self, text: &[u8]) -> Result<Message, LoadError> {
        let Some(at) = self.req_id.find(text) else { return Ok(Message::Stream) };
        if self.repeated.find(text).is_some() {
            return Err(LoadError::Repeated);
        }
        if self.success.find(text).is_none() {
            return refusal(text);
        }
        let digits = text[at + br#""req_id":"#.len()..].trim_ascii_start();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&digits[..length]).ok().and_then(|digits| digits.parse().ok());
        number.map(|req_id| Message::Accepted { req_id }).ok_or_else(|| not_a_reply(text))
    }
}

/// The slow path, for refusals and for servers that put spaces between their tokens.
fn refusal(text: &[u8]) -> Result<Message, LoadError> {
    #[derive(Deserialize)]
    struct Reply {
        req_id: u64,
        success: bool,
        error: Option<String>,
    }
    match serde_json::from_slice(text) {
        Ok(Reply { req_id, success: true, .. }) => Ok(Message::Accepted { req_id }),
        Ok(Reply { req_id, success: false, error }) => {
            Ok(Message::Refused { req_id, error: error.unwrap_or_default() })
        }
        Err(_) => Err(not_a_reply(text)),
    }
}

/// The text of a refusal with N for each number, such as the milliseconds to wait, so that one reason counts as one.
pub fn reason(error: &str) -> String {
    let (mut reason, mut rest) = (String::with_capacity(error.len()), error);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        reason += &rest[..at];
        reason.push('N');
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    reason + rest
}

fn not_a_reply(text: &[u8]) -> LoadError {
    let shown: String = String::from_utf8_lossy(text).chars().take(300).collect();
    LoadError::Protocol(format!("not a reply: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_refusals_and_streams_in_any_member_order() {
        let cases = [
            (
                r#"{"method":"add_order","req_id":17,"result":{"order_id":"O"},"success":true}"#,
                Message::Accepted { req_id: 17 },
            ),
            (r#"{"success":true,"result":{"cl_ord_id":"\"req_id\":9"},"req_id":18}"#, Message::Accepted { req_id: 18 }),
            (r#"{ "success": true, "req_id": 19 }"#, Message::Accepted { req_id: 19 }),
            (r#"{"method":"add_order","req_id":20,"success":false,"error":"EOrder:x \"success\":true"}"#, {
                Message::Refused { req_id: 20, error: r#"EOrder:x "success":true"#.into() }
            }),
            (r#"{"channel":"status","type":"update","data":[{}]}"#, Message::Stream),
        ];
        for (text, expected) in cases {
            assert_eq!(Replies::default().read(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_reply_is_an_error() {
        for text in [r#"{"req_id":"1","success":true}"#, r#"{"req_id":null,"success":false}"#, r#"{"req_id":1}"#] {
            assert!(Replies::default().read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
