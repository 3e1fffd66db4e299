//! Refusals of malformed messages.

use std::fmt::Display;

use serde::Deserialize;

use crate::domain::decimal::DecimalError;
use crate::engine::reject::Code;

/// Why a message was not understood, in texts that clients can match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireError {
    /// The whole of `error`.
    pub text: String,
    /// The request's number, if it had an integer one.
    pub req_id: Option<i64>,
    /// The method, as far as it could be read.
    pub method: Option<String>,
}

impl From<Code> for WireError {
    fn from(code: Code) -> WireError {
        WireError::new(code.text())
    }
}

impl WireError {
    /// A refusal with this text, which repeats what the client wrote or names a field as v2 does.
    pub fn new(text: impl Into<String>) -> WireError {
        WireError { text: text.into(), ..WireError::default() }
    }

    /// An invalid value, with advice.
    pub fn field(field: &str, advice: &str) -> WireError {
        WireError::new(format!("{}:{field}: {advice}", Code::InvalidArguments.text()))
    }

    /// A value that is none of `admissible`, which are at least two.
    pub fn none_of(field: &str, admissible: &[impl Display]) -> WireError {
        let mut texts: Vec<String> = admissible.iter().map(ToString::to_string).collect();
        let last = texts.pop().unwrap_or_default();
        WireError::field(field, &format!("give {} or {last}", texts.join(", ")))
    }

    /// Something that is not a number, or a number out of range.
    pub fn number(field: &str, problem: DecimalError) -> WireError {
        match problem {
            DecimalError::Malformed => WireError::new(format!("{} field must be a number_float", capitalised(field))),
            DecimalError::OutOfRange => WireError::field(field, "give a number of at most 18 digits"),
            DecimalError::ExcessDecimals => WireError::field(field, "give fewer decimals"),
        }
    }

    /// What is wrong with `text`, which is valid JSON but not a `T`. It is parsed a second time, since serde names only
    /// unknown, missing or repeated members.
    pub fn shape<'a, T: Deserialize<'a>>(text: &'a str, method: &str) -> WireError {
        let mut reader = serde_json::Deserializer::from_str(text);
        let Err(problem) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
            return Code::MalformedRequest.into();
        };
        let message = problem.inner().to_string();
        let path = problem.path().to_string();
        let quoted = message.split('`').nth(1).unwrap_or_default();
        if message.starts_with("unknown field") {
            return WireError::new(format!("Unsupported field: '{quoted}' for the given msg type: {method}"));
        }
        let within = if path == "." { String::new() } else { format!("{path}.") };
        if message.starts_with("missing field") {
            return WireError::field(&format!("{within}{quoted}"), "this field is needed");
        }
        if message.starts_with("duplicate field") {
            return WireError::field(&format!("{within}{quoted}"), "give this field once");
        }
        let plain = without_place(&message);
        match plain.rsplit_once(", expected ") {
            Some((_, expected)) => WireError::kind(&path, expected),
            None => WireError::field(&path, plain),
        }
    }

    /// The refusal of a value whose type is not the one that serde expected.
    fn kind(field: &str, expected: &str) -> WireError {
        let advice = match expected {
            "a boolean" => "give true or false",
            "i64" => "give an integer",
            "u32" => "give an integer from 0 to 4294967295",
            "u64" => "give an integer from 0 to 18446744073709551615",
            "a sequence" if field.contains('.') => "give an array",
            "a sequence" => return WireError::new(format!("{} field must be an array", capitalised(field))),
            other => return WireError::field(field, &format!("give {other}")),
        };
        WireError::field(field, advice)
    }

    /// The refusal of a whole batch because of the order at `index`.
    pub fn in_batch(self, index: usize) -> WireError {
        WireError { text: format!("{} (orders[{index}])", self.text), ..self }
    }
}

/// serde's message without the line and column of the text that it found wrong.
pub fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(plain, _)| plain)
}

/// A field's name as v2's texts begin with it.
fn capitalised(field: &str) -> String {
    let (first, rest) = field.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
