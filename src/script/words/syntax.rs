//! What does not parse: where something is missing, and which bracket was never closed.

use std::ops::Range;

use rhai::{LexError, ParseErrorType, Position};

use super::{Around, Words, said, variable_not_found};
use crate::script::diagnostics::span;
use crate::script::scan::{Kind, Token, place, tokens};

/// A fault of syntax in words.
pub(super) fn parse_words(kind: &ParseErrorType, at: Position, around: &Around) -> Words {
    let text = around.text;
    let may_be_open = match kind {
        ParseErrorType::UnexpectedEOF | ParseErrorType::BadInput(LexError::UnexpectedInput(_)) => true,
        ParseErrorType::MissingToken(token, _) => matches!(token.as_str(), "}" | ")" | "]" | ";" | ","),
        _ => false,
    };
    if may_be_open
        && let Some(open) = unclosed(text)
        && (open.certain || !matches!(kind, ParseErrorType::MissingToken(token, _) if token == ";" || token == ","))
    {
        let place_of = |byte: usize| place(text, byte);
        let beside = open
            .met
            .map(|met| (place_of(met.start), format!("`{}` is needed before this", open.wanted)));
        return Words {
            message: format!("this `{}` is never closed", &text[open.opened.clone()]),
            helps: vec![],
            at: Some(place_of(open.opened.start)),
            beside,
        };
    }
    if let ParseErrorType::MissingToken(token, _) = kind
        && token == ","
        && let Some(open) = ended_inside(text, at)
    {
        return Words {
            at: Some(place(text, open.start)),
            beside: Some((at, "the statement ends before it".into())),
            ..said(format!("this `{}` is never closed", &text[open]))
        };
    }
    match kind {
        ParseErrorType::VariableUndefined(name) => variable_not_found(name, around),
        ParseErrorType::ModuleUndefined(name) => {
            said(format!("no module is imported as `{name}`")).help(format!("import \"std/{name}\" as {name};"))
        }
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            said("the text is not ended").help("end it with `\"`; a text over several lines is written in backticks")
        }
        ParseErrorType::BadInput(LexError::MalformedChar(inside)) => {
            said(format!("'{inside}' is no text: single quotes hold one character"))
                .help(format!("write it in double quotes: \"{inside}\""))
        }
        ParseErrorType::ForbiddenVariable(name) => said(format!("`{name}` is jumar's own; choose another name")),
        ParseErrorType::Reserved(name) if name == "#" => {
            said("`#` begins nothing here").help("a comment begins with `//`, a map is written `#{ key: value }`")
        }
        ParseErrorType::Reserved(name) => said(format!("`{name}` is a reserved word")),
        ParseErrorType::MissingToken(token, what) if matches!(token.as_str(), ";" | ",") => {
            missing(token, what, at, text)
        }
        other => said(other.to_string()),
    }
}

/// The bracket that is open where a statement ends too early.
fn ended_inside(text: &str, at: Position) -> Option<Range<usize>> {
    let end = span(text, at).start;
    if !text[end..].starts_with(';') {
        return None;
    }
    let mut open = vec![];
    for token in tokens(text).into_iter().take_while(|t| t.span.start < end) {
        match token.kind {
            Kind::Mark('{' | '(' | '[') => open.push(token.span),
            Kind::Mark('}' | ')' | ']') => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

/// Rhai complains of the word after the one that lacks something behind it.
fn missing(token: &str, what: &str, at: Position, text: &str) -> Words {
    let start = span(text, at).start;
    let before = tokens(text).into_iter().rev().find(|t| t.span.end <= start);
    if let Some(help) = before.as_ref().and_then(|before| python_habit(before, text)) {
        return said(format!("`{token}` is missing here {what}")).help(help);
    }
    let Some(before) = before.filter(|t| !text[t.span.end..start].is_empty() && text[t.span.end..start].contains('\n'))
    else {
        return said(format!("`{token}` is missing here {what}"));
    };
    let behind = place(text, before.span.end);
    let line = behind.line().unwrap_or(0);
    let words = if token == ";" {
        said("`;` is missing at the end of this line").help(format!("end the statement in line {line} with `;`"))
    } else {
        said("`,` or a closing bracket is missing at the end of this line").help(format!("it is needed {what}"))
    };
    Words {
        at: Some(behind),
        ..words
    }
}

/// What was probably meant by a word and what follows it, when that is how Python would say it.
fn python_habit(word: &Token, text: &str) -> Option<String> {
    if word.kind != Kind::Word {
        return None;
    }
    let (name, rest) = (&text[word.span.clone()], &text[word.span.end..]);
    if rest.starts_with('"') && matches!(name, "f" | "r" | "rf" | "fr" | "b") {
        return Some("write a text that has values in it between backticks: `echo ${name}`".into());
    }
    let is_named_argument = rest.trim_start().starts_with(':') && !rest.trim_start().starts_with("::");
    is_named_argument.then(|| format!("options are one map, behind the other arguments: #{{ {name}: … }}"))
}

struct Unclosed {
    opened: Range<usize>,
    wanted: char,
    met: Option<Range<usize>>,
    /// A bracket of another kind closes it: no indentation was asked.
    certain: bool,
}

/// The bracket that is not closed, if there is one: one that another kind of bracket would close, or at the end of the text
/// the one whose partner stands further to the left or right than the line that opens it.
fn unclosed(text: &str) -> Option<Unclosed> {
    let found = tokens(text);
    let mut open: Vec<(&Token, char)> = vec![];
    let mut crooked: Option<(&Token, char)> = None;
    for token in &found {
        match token.kind {
            Kind::Mark('{') => open.push((token, '}')),
            Kind::Mark('(') => open.push((token, ')')),
            Kind::Mark('[') => open.push((token, ']')),
            Kind::Mark(closing @ ('}' | ')' | ']')) => {
                let (opened, wanted) = open.pop()?;
                if wanted != closing {
                    let (opened, wanted) = crooked.unwrap_or((opened, wanted));
                    return Some(Unclosed {
                        opened: opened.span.clone(),
                        wanted,
                        met: Some(token.span.clone()),
                        certain: true,
                    });
                }
                let begins_its_line = text[line_start(text, token.span.start)..token.span.start]
                    .trim()
                    .is_empty();
                if begins_its_line && indent(text, token.span.start) != indent(text, opened.span.start) {
                    crooked.get_or_insert((opened, wanted));
                }
            }
            _ => {}
        }
    }
    let last = open.last().copied()?;
    let (opened, wanted) = crooked.unwrap_or(last);
    Some(Unclosed {
        opened: opened.span.clone(),
        wanted,
        met: None,
        certain: false,
    })
}

fn line_start(text: &str, byte: usize) -> usize {
    text[..byte].rfind('\n').map_or(0, |at| at + 1)
}

fn indent(text: &str, byte: usize) -> &str {
    let line = &text[line_start(text, byte)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
