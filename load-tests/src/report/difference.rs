//! Two saved runs side by side: what changed from the one to the other.

use std::fmt::Write;

use crate::error::LoadError;
use crate::figures::{Figures, median, ratio};
use crate::record::{Goal, Record};

/// One figure in both runs, or in one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which figure.
    pub name: String,
    /// In the earlier run.
    pub before: Option<f64>,
    /// In the later run.
    pub after: Option<f64>,
    /// Something else used the machine in either run: must not be quoted.
    pub disturbed: bool,
    /// For a result with a goal: what it should be, and so which direction is better.
    pub goal: Option<Goal>,
}

impl Change {
    /// Later over earlier.
    pub fn ratio(&self) -> Option<f64> {
        ratio(self.after?, self.before?)
    }

    /// Whether a result with a goal is worse than before by more than this share of it, or is missing now.
    pub fn is_worse(&self, tolerance: f64) -> bool {
        match (self.goal, self.before, self.after) {
            (Some(Goal::AtLeast(_)), Some(before), Some(after)) => after < before - tolerance * before.abs(),
            (Some(Goal::AtMost(_)), Some(before), Some(after)) => after > before + tolerance * before.abs(),
            (Some(_), Some(_), None) => true,
            (Some(_), None, _) | (None, ..) => false,
        }
    }

    /// In one word, the direction in which a result with a goal went.
    pub fn direction(&self) -> &'static str {
        match (self.goal, self.before, self.after) {
            _ if self.is_worse(0.0) => "worse",
            (Some(_), Some(before), Some(after)) if before != after => "better",
            _ => "",
        }
    }
}

/// Checks that an earlier run is of this scenario.
///
/// # Errors
/// It is of another one, whose figures have a different meaning.
pub fn require_same_scenario(before: &Record, scenario: &str) -> Result<(), LoadError> {
    if before.scenario == scenario {
        return Ok(());
    }
    Err(LoadError::Setup(format!("a run of {} cannot be compared with one of {scenario}", before.scenario)))
}

/// Checks that later runs can be compared with an earlier one.
///
/// # Errors
/// It failed, and its figures prove nothing.
pub fn require_sound(before: &Record) -> Result<(), LoadError> {
    failure("earlier", before).map_or(Ok(()), |why| Err(LoadError::Setup(why)))
}

fn failure(which: &str, run: &Record) -> Option<String> {
    Some(format!("the {which} run failed: {}", run.failed.as_ref()?))
}

/// Results of both runs, then the medians of their measurements. Results are ratios within a run and can be compared
/// between runs; plain rates and latencies of different days cannot.
pub fn changes(before: &Record, after: &Record) -> Vec<Change> {
    let results = |record: &Record| record.results.iter().map(|result| result.name.clone()).collect();
    let results = either(results(after), results(before)).into_iter().map(|name| {
        let of = |record: &Record| record.results.iter().find(|result| result.name == name).cloned();
        let (before, after) = (of(before), of(after));
        let either = || [&after, &before].into_iter().flatten();
        let (disturbed, goal) = (either().any(|result| result.disturbed), either().find_map(|result| result.goal));
        let [before, after] = [before, after].map(|result| result.map(|result| result.value));
        Change { name, before, after, disturbed, goal }
    });
    type Take = fn(&Figures) -> Option<f64>;
    const FIGURES: [(&str, Take); 3] =
        [("rate", |of| Some(of.per_second)), ("p50 us", |of| of.p50_us), ("p99 us", |of| of.p99_us)];
    let series = |record: &Record| record.series.iter().map(|series| series.name.clone()).collect();
    let measured = either(series(after), series(before)).into_iter().flat_map(|name| {
        FIGURES.map(|(figure, take)| {
            let of = |record: &Record| {
                let rounds = record.series.iter().filter(|series| series.name == name);
                rounds.map(|series| take(&series.figures)).collect::<Option<Vec<_>>>().and_then(median)
            };
            let mut rounds = before.series.iter().chain(&after.series).filter(|series| series.name == name);
            let (name, disturbed) = (format!("{name}: {figure}"), rounds.any(|series| series.disturbed));
            Change { name, before: of(before), after: of(after), disturbed, goal: None }
        })
    });
    results.chain(measured).collect()
}

/// Checks that no result with a goal is worse than before by more than `tolerance`, a share of it, or missing now.
/// Results disturbed in either run prove nothing and are left out.
///
/// # Errors
/// The results that are worse; or either run failed, so its figures prove nothing; or there was nothing to compare.
pub fn require_no_worse(before: &Record, after: &Record, tolerance: f64) -> Result<(), LoadError> {
    let aimed = |change: &Change| change.goal.is_some() && change.before.is_some() && !change.disturbed;
    let aimed: Vec<Change> = changes(before, after).into_iter().filter(aimed).collect();
    let failed = [failure("earlier", before), failure("later", after)].into_iter().flatten();
    let worse =
        aimed.iter().filter(|change| change.is_worse(tolerance)).map(|Change { name, before, after, .. }| {
            let reported = |value: &Option<f64>| value.map_or("not there".into(), super::text::number);
            format!("worse than before: {name} was {} and is {}", reported(before), reported(after))
        });
    let mut wrong: Vec<String> = failed.chain(worse).collect();
    if aimed.is_empty() {
        wrong.push("no result that has a goal can be compared: there is none, or all were disturbed".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(LoadError::Setup(wrong.join("\n       "))) }
}

/// Each name once, those of the first list before the rest of the second.
fn either(first: Vec<String>, second: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in first.into_iter().chain(second) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Settings in which the two runs differ, as lines of TOML.
pub fn other_settings(before: &Record, after: &Record) -> Option<String> {
    let only = |one: &Record, other: &Record| {
        let lines = one.settings.lines().filter(|line| other.settings.lines().all(|known| known != *line));
        lines.collect::<Vec<_>>().join(", ")
    };
    let reported = || format!("settings that differ: before {}; after {}", only(before, after), only(after, before));
    (before.settings != after.settings).then(reported)
}

/// The changes as a table of text.
pub fn report(before: &Record, after: &Record) -> String {
    let mut text = format!("{}\n", after.scenario);
    for (which, record) in [("earlier", before), ("later", after)] {
        if let Some(server) = &record.server {
            let _ = writeln!(text, "the {which} run measured {server}");
        }
        if let Some(why) = &record.failed {
            let _ = writeln!(text, "the {which} run FAILED: {why}");
        }
    }
    let _ = writeln!(text, "{:<64}{:>14}{:>14}{:>9}", "", "before", "after", "ratio");
    let all = changes(before, after);
    for change in &all {
        let ratio = change.ratio().map_or("-".into(), |ratio| format!("{ratio:.3}"));
        let [before, after] = [change.before, change.after].map(|value| value.map_or("-".into(), super::text::number));
        let mark = if change.disturbed { "* " } else { "" };
        let line = format!("{:<64}{before:>14}{after:>14}{ratio:>9} {mark}{}", change.name, change.direction());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if all.iter().any(|change| change.disturbed) {
        text += "* disturbed in one of the runs at least: not to be quoted\n";
    }
    text += &other_settings(before, after).map_or(String::new(), |reported| format!("{reported}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Measure, Series};

    const GOAL: Option<Goal> = Some(Goal::AtLeast(0.6));

    fn record(value: f64, rates: &[f64]) -> Record {
        let mut record = Record::new("test", "", String::new());
        record.results.push(Measure { name: "share".into(), value, rounds: 1, disturbed: false, goal: GOAL });
        for (round, rate) in (1..).zip(rates) {
            let figures = Figures { per_second: *rate, p50_us: Some(5.0), ..Figures::default() };
            let latencies = crate::figures::latency_histogram();
            record.series.push(Series::of_latencies("E", round, figures, &latencies));
        }
        record
    }

    fn change(name: &str, before: f64, after: f64, goal: Option<Goal>) -> Change {
        Change { name: name.into(), before: Some(before), after: Some(after), disturbed: false, goal }
    }

    #[test]
    fn whether_a_result_got_worse_is_as_its_goal_has_it() {
        let (most, least) = (Some(Goal::AtMost(9.0)), Some(Goal::AtLeast(0.1)));
        for (goal, after, direction, worse) in [
            (least, 0.94, "worse", false),
            (least, 0.86, "worse", true),
            (least, 1.2, "better", false),
            (most, 1.06, "worse", false),
            (most, 1.14, "worse", true),
            (most, 0.8, "better", false),
            (most, 1.0, "", false),
            (None, 0.1, "", false),
        ] {
            let change = change("share", 1.0, after, goal);
            assert_eq!((change.direction(), change.is_worse(0.1)), (direction, worse), "{change:?}");
        }
        assert!(change("refused", 0.0, 1.0, most).is_worse(0.1), "of nothing every share is nothing");
        assert!(!change("extra", -1.0, -1.0, most).is_worse(0.1) && change("extra", -1.0, -0.8, most).is_worse(0.1));
    }

    #[test]
    fn a_result_that_got_worse_or_is_there_no_more_is_named_unless_it_was_disturbed() {
        let (before, mut after) = (record(0.6, &[1.0]), record(0.5, &[1.0]));
        assert!(require_no_worse(&before, &after, 0.2).is_ok());
        let reported = |after: &Record| require_no_worse(&before, after, 0.1).unwrap_err().to_string();
        assert_eq!(reported(&after), "worse than before: share was 0.600 and is 0.500");
        assert!(report(&before, &after).contains("0.833 worse\n"), "{}", report(&before, &after));
        after.results[0].disturbed = true;
        assert!(reported(&after).starts_with("no result that has a goal can be compared"));
        after.results.clear();
        assert_eq!(reported(&after), "worse than before: share was 0.600 and is not there");
        after.failed = Some("refused".into());
        assert!(reported(&after).starts_with("the later run failed: refused"));
    }

    #[test]
    fn nothing_is_held_to_a_run_that_failed() {
        let failed = Record { failed: Some("refused".into()), ..record(0.5, &[1.0]) };
        let reported = require_no_worse(&failed, &record(0.6, &[1.0]), 0.1).unwrap_err().to_string();
        assert_eq!(reported, "the earlier run failed: refused");
    }

    #[test]
    fn settings_that_differ_are_told() {
        let of = |settings: &str| Record { settings: settings.into(), ..record(0.5, &[1.0]) };
        let (before, after) = (of("rounds = 3\nseconds = 4.0\n"), of("rounds = 3\nseconds = 2.0\n"));
        let reported = "settings that differ: before seconds = 4.0; after seconds = 2.0";
        assert_eq!(other_settings(&before, &after).as_deref(), Some(reported));
        assert!(report(&before, &after).ends_with(&format!("{reported}\n")));
        assert_eq!(other_settings(&before, &before), None);
    }

    #[test]
    fn both_builds_are_told() {
        let of = |server: &str| Record { server: Some(server.into()), ..record(0.5, &[1.0]) };
        let reported = report(&of("version 1"), &of("version 2"));
        assert!(reported.contains("earlier run measured version 1\nthe later run measured version 2\n"), "{reported}");
        assert!(!report(&record(0.5, &[]), &record(0.5, &[])).contains("measured"));
    }

    #[test]
    fn what_only_one_run_has_is_shown_and_what_was_disturbed_is_marked() {
        let (mut before, mut after) = (record(0.5, &[1.0]), record(0.6, &[4.0]));
        before.results[0].name = "of old".into();
        before.series[0].disturbed = true;
        after.results[0].disturbed = true;
        let found = changes(&before, &after);
        assert_eq!((found[0].before, found[0].after, found[0].disturbed), (None, Some(0.6), true));
        assert_eq!((found[1].name.as_str(), found[1].before, found[1].ratio()), ("of old", Some(0.5), None));
        assert!(!found[1].disturbed && found[2..].iter().all(|change| change.disturbed), "{found:?}");
        let reported = report(&before, &after);
        assert!(reported.contains("4.000 *") && reported.contains("not to be quoted"), "{reported}");
    }

    #[test]
    fn runs_of_different_scenarios_are_not_compared() {
        assert!(require_same_scenario(&record(0.5, &[]), "test").is_ok());
        let error = require_same_scenario(&record(0.5, &[]), "soak").unwrap_err().to_string();
        assert_eq!(error, "a run of test cannot be compared with one of soak");
    }

    #[test]
    fn results_and_medians_of_measurements_are_compared_by_name() {
        let found = changes(&record(0.5, &[1.0, 9.0, 2.0]), &record(0.6, &[4.0]));
        assert_eq!(found[0], change("share", 0.5, 0.6, GOAL));
        assert_eq!(found[1], change("E: rate", 2.0, 4.0, None));
        assert_eq!(found[1].ratio(), Some(2.0));
        assert_eq!(found.len(), 4);
        assert!(report(&record(0.5, &[1.0]), &record(0.6, &[4.0])).contains("1.200"));
    }

    #[test]
    fn a_run_that_failed_is_called_so() {
        let failed = Record { failed: Some("refused: 3 x EService:Busy".into()), ..record(0.5, &[1.0]) };
        let reported = report(&failed, &record(0.6, &[4.0]));
        assert!(
            reported.contains("earlier run FAILED: refused: 3 x EService:Busy") && !reported.contains("later run"),
            "{reported}"
        );
    }
}
