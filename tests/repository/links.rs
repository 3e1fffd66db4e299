//! A link in a document leads to a file that is there, and to a heading that the file has.

use std::fs;
use std::path::Path;

use crate::assert_none;
use crate::source::{Source, files, root};

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let documents = files(&["."], &[".md"]);
    assert!(documents.iter().any(|document| !links(&document.text).is_empty()), "the scanner finds no links any more");
    let findings: Vec<String> = documents.iter().flat_map(broken).collect();
    assert_none("leads nowhere:", &findings);
}

/// The links of a document that lead nowhere. Those to other hosts are not followed.
fn broken(document: &Source) -> Vec<String> {
    let own = links(&document.text).into_iter().filter(|link| !link.contains("://"));
    own.filter(|link| !leads(document, link)).map(|link| format!("{}: {link}", document.path)).collect()
}

fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
}

fn leads(document: &Source, link: &str) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let own = root().join(&document.path);
    let target = if file.is_empty() { own } else { own.with_file_name(file) };
    if heading.is_empty() { target.exists() } else { headings(&target).contains(&heading.to_owned()) }
}

/// The headings of a document as links name them: lower case, spaces as hyphens, no other punctuation.
fn headings(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap_or_default();
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    titles.map(|title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found() {
        let text =
            "[a](docs/bots.md) [b](docs/none.md) [c](#running-it) [d](#nothing) [e](https://x.test/y)".to_owned();
        let document = Source { path: "README.md".to_owned(), text };
        assert_eq!(broken(&document), ["README.md: docs/none.md", "README.md: #nothing"]);
    }

    #[test]
    fn a_link_is_relative_to_its_document() {
        let bots = Source { path: "docs/bots.md".to_owned(), text: String::new() };
        assert!(leads(&bots, "../README.md#the-signed-handshake") && leads(&bots, "rules.md"));
        assert!(!leads(&bots, "../README.md#the-signed") && !leads(&bots, "docs/rules.md"));
    }
}
