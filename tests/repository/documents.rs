//! The documents a newcomer reads first are there and complete.

use crate::assert_none;
use crate::source::read;

#[test]
fn the_documents_are_there() {
    for path in ["CHANGELOG.md", "LICENSE"] {
        assert!(read(path).lines().count() > 5, "{path} says nothing");
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let commands = ["cargo run --release -- demo", "scripts/test"];
    assert_none("README.md does not name:", &unnamed(&read("README.md"), &commands));
}

/// The names that the text does not show as code (`` `name` `` or alone on a line).
fn unnamed(text: &str, names: &[&str]) -> Vec<String> {
    let named = |name: &&&str| text.contains(&format!("`{name}`")) || text.lines().any(|line| line.trim() == **name);
    names.iter().filter(|name| !named(name)).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_name_is_found() {
        let text = "Call `add_order`.\n```\nscripts/test\n```\n";
        assert_eq!(unnamed(text, &["add_order", "scripts/test"]), Vec::<String>::new());
        assert_eq!(unnamed(text, &["order", "cancel_order"]), ["order", "cancel_order"]);
    }
}
