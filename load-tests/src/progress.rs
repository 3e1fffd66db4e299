//! Progress bars on a terminal, and nothing elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::output;

const REFRESH: Duration = Duration::from_millis(100);

/// Whether and where progress is shown.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    shown: bool,
}

const STYLE: &str = "{msg:<40} {bar:40} ";

/// A bar that advances by time or by calls, until dropped.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    mover: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shown if standard error is a terminal.
    pub fn on_terminal() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    /// Reports a measurement while the rest still runs.
    pub fn print_line(self, line: &str) {
        if self.shown {
            output::print_line(line);
        }
    }

    /// A bar that takes `length`.
    pub fn start(self, label: &str, length: Duration) -> Bar {
        if !self.shown {
            return Bar { bar: ProgressBar::hidden(), mover: None };
        }
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let bar = drawn(label, milliseconds(length), "{elapsed_precise}");
        let moved = bar.clone();
        let mover = tokio::spawn(async move {
            let (start, mut refresh) = (Instant::now(), interval(REFRESH));
            loop {
                refresh.tick().await;
                moved.set_position(milliseconds(start.elapsed()));
            }
        });
        Bar { bar, mover: Some(mover) }
    }

    /// A bar that counts to `total`.
    pub fn count(self, label: &str, total: u64) -> Bar {
        let bar = if self.shown { drawn(label, total, "{pos}/{len}") } else { ProgressBar::hidden() };
        Bar { bar, mover: None }
    }
}

fn drawn(label: &str, length: u64, end: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{STYLE}{end}")).expect("the template is sound");
    ProgressBar::new(length).with_message(label.to_owned()).with_style(style)
}

impl Bar {
    /// One more.
    pub fn advance(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(mover) = self.mover.take() {
            mover.abort();
        }
        self.bar.finish_and_clear();
    }
}
