//! A run as plain text.

use std::fmt::Write;

use crate::record::{Measure, OTHERS_CORES_MAX, Record, Series};

/// One measurement on one line.
pub fn line(series: &Series) -> String {
    let Series { name, round, disturbed, figures, extra, refusals, .. } = series;
    let us = |known: Option<f64>| known.map_or("-".into(), |us| format!("{us:.0}"));
    let mut line = format!(
        "{round:>5}  {name:<34}{:>10.0}/s{:>9}{:>9}{:>9}{:>9}{:>10}{}",
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
    let refused: u64 = refusals.values().sum();
    if refused > 0 {
        let _ = write!(line, "  {refused} refused");
    }
    line
}

/// The head of the lines.
pub const HEAD: &str =
    "round  who                                      rate   p50 us   p90 us   p99 us p99.9 us    max us";

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
