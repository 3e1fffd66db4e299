//! The demo's story, by the built program.

use std::process::Command;

#[test]
fn the_story_is_as_told() {
    let demo =
        Command::new(env!("CARGO_BIN_EXE_countersign")).args(["demo", "--port", "0", "--once"]).output().unwrap();
    let told = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{told}\n{}", String::from_utf8_lossy(&demo.stderr));
    for step in [
        "signs the handshake and is in, with 10 scopes",
        "is filled: 0.1",
        "stakes 32 ETH",
        "asks to withdraw 0.5 BTC to cold-1",
        "Alice  sees it arrive",
        "Bob  sees it arrive",
        "is refused: EGeneral:Permission denied",
        "Bob  approves it",
        "Custody  pays",
        "sees it settled",
        "every step went as expected",
    ] {
        assert!(told.contains(step), "{step} is missing in\n{told}");
    }
}
