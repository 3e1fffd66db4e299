//! What a long load does to the server: its memory, and how far its history tables fall behind.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::figures::to_f64;
use crate::machine::resident_kib;
use crate::metrics::history_lag;
use crate::target::Target;

/// Shorter loads are not watched: reading the page costs a little.
const WINDOW_MIN: Duration = Duration::from_secs(30);
/// Samples of one load.
const LOOKS: u32 = 120;
/// The figure of a watched load with the greatest lag of the history tables.
pub const LAG_MOST: &str = "history lag at most, events";

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Seconds since the first sample.
    pub at_s: f64,
    /// The server's resident memory, where its process is known.
    pub rss_mib: Option<f64>,
    /// Events released but not in the history tables yet, if the server reports it.
    pub history_lag: Option<f64>,
}

/// Samples a server until it is finished.
#[derive(Debug)]
pub struct Watch {
    stop: tokio::sync::oneshot::Sender<()>,
    looks: JoinHandle<Vec<Look>>,
}

impl Watch {
    /// Starts sampling, if the load is long enough.
    pub fn start(target: &Target, window: Duration) -> Option<Self> {
        if window < WINDOW_MIN {
            return None;
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let looks = tokio::spawn(look(target.clone(), (window / LOOKS).max(Duration::from_secs(1)), stopped));
        Some(Self { stop, looks })
    }

    /// The samples, with a last one taken now.
    pub async fn finish(self) -> Vec<Look> {
        let _ = self.stop.send(());
        self.looks.await.unwrap_or_default()
    }
}

async fn look(target: Target, every: Duration, mut stopped: tokio::sync::oneshot::Receiver<()>) -> Vec<Look> {
    let (start, mut ticks, mut looks) = (Instant::now(), interval(every), Vec::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let rss_mib = target.process.and_then(|process| resident_kib(process).ok()).map(|kib| to_f64(kib) / 1_024.0);
        let history_lag = match &target.http {
            Some(http) => history_lag(http).await,
            None => None,
        };
        looks.push(Look { at_s: start.elapsed().as_secs_f64(), rss_mib, history_lag });
        if last {
            return looks;
        }
    }
}

/// The figures of a series: memory at both ends and at most, the lag at most and at the end.
pub fn figures(looks: &[Look]) -> Vec<(&'static str, f64)> {
    let most = |values: &[f64]| values.iter().copied().reduce(f64::max);
    let memory: Vec<f64> = looks.iter().filter_map(|look| look.rss_mib).collect();
    let lag: Vec<f64> = looks.iter().filter_map(|look| look.history_lag).collect();
    let told = [
        ("RSS MiB at first", memory.first().copied()),
        ("RSS MiB at most", most(&memory)),
        ("RSS MiB at last", memory.last().copied()),
        (LAG_MOST, most(&lag)),
        ("history lag at last, events", lag.last().copied()),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_and_the_most_are_told_and_what_is_not_known_is_left_out() {
        let look = |at_s, rss_mib| Look { at_s, rss_mib: Some(rss_mib), history_lag: None };
        let told = figures(&[look(0.0, 20.0), look(1.0, 40.0), look(2.0, 30.0)]);
        assert_eq!(told, [("RSS MiB at first", 20.0), ("RSS MiB at most", 40.0), ("RSS MiB at last", 30.0)]);
        assert_eq!(figures(&[]), []);
    }
}
