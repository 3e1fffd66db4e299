//! Encoding and decoding events: what an event of the mix costs, and how many bytes it takes.

use std::hint::black_box;

use countersign::sequencer::codec::{self, Entry};

use crate::mix::Mix;
use crate::{ROUNDS, median, thread_time};

/// Orders that rest in the book.
const RESTING: usize = 10_000;
/// Commands whose events are encoded.
const COMMANDS: usize = 300_000;
/// Commands of a row: a group commit under load.
const ROW: usize = 1_000;

/// Prints nanoseconds and bytes an event, without clients' ids and with.
pub fn print() {
    println!("{:>12} {:>12} {:>12} {:>12}", "client ids", "bytes/event", "ns to bytes", "ns back");
    for named in [false, true] {
        let mut mix = Mix::new(RESTING, named);
        while !mix.is_full() {
            mix.step();
        }
        let entries: Vec<Entry> = (0..COMMANDS).map(|_| entry(&mut mix)).collect();
        let events = entries.iter().map(|entry| entry.events.len()).sum::<usize>() as f64;
        let (mut there, mut back, mut bytes) = ([0.0; ROUNDS], [0.0; ROUNDS], 0);
        for round in 0..ROUNDS {
            let began = thread_time();
            let rows: Vec<Vec<u8>> = entries.chunks(ROW).map(encoded).collect();
            let coded = thread_time();
            rows.iter().for_each(|row| drop(black_box(codec::decode(codec::FORMAT, row))));
            there[round] = (coded - began).as_nanos() as f64;
            back[round] = (thread_time() - coded).as_nanos() as f64;
            bytes = rows.iter().map(Vec::len).sum();
        }
        let [bytes, there, back] = [bytes as f64, median(there), median(back)].map(|sum| sum / events);
        println!("{:>12} {bytes:>12.1} {there:>12.0} {back:>12.0}", if named { "yes" } else { "no" });
    }
}

fn entry(mix: &mut Mix) -> Entry {
    let step = mix.step();
    Entry { at: step.at, by: step.by.actor, events: mix.engine.take_events().collect() }
}

fn encoded(entries: &[Entry]) -> Vec<u8> {
    let mut body = Vec::new();
    entries.iter().for_each(|Entry { at, by, events }| codec::encode(&mut body, *at, *by, events));
    body
}
