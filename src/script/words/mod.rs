//! What Rhai's errors mean, in words of jumar's scripts, and what to do about them.

mod syntax;

use rhai::{Engine, EvalAltResult, Position};

use super::imports::{functions_of, imports};
use super::scan::{Kind, Token, tokens};
use super::shared::Shared;
use crate::plan::nearest;
use syntax::parse_words;

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
        EvalAltResult::ErrorFor(_) => said("`for` wants a list or a range here"),
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
    for section in ["metrics", "results"] {
        if owner.starts_with(&format!("`{section}.")) {
            return said(message).help(format!("`{section}` shows what was recorded, by phase"));
        }
    }
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
    if declared.clone().any(|d| d == name) {
        return words.help(format!(
            "it is declared, but not in reach here: a function sees only its parameters (give it `{name}`, or make that a `const` and write \
             `global::{name}`), and what is declared in a block ends with it"
        ));
    }
    match nearest(name, declared.filter(|d| *d != name)) {
        Some(near) => words.help(format!("did you mean `{near}`?")),
        None => words,
    }
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
