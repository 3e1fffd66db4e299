//! Moments in UTC microseconds, as they are sent on the wire, and their RFC 3339 text.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

/// The last moment accepted: 9999-12-30, within the range of RFC 3339 in every time zone.
const LAST_US: u64 = 253_402_128_000_000_000;

impl Moment {
    /// The moment `us` microseconds later; never past the end of the representable range.
    pub fn plus_us(self, us: u64) -> Moment {
        Moment(self.0.saturating_add(us).min(LAST_US))
    }

    /// The moment `us` microseconds earlier; never before 1970.
    pub fn minus_us(self, us: u64) -> Moment {
        Moment(self.0.saturating_sub(us))
    }

    /// Whether it lies in the `us` microseconds that begin with `start`. A time before `start` does not count:
    /// otherwise setting the clock back would make something valid for longer.
    pub fn is_within(self, start: Moment, us: u64) -> bool {
        start <= self && self < start.plus_us(us)
    }

    /// Whether it lies less than `us` microseconds before or after another: of two threads that read the clock, the one
    /// that read it first may use its value last.
    pub fn is_near(self, other: Moment, us: u64) -> bool {
        self.0.abs_diff(other.0) < us
    }

    /// Parses RFC 3339 text with at most nine decimals and an offset or `Z`; `None` for anything else or outside
    /// 1970–9999. Fractions of a microsecond are rounded up, which does not change which moments are before such a
    /// bound and which are not.
    pub fn parse(text: &str) -> Option<Moment> {
        let at: jiff::Timestamp = is_rfc_3339(text).then(|| text.parse().ok())??;
        let rest = at.subsec_nanosecond() % 1_000 > 0;
        let us = u64::try_from(at.as_microsecond()).ok()? + u64::from(rest);
        (us <= LAST_US).then_some(Moment(us))
    }
}

/// Whether a text has the form of RFC 3339; jiff also accepts other forms of ISO 8601, and zone names.
fn is_rfc_3339(text: &str) -> bool {
    let like = |text: &str, form: &str| {
        let fits =
            |(byte, of): (u8, u8)| if of == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(&of) };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let zone = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|of: char| of.is_ascii_digit()));
    ["0000-00-00T00:00:00", "0000-00-00 00:00:00"].iter().any(|form| like(time, form))
        && ["Z", "+00:00", "-00:00"].iter().any(|form| like(zone, form))
}

/// A period of time, `from` ≤ t < `until`; `None` means no bound on that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// From this on.
    pub from: Option<Moment>,
    /// Before this.
    pub until: Option<Moment>,
}

impl Period {
    /// All time.
    pub const ALWAYS: Period = Period { from: None, until: None };

    /// Whether it contains a moment: from ≤ t < until.
    pub fn holds(self, at: Moment) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether it is over at `now`.
    pub fn has_ended(self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it contains no moment.
    pub fn is_empty(self) -> bool {
        self.from.zip(self.until).is_some_and(|(from, until)| until <= from)
    }

    /// The intersection of both.
    pub fn within(self, other: Period) -> Period {
        Period {
            from: self.from.into_iter().chain(other.from).max(),
            until: self.until.into_iter().chain(other.until).min(),
        }
    }
}

/// RFC 3339 in UTC with exactly six decimals, the form of every time on the wire.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.min(LAST_US);
        let second = SECOND.with(|cached| {
            let (number, text) = cached.get();
            if number == us / 1_000_000 {
                return text;
            }
            let text = second_text(us / 1_000_000);
            cached.set((us / 1_000_000, text));
            text
        });
        f.write_str(std::str::from_utf8(&second).expect("ASCII"))?;
        let mut rest = *b".000000Z";
        let mut left = us % 1_000_000;
        for digit in rest[1..7].iter_mut().rev() {
            *digit += (left % 10) as u8;
            left /= 10;
        }
        f.write_str(std::str::from_utf8(&rest).expect("ASCII"))
    }
}

/// `2024-05-23T16:00:00`.
type SecondText = [u8; 19];

thread_local! {
    // Replies and items contain many times of the same second; its text is computed once.
    static SECOND: Cell<(u64, SecondText)> = const { Cell::new((u64::MAX, [b' '; 19])) };
}

fn second_text(second: u64) -> SecondText {
    let second = i64::try_from(second).expect("the last moment fits i64");
    let at = jiff::Timestamp::from_second(second).expect("the last moment is within jiff's range").to_string();
    let mut text = [b' '; 19];
    text.copy_from_slice(&at.as_bytes()[..19]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_includes_its_start_and_excludes_its_end() {
        let [early, late, later] = [10, 20, 30].map(|at| Some(Moment(at)));
        let period = Period { from: early, until: late };
        assert_eq!([9, 10, 19, 20].map(|at| period.holds(Moment(at))), [false, true, true, false]);
        assert_eq!([19, 20].map(|at| period.has_ended(Moment(at))), [false, true]);
        assert!(Period::ALWAYS.holds(Moment(0)) && !Period::ALWAYS.has_ended(Moment(u64::MAX)));
        assert_eq!(period.within(Period::ALWAYS), period);
        assert_eq!(period.within(Period { from: late, until: later }), Period { from: late, until: late });
        assert_eq!([late, early, None].map(|until| Period { from: early, until }.is_empty()), [false, true, false]);
    }

    #[test]
    fn text_and_back() {
        let at = Moment(1_716_480_000_000_001);
        assert_eq!(at.to_string(), "2024-05-23T16:00:00.000001Z");
        assert_eq!(Moment::parse("2024-05-23T16:00:00.000001Z"), Some(at));
        assert_eq!(Moment::parse("2024-05-23T18:00:00.000001+02:00"), Some(at));
        assert_eq!(Moment::parse("1969-12-31T23:59:59Z"), None);
        assert_eq!(Moment(u64::MAX).to_string(), "9999-12-30T00:00:00.000000Z");
    }

    #[test]
    fn rfc_3339_alone_is_read() {
        let at = Some(Moment(1_716_480_000_500_000));
        for text in ["2024-05-23T16:00:00.5Z", "2024-05-23t16:00:00.500z", "2024-05-23 14:00:00.5-02:00"] {
            assert_eq!(Moment::parse(text), at, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "20240523T160000Z",
            "2024-05-23T16Z",
            "2024-05-23T16:00Z",
            "2024-05-23T16:00:00",
            "2024-05-23T16:00:00.Z",
            "2024-05-23T16:00:00.0000010000Z",
            "2024-05-23T16:00:00,5Z",
            "2024-05-23T16:00:00+02",
            "2024-05-23T16:00:00+0200",
            "2024-05-23T16:00:00Z[UTC]",
            "+002024-05-23T16:00:00Z",
            "2024-05-23T16:00:00\u{2212}02:00",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bound_finer_than_a_microsecond_divides_moments_where_it_lies() {
        let [at, next] = [1_716_480_000_000_001, 1_716_480_000_000_002].map(Moment);
        for (text, bound) in [
            ("2024-05-23T16:00:00.000001Z", at),
            ("2024-05-23T16:00:00.000001000Z", at),
            ("2024-05-23T16:00:00.000001001Z", next),
            ("2024-05-23T16:00:00.000001999Z", next),
        ] {
            assert_eq!(Moment::parse(text), Some(bound), "{text}");
        }
    }
}
