//! The command line of the load tests.

// They panic where a stream is full or closed; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use load_tests::checks::Check;
use load_tests::children::{CountersignChild, RunDirectory};
use load_tests::credentials::ReadyFile;
use load_tests::echo::EchoServer;
use load_tests::error::LoadError;
use load_tests::output::{self, FOR_ALL, print, print_line};
use load_tests::prepare::{Funds, prepare, started};
use load_tests::progress::Progress;
use load_tests::record::Record;
use load_tests::report::{difference, html, text};
use load_tests::scenario::Scenario;
use load_tests::signature::Nonces;
use load_tests::stage::Stage;
use load_tests::target::{Overrides, Target};
use load_tests::{kinds, machine, raw_fan_out};
use tokio::signal::unix::{SignalKind, signal};

/// `compare` needs no file at hand.
const COMPARE: &str = include_str!("../scenarios/compare.toml");

const PROBE_BUFFER_BYTES: usize = 4_096;

/// Load scenarios and baselines for Countersign. README.md says what the figures mean.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays a scenario.
    Run {
        /// Its file, as those in `load-tests/scenarios`.
        scenario: PathBuf,
        #[command(flatten)]
        args: RunArgs,
    },
    /// Plays the built-in scenario `compare`: Countersign beside the baselines E and D.
    Compare(RunArgs),
    /// Tells what changed from one saved run to another.
    CompareRuns {
        /// The earlier run.
        before: PathBuf,
        /// The later run.
        after: PathBuf,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Makes Organizations, each with a funded Service User, and writes their keys with those of the file given.
    Prepare(PrepareArgs),
    /// A baseline server: E, or D with --journal. Ends with its standard input.
    Echo {
        /// Address and port; port 0 picks one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Makes it D: every request is appended to this file and synced before its answer.
        #[arg(long)]
        journal: Option<PathBuf>,
    },
    /// A baseline server: raw writes of one frame to all sockets. Ends with its standard input.
    RawFanOut {
        /// Bytes of the frame.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(4..))]
        bytes: u16,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The countersign binary to start for this run.
    #[arg(long, conflicts_with = "keys")]
    server: Option<PathBuf>,
    /// The ready file of a server that is running (`countersign demo --ready-file`), or a file of your own in its format.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// The running server's process, to report its CPU use and memory.
    #[arg(long)]
    process: Option<u32>,
    #[command(flatten)]
    overrides: Overrides,
    /// Change a setting of the scenario, as in `--set rounds=5 --set mix.keep=10`.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Leave baseline servers and their clients unpinned.
    #[arg(long)]
    no_pin: bool,
    /// Parent of this run's files; it should be on the disk that matters.
    #[arg(long, default_value = "target/load-tests")]
    directory: PathBuf,
    /// Print the run as JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Save the run as JSON.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Write a report with plots as one HTML file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// A saved run to compare with.
    #[arg(long)]
    before: Option<PathBuf>,
    #[command(flatten)]
    bounds: Bounds,
    /// Fail if a goal of the scenario is missed.
    #[arg(long)]
    require_goals: bool,
}

/// What a comparison may find.
#[derive(Debug, Args)]
struct Bounds {
    /// Fail if a result that has a goal is worse than in the earlier run by more than this share, as in `--tolerance 0.1`.
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "before")]
    tolerance: Option<f64>,
}

impl Bounds {
    fn hold(&self, before: &Record, after: &Record) -> Result<(), LoadError> {
        self.tolerance.map_or(Ok(()), |tolerance| difference::require_no_worse(before, after, tolerance))
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| "it is a share: 0, or less than 1".into())
}

#[derive(Debug, Args)]
struct PrepareArgs {
    /// The ready file of a running server, with its venue key.
    #[arg(long)]
    keys: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// How many Organizations to make.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    organizations: u32,
    /// What each is given, as in `--fund USD=1000000`.
    #[arg(long, value_name = "ASSET=AMOUNT", default_values = ["USD=1000000", "BTC=10"])]
    fund: Vec<Funds>,
    /// Where the keys go.
    #[arg(long)]
    output: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match perform(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn perform(command: Command) -> Result<(), LoadError> {
    match command {
        Command::Run { scenario, args } => run(Scenario::read(&scenario, &args.set)?, args).await,
        Command::Compare(args) => run(Scenario::parse("compare", COMPARE, &args.set)?, args).await,
        Command::CompareRuns { before, after, bounds } => compare_runs(&before, &after, &bounds),
        Command::Prepare(args) => prepare_keys(args).await,
        Command::Echo { listen, journal } => echo(listen, journal.as_deref()),
        Command::RawFanOut { bytes } => fan_out(usize::from(bytes)).await,
    }
}

async fn run(scenario: Scenario, args: RunArgs) -> Result<(), LoadError> {
    let before = args.before.as_deref().map(Record::read).transpose()?;
    if let Some(before) = &before {
        difference::require_same_scenario(before, &scenario.name)?;
        if args.bounds.tolerance.is_some() {
            difference::require_sound(before)?;
        }
    }
    if let (Some(save), Some(html)) = (&args.save, &args.html)
        && output::is_same_file(save, html)
    {
        return Err(LoadError::Setup("--save and --html name the same file".to_owned()));
    }
    for path in [&args.save, &args.html].into_iter().flatten() {
        if args.before.as_ref().is_some_and(|before| output::is_same_file(before, path)) {
            return Err(LoadError::Setup(format!("{} is the run to compare with, and stays", path.display())));
        }
        output::writable(path)?;
    }
    let mut signal = std::pin::pin!(ended());
    let mut stage = unless(signal.as_mut(), set(scenario, &args)).await?;
    let played = unless(signal, kinds::play(&mut stage)).await;
    let Stage { scenario, mut record, server, .. } = stage;
    if played.is_ok() {
        record.look_for_goals(&scenario.general.goals);
    }
    let sound = played.and_then(|()| record.verdict(scenario.general.allow_refusals));
    let sound = match (sound, server) {
        // A signal may have been for all that this terminal has started.
        (Err(error), Some((_, mut child))) if !matches!(error, LoadError::Ended { .. }) => {
            Err(child.explain(error).await)
        }
        (sound, _) => sound,
    };
    record.failed = sound.as_ref().err().map(ToString::to_string);
    // What is asked of figures beyond that they are sound is not this run's failure.
    let judged = sound
        .and_then(|()| if args.require_goals { record.goals_met() } else { Ok(()) })
        .and_then(|()| before.as_ref().map_or(Ok(()), |before| args.bounds.hold(before, &record)));
    // What was measured before something failed may tell why it did.
    let reported = report(&record, before.as_ref(), &args);
    if let (Err(_), Err(error)) = (&judged, &reported) {
        print_line(&format!("error: {error}"));
    }
    judged.and(reported)
}

/// Does it unless a signal comes. One may have been for all that this terminal has started: then it is the reason, and not what
/// became of one of them.
async fn unless<T>(
    mut signal: Pin<&mut impl Future<Output = &'static str>>,
    work: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, LoadError> {
    let error = tokio::select! {
        biased;
        signal = &mut signal => return Err(LoadError::Ended { signal }),
        done = work => match done {
            Err(error) => error,
            done => return done,
        },
    };
    tokio::select! {
        biased;
        signal = signal => Err(LoadError::Ended { signal }),
        () = tokio::task::yield_now() => Err(error),
    }
}

/// Waits for a signal that ends the run; what was started for it ends as well.
async fn ended() -> &'static str {
    // Under `nohup` a run outlives its terminal.
    let hangup = (!machine::ignores_hangup()).then(SignalKind::hangup);
    tokio::select! {
        () = came(Some(SignalKind::interrupt())) => "SIGINT",
        () = came(Some(SignalKind::terminate())) => "SIGTERM",
        () = came(hangup) => "SIGHUP",
    }
}

async fn came(kind: Option<SignalKind>) {
    match kind.map(signal) {
        Some(Ok(mut signal)) => drop(signal.recv().await),
        Some(Err(_)) | None => std::future::pending().await,
    }
}

/// Sets the stage: the server, if there is to be one, and whose keys load it.
async fn set(scenario: Scenario, args: &RunArgs) -> Result<Stage, LoadError> {
    let (directory, progress) = (RunDirectory::create(&args.directory)?, Progress::on_terminal());
    let server = match &args.server {
        Some(binary) => Some((binary.clone(), CountersignChild::start(binary, directory.path()).await?)),
        None => None,
    };
    let (keys, overrides, mut nonces) = (scenario.general.keys, &args.overrides, Nonces::default());
    let target = match (&server, &args.keys) {
        (Some((_, child)), _) => Some(started(child, keys, overrides, progress).await?),
        (None, Some(file)) => {
            if let Some(process) = args.process {
                machine::resident_kib(process)?;
            }
            let ready = ReadyFile::read(file)?;
            let target = Target::from_ready(&ready, overrides)?.with_keys(&ready, keys, overrides)?;
            // Who is not there, or refuses a key, is reported before anything is measured.
            for number in 0..keys {
                target.open(&mut nonces, number, PROBE_BUFFER_BYTES).await?;
            }
            Some(Target { process: args.process, ..target })
        }
        (None, None) => None,
    };
    let mut record = Record::new(&scenario.name, &scenario.general.about, scenario.settings.clone());
    match &target {
        Some(target) => record.server = target.build().await,
        None => record.checks.push(Check::skipped("no server was measured: give --server or --keys")),
    }
    let program = std::env::current_exe().map_err(LoadError::io("find this program"))?;
    progress.print_line(text::HEAD);
    let (sessions, pin) = (BTreeMap::new(), !args.no_pin);
    Ok(Stage { scenario, program, directory, target, server, nonces, sessions, progress, pin, record })
}

fn report(record: &Record, before: Option<&Record>, args: &RunArgs) -> Result<(), LoadError> {
    let saved = args.save.as_ref().map_or(Ok(()), |path| output::write(path, &json_text(record), FOR_ALL));
    let shown = args.html.as_ref().map_or(Ok(()), |path| output::write(path, &html::page(record, before), FOR_ALL));
    let told = if args.json {
        print(&format!("{}\n", json_text(record)))
    } else {
        let beside = before.map_or(String::new(), |before| format!("\n{}", difference::report(before, record)));
        print(&(text::report(record) + &beside))
    };
    saved.and(shown).and(told)
}

fn compare_runs(before: &Path, after: &Path, bounds: &Bounds) -> Result<(), LoadError> {
    let (before, after) = (Record::read(before)?, Record::read(after)?);
    difference::require_same_scenario(&before, &after.scenario)?;
    print(&difference::report(&before, &after))?;
    bounds.hold(&before, &after)
}

async fn prepare_keys(args: PrepareArgs) -> Result<(), LoadError> {
    let PrepareArgs { keys, overrides, organizations, fund, output } = args;
    let mut ready = ReadyFile::read(&keys)?;
    let (target, before) = (Target::without_users(&ready, &overrides)?, ready.service_users.len());
    // Keys that cannot be kept are lost.
    output::writable(&output)?;
    let signal = std::pin::pin!(ended());
    let prepared = prepare(&target, &mut ready, organizations, &fund, Progress::on_terminal());
    let prepared = unless(signal, prepared).await;
    let made = ready.service_users.len() - before;
    if made > 0 {
        ready.write(&output)?;
    }
    prepared.map_err(|error| LoadError::Setup(format!("{made} of {organizations} keys were made: {error}")))
}

/// The address goes to standard output first, the totals last: the parent process reads both.
fn echo(listen: SocketAddr, journal: Option<&Path>) -> Result<(), LoadError> {
    let server = EchoServer::start(listen, journal)?;
    print(&format!("listening on {}\n", server.address))?;
    wait_for_end()?;
    print(&format!("{}\n", json_text(&server.stop())))
}

async fn fan_out(bytes: usize) -> Result<(), LoadError> {
    let (listener, address) = raw_fan_out::listen().await.map_err(LoadError::io("listen"))?;
    print(&format!("listening on {address}\n"))?;
    tokio::select! {
        ended = raw_fan_out::serve(listener, bytes) => ended.map_err(LoadError::io("serve"))?,
        joined = tokio::task::spawn_blocking(wait_for_end) => {
            joined.map_err(|error| LoadError::Setup(error.to_string()))??;
        }
    }
    print(&format!("{}\n", json_text(&load_tests::group_commit::Totals::default())))
}

fn wait_for_end() -> Result<(), LoadError> {
    let mut ignored = Vec::new();
    std::io::stdin().read_to_end(&mut ignored).map(drop).map_err(LoadError::io("wait for the end of standard input"))
}

fn json_text(result: &impl serde::Serialize) -> String {
    serde_json::to_string(result).expect("a report is always JSON")
}
