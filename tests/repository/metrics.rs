//! Every metric is documented, and the dashboard shows none that is not there.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::source::read;

#[test]
fn every_metric_is_documented() {
    let told: BTreeSet<String> = names(&read("src/gateway/metrics.rs"));
    assert!(told.len() > 10, "the scanner finds no metrics any more: {told:?}");
    let documented = names(&read("docs/operations.md"));
    let missing: Vec<String> = told.symmetric_difference(&documented).cloned().collect();
    assert_none("only one of src/gateway/metrics.rs and docs/operations.md has:", &missing);
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let told = names(&read("src/gateway/metrics.rs"));
    let text = read("docs/operations/grafana.json");
    let _: serde_json::Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let shown: BTreeSet<String> = names(&text).into_iter().map(|name| name.replace("_bucket", "")).collect();
    let differing: Vec<String> = told.symmetric_difference(&shown).cloned().collect();
    assert_none("only one of src/gateway/metrics.rs and docs/operations/grafana.json has:", &differing);
}

/// Every `countersign_…` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let rests = text.match_indices("countersign_").map(|(at, _)| &text[at..]);
    rests.map(|rest| rest[..rest.find(|c| !of_name(c)).unwrap_or(rest.len())].to_owned()).collect()
}

#[test]
fn names_end_where_their_letters_do() {
    let text = "rate(countersign_a_total[5m]) / \"countersign_b\" countersign_c{x=\"1\"} Countersign countersign.";
    let found = names(text);
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        ["countersign_a_total", "countersign_b", "countersign_c"]
    );
}
