//! The calculations of the report: percentiles, ratios, medians.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One microsecond to one minute at three significant digits. Longer latencies count as one minute.
pub fn latency_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are sound")
}

/// A duration for the histogram.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Rate and latency of one window. A percentile is known only if at least one latency lies beyond it: with fewer
/// latencies it would just be the longest one, and with none, nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Accepted requests per second, or deliveries of a fan-out.
    pub per_second: f64,
    /// Microseconds.
    pub p50_us: Option<f64>,
    /// Microseconds.
    pub p90_us: Option<f64>,
    /// Microseconds.
    pub p99_us: Option<f64>,
    /// Microseconds.
    pub p999_us: Option<f64>,
    /// Microseconds.
    pub max_us: Option<f64>,
}

impl Figures {
    /// Summarises the latencies of a window.
    pub fn new(latencies: &Histogram<u32>, window: Duration) -> Self {
        let microseconds = |nanoseconds| to_f64(nanoseconds) / 1_000.0;
        let all_but_one_in = |count: u32| {
            let quantile = 1.0 - 1.0 / f64::from(count);
            (latencies.len() >= count.into()).then(|| microseconds(latencies.value_at_quantile(quantile)))
        };
        Self {
            per_second: to_f64(latencies.len()) / window.as_secs_f64(),
            p50_us: all_but_one_in(2),
            p90_us: all_but_one_in(10),
            p99_us: all_but_one_in(100),
            p999_us: all_but_one_in(1_000),
            max_us: (!latencies.is_empty()).then(|| microseconds(latencies.max())),
        }
    }
}

/// A count as a float; exact below 2^53.
pub fn to_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let float = count as f64;
    float
}

/// `part / whole`, or `None` where that has no meaning.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    let ratio = part / whole;
    (whole > 0.0 && ratio.is_finite()).then_some(ratio)
}

/// The middle value, or the mean of the two middle ones; `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_ratio_to_nothing_is_no_figure() {
        assert_eq!(ratio(1.0, 4.0), Some(0.25));
        assert_eq!(ratio(0.0, 4.0), Some(0.0));
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, 0.0), None);
    }

    #[test]
    fn percentiles_are_within_the_histograms_resolution() {
        let mut latencies = latency_histogram();
        for microseconds in 1..=10_000_u64 {
            latencies.saturating_record(microseconds * 1_000);
        }
        let figures = Figures::new(&latencies, Duration::from_millis(500));
        assert!((figures.per_second - 20_000.0).abs() < 1e-6);
        for (found, expected) in [
            (figures.p50_us, 5_000.0),
            (figures.p90_us, 9_000.0),
            (figures.p99_us, 9_900.0),
            (figures.p999_us, 9_990.0),
            (figures.max_us, 10_000.0),
        ] {
            assert!((found.unwrap() / expected - 1.0).abs() < 0.002, "{found:?} for {expected}");
        }
    }

    #[test]
    fn a_percentile_beyond_which_there_is_nothing_is_not_known() {
        let mut latencies = latency_histogram();
        for (count, known) in [(0, 0), (1, 1), (2, 2), (9, 2), (10, 3), (99, 3), (100, 4), (999, 4), (1_000, 5)] {
            latencies.saturating_record_n(1_000, u32::try_from(count - latencies.len()).unwrap());
            let Figures { p50_us, p90_us, p99_us, p999_us, max_us, .. } =
                Figures::new(&latencies, Duration::from_secs(1));
            let reported = [max_us, p50_us, p90_us, p99_us, p999_us];
            assert_eq!(reported.iter().take_while(|us| us.is_some()).count(), known, "{reported:?} of {count}");
            assert_eq!(reported.iter().flatten().count(), known, "{reported:?} of {count}");
        }
    }

    #[test]
    fn histograms_of_connections_merge_and_absurd_latencies_are_kept_at_the_bound() {
        let (mut one, mut other) = (latency_histogram(), latency_histogram());
        one.saturating_record(2_000);
        other.saturating_record(nanoseconds(Duration::from_secs(3_600)));
        one.add(&other).unwrap();
        assert_eq!(one.len(), 2);
        assert!(one.max() >= 60_000_000_000);
    }
}
