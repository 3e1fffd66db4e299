//! No unfinished work in the tree, and no test that is switched off or sleeps.

use crate::assert_none;
use crate::source::files;

/// Put together at build time, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimpl", "emented!"),
    concat!("#[ign", "ore"),
];

/// A blocked thread, or a database that is told to wait, makes a test slow when it passes and flaky when it fails.
const SLEEPS: &[&str] = &[concat!("thread::sl", "eep("), concat!("pg_sl", "eep(")];

/// In a suite of its own, where time is real.
const WAITS: &[&str] = &[concat!("time::sl", "eep"), concat!("sl", "eep_until(")];

#[test]
fn nothing_is_left_unfinished() {
    let mut sources = files(&["src", "tests", "load-tests", "benches"], &["rs", "py", "js", "html", "css", "sql"]);
    // Scripts have no ending.
    sources.extend(files(&["scripts"], &[""]));
    let found = sources.iter().flat_map(|source| marked(&source.path, &source.text, UNFINISHED));
    assert_none("finish it or leave it out:", &found.collect::<Vec<_>>());
}

#[test]
fn tests_wait_for_what_they_test() {
    let sources = files(&["src", "tests", "load-tests/tests"], &[".rs"]);
    let found = sources.iter().flat_map(|source| marked(&source.path, &source.text, SLEEPS));
    assert_none("wait for a message or use paused time:", &found.collect::<Vec<_>>());
    let suites = files(&["tests", "load-tests/tests"], &[".rs"]);
    let found = suites.iter().flat_map(|source| marked(&source.path, &source.text, WAITS));
    assert_none("wait for a message:", &found.collect::<Vec<_>>());
}

fn marked(path: &str, text: &str, markers: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| markers.iter().any(|marker| line.contains(marker)));
    found.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_marker_is_found() {
        for marker in UNFINISHED {
            assert_eq!(marked("a.rs", &format!("fine\n    // {marker} later"), UNFINISHED).len(), 1, "{marker}");
        }
        assert_eq!(marked("a.rs", "/// Ignores what was already applied.", UNFINISHED).len(), 0);
    }
}
