//! A run as plain text.

use std::fmt::Write;

use crate::record::{Measure, OTHERS_CORES_MAX, Record, Series};

/// One measurement on one line, and one for each text of its refusals.
pub fn line(series: &Series) -> String {
    let Series { name, round, disturbed, figures, count, extra, refusals, .. } = series;
    let us = |known: Option<f64>| known.map_or("-".into(), |us| format!("{us:.0}"));
    let mut line = format!(
        "{round:>5}  {name:<34}{:>10.0}/s{count:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{}",
        figures.per_second,
        us(figures.p50_us),
        us(figures.p90_us),
        us(figures.p99_us),
        us(figures.p999_us),
        us(figures.max_us),
        if *disturbed { " *" } else { "  " },
    );
    // Writing to a string cannot fail.
    for (name, value) in extra {
        let _ = write!(line, "  {name} {}", number(*value));
    }
    for (error, count) in refusals {
        let _ = write!(line, "\n         refused: {count} x {error}");
    }
    line
}

/// The head of the lines.
pub const HEAD: &str =
    "round  who                                       rate        n   p50 us   p90 us   p99 us p99.9 us    max us";

/// A figure with as many digits as it deserves.
pub fn number(value: f64) -> String {
    match value.abs() {
        whole if whole.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.6}"),
    }
}

/// The whole run.
pub fn report(record: &Record) -> String {
    let mut text = format!("{}: {}\n", record.scenario, record.about);
    if let Some(server) = &record.server {
        let _ = writeln!(text, "server: {server}");
    }
    if let Some(why) = &record.failed {
        let _ = writeln!(text, "FAILED: {why}");
    }
    let _ = writeln!(text, "\n{HEAD}");
    for series in &record.series {
        text += &line(series);
        text.push('\n');
    }
    if record.series.iter().any(|series| series.disturbed) {
        let _ = writeln!(
            text,
            "* disturbed: other processes and the hypervisor took more than {OTHERS_CORES_MAX} of a core"
        );
    }
    if !record.results.is_empty() || !record.goals_without_result.is_empty() {
        text += "\nresults: medians over rounds of what was measured within a round\n";
    }
    for result in &record.results {
        text += &format!("{}\n", result_line(result));
    }
    for (name, goal) in &record.goals_without_result {
        let _ = writeln!(text, "  {name:<54}{:>10}  goal {goal}: no result", "-");
    }
    if !record.checks.is_empty() {
        text += "\nchecks\n";
    }
    for check in &record.checks {
        let _ = writeln!(text, "  {check}");
    }
    text
}

fn result_line(result: &Measure) -> String {
    let Measure { name, value, rounds, disturbed, goal } = result;
    let goal = goal
        .map_or(String::new(), |goal| format!("  goal {goal}: {}", if goal.met_by(*value) { "met" } else { "MISSED" }));
    let note = if *disturbed { ", all disturbed: not to be quoted" } else { "" };
    let plural = if *rounds == 1 { "" } else { "s" };
    format!("  {name:<54}{:>10}{goal}  ({rounds} round{plural}{note})", number(*value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::figures::{Figures, latency_histogram};

    #[test]
    fn a_line_tells_of_how_many_it_is_and_what_was_refused_by_its_text() {
        let mut latencies = latency_histogram();
        latencies.saturating_record_n(5_000, 12);
        let figures = Figures::new(&latencies, Duration::from_secs(1));
        let mut series = Series::of_latencies("server", 1, figures, &latencies);
        let reported = line(&series);
        assert_eq!(reported.trim_end().len(), HEAD.len(), "a figure is under its name");
        let reported: Vec<&str> = reported.split_whitespace().collect();
        assert_eq!(reported, ["1", "server", "12/s", "12", "5", "5", "-", "-", "5"]);
        series.refusals.extend([("EOrder:x".to_owned(), 3), ("EService:y".to_owned(), 4)]);
        let reported: Vec<String> = line(&series).lines().skip(1).map(|line| line.trim().to_owned()).collect();
        assert_eq!(reported, ["refused: 3 x EOrder:x", "refused: 4 x EService:y"]);
    }
}
