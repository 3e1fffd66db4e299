//! How fast the parts of the hot path are alone, and how fast a start is: `cargo bench --bench speed -- engine`,
//! `… -- codec` and `… -- recovery [EVENTS]`. The first two measure processor time, not wall time, so that a busy
//! machine disturbs them less; only ratios within one run are worth comparing.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be taken ends the program")]

#[path = "../../tests/support/genesis.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod genesis;

mod coding;
mod judging;
mod mix;
mod recovery;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds of `engine`, over all its books, and of `codec`; the median counts.
const ROUNDS: usize = 3;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["engine"] => judging::print(),
        ["codec"] => coding::print(),
        ["recovery"] => recovery::print(1_000_000),
        ["recovery", events] => recovery::print(events.parse().expect("a number of events")),
        _ => println!("say what: engine, codec, or recovery [EVENTS]"),
    }
}

/// Processor time that this thread has used.
fn thread_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(used).expect("it is not negative")
}

fn median(mut rounds: [f64; ROUNDS]) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
