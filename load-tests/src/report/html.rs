//! A run as one self-contained HTML file.

use crate::checks::Check;
use crate::record::{Measure, OTHERS_CORES_MAX, Record, Series};
use crate::sampler::Sample;
use crate::timeline::Slice;

use super::difference::{changes, other_settings};
use super::plot::{Line, Plot, Scale};
use super::text::number;

const STYLE: &str = include_str!("report.css");

/// The page, beside an earlier run if there is one.
pub fn page(record: &Record, before: Option<&Record>) -> String {
    let title = escape(&record.scenario);
    let outcome = record.failed.as_ref().map_or("", |_| "<span class=\"badge bad\">failed</span> ");
    let made = record.checks.iter().filter(|check| !check.skipped).count();
    let verdict = match record.checks.iter().filter(|check| !check.holds()).count() {
        _ if made == 0 => "<span class=\"badge\">no checks</span>".to_owned(),
        0 => format!("<span class=\"badge good\">all checks hold ({made})</span>"),
        failed => format!("<span class=\"badge bad\">{failed} of {made} checks failed</span>"),
    };
    let mut body = format!(
        "<header><h1>{title} {outcome}{verdict}</h1><p>{}</p><p class=\"quiet\">{}{}</p>{}</header>",
        escape(&record.about),
        moment(record.started_at),
        measured(record),
        failure("This run failed", record)
    );
    body += &results(record);
    body += &plots(record);
    body += &before.map_or(String::new(), |before| difference(before, record));
    body += &measurements(record);
    body += &checks(record);
    body += &format!("<details><summary>Settings</summary><pre>{}</pre></details>", escape(&record.settings));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
}

fn failure(words: &str, record: &Record) -> String {
    let reported = |why: &String| format!("<p class=\"bad reason\">{words}: {}</p>", escape(why));
    record.failed.as_ref().map_or(String::new(), reported)
}

/// The build that was measured, after the time.
fn measured(record: &Record) -> String {
    record.server.as_ref().map_or(String::new(), |server| format!(": {}", escape(server)))
}

/// Text with markup escaped.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn results(record: &Record) -> String {
    let Record { results, goals_without_result, .. } = record;
    if results.is_empty() && goals_without_result.is_empty() {
        return String::new();
    }
    // The results with a goal come first.
    let (aimed, others): (Vec<&Measure>, Vec<&Measure>) = results.iter().partition(|result| result.goal.is_some());
    let rows = aimed.into_iter().chain(others).map(|result| {
        let Measure { name, value, rounds, disturbed, goal } = result;
        let (goal, class, verdict) = match goal {
            None => (String::new(), "", ""),
            Some(goal) if goal.met_by(*value) => (goal.to_string(), "good", "met"),
            Some(goal) => (goal.to_string(), "bad", "missed"),
        };
        let rounds = format!("{rounds}{}", if *disturbed { " *" } else { "" });
        format!(
            "<tr><td>{}</td><td class=\"figure\">{}</td><td class=\"number\">{goal}</td>\
             <td class=\"{class}\">{verdict}</td><td class=\"number\">{rounds}</td></tr>",
            escape(name),
            number(*value)
        )
    });
    let missing = goals_without_result.iter().map(|(name, goal)| {
        format!(
            "<tr><td>{}</td><td class=\"figure\">–</td><td class=\"number\">{goal}</td><td class=\"bad\">no result</td>\
             <td></td></tr>",
            escape(name)
        )
    });
    let note = if results.iter().any(|result| result.disturbed) {
        format!(
            "<p class=\"quiet\">* in every round something else took more than {OTHERS_CORES_MAX} of a core: \
             not to be quoted.</p>"
        )
    } else {
        String::new()
    };
    format!(
        "<section><h2>Results</h2><p class=\"quiet\">Medians over rounds of what was measured within a round.</p>\
         <table><tr><th>What</th><th class=\"number\">Value</th><th class=\"number\">Goal</th><th></th>\
         <th class=\"number\">Rounds</th></tr>{}</table>{note}</section>",
        rows.chain(missing).collect::<String>()
    )
}

fn difference(before: &Record, after: &Record) -> String {
    let reported = |value: Option<f64>| value.map_or("–".into(), number);
    let rows = changes(before, after).into_iter().map(|change| {
        let ratio = change.ratio().map_or("–".into(), |ratio| format!("{ratio:.3}"));
        let (direction, class) = (change.direction(), if change.is_worse(0.0) { "bad" } else { "good" });
        format!(
            "<tr><td>{}{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"figure\">{ratio}</td>\
             <td class=\"{class}\">{direction}</td></tr>",
            escape(&change.name),
            if change.disturbed { " *" } else { "" },
            reported(change.before),
            reported(change.after)
        )
    });
    let differ =
        other_settings(before, after).map_or(String::new(), |reported| format!("<p>{}</p>", escape(&reported)));
    format!(
        "<section><h2>Beside the run of {}{}</h2>{}<p class=\"quiet\">Ratios within a run can be compared between runs; \
         plain rates and latencies of different days cannot. * disturbed in one of the runs at least: not to be \
         quoted.</p>{differ}<table><tr><th>What</th>\
         <th class=\"number\">Before</th><th class=\"number\">Now</th><th class=\"number\">Now / before</th><th></th></tr>{}\
         </table></section>",
        moment(before.started_at),
        measured(before),
        failure("That run failed", before),
        rows.collect::<String>()
    )
}

/// One line per name: the round with the median throughput, since overlapping rounds cannot be distinguished.
fn plots(record: &Record) -> String {
    let mut shown: Vec<&Series> = Vec::new();
    for series in &record.series {
        if shown.iter().all(|other| other.name != series.name) {
            shown.push(middle_round(record, &series.name).unwrap_or(series));
        }
    }
    let lines = |points: &dyn Fn(&Series) -> Vec<(f64, f64)>| -> Vec<Line> {
        let all = shown.iter().enumerate();
        let all = all.map(|(number, series)| Line { number, name: series.name.clone(), points: points(series) });
        all.filter(|line| line.points.len() > 1).collect()
    };
    let over_time = |take: fn(&Slice) -> Option<f64>| {
        lines(&|series| series.timeline.iter().filter_map(|slice| Some((slice.at_s, take(slice)?))).collect())
    };
    let curves = lines(&|series| series.curve.iter().map(|point| (point.quantile, point.us)).collect());
    let seconds = "seconds from the start of the window";
    let latency =
        |take| Plot { x_label: seconds, x: Scale::Linear, y: Scale::Log, y_tick: duration, lines: over_time(take) };
    let watched = |y_tick: fn(f64) -> String, take: fn(&Sample) -> Option<f64>| {
        let points =
            |series: &Series| series.samples.iter().filter_map(|look| Some((look.at_s, take(look)?))).collect();
        let x_label = "seconds from the start of the load, its warm-up included";
        Plot { x_label, x: Scale::Linear, y: Scale::Linear, y_tick, lines: lines(&points) }
    };
    let throughput = if record.series.iter().any(|series| series.round > 1) {
        "Requests accepted, or deliveries made, a second. Here and below a line shows the round of middle throughput."
    } else {
        "Requests accepted, or deliveries made, a second."
    };
    let sparse = "Where there are too few for it, the longest.";
    let all = [
        (
            "Throughput over time",
            throughput,
            Plot {
                x_label: seconds,
                x: Scale::Linear,
                y: Scale::Linear,
                y_tick: rate,
                lines: over_time(|slice| Some(slice.figures.per_second)),
            },
        ),
        ("Median latency over time", sparse, latency(|slice| slice.figures.p50_us.or(slice.figures.max_us))),
        ("p99 over time", sparse, latency(|slice| slice.figures.p99_us.or(slice.figures.max_us))),
        ("The server's memory over time", "Resident MiB.", watched(number, |look| look.rss_mib)),
        ("How far the history tables are behind", "Events.", watched(rate, |look| look.history_lag)),
        (
            "Latency by percentile",
            "Beyond each mark to the right are a tenth as many requests as beyond the one before.",
            Plot {
                x_label: "share of requests that took at most as long",
                x: Scale::Nines,
                y: Scale::Log,
                y_tick: duration,
                lines: curves,
            },
        ),
    ];
    let drawn = all.into_iter().filter_map(|(title, about, plot)| {
        let (svg, legend) = (plot.svg()?, plot.legend());
        Some(format!("<section><h2>{title}</h2><p class=\"quiet\">{about}</p><figure>{svg}</figure>{legend}</section>"))
    });
    drawn.collect()
}

fn middle_round<'a>(record: &'a Record, name: &str) -> Option<&'a Series> {
    let mut rounds: Vec<&Series> = record.series.iter().filter(|series| series.name == name).collect();
    rounds.sort_by(|one, other| one.figures.per_second.total_cmp(&other.figures.per_second));
    rounds.get(rounds.len() / 2).copied()
}

fn measurements(record: &Record) -> String {
    let rows = record.series.iter().map(|series| {
        let figures = series.figures;
        let cells = [figures.p50_us, figures.p90_us, figures.p99_us, figures.p999_us, figures.max_us];
        let cells: String =
            cells.map(|us| format!("<td class=\"number\">{}</td>", us.map_or("–".into(), duration))).concat();
        let extra: Vec<String> =
            series.extra.iter().map(|(name, value)| format!("{} {}", escape(name), number(*value))).collect();
        let refused = |(error, count): (&String, &u64)| {
            format!("<br><b class=\"bad\">refused: {count} × {}</b>", escape(error))
        };
        let refused: String = series.refusals.iter().map(refused).collect();
        format!(
            "<tr><td class=\"number\">{}{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>{cells}<td class=\"quiet\">{}{refused}</td></tr>",
            series.round,
            if series.disturbed { " *" } else { "" },
            escape(&series.name),
            rate(figures.per_second),
            series.count,
            extra.join("; ")
        )
    });
    format!(
        "<section><h2>Measurements</h2><div class=\"wide\"><table><tr><th class=\"number\">Round</th><th>Who</th>\
         <th class=\"number\">A second</th><th class=\"number\">n</th><th class=\"number\">p50</th><th class=\"number\">p90</th>\
         <th class=\"number\">p99</th><th class=\"number\">p99.9</th><th class=\"number\">Max</th><th>Also</th></tr>{}\
         </table></div><p class=\"quiet\">* disturbed: something else took more than {OTHERS_CORES_MAX} of a core.</p></section>",
        rows.collect::<String>()
    )
}

fn checks(record: &Record) -> String {
    if record.checks.is_empty() {
        return String::new();
    }
    // Those that failed may be few among hundreds.
    let (held, failed): (Vec<&Check>, Vec<&Check>) = record.checks.iter().partition(|check| check.holds());
    let rows = failed.into_iter().chain(held).map(|check| {
        let (class, verdict) = match check {
            check if !check.holds() => ("bad", "failed"),
            check if check.skipped => ("quiet", "skipped"),
            _ => ("good", "holds"),
        };
        let reported = match (check.violations, check.looked_at) {
            (0, 0) if check.skipped => String::new(),
            (0, 0) => "there was nothing to look at".to_owned(),
            (0, _) => String::new(),
            (wrong, _) => format!("{wrong} wrong: {}", escape(&check.reported.join("; "))),
        };
        format!(
            "<tr><td class=\"{class}\">{verdict}</td><td>{}</td><td class=\"number\">{}</td><td>{reported}</td></tr>",
            escape(&check.name),
            check.looked_at
        )
    });
    format!(
        "<section><h2>Checks</h2><table><tr><th></th><th>What must hold</th><th class=\"number\">Looked at</th><th></th></tr>{}\
         </table></section>",
        rows.collect::<String>()
    )
}

/// Microseconds in a suitable unit.
fn duration(us: f64) -> String {
    let short = |value: f64, unit: &str| {
        let digits = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        format!("{} {unit}", digits.trim_end_matches(".0"))
    };
    match us {
        us if us < 1_000.0 => short(us, "µs"),
        us if us < 1_000_000.0 => short(us / 1_000.0, "ms"),
        us => short(us / 1_000_000.0, "s"),
    }
}

/// A rate with its thousands separated.
fn rate(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Seconds since 1970 as a date and time in UTC (days to civil date after Howard Hinnant's algorithm).
fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day_of_month:02} {:02}:{:02} UTC", rest / 3_600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    #[test]
    fn moments_rates_and_durations_read_well() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(1_709_210_096), "2024-02-29 12:34 UTC");
        assert_eq!(rate(1_234_567.2), "1\u{202f}234\u{202f}567");
        assert_eq!([12.34, 1_500.0, 2_000_000.0].map(duration), ["12.3 µs", "1.5 ms", "2 s"]);
    }

    #[test]
    fn a_page_asks_for_nothing_and_takes_no_text_for_markup() {
        let mut record = Record::new("<script>", "a & b", "kind = \"orders\"".into());
        let mut check = Check::new("<b>");
        check.violated("<img src=x>".into());
        record.checks.extend([Check { looked_at: 1, ..Check::new("one that holds") }, check]);
        record.failed = Some("<b>refused</b>".into());
        let latencies = crate::figures::latency_histogram();
        let mut series = Series::of_latencies("server", 1, Figures::default(), &latencies);
        series.refusals.insert("<b>full</b>".into(), 3);
        record.series.push(series);
        record.server = Some("<b>version</b>".into());
        let page = page(&record, Some(&record));
        for wrong in ["<script", "<img", "http://", "https://", "url(", "@import"] {
            assert!(!page.contains(wrong), "{wrong}");
        }
        assert!(page.contains("1 of 2 checks failed"));
        assert!(page.find("&lt;img src=x").unwrap() < page.find("one that holds").unwrap(), "what failed comes first");
        assert_eq!(page.matches("UTC: &lt;b&gt;version").count(), 2, "{page}");
        assert!(page.contains("refused: 3 × &lt;b&gt;full"), "{page}");
        assert!(page.contains("This run failed: &lt;b&gt;refused") && page.contains("That run failed: "), "{page}");
    }
}
