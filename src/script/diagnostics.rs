//! Script errors with their place: from Rhai's nested errors to frames with byte ranges, and to words that help.

use std::ops::Range;

use rhai::{Engine, EvalAltResult, LexError, ParseErrorType, Position};

use super::fault::root;
use super::shared::Shared;
use crate::plan::nearest;
use crate::state::StateError;
use crate::ui::{Diagnostic, Excerpt, Label, Level, render};

/// An error of a script, ready to be shown.
#[derive(Debug)]
pub struct ScriptError {
    /// What is wrong, in one line.
    message: String,
    /// What to do about it.
    helps: Vec<String>,
    /// Where, innermost first.
    frames: Vec<Frame>,
    /// The trouble with the state that stopped the script, when that is what did.
    pub state: Option<StateError>,
}

#[derive(Debug)]
struct Frame {
    source: String,
    text: Option<String>,
    label: String,
    span: Range<usize>,
    line: Option<usize>,
    column: Option<usize>,
}

impl ScriptError {
    /// An error without a place.
    pub fn plain(message: String) -> ScriptError {
        ScriptError {
            message,
            helps: vec![],
            frames: vec![],
            state: None,
        }
    }

    /// The state stopped the script.
    pub(super) fn of_state(error: StateError) -> ScriptError {
        ScriptError {
            state: Some(error),
            ..ScriptError::plain(String::new())
        }
    }

    /// An error of the plan, at a line of the script.
    pub fn at_line(message: String, source: &str, text: Option<&str>, line: usize) -> ScriptError {
        let frame = Frame::new(
            source.into(),
            text.map(String::from),
            "declared here".into(),
            Position::new(line.max(1).try_into().unwrap_or(u16::MAX), 1),
        );
        ScriptError {
            message,
            helps: vec![],
            frames: vec![frame],
            state: None,
        }
    }

    pub(super) fn from_rhai(
        error: &EvalAltResult,
        main: &str,
        shared: &Shared,
        engine: Option<&Engine>,
    ) -> ScriptError {
        let mut frames = Vec::new();
        let mut source = main.to_string();
        let mut here = error;
        loop {
            let (label, at, inner, next) = match here {
                EvalAltResult::ErrorInFunctionCall(name, file, inner, at) => {
                    let label = if name.starts_with("anon$") {
                        "in this closure".into()
                    } else {
                        format!("in this call to `{name}`")
                    };
                    (
                        label,
                        *at,
                        Some(inner),
                        if file.is_empty() { None } else { Some(file.clone()) },
                    )
                }
                EvalAltResult::ErrorInModule(module, inner, at) => (
                    "imported here".into(),
                    *at,
                    Some(inner),
                    (!module.is_empty()).then(|| module.clone()),
                ),
                other => (String::new(), other.position(), None, None),
            };
            frames.push(Frame::new(
                source.clone(),
                shared.source(&source).map(|t| t.to_string()),
                label,
                at,
            ));
            source = next.unwrap_or(source);
            match inner {
                Some(inner) => here = inner,
                None => break,
            }
        }
        frames.reverse();
        let (message, helps) = words(root(error), engine, shared);
        ScriptError {
            message,
            helps,
            frames,
            state: None,
        }
    }

    /// The same without the outermost call: the host's own, of a body or a policy.
    pub(super) fn inside_the_walk(mut self) -> ScriptError {
        if self.frames.len() > 1 {
            self.frames.pop();
        }
        self
    }

    /// The error in one line: `file:line:column: message`.
    pub fn one_line(&self) -> String {
        match self.frames.iter().find(|f| f.line.is_some()) {
            Some(Frame {
                source,
                line: Some(line),
                column,
                ..
            }) => format!("{source}:{line}:{}: {}", column.unwrap_or(1), self.message),
            _ => self.message.clone(),
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Draws the error with the lines of the script.
    pub fn render(&self, colored: bool) -> String {
        let mut sources: Vec<Excerpt> = Vec::new();
        for (place, frame) in self.frames.iter().enumerate() {
            let (Some(text), Some(_)) = (&frame.text, frame.line) else {
                continue;
            };
            let label = Label {
                span: frame.span.clone(),
                text: frame.label.clone(),
                primary: place == 0,
            };
            match sources.last_mut().filter(|s| s.path == frame.source) {
                // The same place twice, a closure and the call in it, is said once.
                Some(last) if last.labels.iter().any(|l| l.span == label.span) => {}
                Some(last) => last.labels.push(label),
                None => sources.push(Excerpt {
                    path: frame.source.clone(),
                    text: text.clone(),
                    labels: vec![label],
                }),
            }
        }
        render(
            &Diagnostic {
                level: Level::Error,
                code: None,
                title: self.message.clone(),
                sources,
                notes: vec![],
                helps: self.helps.clone(),
            },
            colored,
            None,
        )
    }
}

impl Frame {
    fn new(source: String, text: Option<String>, label: String, at: Position) -> Frame {
        let span = text.as_deref().map(|t| span(t, at)).unwrap_or(0..0);
        Frame {
            source,
            text,
            label,
            span,
            line: at.line(),
            column: at.position(),
        }
    }
}

/// The bytes of the token at a position. Rhai counts columns in characters and keeps no ends: the end is found by
/// reading one token.
pub(super) fn span(text: &str, at: Position) -> Range<usize> {
    let Some(line) = at.line() else { return 0..0 };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let line = text[start..]
        .split_inclusive('\n')
        .next()
        .unwrap_or("")
        .trim_end_matches(['\n', '\r']);
    let column = at.position().unwrap_or(1).max(1) - 1;
    let from = line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    let rest = &line[from..];
    let length = match rest.chars().next() {
        None => 0,
        Some(quote @ ('"' | '`' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        Some(first) => match rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len())
        {
            0 => first.len_utf8(),
            word => word,
        },
    };
    start + from..start + from + length
}

/// What an error means, in words of jumar's scripts, and what to do about it.
fn words(error: &EvalAltResult, engine: Option<&Engine>, shared: &Shared) -> (String, Vec<String>) {
    match error {
        EvalAltResult::ErrorRuntime(value, _) => {
            let map = value.read_lock::<rhai::Map>();
            let said = map.as_ref().and_then(|m| m.get("message")).map(ToString::to_string);
            (
                said.unwrap_or_else(|| {
                    if value.is_unit() {
                        "the script threw nothing".into()
                    } else {
                        value.to_string()
                    }
                }),
                vec![],
            )
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => function_not_found(signature, engine, shared),
        EvalAltResult::ErrorVariableNotFound(name, _) => (format!("no variable is called `{name}`"), vec![]),
        EvalAltResult::ErrorParsing(kind, _) => parse_words(kind),
        EvalAltResult::ErrorModuleNotFound(path, _) => (
            format!("no module is called \"{path}\""),
            vec!["an import is `std/…`, or a path beside the file that imports it".into()],
        ),
        EvalAltResult::ErrorStackOverflow(_) => ("the script calls itself too deeply (192 levels)".into(), vec![]),
        EvalAltResult::ErrorTerminated(..) => ("the script was stopped".into(), vec![]),
        other => {
            let mut bare = other.to_string();
            // Rhai appends the place, which the drawing shows better.
            if let Some(cut) = bare.rfind(" (line ") {
                bare.truncate(cut);
            }
            (bare, vec![])
        }
    }
}

fn parse_words(kind: &ParseErrorType) -> (String, Vec<String>) {
    match kind {
        ParseErrorType::VariableUndefined(name) => (format!("no variable is called `{name}`"), vec![]),
        ParseErrorType::ModuleUndefined(name) => (
            format!("no module is imported as `{name}`"),
            vec![format!("import \"std/{name}\" as {name};")],
        ),
        ParseErrorType::BadInput(LexError::UnterminatedString) => (
            "the text is not ended".into(),
            vec!["end it with `\"`; a text over several lines is written in backticks".into()],
        ),
        ParseErrorType::Reserved(name) => (format!("`{name}` is a reserved word"), vec![]),
        other => (other.to_string(), vec![]),
    }
}

/// Rhai says "not found" for a wrong type as well.
fn function_not_found(signature: &str, engine: Option<&Engine>, shared: &Shared) -> (String, Vec<String>) {
    let name = signature.split([' ', '(']).next().unwrap_or(signature);
    let bare = name.rsplit("::").next().unwrap_or(name);
    let given = signature
        .split_once('(')
        .map(|(_, rest)| rest.trim_end_matches(')'))
        .unwrap_or_default();
    let Some(engine) = engine else {
        return (format!("no function is called `{name}`"), vec![]);
    };
    let known = engine.collect_fn_metadata(
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
    let own = shared.functions();
    let overloads: Vec<String> = known
        .iter()
        .chain(&own)
        .filter(|(n, _)| n == bare && !name.contains("::"))
        .map(|(n, p)| format!("{n}({})", p.join(", ")))
        .collect();
    if !overloads.is_empty() {
        let given = if given.is_empty() {
            "nothing".to_string()
        } else {
            given
                .replace("&str | ImmutableString | String", "string")
                .replace("i64", "int")
                .replace("f64", "float")
        };
        let mut helps: Vec<String> = overloads.iter().take(6).map(|o| format!("it takes: {o}")).collect();
        helps.dedup();
        return (format!("`{bare}` cannot be called with ({given})"), helps);
    }
    let near = nearest(bare, own.iter().chain(&known).map(|(n, _)| n.as_str()));
    (
        format!("no function is called `{name}`"),
        near.map(|n| format!("did you mean `{n}`?")).into_iter().collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters_and_a_span_bytes() {
        let text = "let a = 1;\r\nlet s = \"größe\"; nope(1);\n";
        let at = Position::new(2, 18);
        assert_eq!(&text[span(text, at)], "nope");
        assert_eq!(&text[span(text, Position::new(2, 9))], "\"größe\"");
    }

    #[test]
    fn a_place_beyond_the_text_is_an_empty_span_at_its_end() {
        assert_eq!(span("x", Position::new(1, 9)), 1..1);
        assert_eq!(span("x", Position::new(7, 1)), 1..1);
        assert_eq!(span("", Position::NONE), 0..0);
    }
}
