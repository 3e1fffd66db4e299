//! The AsyncAPI document as published tools read it.

use std::collections::BTreeSet;
use std::process::Command;

use countersign::access::operation::Operation;

use super::{finish, installed};

#[test]
fn a_published_parser_finds_every_operation_and_no_fault() {
    installed("tests/clients/node_modules/@asyncapi/parser");
    let found = finish(Command::new("node").args(["tests/clients/asyncapi.mjs", "schemas/asyncapi.json"]));
    let found: BTreeSet<&str> = found.lines().filter_map(|line| line.strip_prefix("operation ")).collect();
    let envelopes = ["subscribe", "unsubscribe", "heartbeat", "error"];
    let expected: BTreeSet<&str> = Operation::ALL.iter().map(|operation| operation.name()).chain(envelopes).collect();
    assert_eq!(found, expected);
}
