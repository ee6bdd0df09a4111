//! What Rhai's errors mean, in words of jumar's scripts, and what to do about them.

use std::ops::Range;

use rhai::{Engine, EvalAltResult, LexError, ParseErrorType, Position};

use super::imports::{functions_of, imports};
use super::scan::{Kind, Token, place, tokens};
use super::shared::Shared;
use crate::plan::nearest;

/// An error in words.
#[derive(Default)]
pub(super) struct Words {
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub helps: Vec<String>,
    /// Where it is, when that is better known than Rhai knows it.
    pub at: Option<Position>,
    /// Another place that belongs to it, with what is to be said there.
    pub beside: Option<(Position, String)>,
}

/// The script in which an error is.
pub(super) struct Around<'a> {
    /// The script's name.
    pub name: &'a str,
    /// Its text; empty when it is not known.
    pub text: &'a str,
    pub shared: &'a Shared,
    pub engine: Option<&'a Engine>,
}

fn said(message: impl Into<String>) -> Words {
    Words {
        message: message.into(),
        ..Words::default()
    }
}

impl Words {
    fn help(mut self, help: impl Into<String>) -> Words {
        self.helps.push(help.into());
        self
    }
}

/// What an error means.
pub(super) fn words(error: &EvalAltResult, around: &Around) -> Words {
    let at = error.position();
    match error {
        EvalAltResult::ErrorRuntime(value, _) => {
            let map = value.read_lock::<rhai::Map>();
            let message = map.as_ref().and_then(|m| m.get("message")).map(ToString::to_string);
            said(message.unwrap_or_else(|| {
                if value.is_unit() {
                    "the script threw nothing".into()
                } else {
                    value.to_string()
                }
            }))
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => function_not_found(signature, around),
        EvalAltResult::ErrorVariableNotFound(name, _) => variable_not_found(name, around),
        EvalAltResult::ErrorParsing(kind, _) => parse_words(kind, at, around),
        EvalAltResult::ErrorModuleNotFound(path, _) => said(format!("no module is called \"{path}\""))
            .help("an import is `std/…`, or a path beside the file that imports it"),
        EvalAltResult::ErrorStackOverflow(_) => said("the script calls itself too deeply (192 levels)"),
        EvalAltResult::Exit(..) => {
            said("exit() would end the whole script").help("`return` leaves a phase, `throw` fails it")
        }
        EvalAltResult::ErrorTerminated(..) => said("the script was stopped"),
        EvalAltResult::ErrorDotExpr(rhais, _) => property(rhais, at, around),
        other => said(without_place(other.to_string())),
    }
}

/// Rhai appends the place, which the drawing shows better.
fn without_place(mut text: String) -> String {
    if let Some(cut) = text.rfind(" (line ") {
        text.truncate(cut);
    }
    text
}

/// `best.lr`, and `best` is `()`.
fn property(rhais: &str, at: Position, around: &Around) -> Words {
    let name = rhais.split('\'').nth(1).unwrap_or_default();
    if !rhais.contains("type '()'") || name.is_empty() {
        return said(rhais);
    }
    let owner = owner_of(around.text, at);
    let message = if rhais.starts_with("No writable") {
        format!("{owner} is nothing here: its property `{name}` cannot be set")
    } else {
        format!("{owner} is nothing here: it has no property `{name}`")
    };
    said(message).help("ask first: `if x != () { … }`, or read it with `?.`, which makes nothing of nothing")
}

/// What stands before the dot in front of a place.
fn owner_of(text: &str, at: Position) -> String {
    let found = tokens(text);
    let chain = token_at(text, &found, at).and_then(|index| {
        let mut first = index.checked_sub(2).filter(|_| found[index - 1].is('.'))?;
        let end = found[first].span.end;
        if found[first].kind != Kind::Word {
            return None;
        }
        while first >= 2 && found[first - 1].is('.') && found[first - 2].kind == Kind::Word {
            first -= 2;
        }
        // `f(x).y`, `list[0].y`
        let whole = first == 0 || !found[first - 1].is('.');
        whole.then(|| text[found[first].span.start..end].to_string())
    });
    chain.map_or_else(|| "what stands before it".into(), |chain| format!("`{chain}`"))
}

fn token_at(text: &str, found: &[Token], at: Position) -> Option<usize> {
    let start = super::diagnostics::span(text, at).start;
    found.iter().position(|t| t.span.start == start)
}

/// Words of other languages, and what Rhai has in their place.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["def", "func", "function", "lambda"],
        "a function begins with `fn`: fn name(x) { … }",
    ),
    (&["None", "null", "nil", "undefined"], "nothing is written `()`"),
    (&["True", "TRUE"], "write `true`"),
    (&["False", "FALSE"], "write `false`"),
    (&["elif", "elsif", "elseif"], "write `else if`"),
    (&["not"], "write `!`"),
    (&["and"], "write `&&`"),
    (&["or"], "write `||`"),
    (&["var"], "a variable begins with `let`"),
];

fn variable_not_found(name: &str, around: &Around) -> Words {
    let words = said(format!("no variable is called `{name}`"));
    if let Some((alias, member)) = name.split_once("::") {
        let known = functions_of(alias, around.name, around.text, around.shared);
        return if known.iter().any(|(f, _)| f == member) {
            words.help(format!("`{member}` is a function: `{name}()` calls it"))
        } else {
            match nearest(member, known.iter().map(|(f, _)| f.as_str())) {
                Some(near) => words.help(format!("did you mean `{alias}::{near}()`?")),
                None => words,
            }
        };
    }
    if let Some((_, help)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)) {
        return words.help(*help);
    }
    let found = tokens(around.text);
    let word = |t: &Token| &around.text[t.span.clone()];
    let declared = found
        .windows(2)
        .filter(|w| matches!(word(&w[0]), "let" | "const" | "for" | "|"))
        .map(|w| word(&w[1]));
    match nearest(name, declared.filter(|d| *d != name)) {
        Some(near) => words.help(format!("did you mean `{near}`?")),
        None => words,
    }
}

fn parse_words(kind: &ParseErrorType, at: Position, around: &Around) -> Words {
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
        ParseErrorType::Reserved(name) => said(format!("`{name}` is a reserved word")),
        ParseErrorType::MissingToken(token, what) if matches!(token.as_str(), ";" | ",") => {
            missing(token, what, at, text)
        }
        other => said(other.to_string()),
    }
}

/// Rhai complains of the word after the one that lacks something behind it.
fn missing(token: &str, what: &str, at: Position, text: &str) -> Words {
    let start = super::diagnostics::span(text, at).start;
    let before = tokens(text).into_iter().rev().find(|t| t.span.end <= start);
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

/// Rhai says "not found" for a wrong type as well.
fn function_not_found(signature: &str, around: &Around) -> Words {
    let name = signature.split([' ', '(']).next().unwrap_or(signature);
    let given = signature
        .split_once('(')
        .map(|(_, rest)| rest.strip_suffix(')').unwrap_or(rest))
        .unwrap_or_default();
    let count = given.split(", ").filter(|g| !g.is_empty()).count();
    if name.starts_with("anon$") {
        return said(format!("this closure cannot be called with {count} values"))
            .help("the body of a phase and of a step takes none (`|| …`), a policy takes the failure (`|f| …`)");
    }
    if let Some((alias, member)) = name.split_once("::") {
        return module_function_not_found(alias, member, count, around);
    }
    let Some(engine) = around.engine else {
        return said(format!("no function is called `{name}`"));
    };
    let mut known = engine.collect_fn_metadata(
        None,
        |info| {
            let name = info.metadata.name.to_string();
            let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && !name.contains('$')
                && !name.starts_with("jumar__");
            let parameters: Vec<String> = info.metadata.params_info.iter().map(ToString::to_string).collect();
            plain.then_some((name, parameters))
        },
        true,
    );
    known.extend(around.shared.functions());
    // The engine lists them in no order.
    known.sort_by(|(a, p), (b, q)| (a, p.len(), p).cmp(&(b, q.len(), q)));
    let overloads = known
        .iter()
        .filter(|(n, _)| n == name)
        .map(|(n, p)| format!("{n}({})", p.join(", ")));
    let mut helps: Vec<String> = overloads.take(6).map(|o| format!("it takes: {o}")).collect();
    helps.dedup();
    if helps.is_empty() {
        let words = said(format!("no function is called `{name}`"));
        return match nearest(name, known.iter().map(|(n, _)| n.as_str())) {
            Some(near) => words.help(format!("did you mean `{near}`?")),
            None => words,
        };
    }
    if given.split(", ").any(|g| g == "char") {
        helps.insert(
            0,
            "single quotes hold one character: write a text in double quotes, \"a\"".into(),
        );
    }
    let given = match given {
        "" => "nothing".to_string(),
        given => given
            .replace("&str | ImmutableString | String", "string")
            .replace("i64", "int")
            .replace("f64", "float"),
    };
    Words {
        helps,
        ..said(format!("`{name}` cannot be called with ({given})"))
    }
}

fn module_function_not_found(alias: &str, member: &str, count: usize, around: &Around) -> Words {
    let known = functions_of(alias, around.name, around.text, around.shared);
    let same: Vec<String> = known
        .iter()
        .filter(|(f, _)| f == member)
        .map(|(f, p)| format!("{alias}::{f}({})", p.join(", ")))
        .collect();
    if !same.is_empty() {
        return Words {
            helps: same.iter().map(|s| format!("it takes: {s}")).collect(),
            ..said(format!("`{alias}::{member}` cannot be called with {count} values"))
        };
    }
    let words = said(format!("no function is called `{alias}::{member}`"));
    match nearest(member, known.iter().map(|(f, _)| f.as_str())) {
        Some(near) => words.help(format!("did you mean `{alias}::{near}`?")),
        None if known.is_empty() && !imports(around.text).iter().any(|(a, _)| a == alias) => words,
        None => {
            let all: Vec<&str> = known.iter().map(|(f, _)| f.as_str()).collect();
            words.help(format!("it has {}", all.join(", ")))
        }
    }
}
