//! Exact decimals at the edge: parsed from JSON text without loss, converted to integer units of a known precision, and
//! written back with exactly that precision.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A decimal as a client wrote it: `mantissa × 10^-scale`, normalised (no trailing zeros behind the point).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

/// Why a text is not a usable decimal, or does not fit a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a JSON number.
    Malformed,
    /// More digits than 64 bits hold.
    OutOfRange,
    /// More decimals than the asset or pair has.
    ExcessDecimals,
}

/// The most digits after the point that a text may have; more than any asset's precision.
const SCALE_MAX: i32 = 18;

impl Decimal {
    /// `units × 10^-decimals`.
    pub fn from_units(units: i64, decimals: u8) -> Decimal {
        let mut decimal = Decimal { mantissa: units, scale: decimals };
        while decimal.scale > 0 && decimal.mantissa % 10 == 0 {
            decimal.mantissa /= 10;
            decimal.scale -= 1;
        }
        decimal
    }

    /// Reads the JSON number grammar, exponents included (`1e-8`), losslessly.
    ///
    /// # Errors
    /// When the text is no JSON number, or has more digits or decimals than are held.
    pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(DecimalError::Malformed),
            None => (number, ""),
        };
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(DecimalError::Malformed);
        }
        let mut digits = Digits { mantissa: 0, scale: -exponent, zeros: 0 };
        for byte in whole.bytes() {
            digits.push(byte)?;
        }
        for byte in fraction.bytes() {
            digits.push(byte)?;
            digits.scale = digits.scale.saturating_add(1);
        }
        digits.finish(negative)
    }

    /// The decimal in integer units of 10^-`decimals`.
    ///
    /// # Errors
    /// When it has more decimals than that, or the units do not fit 64 bits.
    pub fn units(self, decimals: u8) -> Result<i64, DecimalError> {
        let up = decimals.checked_sub(self.scale).ok_or(DecimalError::ExcessDecimals)?;
        10i64
            .checked_pow(u32::from(up))
            .and_then(|factor| self.mantissa.checked_mul(factor))
            .ok_or(DecimalError::OutOfRange)
    }
}

/// Written with as many decimals as the number has.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units_text(self.mantissa, self.scale))
    }
}

/// Digits gathered so far; trailing zeros wait in `zeros` until a later digit needs them.
struct Digits {
    mantissa: i64,
    scale: i32,
    zeros: u32,
}

impl Digits {
    fn push(&mut self, byte: u8) -> Result<(), DecimalError> {
        match byte {
            b'0' => {
                self.zeros = self.zeros.saturating_add(1);
                Ok(())
            }
            b'1'..=b'9' => {
                let shift = if self.mantissa == 0 { 0 } else { self.zeros + 1 };
                let factor = 10i64.checked_pow(shift).ok_or(DecimalError::OutOfRange)?;
                let digit = i64::from(byte - b'0');
                self.mantissa = self
                    .mantissa
                    .checked_mul(factor)
                    .and_then(|m| m.checked_add(digit))
                    .ok_or(DecimalError::OutOfRange)?;
                self.zeros = 0;
                Ok(())
            }
            _ => Err(DecimalError::Malformed),
        }
    }

    /// Brings the number to `0 ≤ scale ≤ SCALE_MAX` without trailing zeros.
    fn finish(self, negative: bool) -> Result<Decimal, DecimalError> {
        if self.mantissa == 0 {
            return Ok(Decimal { mantissa: 0, scale: 0 });
        }
        let zeros = i32::try_from(self.zeros).map_err(|_| DecimalError::OutOfRange)?;
        let scale = self.scale.saturating_sub(zeros);
        let magnitude = if scale < 0 {
            let factor = 10i64.checked_pow(scale.unsigned_abs()).ok_or(DecimalError::OutOfRange)?;
            self.mantissa.checked_mul(factor).ok_or(DecimalError::OutOfRange)?
        } else {
            self.mantissa
        };
        if scale > SCALE_MAX {
            return Err(DecimalError::ExcessDecimals);
        }
        let mantissa = if negative { -magnitude } else { magnitude };
        Ok(Decimal { mantissa, scale: u8::try_from(scale.max(0)).expect("at most SCALE_MAX") })
    }
}

fn parse_exponent(text: &str) -> Result<i32, DecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError::Malformed);
    }
    let value: i32 = digits.parse().map_err(|_| DecimalError::OutOfRange)?;
    if value > 1_000_000 {
        return Err(DecimalError::OutOfRange);
    }
    Ok(if text.starts_with('-') { -value } else { value })
}

/// Appends `units × 10^-decimals` with exactly `decimals` digits behind the point.
pub fn write_units(out: &mut String, units: i64, decimals: u8) {
    let mut buffer = [0u8; 40];
    let mut at = buffer.len();
    let mut rest = units.unsigned_abs();
    let mut written = 0;
    loop {
        if written == decimals && decimals > 0 {
            at -= 1;
            buffer[at] = b'.';
        }
        at -= 1;
        buffer[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        written += 1;
        if rest == 0 && written > decimals {
            break;
        }
    }
    if units < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    out.push_str(std::str::from_utf8(&buffer[at..]).expect("ASCII"));
}

/// `units × 10^-decimals` as text with exactly `decimals` digits behind the point.
pub fn units_text(units: i64, decimals: u8) -> String {
    let mut text = String::new();
    write_units(&mut text, units, decimals);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str, decimals: u8) -> Result<i64, DecimalError> {
        Decimal::parse(text)?.units(decimals)
    }

    #[test]
    fn d5_60_reads_every_json_form_exactly() {
        assert_eq!(units("0.1", 8), Ok(10_000_000));
        assert_eq!(units("1e-8", 8), Ok(1));
        assert_eq!(units("1E-08", 8), Ok(1));
        assert_eq!(units("1.50e2", 0), Ok(150));
        assert_eq!(units("-12.340", 2), Ok(-1_234));
        assert_eq!(units("90071992547.40993123", 8), Ok(9_007_199_254_740_993_123));
        assert_eq!(units("-0", 8), Ok(0));
        assert_eq!(units("0e99", 8), Ok(0));
        assert_eq!(units("100000000000000000000000000e-26", 0), Ok(1));
        assert_eq!(units("1.000000000000000000000000000", 0), Ok(1));
    }

    #[test]
    fn d5_60_refuses_what_it_cannot_hold() {
        for malformed in ["", "-", "01", ".5", "5.", "1e", "1e+", "0x1", "1_000", "NaN", "+1", "1.2.3", "--1", " 1"] {
            assert_eq!(Decimal::parse(malformed), Err(DecimalError::Malformed), "{malformed}");
        }
        assert_eq!(units("1e-9", 8), Err(DecimalError::ExcessDecimals));
        assert_eq!(units("1e-19", 8), Err(DecimalError::ExcessDecimals));
        assert_eq!(units("9223372036854775808", 0), Err(DecimalError::OutOfRange));
        assert_eq!(units("1e400", 0), Err(DecimalError::OutOfRange));
        assert_eq!(units("1e99999999999", 0), Err(DecimalError::OutOfRange));
        assert_eq!(units("92233720368547758", 8), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn writes_with_exact_precision() {
        assert_eq!(units_text(16_000, 8), "0.00016000");
        assert_eq!(units_text(-1_234, 2), "-12.34");
        assert_eq!(units_text(0, 0), "0");
        assert_eq!(units_text(5, 0), "5");
        assert_eq!(units_text(i64::MIN, 12), "-9223372.036854775808");
    }
}
