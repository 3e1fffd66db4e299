//! Clients that others have written, or will write from our examples, against the built server.
#![allow(clippy::unwrap_used)]

mod examples;
mod published;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use countersign::access::operation::{Operation, ServiceRight};
use support::demo::Demo;
use support::{demo, served};

/// A program that is not part of the repository; if it is missing, the test fails and says what to do.
fn installed(path: &str) -> &Path {
    let path = Path::new(path);
    assert!(path.exists(), "{} is not there: run scripts/test, which installs it", path.display());
    path
}

/// Runs to the end, which must be successful; returns the output.
fn finish(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run scripts/test"));
    let (out, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{command:?}:\n{out}\n{error}");
    out.into_owned()
}

/// Runs a script on the stock python-kraken-sdk, unmodified, against a demo of its own.
fn stock_client(script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    stock_client_of(&Demo::start(dir.path(), None), script)
}

/// The same against an existing demo.
fn stock_client_of(demo: &Demo, script: &str) -> String {
    let socket = demo.text("/ws");
    let [key, secret] = demo.treasury_bot();
    let python = installed(".venv/bin/python");
    finish(Command::new(python).arg(script).args([&demo.text("/http"), socket.trim_end_matches("/v2"), &key, &secret]))
}

#[test]
fn the_spot_client_subscribes_trades_and_cancels() {
    stock_client("tests/clients/spot_client.py");
}

/// Every new operation must appear in one of the scripts.
#[test]
fn the_spot_client_finds_every_method_and_channel() {
    let told = stock_client("tests/clients/every_method.py") + &stock_client("tests/clients/extensions.py");
    let used: BTreeSet<&str> = told.lines().filter_map(|line| line.strip_prefix("used ")).collect();
    let rows = Operation::ALL.iter().map(|operation| operation.row());
    let open: BTreeSet<&str> = rows.filter(|row| row.service_user != ServiceRight::No).map(|row| row.name).collect();
    assert_eq!(used, open);
}

#[test]
fn the_order_book_client_finds_every_checksum_right() {
    stock_client("tests/clients/order_book_client.py");
}
