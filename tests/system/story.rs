//! The demo's story, by the built program.

use std::process::Command;

use countersign::gateway::credentials::decode_secret;
use countersign::server::wall_clock;
use serde_json::json;

use super::demo::Demo;
use super::settings::token_of;

#[test]
fn the_story_is_as_told() {
    let demo = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["demo", "--port", "0", "--once"])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let told = String::from_utf8(demo.stdout).unwrap();
    let logged = String::from_utf8(demo.stderr).unwrap();
    assert!(demo.status.success(), "{told}\n{logged}");
    assert!(!logged.contains(" INFO "), "only warnings stand between its lines:\n{logged}");
    for step in [
        "signs the handshake and is in, with 10 scopes",
        "is filled: 0.1",
        "stakes 32 ETH",
        "asks to withdraw 0.5 BTC to cold-1",
        "Alice  sees it arrive",
        "Bob  sees it arrive: withdraw 0.5 BTC to cold-1 (bc1q0demo0",
        "is refused: EGeneral:Permission denied",
        "Bob  approves it",
        "Custody  pays",
        "sees it settled",
        "every step went as expected",
    ] {
        assert!(told.contains(step), "{step} is missing in\n{told}");
    }
}

/// Stock clients count nonces in milliseconds (ccxt) or in smaller units.
#[tokio::test]
async fn a_key_of_the_story_takes_nonces_in_milliseconds_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let address = demo.text("/http").trim_start_matches("http://").parse().unwrap();
    let [key, secret] = demo.treasury_bot();
    let now_ms = wall_clock().0 / 1_000;
    let answer = token_of(address, (&key, &decode_secret(&secret).unwrap()), &now_ms.to_string()).await;
    assert_eq!(answer["error"], json!([]));
}
