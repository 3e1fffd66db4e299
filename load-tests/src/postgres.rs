//! A Postgres for one run, from this machine's own binaries: a private directory under `TMPDIR`, a Unix socket, no port.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::LoadError;

/// Runs the server until the end of its input, then takes it away with its data, however the parent ended. Prints the
/// server's process and directory once it takes connections.
const SCRIPT: &str = r#"
set -eu
bin=$1
dir=$(mktemp -d)
cd "$dir"
server=
finish() { [ -z "$server" ] || { kill -INT "$server" && wait "$server"; } 2>/dev/null || true; rm -rf "$dir"; }
trap finish EXIT
"$bin/initdb" -D "$dir/data" -U postgres -A trust -N >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= >>"$dir/log" 2>&1 &
server=$!
until "$bin/pg_isready" -q -h "$dir" -U postgres; do kill -0 "$server" || { cat "$dir/log" >&2; exit 1; }; done
echo "$server $dir"
cat >/dev/null
"#;

/// A running Postgres, gone with this value.
#[derive(Debug)]
pub struct Postgres {
    shell: Child,
    process: u32,
    directory: PathBuf,
}

impl Postgres {
    /// Makes a cluster with the newest version that is installed, and runs it with that version's own settings.
    ///
    /// # Errors
    /// None is installed, or it does not start.
    pub fn start() -> Result<Self, LoadError> {
        let missing = || LoadError::Setup("this scenario needs Postgres: apt-get install postgresql".into());
        let programs = programs().ok_or_else(missing)?;
        let mut command = Command::new("env");
        // Postgres refuses to run as root.
        if is_root() {
            command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]);
        }
        command.args(["bash", "-c", SCRIPT, "postgres"]).arg(&programs).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().map_err(LoadError::io("start Postgres"))?;
        let mut line = String::new();
        let output = shell.stdout.take().expect("standard output is piped");
        BufReader::new(output).read_line(&mut line).map_err(LoadError::io("start Postgres"))?;
        let told =
            line.trim().split_once(' ').and_then(|(process, directory)| Some((process.parse().ok()?, directory)));
        let Some((process, directory)) = told else {
            return Err(LoadError::Setup("Postgres did not start".into()));
        };
        Ok(Self { shell, process, directory: directory.into() })
    }

    /// Of its one database.
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
        // It fails only where the shell is gone already.
        let _ = self.shell.wait();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| std::os::unix::fs::MetadataExt::uid(&this) == 0)
}

/// Where the newest version's programs are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        versions.map(|of| of.path()).filter(|path| path.join("bin/initdb").exists()).max_by_key(|path| version(path));
    Some(newest?.join("bin"))
}
