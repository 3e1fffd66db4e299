//! What the operator sees from outside: log lines on standard error, chosen by `RUST_LOG` (`info` by default), and
//! the histograms behind `/metrics`.

pub mod histogram;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging; called once, by the program.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
