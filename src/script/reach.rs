//! What the text of a phase's body reaches: the script functions that it calls, and theirs, and which keys of maps are named
//! anywhere in them. By name alone, so that rather too much is taken to be reached than too little.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lexer::{Kind, Token, lex};
use crate::plan::Code;

/// Methods that take a map as a whole: behind them any key may be read.
const WHOLE: &[&str] = &[
    "keys",
    "values",
    "to_json",
    "mixin",
    "fill_with",
    "to_array",
    "drain",
    "retain",
];

/// A piece of script.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    /// Its tokens without comments and layout.
    text: String,
    /// The names in it.
    words: BTreeSet<String>,
    /// The names behind a point, and the texts in quotes: what may be a key.
    keys: BTreeSet<String>,
}

/// The functions of some sources by name; those of one name are taken together.
#[derive(Clone, Debug, Default)]
pub(super) struct Functions {
    by_name: BTreeMap<String, Piece>,
    /// Those that belong to jumar itself: a newer jumar is no change of the script.
    own: BTreeSet<String>,
}

/// All that a body reaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// The body, and the script's functions.
    pub code: Arc<Code>,
    keys: BTreeSet<String>,
}

impl Reach {
    /// Whether the value behind a key of a captured map may be read.
    pub(super) fn may_read(&self, key: &str) -> bool {
        self.keys.contains(key) || WHOLE.iter().any(|name| self.keys.contains(*name))
    }
}

impl Piece {
    /// The piece that these tokens are.
    pub(super) fn of(text: &str, tokens: &[Token]) -> Piece {
        let mut piece = Piece::default();
        let mut behind_point = false;
        for token in tokens {
            let word = &text[token.range.clone()];
            match token.kind {
                Kind::Space | Kind::Comment => continue,
                Kind::Word => {
                    piece.words.insert(word.into());
                    if behind_point {
                        piece.keys.insert(word.into());
                    }
                }
                Kind::Text => {
                    piece.keys.insert(word.trim_matches(['"', '\'', '`']).into());
                }
                _ => {}
            }
            behind_point = word == ".";
            if !piece.text.is_empty() {
                piece.text.push(' ');
            }
            piece.text.push_str(word);
        }
        piece
    }

    fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex()[..16].to_string()
    }
}

impl Functions {
    /// Takes in the functions of a source; `own` says that it belongs to jumar.
    pub(super) fn add(&mut self, text: &str, own: bool) {
        let tokens: Vec<Token> = lex(text)
            .tokens
            .into_iter()
            .filter(|t| !matches!(t.kind, Kind::Space | Kind::Comment))
            .collect();
        let word = |at: usize| tokens.get(at).map(|t| &text[t.range.clone()]);
        for at in 0..tokens.len() {
            if word(at) != Some("fn") || tokens.get(at + 1).is_none_or(|t| t.kind != Kind::Word) {
                continue;
            }
            let name = word(at + 1).unwrap_or_default();
            // The parameters in brackets, then the body in braces.
            let Some(end) = end_of(&tokens, text, at + 2).and_then(|end| end_of(&tokens, text, end)) else {
                continue;
            };
            let piece = Piece::of(text, &tokens[at + 2..end]);
            let known = self.by_name.entry(name.into()).or_default();
            known.text.push_str(&piece.text);
            known.words.extend(piece.words);
            known.keys.extend(piece.keys);
            if own {
                self.own.insert(name.into());
            }
        }
    }

    /// What a body reaches.
    pub(super) fn reach(&self, body: &Piece) -> Reach {
        let mut functions = BTreeMap::new();
        let mut keys = body.keys.clone();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = body.words.iter().collect();
        while let Some(word) = open.pop() {
            let Some(piece) = self.by_name.get(word).filter(|_| seen.insert(word)) else {
                continue;
            };
            if !self.own.contains(word) {
                functions.insert(word.clone(), piece.hash());
            }
            keys.extend(piece.keys.iter().cloned());
            open.extend(&piece.words);
        }
        let text = Some(body.hash());
        Reach {
            code: Arc::new(Code { text, functions }),
            keys,
        }
    }
}

/// The token behind the bracket that closes the one at `start`.
fn end_of(tokens: &[Token], text: &str, start: usize) -> Option<usize> {
    if tokens.get(start)?.kind != Kind::Open {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            // The end of an interpolation is part of the text behind it.
            Kind::Text if text[token.range.clone()].starts_with('}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(functions: &str, body: &str) -> Reach {
        let mut known = Functions::default();
        known.add(functions, false);
        known.add("fn theirs(p) { p.hidden }", true);
        known.reach(&Piece::of(body, &lex(body).tokens))
    }

    #[test]
    fn functions_are_reached_through_others_and_what_is_not_called_is_not() {
        let functions = "fn a(p) { b(p) } fn b(p) { `x ${p.lr}` } fn c(p) { p.other } fn d() { d() }";
        let found = reach(functions, "|| { a(p); d(); theirs(p) }");
        assert_eq!(found.code.functions.keys().collect::<Vec<_>>(), ["a", "b", "d"]);
        assert!(found.may_read("lr") && found.may_read("hidden") && !found.may_read("other"));
    }

    #[test]
    fn a_map_that_is_taken_as_a_whole_may_have_any_key_read() {
        assert!(reach("", "|| { p.keys() }").may_read("anything"));
        assert!(reach("", "|| { p[\"lr\"] }").may_read("lr"));
        assert!(!reach("", "|| { p.lr }").may_read("batch"));
    }

    #[test]
    fn only_the_function_that_was_changed_has_another_hash() {
        let body = "|| { a(1) }";
        let one = reach("fn a(x) { b(x) } fn b(x) { x }", body);
        let other = reach("fn a(x) { b(x) /* same */ }\nfn b(x) { x + 1 }", body);
        assert_eq!(
            (&one.code.text, &one.code.functions["a"]),
            (&other.code.text, &other.code.functions["a"])
        );
        assert_ne!(one.code.functions["b"], other.code.functions["b"]);
    }
}
