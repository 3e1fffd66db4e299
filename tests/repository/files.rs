//! Sizes, headers and names of source files.

use std::path::Path;

use crate::assert_none;
use crate::source::{Source, files};

const LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "types", "misc"];

#[test]
fn files_stay_short() {
    let sources = files(&["src", "tests", "load-tests", "examples", "benches"], &[".rs", ".js", ".css", ".py", ".ts"]);
    let findings: Vec<String> = sources.iter().filter_map(too_long).collect();
    assert_none("split by topic; see the table in ARCHITECTURE.md:", &findings);
}

#[test]
fn source_files_say_what_they_are() {
    let sources = files(&["src", "tests", "load-tests", "examples", "benches"], &[".rs"]);
    let silent = sources.iter().filter(|source| !opens_with_header(&source.text));
    let findings: Vec<String> = silent.map(|source| source.path.clone()).collect();
    assert_none("every file opens with //! and a sentence:", &findings);
}

/// Ways from text to markup or code that the dashboard must not have; its content policy forbids them as well.
const MARKUP: &[&str] =
    &["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser", "srcdoc"];

#[test]
fn the_dashboard_turns_no_text_into_markup() {
    let sources = files(&["src/dashboard"], &[".js"]);
    assert!(sources.len() > 10, "the dashboard has moved");
    let uses = |source: &Source| {
        MARKUP
            .iter()
            .filter(|name| source.text.contains(**name))
            .map(|name| format!("{}: {name}", source.path))
            .collect::<Vec<_>>()
    };
    let findings: Vec<String> = sources.iter().flat_map(uses).collect();
    assert_none("build elements with h() and text with safe():", &findings);
    let silent = sources.iter().filter(|source| !source.text.starts_with("// "));
    let findings: Vec<String> = silent.map(|source| source.path.clone()).collect();
    assert_none("every module opens with a sentence:", &findings);
}

#[test]
fn file_names_say_something() {
    let sources = files(&["src", "tests", "load-tests", "examples", "benches"], &[".rs", ".py", ".js", ".ts"]);
    let empty = sources.iter().filter(|source| has_empty_name(&source.path));
    let findings: Vec<String> = empty.map(|source| source.path.clone()).collect();
    assert_none("a file is named after the concept it holds:", &findings);
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", source.path))
}

fn opens_with_header(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.strip_prefix("//! ").is_some_and(|rest| rest.len() > 10))
}

fn has_empty_name(path: &str) -> bool {
    let parts = Path::new(path).iter().map(|part| part.to_string_lossy().into_owned());
    parts.map(|part| part.split('.').next().unwrap_or("").to_owned()).any(|stem| EMPTY_NAMES.contains(&stem.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let of = |lines| Source { path: "src/a.rs".into(), text: "line\n".repeat(lines) };
        assert!(too_long(&of(500)).is_none() && too_long(&of(501)).is_some());
    }

    #[test]
    fn missing_headers_are_found() {
        assert!(opens_with_header("//! The order book of one market.\n"));
        assert!(!opens_with_header("use std::fmt;\n//! Too late to be a header."));
        assert!(!opens_with_header("//! \n"));
        assert!(!opens_with_header(""));
    }

    #[test]
    fn empty_names_are_found() {
        assert!(has_empty_name("src/engine/utils.rs"));
        assert!(has_empty_name("tests/common/mod.rs"));
        assert!(!has_empty_name("src/engine/book.rs"));
    }
}
