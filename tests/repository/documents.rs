//! The documents a newcomer reads first are there and complete.

use countersign::gateway::credentials::{Signed, decode_secret};

use crate::assert_none;
use crate::source::read;

#[test]
fn the_documents_are_there() {
    for path in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"] {
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

/// The names that the text does not show as code: `` `name` ``, or a line of its own with at most a
/// remark behind it.
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
}
