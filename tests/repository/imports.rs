//! Which module may import which. Imports point one way; ARCHITECTURE.md draws it.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::source::{Source, files, read};
use crate::tokens::Token;

/// A module (the first path segment under `src/`) and what it may name of ours: modules in the rows above it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("access", &["domain"]),
    ("engine", &["access", "domain"]),
    ("wire", &["access", "domain"]),
    // Bytes and rows only: a new event never touches SQL.
    ("storage", &[]),
    ("config", &["access", "storage"]),
    ("telemetry", &["config"]),
    ("background", &[]),
    ("sequencer", &["engine", "storage", "access", "domain", "background", "telemetry"]),
    ("market_data", &["engine", "access", "domain", "wire", "sequencer"]),
    ("history", &["engine", "access", "domain", "storage", "sequencer"]),
    (
        "gateway",
        &[
            "domain",
            "access",
            "engine",
            "wire",
            "storage",
            "sequencer",
            "market_data",
            "history",
            "config",
            "telemetry",
        ],
    ),
    // The page has no way in but the public protocol.
    ("dashboard", &[]),
    (
        "server",
        &[
            "background",
            "domain",
            "engine",
            "storage",
            "sequencer",
            "market_data",
            "history",
            "gateway",
            "dashboard",
            "config",
        ],
    ),
    (
        "demo",
        // Not the sequencer, not storage: it has no way in but the public one.
        &["domain", "access", "engine", "gateway", "config", "server"],
    ),
    (
        "cli",
        &[
            "domain",
            "access",
            "engine",
            "wire",
            "storage",
            "sequencer",
            "gateway",
            "config",
            "server",
            "demo",
            "telemetry",
        ],
    ),
    // The module list; it re-exports nothing, so that every path names its module.
    ("lib", &[]),
    ("main", &["cli"]),
];

#[test]
fn imports_point_one_way() {
    let sources = files(&["src"], &[".rs"]);
    let findings: Vec<String> = sources.iter().flat_map(forbidden_imports).collect();
    assert_none("an import that the module order does not allow (tests/repository/imports.rs):", &findings);
}

#[test]
fn every_edge_is_used() {
    let sources = files(&["src"], &[".rs"]);
    let named = sources.iter().flat_map(|of| named_modules(of).into_iter().map(|(_, name)| (of.module(), name)));
    let used: BTreeSet<(&str, String)> = named.collect();
    let idle = edges().filter(|(from, to)| !used.contains(&(*from, (*to).to_owned())));
    let idle: Vec<String> = idle.map(|(from, to)| format!("{from} -> {to}")).collect();
    assert_none("a row of MAY_IMPORT that allows what nobody imports:", &idle);
}

/// `src/lib.rs` says so, and its reader goes by it.
#[test]
fn modules_stand_behind_those_that_they_import() {
    let place = |name: &str| MAY_IMPORT.iter().position(|(module, _)| *module == name);
    let early = edges().filter(|(from, to)| place(from) <= place(to));
    let early: Vec<String> = early.map(|(from, to)| format!("{from} -> {to}")).collect();
    assert_none("a module that stands before what it imports:", &early);
    let text = read("src/lib.rs");
    let listed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rows = MAY_IMPORT.iter().map(|(module, _)| *module).take_while(|module| *module != "lib");
    assert_eq!(listed, rows.collect::<Vec<_>>());
}

fn edges() -> impl Iterator<Item = (&'static str, &'static str)> {
    MAY_IMPORT.iter().flat_map(|(module, allowed)| allowed.iter().map(|name| (*module, *name)))
}

fn forbidden_imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: module {module} has no row in MAY_IMPORT", source.path)];
    };
    named_modules(source)
        .into_iter()
        .filter(|(_, name)| name != module && !allowed.contains(&name.as_str()))
        .map(|(line, name)| format!("{}:{line}: {module} -> {name}", source.path))
        .collect()
}

/// The modules of ours that a file names, by `crate::`, by our own crate's name, or by climbing
/// with `super::` to the root.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let tokens = source.tokens();
    let mut named = heads(&tokens, "crate");
    named.extend(heads(&tokens, "countersign"));
    named.extend(climbed(&tokens, source.depth()));
    named
}

/// The first segment after `root::`: one for a plain path, several for a group, `*` for a glob.
pub fn heads(tokens: &[Token], root: &str) -> Vec<(usize, String)> {
    let mut heads = Vec::new();
    for at in 0..tokens.len() {
        let within_a_path = at > 0 && tokens[at - 1].is("::");
        if !tokens[at].is(root) || within_a_path {
            continue;
        }
        match tokens.get(at + 1) {
            Some(next) if next.is("::") => heads.extend(group(&tokens[at + 2..])),
            Some(next) if next.is("as") && root == "crate" => heads.push((next.line, "as".into())),
            _ => {}
        }
    }
    heads
}

/// The first words of `a::…` or of each branch of `{a::…, b::{…}, …}`.
fn group(tokens: &[Token]) -> Vec<(usize, String)> {
    let head = |token: &Token| (token.line, token.text.clone());
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    if !first.is("{") {
        return vec![head(first)];
    }
    let mut heads = Vec::new();
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.is("}") {
            depth -= 1;
        } else if token.is("{") {
            depth += 1;
        }
        let opens_a_branch = at > 0 && (tokens[at - 1].is("{") || tokens[at - 1].is(","));
        if depth == 1 && opens_a_branch && !token.is("}") {
            heads.push(head(token));
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Modules reached by `super::super::…` that climbs out of the file's own module.
fn climbed(tokens: &[Token], depth: usize) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let mut supers = 0;
    for at in 0..tokens.len() {
        if tokens[at].is("super") && tokens.get(at + 1).is_some_and(|next| next.is("::")) {
            supers += 1;
        } else if !tokens[at].is("::") {
            if supers >= depth {
                let reached = group(&tokens[at..]).into_iter();
                named.extend(reached.filter(|(_, name)| MAY_IMPORT.iter().any(|(module, _)| module == name)));
            }
            supers = 0;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        forbidden_imports(&Source { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn a_forbidden_edge_is_found_in_every_form() {
        let path = "src/domain/ids.rs";
        assert_eq!(findings(path, "use crate::engine::Event;"), 1);
        assert_eq!(findings(path, "fn f() -> crate::wire::Frame { todo() }"), 1);
        assert_eq!(findings(path, "use crate::{domain::time::Moment, access::Scope, engine::{self}};"), 2);
        assert_eq!(findings(path, "use crate::*;"), 1);
        assert_eq!(findings(path, "use crate as ours;"), 1);
        assert_eq!(findings(path, "use super::super::engine::Event;"), 1);
        assert_eq!(findings("src/domain/mod.rs", "use super::engine::Event;"), 1);
        assert_eq!(findings("src/storage/sqlite.rs", "use countersign::domain::Seq;"), 1);
        assert_eq!(findings("src/novelty.rs", ""), 1);
    }

    #[test]
    fn allowed_edges_and_mere_mentions_pass() {
        let path = "src/engine/book.rs";
        assert_eq!(findings(path, "use crate::{access::Scope, domain::ids::{Seq, OrderId}, engine::event};"), 0);
        assert_eq!(findings(path, "// crate::gateway is elsewhere\nconst A: &str = \"crate::wire\";"), 0);
        assert_eq!(findings(path, "use super::orders::Order; use super::super::engine::state::State;"), 0);
        assert_eq!(findings(path, "mod tests { use super::super::orders::Order; }"), 0);
    }
}
