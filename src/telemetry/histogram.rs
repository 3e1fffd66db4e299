//! Durations counted in fixed buckets: no lock, no allocation, two additions for each observation.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets: in µs, and in seconds as Prometheus writes them.
const BOUNDS: [(u64, &str); 19] = [
    (10, "0.00001"),
    (20, "0.00002"),
    (50, "0.00005"),
    (100, "0.0001"),
    (200, "0.0002"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_000, "0.002"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (20_000, "0.02"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (200_000, "0.2"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_000_000, "2"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// A histogram of durations from 10 µs to 10 s; longer ones count as beyond the last bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Observations by bucket, not cumulative; the last is for those beyond all bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Appends the series in the Prometheus text format; `labels` is empty or like `stage="queue"`.
    pub fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (count, bound) in self.counts.iter().zip(BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"])) {
            total += count.load(Ordering::Relaxed);
            writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}").expect(INFALLIBLE);
        }
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum_us = self.sum_us.load(Ordering::Relaxed);
        let (seconds, rest) = (sum_us / 1_000_000, sum_us % 1_000_000);
        writeln!(text, "{name}_sum{braced} {seconds}.{rest:06}\n{name}_count{braced} {total}").expect(INFALLIBLE);
    }
}

const INFALLIBLE: &str = "writing to a String succeeds";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_all_above() {
        let histogram = Histogram::default();
        for us in [0, 10, 11, 1_500_000, 11_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.write(&mut text, "wait_seconds", "stage=\"queue\"");
        for line in [
            "wait_seconds_bucket{stage=\"queue\",le=\"0.00001\"} 2",
            "wait_seconds_bucket{stage=\"queue\",le=\"0.00002\"} 3",
            "wait_seconds_bucket{stage=\"queue\",le=\"1\"} 3",
            "wait_seconds_bucket{stage=\"queue\",le=\"10\"} 4",
            "wait_seconds_bucket{stage=\"queue\",le=\"+Inf\"} 5",
            "wait_seconds_sum{stage=\"queue\"} 12.500021",
            "wait_seconds_count{stage=\"queue\"} 5",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_bound_is_written_as_what_it_is() {
        for (us, seconds) in BOUNDS {
            assert_eq!(seconds.parse::<f64>().unwrap(), us as f64 / 1e6);
        }
        assert!(BOUNDS.is_sorted());
    }
}
