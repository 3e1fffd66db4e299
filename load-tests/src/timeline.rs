//! Replies and latencies of a window cut into slices, so that a report can show how they went over time.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::figures::{Figures, latency_histogram, nanoseconds, to_f64};

/// More slices than this do not improve a plot.
const SLICES_MAX: u32 = 120;
/// Shorter slices hold too few latencies for a p99.
const SLICE_MIN: Duration = Duration::from_millis(100);

/// What the slices hold, shared by all connections of a run.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    window: Duration,
    slice: Duration,
    slices: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    replies: u64,
    latencies: Histogram<u32>,
}

impl Default for Part {
    fn default() -> Self {
        Self { replies: 0, latencies: latency_histogram() }
    }
}

impl Part {
    fn figures(&self, length: Duration) -> Figures {
        let per_second = to_f64(self.replies) / length.as_secs_f64();
        Figures { per_second, ..Figures::new(&self.latencies, length) }
    }
}

/// One slice of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its end, in seconds from the start of the window.
    pub at_s: f64,
    /// Rate and latency within it; without replies there is no latency.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A point of the percentile curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Share of requests, 0 to 1, that took at most this long.
    pub quantile: f64,
    /// Microseconds.
    pub us: f64,
}

impl Timeline {
    /// Slices for a window that starts at `start`.
    pub fn new(start: Instant, window: Duration) -> Self {
        let slice = (window / SLICES_MAX).max(SLICE_MIN);
        Self { start, window, slice, slices: Vec::new() }
    }

    /// Counts a reply received at `at`; returns `false` outside the window, where it is not counted.
    pub fn reply(&mut self, at: Instant) -> bool {
        self.part(at).map(|part| part.replies += 1).is_some()
    }

    /// Records a latency in the slice of `at`; not outside the window.
    pub fn latency(&mut self, at: Instant, latency: Duration) {
        if let Some(part) = self.part(at) {
            part.latencies.saturating_record(nanoseconds(latency));
        }
    }

    /// Counts deliveries of these ages that were complete at `at`; not outside the window.
    pub fn deliveries(&mut self, at: Instant, ages: &Histogram<u32>) {
        if let Some(part) = self.part(at) {
            part.replies += ages.len();
            part.latencies.add(ages).expect("all latency histograms have the same bounds");
        }
    }

    fn part(&mut self, at: Instant) -> Option<&mut Part> {
        let since = at.checked_duration_since(self.start).filter(|since| *since < self.window)?;
        // The remainder of a window that cannot be divided evenly belongs to the last slice.
        let index = (since.as_nanos() / self.slice.as_nanos()).min(u128::from(SLICES_MAX - 1));
        let index = usize::try_from(index).ok()?;
        while self.slices.len() <= index {
            self.slices.push(Part::default());
        }
        self.slices.get_mut(index)
    }

    /// All latencies of the window.
    pub fn latencies(&self) -> Histogram<u32> {
        let mut all = latency_histogram();
        for part in &self.slices {
            all.add(&part.latencies).expect("all latency histograms have the same bounds");
        }
        all
    }

    /// Rate and latency of the whole window.
    pub fn figures(&self) -> Figures {
        let replies = self.slices.iter().map(|part| part.replies).sum();
        Part { replies, latencies: self.latencies() }.figures(self.window)
    }

    /// All slices of the window; one without replies has a rate of zero.
    pub fn slices(&self) -> Vec<Slice> {
        let none = Part::default();
        let parts = self.slices.iter().chain(std::iter::repeat(&none));
        let starts = (0..SLICES_MAX).map(|number| self.slice * number).take_while(|start| *start < self.window);
        let reported = starts.zip(parts).map(|(start, part)| {
            let end = (start + self.slice).min(self.window);
            Slice { at_s: end.as_secs_f64(), figures: part.figures(end - start) }
        });
        reported.collect()
    }

    /// Throughput per second in the first and the last minute; in tenths of the window if that is shorter than ten
    /// minutes.
    pub fn first_and_last(&self) -> Option<(f64, f64)> {
        let part = Duration::from_secs(60).min(self.window / 10).max(self.slice);
        let count = usize::try_from(part.as_nanos() / self.slice.as_nanos()).ok()?;
        let part_seconds = self.slice.as_secs_f64() * to_f64(u64::try_from(count).ok()?);
        let whole = usize::try_from(self.window.as_nanos() / self.slice.as_nanos()).ok()?;
        if whole < 2 * count {
            return None;
        }
        let rate = |from: usize| {
            let part = self.slices.iter().skip(from).take(count);
            to_f64(part.map(|part| part.replies).sum()) / part_seconds
        };
        Some((rate(0), rate(whole - count)))
    }
}

/// The percentile curve of a histogram, denser towards its tail, up to the last point with a latency beyond it.
pub fn curve(latencies: &Histogram<u32>) -> Vec<Point> {
    let halves =
        std::iter::successors(Some(1.0_f64), |missing| Some(missing / 2.0)).take_while(|missing| *missing > 1e-6);
    let beyond = halves.flat_map(|missing| (0..5).map(move |step| missing * (1.0 - f64::from(step) * 0.1)));
    let known = beyond.take_while(|beyond| beyond * to_f64(latencies.len()) >= 1.0);
    let point = |quantile| Point { quantile, us: to_f64(latencies.value_at_quantile(quantile)) / 1_000.0 };
    known.map(|beyond| point(1.0 - beyond)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reply_counts_in_the_slice_in_which_it_came_and_outside_the_window_nowhere() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start, 120 * SECOND);
        let (last, after, before) = (start + 119 * SECOND, start + 120 * SECOND, start.checked_sub(SECOND).unwrap());
        for (at, counts) in [(start, true), (last, true), (after, false), (before, false)] {
            assert_eq!(timeline.reply(at), counts);
            timeline.latency(at, SECOND);
        }
        let slices = timeline.slices();
        assert_eq!((slices.len(), slices[0].at_s, slices[119].at_s), (120, 1.0, 120.0));
        let rates = |of: &[Slice]| of.iter().map(|slice| slice.figures.per_second).sum::<f64>();
        assert!((rates(&slices[..1]) - 1.0).abs() < 1e-9 && (rates(&slices[119..]) - 1.0).abs() < 1e-9);
        assert!(rates(&slices[1..119]) == 0.0 && slices[1].figures.max_us.is_none(), "a stall is shown as one");
        assert_eq!(timeline.latencies().len(), 2);
        // What was due in the window counts as its latency, however late the reply; the rate counts replies.
        timeline.latency(last, 9 * SECOND);
        let figures = timeline.figures();
        assert!(figures.max_us > Some(8_900_000.0) && (figures.per_second * 120.0 - 2.0).abs() < 1e-9, "{figures:?}");
    }

    #[test]
    fn a_server_that_falls_silent_is_shown_until_the_end_of_the_window() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start, Duration::from_millis(250));
        timeline.reply(start);
        let reported: Vec<(f64, f64)> =
            timeline.slices().iter().map(|slice| (slice.at_s, slice.figures.per_second)).collect();
        assert_eq!(reported, [(0.1, 10.0), (0.2, 0.0), (0.25, 0.0)]);
    }

    #[test]
    fn a_window_that_cannot_be_cut_evenly_has_no_slice_too_many() {
        let (start, window) = (Instant::now(), 20 * SECOND);
        let mut timeline = Timeline::new(start, window);
        assert_eq!(timeline.slices().len(), 120);
        timeline.reply(start + window - Duration::from_nanos(1));
        let slices = timeline.slices();
        assert!((slices.len(), slices[119].figures.per_second.round()) == (120, 6.0), "{:?}", slices.last());
    }

    #[test]
    fn the_last_minute_is_compared_with_the_first() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start, 600 * SECOND);
        for second in 0..600 {
            let rate = if second < 540 { 4 } else { 3 };
            for _ in 0..rate {
                timeline.reply(start + second * SECOND);
            }
        }
        assert_eq!(timeline.first_and_last(), Some((4.0, 3.0)));
        assert_eq!(Timeline::new(start, SLICE_MIN).first_and_last(), None);
    }

    #[test]
    fn the_curve_rises_to_the_tail() {
        let mut latencies = latency_histogram();
        for microseconds in 1..=10_000_u64 {
            latencies.saturating_record(microseconds * 1_000);
        }
        let points = curve(&latencies);
        assert!(points.is_sorted_by(|one, next| one.quantile < next.quantile && one.us <= next.us));
        assert!(points.last().unwrap().us > 9_900.0);
        for count in [0, 1, 2, 30] {
            let mut few = latency_histogram();
            few.saturating_record_n(1_000, count);
            let last = curve(&few).last().map_or(0.0, |last| last.quantile);
            assert!(last <= 1.0 - 1.0 / f64::from(count).max(1.0), "{last} of {count}");
        }
    }
}
