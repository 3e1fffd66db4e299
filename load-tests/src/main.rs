//! The command line of the load tests.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use load_tests::children::{CountersignChild, RunDirectory};
use load_tests::compare::Comparison;
use load_tests::credentials::ReadyFile;
use load_tests::echo::EchoServer;
use load_tests::error::LoadError;
use load_tests::load::{Duty, Shape};
use load_tests::mix::{Mix, MixSettings};
use load_tests::orders::{self, Target};
use load_tests::signature::Nonces;
use load_tests::{idle, sync_loop};
use serde::Serialize;

/// A server that takes longer for its last replies has lost them.
const LAST_REPLIES_WAIT: Duration = Duration::from_secs(5);

/// Load scenarios and baselines for Countersign. README.md says what the figures mean.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Baselines E and D and a Countersign in alternating rounds, and the ratios between them.
    Compare(CompareArgs),
    /// The order load alone, against a server that is running.
    Orders(OrdersArgs),
    /// Server memory per idle authenticated connection.
    Idle(IdleArgs),
    /// A baseline server: E, or D with --journal. Ends with its standard input.
    Echo(EchoArgs),
    /// What one fdatasync of a 4 KiB append costs.
    SyncLoop {
        /// Directory on the disk in question.
        #[arg(long, default_value = "target/load-tests")]
        directory: PathBuf,
        /// Seconds.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
}

/// Where the server is and as whom to connect.
#[derive(Debug, Args)]
struct KeysArgs {
    /// The Service User to connect as; the first in the file by default.
    #[arg(long)]
    service_user: Option<String>,
    /// The server's web address, if not the file's.
    #[arg(long)]
    http: Option<String>,
    /// The server's WebSocket address, if not the file's.
    #[arg(long)]
    ws: Option<String>,
}

impl KeysArgs {
    fn target(&self, ready: &ReadyFile) -> Result<Target, LoadError> {
        Target::from_ready(ready, self.http.as_deref(), self.ws.as_deref(), self.service_user.as_deref())
    }
}

/// How long each measurement takes.
#[derive(Debug, Args)]
struct DutyArgs {
    /// Measured seconds.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
}

impl DutyArgs {
    fn duty(&self) -> Result<Duty, LoadError> {
        let (warm_up, window) = (bounded("--warm-up", self.warm_up)?, bounded("--seconds", self.seconds)?);
        Ok(Duty { warm_up, window, grace: LAST_REPLIES_WAIT })
    }
}

/// Seconds as a duration of at most ten minutes: the harness never runs away.
fn bounded(option: &str, seconds: f64) -> Result<Duration, LoadError> {
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= Duration::from_secs(600));
    duration.ok_or_else(|| LoadError::Setup(format!("{option} must be between 0 and 600 seconds")))
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// The countersign binary to start.
    #[arg(long, conflicts_with = "keys")]
    server: Option<PathBuf>,
    /// The ready file of a Countersign that is running, instead of starting one. Without either only E and D run.
    #[arg(long)]
    keys: Option<PathBuf>,
    #[command(flatten)]
    keys_args: KeysArgs,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    duty: DutyArgs,
    #[command(flatten)]
    mix: MixSettings,
    /// Subscribe each of Countersign's connections to this private channel.
    #[arg(long)]
    subscribe: Option<String>,
    /// Leave E and its client unpinned.
    #[arg(long)]
    no_pin: bool,
    /// Parent of this run's files; it should be on the disk that matters.
    #[arg(long, default_value = "target/load-tests")]
    directory: PathBuf,
    /// Do not fail on refused orders.
    #[arg(long)]
    allow_refusals: bool,
    /// Fail unless Countersign's 64x16 throughput is at least this share of E's.
    #[arg(long)]
    at_least: Option<f64>,
}

#[derive(Debug, Args)]
struct OrdersArgs {
    /// A ready file (`countersign demo --ready-file`), or a file of your own in its format.
    #[arg(long)]
    keys: PathBuf,
    #[command(flatten)]
    keys_args: KeysArgs,
    /// Connections x requests in flight on each.
    #[arg(long, default_value = "64x16")]
    shape: Shape,
    #[command(flatten)]
    duty: DutyArgs,
    #[command(flatten)]
    mix: MixSettings,
    /// Subscribe each connection to this private channel.
    #[arg(long)]
    subscribe: Option<String>,
    /// Do not fail on refused orders.
    #[arg(long)]
    allow_refusals: bool,
    /// The server's process, to report its CPU use.
    #[arg(long)]
    process: Option<u32>,
}

#[derive(Debug, Args)]
struct IdleArgs {
    /// The countersign binary to start.
    #[arg(long)]
    server: PathBuf,
    /// The Service User to connect as; the first in the ready file by default.
    #[arg(long)]
    service_user: Option<String>,
    /// Connections to hold.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    connections: u32,
    /// Subscribe each connection to this private channel.
    #[arg(long)]
    subscribe: Option<String>,
    /// Parent of this run's files.
    #[arg(long, default_value = "target/load-tests")]
    directory: PathBuf,
}

#[derive(Debug, Args)]
struct EchoArgs {
    /// Address and port; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Makes it D: every request is appended to this file and synced before its answer.
    #[arg(long)]
    journal: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { scenario, json } = Cli::parse();
    let result = match scenario {
        Scenario::Compare(args) => compare(args, json).await,
        Scenario::Orders(args) => load_orders(args, json).await,
        Scenario::Idle(args) => hold_idle(args, json).await,
        Scenario::Echo(args) => echo(&args),
        Scenario::SyncLoop { directory, seconds } => sync_loops(&directory, seconds, json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(args: CompareArgs, json: bool) -> Result<(), LoadError> {
    let directory = RunDirectory::create(&args.directory)?;
    let mut server = None;
    let countersign = match (&args.server, &args.keys) {
        (Some(binary), _) => {
            let child = server.insert(CountersignChild::start(binary, directory.path()).await?);
            Some(Target { process: Some(child.process()), ..args.keys_args.target(&child.ready)? })
        }
        (None, Some(keys)) => Some(args.keys_args.target(&ReadyFile::read(keys)?)?),
        (None, None) => None,
    };
    let comparison = Comparison {
        program: std::env::current_exe().map_err(LoadError::io("find this program"))?,
        directory,
        countersign,
        rounds: args.rounds,
        duty: args.duty.duty()?,
        mix: args.mix,
        channel: args.subscribe,
        pin: !args.no_pin,
    };
    let report = comparison.run().await?;
    drop(server);
    print(&report, json);
    if !args.allow_refusals {
        fail_on_refusals(report.refusals())?;
    }
    match (args.at_least, report.countersign_over_e()) {
        (Some(least), Some(share)) if share < least => {
            Err(LoadError::Setup(format!("Countersign is at {share:.3} of E, and at least {least} was asked for")))
        }
        (Some(_), None) => Err(LoadError::Setup("--at-least needs a Countersign to measure".into())),
        (Some(_) | None, _) => Ok(()),
    }
}

async fn load_orders(args: OrdersArgs, json: bool) -> Result<(), LoadError> {
    let target = Target { process: args.process, ..args.keys_args.target(&ReadyFile::read(&args.keys)?)? };
    let mix = Arc::new(Mix::new(&args.mix)?);
    let (duty, channel) = (args.duty.duty()?, args.subscribe.as_deref());
    let measurement = orders::measure(&target, &mut Nonces::default(), &mix, args.shape, duty, channel).await?;
    print(&measurement, json);
    let refusals = measurement.refusals.iter().map(|(error, count)| (error.as_str(), *count));
    if args.allow_refusals { Ok(()) } else { fail_on_refusals(refusals) }
}

async fn hold_idle(args: IdleArgs, json: bool) -> Result<(), LoadError> {
    let directory = RunDirectory::create(&args.directory)?;
    let server = CountersignChild::start(&args.server, directory.path()).await?;
    let target = Target::from_ready(&server.ready, None, None, args.service_user.as_deref())?;
    let report = idle::measure(&target, server.process(), args.connections, args.subscribe.as_deref()).await?;
    print(&report, json);
    Ok(())
}

/// The address goes to standard output first, the totals last: the parent process reads both.
fn echo(args: &EchoArgs) -> Result<(), LoadError> {
    let server = EchoServer::start(args.listen, args.journal.as_deref())?;
    println!("listening on {}", server.address);
    let mut ignored = Vec::new();
    std::io::stdin().read_to_end(&mut ignored).map_err(LoadError::io("wait for the end of standard input"))?;
    println!("{}", json_text(&server.stop()));
    Ok(())
}

fn sync_loops(directory: &std::path::Path, seconds: f64, json: bool) -> Result<(), LoadError> {
    let directory = RunDirectory::create(directory)?;
    let figures = sync_loop::run(directory.path(), bounded("--seconds", seconds)?)?;
    if json {
        println!("{}", json_text(&figures));
    } else {
        println!(
            "4 KiB append + fdatasync: {:.0}/s, p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
            figures.per_second, figures.p50_us, figures.p99_us, figures.p999_us
        );
    }
    Ok(())
}

fn fail_on_refusals<'a>(refusals: impl Iterator<Item = (&'a str, u64)>) -> Result<(), LoadError> {
    let told: Vec<String> = refusals.map(|(error, count)| format!("{count} x {error}")).collect();
    if told.is_empty() { Ok(()) } else { Err(LoadError::Setup(format!("refused: {}", told.join("; ")))) }
}

fn print(result: &(impl Serialize + std::fmt::Display), json: bool) {
    if json {
        println!("{}", json_text(result));
    } else {
        println!("{result}");
    }
}

fn json_text(result: &impl Serialize) -> String {
    serde_json::to_string(result).expect("a report is always JSON")
}
