//! Two saved runs side by side: what changed from the one to the other.

use std::fmt::Write;

use crate::figures::{Figures, median, ratio};
use crate::record::Record;

/// One figure in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which figure.
    pub name: String,
    /// In the earlier run.
    pub before: f64,
    /// In the later run.
    pub after: f64,
}

impl Change {
    /// Later over earlier.
    pub fn ratio(&self) -> Option<f64> {
        ratio(self.after, self.before)
    }
}

/// Results that both runs have, then the medians of their measurements. Results are ratios within a run and can be
/// compared between runs; plain rates and latencies of different days cannot.
pub fn changes(before: &Record, after: &Record) -> Vec<Change> {
    let results = after.results.iter().filter_map(|result| {
        let earlier = before.results.iter().find(|earlier| earlier.name == result.name)?;
        Some(Change { name: result.name.clone(), before: earlier.value, after: result.value })
    });
    let mut names: Vec<&str> = after.series.iter().map(|series| series.name.as_str()).collect();
    names.dedup();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    type Take = fn(&Figures) -> f64;
    let figures: [(&str, Take); 3] =
        [("rate", |of| of.per_second), ("p50 us", |of| of.p50_us), ("p99 us", |of| of.p99_us)];
    let measured = names.into_iter().flat_map(|name| figures.map(|(figure, take)| (name, figure, take)));
    let measured = measured.filter_map(|(name, figure, take)| {
        let middle = |record: &Record| {
            median(record.series.iter().filter(|series| series.name == name).map(|series| take(&series.figures)))
        };
        Some(Change { name: format!("{name}: {figure}"), before: middle(before)?, after: middle(after)? })
    });
    results.chain(measured).collect()
}

/// The changes as a table of text.
pub fn report(before: &Record, after: &Record) -> String {
    let mut text = format!("{} → {}\n", before.scenario, after.scenario);
    for (which, record) in [("earlier", before), ("later", after)] {
        if let Some(why) = &record.failed {
            let _ = writeln!(text, "the {which} run FAILED: {why}");
        }
    }
    let _ = writeln!(text, "{:<64}{:>14}{:>14}{:>9}", "", "before", "after", "ratio");
    for change in changes(before, after) {
        let ratio = change.ratio().map_or("-".into(), |ratio| format!("{ratio:.3}"));
        let [before, after] = [change.before, change.after].map(super::text::number);
        let _ = writeln!(text, "{:<64}{before:>14}{after:>14}{ratio:>9}", change.name);
    }
    if before.settings != after.settings {
        text += "the settings of the two runs differ\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Measure, Series};

    fn record(value: f64, rates: &[f64]) -> Record {
        let mut record = Record::new("test", "", String::new());
        record.results.push(Measure { name: "share".into(), value, rounds: 1, disturbed: false, goal: None });
        for (round, rate) in (1..).zip(rates) {
            let figures = Figures { per_second: *rate, p50_us: 5.0, ..Figures::default() };
            let latencies = crate::figures::latency_histogram();
            record.series.push(Series::of_latencies("E", round, figures, &latencies));
        }
        record
    }

    #[test]
    fn results_and_medians_of_measurements_are_compared_by_name() {
        let found = changes(&record(0.5, &[1.0, 9.0, 2.0]), &record(0.6, &[4.0]));
        assert_eq!(found[0], Change { name: "share".into(), before: 0.5, after: 0.6 });
        assert_eq!(found[1], Change { name: "E: rate".into(), before: 2.0, after: 4.0 });
        assert_eq!(found[1].ratio(), Some(2.0));
        assert_eq!(found.len(), 4);
        assert!(report(&record(0.5, &[1.0]), &record(0.6, &[4.0])).contains("1.200"));
    }

    #[test]
    fn a_run_that_failed_is_called_so() {
        let failed = Record { failed: Some("refused: 3 x EService:Busy".into()), ..record(0.5, &[1.0]) };
        let told = report(&failed, &record(0.6, &[4.0]));
        assert!(
            told.contains("earlier run FAILED: refused: 3 x EService:Busy") && !told.contains("later run"),
            "{told}"
        );
    }
}
