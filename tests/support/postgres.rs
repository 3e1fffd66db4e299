//! A Postgres of the tests' own: private directory, Unix socket, no port. It ends with the process that asked for
//! it, however that ends: a shell waits for the end of its input and then takes all of it away.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes and runs the server until the end of its input. Prints the directory once it takes connections.
const SCRIPT: &str = r#"
set -eu
bin=$1
dir=$(mktemp -d)
cd "$dir"
"$bin/initdb" -D "$dir/data" -U postgres -A trust -N >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 >>"$dir/log" 2>&1 &
server=$!
finish() { kill -INT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$dir"; }
trap finish EXIT
until "$bin/pg_isready" -q -h "$dir" -U postgres; do kill -0 "$server" || { cat "$dir/log" >&2; exit 1; }; done
echo "$dir"
cat >/dev/null
"#;

const HINT: &str = "this test needs Postgres: apt-get install postgresql (scripts/test does it)";

struct Server {
    socket: PathBuf,
    bin: PathBuf,
    /// Holds the shell's input open.
    _shell: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a new, empty database.
pub fn database() -> String {
    let server = SERVER.get_or_init(start);
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut create = Command::new(server.bin.join("createdb"));
    let made = create.arg("-h").arg(&server.socket).args(["-U", "postgres", &name]).status().unwrap();
    assert!(made.success());
    format!("postgres://postgres@localhost/{name}?host={}", server.socket.display())
}

fn start() -> Server {
    let bin = binaries().expect(HINT);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|this| std::os::unix::fs::MetadataExt::uid(&this) == 0);
    // Postgres refuses to run as root.
    let mut shell = if is_root { Command::new("runuser") } else { Command::new("env") };
    let user: &[&str] = if is_root { &["-u", "postgres", "--"] } else { &[] };
    let shell = shell.args(user).args(["bash", "-c", SCRIPT, "postgres"]).arg(&bin);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(HINT);
    let mut told = BufReader::new(shell.stdout.take().unwrap());
    let mut socket = String::new();
    told.read_line(&mut socket).unwrap();
    assert!(!socket.is_empty(), "Postgres did not start; {HINT}");
    Server { socket: PathBuf::from(socket.trim()), bin, _shell: shell }
}

/// The newest version's programs.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop()
}

/// Ends the connection that holds the writer's fence of a database.
#[allow(dead_code, reason = "each suite uses its part")]
pub fn cut_writer(url: &str) {
    let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_database ON database = pg_database.oid
               WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(sql(url, cut), "t");
}

/// Runs a statement on a database, and gives what it says.
#[allow(dead_code, reason = "each suite uses its part")]
pub fn sql(url: &str, statement: &str) -> String {
    let server = SERVER.get_or_init(start);
    let output = Command::new(server.bin.join("psql")).args([url, "-qAtc", statement]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
