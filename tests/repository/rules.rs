//! The rules that comments cite by number are in `docs/rules.md`, numbered without a gap.

use crate::assert_none;
use crate::source::{files, read};

const RULES: &str = "docs/rules.md";

#[test]
fn the_rules_are_numbered_without_a_gap() {
    let numbers = numbered(&read(RULES));
    let due: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, due, "{RULES}: each number once, in order");
    assert!(numbers.len() >= 50, "{RULES} lost its rules, or the scanner does not see them");
}

#[test]
fn every_rule_cited_is_there() {
    let numbers = numbered(&read(RULES));
    let sources = files(&["src", "tests", "fuzz/src", "benches", "load-tests/src"], &[".rs", ".js"]);
    let cited: Vec<(String, u32)> = sources
        .iter()
        .filter(|source| source.path != "tests/repository/rules.rs")
        .flat_map(|source| cited(&source.text).into_iter().map(|number| (source.path.clone(), number)))
        .collect();
    assert!(cited.len() > 200, "the scanner finds no citations any more");
    let missing = cited.into_iter().filter(|(_, number)| !numbers.contains(number));
    let missing: Vec<String> = missing.map(|(path, number)| format!("{path}: rule {number}")).collect();
    assert_none("docs/rules.md does not have what is cited in:", &missing);
}

/// The numbers of the rules, in their order: lines that begin as `12. **Name.**`.
fn numbered(text: &str) -> Vec<u32> {
    let lines = text.lines().filter_map(|line| line.split_once(". **"));
    lines.filter_map(|(number, _)| number.parse().ok()).collect()
}

/// The rules that a source file cites: `rule 5`, `rules 2–4`, `rules 8 to 10`, `rules 3, 5 and 7`, over the ends of the
/// lines of a comment; and `rule_5_…` in the names of tests.
fn cited(text: &str) -> Vec<u32> {
    let mut words = text.split_whitespace().filter(|word| !["//!", "///", "//"].contains(word)).peekable();
    let mut found: Vec<u32> = text.split("rule_").skip(1).filter_map(named).collect();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches(['(', '"', '`']);
        if !["rule", "rules", "Rule", "Rules"].contains(&word) {
            continue;
        }
        let mut through = None;
        while let Some(next) = words.peek() {
            let last = !next.ends_with(',');
            if *next == "to" {
                through = found.last().copied();
            } else if *next != "and" {
                let Some((from, to)) = span(next) else { break };
                found.extend(through.take().map_or(from, |before: u32| before + 1)..=to);
            }
            words.next();
            if last && !words.peek().is_some_and(|next| ["and", "to"].contains(next) || span(next).is_some()) {
                break;
            }
        }
    }
    found
}

/// The number that a test's name goes on with: `12_a_vote` after `rule_`.
fn named(rest: &str) -> Option<u32> {
    rest.split_once('_')?.0.parse().ok()
}

/// `7` or `2–4`, whatever punctuation comes behind.
fn span(word: &str) -> Option<(u32, u32)> {
    let word = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let (from, to) = word.split_once('–').unwrap_or((word, word));
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_citations_are_found() {
        assert_eq!(numbered("1. **One.** a\n   more, 2. b\n\n## Topic\n\n3. **Three.** c\n4. plain\n"), [1, 3]);
        assert_eq!(cited("/// Ends it (rule 22), but the request stays."), [22]);
        assert_eq!(cited("//! Judged (rules 2–4), lists (rules 10, 12,\n//! 30 and 99)."), [2, 3, 4, 10, 12, 30, 99]);
        assert_eq!(cited("// Rules 8 to 10: what stops. 5 keys"), [8, 9, 10]);
        assert_eq!(cited("\"rule 31: a closed order\""), [31]);
        assert_eq!(cited("the rules 7 of us keep; rules: 3"), [7]);
        assert_eq!(cited("fn rule_14_nobody_votes_and_rule_22_a_vote_is_struck() {}"), [14, 22]);
        assert_eq!(cited("what rules? rule of 5, rule_names_max"), Vec::<u32>::new());
    }
}
