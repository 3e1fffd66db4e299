//! The example bots do what they say, one after the other on the key that the demo prints.

use std::path::Path;
use std::process::Command;

use super::demo::Demo;
use super::{finish, installed, stock_client_of};

/// Runs a bot that signs its upgrade: address, key and secret are its arguments.
fn signed(demo: &Demo, program: &mut Command) {
    let told = finish(program.arg(demo.text("/ws")).args(demo.treasury_bot()));
    assert!(told.contains("one order for sure"), "{told}");
}

/// In the order in which the guide names them: the stock SDK's nonces are the lowest.
#[test]
fn the_bots_of_the_guide_run_one_after_the_other_on_one_key() {
    let folder = "examples/typescript";
    let compiler = installed("examples/typescript/node_modules/typescript/bin/tsc");
    finish(Command::new("node").arg(compiler).args(["--project", folder]));
    // Cargo names no path for an example; it lies beside the folder of this test's own program.
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("quoting_bot");
    assert!(program.exists(), "run `cargo build --example quoting_bot`, as `cargo test` does by itself");

    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let told = stock_client_of(&demo, "examples/python/quoting_bot.py");
    assert!(told.contains("one order for sure"), "{told}");
    signed(&demo, Command::new("node").arg(Path::new(folder).join("built/quoting_bot.js")));
    signed(&demo, &mut Command::new(program));
}
