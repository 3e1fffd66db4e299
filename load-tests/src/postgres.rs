//! A Postgres for one run, from this machine's own binaries: a private directory under `TMPDIR`, a Unix socket, no port.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::error::LoadError;

/// Runs the server until its input ends, then removes it with its data.
const SCRIPT: &str = include_str!("../../scripts/postgres");

/// A running Postgres; dropping this removes it.
#[derive(Debug)]
pub struct Postgres {
    shell: Child,
    process: u32,
    directory: PathBuf,
}

impl Postgres {
    /// Creates a cluster with the newest installed version, and runs it with that version's default settings.
    ///
    /// # Errors
    /// None is installed, or it does not start.
    pub fn start() -> Result<Self, LoadError> {
        let mut command = Command::new("bash");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().map_err(LoadError::io("start Postgres"))?;
        let mut line = String::new();
        let output = shell.stdout.take().expect("standard output is piped");
        BufReader::new(output).read_line(&mut line).map_err(LoadError::io("start Postgres"))?;
        let mut reported = line.trim().splitn(3, ' ');
        let process = reported.next().and_then(|process| process.parse().ok());
        let directory = reported.nth(1);
        let Some((process, directory)) = process.zip(directory) else {
            let _ = shell.wait();
            return Err(LoadError::Setup("this scenario needs Postgres, and it did not start".into()));
        };
        Ok(Self { shell, process, directory: directory.into() })
    }

    /// The URL of its only database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.directory.display())
    }

    /// The process whose children serve the connections.
    pub fn process(&self) -> u32 {
        self.process
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It fails only if the shell has ended already.
        let _ = self.shell.wait();
    }
}
