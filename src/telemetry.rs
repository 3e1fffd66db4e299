//! Logs: structured lines on standard error, chosen by `RUST_LOG`, `info` by default.

use tracing_subscriber::EnvFilter;

/// Starts logging; called once, by the program.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
