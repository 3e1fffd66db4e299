//! The checklist of SECURITY.md and docs/checklist.md: each item has a test with its number, or a row in SECURITY.md
//! that says what is done instead.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::source::{files, read};

/// The parts of the checklist, with their items.
const PARTS: [(u8, std::ops::RangeInclusive<u8>); 7] =
    [(1, 1..=15), (2, 16..=28), (3, 29..=47), (4, 48..=59), (5, 60..=67), (6, 68..=76), (7, 77..=86)];

/// The sample names in this file do not belong to tests.
const SELF: &str = "tests/repository/checklist.rs";

#[test]
fn rule_49_every_item_has_a_test_or_a_reason() {
    let mut covered = BTreeSet::new();
    let sources = files(&["src", "tests", "load-tests"], &[".rs"]);
    assert!(sources.iter().any(|source| source.path == SELF), "{SELF} has moved");
    for source in sources.iter().filter(|source| source.path != SELF) {
        covered.extend(tests(&source.text).into_iter().flat_map(numbers));
    }
    let security = read("SECURITY.md");
    covered.extend(security.lines().filter_map(exception));
    let items = PARTS.iter().flat_map(|(_, items)| items.clone());
    let missing = items.filter(|item| !covered.contains(item));
    let missing: Vec<String> = missing.map(|item| item.to_string()).collect();
    assert_none("neither a test's name nor SECURITY.md has the checklist's item:", &missing);
    let others = sources.iter().filter(|source| source.path != SELF);
    let short = others.flat_map(|source| source.text.lines().filter(|line| shortens(line)).map(str::to_owned));
    assert_none("a test's name has an item without its part:", &short.collect::<Vec<_>>());
}

#[test]
fn the_checklist_is_told_whole() {
    let text = read("docs/checklist.md");
    let rows: Vec<u8> = text.lines().filter_map(exception).collect();
    let items: Vec<u8> = PARTS.iter().flat_map(|(_, items)| items.clone()).collect();
    assert_eq!(rows, items, "docs/checklist.md has each item once and in order");
}

/// The lines that name a test: the first function after an attribute that makes it one.
fn tests(text: &str) -> Vec<&str> {
    let mut is_test = false;
    let named = |line: &&str| {
        let attribute = line.trim_start();
        is_test |= attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test");
        line.contains("fn ") && !attribute.starts_with("//") && std::mem::take(&mut is_test)
    };
    text.lines().filter(named).collect()
}

/// The items in the name of a line's function: 4 for `fn d1_04_…`, 31 and 32 for `fn d3_31_and_d3_32_…`.
fn numbers(line: &str) -> Vec<u8> {
    words(line).windows(2).filter_map(|pair| item(pair[0], pair[1])).collect()
}

/// Whether the name has an item without its part, as in `fn d3_31_and_32_…`: a search for `d3_32` would miss it.
fn shortens(line: &str) -> bool {
    let words: Vec<&str> = words(line).into_iter().filter(|word| *word != "and").collect();
    words.windows(3).any(|words| words[1..].iter().all(|number| item(words[0], number).is_some()))
}

fn words(line: &str) -> Vec<&str> {
    let name = line.split_once("fn ").map_or("", |(_, name)| name.split('(').next().unwrap_or_default());
    name.split('_').collect()
}

/// The item that two words of a name denote.
fn item(part: &str, number: &str) -> Option<u8> {
    let part: u8 = part.strip_prefix('d')?.parse().ok()?;
    let (_, items) = PARTS.iter().find(|(of, _)| *of == part)?;
    number.parse().ok().filter(|found| number.len() == 2 && items.contains(found))
}

/// The item that a row of a table begins with.
fn exception(line: &str) -> Option<u8> {
    line.strip_prefix("| ")?.split(' ').next()?.parse().ok()
}

#[test]
fn only_tests_cover_an_item() {
    let test =
        "/// A fn of text.\n#[tokio::test(start_paused = true)]\n// fn\nasync fn d1_04_a() {\n    fn d1_05_b() {}\n}\n";
    assert_eq!(tests(test), ["async fn d1_04_a() {"]);
    assert_eq!(tests("#[derive(Debug)]\nfn d1_04_a() {}\n"), [""; 0]);
}

#[test]
fn numbers_are_found_in_names_alone() {
    assert_eq!(numbers("    async fn d1_04_a_head_of_20_megabytes() {"), [4]);
    assert_eq!(numbers("fn d3_31_and_d3_32_votes(a: u8)"), [31, 32]);
    assert_eq!(numbers("fn d1_11_d1_12_and_d1_13_a_key()"), [11, 12, 13]);
    assert_eq!(numbers("fn d1_09_no_secret_and_d7_82_lines()"), [9, 82]);
    for short in ["fn d3_31_and_32_votes()", "fn d5_61_62_and_d5_67_money()"] {
        assert!(shortens(short) && !shortens(&short.replace("_32", "_d3_32").replace("_62", "_d5_62")), "{short}");
    }
    for other in ["// d1_04", "fn rule_22_d_x()", "fn d1_77_is_of_another_part()", "fn d2_2()"] {
        assert_eq!(numbers(other), [0; 0], "{other}");
    }
    assert_eq!((exception("| 26 | caps |"), exception("| Item | Usual |"), exception("26")), (Some(26), None, None));
}
