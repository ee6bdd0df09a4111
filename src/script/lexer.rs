//! A script's text as tokens, comments and blanks included: for the text of a phase's body, for colours, and to know what
//! is still open at the end of what was typed.
//!
//! Rhai's own lexer drops comments and loses its way after an interpolation. The tokens follow the language's reference,
//! chapters "Comments", "Strings and characters" and "Numbers" (rhai.rs/book).

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blanks and line ends.
    Space,
    /// A comment, over lines or not.
    Comment,
    /// A text or a character in quotes, or the part of a text in backticks outside `${…}`.
    Text,
    /// A number.
    Number,
    /// A name or a keyword.
    Word,
    /// `(`, `[`, `{` or `#{`, and the `${` of a text in backticks.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// Anything else.
    Symbol,
}

/// A token and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub range: Range<usize>,
}

/// The tokens of a text.
#[derive(Clone, Debug, Default)]
pub struct Lexed {
    /// They cover the text without a gap.
    pub tokens: Vec<Token>,
    /// Whether a bracket, a comment or a text in backticks is still open at the end.
    pub open: bool,
}

/// What is open while reading.
#[derive(PartialEq)]
enum Bracket {
    Plain,
    /// The `${` of a text in backticks: its `}` goes back into the text.
    Interpolation,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    brackets: Vec<Bracket>,
    open: bool,
}

/// Reads a text. Any text has tokens: what is no token of the language is a symbol.
pub fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: vec![],
        brackets: vec![],
        open: false,
    };
    while lexer.at < text.len() {
        lexer.next();
    }
    Lexed {
        open: lexer.open || !lexer.brackets.is_empty(),
        tokens: lexer.tokens,
    }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token {
            kind,
            range: self.at..self.at + length,
        });
        self.at += length;
    }

    fn length_while(&self, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        rest.find(|c| !wanted(c)).unwrap_or(rest.len())
    }

    fn next(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        if first == '#' && self.raw_text() {
            return;
        }
        if first.is_whitespace() {
            let length = self.length_while(char::is_whitespace);
            self.take(Kind::Space, length);
        } else if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            self.take(Kind::Comment, length);
        } else if rest.starts_with("/*") {
            self.block_comment();
        } else if first == '"' {
            self.quoted('"');
        } else if first == '\'' {
            self.quoted('\'');
        } else if first == '`' {
            self.backticks(1);
        } else if first.is_ascii_digit() {
            self.number();
        } else if first.is_alphabetic() || first == '_' {
            let length = self.length_while(|c| c.is_alphanumeric() || c == '_');
            self.take(Kind::Word, length);
        } else if rest.starts_with("#{") {
            self.open(2);
        } else if matches!(first, '(' | '[' | '{') {
            self.open(1);
        } else if matches!(first, ')' | ']' | '}') {
            self.close(first);
        } else {
            self.take(Kind::Symbol, first.len_utf8());
        }
    }

    fn open(&mut self, length: usize) {
        self.brackets.push(Bracket::Plain);
        self.take(Kind::Open, length);
    }

    fn close(&mut self, bracket: char) {
        if self.brackets.pop() == Some(Bracket::Interpolation) && bracket == '}' {
            // The text in backticks goes on behind it.
            self.backticks(1);
        } else {
            self.take(Kind::Close, 1);
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let (mut depth, mut length) = (0, 0);
        let rest = self.rest();
        while length < rest.len() {
            let here = &rest[length..];
            if here.starts_with("/*") {
                depth += 1;
                length += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                length += 2;
                if depth == 0 {
                    break;
                }
            } else {
                length += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        self.open |= depth > 0;
        self.take(Kind::Comment, length);
    }

    /// A text that ends at its quote, or at the end of the line; a line that ends in a backslash goes on.
    fn quoted(&mut self, quote: char) {
        let mut characters = self.rest().char_indices().skip(1);
        let mut length = self.rest().len();
        while let Some((at, c)) = characters.next() {
            if c == '\\' {
                characters.next();
            } else if c == quote || c == '\n' {
                length = at + usize::from(c == quote);
                break;
            }
        }
        self.take(Kind::Text, length);
    }

    /// The part of a text in backticks from here to its end or to the next `${`; the first `skip` bytes belong to it.
    fn backticks(&mut self, skip: usize) {
        let rest = self.rest();
        let mut characters = rest.char_indices().skip(skip).peekable();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => {
                    characters.next();
                }
                // Twice is one that belongs to the text.
                '`' if characters.peek().is_some_and(|(_, next)| *next == '`') => {
                    characters.next();
                }
                '`' => return self.take(Kind::Text, at + 1),
                '$' if rest[at..].starts_with("${") => {
                    self.take(Kind::Text, at);
                    self.brackets.push(Bracket::Interpolation);
                    return self.take(Kind::Open, 2);
                }
                _ => {}
            }
        }
        self.open = true;
        let length = self.rest().len();
        self.take(Kind::Text, length);
    }

    /// `#"…"#` with any number of `#`; `false` when there is none here.
    fn raw_text(&mut self) -> bool {
        let rest = self.rest();
        let marks = rest.len() - rest.trim_start_matches('#').len();
        if !rest[marks..].starts_with('"') {
            return false;
        }
        let end = format!("\"{}", "#".repeat(marks));
        let length = rest[marks + 1..].find(&end).map(|at| marks + 1 + at + end.len());
        self.open |= length.is_none();
        self.take(Kind::Text, length.unwrap_or(rest.len()));
        true
    }

    fn number(&mut self) {
        let digits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut length = self.length_while(digits);
        let rest = self.rest();
        // A point belongs to it when a digit follows: `1.abs()` and `1..3` are something else.
        if rest[length..].starts_with('.') && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            let fraction = &rest[length + 1..];
            length += 1 + fraction.find(|c| !digits(c)).unwrap_or(fraction.len());
        }
        let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
        let exponent = rest[..length].ends_with(['e', 'E']) && !hexadecimal;
        if exponent && rest[length..].starts_with(['+', '-']) {
            let power = &rest[length + 1..];
            length += 1 + power.find(|c| !digits(c)).unwrap_or(power.len());
        }
        self.take(Kind::Number, length);
    }
}

/// The tokens of the last argument of the call whose name begins at byte `start`, placed in `text`. `None` when there is no
/// such call.
pub(super) fn last_argument(text: &str, start: usize) -> Option<Vec<Token>> {
    let rest = text.get(start..)?;
    let mut tokens: Vec<Token> = vec![];
    let mut depth = 0_usize;
    for token in lex(rest).tokens {
        let word = &rest[token.range.clone()];
        match token.kind {
            Kind::Space | Kind::Comment => continue,
            Kind::Open => {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            }
            // An interpolation's end is part of the text behind it.
            Kind::Text if word.starts_with('}') => depth = depth.saturating_sub(1),
            Kind::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(tokens);
                }
            }
            Kind::Word if depth == 0 => continue,
            Kind::Symbol if depth == 1 && word == "," => {
                tokens.clear();
                continue;
            }
            // Between the name and the bracket nothing but blanks may stand.
            _ if depth == 0 => return None,
            _ => {}
        }
        tokens.push(Token {
            kind: token.kind,
            range: start + token.range.start..start + token.range.end,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<(Kind, &str)> {
        let tokens = lex(text).tokens.into_iter();
        tokens
            .map(|t| (t.kind, &text[t.range]))
            .filter(|(kind, _)| *kind != Kind::Space)
            .collect()
    }

    #[test]
    fn every_kind_of_token_is_told_apart() {
        assert_eq!(
            words("let a_1 = 1.5e-3 + 0xff; // c\n"),
            [
                (Kind::Word, "let"),
                (Kind::Word, "a_1"),
                (Kind::Symbol, "="),
                (Kind::Number, "1.5e-3"),
                (Kind::Symbol, "+"),
                (Kind::Number, "0xff"),
                (Kind::Symbol, ";"),
                (Kind::Comment, "// c")
            ]
        );
        assert_eq!(words("1..3")[0], (Kind::Number, "1"));
        assert_eq!(words(r#"f("a\"b", 'c')"#)[2], (Kind::Text, r#""a\"b""#));
        assert_eq!(words("#{ a: 1 }")[0], (Kind::Open, "#{"));
        assert_eq!(words("##\"a\"#b\"## x")[0], (Kind::Text, "##\"a\"#b\"##"));
        assert_eq!(words("/* a /* b */ c */ d")[0], (Kind::Comment, "/* a /* b */ c */"));
    }

    #[test]
    fn what_is_interpolated_is_read_as_script() {
        assert_eq!(
            words("`a ${b + #{c: `d`}.c} e` f"),
            [
                (Kind::Text, "`a "),
                (Kind::Open, "${"),
                (Kind::Word, "b"),
                (Kind::Symbol, "+"),
                (Kind::Open, "#{"),
                (Kind::Word, "c"),
                (Kind::Symbol, ":"),
                (Kind::Text, "`d`"),
                (Kind::Close, "}"),
                (Kind::Symbol, "."),
                (Kind::Word, "c"),
                (Kind::Text, "} e`"),
                (Kind::Word, "f")
            ]
        );
    }

    #[test]
    fn what_is_open_at_the_end_is_known() {
        for open in ["f(", "#{ a: [", "`a", "`a ${b", "/* a", "/* /* */", "if x {", "#\"a"] {
            assert!(lex(open).open, "{open}");
        }
        for closed in ["f()", "\"a", "`a ${b} c`", "/* a */", "a)", "// (", "'a'", "`a``b`"] {
            assert!(!lex(closed).open, "{closed}");
        }
    }

    #[test]
    fn the_last_argument_does_not_change_with_the_layout() {
        let one = r#"x; phase("a", #{ after: ["b", "c"] }, || { shell(`run ${n, 1}`); /* why */ f(1, 2) }); y"#;
        let other = "x; phase (\"a\",\n  #{ after: [\"b\"] },\n || {\n  shell(`run ${n,1}`); // other\n  f( 1,2 )\n});";
        let words = |text: &str| -> Vec<String> {
            let tokens = last_argument(text, 3).expect("there is one").into_iter();
            tokens.map(|t| text[t.range].to_string()).collect()
        };
        assert_eq!(
            words(one).join(" "),
            "| | { shell ( `run  ${ n , 1 }` ) ; f ( 1 , 2 ) }"
        );
        assert_eq!(words(other), words(one));
        assert_eq!(last_argument("x + 1", 0), None);
        assert_eq!(last_argument("phase(\"a\", body", 0), None);
    }

    proptest! {
        #[test]
        fn tokens_cover_any_text_without_a_gap(text in "[-a-z0-9 \n(){}\\[\\]#\"'`$/*\\\\.é]{0,60}") {
            let mut at = 0;
            for token in lex(&text).tokens {
                prop_assert_eq!(token.range.start, at);
                prop_assert!(token.range.end > at);
                at = token.range.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
