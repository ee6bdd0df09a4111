//! Two steps of one name, one after the other in the same block: the second can only fail.

use std::collections::BTreeMap;

use super::{Finding, Severity};
use crate::script::scan::{Kind, Token, place, tokens};

/// Steps whose literal name stands twice among the statements of one block. Of the arms of an `if` only one is run: those
/// are blocks of their own.
pub(super) fn doubled(text: &str) -> Vec<Finding> {
    let found = tokens(text);
    let word = |at: usize| found.get(at).map_or("", |t: &Token| &text[t.span.clone()]);
    let mut blocks: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new()];
    let mut doubled = vec![];
    for at in 0..found.len() {
        match word(at) {
            "{" => blocks.push(BTreeMap::new()),
            "}" if blocks.len() > 1 => {
                blocks.pop();
            }
            "step" if begins_a_statement(at, word) && word(at + 1) == "(" && word(at + 3) == "," => {
                let name = &found[at + 2];
                let Some(block) = blocks.last_mut().filter(|_| name.kind == Kind::Quoted) else {
                    continue;
                };
                let at = place(text, name.span.start);
                let line = at.line().unwrap_or(0);
                let name = text[name.span.clone()].trim_matches('"');
                if let Some(first) = block.insert(name, line) {
                    doubled.push(Finding {
                        severity: Severity::Error,
                        code: "duplicate-step",
                        message: format!("step `{name}` is there twice in this body (first in line {first})"),
                        help: None,
                        line,
                        column: at.position().unwrap_or(1),
                    });
                }
            }
            _ => {}
        }
    }
    doubled
}

/// `step(…)`, or `let x = step(…)`.
fn begins_a_statement<'a>(at: usize, word: impl Fn(usize) -> &'a str) -> bool {
    let before = |back: usize| at.checked_sub(back).map_or(";", &word);
    match before(1) {
        "{" | "}" | ";" => true,
        "=" => before(3) == "let",
        _ => false,
    }
}
