//! What a parser has against the form of a text, without the values in it, and where that is.

/// A parser's message (TOML or JSON) without the value or unknown name in it, which may be secret and of any length.
pub fn problem(message: &str) -> &str {
    let tells = ["invalid type", "invalid value", "unknown field"].iter().any(|kind| message.starts_with(kind));
    message.rfind("expected ").filter(|_| tells).map_or(message, |expected| &message[expected..])
}

/// What the parser says of a value of another kind, and which kind that is in the settings file.
const EXPECTED: [(&str, &str); 10] = [
    ("expected usize", "a whole number"),
    ("expected a boolean", "true or false"),
    ("expected a string", "text in quotes"),
    ("expected path string", "text in quotes"),
    ("wanted string", "text in quotes"),
    ("expected socket address", ADDRESS),
    ("invalid socket address", ADDRESS),
    ("expected a sequence", "a list in brackets"),
    ("expected a map", "a table"),
    ("expected struct ", "a table"),
];
/// What `listen` may be.
const ADDRESS: &str = "an address and port such as \"127.0.0.1:8080\"";

/// The problem that the TOML parser has, without the value and without the program's own types.
pub(super) fn in_terms_of_the_file(message: &str) -> String {
    let problem = problem(message);
    if message.starts_with("unknown field") {
        return format!("no such setting; {problem}");
    }
    if let Some(value) = message.strip_prefix("unknown variant ") {
        return format!("no such value: {value}");
    }
    let found = EXPECTED.iter().find(|(said, _)| problem.starts_with(said));
    found.map_or(problem.to_owned(), |(_, meant)| format!("expected {meant}"))
}

/// The number of the line that contains byte `at`, and the name of the setting on it, if there is one.
pub(super) fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let header = |line: &'_ str| line.trim().strip_prefix('[').map(|name| name.trim_end_matches(']').to_owned());
    let table = text.lines().take(number).filter_map(header).last().filter(|name| plain(&name.as_str()));
    let name = line.split_once('=').map(|(name, _)| name.trim()).filter(plain);
    let named: Vec<String> = table.into_iter().chain(name.map(str::to_owned)).collect();
    if named.is_empty() { format!("line {number}") } else { format!("line {number}, {}", named.join(".")) }
}
