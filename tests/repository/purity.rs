//! What the deterministic part may not touch. Clippy holds the lists of clippy.toml there; this
//! holds what clippy cannot say: no floats, no I/O paths, and the deny line itself.

use crate::assert_none;
use crate::imports::heads;
use crate::source::{Source, files, read};
use crate::tokens::{Kind, Token};

const PURE: &[&str] = &["src/domain", "src/access", "src/engine"];

/// Parts of `std` that reach outside. `std::net` stays: an IP address is a value.
const OUTSIDE: &[&str] = &["fs", "io", "thread", "process", "env", "os", "time"];

/// Must stand in each `mod.rs`; it reaches the files below.
const DENY: &str = "#![deny(clippy::disallowed_types, clippy::disallowed_methods)]";

#[test]
fn d5_60_the_state_machine_has_no_floats_and_no_way_out() {
    let sources = files(PURE, &[".rs"]);
    let findings: Vec<String> = sources.iter().flat_map(impurities).collect();
    assert_none("domain, access and engine are deterministic:", &findings);
}

#[test]
fn the_state_machine_denies_what_clippy_toml_lists() {
    let roots = PURE.iter().map(|folder| format!("{folder}/mod.rs"));
    let findings: Vec<String> = roots.filter(|path| !read(path).lines().any(|line| line == DENY)).collect();
    assert_none(&format!("these files lack the line {DENY}"), &findings);
}

fn impurities(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let mut findings: Vec<String> = tokens
        .iter()
        .filter(|token| is_float(token))
        .map(|token| format!("{}:{}: float {}", source.path, token.line, token.text))
        .collect();
    let reached = heads(&tokens, "std").into_iter().filter(|(_, name)| OUTSIDE.contains(&name.as_str()));
    findings.extend(reached.map(|(line, name)| format!("{}:{line}: std::{name}", source.path)));
    findings
}

fn is_float(token: &Token) -> bool {
    token.kind == Kind::Float || token.is("f32") || token.is("f64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        impurities(&Source { path: "src/engine/ledger.rs".into(), text: text.into() }).len()
    }

    #[test]
    fn floats_and_ways_out_are_found() {
        assert_eq!(findings("fn f(price: f64) -> f32 { 1.5 }"), 3);
        assert_eq!(findings("use std::time::Instant; let x = std::env::var(\"A\");"), 2);
        assert_eq!(findings("use std::{collections::BTreeMap, fs, thread::{self}};"), 2);
    }

    #[test]
    fn integers_and_values_pass() {
        assert_eq!(findings("use std::net::IpAddr; use std::collections::BTreeMap; // f64, 1.5"), 0);
        assert_eq!(findings("let a = pair.0.1 + 0x1e9 + 10_000; let s = \"1.5\";"), 0);
    }
}
