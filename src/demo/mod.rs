//! `countersign demo`: the real server on a small world, and the whole story played over real sockets.

mod client;
mod credentials;
mod maker;
mod story;
mod world;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use credentials::Credentials;

use crate::access::tier::{Tier, Tiers};
use crate::config::{Config, DatabaseUrl};
use crate::gateway::secrets::{MasterKey, create_private};
use crate::server::{Plan, Server};

/// What may go wrong, in words for the person at the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The options of the demo.
#[derive(Debug)]
pub struct Options {
    /// The port; 0 picks a free one.
    pub port: u16,
    /// End after the story.
    pub once: bool,
    /// Written once the story has ended, while the server keeps running.
    pub ready_file: Option<PathBuf>,
    /// Where the world is kept; without it a fresh one is made and removed at the end.
    pub data: Option<PathBuf>,
    /// What holds the world's journal and history instead of files.
    pub database: Option<DatabaseUrl>,
}

/// Runs the demo until `stop` completes, or to the end of the story with [`Options::once`].
///
/// # Errors
/// When the server does not start or fails, or a step of the story does not go as expected.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    // Whoever waits for the file must not find one of an earlier run.
    if let Some(file) = options.ready_file.as_deref() {
        remove(file).map_err(at(file))?;
    }
    let scratch = Scratch::new(options.data.as_deref());
    let dir = scratch.dir.clone();
    std::fs::create_dir_all(&dir).map_err(at(&dir))?;
    let kept = Credentials::load(&dir)?;
    let key_file = dir.join("master.key");
    let master = if key_file.exists() { MasterKey::from_file(&key_file)? } else { MasterKey::generate(&key_file)? };
    let mut credentials = match kept {
        Some(kept) => kept,
        None => {
            let credentials = Credentials::generate();
            credentials.save(&dir)?;
            credentials
        }
    };
    // The server applies it only to an empty journal, such as one left by a run that was killed before this.
    let genesis = Some(world::genesis(&credentials, &master)?);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    // A playground, and what load tests run against.
    let mut config = Config::at(listen, dir.join("data"));
    config.rates = Tiers::all(Tier::Unlimited);
    config.database = options.database;
    let mut server = Server::start(Plan { config, master, genesis }).await?;
    let address = server.address();
    let maker = maker::Maker::start(address, credentials.maker.clone()).await?;
    let played = if credentials.played {
        print("The world is there already; the story is not played again.");
        Ok(())
    } else {
        // A story that breaks off cannot be replayed: part of it has happened.
        credentials.played = true;
        match credentials.save(&dir) {
            Ok(()) => story::play(address, &credentials).await,
            failed => failed,
        }
    };
    let served = match played {
        Ok(()) if !options.once => serve(&mut server, &credentials, options.ready_file.as_deref(), stop).await,
        reported => reported,
    };
    maker.stop().await;
    server.stop().await?;
    served
}

/// Names the file that an error is about.
fn at(file: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| format!("{}: {error}", file.display()).into()
}

/// Prints a line. If that fails, the demo continues all the same.
fn print(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

async fn serve(
    server: &mut Server,
    credentials: &Credentials,
    ready_file: Option<&Path>,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let ready = credentials.ready(server.address());
    if let Some(file) = ready_file {
        write_private(file, &(serde_json::to_string_pretty(&ready)? + "\n")).map_err(at(file))?;
    }
    print(credentials.guide(server.address()).trim_end());
    tokio::select! {
        // The stop that follows says why.
        _ = server.failed() => {}
        () = stop => {}
    }
    Ok(())
}

/// Writes a file with secrets, readable by its owner only from the start. Whoever waits for the file never sees half of
/// it.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let fresh = file.with_extension("new");
    // A file left by an earlier run could be readable by others.
    remove(&fresh)?;
    let mut written = create_private(&fresh)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&fresh, file)
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The directory of the world, removed at the end when nobody named it.
struct Scratch {
    dir: PathBuf,
    remove: bool,
}

impl Scratch {
    fn new(named: Option<&Path>) -> Scratch {
        match named {
            Some(dir) => Scratch { dir: dir.to_owned(), remove: false },
            None => {
                let name = format!("countersign-demo-{:016x}", rand::random::<u64>());
                Scratch { dir: std::env::temp_dir().join(name), remove: true }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.remove
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
        {
            tracing::warn!(%error, dir = %self.dir.display(), "the demo's directory stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_ready_file_is_for_its_owner_alone_whatever_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready.json");
        for old in ["ready.json", "ready.new"] {
            let old = dir.path().join(old);
            std::fs::write(&old, "old").unwrap();
            std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        write_private(&file, "secrets").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "secrets");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_ready_file_of_an_earlier_run_is_gone_before_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready.json");
        std::fs::write(&file, "of another port").unwrap();
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let data = Some(dir.path().join("world"));
        let options = Options { port, once: false, ready_file: Some(file.clone()), data, database: None };
        assert!(run(options, std::future::pending()).await.is_err(), "the port is taken");
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_story_that_is_not_as_told_ends_in_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut credentials = Credentials::generate();
        // Treasury Bot is given another Service User's key.
        credentials.service_users.swap(0, 1);
        credentials.save(dir.path()).unwrap();
        let data = Some(dir.path().to_owned());
        let options = Options { port: 0, once: true, ready_file: None, data, database: None };
        let reported = run(options, std::future::pending()).await.unwrap_err().to_string();
        assert!(reported.starts_with("not as told: the key is Treasury Bot's"), "{reported}");
    }
}
