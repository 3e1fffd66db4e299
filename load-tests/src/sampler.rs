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
pub struct Sample {
    /// Seconds since the first sample.
    pub at_s: f64,
    /// The server's resident memory, where its process is known.
    pub rss_mib: Option<f64>,
    /// Events released but not in the history tables yet, if the server reports it.
    pub history_lag: Option<f64>,
}

/// Samples a server until it is finished.
#[derive(Debug)]
pub struct Sampler {
    stop: tokio::sync::oneshot::Sender<()>,
    samples: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Starts sampling, if the load is long enough.
    pub fn start(target: &Target, window: Duration) -> Option<Self> {
        if window < WINDOW_MIN {
            return None;
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let samples = tokio::spawn(look(target.clone(), (window / LOOKS).max(Duration::from_secs(1)), stopped));
        Some(Self { stop, samples })
    }

    /// The samples, with a last one taken now.
    pub async fn finish(self) -> Vec<Sample> {
        let _ = self.stop.send(());
        self.samples.await.unwrap_or_default()
    }
}

async fn look(target: Target, every: Duration, mut stopped: tokio::sync::oneshot::Receiver<()>) -> Vec<Sample> {
    let (start, mut ticks, mut samples) = (Instant::now(), interval(every), Vec::new());
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
        samples.push(Sample { at_s: start.elapsed().as_secs_f64(), rss_mib, history_lag });
        if last {
            return samples;
        }
    }
}

/// The figures of a series: memory at both ends and at most, the lag at most and at the end.
pub fn figures(samples: &[Sample]) -> Vec<(&'static str, f64)> {
    let most = |values: &[f64]| values.iter().copied().reduce(f64::max);
    let memory: Vec<f64> = samples.iter().filter_map(|sample| sample.rss_mib).collect();
    let lag: Vec<f64> = samples.iter().filter_map(|sample| sample.history_lag).collect();
    let reported = [
        ("RSS MiB at first", memory.first().copied()),
        ("RSS MiB at most", most(&memory)),
        ("RSS MiB at last", memory.last().copied()),
        (LAG_MOST, most(&lag)),
        ("history lag at last, events", lag.last().copied()),
    ];
    reported.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_and_the_most_are_told_and_what_is_not_known_is_left_out() {
        let sample = |at_s, rss_mib| Sample { at_s, rss_mib: Some(rss_mib), history_lag: None };
        let reported = figures(&[sample(0.0, 20.0), sample(1.0, 40.0), sample(2.0, 30.0)]);
        assert_eq!(reported, [("RSS MiB at first", 20.0), ("RSS MiB at most", 40.0), ("RSS MiB at last", 30.0)]);
        assert_eq!(figures(&[]), []);
    }
}
