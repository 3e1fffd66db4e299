//! The example bots do what they promise, one after the other, with the key that the demo prints.

use std::path::Path;
use std::process::{Command, Stdio};

use super::demo::Demo;
use super::served::Served;
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
    // Cargo gives no path for an example; it is next to the directory of this test's own program.
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("quoting_bot");
    assert!(program.exists(), "run `cargo build --example quoting_bot`, as `cargo test` does by itself");

    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let told = stock_client_of(&demo, "examples/python/quoting_bot.py");
    assert!(told.contains("one order for sure"), "{told}");
    signed(&demo, Command::new("node").arg(Path::new(folder).join("built/quoting_bot.js")));
    signed(&demo, &mut Command::new(program));
}

/// The messages of the operators' guide, word for word.
#[tokio::test]
async fn an_empty_venue_takes_what_the_guide_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    let made = finish(Command::new(env!("CARGO_BIN_EXE_countersign")).arg("init").arg("--dir").arg(dir.path()));
    let shown = |name: &str| made.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()).unwrap();
    let settings = dir.path().join("countersign.toml");
    let text = std::fs::read_to_string(&settings).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    std::fs::write(&settings, text).unwrap();
    let server = Served::start(&settings, ("off", Stdio::null())).await;

    let guide = std::fs::read_to_string("docs/operations.md").unwrap();
    let messages: Vec<&str> = guide.lines().filter(|line| line.starts_with(r#"{"method""#)).collect();
    let file = dir.path().join("venue.jsonl");
    std::fs::write(&file, messages.join("\n")).unwrap();
    let mut send = Command::new(installed(".venv/bin/python"));
    send.arg("examples/python/send.py")
        .arg(format!("ws://{}/v2", server.address))
        .env("API_KEY", shown("venue key"))
        .env("API_SECRET", shown("secret"));
    let told = finish(send.stdin(std::fs::File::open(&file).unwrap()));
    assert!(messages.len() > 5 && told.lines().count() == messages.len(), "{told}");
    assert!(told.contains("invitation"), "{told}");
    server.kill();
}
