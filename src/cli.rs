//! The commands of the program and what they print.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::access::key::KeySettings;
use crate::config::{self, Config};
use crate::domain::ids::VenueKeyId;
use crate::engine::Engine;
use crate::engine::command::Command;
use crate::engine::event::Event;
use crate::engine::service_users::VenueKey;
use crate::gateway::credentials::ApiCredentials;
use crate::gateway::listener::Limits;
use crate::gateway::secrets::MasterKey;
use crate::sequencer::recovery::verify;
use crate::sequencer::{self, Release, Released};
use crate::server::{self, Plan, Server};
use crate::storage::sqlite::JournalReader;
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
    /// Write a commented settings file, the master key and the first venue key.
    Init {
        /// Directory for the settings file; made if it is not there.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Run the server until it is told to stop.
    Serve {
        /// The settings file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Check a journal offline: hash chain, snapshots and replay.
    Verify {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
    },
}

/// What a command may end with; its text is for the person at the terminal.
type Failure = Box<dyn std::error::Error>;

/// Reads the arguments and runs the command they name.
pub async fn run() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    telemetry::start();
    match arguments.command {
        Action::Init { dir } => init(&dir).await,
        Action::Serve { config } => serve(&config).await,
        Action::Verify { data } => report(&data).await,
    }
}

/// Refuses to touch what exists: a second `init` would otherwise orphan every secret sealed under the first key.
async fn init(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    let settings = dir.join("countersign.toml");
    if settings.exists() {
        return Err(format!("{} exists already; nothing was changed", settings.display()).into());
    }
    let key_file = dir.join("master.key");
    let master = MasterKey::generate(&key_file)?;
    let credentials = ApiCredentials::generate();
    let key = VenueKey {
        id: VenueKeyId(1),
        name: "first venue key".to_owned(),
        api_key: credentials.api_key.clone(),
        secret_sealed: master.seal(credentials.api_key.as_bytes(), &credentials.secret),
        credential: 1,
        settings: KeySettings::default(),
    };
    let data = dir.join("data");
    let (mut sequencer, _handle) = sequencer::open(&data, server::wall_clock, |_: &Engine| Nobody).await?;
    sequencer.start(Some(Command::Genesis(vec![Event::VenueKeyCreated(key)]))).await?;
    drop(_handle);
    sequencer.run().await?;
    std::fs::write(&settings, config::commented_default())?;
    println!("settings    {}", settings.display());
    println!("master key  {} (keep a copy apart from the data)", key_file.display());
    println!("data        {}", data.display());
    println!("venue key   {}", credentials.api_key);
    println!("secret      {} (shown this once)", credentials.secret_text().as_str());
    Ok(())
}

async fn serve(file: &Path) -> Result<(), Failure> {
    let Config { listen, data_dir, master_key_file, trusted_proxies, limits, .. } = Config::load(file)?;
    // Without its master key a server could not open a single secret; better told now than at the first sign-in.
    MasterKey::load(master_key_file.as_deref(), &data_dir)?;
    let limits = Limits { max_connections: limits.max_connections, trusted_proxies };
    let mut server = Server::start(Plan { listen, data_dir, limits, genesis: None }).await?;
    println!("listening on http://{}", server.address());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        error = server.failed() => return Err(error.into()),
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(server.stop().await?)
}

async fn report(data: &Path) -> Result<(), Failure> {
    let verified = verify(&JournalReader::open(data).await?).await?;
    println!("events      {}", verified.seq);
    println!("chain       {}", hex::encode(verified.chain));
    println!("state       {}", hex::encode(verified.state));
    println!("snapshots   {} agree with the replay", verified.snapshots);
    println!("sound; whether the tail was cut cannot be told without a head file");
    Ok(())
}

/// `init` answers to nobody.
struct Nobody;

impl Release for Nobody {
    type Ticket = ();

    fn release(&mut self, _batch: Released<()>) {}

    fn failed(&mut self, _tickets: Vec<()>) {}
}
