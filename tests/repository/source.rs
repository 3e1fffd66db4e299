//! Finds and reads the files that the rules speak about.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tokens::{Token, tokenize};

/// One file of the repository: its path from the root with forward slashes, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// The module under `src/` that the file belongs to: `engine` for `src/engine/book.rs` and for
    /// `src/engine.rs`, `lib` for `src/lib.rs`. Empty outside `src/`.
    pub fn module(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or("");
        let first = inner.split('/').next().unwrap_or("");
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules deep the file is below the crate root: 1 for `src/engine/mod.rs`.
    pub fn depth(&self) -> usize {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let folders = inner.matches('/').count();
        if inner.ends_with("/mod.rs") { folders } else { folders + 1 }
    }

    pub fn tokens(&self) -> Vec<Token> {
        tokenize(&self.text)
    }
}

/// The repository's root: the package's own folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads one file that must be there.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files under `folders` whose name ends in one of `endings`, sorted by path.
pub fn files(folders: &[&str], endings: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut paths);
    }
    let mut sources: Vec<Source> = paths
        .iter()
        .filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)))
        .map(|path| Source {
            path: relative(path),
            text: fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "nothing under {folders:?}: a rule that sees no file holds nothing");
    sources
}

fn relative(path: &Path) -> String {
    let inner = path.strip_prefix(root()).expect("walked from the root");
    inner.to_string_lossy().replace('\\', "/")
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.expect("readable folder").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let made = |name: &str| ["target", "node_modules", "built"].contains(&name) || name.starts_with('.');
        let skipped = name.is_some_and(|name| made(&name));
        match path.is_dir() {
            true if !skipped => walk(&path, paths),
            false if !skipped => paths.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_module_and_depth() {
        let source = |path: &str| Source { path: path.into(), text: String::new() };
        assert_eq!(source("src/engine/book.rs").module(), "engine");
        assert_eq!(source("src/engine/workflows/mod.rs").depth(), 2);
        assert_eq!(source("src/engine/mod.rs").depth(), 1);
        assert_eq!(source("src/config.rs").module(), "config");
        assert_eq!(source("src/config.rs").depth(), 1);
        assert_eq!(source("tests/system/main.rs").module(), "");
    }
}
