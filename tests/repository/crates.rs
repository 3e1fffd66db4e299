//! Which module may use which dependency: the async and I/O crates stay at the edges, secrets in
//! one place, SQL in one place.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::source::{Source, files, read};
use crate::tokens::Token;

/// For dependencies that are plain data work and harmless anywhere.
const ANYWHERE: &[&str] = &["*"];

/// Every dependency of the server, by its name in Cargo.toml, and the modules that may use it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("argon2", &["gateway"]),
    ("arrayvec", ANYWHERE),
    ("axum", &["gateway", "dashboard", "server"]),
    ("base64", &["gateway", "dashboard"]),
    ("bytes", &["market_data", "gateway"]),
    ("chacha20poly1305", &["gateway"]),
    ("clap", &["cli"]),
    // The checksum of books.
    ("crc32fast", &["market_data"]),
    ("futures", &["storage", "sequencer", "gateway", "demo"]),
    // Tables that keep only places, which the standard one cannot.
    ("hashbrown", &["engine"]),
    ("hex", ANYWHERE),
    ("hmac", &["gateway"]),
    ("httpdate", &["gateway"]),
    ("hyper", &["gateway"]),
    ("hyper-util", &["gateway"]),
    ("ipnet", &["access", "config", "gateway", "cli"]),
    // Calendar forms of a moment; its clock is on the list of clippy.toml.
    ("jiff", &["domain"]),
    // Locks that a panic does not poison.
    ("parking_lot", &["market_data", "storage", "gateway"]),
    ("postcard", &["engine", "sequencer", "history"]),
    ("rand", &["gateway", "demo"]),
    ("rustix", &["background", "storage", "server", "cli"]),
    ("schemars", &["wire"]),
    ("serde", ANYWHERE),
    // In `storage` only as the form in which SQLite takes many rows at once (`json_each`).
    ("serde_json", &["wire", "storage", "market_data", "gateway", "demo"]),
    // Where in a request a value is of the wrong type.
    ("serde_path_to_error", &["gateway"]),
    // The params of public REST calls.
    ("serde_urlencoded", &["gateway"]),
    ("sha2", &["domain", "engine", "storage", "gateway", "dashboard"]),
    ("sqlx", &["storage"]),
    ("thiserror", ANYWHERE),
    (
        "tokio",
        &["background", "storage", "sequencer", "market_data", "history", "gateway", "server", "demo", "cli", "main"],
    ),
    ("tokio-rustls", &["gateway"]),
    ("tokio-tungstenite", &["gateway", "demo"]),
    ("toml", &["config"]),
    ("totp-rs", &["gateway"]),
    ("tower", &["gateway"]),
    (
        "tracing",
        &[
            "background",
            "storage",
            "sequencer",
            "market_data",
            "history",
            "gateway",
            "telemetry",
            "server",
            "demo",
            "cli",
        ],
    ),
    ("tracing-subscriber", &["telemetry"]),
    ("zeroize", &["gateway"]),
];

#[test]
fn dependencies_stay_in_their_modules() {
    let sources = files(&["src"], &[".rs"]);
    let findings: Vec<String> = sources.iter().flat_map(misplaced).collect();
    assert_none("a dependency outside its modules (tests/repository/crates.rs):", &findings);
}

/// The rest of what is installed comes from wherever the machine gets its packages.
#[test]
fn npm_lock_files_name_no_host() {
    for path in ["tests/clients/package-lock.json", "examples/typescript/package-lock.json"] {
        assert!(!read(path).contains("\"resolved\""), "{path}: write it with npm's omit-lockfile-registry-resolved");
    }
}

#[test]
fn every_dependency_has_a_row() {
    let listed = dependencies(&read("Cargo.toml"));
    assert!(!listed.is_empty());
    let rowed: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let missing = listed.iter().filter(|name| !rowed.contains(&name.as_str()));
    let stale = rowed.iter().filter(|name| !listed.iter().any(|listed| listed == *name));
    let findings: Vec<String> = missing.cloned().chain(stale.map(|name| format!("{name} (stale row)"))).collect();
    assert_none("Cargo.toml and MAY_USE differ:", &findings);
}

#[test]
fn every_home_is_lived_in() {
    let sources = files(&["src"], &[".rs"]);
    let used = sources.iter().flat_map(|of| {
        let tokens = of.tokens();
        let named = MAY_USE.iter().filter(move |(name, _)| !mentions(&tokens, &name.replace('-', "_")).is_empty());
        named.map(|(name, _)| (*name, of.module()))
    });
    let used: BTreeSet<(&str, &str)> = used.collect();
    let homes = MAY_USE.iter().filter(|(_, modules)| *modules != ANYWHERE);
    let homes = homes.flat_map(|(name, modules)| modules.iter().map(|module| (*name, *module)));
    let idle = homes.filter(|home| !used.contains(home)).map(|(name, module)| format!("{name} in {module}"));
    assert_none("a row of MAY_USE that allows what nobody uses:", &idle.collect::<Vec<String>>());
}

fn misplaced(source: &Source) -> Vec<String> {
    let module = source.module();
    let tokens = source.tokens();
    let mut findings = Vec::new();
    for (name, modules) in MAY_USE {
        if *modules == ANYWHERE || modules.contains(&module) {
            continue;
        }
        let lines = mentions(&tokens, &name.replace('-', "_"));
        findings.extend(lines.into_iter().map(|line| format!("{}:{line}: {module} uses {name}", source.path)));
    }
    findings
}

/// Lines on which a path starts with the crate's name, or a `use` names the crate alone.
fn mentions(tokens: &[Token], name: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at].is(name)) {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let continues_a_path = before(1).is_some_and(|token| token.is("::"))
            && before(2).is_some_and(|token| token.is(">") || token.text.starts_with(|c: char| c.is_alphabetic()))
            && !before(2).is_some_and(|token| token.is("use"));
        let opens_a_path = tokens.get(at + 1).is_some_and(|token| token.is("::"));
        let used_alone = before(1).is_some_and(|token| token.is("use") || token.is("crate"));
        if !continues_a_path && (opens_a_path || used_alone) {
            lines.push(tokens[at].line);
        }
    }
    lines
}

/// The keys of the `[dependencies]` table.
fn dependencies(manifest: &str) -> Vec<String> {
    let table = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let rows = table.take_while(|line| !line.starts_with('['));
    rows.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        misplaced(&Source { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn a_misplaced_dependency_is_found_in_every_form() {
        let path = "src/engine/orders.rs";
        assert_eq!(findings(path, "use tokio::sync::mpsc;"), 1);
        assert_eq!(findings(path, "use sqlx;"), 1);
        assert_eq!(findings(path, "use ::rand::Rng;"), 1);
        assert_eq!(findings(path, "#[tokio::test] async fn f() { sqlx::query(\"\"); }"), 2);
        assert_eq!(findings(path, "use {serde::Serialize, tracing::info};"), 1);
        assert_eq!(findings("src/access/key.rs", "let mac = hmac::Hmac::new(); totp_rs::Builder::new();"), 2);
    }

    #[test]
    fn mentions_that_are_no_paths_pass() {
        let path = "src/engine/orders.rs";
        assert_eq!(findings(path, "let bytes = 1; // tokio::spawn\nf(\"sqlx::query\", bytes)"), 0);
        assert_eq!(findings(path, "use crate::domain::rand::Seed; self.tower.go()"), 0);
        assert_eq!(findings("src/storage/sqlite.rs", "use sqlx::SqlitePool; use tokio::fs;"), 0);
    }

    #[test]
    fn the_manifest_is_read_to_the_end_of_its_table() {
        let manifest =
            "[a]\nx = 1\n[dependencies]\nb = \"1\"\nc-d = { version = \"2\" }\n\n[dev-dependencies]\ne = \"3\"";
        assert_eq!(dependencies(manifest), ["b", "c-d"]);
    }
}
