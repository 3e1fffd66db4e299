//! Leaves of params to values of the engine's commands, refused by the name of their field.

use arrayvec::ArrayString;

use super::WireError;
use crate::access::workflow::Workflow;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{
    DepositId, ExportId, MemberId, OrganizationId, RequestId, ServiceUserId, StrategyId, WithdrawalId,
};
use crate::domain::limits::PAGE_MAX;
use crate::domain::text::{ClientOrderId, is_client_order_id};
use crate::domain::time::{Moment, Period};
use crate::wire::leaf::{Number, Text};

/// Rows of a page when none are named.
const PAGE: usize = 50;

pub(super) fn decimal(field: &str, number: Number<'_>) -> Result<Decimal, WireError> {
    number.decimal().map_err(|problem| WireError::number(field, problem))
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

pub(super) fn owned(text: &Option<Text<'_>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

pub(super) fn client_order_id(text: &str) -> Result<ClientOrderId, WireError> {
    let advice = "give a UUID, 32 hex digits or up to 18 ASCII characters";
    let sound = is_client_order_id(text).then(|| ClientOrderId::from(text).ok()).flatten();
    sound.ok_or_else(|| WireError::field("cl_ord_id", advice))
}

pub(super) fn limit(asked: Option<u32>) -> Result<usize, WireError> {
    match asked.map_or(Ok(PAGE), usize::try_from) {
        Ok(rows) if (1..=PAGE_MAX).contains(&rows) => Ok(rows),
        _ => Err(WireError::field("limit", &format!("give 1 to {PAGE_MAX}"))),
    }
}

pub(super) fn moment(field: &str, text: Option<&str>) -> Result<Option<Moment>, WireError> {
    let read = |text| Moment::parse(text).ok_or_else(|| WireError::field(field, "give an RFC 3339 time"));
    text.map(read).transpose()
}

/// What `start` and `end` say.
pub(super) fn period(start: Option<&str>, end: Option<&str>) -> Result<Period, WireError> {
    Ok(Period { from: moment("start", start)?, until: moment("end", end)? })
}

pub(super) fn strategy(text: &str) -> Result<StrategyId, WireError> {
    StrategyId::parse(text).ok_or_else(|| WireError::new("EGeneral:Invalid arguments:Invalid strategy ID"))
}

pub(super) fn request_id(text: &str) -> Result<RequestId, WireError> {
    RequestId::parse(text).ok_or_else(|| WireError::field("request_id", "give the id of a request"))
}

pub(super) fn export_id(text: &str) -> Result<ExportId, WireError> {
    ExportId::parse(text).ok_or_else(|| WireError::field("export_id", "give the id of an export"))
}

pub(super) fn withdrawal(text: &str) -> Result<WithdrawalId, WireError> {
    WithdrawalId::parse(text).ok_or_else(|| WireError::new("EFunding:Invalid reference id"))
}

pub(super) fn deposit(text: &str) -> Result<DepositId, WireError> {
    DepositId::parse(text).ok_or_else(|| WireError::new("EFunding:Invalid reference id"))
}

/// Where the page before ended; lists that come in the order of an id have the id of its last row there.
pub(super) fn cursor<T>(text: &Option<Text<'_>>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, WireError> {
    let unknown = || WireError::field("cursor", "give the cursor of the page before");
    text.as_deref().map(|text| parse(text).ok_or_else(unknown)).transpose()
}

pub(super) fn service_user(text: &str) -> Result<ServiceUserId, WireError> {
    ServiceUserId::parse(text).ok_or_else(|| WireError::field("service_user_id", "give the id of a Service User"))
}

pub(super) fn organization(text: &str) -> Result<OrganizationId, WireError> {
    OrganizationId::parse(text).ok_or_else(|| WireError::field("organizations", "give ids of Organizations"))
}

pub(super) fn member(text: &str) -> Result<MemberId, WireError> {
    MemberId::parse(text).ok_or_else(|| WireError::field("member_id", "give the id of a Member"))
}

pub(super) fn workflow(text: &str) -> Result<Workflow, WireError> {
    Workflow::parse(text).ok_or_else(|| WireError::field("workflow", "give the name of a workflow"))
}
