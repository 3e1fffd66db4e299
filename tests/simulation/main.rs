//! Deterministic simulation: the real engine, sequencer, codec and recovery under simulated clients, clock, scheduler
//! and disk, all from one seed (docs/testing.md). Every law of the design is checked on the way.
#![allow(clippy::unwrap_used)]

mod clients;
mod coverage;
mod dice;
mod followers;
#[path = "../support/genesis.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod genesis;
mod golden;
mod governors;
mod history;
mod keys;
mod kinds;
mod known;
mod laws;
mod model;
mod money;
mod operator;
mod policies;
mod readers;
mod run;
mod server;
mod traders;
mod treasury;
mod world;

use std::time::Instant;

use coverage::Coverage;
use run::{Faults, Plan, Report, play};

/// Requests of one run.
const REQUESTS: u64 = 3_000;

fn plan(seed: u64) -> Plan {
    let faults = if seed.is_multiple_of(4) { Faults::Bounded } else { Faults::Any };
    Plan { seed, requests: REQUESTS, faults }
}

#[test]
fn d6_71_d6_72_and_d6_73_laws_hold_and_every_kind_of_request_event_and_rare_path_is_seen() {
    let mut coverage = Coverage::default();
    for seed in 1..=24 {
        coverage.add(&play(plan(seed)).coverage);
    }
    coverage.print();
    assert_eq!(coverage.missed(), [], "no seed saw it");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 4] {
        let once = || play(Plan { requests: 1_000, ..plan(seed) }).trace;
        assert_eq!(once(), once(), "seed {seed}");
    }
    assert_ne!(play(plan(5)).trace, play(plan(6)).trace);
}

/// Any number of seeds: `scripts/simulate [SEEDS [FIRST]]`. By default one new random seed.
#[test]
fn as_many_seeds_as_asked_for() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = asked("SEEDS").unwrap_or(1);
    let first = asked("FIRST_SEED").unwrap_or_else(|| rand::random::<u64>() >> 16);
    println!("seeds {first} and on, {seeds} in all");
    let (start, mut coverage, mut commands, mut events) = (Instant::now(), Coverage::default(), 0, 0);
    let mut answers = [0; 3];
    for done in 1..=seeds {
        let Report { commands: given, answered, survived, lost, events: happened, coverage: hit, .. } =
            play(plan(first + done - 1));
        (commands, events) = (commands + given, events + happened);
        answers = [answers[0] + answered, answers[1] + survived, answers[2] + lost];
        coverage.add(&hit);
        if done % 100 == 0 || done == seeds {
            let [answered, survived, lost] = answers;
            println!(
                "{done} seeds, {commands} commands, {answered} answers, {survived} unanswered took effect, {lost} were \
                 lost, {events} events, {} s",
                start.elapsed().as_secs()
            );
        }
    }
    coverage.print();
}
