//! Properties of numbers as text: writing and reading give the same number, reading and writing the same text.

use countersign::domain::decimal::{Decimal, units_text};
use proptest::prelude::*;

fn units(text: &str, decimals: u8) -> Result<i64, TestCaseError> {
    let read = Decimal::parse(text).and_then(|decimal| decimal.units(decimals));
    read.map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))
}

/// Any number of units, or one that is mostly zeros.
fn counts() -> impl Strategy<Value = i64> {
    let sparse = (-999..=999_i64, 0..=15_u32, -999..=999_i64);
    let sparse = sparse.prop_map(|(high, zeros, low)| high * 10_i64.pow(zeros) + low);
    prop_oneof![-i64::MAX..=i64::MAX, sparse]
}

proptest! {
    /// Amounts, quantities and prices are all written from their units. None is ever as low as the minimum of 64 bits.
    #[test]
    fn d5_60_units_that_are_written_are_read_as_the_same(count in counts(), decimals in 0..=18u8) {
        let text = units_text(count, decimals);
        prop_assert_eq!(units(&text, decimals)?, count);
        let shortest = Decimal::from_units(count, decimals);
        prop_assert_eq!(Decimal::parse(&text), Ok(shortest));
        prop_assert_eq!(Decimal::parse(&shortest.to_string()), Ok(shortest));
    }

    /// With an exponent as well as without one.
    #[test]
    fn d5_60_a_text_that_is_read_is_written_as_it_was(
        sign in prop::sample::select(&["", "-"][..]),
        whole in 0..=9_999_999_999_u64,
        fraction in 1..=99_999_999_u64,
    ) {
        let text = format!("{sign}{whole}.{fraction:08}");
        let count = units(&text, 8)?;
        prop_assert_eq!(units_text(count, 8), text);
        let plain = format!("{whole}{fraction:08}");
        prop_assert_eq!(units(&format!("{sign}{}e-8", plain.trim_start_matches('0')), 8)?, count);
    }
}
