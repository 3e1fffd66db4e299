//! Checks of fields that several commands have: names, addresses, comments and numbers.

use super::reject::Reject;
use crate::domain::decimal::{Decimal, DecimalError};
use crate::domain::limits::{ADDRESS_BYTES_MAX, COMMENT_BYTES_MAX, NAME_BYTES_MAX, TXID_BYTES_MAX};
use crate::domain::money::Amount;

/// A name: not empty, printable, at most [`NAME_BYTES_MAX`] bytes, and without spaces that are easily overlooked, which
/// would be all that two names differ in.
pub(super) fn check_name(field: &'static str, text: &str) -> Result<(), Reject> {
    check_text(field, text, NAME_BYTES_MAX)?;
    match text.split(' ').any(str::is_empty) {
        false => Ok(()),
        true => Err(Reject::invalid(field, "leave no space at its ends, nor two in a row")),
    }
}

/// An address that money goes to or comes from, and the tag that some chains need with it: printable ASCII, no spaces.
pub(super) fn check_address(field: &'static str, address: &str, tag: Option<&str>) -> Result<(), Reject> {
    let plain =
        |text: &str| (1..=ADDRESS_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match plain(address) && tag.is_none_or(plain) {
        true => Ok(()),
        false => Err(Reject::invalid(field, "give 1 to 128 printable ASCII characters")),
    }
}

/// The id that a chain or bank gave a transaction.
pub(super) fn check_txid(txid: &str) -> Result<(), Reject> {
    check_text("txid", txid, TXID_BYTES_MAX)
}

fn check_text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Reject> {
    let sound = !text.trim().is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control);
    let advice = || format!("give 1 to {bytes_max} bytes without control characters");
    if sound { Ok(()) } else { Err(Reject::invalid(field, advice())) }
}

/// An e-mail address: a name with an `@`. Whether it exists is not checked.
pub(super) fn check_email(field: &'static str, text: &str) -> Result<(), Reject> {
    check_name(field, text)?;
    if text.contains('@') { Ok(()) } else { Err(Reject::invalid(field, "give an e-mail address")) }
}

/// A comment or reason: printable but for line breaks and tabs, at most [`COMMENT_BYTES_MAX`] bytes, and not empty if it
/// is there.
pub(super) fn check_comment(field: &'static str, comment: Option<&str>) -> Result<(), Reject> {
    let is_plain = |text: &str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let is_sound = |text: &str| !text.trim().is_empty() && text.len() <= COMMENT_BYTES_MAX && is_plain(text);
    match comment.is_none_or(is_sound) {
        true => Ok(()),
        false => Err(Reject::invalid(field, "give 1 to 500 bytes; of control characters only line breaks and tabs")),
    }
}

/// A number in units of 10^-`decimals`.
pub(super) fn units(number: Decimal, decimals: u8, field: &'static str) -> Result<i64, Reject> {
    number.units(decimals).map_err(|error| match error {
        DecimalError::ExcessDecimals => Reject::invalid(field, format!("give at most {decimals} decimals")),
        DecimalError::Malformed | DecimalError::OutOfRange => Reject::invalid(field, "too large; give less"),
    })
}

/// A number above zero, in units.
pub(super) fn positive(number: Decimal, decimals: u8, field: &'static str) -> Result<i64, Reject> {
    match units(number, decimals, field)? {
        units if units > 0 => Ok(units),
        _ => Err(Reject::invalid(field, "must be above zero")),
    }
}

/// An amount that is zero or more.
pub(super) fn not_negative(number: Decimal, decimals: u8, field: &'static str) -> Result<Amount, Reject> {
    match units(number, decimals, field)? {
        units if units >= 0 => Ok(Amount(units)),
        _ => Err(Reject::invalid(field, "must not be negative")),
    }
}
