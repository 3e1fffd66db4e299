//! The bot author's guide has each scope, error and close code, and no error or close code that is not there.

use std::collections::BTreeSet;

use countersign::access::scope::Scope;
use countersign::engine::reject::Code;
use countersign::gateway::close::Close;

use crate::assert_none;
use crate::source::{files, read};

const GUIDE: &str = "docs/bots.md";

#[test]
fn the_guide_names_every_scope_as_the_dashboard_does() {
    let (guide, page) = (read(GUIDE), read("src/dashboard/scopes.js"));
    let called = |scope: &str| page.split_once(&format!("[\"{scope}\", \""))?.1.split('"').next();
    let has = |scope: &str| called(scope).is_some_and(|name| guide.contains(&format!("\n| `{scope}` | {name} |")));
    let missing = Scope::ALL.into_iter().map(Scope::name).filter(|scope| !has(scope)).map(str::to_owned);
    assert_none("src/dashboard/scopes.js or docs/bots.md does not have the scope:", &missing.collect::<Vec<_>>());
}

#[test]
fn the_guide_has_every_error_code() {
    let guide = read(GUIDE);
    let told = first_cells(guide.split_once("\n## Errors\n").expect("the guide tells of errors").1);
    let codes = Code::ALL.map(Code::text);
    let untold: Vec<String> = codes.into_iter().filter(|code| !is_told(&told, code)).map(str::to_owned).collect();
    assert_none("docs/bots.md does not say what to do about:", &untold);
    let shapes =
        read("src/gateway/inbound/error.rs") + &read("src/gateway/inbound/request.rs") + &read("src/gateway/topics.rs");
    let is_gone = |row: &String| {
        !codes.iter().any(|code| code.starts_with(row.as_str())) && !shapes.contains(&format!("\"{row}"))
    };
    let gone: Vec<String> = told.into_iter().filter(is_gone).collect();
    assert_none("docs/bots.md tells of errors that nothing sends:", &gone);
}

#[test]
fn the_texts_of_refusals_have_one_home() {
    let home = "src/engine/reject.rs";
    assert!(texts(&read(home)).len() > 60, "the scanner finds no texts any more");
    let sources = files(&["src"], &[".rs"]).into_iter();
    // The demo is a client, and tests expect what clients see.
    let others = sources.filter(|source| {
        let path = source.path.as_str();
        path != home && !path.starts_with("src/demo/") && !path.ends_with("/tests.rs") && !path.contains("/tests/")
    });
    let found = others.flat_map(|source| {
        let made = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        texts(made).into_iter().map(|text| format!("{}: {text}", source.path)).collect::<Vec<_>>()
    });
    assert_none("a text that belongs into src/engine/reject.rs is written elsewhere:", &found.collect::<Vec<_>>());
}

#[test]
fn the_guide_has_every_close_code() {
    let guide = read(GUIDE);
    let told = close_rows(guide.split_once("\n## Close codes\n").expect("the guide tells of close codes").1);
    let made: BTreeSet<u16> = Close::ALL.into_iter().map(Close::code).collect();
    let untold: Vec<String> = made.difference(&told).map(u16::to_string).collect();
    assert_none("docs/bots.md does not have the close code:", &untold);
    let gone: Vec<String> = told.difference(&made).map(u16::to_string).collect();
    assert_none("docs/bots.md tells of close codes that nothing sends:", &gone);
}

/// What to do about a key that was revoked or changed depends on how.
#[test]
fn the_guide_has_every_reason_of_a_changed_key() {
    let guide = read(GUIDE);
    let reasons = Close::ALL.into_iter().filter(|why| why.code() == 4001).map(Close::reason);
    let untold: Vec<String> = reasons.filter(|why| !guide.contains(&format!("`{why}`"))).map(str::to_owned).collect();
    assert_none("docs/bots.md does not have the reason of a close:", &untold);
}

/// Whether a row has the text; what it advises may be cut short there.
fn is_told(told: &[String], text: &str) -> bool {
    told.iter().any(|row| row == text || row.contains(": ") && text.starts_with(row.as_str()))
}

/// The texts of errors: strings that begin with `E<Category>:`.
fn texts(source: &str) -> Vec<String> {
    let strings = source.split("\"E").skip(1).filter_map(|rest| rest.split(['"', '\\']).next());
    let is_code = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.split_once(':').is_some_and(|(of, _)| of.chars().all(char::is_alphabetic))
    };
    strings.filter(is_code).map(|text| format!("E{text}")).collect()
}

/// The codes in the first cells of the table.
fn close_rows(table: &str) -> BTreeSet<u16> {
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")).map(|(cell, _)| cell);
    cells.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok()).collect()
}

/// What stands as code in the first cell of the rows of tables.
fn first_cells(guide: &str) -> Vec<String> {
    let cells = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(cell, _)| cell);
    cells.flat_map(|cell| cell.split("`, `")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_rows_are_found() {
        assert_eq!(texts("A => \"EOrder:No liquidity\", B => \"Every one: not\""), ["EOrder:No liquidity"]);
        assert_eq!(
            texts("'\"' Err(\"EService:Timeout\"), \"ESQL: no\" \"End::Close\""),
            ["EService:Timeout", "ESQL: no"]
        );
        assert_eq!(close_rows("| Code | x |\n|---|---|\n| 1002, 1003 | y |\n"), BTreeSet::from([1002, 1003]));
        let told = ["EService:Busy".to_owned(), "EQuery:Old: snapshot".to_owned()];
        assert!(is_told(&told, "EService:Busy") && is_told(&told, "EQuery:Old: snapshot follows"));
        assert!(!is_told(&told, "EService:Busy: retry") && !is_told(&told, "EService:Busy:Another"));
        let guide = "| `EAPI:Invalid key`, `Malformed request` | `x` | y |\n|---|\nno `EOrder:row` |\n";
        assert_eq!(first_cells(guide), ["EAPI:Invalid key", "Malformed request"]);
    }
}
