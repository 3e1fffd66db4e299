//! A small lexer for Rust: enough to look at code without being fooled by comments and strings.

/// What kind of word a token is; comments, white space and lifetimes yield none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Integer,
    Float,
    /// A string or character; its text is dropped.
    Quoted,
    /// One character of punctuation, except `::`, which is one token.
    Sign,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Quoted && self.text == text
    }
}

/// Splits Rust source into tokens. Source that does not compile gives tokens all the same.
pub fn tokenize(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.text.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self) -> char {
        let c = self.peek(0);
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        c
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token { kind, text, line });
    }

    fn step(&mut self) {
        let (c, next, line) = (self.peek(0), self.peek(1), self.line);
        match c {
            _ if c.is_whitespace() => {
                self.advance();
            }
            '/' if next == '/' => {
                while self.at < self.text.len() && self.peek(0) != '\n' {
                    self.advance();
                }
            }
            '/' if next == '*' => self.block_comment(),
            '"' => self.quoted('"'),
            '\'' if next == '\\' || self.peek(2) == '\'' => self.quoted('\''),
            '\'' => {
                self.advance();
                self.word();
            }
            _ if c.is_ascii_digit() => self.number(),
            _ if c.is_alphabetic() || c == '_' => self.word_or_prefixed_string(),
            ':' if next == ':' => {
                self.at += 2;
                self.push(Kind::Sign, "::".into(), line);
            }
            _ => {
                self.advance();
                self.push(Kind::Sign, c.into(), line);
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.at += 2;
                }
                ('*', '/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {
                    self.advance();
                }
            }
        }
    }

    fn quoted(&mut self, end: char) {
        let line = self.line;
        self.advance();
        while self.at < self.text.len() {
            match self.advance() {
                '\\' => {
                    self.advance();
                }
                c if c == end => break,
                _ => {}
            }
        }
        self.push(Kind::Quoted, String::new(), line);
    }

    fn raw_string(&mut self) {
        let line = self.line;
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.at += 1;
        }
        self.advance();
        while self.at < self.text.len() {
            if self.advance() == '"' && (0..hashes).all(|n| self.peek(n) == '#') {
                self.at += hashes;
                break;
            }
        }
        self.push(Kind::Quoted, String::new(), line);
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.advance());
        }
        word
    }

    fn word_or_prefixed_string(&mut self) {
        let line = self.line;
        let word = self.word();
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        match self.peek(0) {
            '"' if raw => self.raw_string(),
            '#' if raw && matches!(self.peek(1), '"' | '#') => self.raw_string(),
            '#' if word == "r" => {
                self.at += 1;
                let name = self.word();
                self.push(Kind::Word, name, line);
            }
            '"' if matches!(word.as_str(), "b" | "c") => self.quoted('"'),
            '\'' if word == "b" => self.quoted('\''),
            _ => self.push(Kind::Word, word, line),
        }
    }

    /// `1.5`, `1e9` and `1f64` are floats; `1..2`, `pair.0.1`, `0xe9` and `1.max(2)` are not.
    fn number(&mut self) {
        let line = self.line;
        let of_a_tuple = matches!(&self.tokens[..], [.., before, dot] if dot.is(".") && !before.is("."));
        let mut text = self.word();
        let radix = text.len() > 1 && text.starts_with('0') && text.as_bytes()[1].is_ascii_alphabetic();
        let mut float = !radix && (text.ends_with("f32") || text.ends_with("f64") || has_exponent(&text));
        if !radix && !of_a_tuple && self.peek(0) == '.' {
            let after = self.peek(1);
            if after.is_ascii_digit() || !(after == '.' || after.is_alphabetic() || after == '_') {
                self.at += 1;
                text.push('.');
                text.push_str(&self.word());
                float = true;
            }
        }
        self.push(if float { Kind::Float } else { Kind::Integer }, text, line);
    }
}

fn has_exponent(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    digits.strip_prefix(['e', 'E']).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let words = tokenize(text).into_iter().filter(|token| token.kind == Kind::Word);
        words.map(|token| token.text).collect()
    }

    fn floats(text: &str) -> usize {
        tokenize(text).iter().filter(|token| token.kind == Kind::Float).count()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(words(r##"g("h \" i", r#"j " k"#, b"l", 'm', '\'') n"##), ["g", "n"]);
        assert_eq!(words("fn o<'p>(q: &'p r#type) {}"), ["fn", "o", "q", "type"]);
    }

    #[test]
    fn floats_are_told_from_ranges_and_tuple_fields() {
        assert_eq!(floats("1.5 + 2. + 1e9 + 3f64 + 1e-9; 0.5..2.5"), 7);
        assert_eq!(floats("0..10; pair.0.1; 0xe9; 1.max(2); 1_000u64; 7usize"), 0);
    }

    #[test]
    fn lines_are_counted_through_strings() {
        assert_eq!(tokenize("\"a\nb\"\nc").last().map(|token| token.line), Some(3));
    }
}
