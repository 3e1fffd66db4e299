//! The schemas in the repository are those generated from the wire types.

use std::collections::BTreeMap;
use std::fs;

use countersign::access::scope::Scope;
use countersign::wire::published;
use serde_json::{Value, json};

use crate::assert_none;

#[test]
fn the_committed_schemas_are_fresh() {
    let fresh: BTreeMap<String, String> = published().into_iter().collect();
    let committed: BTreeMap<String, String> = fs::read_dir("schemas")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&fresh), "run `cargo run -- schemas`");
    for (name, text) in fresh {
        assert!(committed[&name] == text, "{name} is stale: run `cargo run -- schemas`");
    }
}

/// A schema that refuses what the server accepts misleads clients that validate their requests.
#[test]
fn the_schemas_have_the_other_names_of_fields() {
    let conditional = json!({"order_type": "stop-loss", "stop_price": "10"});
    for (name, params) in [
        ("subscribe", json!({"channel": "executions", "rate_counter": true})),
        ("add_order", json!({"order_type": "limit", "side": "buy", "conditional": conditional})),
    ] {
        assert_eq!(problem(name, &params), None);
    }
}

/// What the schema of a method's request finds wrong with these params.
fn problem(name: &str, params: &Value) -> Option<String> {
    let message = json!({"method": name, "params": params});
    jsonschema::validate(&schema(&format!("{name}.request")), &message).err().map(|problem| problem.to_string())
}

fn schema(name: &str) -> Value {
    let texts: BTreeMap<String, String> = published().into_iter().collect();
    serde_json::from_str(&texts[&format!("{name}.schema.json")]).expect("a schema is JSON")
}

#[test]
fn the_schemas_list_the_words_of_a_field_that_has_words() {
    for order in [
        json!({"order_type": "stop-loss-limit", "side": "sell", "stp_type": "cancel_both", "fee_preference": null}),
        json!({"order_type": "settle-position", "side": "buy", "time_in_force": "ioc"}),
        json!({"order_type": "limit", "side": "buy", "time_in_force": "IOC"}),
    ] {
        assert_eq!(problem("add_order", &order), None);
    }
    assert_eq!(problem("export_add", &json!({"report": "trades", "format": "CSV"})), None);
    for (name, params, word) in [
        ("add_order", json!({"order_type": "limit", "side": "up"}), "up"),
        ("add_order", json!({"order_type": "stop", "side": "buy"}), "stop"),
        ("add_order", json!({"order_type": "limit", "side": "buy", "stp_type": "none"}), "none"),
        ("add_order", json!({"order_type": "limit", "side": "buy", "time_in_force": "day"}), "day"),
        ("export_add", json!({"report": "trades", "format": "xls"}), "xls"),
        ("subscribe", json!({"channel": "ticker", "event_trigger": "all"}), "all"),
        ("subscribe", json!({"channel": "add_order"}), "add_order"),
        ("set_policy", json!({"workflow": "withdraw", "quorum": 1}), "withdraw"),
    ] {
        let problem = problem(name, &params).unwrap_or_default();
        assert!(problem.contains(&format!("\"{word}\" is not one of")), "{name}, {word}: {problem}");
    }
}

#[test]
fn the_schemas_list_the_words_of_answers_too() {
    let orders = schema("executions.frame");
    let words = |part: &str, field: &str| orders["$defs"][part]["properties"][field]["enum"].clone();
    assert_eq!(words("Execution", "side"), json!(["buy", "sell"]));
    assert_eq!(words("Execution", "time_in_force"), json!(["GTC", "GTD", "IOC", "FOK"]));
    assert_eq!(words("Triggers", "price_type"), json!(["static", "pct", "quote"]));
    let scopes = &schema("key_info.reply")["$defs"]["KeyInfo"]["properties"]["scopes"]["items"]["enum"];
    assert_eq!(scopes.as_array().map(Vec::len), Some(Scope::ALL.len()));
}

/// The reader of a schema does not have the rules or the protocol's documentation.
#[test]
fn no_schema_cites_what_its_reader_does_not_have() {
    let cites = |text: &str| ["(rule", "(protocol"].iter().any(|citation| text.contains(citation));
    let citing: Vec<String> = published().into_iter().filter(|(_, text)| cites(text)).map(|(name, _)| name).collect();
    assert_none("doc comments cite in the texts of:", &citing);
    assert!(cites("A reply (protocol 1).") && !cites("what rules"));
}
