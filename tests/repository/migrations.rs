//! Both databases have the same migrations: the same numbers and names, and the same tables with the same columns.

use crate::assert_none;
use crate::source::{Source, files};

const FOLDER: &str = "src/storage/migrations";

#[test]
fn migrations_come_in_pairs() {
    let sources = files(&[FOLDER], &[".sql"]);
    assert!(!sources.is_empty());
    assert_none("migrations for one database that the other lacks, or has otherwise:", &unpaired(&sources));
}

fn unpaired(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let name = source.path.trim_start_matches(FOLDER).trim_start_matches('/');
        let Some((database, rest)) = name.split_once('/').filter(|(of, _)| matches!(*of, "sqlite" | "postgres")) else {
            findings.push(format!("{}: neither in sqlite/ nor in postgres/, so nothing runs it", source.path));
            continue;
        };
        let other = if database == "sqlite" { "postgres" } else { "sqlite" };
        let twin = format!("{FOLDER}/{other}/{rest}");
        match sources.iter().find(|source| source.path == twin) {
            None => findings.push(format!("{}: there is no {twin}", source.path)),
            Some(twin) if words(&twin.text) != words(&source.text) => {
                findings.push(format!("{}: other tables or columns than {}", source.path, twin.path));
            }
            Some(_) => {}
        }
    }
    findings
}

/// What creates tables and indexes, in the words of one database.
fn words(text: &str) -> Vec<String> {
    let statements = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let created =
        statements.split(';').map(str::trim).filter(|statement| !statement.starts_with("ALTER TABLE journal"));
    let common = created.collect::<Vec<_>>().join(";").replace("WITHOUT ROWID", "");
    common
        .split_whitespace()
        .map(|word| word.replace("INTEGER", "BIGINT").replace("BLOB", "BYTEA"))
        .collect::<String>()
        .split(';')
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_missing_twin_and_another_column_are_found() {
    let source =
        |path: &str, text: &str| Source { path: format!("{FOLDER}/{path}"), text: format!("CREATE TABLE t ({text});") };
    let pair = |one: &str, other: &str| unpaired(&[source("sqlite/h/1.sql", one), source("postgres/h/1.sql", other)]);
    assert_eq!(pair("a INTEGER, b BLOB", "a BIGINT, b BYTEA").len(), 0);
    assert_eq!(pair("a INTEGER, b BLOB", "a BIGINT").len(), 2);
    assert_eq!(unpaired(&[source("sqlite/h/1.sql", "a INTEGER")]).len(), 1);
    assert_eq!(unpaired(&[source("h/1.sql", "a INTEGER")]).len(), 1);
}
