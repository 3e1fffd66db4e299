//! `countersign serve` as a child process: started, told to stop, killed.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::timeout;

/// How long it may take to start, and to end.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The interval of checks whether it has ended: there is no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A server that listens; killed if a test leaves it behind.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Served {
    /// Starts with a settings file and waits until it listens; `log` is the log level, and where the log goes.
    pub async fn start(settings: &Path, log: (&str, Stdio)) -> Served {
        Served::spawned(Served::serving(settings, log)).await
    }

    /// The same with a prepared command.
    pub async fn spawned(command: Command) -> Served {
        let (mut served, line) = Served::first_line(command).await;
        let listening = line.trim().strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        served.address = listening.expect("it listens").1.parse().unwrap();
        served
    }

    /// Starts the same way; returns the first line that it prints, empty if it ends without one.
    pub async fn first_line(mut command: Command) -> (Served, String) {
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        // From here on it is killed whatever happens, which also ends the wait for its output.
        let mut served = Served { child, address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) };
        let mut told = BufReader::new(served.child.stdout.take().unwrap());
        let first = move || {
            let mut line = String::new();
            told.read_line(&mut line).map(|_| line)
        };
        // Not on this thread: a server in this process that made the data may still have something to write.
        let line = timeout(TIMEOUT, tokio::task::spawn_blocking(first)).await.expect("it starts").unwrap().unwrap();
        (served, line)
    }

    /// The server with a settings file and a log.
    pub fn serving(settings: &Path, (level, log): (&str, Stdio)) -> Command {
        let mut command = Served::command("serve", settings);
        command.env("RUST_LOG", level).stderr(log);
        command
    }

    /// The program with a settings file, which names the master key's.
    pub fn command(action: &str, settings: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args([action, "--config"]).arg(settings).env_remove("COUNTERSIGN_MASTER_KEY");
        command
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Waits until it has ended; returns how.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut look = tokio::time::interval(POLL_INTERVAL);
        let ended = async {
            loop {
                look.tick().await;
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
            }
        };
        timeout(TIMEOUT, ended).await.expect("it ends")
    }

    /// Its memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The nice value of each of its threads, by the thread's name (proc(5), `stat`: the name stands in brackets, and the
    /// nice value is the 17th word behind it).
    pub fn nice_values(&self) -> Vec<(String, i32)> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
            (name.to_owned(), rest.split(' ').nth(16).unwrap().parse().unwrap())
        };
        threads.map(of).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A child that is gone already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
