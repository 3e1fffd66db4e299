//! The engine alone: what a command of the mix costs, depending on how many orders rest.

use std::hint::black_box;

use countersign::engine::Engine;

use crate::mix::{Mix, Step, genesis};
use crate::{ROUNDS, median, thread_time};

/// Resting orders, the fewest first, and whether orders have a client id. An account may have a million open orders,
/// and the mix exceeds its initial number a little.
const BOOKS: [(usize, bool); 6] =
    [(1_000, false), (10_000, false), (100_000, false), (990_000, false), (1_000, true), (100_000, true)];
/// Commands of the mix that come before the timed ones, so that memory is used as in an engine that has run for long.
const WARM_UP: usize = 300_000;
/// Commands that are timed.
const TIMED: usize = 300_000;
/// Commands submitted together, as by a session with this many in flight.
const DRAIN: usize = 16;

/// Prints nanoseconds a command, commands a second and the ratio to the smallest book.
pub fn print() {
    let mut taken = [[0.0; ROUNDS]; BOOKS.len()];
    for round in 0..ROUNDS {
        for (taken, (resting, named)) in taken.iter_mut().zip(BOOKS) {
            taken[round] = measure(resting, named);
        }
    }
    println!("{:>10} {:>12} {:>12} {:>12} {:>8}", "resting", "client ids", "ns/command", "commands/s", "ratio");
    for (rounds, (resting, named)) in taken.iter().zip(BOOKS) {
        let ns = median(*rounds);
        let ratio = median(std::array::from_fn(|round| rounds[round] / taken[0][round]));
        let named = if named { "yes" } else { "no" };
        println!("{resting:>10} {named:>12} {ns:>12.0} {:>12.0} {ratio:>8.2}", 1e9 / ns);
    }
}

/// Nanoseconds of a command, events handed over and dropped.
fn measure(resting: usize, named: bool) -> f64 {
    let mut mix = Mix::new(resting, named);
    let mut steps = vec![genesis()];
    while !mix.is_full() {
        steps.push(mix.step());
    }
    steps.extend((0..WARM_UP + TIMED).map(|_| mix.step()));
    drop(mix);
    // An engine that runs the same commands and shares no memory with the one that generated them.
    let mut engine = Engine::default();
    let (before, timed) = steps.split_at(steps.len() - TIMED);
    run(&mut engine, before);
    let began = thread_time();
    run(&mut engine, timed);
    (thread_time() - began).as_nanos() as f64 / TIMED as f64
}

fn run(engine: &mut Engine, steps: &[Step]) {
    for drain in steps.chunks(DRAIN) {
        engine.prefetch(drain.iter().map(|step| (step.by.actor, &step.command)));
        for Step { at, by, command } in drain {
            black_box(engine.handle(*at, by, command)).expect("it was taken before");
            engine.take_events().for_each(drop);
        }
    }
}
