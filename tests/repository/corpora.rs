//! The fuzz targets understand what they start from, and every file of their corpora passes.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, unused_imports, clippy::unwrap_used, reason = "the targets are a crate of their own")]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;

use countersign::access::operation::{Kind, Operation};
use targets::seeds::seeds;

const TARGETS: [&str; 5] = ["frame_dispatch_inbound", "handshake", "journal", "rest", "session"];

/// Puts an input through a target; whether it was understood.
fn run(target: &str, bytes: &[u8]) -> bool {
    match target {
        "frame_dispatch_inbound" => !targets::frame_dispatch_inbound(bytes).is_empty(),
        "handshake" => targets::handshake(bytes) != Default::default(),
        "journal" => targets::journal(bytes),
        "rest" => targets::rest(bytes) != Default::default(),
        "session" => !targets::session(bytes).is_empty(),
        other => panic!("no target {other}"),
    }
}

#[test]
fn what_fuzzing_starts_from_is_understood() {
    let named = |target: &'static str| seeds(target).into_iter().map(move |(name, bytes)| (target, name, bytes));
    let strange = TARGETS.into_iter().flat_map(named).filter(|(target, _, bytes)| !run(target, bytes));
    let strange: Vec<String> = strange.map(|(target, name, _)| format!("{target}: {name}")).collect();
    crate::assert_none("a seed that is not understood:", &strange);
    let operations: BTreeSet<Operation> =
        seeds("frame_dispatch_inbound").iter().flat_map(|(_, bytes)| targets::frame_dispatch_inbound(bytes)).collect();
    let missing: Vec<Operation> = Operation::ALL.into_iter().filter(|of| !operations.contains(of)).collect();
    assert_eq!(missing, [], "a message for it belongs in fuzz/src/messages.txt");
    let answered: BTreeSet<String> = seeds("session").iter().flat_map(|(_, bytes)| targets::session(bytes)).collect();
    // These two are answered as `pong` and as `add_order`.
    let renamed = [Operation::Ping, Operation::SettlePosition];
    let asks = |of: &Operation| of.row().kind != Kind::Stream && !renamed.contains(of);
    let missing = Operation::ALL.into_iter().filter(|of| asks(of) && !answered.contains(of.name()));
    assert_eq!(missing.collect::<Vec<_>>(), [], "the server answers it");
}

/// `WRITE_CORPORA=1` writes the seeds there first; what fuzzing found stays.
#[test]
fn every_file_of_the_corpora_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in TARGETS {
        let corpus = corpora.join(target);
        if std::env::var_os("WRITE_CORPORA").is_some() {
            std::fs::create_dir_all(&corpus).unwrap();
            seeds(target).iter().for_each(|(name, bytes)| std::fs::write(corpus.join(name), bytes).unwrap());
        }
        let files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4, "{} holds next to nothing", corpus.display());
        for file in files {
            println!("{}", file.display());
            let name = file.file_name().unwrap().to_str().unwrap();
            let understood = run(target, &std::fs::read(&file).unwrap());
            // What fuzzing found need only pass; what it started from is understood, as it was written then.
            assert!(understood || !seeds(target).iter().any(|(seed, _)| seed == name), "{} is not", file.display());
        }
    }
}
