//! A refusal of a message's shape.

use crate::domain::decimal::DecimalError;

/// Why a message is not understood, in the words that clients match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireError {
    /// The whole of `error`.
    pub text: String,
    /// The request's number, if it had an integer one.
    pub req_id: Option<i64>,
    /// The method, as far as it could be read.
    pub method: Option<String>,
}

impl WireError {
    /// A refusal with this text.
    pub fn new(text: impl Into<String>) -> WireError {
        WireError { text: text.into(), ..WireError::default() }
    }

    /// An inadmissible value, with what to do about it.
    pub fn field(field: &str, advice: &str) -> WireError {
        WireError::new(format!("EGeneral:Invalid arguments:{field}: {advice}"))
    }

    /// A number that is none, or that we cannot hold.
    pub fn number(field: &str, problem: DecimalError) -> WireError {
        match problem {
            DecimalError::Malformed => {
                let (first, rest) = field.split_at(1);
                WireError::new(format!("{}{rest} field must be a number_float", first.to_uppercase()))
            }
            DecimalError::OutOfRange => WireError::field(field, "give a number of at most 18 digits"),
            DecimalError::ExcessDecimals => WireError::field(field, "give fewer decimals"),
        }
    }

    /// What serde found wrong, in the protocol's words. Its message is the only place that names the field.
    pub fn shape(problem: &serde_json::Error, method: &str) -> WireError {
        let message = problem.to_string();
        let quoted = message.split('`').nth(1).unwrap_or_default();
        if message.starts_with("unknown field") {
            return WireError::new(format!("Unsupported field: '{quoted}' for the given msg type: {method}"));
        }
        if message.starts_with("missing field") {
            return WireError::field(quoted, "this field is needed");
        }
        if message.starts_with("duplicate field") {
            return WireError::field(quoted, "give this field once");
        }
        let plain = message.rsplit_once(" at line ").map_or(message.as_str(), |(plain, _)| plain);
        WireError::field("params", plain)
    }

    /// The same, in answer to the request of this number.
    pub fn for_request(self, req_id: Option<i64>) -> WireError {
        WireError { req_id, ..self }
    }
}
