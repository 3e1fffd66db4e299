//! The leaves of a request, borrowed from its text: numbers keep every digit, and only a string with
//! escapes is copied.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::access::operation::{Kind, Operation};
use crate::domain::decimal::{Decimal, DecimalError, units_text};
use crate::domain::named::Named;
use crate::domain::orders::OrderType;

/// The `order_type` of `add_order` that closes a position, which is no order.
pub const SETTLE_POSITION: &str = "settle-position";

/// A decimal: a JSON number, or a string that holds one. It is read from its text, never through a float.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Number<'a>(#[serde(borrow)] &'a RawValue);

impl Number<'_> {
    /// The exact decimal.
    pub fn decimal(self) -> Result<Decimal, DecimalError> {
        let text = self.0.get();
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Decimal::parse(inner.unwrap_or(text))
    }
}

impl JsonSchema for Number<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$" },
        ] })
    }
}

/// An integer from 0 to `MAX`.
#[derive(Clone, Copy, Debug)]
pub struct UpTo<const MAX: u64>(u64);

impl<const MAX: u64> UpTo<MAX> {
    /// The integer.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<'de, const MAX: u64> Deserialize<'de> for UpTo<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UpTo<MAX>, D::Error> {
        struct Integer<const MAX: u64>;
        impl<const MAX: u64> Visitor<'_> for Integer<MAX> {
            type Value = UpTo<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 0 to {MAX}")
            }

            fn visit_u64<E: de::Error>(self, integer: u64) -> Result<UpTo<MAX>, E> {
                if integer <= MAX {
                    Ok(UpTo(integer))
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(integer), &self))
                }
            }
        }
        deserializer.deserialize_u64(Integer)
    }
}

impl<const MAX: u64> JsonSchema for UpTo<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UpTo".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": MAX })
    }
}

/// A string of the request, or a secret of an answer. Debug output does not show it, for a token or a one-time code may be
/// any string (rule 28).
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    /// A copy that outlives the request.
    pub fn owned(&self) -> Text<'static> {
        Text::from(&**self)
    }
}

impl From<&str> for Text<'static> {
    fn from(text: &str) -> Self {
        Text(Cow::Owned(text.to_owned()))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(***)")
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Text<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// One of the words for a `T`; in a request it may be any other text, which is refused when it is converted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent, bound(deserialize = "'de: 'a", serialize = ""))]
pub struct Word<'a, T> {
    text: Text<'a>,
    stands_for: PhantomData<T>,
}

impl<T> Deref for Word<'_, T> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<T: Named> From<T> for Word<'_, T> {
    fn from(of: T) -> Self {
        Word { text: Text(Cow::Borrowed(of.name())), stands_for: PhantomData }
    }
}

impl<T: Named> JsonSchema for Word<'_, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": T::NAMES })
    }
}

/// The channels that `subscribe` accepts.
pub fn channels() -> Vec<&'static str> {
    let streams = Operation::ALL.into_iter().filter(|operation| operation.row().kind == Kind::Stream);
    streams.map(Operation::name).collect()
}

/// The order types that `add_order` accepts.
pub fn order_types() -> Vec<&'static str> {
    [OrderType::NAMES, &[SETTLE_POSITION]].concat()
}

/// An object with these members. serde would take an array for a struct as well, member by member.
#[derive(Debug)]
pub struct Object<T>(T);

impl<T> Object<T> {
    /// The value that the members give.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// States another name that serde reads a field by; schemars leaves it out.
pub fn alias(other: &'static str, field: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(properties) = schema.get_mut("properties") {
            properties[other] = properties[field].clone();
        }
    }
}

/// States that the words of a field are read in lower and in upper case; mixed case is read too, but not listed.
pub fn any_case(field: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let words = schema.get_mut("properties").and_then(|properties| properties[field]["enum"].as_array_mut());
        let Some(words) = words else { return };
        for word in words.clone().iter().filter_map(Value::as_str) {
            let forms = [word.to_lowercase(), word.to_uppercase()];
            words.extend(forms.into_iter().filter(|form| form != word).map(Value::from));
        }
    }
}

/// Distinguishes a member that is `null` from one that is absent.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A list of strings, or one string: stock clients send back the single `symbol` of an acknowledgement.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Names<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Names<'a> {
    /// The names; `None` when it is neither form.
    pub fn list(self) -> Option<Vec<Text<'a>>> {
        let text = self.0.get();
        if text.starts_with('"') {
            return serde_json::from_str(text).ok().map(|name| vec![name]);
        }
        serde_json::from_str(text).ok()
    }
}

impl JsonSchema for Names<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": "string" },
        ] })
    }
}

/// A list of order ids and group numbers, as strings or numbers; or one string.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct OrderNames<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> OrderNames<'a> {
    /// All of them as strings; `None` when it is neither form.
    pub fn list(self) -> Option<Vec<Text<'a>>> {
        let Ok(names) = serde_json::from_str::<Vec<&'a RawValue>>(self.0.get()) else { return Names(self.0).list() };
        let text = |name: &'a RawValue| match name.get().parse::<i64>() {
            Ok(_) => Some(Text(Cow::Borrowed(name.get()))),
            Err(_) => serde_json::from_str(name.get()).ok(),
        };
        names.into_iter().map(text).collect()
    }
}

impl JsonSchema for OrderNames<'_> {
    fn schema_name() -> Cow<'static, str> {
        "OrderNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "array", "items": { "type": ["string", "integer"] } },
            { "type": "string" },
        ] })
    }
}

/// A number of a reply or frame, with exactly the decimals of its unit.
#[derive(Clone, Debug, Serialize)]
pub struct Exact(Box<RawValue>);

impl Exact {
    /// `units × 10^-decimals`.
    pub fn new(units: i64, decimals: u8) -> Exact {
        Exact(RawValue::from_string(units_text(units, decimals)).expect("a decimal is JSON"))
    }

    /// The number as it is written.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl From<Decimal> for Exact {
    fn from(decimal: Decimal) -> Exact {
        Exact(RawValue::from_string(decimal.to_string()).expect("a decimal is JSON"))
    }
}

impl JsonSchema for Exact {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Exact".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}
