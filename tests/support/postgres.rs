//! A private Postgres for the tests: its own directory, a Unix socket, no port unless the options name an address. It
//! ends with the process that started it, however that ends: a shell waits for the end of its input and then removes
//! everything.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

/// Runs the server until its input ends, then removes it with its data.
const SCRIPT: &str = include_str!("../../scripts/postgres");

/// How long it may take to start, or to lock a table.
const TIMEOUT: Duration = Duration::from_secs(120);

const HINT: &str = "this test needs Postgres: apt-get install postgresql (scripts/test does it)";

pub struct Server {
    socket: PathBuf,
    bin: PathBuf,
    /// Its input is held open.
    shell: Child,
}

impl Server {
    /// Makes a directory or file the server's own, and lets it through the private directory around it.
    pub fn give(&self, outer: &Path, inner: &Path) {
        std::fs::set_permissions(outer, Permissions::from_mode(0o711)).unwrap();
        let owner = std::fs::metadata(&self.socket).unwrap();
        std::os::unix::fs::chown(inner, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a new, empty database.
pub fn database() -> String {
    database_on(SERVER.get_or_init(start), &[])
}

/// The URL of a new, empty database on a server, made with further arguments.
pub fn database_on(server: &Server, arguments: &[&str]) -> String {
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut create = Command::new(server.bin.join("createdb"));
    let made = create.arg("-h").arg(&server.socket).args(["-U", "postgres", &name]).args(arguments).status().unwrap();
    assert!(made.success());
    format!("postgres://postgres@localhost/{name}?host={}", server.socket.display())
}

/// A server that ends with what this returns.
pub fn start() -> Server {
    start_with(&[])
}

/// The same with more of its options.
pub fn start_with(options: &[&str]) -> Server {
    let mut shell = Command::new("bash");
    shell.args(["-c", SCRIPT, "postgres", "-c", "max_connections=300"]).args(options);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(HINT);
    let told = first_line(&mut shell);
    let mut told = told.trim().splitn(3, ' ').skip(1).map(PathBuf::from);
    let (bin, socket) = told.next().zip(told.next()).unwrap_or_else(|| panic!("Postgres did not start; {HINT}"));
    Server { socket, bin, shell }
}

/// The first line that a child writes, or nothing if it ends without one; what comes after it is lost.
fn first_line(child: &mut Child) -> String {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (sender, written) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = output.read_line(&mut line).map(|_| line);
        // Who waited may have given up.
        let _ = sender.send(read);
    });
    written.recv_timeout(TIMEOUT).expect("a line").unwrap()
}

/// Ends the connection that holds the writer's fence of a database.
pub fn cut_writer(url: &str) {
    let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_database ON database = pg_database.oid
               WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(sql(url, cut), "t");
}

/// Ends every connection of a database but the one that holds the writer's fence.
pub fn cut_others(url: &str) {
    let cut = "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(sql(url, cut), "t");
}

/// Runs a statement on a database, and returns its output.
pub fn sql(url: &str, statement: &str) -> String {
    let server = SERVER.get_or_init(start);
    let output = Command::new(server.bin.join("psql")).args([url, "-qAtc", statement]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A lock on a database, released when dropped.
pub struct Lock(Child);

/// Makes every write to a table wait.
pub fn lock(url: &str, table: &str) -> Lock {
    let server = SERVER.get_or_init(start);
    let mut psql = Command::new(server.bin.join("psql"));
    psql.args([url, "-qAt"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lock = Lock(psql.spawn().expect(HINT));
    let input = lock.0.stdin.as_mut().unwrap();
    writeln!(input, "BEGIN; LOCK TABLE {table} IN SHARE MODE; SELECT 'locked';").unwrap();
    assert_eq!(first_line(&mut lock.0), "locked\n");
    lock
}

impl Drop for Lock {
    fn drop(&mut self) {
        // At the end of its input it ends, and so does the transaction.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
