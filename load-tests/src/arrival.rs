//! When requests are sent: as replies arrive (closed), or by a clock that ignores replies (open).
//!
//! An open loop's latency counts from the moment at which a request was due. So a server that stalls is charged for all
//! that should have been sent in the meantime; measuring from the write would leave out just those (coordinated
//! omission). For the same reason every request due in the window counts, however late it is sent and answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::LoadError;

/// The interval between the marks at which requests fall due; the runtime's own timer only knows whole milliseconds.
pub const TICK: Duration = Duration::from_micros(250);
/// Orders a second that one client can be asked for.
const RATE_MAX: f64 = 5_000_000.0;

/// The way in which requests arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrival {
    /// Each connection has at most this many requests in flight and sends the next when a reply comes.
    Closed {
        /// At least 1.
        in_flight: u16,
    },
    /// This many requests a second over all connections, whatever the replies.
    Open {
        /// Above 0.
        per_second: f64,
    },
}

impl Arrival {
    /// An open loop.
    ///
    /// # Errors
    /// A rate that is not between 0 and five million.
    pub fn open(per_second: f64) -> Result<Self, LoadError> {
        if per_second > 0.0 && per_second <= RATE_MAX {
            Ok(Self::Open { per_second })
        } else {
            Err(LoadError::Setup(format!("a rate of {per_second} orders a second is not between 0 and {RATE_MAX}")))
        }
    }
}

/// The ticks of one connection: which of its requests are due by a tick.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Requests of this connection in one tick, a fraction.
    per_tick: f64,
    /// Spreads the connections over the ticks.
    phase: f64,
}

impl Schedule {
    /// The part of connection `number` of `connections`.
    pub fn new(per_second: f64, number: u16, connections: u16) -> Self {
        let phase = f64::from(number) / f64::from(connections);
        Self { per_tick: per_second * TICK.as_secs_f64() / f64::from(connections), phase }
    }

    /// How many are due up to and including mark `tick`.
    pub fn due(self, tick: u64) -> u64 {
        let due = crate::figures::to_f64(tick) * self.per_tick + self.phase;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests of one run")]
        let due = due as u64;
        due
    }
}

/// What one connection must send by the clock: request after request, each with the moment at which it is due.
#[derive(Debug)]
pub struct Arrivals {
    schedule: Schedule,
    start: Instant,
    mark: u64,
    /// The last tick before the end; nothing is due after it.
    last: u64,
    taken: u64,
}

impl Arrivals {
    /// From `start` up to `end`.
    pub fn new(schedule: Schedule, start: Instant, end: Instant) -> Self {
        let marks = end.saturating_duration_since(start).as_nanos().saturating_sub(1) / TICK.as_nanos();
        let last = u64::try_from(marks).unwrap_or(u64::MAX);
        Self { schedule, start, mark: 0, last, taken: schedule.due(0) }
    }

    /// When the next request was due, if that is by tick `passed`. Tick by tick, so that the moment is right even after
    /// a stall of this client.
    pub fn take(&mut self, passed: u64) -> Option<Instant> {
        while self.taken >= self.schedule.due(self.mark) {
            if self.mark >= passed.min(self.last) {
                return None;
            }
            self.mark += 1;
        }
        self.taken += 1;
        Some(self.start + TICK * u32::try_from(self.mark).unwrap_or(u32::MAX))
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.taken >= self.schedule.due(self.last)
    }
}

/// A thread that publishes the number of ticks since the start, every [`TICK`].
#[derive(Debug)]
pub struct Pacer {
    marks: watch::Receiver<u64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    /// Starts counting at `start`.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(start: Instant) -> Result<Self, LoadError> {
        let (tell, marks) = watch::channel(0);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("pacer".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let passed = start.elapsed().as_nanos() / TICK.as_nanos();
                let next = TICK * u32::try_from(passed + 1).unwrap_or(u32::MAX);
                tell.send_replace(u64::try_from(passed).unwrap_or(u64::MAX));
                std::thread::sleep(next.saturating_sub(start.elapsed()));
            }
        });
        Ok(Self { marks, stop, thread: Some(thread.map_err(LoadError::io("start a thread"))?) })
    }

    /// A receiver for the number of marks passed.
    pub fn marks(&self) -> watch::Receiver<u64> {
        self.marks.clone()
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It wakes within a tick and cannot panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_keep_the_rate() {
        for (rate, connections) in [(40_000.0, 64), (3.0, 7), (1_000_000.0, 3)] {
            let schedules: Vec<Schedule> =
                (0..connections).map(|number| Schedule::new(rate, number, connections)).collect();
            let marks = 10 * 4_000;
            let due: u64 = schedules.iter().map(|schedule| schedule.due(marks) - schedule.due(0)).sum();
            let wanted = rate * 10.0;
            assert!((crate::figures::to_f64(due) - wanted).abs() <= f64::from(connections), "{due} of {wanted}");
        }
    }

    #[test]
    fn each_request_is_due_at_its_own_mark_and_none_at_the_end_or_after_it() {
        let start = Instant::now();
        // One every second mark, the first at mark 2.
        let schedule = Schedule::new(2_000.0, 0, 1);
        let mut arrivals = Arrivals::new(schedule, start, start + 6 * TICK);
        assert_eq!(arrivals.take(1), None);
        assert_eq!(arrivals.take(2), Some(start + 2 * TICK));
        assert_eq!(arrivals.take(3), None);
        assert!(!arrivals.is_over());
        assert_eq!(arrivals.take(u64::MAX), Some(start + 4 * TICK), "late, and due when it was due");
        assert!(arrivals.is_over());
        assert_eq!(arrivals.take(u64::MAX), None);
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Arrival::open(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn marks_pass_with_the_clock_and_end_with_the_pacer() {
        let start = Instant::now();
        let pacer = Pacer::start(start).unwrap();
        let mut marks = pacer.marks();
        let seen = *marks.wait_for(|passed| *passed >= 20).await.unwrap();
        let passed = start.elapsed();
        assert!(passed >= 20 * TICK && u128::from(seen) <= passed.as_nanos() / TICK.as_nanos());
        drop(pacer);
        assert!(marks.wait_for(|passed| *passed == u64::MAX).await.is_err());
    }
}
