//! The fuzz targets understand their seeds, and every file of their corpora passes.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, unused_imports, clippy::unwrap_used, reason = "the targets are a crate of their own")]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;

use countersign::access::operation::{Kind, Operation};
use targets::seeds::seeds;

const TARGETS: [&str; 5] = ["frame_dispatch_inbound", "handshake", "journal", "rest", "session"];

/// Operations that succeed in no conversation, or not under these names.
const NEVER_DONE: [Operation; 14] = [
    // Answered as `pong` and as `add_order`.
    Operation::Ping,
    Operation::SettlePosition,
    // They read history, which comes from disk and is never ready in time there.
    Operation::QueryOrders,
    Operation::ClosedOrders,
    Operation::TradesHistory,
    Operation::Ledgers,
    Operation::QueryLedgers,
    Operation::DepositStatus,
    Operation::WithdrawStatus,
    Operation::AuditLog,
    // The small world has nothing for them: no request of a Member, no key to claim, nothing released to custody.
    Operation::CancelRequest,
    Operation::ClaimSecret,
    Operation::SettleWithdrawal,
    Operation::FailWithdrawal,
];

/// Runs an input through a target; returns whether it was understood.
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
    // Each message by itself, and then one after the other.
    let talks = ["frame_dispatch_inbound", "session"].into_iter().flat_map(seeds);
    let done: BTreeSet<String> = talks.flat_map(|(_, bytes)| targets::session(&bytes)).collect();
    let asks = |of: &Operation| of.row().kind != Kind::Stream && !NEVER_DONE.contains(of);
    let missing = Operation::ALL.into_iter().filter(|of| asks(of) && !done.contains(of.name()));
    assert_eq!(
        missing.collect::<Vec<_>>(),
        [],
        "a conversation in which the server does it belongs in fuzz/src/seeds.rs"
    );
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
            // Inputs found by fuzzing need only pass; seeds must be understood as they were when written.
            assert!(understood || !seeds(target).iter().any(|(seed, _)| seed == name), "{} is not", file.display());
        }
    }
}
