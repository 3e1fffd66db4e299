//! A run without a server to measure: errors are reported before anything is measured or written.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::path::Path;

use serde_json::json;

#[test]
fn a_server_or_a_process_that_is_not_there_is_told_before_anything_is_measured() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unreachable");
    std::fs::create_dir_all(&directory).unwrap();
    let keys = directory.join("keys.json");
    let bot = json!({"name": "Bot", "api_key": "k", "api_secret": "cw=="});
    std::fs::write(&keys, json!({"ws": "ws://127.0.0.1:1/v2", "service_users": [bot]}).to_string()).unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/compare.toml");
    for (more, reported) in
        [(&[][..], "connect to 127.0.0.1:1: "), (&["--process", "4294967295"], "read /proc/4294967295/status: ")]
    {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_load-tests"));
        command.arg("run").arg(&scenario).arg("--keys").arg(&keys).arg("--directory").arg(&directory);
        command.args(["--set", "keys=1", "--set", "seconds=0.1", "--set", "rounds=1"]).args(more);
        let output = command.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains(reported), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}

/// Why a run without a server failed.
fn fails_without_server(more: &[&str]) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/order-mix.toml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_load-tests"));
    let output = command.arg("run").arg(scenario).arg("--directory").arg(directory).args(more).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_that_measures_nothing_fails() {
    let reported = fails_without_server(&[]);
    assert!(reported.contains("nothing was measured"), "{reported}");
}

#[test]
fn a_result_that_could_not_be_kept_is_found_out_before_the_run() {
    for option in ["--save", "--html"] {
        let reported = fails_without_server(&[option, "/no/such/directory/result"]);
        assert!(reported.contains("write /no/such/directory/result") && !reported.contains("measured"), "{reported}");
    }
}

#[test]
fn a_run_that_ends_before_it_begins_leaves_no_empty_result() {
    let result = Path::new(env!("CARGO_TARGET_TMPDIR")).join("never-began.json");
    let reported = fails_without_server(&["--save", result.to_str().unwrap(), "--server", "/no/such/server"]);
    assert!(reported.contains("start /no/such/server") && !result.exists(), "{reported}");
    std::fs::write(&result, "an earlier run").unwrap();
    fails_without_server(&["--save", result.to_str().unwrap(), "--server", "/no/such/server"]);
    assert_eq!(std::fs::read_to_string(&result).unwrap(), "an earlier run");
    std::fs::remove_file(&result).unwrap();
}
