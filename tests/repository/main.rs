//! The rules of the source tree, checked by `cargo test` so that review need not.
//!
//! Every check reads files, collects findings and fails with all of them. Every scanner has a test
//! with a bad sample beside it: a check that cannot fail checks nothing.

mod checklist;
mod corpora;
mod crates;
mod documents;
mod files;
mod guide;
mod imports;
mod links;
mod markers;
mod metrics;
mod migrations;
mod operations;
mod purity;
mod rules;
mod schemas;
mod source;
mod tokens;

/// Fails with every finding on a line of its own, so that one run shows everything to fix.
#[track_caller]
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}\n", findings.join("\n  "));
}
