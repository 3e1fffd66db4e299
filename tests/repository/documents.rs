//! The documents a newcomer reads first are there and complete.

use countersign::gateway::credentials::{Signed, decode_secret};

use crate::assert_none;
use crate::source::read;

#[test]
fn the_documents_are_there() {
    let docs = ["bots", "checklist", "earn", "funding", "governance", "operations", "performance", "rules", "testing"];
    let docs = docs.map(|name| format!("docs/{name}.md"));
    let roots = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"]
        .map(str::to_owned);
    for path in roots.iter().chain(&docs) {
        assert!(read(path).lines().count() > 5, "{path} says nothing");
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let commands = ["cargo run --release -- demo", "scripts/test"];
    assert_none("README.md does not name:", &unnamed(&read("README.md"), &commands));
}

#[test]
fn the_test_vector_in_the_readme_holds() {
    let readme = read("README.md");
    let value = |name: &str| {
        let mut rows = readme.lines().filter_map(|line| line.strip_prefix(name));
        rows.next().expect("README states the vector").trim().to_owned()
    };
    let secret = decode_secret(&value("secret ")).expect("the secret is base64");
    assert_eq!(Signed::handshake(&value("API-Nonce ")).sign(&secret), value("API-Sign "));
}

#[test]
fn the_readme_has_every_setting() {
    let names = settings(&(read("src/config.rs") + &read("src/access/tier.rs")));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(names.contains(&"listen"), "the scanner finds no settings any more");
    assert_none("README.md does not have the setting:", &unnamed(&read("README.md"), &names));
}

#[test]
fn the_commented_file_has_every_setting() {
    let names = settings(&(read("src/config.rs") + &read("src/access/tier.rs")));
    let file = read("src/config/countersign.toml");
    let mut table = String::new();
    let mut stated = Vec::new();
    for line in file.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((name, _)) = line.split_once(" = ") {
            stated.push(format!("{table}{name}"));
        }
    }
    let missing: Vec<String> = names.into_iter().filter(|name| !stated.contains(name)).collect();
    assert_none("src/config/countersign.toml does not have the setting:", &missing);
}

/// The fields of `struct Config`, those of a nested table with its name before them.
fn settings(config: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (name, kind) in fields(config, "Config") {
        let nested = fields(config, &kind);
        match nested.is_empty() {
            true => names.push(name),
            false => names.extend(nested.into_iter().map(|(inner, _)| format!("{name}.{inner}"))),
        }
    }
    names
}

/// Name and type of each field of a struct in the text, as rustfmt writes them: one a line.
fn fields(text: &str, name: &str) -> Vec<(String, String)> {
    let opening = format!("pub struct {name} {{");
    let body = text.lines().skip_while(|line| *line != opening).skip(1).take_while(|line| *line != "}");
    let rows = body.filter(|line| !line.trim_start().starts_with("//") && !line.trim_start().starts_with('#'));
    let pairs = rows.filter_map(|line| line.trim().trim_start_matches("pub ").trim_end_matches(',').split_once(": "));
    pairs.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The names that the text does not have as code: `` `name` ``, or a line of its own, possibly with a remark after it.
fn unnamed(text: &str, names: &[&str]) -> Vec<String> {
    let alone = |line: &str, name: &str| {
        line.trim().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with("# "))
    };
    let named = |name: &str| text.contains(&format!("`{name}`")) || text.lines().any(|line| alone(line, name));
    names.iter().filter(|name| !named(name)).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_name_is_found() {
        let text = "Call `add_order`.\n```\nscripts/test   # all\n```\n";
        assert_eq!(unnamed(text, &["add_order", "scripts/test"]), Vec::<String>::new());
        assert_eq!(unnamed(text, &["order", "cancel_order", "scripts"]), ["order", "cancel_order", "scripts"]);
    }

    #[test]
    fn settings_are_found_with_their_tables() {
        let config = "pub struct Config {\n    /// Where: here.\n    pub listen: SocketAddr,\n    limits: Limits,\n}\n\
                      pub struct Limits {\n    #[serde(default)]\n    pub queue: usize,\n}\n";
        assert_eq!(settings(config), ["listen", "limits.queue"]);
    }
}
