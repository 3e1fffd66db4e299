//! The example bots do what they say: each ends well against a demo of its own.

use std::path::Path;
use std::process::Command;

use super::demo::Demo;
use super::{finish, installed, stock_client};

/// Runs a bot that signs its upgrade: address, key and secret are its arguments.
fn signed(program: &mut Command) {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let told = finish(program.arg(demo.text("/ws")).args(demo.treasury_bot()));
    assert!(told.contains("one order for sure"), "{told}");
}

#[test]
fn the_python_bot_runs() {
    stock_client("examples/python/quoting_bot.py");
}

#[test]
fn the_typescript_bot_is_well_typed_and_runs() {
    let folder = "examples/typescript";
    let compiler = installed("examples/typescript/node_modules/typescript/bin/tsc");
    finish(Command::new("node").arg(compiler).args(["--project", folder]));
    signed(Command::new("node").arg(Path::new(folder).join("built/quoting_bot.js")));
}

#[test]
fn the_rust_bot_runs() {
    // Cargo names no path for an example; it lies beside the folder of this test's own program.
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("quoting_bot");
    assert!(program.exists(), "run `cargo build --example quoting_bot`, as `cargo test` does by itself");
    signed(&mut Command::new(program));
}
