//! Servers as child processes, so that their cost is separate from the client's.
//!
//! The one place that knows how a Countersign is started is `countersign_command`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::credentials::ReadyFile;
use crate::error::LoadError;
use crate::group_commit::Totals;
use crate::output::{print_line, under_a_free_name};

/// A new server plays its whole story before it is ready.
const READY_WAIT: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(10);
const READY_FILE: &str = "ready.json";
const LOG_FILE: &str = "server.log";
const DATA: &str = "data";
/// Within the data.
const SNAPSHOTS: &str = "snapshots";
/// Bytes of a log's end that are shown.
const TAIL_BYTES: usize = 2_000;
/// When a process dies, its sockets end a moment before it.
const END_WAIT: Duration = Duration::from_secs(1);

/// The command that starts a Countersign with this ready file and its data under `directory`.
fn countersign_command(server: &Path, ready_file: &Path, directory: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(server);
    command.args(["demo", "--port", "0", "--ready-file"]).arg(ready_file).arg("--data").arg(directory.join(DATA));
    command.args(database.into_iter().flat_map(|url| ["--database", url]));
    command
}

/// A directory for the files of one run, removed with all its content at the end.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Creates it under `parent`, which should be on the disk to be measured.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(parent: &Path) -> Result<Self, LoadError> {
        let what = || format!("create a directory in {}", parent.display());
        let parent = std::path::absolute(parent).map_err(LoadError::io(what()))?;
        fs::create_dir_all(&parent).map_err(LoadError::io(what()))?;
        let run = format!("run-{}", std::process::id());
        // A run that was killed has left its own, and a server would continue from the data in it.
        let made = under_a_free_name(|number| {
            let path = parent.join(if number == 1 { run.clone() } else { format!("{run}-{number}") });
            fs::create_dir(&path).map(|()| path)
        });
        Ok(Self { path: made.map_err(LoadError::io(what()))? })
    }

    /// The path of its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            print_line(&format!("{} is left behind: {error}", self.path.display()));
        }
    }
}

/// Which baseline server to start.
#[derive(Debug, Clone, Copy)]
pub enum Baseline<'a> {
    /// The JSON echo, E.
    Echo,
    /// The same behind a group commit on this file, D.
    DurableEcho(&'a Path),
    /// Raw writes of one frame to all sockets.
    RawFanOut {
        /// Of the whole frame, header included.
        bytes: usize,
    },
}

/// A baseline server in its own process. It ends when its standard input closes, so it cannot outlive this one.
#[derive(Debug)]
pub struct BaselineChild {
    child: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BaselineChild {
    /// Starts `program` (this binary) as a baseline and waits for its address.
    ///
    /// # Errors
    /// It does not start or does not say where it listens.
    pub fn start(program: &Path, baseline: Baseline<'_>) -> Result<Self, LoadError> {
        let what = || format!("start a baseline server, {}", program.display());
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        match baseline {
            Baseline::Echo => command.arg("echo"),
            Baseline::DurableEcho(journal) => command.args(["echo", "--journal"]).arg(journal),
            Baseline::RawFanOut { bytes } => command.args(["raw-fan-out", "--bytes", &bytes.to_string()]),
        };
        let mut child = Running(command.spawn().map_err(LoadError::io(what()))?);
        let input = child.0.stdin.take().expect("standard input is piped");
        let mut output = BufReader::new(child.0.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        match (read, address) {
            (Ok(_), Some(address)) => Ok(Self { child, input, output, address }),
            (Ok(_), None) => Err(LoadError::Setup(format!("{}: it said {line:?}", what()))),
            (Err(error), _) => Err(LoadError::io(what())(error)),
        }
    }

    /// The process id.
    pub fn process(&self) -> u32 {
        self.child.0.id()
    }

    /// Ends it and returns the totals of D's journal.
    ///
    /// # Errors
    /// It did not report.
    pub fn stop(mut self) -> Result<Totals, LoadError> {
        drop(self.input);
        let mut report = String::new();
        self.output.read_to_string(&mut report).map_err(LoadError::io("read the baseline's report"))?;
        serde_json::from_str(&report).map_err(|error| LoadError::Setup(format!("the baseline's report: {error}")))
    }
}

/// What a killed server recovers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoverySource {
    /// Its newest snapshot, if there is one, and the events after it.
    Snapshot,
    /// All of its journal: the snapshots are removed.
    Journal,
}

/// A Countersign started for this run, killed at the end: its data is thrown away anyway.
#[derive(Debug)]
pub struct CountersignChild {
    child: Running,
    log_file: PathBuf,
    /// Addresses and keys.
    pub ready: ReadyFile,
}

impl CountersignChild {
    /// Starts the binary and waits until it is ready. Its log, which is its standard error, goes to `server.log` in `directory`.
    ///
    /// # Errors
    /// It ends early or is not ready in two minutes; the error shows the end of its log.
    pub async fn start(server: &Path, directory: &Path) -> Result<Self, LoadError> {
        Self::start_on(server, directory, None).await
    }

    /// The same with its journal and history in a Postgres database, by its URL.
    ///
    /// # Errors
    /// As [`CountersignChild::start`].
    pub async fn start_on(server: &Path, directory: &Path, database: Option<&str>) -> Result<Self, LoadError> {
        let what = || format!("start {}", server.display());
        let (ready_file, log_file) = (directory.join(READY_FILE), directory.join(LOG_FILE));
        let log = File::create(&log_file).map_err(LoadError::io(what()))?;
        let mut command = countersign_command(server, &ready_file, directory, database);
        // A demo prints passwords on its standard output, which no report may quote.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // If this run is ended while it waits here, no server is left behind.
        let mut child = Running(command.spawn().map_err(LoadError::io(what()))?);
        let deadline = Instant::now() + READY_WAIT;
        loop {
            // The file may be incomplete while it is being written; then it is read again.
            if let Ok(ready) = ReadyFile::read(&ready_file) {
                return Ok(Self { child, log_file, ready });
            }
            let ended = child.0.try_wait().map_err(LoadError::io(what()))?;
            if ended.is_some() || Instant::now() >= deadline {
                drop(child);
                let state = ended.map_or("it is not ready in time".into(), |status| format!("it ended, {status}"));
                return Err(LoadError::Setup(format!("{}: {state}\n{}", what(), tail(&log_file))));
            }
            sleep(READY_POLL).await;
        }
    }

    /// Adds to an error how the server ended, and the end of its log, if it ended by itself.
    pub async fn explain(&mut self, error: LoadError) -> LoadError {
        let deadline = Instant::now() + END_WAIT;
        loop {
            match self.child.0.try_wait() {
                Ok(Some(status)) => {
                    let tail = tail(&self.log_file);
                    return LoadError::Setup(format!("{error}\n       the server ended, {status}\n{tail}"));
                }
                Ok(None) if Instant::now() < deadline => sleep(READY_POLL).await,
                Ok(None) | Err(_) => return error,
            }
        }
    }

    /// Kills it as a crash would, starts it again on the same data, and returns the time until it was ready.
    ///
    /// # Errors
    /// As [`CountersignChild::start`], and snapshots that cannot be removed.
    pub async fn crash_and_restart(
        self,
        server: &Path,
        directory: &Path,
        source: RecoverySource,
    ) -> Result<(Self, Duration), LoadError> {
        drop(self);
        let ready_file = directory.join(READY_FILE);
        fs::remove_file(&ready_file).map_err(LoadError::io(format!("remove {}", ready_file.display())))?;
        let snapshots = directory.join(DATA).join(SNAPSHOTS);
        // With a short journal there are none.
        if source == RecoverySource::Journal && snapshots.exists() {
            fs::remove_dir_all(&snapshots).map_err(LoadError::io(format!("remove {}", snapshots.display())))?;
        }
        let start = Instant::now();
        let child = Self::start(server, directory).await?;
        Ok((child, start.elapsed()))
    }

    /// The process id.
    pub fn process(&self) -> u32 {
        self.child.0.id()
    }
}

/// The end of a log.
fn tail(log_file: &Path) -> String {
    let log = fs::read(log_file).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL_BYTES)..]).into_owned()
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    /// Kills and reaps. Both fail only where the process is gone already.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
