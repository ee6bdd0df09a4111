//! A script's text as words, texts and marks with their places: what a tree no longer knows, and what a text that does
//! not parse still has.
//!
//! The rules are those of the Rhai book's chapter on literals and comments: <https://rhai.rs/book/language/strings-chars.html>.

use std::ops::Range;

use rhai::Position;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// A text in double quotes.
    Quoted,
    /// A text in backticks, or the part of it up to a `${` or from its `}`.
    Backticks,
    /// Something in single quotes.
    Single,
    /// One sign.
    Mark(char),
}

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Range<usize>,
}

impl Token {
    /// Whether it is this mark.
    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// All tokens of a text; comments and blanks are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scan = Scan {
        text,
        at: 0,
        depth: 0,
        filled: vec![],
        found: vec![],
    };
    if text.trim_start_matches('\u{feff}').starts_with("#!") {
        scan.at = text.find('\n').unwrap_or(text.len());
    }
    while scan.at < text.len() {
        scan.next();
    }
    scan.found
}

/// The place of a byte: line and column in characters, both from 1.
pub(super) fn place(text: &str, byte: usize) -> Position {
    let before = &text[..byte.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position::new(
        line.try_into().unwrap_or(u16::MAX),
        column.try_into().unwrap_or(u16::MAX),
    )
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The depths of braces at which a text in backticks goes on.
    filled: Vec<usize>,
    found: Vec<Token>,
}

impl Scan<'_> {
    fn next(&mut self) {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else { return };
        let word = |c: char| c.is_alphanumeric() || c == '_';
        match first {
            _ if first.is_whitespace() => self.at += first.len_utf8(),
            _ if rest.starts_with("//") => self.at += rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => self.comment(),
            '"' => self.quoted('"', Kind::Quoted),
            '\'' => self.quoted('\'', Kind::Single),
            '`' => self.backticks(1),
            '#' if raw_text(rest).is_some() => {
                let length = raw_text(rest).unwrap_or(1);
                self.take(Kind::Backticks, length);
            }
            _ if word(first) => {
                let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
                self.take(Kind::Word, length);
            }
            '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.take(Kind::Mark('}'), 1);
                if self.filled.last() == Some(&self.depth) {
                    self.filled.pop();
                    self.backticks(0);
                }
            }
            mark => {
                self.depth += usize::from(mark == '{');
                self.take(Kind::Mark(mark), mark.len_utf8());
            }
        }
    }

    fn take(&mut self, kind: Kind, length: usize) {
        let span = self.at..self.at + length;
        self.at = span.end;
        self.found.push(Token { kind, span });
    }

    /// Comments in stars nest.
    fn comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind) {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        self.take(kind, end.map_or(rest.len(), |(at, _)| at + 1));
    }

    /// From behind the first `skip` bytes to the end of the text or to its next `${`.
    fn backticks(&mut self, skip: usize) {
        let rest = &self.text[self.at..];
        let mut at = skip;
        while at < rest.len() {
            if rest[at..].starts_with("``") {
                at += 2;
            } else if rest[at..].starts_with('`') {
                return self.take(Kind::Backticks, at + 1);
            } else if rest[at..].starts_with("${") {
                self.take(Kind::Backticks, at + 1);
                self.filled.push(self.depth);
                self.depth += 1;
                return self.take(Kind::Mark('{'), 1);
            } else {
                at += rest[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        self.take(Kind::Backticks, rest.len());
    }
}

/// The length of a text like `#"…"#`, if one begins here.
fn raw_text(rest: &str) -> Option<usize> {
    let signs = rest.bytes().take_while(|b| *b == b'#').count();
    let inside = rest[signs..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(signs));
    Some(inside.find(&end).map_or(rest.len(), |at| signs + 1 + at + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|t| &text[t.span]).collect()
    }

    #[test]
    fn texts_and_comments_hide_what_is_in_them() {
        assert_eq!(
            words("a /* { /* } */ { */ \"{ \\\" }\" // {\n'{' b1"),
            ["a", "\"{ \\\" }\"", "'{'", "b1"]
        );
        assert_eq!(words("#!/usr/bin/env {\n#\"a \" b\"# #{"), ["#\"a \" b\"#", "#", "{"]);
    }

    #[test]
    fn what_is_filled_into_backticks_is_read_as_the_code_it_is() {
        assert_eq!(
            words("`a ${ f(#{ x: `i${1}` }) } \" b` c"),
            [
                "`a $", "{", "f", "(", "#", "{", "x", ":", "`i$", "{", "1", "}", "`", "}", ")", "}", " \" b`", "c"
            ]
        );
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_1() {
        assert_eq!(place("ä\nöx", 5), Position::new(2, 2));
        assert_eq!(place("", 9), Position::new(1, 1));
    }
}
