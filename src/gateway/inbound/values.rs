//! Converts single params to values of the engine's commands; refusals name the field.

use arrayvec::ArrayString;

use super::WireError;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{
    DepositId, ExportId, MemberId, OrganizationId, RequestId, ServiceUserId, StrategyId, WithdrawalId,
};
use crate::domain::limits::PAGE_MAX;
use crate::domain::named::Named;
use crate::domain::text::{ClientId, ClientOrderId, is_client_order_id};
use crate::domain::time::{Moment, Period};
use crate::engine::entries::TYPES;
use crate::engine::reject::Code;
use crate::wire::leaf::{Number, Text};

/// Rows of a page by default.
const PAGE: usize = 50;

pub(super) fn decimal(field: &str, number: Number<'_>) -> Result<Decimal, WireError> {
    number.decimal().map_err(|problem| WireError::number(field, problem))
}

pub(super) fn optional_decimal(field: &str, number: Option<Number<'_>>) -> Result<Option<Decimal>, WireError> {
    number.map(|number| decimal(field, number)).transpose()
}

pub(super) fn short<const N: usize>(field: &str, text: &str) -> Result<ArrayString<N>, WireError> {
    ArrayString::from(text).map_err(|_| WireError::field(field, &format!("give at most {N} bytes")))
}

pub(super) fn optional_short<const N: usize>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<ArrayString<N>>, WireError> {
    text.map(|text| short(field, text)).transpose()
}

/// A client's name for a request. An empty text is refused: it would be the same for every client that leaves it empty.
pub(super) fn client_id(text: Option<&str>) -> Result<Option<ClientId>, WireError> {
    match text {
        Some("") => Err(WireError::field("client_id", "give at least a byte, or leave it out")),
        text => optional_short("client_id", text),
    }
}

/// The value of a text, refused with `advice` if it has none.
pub(super) fn parse_named<T>(
    field: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    advice: &str,
) -> Result<T, WireError> {
    parse(text).ok_or_else(|| WireError::field(field, advice))
}

pub(super) fn optional_named<T>(
    field: &str,
    text: Option<&str>,
    parse: fn(&str) -> Option<T>,
    advice: &str,
) -> Result<Option<T>, WireError> {
    text.map(|text| parse_named(field, text, parse, advice)).transpose()
}

/// The value of a word, refused with a list of the valid ones.
pub(super) fn word<T: Named>(field: &str, text: &str) -> Result<T, WireError> {
    T::named(text).ok_or_else(|| WireError::none_of(field, T::NAMES))
}

pub(super) fn optional_word<T: Named>(field: &str, text: Option<&str>) -> Result<Option<T>, WireError> {
    text.map(|text| word(field, text)).transpose()
}

pub(super) fn owned(text: &Option<Text<'_>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

pub(super) fn client_order_id(field: &str, text: &str) -> Result<ClientOrderId, WireError> {
    let sound = |text: &str| ClientOrderId::from(text).ok().filter(|_| is_client_order_id(text));
    parse_named(field, text, sound, "give a UUID, 32 hex digits or up to 18 ASCII characters")
}

/// The name of a method of deposits or withdrawals, existing or not; a text that no database can store is no name.
pub(super) fn method(text: &Option<Text<'_>>) -> Result<Option<String>, WireError> {
    let sound = |text: &str| (!text.chars().any(char::is_control)).then(|| text.to_owned());
    optional_named("method", text.as_deref(), sound, "give the name of a method")
}

/// `cl_ord_id` as a filter.
pub(super) fn optional_cl_ord_id(text: &Option<Text<'_>>) -> Result<Option<ClientOrderId>, WireError> {
    text.as_deref().map(|text| client_order_id("cl_ord_id", text)).transpose()
}

pub(super) fn limit(value: Option<u32>) -> Result<usize, WireError> {
    match value.map_or(Ok(PAGE), usize::try_from) {
        Ok(rows) if (1..=PAGE_MAX).contains(&rows) => Ok(rows),
        _ => Err(WireError::field("limit", &format!("give 1 to {PAGE_MAX}"))),
    }
}

pub(super) fn moment(field: &str, text: Option<&str>) -> Result<Option<Moment>, WireError> {
    optional_named(field, text, Moment::parse, "give an RFC 3339 time")
}

/// The period given by `start` and `end`.
pub(super) fn period(start: Option<&str>, end: Option<&str>) -> Result<Period, WireError> {
    Ok(Period { from: moment("start", start)?, until: moment("end", end)? })
}

/// A type of ledger entry. Unknown ones are refused: an empty answer would look as if there were no such entries.
pub(super) fn entry_type(text: &str) -> Result<String, WireError> {
    if TYPES.contains(&text) { Ok(text.to_owned()) } else { Err(WireError::none_of("type", &TYPES)) }
}

pub(super) fn strategy(text: &str) -> Result<StrategyId, WireError> {
    StrategyId::parse(text).ok_or_else(|| Code::UnknownStrategy.into())
}

pub(super) fn request_id(text: &str) -> Result<RequestId, WireError> {
    parse_named("request_id", text, RequestId::parse, "give the id of a request")
}

pub(super) fn export_id(text: &str) -> Result<ExportId, WireError> {
    parse_named("export_id", text, ExportId::parse, "give the id of an export")
}

pub(super) fn withdrawal(text: &str) -> Result<WithdrawalId, WireError> {
    WithdrawalId::parse(text).ok_or_else(|| Code::InvalidReference.into())
}

pub(super) fn deposit(text: &str) -> Result<DepositId, WireError> {
    DepositId::parse(text).ok_or_else(|| Code::InvalidReference.into())
}

/// Where the previous page ended; for lists in the order of an id it is the id of the last row.
pub(super) fn cursor<T>(text: &Option<Text<'_>>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, WireError> {
    optional_named("cursor", text.as_deref(), parse, "give the cursor of the page before")
}

pub(super) fn service_user(text: &str) -> Result<ServiceUserId, WireError> {
    parse_named("service_user_id", text, ServiceUserId::parse, "give the id of a Service User")
}

pub(super) fn organization(text: &str) -> Result<OrganizationId, WireError> {
    parse_named("organizations", text, OrganizationId::parse, "give ids of Organizations")
}

pub(super) fn member(text: &str) -> Result<MemberId, WireError> {
    parse_named("member_id", text, MemberId::parse, "give the id of a Member")
}
