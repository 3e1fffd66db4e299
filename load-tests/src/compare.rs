//! E, D and Countersign side by side: alternating rounds in one run, and the ratios between them.
//!
//! Absolute figures of a shared machine move by tens of percents between runs; ratios within a round hardly do. A
//! round that something else disturbed is marked and left out of the medians.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::children::{EchoChild, RunDirectory};
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{Figures, median, ratio, to_f64};
use crate::load::{Duty, Shape};
use crate::machine::{allowed_cores, pin};
use crate::mix::{Mix, MixSettings};
use crate::orders::{Measurement, Target, measure};
use crate::signature::Nonces;
use crate::sync_loop;

/// CPU that other processes used or the hypervisor withheld, in cores, above which a measurement is disturbed.
const OTHERS_CORES_MAX: f64 = 0.15;
const SYNC_LOOP_WINDOW: Duration = Duration::from_millis(200);
/// In the shape of few requests in flight, latency counts; in the full shape, throughput.
const SHAPES: [Shape; 2] = [Shape { connections: 64, in_flight: 16 }, Shape { connections: 16, in_flight: 1 }];

/// What to compare and for how long.
#[derive(Debug)]
pub struct Comparison {
    /// This binary, which is also the baseline server.
    pub program: PathBuf,
    /// Where D's file goes.
    pub directory: RunDirectory,
    /// The Countersign to compare with the baselines; without it only they run.
    pub countersign: Option<Target>,
    /// How often everything is measured.
    pub rounds: u32,
    /// Warm-up and window of each measurement.
    pub duty: Duty,
    /// What Countersign gets; the baselines get its limit orders only, for they know nothing else.
    pub mix: MixSettings,
    /// Subscribes Countersign's connections to a channel.
    pub channel: Option<String>,
    /// Gives E's server the first core and the client the last one. D and Countersign, which have threads for both, run
    /// on all cores.
    pub pin: bool,
}

/// Who was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Contestant {
    /// The JSON echo.
    E,
    /// The JSON echo behind a group commit.
    D,
    /// The server.
    Countersign,
}

/// One measurement of the run.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// From 1.
    pub round: u32,
    /// Who.
    pub contestant: Contestant,
    /// Something else used the machine meanwhile.
    pub disturbed: bool,
    /// The figures.
    #[serde(flatten)]
    pub measurement: Measurement,
}

/// Ratios of one shape: each is the median over rounds of the ratio within the round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratios {
    /// Which shape.
    pub shape: Shape,
    /// Rounds that the medians are taken over.
    pub rounds: usize,
    /// All rounds were disturbed, so all were taken.
    pub disturbed: bool,
    /// Throughput of D over E.
    pub d_over_e: Option<f64>,
    /// Throughput of Countersign over E.
    pub countersign_over_e: Option<f64>,
    /// Throughput of Countersign over D.
    pub countersign_over_d: Option<f64>,
    /// p99 of Countersign over that of D.
    pub p99_over_d: Option<f64>,
    /// p50 of Countersign less that of E, in p50s of the same round's sync loop.
    pub extra_p50_syncs: Option<f64>,
    /// The same for D.
    pub d_extra_p50_syncs: Option<f64>,
    /// Countersign's journal syncs per accepted order.
    pub syncs_per_order: Option<f64>,
}

/// Everything that a comparison gave.
#[derive(Debug, Serialize)]
pub struct Report {
    /// All measurements in order.
    pub lines: Vec<Line>,
    /// The bare sync loop, once a round.
    pub sync_loops: Vec<Figures>,
    /// Medians by shape.
    pub ratios: Vec<Ratios>,
    /// Whether E was pinned as asked.
    pub pinned: bool,
}

impl Comparison {
    /// Runs all rounds.
    ///
    /// # Errors
    /// The first measurement that fails.
    pub async fn run(&self) -> Result<Report, LoadError> {
        let settings = &self.mix;
        let orders_only = MixSettings { keep: None, market_percent: 0, ..settings.clone() };
        let (orders_only, mix) = (Arc::new(Mix::new(&orders_only)?), Arc::new(Mix::new(settings)?));
        let mut nonces = Nonces::default();
        let mut report = Report { lines: Vec::new(), sync_loops: Vec::new(), ratios: Vec::new(), pinned: false };
        for round in 1..=self.rounds {
            report.sync_loops.push(sync_loop::run(self.directory.path(), SYNC_LOOP_WINDOW)?);
            for shape in SHAPES {
                for contestant in [Contestant::E, Contestant::D, Contestant::Countersign] {
                    let measurement = match (contestant, &self.countersign) {
                        (Contestant::E, _) => self.measure_e(shape, &orders_only, &mut report.pinned).await?,
                        (Contestant::D, _) => self.measure_d(shape, &orders_only).await?,
                        (Contestant::Countersign, None) => continue,
                        (Contestant::Countersign, Some(target)) => {
                            measure(target, &mut nonces, &mix, shape, self.duty, self.channel.as_deref()).await?
                        }
                    };
                    let disturbed = measurement.cpu.others + measurement.cpu.stolen > OTHERS_CORES_MAX;
                    let line = Line { round, contestant, disturbed, measurement };
                    eprintln!("{}", describe(&line));
                    report.lines.push(line);
                }
            }
        }
        report.ratios = SHAPES.iter().map(|shape| ratios(*shape, &report.lines, &report.sync_loops)).collect();
        Ok(report)
    }

    async fn measure_e(&self, shape: Shape, mix: &Arc<Mix>, pinned: &mut bool) -> Result<Measurement, LoadError> {
        let child = EchoChild::start(&self.program, None)?;
        let cores = if self.pin { Cores::divide(child.process()) } else { None };
        *pinned = cores.is_some();
        let measurement = measure(&baseline(&child)?, &mut Nonces::default(), mix, shape, self.duty, None).await;
        drop(cores);
        child.stop()?;
        measurement
    }

    /// Measures D and holds it to its word: every acknowledged order is a record on disk.
    async fn measure_d(&self, shape: Shape, mix: &Arc<Mix>) -> Result<Measurement, LoadError> {
        let journal = self.directory.path().join("d.journal");
        let child = EchoChild::start(&self.program, Some(&journal))?;
        let measurement = measure(&baseline(&child)?, &mut Nonces::default(), mix, shape, self.duty, None).await;
        let totals = child.stop()?;
        remove(&journal)?;
        let mut measurement = measurement?;
        if totals.records < measurement.orders {
            return Err(LoadError::Protocol(format!("D acknowledged more than its {} records", totals.records)));
        }
        measurement.syncs_per_order = ratio(to_f64(totals.syncs), to_f64(totals.records));
        Ok(measurement)
    }
}

fn baseline(child: &EchoChild) -> Result<Target, LoadError> {
    let ws = Endpoint::parse(&format!("ws://{}/v2", child.address))?;
    Ok(Target { ws, http: None, user: None, process: Some(child.process()) })
}

fn remove(file: &Path) -> Result<(), LoadError> {
    std::fs::remove_file(file).map_err(LoadError::io(format!("remove {}", file.display())))
}

/// While it lives, server and client each have a core of their own; afterwards the client has all again.
struct Cores {
    all: String,
}

impl Cores {
    /// `None` where there are fewer than two cores or no `taskset`.
    fn divide(server: u32) -> Option<Self> {
        let all = allowed_cores()?;
        let (first, last) = (all.split([',', '-']).next()?, all.split([',', '-']).next_back()?);
        let cores = Self { all: all.clone() };
        (first != last && pin(server, first) && pin(std::process::id(), last)).then_some(cores)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        pin(std::process::id(), &self.all);
    }
}

/// The medians of one shape over its undisturbed rounds, or over all where none was undisturbed.
fn ratios(shape: Shape, lines: &[Line], sync_loops: &[Figures]) -> Ratios {
    let rounds: Vec<Round<'_>> =
        (1..).zip(sync_loops).filter_map(|(round, sync)| Round::of(round, shape, lines, sync)).collect();
    let quiet: Vec<Round<'_>> = rounds.iter().filter(|round| !round.disturbed).copied().collect();
    let disturbed = quiet.is_empty();
    let taken = if disturbed { rounds } else { quiet };
    let over = |figure: &dyn Fn(&Round<'_>) -> Option<f64>| median(taken.iter().filter_map(figure));
    let throughput = |of: Option<&Measurement>, base: &Measurement| {
        of.and_then(|of| ratio(of.figures.per_second, base.figures.per_second))
    };
    let extra = |round: &Round<'_>, of: Option<&Measurement>| {
        of.and_then(|of| ratio(of.figures.p50_us - round.e.figures.p50_us, round.sync.p50_us))
    };
    Ratios {
        shape,
        rounds: taken.len(),
        disturbed,
        d_over_e: over(&|round| throughput(Some(round.d), round.e)),
        countersign_over_e: over(&|round| throughput(round.countersign, round.e)),
        countersign_over_d: over(&|round| throughput(round.countersign, round.d)),
        p99_over_d: over(&|round| round.countersign.and_then(|of| ratio(of.figures.p99_us, round.d.figures.p99_us))),
        extra_p50_syncs: over(&|round| extra(round, round.countersign)),
        d_extra_p50_syncs: over(&|round| extra(round, Some(round.d))),
        syncs_per_order: over(&|round| round.countersign.and_then(|of| of.syncs_per_order)),
    }
}

/// The measurements of one round and shape.
#[derive(Clone, Copy)]
struct Round<'a> {
    sync: &'a Figures,
    e: &'a Measurement,
    d: &'a Measurement,
    countersign: Option<&'a Measurement>,
    disturbed: bool,
}

impl<'a> Round<'a> {
    fn of(round: u32, shape: Shape, lines: &'a [Line], sync: &'a Figures) -> Option<Self> {
        let of_round = || lines.iter().filter(|line| line.round == round && line.measurement.shape == shape);
        let of = |who| of_round().find(|line| line.contestant == who).map(|line| &line.measurement);
        Some(Self {
            sync,
            e: of(Contestant::E)?,
            d: of(Contestant::D)?,
            countersign: of(Contestant::Countersign),
            disturbed: of_round().any(|line| line.disturbed),
        })
    }
}

impl Report {
    /// Refused requests of all measurements, by error text.
    pub fn refusals(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.lines.iter().flat_map(|line| &line.measurement.refusals);
        all.map(|(error, count)| (error.as_str(), *count))
    }

    /// Countersign's share of E in the full shape.
    pub fn countersign_over_e(&self) -> Option<f64> {
        self.ratios.iter().find(|ratios| ratios.shape == SHAPES[0])?.countersign_over_e
    }
}

fn describe(line: &Line) -> String {
    let Line { round, contestant, disturbed, measurement } = line;
    let Measurement { shape, figures, syncs_per_order, cpu, .. } = measurement;
    let mut text = format!(
        "{round:>5}  {shape:<6} {:<12}{:>9.0}/s {:>8.0} {:>8.0} {:>8.0}  {}  {} {:>6.2} {:>6.2} {:>6.2}{}",
        format!("{contestant:?}"),
        figures.per_second,
        figures.p50_us,
        figures.p99_us,
        figures.p999_us,
        syncs_per_order.map_or(format!("{:>11}", "-"), |syncs| format!("{:>11}", one_in(syncs))),
        cpu.server.map_or(format!("{:>6}", "-"), |cores| format!("{cores:>6.2}")),
        cpu.client,
        cpu.others,
        cpu.stolen,
        if *disturbed { " *" } else { "" },
    );
    if measurement.refused() > 0 {
        text += &format!("  {} refused", measurement.refused());
    }
    text
}

fn one_in(syncs_per_order: f64) -> String {
    if syncs_per_order > 0.0 { format!("1/{:.0}", 1.0 / syncs_per_order) } else { "0".into() }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "round  shape  who          accepted   p50 us   p99 us p99.9 us  syncs/order  server client others stolen (cores)"
        )?;
        for line in &self.lines {
            writeln!(formatter, "{}", describe(line))?;
        }
        if self.lines.iter().any(|line| line.disturbed) {
            writeln!(
                formatter,
                "* disturbed: other processes and the hypervisor took more than {OTHERS_CORES_MAX} of a core"
            )?;
        }
        let sync = median(self.sync_loops.iter().map(|figures| figures.p50_us)).unwrap_or_default();
        let rate = median(self.sync_loops.iter().map(|figures| figures.per_second)).unwrap_or_default();
        writeln!(formatter, "\nbare sync loop (4 KiB append + fdatasync): p50 {sync:.0} us, {rate:.0}/s")?;
        writeln!(formatter, "E {}pinned to one core, its client to another", if self.pinned { "" } else { "not " })?;
        writeln!(formatter, "\nmedians of the ratios within a round")?;
        for ratios in &self.ratios {
            write_ratios(formatter, ratios)?;
        }
        Ok(())
    }
}

fn write_ratios(formatter: &mut std::fmt::Formatter<'_>, ratios: &Ratios) -> std::fmt::Result {
    let note = if ratios.disturbed { ", all disturbed" } else { "" };
    writeln!(formatter, "  {} ({} rounds{note})", ratios.shape, ratios.rounds)?;
    let figures = [
        ("throughput: D / E", ratios.d_over_e),
        ("throughput: Countersign / E", ratios.countersign_over_e),
        ("throughput: Countersign / D", ratios.countersign_over_d),
        ("p99: Countersign / D", ratios.p99_over_d),
        ("extra p50 over E, in syncs: D", ratios.d_extra_p50_syncs),
        ("extra p50 over E, in syncs: Countersign", ratios.extra_p50_syncs),
    ];
    for (name, figure) in figures {
        if let Some(figure) = figure {
            writeln!(formatter, "    {name:<42}{figure:>6.2}")?;
        }
    }
    if let Some(syncs) = ratios.syncs_per_order {
        writeln!(formatter, "    {:<42}{:>6}", "syncs per order: Countersign", one_in(syncs))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::machine::CpuUse;

    fn line(round: u32, contestant: Contestant, per_second: f64, p50_us: f64, disturbed: bool) -> Line {
        let measurement = Measurement {
            shape: SHAPES[1],
            figures: Figures { per_second, p50_us, p99_us: 2.0 * p50_us, p999_us: 3.0 * p50_us },
            orders: 100,
            cancels: 0,
            refusals: BTreeMap::new(),
            stream_frames: 0,
            syncs_per_order: Some(0.01),
            cpu: CpuUse::default(),
        };
        Line { round, contestant, disturbed, measurement }
    }

    fn sync(p50_us: f64) -> Figures {
        Figures { per_second: 1e6 / p50_us, p50_us, p99_us: p50_us, p999_us: p50_us }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_then_the_median() {
        let mut lines = Vec::new();
        // Round by round the machine is half as fast, the ratios stay 0.5, 0.4 and 0.6.
        for (round, speed, share) in [(1, 1_000.0, 0.5), (2, 500.0, 0.4), (3, 250.0, 0.6)] {
            lines.push(line(round, Contestant::E, speed, 60.0, false));
            lines.push(line(round, Contestant::D, speed * 0.8, 260.0, false));
            lines.push(line(round, Contestant::Countersign, speed * share, 460.0, false));
        }
        let found = ratios(SHAPES[1], &lines, &[sync(200.0), sync(200.0), sync(100.0)]);
        assert_eq!(found.rounds, 3);
        assert_eq!(found.countersign_over_e, Some(0.5));
        assert!((found.d_over_e.unwrap() - 0.8).abs() < 1e-9);
        assert_eq!(found.extra_p50_syncs, Some(2.0));
        assert_eq!(found.d_extra_p50_syncs, Some(1.0));
        assert!((found.p99_over_d.unwrap() - 460.0 / 260.0).abs() < 1e-9);
        assert_eq!(found.syncs_per_order, Some(0.01));
        let other = ratios(SHAPES[0], &lines, &[sync(200.0)]);
        assert_eq!((other.rounds, other.countersign_over_e), (0, None));
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_is_no_other() {
        let rounds = |disturbed: [bool; 2]| {
            let lines: Vec<Line> = [(1, 0.1), (2, 0.5)]
                .into_iter()
                .zip(disturbed)
                .flat_map(|((round, share), disturbed)| {
                    [
                        line(round, Contestant::E, 1_000.0, 60.0, disturbed),
                        line(round, Contestant::D, 800.0, 60.0, false),
                        line(round, Contestant::Countersign, 1_000.0 * share, 60.0, false),
                    ]
                })
                .collect();
            ratios(SHAPES[1], &lines, &[sync(200.0), sync(200.0)])
        };
        assert_eq!(rounds([true, false]).countersign_over_e, Some(0.5));
        let all = rounds([true, true]);
        assert!(all.disturbed);
        assert_eq!(all.countersign_over_e, Some(0.3));
    }
}
