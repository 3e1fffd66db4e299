//! Two saved runs compared by the program: what it says, and whether it succeeds.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use load_tests::record::{Goal, Measure, Record};

const BINARY: &str = env!("CARGO_BIN_EXE_load-tests");

/// A saved run of the scenario `compare` with this ratio of the throughput to E's.
fn saved(name: &str, value: f64) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("comparison-{name}.json"));
    let mut record = Record::new("compare", "", String::new());
    let (name, goal) = ("2x2 throughput / E".into(), Some(Goal::AtLeast(0.6)));
    record.results.push(Measure { name, value, rounds: 1, disturbed: false, goal });
    std::fs::write(&path, serde_json::to_string(&record).unwrap()).unwrap();
    path
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

#[test]
fn a_result_that_got_worse_is_told_and_fails_where_a_tolerance_is_given() {
    let (before, after) = (saved("before", 0.7), saved("after", 0.5));
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    for (more, succeeds) in [(&[][..], true), (&["--tolerance", "0.3"], true), (&["--tolerance", "0.2"], false)] {
        let output = run(&[&["compare-runs", before, after], more].concat());
        let (reported, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(reported.contains("0.714 worse"), "{reported}");
        assert_eq!(output.status.success(), succeeds, "{more:?}: {wrong}");
        assert_eq!(
            wrong.contains("worse than before: 2x2 throughput / E was 0.700 and is 0.500"),
            !succeeds,
            "{wrong}"
        );
    }
    let better = run(&["compare-runs", after, before, "--tolerance", "0"]);
    assert!(better.status.success() && String::from_utf8_lossy(&better.stdout).contains("1.400 better"), "{better:?}");
}

#[test]
fn a_run_is_held_to_an_earlier_one_and_fails_where_its_result_is_not_there() {
    let before = saved("earlier", 0.7);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comparison");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/compare.toml");
    let output = Command::new(BINARY)
        .args(["run", scenario.to_str().unwrap(), "--directory", directory.to_str().unwrap()])
        .args(["--set", "rounds=1", "--set", "seconds=0.1", "--set", "warm_up=0", "--set", "shapes=[\"2x2\"]"])
        .args(["--before", before.to_str().unwrap(), "--tolerance", "0.5"])
        .output()
        .unwrap();
    // Without a server only the baselines run.
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && wrong.contains("2x2 throughput / E was 0.700 and is not there"), "{wrong}");
}

#[test]
fn where_no_server_is_measured_the_report_says_so() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comparison-alone");
    let short = ["rounds=1", "seconds=0.1", "warm_up=0", "shapes=[\"2x2\"]"].map(|setting| ["--set", setting]).concat();
    let output = run(&[&["compare", "--directory", directory.to_str().unwrap()], &short[..]].concat());
    let reported = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && reported.contains("no server was measured"), "{output:?}");
}

#[test]
fn two_results_of_one_run_do_not_go_to_the_same_file() {
    let short = ["rounds=1", "seconds=0.1", "warm_up=0", "shapes=[\"2x2\"]"].map(|setting| ["--set", setting]).concat();
    let mut command = Command::new(BINARY);
    command.args(["compare", "--save", "both.out", "--html", "./both.out"]).args(short);
    let output = command.current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && wrong.contains("--save and --html name the same file"), "{wrong}");
}

#[test]
fn nothing_is_measured_where_the_earlier_run_to_hold_to_failed() {
    let before = saved("failed", 0.7);
    let failed = Record { failed: Some("refused".into()), ..Record::read(&before).unwrap() };
    std::fs::write(&before, serde_json::to_string(&failed).unwrap()).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comparison-failed");
    let output = run(&[
        &["compare", "--before", before.to_str().unwrap(), "--tolerance", "0.1"][..],
        &["--directory", directory.to_str().unwrap()],
        &["--set", "rounds=1", "--set", "seconds=0.1", "--set", "warm_up=0", "--set", "shapes=[\"2x2\"]"],
    ]
    .concat());
    let (reported, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && wrong.contains("the earlier run failed: refused"), "{wrong}");
    assert_eq!(reported, "");
}

#[test]
fn the_earlier_run_is_not_written_over() {
    let before = saved("kept", 0.7);
    let link = before.with_file_name("comparison-link.json");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(&before, &link).unwrap();
    let kept = std::fs::read_to_string(&before).unwrap();
    for (option, path) in [("--save", &before), ("--save", &link), ("--html", &before)] {
        let output = run(&["compare", "--before", before.to_str().unwrap(), option, path.to_str().unwrap()]);
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && wrong.contains("is the run to compare with, and stays"), "{wrong}");
        assert_eq!(std::fs::read_to_string(&before).unwrap(), kept);
    }
}

/// A full disk.
#[test]
fn a_run_that_cannot_be_saved_leaves_the_one_before() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comparison-full");
    std::fs::create_dir_all(&directory).unwrap();
    let (kept, scenario) = (directory.join("kept.json"), format!("{}/scenarios", env!("CARGO_MANIFEST_DIR")));
    std::fs::write(&kept, "an earlier run").unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", BINARY, "run"])
        .args([&format!("{scenario}/orders.toml"), "--directory", directory.to_str().unwrap()])
        .args(["--save", kept.to_str().unwrap()])
        .output()
        .unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && wrong.contains(&format!("write {}: File too large", kept.display())),
        "{wrong}"
    );
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "an earlier run");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "half of it is there");
}

#[test]
fn a_goal_that_is_missed_fails_the_program_and_leaves_a_run_that_others_are_held_to() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("goals");
    let saved = directory.join("missed.json");
    std::fs::create_dir_all(&directory).unwrap();
    let output = Command::new(BINARY)
        .args(["compare", "--require-goals", "--set", "goals.2x2 throughput D / E={ at_least = 1000.0 }"])
        .args(["--set", "rounds=1", "--set", "seconds=0.1", "--set", "warm_up=0", "--set", "shapes=[\"2x2\"]"])
        .args(["--directory", directory.to_str().unwrap(), "--save", saved.to_str().unwrap()])
        .output()
        .unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && wrong.contains("2x2 throughput D / E is"), "{wrong}");
    assert_eq!(Record::read(&saved).unwrap().failed, None);
}

#[test]
fn a_throughput_that_was_asked_for_is_no_result() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asked-for");
    let output = Command::new(BINARY)
        .args([
            "compare",
            "--require-goals",
            "--set",
            "goals.2x2 throughput D / E={ at_least = 0.0 }",
            "--set",
            "rate=2000.0",
        ])
        .args([
            "--set",
            "rounds=1",
            "--set",
            "seconds=0.2",
            "--set",
            "warm_up=0",
            "--set",
            "shapes=[\"2x2\"]",
            "--json",
        ])
        .args(["--directory", directory.to_str().unwrap()])
        .output()
        .unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && wrong.contains("there is no result \"2x2 throughput D / E\""), "{wrong}");
    let record: Record = serde_json::from_slice(&output.stdout).unwrap();
    let results: Vec<&str> = record.results.iter().map(|result| result.name.as_str()).collect();
    assert_eq!(results, ["2x2 extra p50 over E in syncs, D"], "what is about latency stays");
}

#[test]
fn a_tolerance_is_a_share_and_of_something_to_compare_with() {
    let before = saved("alone", 0.7);
    let before = before.to_str().unwrap();
    for (arguments, named) in [
        (&["compare-runs", before, before, "--tolerance", "10"][..], "it is a share"),
        (&["compare", "--tolerance", "0.1"], "--before"),
    ] {
        let output = run(arguments);
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && reported.contains(named), "{reported}");
    }
}
