//! What the operator sees from outside: log lines on standard error, selected by `RUST_LOG`, and the histograms behind
//! `/metrics`.

pub mod histogram;

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// The WebSocket library. Below `info` it logs each frame, and with it the secrets that are shown once.
const FRAMES: &str = "tungstenite";

/// The format of lines, once logging has started.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Says why the process ends: as a line of the log if that is JSON, else as plain text for the caller.
pub fn ended(error: &dyn Display) {
    match FORMAT.get() {
        Some(LogFormat::Json) => tracing::error!(%error, "the process ends"),
        // If nobody can read it, the exit code is enough.
        _ => drop(writeln!(std::io::stderr(), "countersign: {error}")),
    }
}

/// Starts logging, at `level` unless `RUST_LOG` says otherwise; called once, by the program.
///
/// # Errors
/// When `RUST_LOG` is wrong: like a misspelt setting, it must not silently mean the default.
pub fn start(format: LogFormat, level: Level) -> Result<(), String> {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let advice = "give a level such as debug, or one for a module: info,countersign::storage=debug";
    let wrong = || format!("{}={given:?}: {advice}", EnvFilter::DEFAULT_ENV);
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::from_level(level).into()).from_env();
    let filter = filter.map_err(|_| wrong())?;
    if !given.split(',').all(names_level) {
        return Err(wrong());
    }
    FORMAT.get_or_init(|| format);
    // In addition to `RUST_LOG`, not within it: there naming a module of the library would override it.
    let no_frames = filter_fn(|reported| *reported.level() <= Level::INFO || !reported.target().starts_with(FRAMES));
    // Colours are for a terminal: in a file they would separate a name from its value.
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let log = tracing_subscriber::registry().with(filter).with(no_frames);
    match format {
        LogFormat::Text => log.with(lines).init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true)).init(),
    }
    Ok(())
}

/// Whether a part of a filter is empty or ends with a level. A single word would be taken for a module, so a misspelt
/// level would silence everything else; an empty level would mean `error`.
fn names_level(part: &str) -> bool {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    part.is_empty() || !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}
