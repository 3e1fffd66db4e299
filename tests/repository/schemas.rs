//! The schemas in the repository are those that the wire types give.

use std::collections::BTreeMap;
use std::fs;

use countersign::wire::published;
use serde_json::json;

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

/// A schema that refuses what the server takes is wrong for who checks requests with it.
#[test]
fn the_schemas_have_the_other_names_of_fields() {
    let conditional = json!({"order_type": "stop-loss", "stop_price": "10"});
    for (name, params) in [
        ("subscribe", json!({"channel": "executions", "rate_counter": true})),
        ("add_order", json!({"order_type": "limit", "side": "buy", "conditional": conditional})),
    ] {
        let texts: BTreeMap<String, String> = published().into_iter().collect();
        let schema = serde_json::from_str(&texts[&format!("{name}.request.schema.json")]).unwrap();
        let message = json!({"method": name, "params": params});
        let problem = jsonschema::validate(&schema, &message).err();
        assert!(problem.is_none(), "{problem:?}");
    }
}

/// Whoever reads a schema has neither the rules nor the protocol's chapters.
#[test]
fn no_schema_cites_what_its_reader_does_not_have() {
    let cites = |text: &str| ["(rule", "(protocol"].iter().any(|citation| text.contains(citation));
    let citing: Vec<String> = published().into_iter().filter(|(_, text)| cites(text)).map(|(name, _)| name).collect();
    assert_none("doc comments cite in the texts of:", &citing);
    assert!(cites("A reply (protocol 1).") && !cites("what rules"));
}
