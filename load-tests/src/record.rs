//! The saved result of a run: the settings, the measurements, the checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checks::Check;
use crate::error::LoadError;
use crate::figures::{Figures, median, to_f64};
use crate::load::Outcome;
use crate::machine::CpuUse;
use crate::sampler::Sample;
use crate::timeline::{Point, Slice, curve};

/// Increased when a saved run could be misread.
const FORMAT: u32 = 1;
/// CPU used by other processes or withheld by the hypervisor, in cores, above which a measurement counts as disturbed.
pub const OTHERS_CORES_MAX: f64 = 0.15;
/// The figure of a load that counts its cancels.
pub const CANCELS: &str = "cancels";
/// The figure of a load that counts the refusals within its window; all of them are reported by their text.
pub const REFUSED: &str = "refused in the window";
/// The figure of an open loop that counts what it could not send.
pub const UNSENT: &str = "never sent";
/// The figure of a load that counts the cancels that were refused.
pub const CANCELS_REFUSED: &str = "cancels refused";

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Of this file.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// All settings, defaults and overrides included, as TOML.
    pub settings: String,
    /// Seconds since 1970.
    pub started_at: u64,
    /// Which build of the server was measured, as far as it is known: `version 0.1.0, program 0123456789abcdef`.
    #[serde(default)]
    pub server: Option<String>,
    /// Everything measured, in order.
    pub series: Vec<Series>,
    /// The purpose of the run: medians of ratios within a round, and single figures.
    pub results: Vec<Measure>,
    /// Goals of the scenario for which there is no result.
    #[serde(default)]
    pub goals_without_result: BTreeMap<String, Goal>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Why the run failed, if it did: the first error, or the verdict. Its figures must not be quoted. A missed goal is
    /// among the results.
    #[serde(default)]
    pub failed: Option<String>,
}

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    /// Who and how; the same in every round.
    pub name: String,
    /// From 1.
    pub round: u32,
    /// Something else used the machine at the same time.
    pub disturbed: bool,
    /// Rate and latency.
    pub figures: Figures,
    /// Latencies taken.
    pub count: u64,
    /// Latency by quantile.
    pub curve: Vec<Point>,
    /// Over time.
    pub timeline: Vec<Slice>,
    /// The server over time, for a long load.
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// Other figures, by name and unit.
    pub extra: BTreeMap<String, f64>,
    /// Refusals by error text.
    pub refusals: BTreeMap<String, u64>,
}

/// What a figure should be, according to an issue or the design.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

impl Goal {
    /// Whether a value reaches it.
    pub fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(formatter, "≥ {least}"),
            Self::AtMost(most) => write!(formatter, "≤ {most}"),
        }
    }
}

/// A named result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is.
    pub name: String,
    /// The median over `rounds`.
    pub value: f64,
    /// Rounds that it was taken over.
    pub rounds: usize,
    /// Every round was disturbed, so all were used; must not be quoted.
    pub disturbed: bool,
    /// What it should be.
    pub goal: Option<Goal>,
}

impl Series {
    /// Describes a load's outcome.
    pub fn of_outcome(name: &str, round: u32, outcome: &Outcome, cpu: &CpuUse) -> Self {
        let mut series = Self::of_latencies(name, round, outcome.timeline.figures(), &outcome.latencies);
        let counts = [
            (CANCELS, outcome.tally.cancels),
            (CANCELS_REFUSED, outcome.tally.cancels_refused),
            ("amends", outcome.tally.amends),
            ("channel frames", outcome.tally.stream_frames),
            ("late sends", outcome.tally.late),
            (UNSENT, outcome.tally.unsent),
            (REFUSED, outcome.tally.refused_in_window),
        ];
        let reported =
            [("orders", outcome.tally.orders)].into_iter().chain(counts.into_iter().filter(|(_, count)| *count > 0));
        series.extra.extend(reported.map(|(name, count)| (name.to_owned(), to_f64(count))));
        series.timeline = outcome.timeline.slices();
        series.refusals.clone_from(&outcome.tally.refusals);
        series.with_cpu(cpu)
    }

    /// Describes plain latencies.
    pub fn of_latencies(name: &str, round: u32, figures: Figures, latencies: &hdrhistogram::Histogram<u32>) -> Self {
        Self {
            name: name.into(),
            round,
            disturbed: false,
            figures,
            count: latencies.len(),
            curve: curve(latencies),
            timeline: Vec::new(),
            samples: Vec::new(),
            extra: BTreeMap::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// Adds the CPU use, and whether others disturbed the measurement. If the server's process is not known, it counts
    /// among the others, so only what the hypervisor withheld counts as a disturbance.
    #[must_use]
    pub fn with_cpu(mut self, cpu: &CpuUse) -> Self {
        let others = if cpu.server.is_some() { cpu.others } else { 0.0 };
        self.disturbed = others + cpu.stolen > OTHERS_CORES_MAX;
        let cores = [
            ("server cores", cpu.server),
            ("database cores", cpu.database),
            ("fan-out cores", cpu.fan_out),
            ("client cores", Some(cpu.client)),
            ("other cores", Some(cpu.others + cpu.stolen)),
        ];
        self.extra.extend(cores.into_iter().filter_map(|(name, cores)| Some((name.to_owned(), cores?))));
        self
    }
}

impl Record {
    /// A run that starts now.
    pub fn new(scenario: &str, about: &str, settings: String) -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            format: FORMAT,
            scenario: scenario.into(),
            about: about.into(),
            settings,
            started_at: since_epoch.as_secs(),
            server: None,
            series: Vec::new(),
            results: Vec::new(),
            goals_without_result: BTreeMap::new(),
            checks: Vec::new(),
            failed: None,
        }
    }

    /// Reads a saved run.
    ///
    /// # Errors
    /// It cannot be read, or is of another format.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read_to_string(path).map_err(LoadError::io(format!("read {}", path.display())))?;
        let refuse = |why: String| LoadError::Setup(format!("{}: {why}", path.display()));
        let record: Self = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if record.format == FORMAT { Ok(record) } else { Err(refuse(format!("format {}", record.format))) }
    }

    /// Adds the median over rounds of a figure that `of` computes from one round's measurements; rounds with a
    /// disturbed measurement count only if there are no others. Adds nothing if one of the rounds lacks the figure,
    /// since the reason may be a failure.
    pub fn conclude(&mut self, name: &str, goal: Option<Goal>, of: impl Fn(&Round<'_>) -> Option<f64>) {
        let last = self.series.iter().map(|series| series.round).max().unwrap_or(0);
        let rounds: Vec<Round<'_>> = (1..=last).map(|round| Round { series: &self.series, round }).collect();
        let disturbed = rounds.iter().all(Round::disturbed);
        let counted = rounds.iter().filter(|round| disturbed || !round.disturbed());
        let values: Vec<f64> = counted.map(of).collect::<Option<_>>().unwrap_or_default();
        let count = values.len();
        if let Some(value) = median(values) {
            self.results.push(Measure { name: name.into(), value, rounds: count, disturbed, goal });
        }
    }

    /// Adds a figure that was measured once and does not depend on what else used the CPU.
    pub fn conclude_once(&mut self, name: &str, goal: Option<Goal>, value: Option<f64>) {
        let measure = |value| Measure { name: name.into(), value, rounds: 1, disturbed: false, goal };
        self.results.extend(value.map(measure));
    }

    /// What is wrong with the run, if anything: violated checks, refusals that were not allowed, and if none of these
    /// explains it, an empty measurement.
    ///
    /// # Errors
    /// All of it in words.
    pub fn verdict(&self, allow_refusals: bool) -> Result<(), LoadError> {
        let mut wrong: Vec<String> = self.checks.iter().filter_map(Check::wrong).collect();
        if !allow_refusals {
            let mut refusals = BTreeMap::new();
            for (error, count) in self.series.iter().flat_map(|series| &series.refusals) {
                *refusals.entry(error).or_insert(0) += count;
            }
            wrong.extend(refusals.into_iter().map(|(error, count)| format!("refused: {count} x {error}")));
        }
        if wrong.is_empty() {
            let of_nothing = self.series.iter().filter(|series| series.count == 0);
            wrong.extend(of_nothing.map(|of| format!("nothing was measured in round {}: {}", of.round, of.name)));
            if self.series.is_empty() {
                wrong.push("nothing was measured: without --server or --keys there are only baselines, if any".into());
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(LoadError::Setup(wrong.join("\n       "))) }
    }
}

impl Record {
    /// Records the scenario's goals that have no result, because of a misspelt name or a missing measurement.
    pub fn look_for_goals(&mut self, goals: &BTreeMap<String, Goal>) {
        self.goals_without_result.clone_from(goals);
        self.goals_without_result.retain(|name, _| self.results.iter().all(|result| result.name != *name));
    }

    /// Whether every goal is met. A goal without a result is not.
    ///
    /// # Errors
    /// The ones that are not.
    pub fn goals_met(&self) -> Result<(), LoadError> {
        let unknown = self.goals_without_result.keys().map(|name| format!("there is no result {name:?}"));
        let missed = self.results.iter().filter_map(|result| {
            let goal = result.goal.filter(|goal| !goal.met_by(result.value))?;
            Some(format!("{} is {:.3}, and {goal} was asked for", result.name, result.value))
        });
        let missed: Vec<String> = missed.chain(unknown).collect();
        if missed.is_empty() { Ok(()) } else { Err(LoadError::Setup(missed.join("; "))) }
    }
}

/// The measurements of one round.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    series: &'a [Series],
    round: u32,
}

impl<'a> Round<'a> {
    /// The measurement of this name.
    pub fn get(&self, name: &str) -> Option<&'a Series> {
        self.all().find(|series| series.name == name)
    }

    /// All its measurements.
    pub fn all(&self) -> impl Iterator<Item = &'a Series> + use<'a> {
        let round = self.round;
        self.series.iter().filter(move |series| series.round == round)
    }

    fn disturbed(&self) -> bool {
        self.all().any(|series| series.disturbed)
    }

    /// A figure of one measurement over that of another; `None` where either does not have it.
    pub fn ratio(&self, part: &str, whole: &str, of: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        crate::figures::ratio(of(&self.get(part)?.figures)?, of(&self.get(whole)?.figures)?)
    }

    /// The throughput of one measurement over that of another.
    pub fn throughput(&self, part: &str, whole: &str) -> Option<f64> {
        self.ratio(part, whole, |of| Some(of.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, round: u32, per_second: f64, disturbed: bool) -> Series {
        let figures = Figures { per_second, ..Figures::default() };
        let latencies = crate::figures::latency_histogram();
        Series { disturbed, ..Series::of_latencies(name, round, figures, &latencies) }
    }

    fn conclude(series: Vec<Series>) -> Option<Measure> {
        let mut record = Record::new("test", "", String::new());
        record.series = series;
        record.conclude("share", Some(Goal::AtLeast(0.5)), |round| round.throughput("server", "E"));
        record.results.pop()
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_then_the_median() {
        // Round by round the machine is half as fast, the ratios stay 0.5, 0.4 and 0.6.
        let rounds = [(1, 1_000.0, 0.5), (2, 500.0, 0.4), (3, 250.0, 0.6)];
        let all = rounds.iter().flat_map(|(round, speed, share)| {
            [series("E", *round, *speed, false), series("server", *round, speed * share, false)]
        });
        let found = conclude(all.collect()).unwrap();
        assert_eq!((found.value, found.rounds, found.disturbed), (0.5, 3, false));
        assert!(found.goal.unwrap().met_by(found.value));
        assert_eq!(conclude(vec![series("E", 1, 1.0, false)]), None);
    }

    #[test]
    fn a_tail_of_nothing_is_no_result() {
        let measured = |name, count| {
            let mut latencies = crate::figures::latency_histogram();
            latencies.saturating_record_n(1_000_000, count);
            let figures = Figures::new(&latencies, std::time::Duration::from_secs(1));
            Series::of_latencies(name, 1, figures, &latencies)
        };
        for (count, tail) in [(0, None), (99, None), (100, Some(1.0))] {
            let series = [measured("server", count), measured("E", 500)];
            let round = Round { series: &series, round: 1 };
            assert_eq!(round.ratio("server", "E", |of| of.p99_us), tail, "{count}");
            assert_eq!(round.throughput("server", "E"), Some(f64::from(count) / 500.0));
        }
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_is_no_other() {
        let rounds = |disturbed: [bool; 2]| {
            let all = [(1, 0.1), (2, 0.5)].into_iter().zip(disturbed).flat_map(|((round, share), disturbed)| {
                [series("E", round, 1_000.0, disturbed), series("server", round, 1_000.0 * share, false)]
            });
            conclude(all.collect()).unwrap()
        };
        assert_eq!((rounds([true, false]).value, rounds([true, false]).rounds), (0.5, 1));
        assert!(rounds([true, true]).disturbed);
        assert!((rounds([true, true]).value - 0.3).abs() < 1e-9);
    }

    #[test]
    fn a_round_that_lacks_the_figure_is_not_left_out() {
        let all = |round| [series("E", round, 1_000.0, false), series("server", round, 500.0, false)];
        let both: Vec<Series> = [all(1), all(2)].concat();
        assert_eq!(conclude(both.clone()).unwrap().rounds, 2);
        assert_eq!(conclude(both[..3].to_vec()), None);
    }

    #[test]
    fn a_server_that_is_not_known_does_not_disturb_its_own_measurement() {
        for (server, others, stolen, disturbed) in
            [(Some(1.0), 0.5, 0.0, true), (None, 0.5, 0.0, false), (None, 0.5, 0.2, true), (Some(1.0), 0.1, 0.0, false)]
        {
            let cpu = CpuUse { server, others, stolen, ..CpuUse::default() };
            let series = series("server", 1, 1.0, false).with_cpu(&cpu);
            assert_eq!(series.disturbed, disturbed, "{cpu:?}");
            assert!((series.extra["other cores"] - others - stolen).abs() < 1e-9);
        }
    }

    #[test]
    fn a_goal_that_is_missed_or_has_no_result_is_told() {
        let mut record = Record::new("test", "", String::new());
        let mut goals = BTreeMap::from([("share".to_owned(), Goal::AtLeast(0.5))]);
        let result = |value| {
            let goal = Some(Goal::AtLeast(0.5));
            Measure { name: "share".into(), value, rounds: 1, disturbed: false, goal }
        };
        record.results = vec![result(0.5)];
        let mut goals_met = |value, goals: &BTreeMap<String, Goal>| {
            record.results = vec![result(value)];
            record.look_for_goals(goals);
            record.goals_met().map_err(|error| format!("{error}\n{}", crate::report::text::report(&record)))
        };
        assert!(goals_met(0.5, &goals).is_ok());
        assert!(goals_met(0.4, &goals).unwrap_err().contains("0.400"));
        goals.insert("shaer".into(), Goal::AtMost(1.0));
        let reported = goals_met(0.5, &goals).unwrap_err();
        assert!(
            reported.contains("there is no result \"shaer\"") && reported.contains("goal ≤ 1: no result"),
            "{reported}"
        );
    }

    #[test]
    fn a_violated_check_or_one_that_saw_nothing_fails_the_run() {
        let mut record = Record::new("test", "", String::new());
        assert!(record.verdict(false).unwrap_err().to_string().contains("nothing was measured"));
        record.series.push(series("server", 1, 0.0, false));
        assert!(record.verdict(false).is_err(), "no request was accepted");
        record.series[0].count = 1;
        assert!(record.verdict(false).is_ok());
        record.series.push(series("other", 2, 0.0, false));
        let reported = record.verdict(true).unwrap_err().to_string();
        assert_eq!(reported, "nothing was measured in round 2: other", "one was, and no other stands for it");
        record.series.pop();
        record.checks.push(Check { looked_at: 1, ..Check::new("balances") });
        assert!(record.verdict(false).is_ok());
        record.checks[0].violated("12 instead of 13".into());
        assert!(record.verdict(true).unwrap_err().to_string().contains("12 instead of 13"));
        record.checks[0] = Check::new("nothing");
        assert!(record.verdict(true).is_err());
    }

    #[test]
    fn a_refusal_is_told_once_and_no_server_is_missed_where_one_refused_everything() {
        let mut record = Record::new("test", "", String::new());
        for round in 1..=2 {
            let mut refused = series("server", round, 0.0, false);
            refused.refusals.insert("EOrder:Rate limit exceeded".into(), 3);
            record.series.push(refused);
        }
        assert_eq!(record.verdict(false).unwrap_err().to_string(), "refused: 6 x EOrder:Rate limit exceeded");
        assert!(record.verdict(true).unwrap_err().to_string().contains("nothing was measured"));
    }
}
