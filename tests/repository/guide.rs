//! The bot author's guide has each error and each close code, and none that is not there.

use crate::assert_none;
use crate::source::{files, read};

const GUIDE: &str = "docs/bots.md";

#[test]
fn the_guide_has_every_error_code() {
    let guide = read(GUIDE);
    let told = first_cells(guide.split_once("\n## Errors\n").expect("the guide tells of errors").1);
    let codes = texts(&read("src/engine/reject.rs"));
    assert!(codes.len() > 60, "the scanner finds no codes any more");
    let untold: Vec<String> = codes.into_iter().filter(|code| !told.contains(code)).collect();
    assert_none("docs/bots.md does not say what to do about:", &untold);
    let source: String = files(&["src"], &[".rs"]).into_iter().map(|source| source.text).collect();
    let gone: Vec<String> = told.into_iter().filter(|error| !source.contains(&format!("\"{error}"))).collect();
    assert_none("docs/bots.md tells of errors that nothing sends:", &gone);
}

#[test]
fn the_guide_has_every_close_code_of_ours() {
    let guide = read(GUIDE);
    let rights = read("src/gateway/rights.rs");
    let codes: Vec<&str> =
        rights.lines().filter_map(|line| line.split_once(": u16 = ")).map(|(_, code)| code).collect();
    assert!(codes.len() > 4, "the scanner finds no close codes any more");
    let row = |code: &str| format!("\n| {} |", code.trim_end_matches(';'));
    let untold: Vec<String> = codes.into_iter().filter(|code| !guide.contains(&row(code))).map(str::to_owned).collect();
    assert_none("docs/bots.md does not have the close code:", &untold);
}

/// The texts of errors: strings that begin with `E<Category>:`.
fn texts(source: &str) -> Vec<String> {
    let strings = source.split('"').skip(1).step_by(2);
    let is_code = |text: &&str| text.starts_with('E') && text.split_once(':').is_some_and(|(of, _)| !of.contains(' '));
    strings.filter(is_code).map(str::to_owned).collect()
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
        let guide = "| `EAPI:Invalid key`, `Malformed request` | `x` | y |\n|---|\nno `EOrder:row` |\n";
        assert_eq!(first_cells(guide), ["EAPI:Invalid key", "Malformed request"]);
    }
}
