//! The commands of the program and what they print.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Parser, Subcommand};
use ipnet::IpNet;
use rustix::fs::Mode;
use rustix::process::umask;
use tracing::Level;

use crate::access::key::{self, KeySettings};
use crate::access::tier::Tiers;
use crate::config::{self, Config, DatabaseUrl, LogFormat};
use crate::demo::{self, Failure};
use crate::domain::ids::VenueKeyId;
use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::engine::event::Event;
use crate::engine::keys::VenueKey;
use crate::gateway::credentials::{ApiCredentials, secret_text};
use crate::gateway::secrets::{MASTER_KEY_VARIABLE, MasterKey, refuse_inside, write_private};
use crate::sequencer::recovery::verify;
use crate::sequencer::{Recovered, Release, Released};
use crate::server::{self, Plan, Server};
use crate::storage::Storage;
use crate::storage::head::read_head;
use crate::storage::journal::JournalError;
use crate::storage::snapshots::Snapshots;
use crate::telemetry;

/// A self-hosted WebSocket trading and approval server.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the scripted demo, then keep serving.
    Demo {
        /// The port; 0 picks a free one.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// End after the story.
        #[arg(long)]
        once: bool,
        /// A file to write addresses and credentials to, as JSON, once the story has ended.
        #[arg(long)]
        ready_file: Option<PathBuf>,
        /// Where the world is kept; a second run continues it.
        #[arg(long)]
        data: Option<PathBuf>,
        /// A Postgres database that holds the world's journal instead; goes with --data.
        #[arg(long, requires = "data")]
        database: Option<String>,
    },
    /// Write a commented settings file, the master key and the first venue key.
    Init {
        /// Directory for the settings file; created if missing.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Directory for the data, such as /var/lib/countersign, instead of `data` beside the settings.
        #[arg(long)]
        data: Option<PathBuf>,
        /// A Postgres database for the journal and the history, such as postgres://user@host/name.
        #[arg(long)]
        database: Option<String>,
        /// A network that the venue key may be used from, such as 192.0.2.0/24; may be given again. Without one, any.
        #[arg(long, value_parser = key::network)]
        venue_network: Vec<IpNet>,
        /// How far below the venue key's highest nonce an unused one is still accepted.
        #[arg(long, default_value_t = 0)]
        venue_nonce_window: u64,
        /// From when the venue key is no longer good, such as 2030-01-01T00:00:00Z: the venue has no operator then, for no
        /// other key is ever made. Without it, it never ends.
        #[arg(long, value_parser = end_to_come)]
        venue_expires: Option<Moment>,
    },
    /// Run the server until SIGTERM or SIGINT.
    Serve {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Write the JSON Schema of every message.
    Schemas {
        /// The directory to write to; created if missing.
        #[arg(long, default_value = "schemas")]
        dir: PathBuf,
    },
    /// Check a journal offline: hash chain, snapshots and replay.
    #[command(group(ArgGroup::new("journal").args(["data", "config"]).required(true)))]
    Verify {
        /// The data directory, when it holds the journal.
        #[arg(long)]
        data: Option<PathBuf>,
        /// The settings file, which says where the journal is.
        #[arg(long)]
        config: Option<PathBuf>,
        /// A copy of a head file, taken from here at some time: finds a journal that was cut, changed or exchanged since.
        #[arg(long)]
        head: Option<PathBuf>,
    },
}

/// Parses the arguments, runs the command and prints why it failed, if it did.
pub async fn run() -> ExitCode {
    match perform(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::ended(&error);
            ExitCode::FAILURE
        }
    }
}

async fn perform(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        // Its settings say how.
        Action::Serve { .. } => {}
        // A line for each socket would stand between those of the story.
        Action::Demo { .. } => telemetry::start(LogFormat::Text, Level::WARN)?,
        _ => telemetry::start(LogFormat::Text, Level::INFO)?,
    }
    if !matches!(arguments.command, Action::Schemas { .. }) {
        // The settings may contain the database's password, and the data says who owns what.
        umask(Mode::RWXG | Mode::RWXO);
    }
    match arguments.command {
        Action::Demo { port, once, ready_file, data, database } => {
            let stop = signal()?;
            let options = demo::Options { port, once, ready_file, data, database: parsed(database)? };
            demo::run(options, stop).await
        }
        Action::Init { dir, data, database, venue_network, venue_nonce_window, venue_expires } => {
            let (ip_allowlist, nonce_window, expires_at) = (venue_network, venue_nonce_window, venue_expires);
            let venue = KeySettings { ip_allowlist, nonce_window, expires_at, ..KeySettings::default() };
            init(&dir, data, parsed(database)?, venue).await
        }
        Action::Serve { config } => serve(&config).await,
        Action::Schemas { dir } => {
            let failed = |error| format!("{}: {error}", dir.display());
            std::fs::create_dir_all(&dir).map_err(failed)?;
            for (name, text) in crate::wire::published() {
                std::fs::write(dir.join(name), text).map_err(failed)?;
            }
            Ok(())
        }
        Action::Verify { data, config, head } => {
            let (storage, data) = match (data, config) {
                (_, Some(file)) => {
                    let config = Config::load(&file)?;
                    (server::storage(&config)?, config.data_dir)
                }
                (data, None) => {
                    let data = data.unwrap_or_default();
                    (Storage::Sqlite(data.clone()), data)
                }
            };
            report(&storage, &Snapshots::under(&data), head.as_deref()).await
        }
    }
}

/// An expiry in the past would leave the venue without any key.
fn end_to_come(text: &str) -> Result<Moment, &'static str> {
    let end = Moment::parse(text).ok_or("give an RFC 3339 time such as 2030-01-01T00:00:00Z")?;
    if end > server::wall_clock() { Ok(end) } else { Err("give a time to come") }
}

/// Not parsed by clap, which would print an invalid URL with its password.
fn parsed(database: Option<String>) -> Result<Option<DatabaseUrl>, Failure> {
    let parse = |url: String| {
        DatabaseUrl::parse(&url).ok_or_else(|| "--database: not a URL such as postgres://user@host/name".into())
    };
    database.map(parse).transpose()
}

/// Refuses to touch what exists: a second `init` would otherwise orphan every secret sealed under the first key.
async fn init(
    dir: &Path,
    data: Option<PathBuf>,
    database: Option<DatabaseUrl>,
    venue: KeySettings,
) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (settings, key_file) = (dir.join("countersign.toml"), dir.join("master.key"));
    if let Some(there) = [&settings, &key_file].into_iter().find(|file| file.exists()) {
        return Err(format!("{} exists already; nothing was changed: give another --dir", there.display()).into());
    }
    let chosen = data.map(std::path::absolute).transpose()?;
    let data = chosen.clone().unwrap_or_else(|| dir.join("data"));
    let given = MasterKey::given()?;
    if given.is_none() {
        refuse_inside(&key_file, &data)?;
    }
    let mut config = Config::default();
    (config.data_dir, config.database) = (data.clone(), database);
    let storage = server::storage(&config)?;
    let (journal, reader) = (storage.journal().await?, storage.reader().await?);
    let recovered = Recovered::of(journal, &reader, &Snapshots::under(&data)).await?;
    if recovered.state().seq.0 > 0 {
        let place = config.database.as_ref().map_or(data.display().to_string(), ToString::to_string);
        let advice = "give another --data or --database, or go on with it by `serve`";
        return Err(format!("{place} holds a journal already; nothing was changed: {advice}").into());
    }
    let text = config::commented(chosen.as_deref(), config.database.as_ref());
    write_private(&settings, text.as_bytes()).map_err(|error| format!("{}: {error}", settings.display()))?;
    let mut unfinished = Unfinished(vec![&settings]);
    let (master, kept) = match given {
        Some(master) => (master, format!("from {MASTER_KEY_VARIABLE}")),
        None => {
            let master = MasterKey::generate(&key_file)?;
            unfinished.0.push(&key_file);
            (master, format!("{} (keep a copy apart from the data)", key_file.display()))
        }
    };
    let credentials = ApiCredentials::generate();
    let key = venue_key(&credentials, &master, venue);
    let text = format!(
        "settings    {}\nmaster key  {kept}\ndata        {}\nvenue key   {}\nsecret      {} (shown this once)\n",
        settings.display(),
        data.display(),
        credentials.api_key,
        secret_text(&credentials.secret).as_str()
    );
    // If nobody sees the secret of this key, nobody can ever use it, and a journal entry cannot be undone.
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("the secret cannot be shown: {error}"))?;
    let (mut sequencer, handle) = recovered.open(server::wall_clock, 1, Tiers::default(), Nobody);
    let begun = sequencer.start(Some(Command::Genesis(vec![Event::VenueKeyChanged(key)]))).await;
    begun.map_err(|error| format!("{error}; what is shown above was taken away again"))?;
    unfinished.0.clear();
    drop(handle);
    if let Err(error) = sequencer.run(std::future::pending()).await.close().await {
        tracing::warn!(%error, "the journal was not closed in order; its first entry is stored");
    }
    Ok(())
}

/// The key of the journal's first entry.
fn venue_key(credentials: &ApiCredentials, master: &MasterKey, settings: KeySettings) -> VenueKey {
    VenueKey {
        id: VenueKeyId(1),
        name: "first venue key".to_owned(),
        api_key: credentials.api_key.clone(),
        secret_sealed: master.seal(credentials.api_key.as_bytes(), &credentials.secret),
        credential: 1,
        settings,
        expired: false,
    }
}

/// Files of an unfinished `init`; they are removed with it, so that it can be repeated.
struct Unfinished<'a>(Vec<&'a Path>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        for file in &self.0 {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::warn!(%error, "{} is left behind: remove it", file.display());
            }
        }
    }
}

async fn serve(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    telemetry::start(config.log.format, Level::INFO)?;
    let master = MasterKey::load(config.master_key_file.as_deref(), &config.data_dir)?;
    let scheme = config.scheme();
    let mut server = Server::start(Plan { config, master, genesis: None }).await?;
    // Installed before the line is printed: whoever reads that the server listens may signal it at once.
    let reported = signal()?;
    // A failure to print does not stop the server.
    let _ = writeln!(std::io::stdout(), "listening on {scheme}://{}", server.address());
    // Until a signal, or until the journal fails; it stops in order either way.
    tokio::select! {
        // What the server reports is printed once the sockets are closed.
        _ = server.failed() => {}
        () = reported => {}
    }
    Ok(server.stop().await?)
}

/// Completes on SIGTERM or Ctrl-C.
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn report(storage: &Storage, snapshots: &Snapshots, head: Option<&Path>) -> Result<(), Failure> {
    storage.check_log()?;
    let reader = storage.reader().await?;
    let verified = verify(&reader, snapshots).await?;
    if verified.seq == 0 && head.is_none() {
        return Err(JournalError::Empty.into());
    }
    let mut output = std::io::stdout();
    writeln!(output, "events      {}", verified.seq)?;
    writeln!(output, "chain       {}", hex::encode(verified.chain))?;
    writeln!(output, "state       {}", hex::encode(verified.state))?;
    writeln!(output, "snapshots   {} agree with the replay", verified.snapshots)?;
    let Some(file) = head else {
        writeln!(output, "sound; without a head file, a cut tail cannot be detected")?;
        return Ok(());
    };
    let head = read_head(file)?.ok_or_else(|| format!("--head: there is no {}", file.display()))?;
    let there = reader.chain_before(head.seq + 1).await?;
    if there != Some(head.chain) {
        let seq = head.seq;
        let why = format!("the journal does not hold what it held at sequence {seq}: it was cut, changed or exchanged");
        return Err(why.into());
    }
    writeln!(output, "sound, and holds everything up to the head at sequence {}", head.seq)?;
    Ok(())
}

/// The release step of `init`, which answers nobody.
struct Nobody;

impl Release for Nobody {
    type Ticket = ();

    fn release(&mut self, _batch: Released<()>) {}

    fn failed(&mut self, _tickets: Vec<()>) {}

    fn accepting(&mut self, _accepts: bool) {}
}
