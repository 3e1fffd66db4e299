//! The stock python-kraken-sdk, unmodified, against the built program.
#![allow(clippy::unwrap_used)]

#[path = "../support/demo.rs"]
mod demo;

use std::path::Path;
use std::process::Command;

use demo::Demo;

/// Runs a script of this folder against a demo of its own; what it prints is shown when it fails.
fn run(script: &str) {
    let python = Path::new(".venv/bin/python");
    assert!(python.exists(), "the stock client is not installed: run scripts/test, which makes .venv");
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let (http, ws) = (demo.text("/http"), demo.text("/ws"));
    let (key, secret) = (demo.text("/service_users/0/api_key"), demo.text("/service_users/0/api_secret"));
    let ended = Command::new(python)
        .arg(Path::new("tests/clients").join(script))
        .args([&http, ws.trim_end_matches("/v2"), &key, &secret])
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{script}:\n{out}\n{error}");
}

#[test]
fn the_spot_client_subscribes_trades_and_cancels() {
    run("spot_client.py");
}

#[test]
fn the_spot_client_finds_every_method_and_channel() {
    run("every_method.py");
}

#[test]
fn the_order_book_client_finds_every_checksum_right() {
    run("order_book_client.py");
}
