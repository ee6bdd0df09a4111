//! Script errors with their place: from Rhai's nested errors to frames with byte ranges. What they mean is in `words`.

use std::ops::Range;

use rhai::{Engine, EvalAltResult, Position};

use super::fault::{root, thrown};
use super::shared::Shared;
use super::words::{Around, words};
use crate::plan::ParameterError;
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
    /// The value of a parameter that does not fit, when that is what stopped the script.
    pub bad_value: Option<ParameterError>,
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
            bad_value: None,
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
            bad_value: None,
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
        let text = shared.source(&source).unwrap_or_default();
        let around = Around {
            name: &source,
            text: &text,
            shared,
            engine,
        };
        let words = words(root(error), &around);
        let beside = |at: Position, label: String| Frame::new(source.clone(), Some(text.to_string()), label, at);
        if let (Some(at), Some(innermost)) = (words.at, frames.first_mut()) {
            *innermost = beside(at, String::new());
        }
        if let Some((at, label)) = words.beside {
            frames.insert(1, beside(at, label));
        }
        if thrown(error).is_some() {
            blame_the_caller(&mut frames);
        }
        ScriptError {
            message: words.message,
            helps: words.helps,
            frames,
            state: None,
            bad_value: None,
        }
    }

    /// An error at a place of a script.
    pub(super) fn at(message: String, source: &str, text: &str, at: Position) -> ScriptError {
        let frame = Frame::new(source.into(), Some(text.into()), String::new(), at);
        ScriptError {
            frames: vec![frame],
            ..ScriptError::plain(message)
        }
    }

    /// With what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> ScriptError {
        self.helps.push(help.into());
        self
    }

    /// The same without the outermost call: the host's own, of a body or a policy.
    pub(super) fn inside_the_walk(mut self) -> ScriptError {
        if self.frames.len() > 1 {
            self.frames.pop();
        }
        self
    }

    /// Where it is: `file:line:column`.
    pub(super) fn place(&self) -> Option<String> {
        let frame = self.frames.iter().find(|f| f.line.is_some())?;
        Some(format!(
            "{}:{}:{}",
            frame.source,
            frame.line?,
            frame.column.unwrap_or(1)
        ))
    }

    /// Whether every line that led to it is jumar's own.
    pub fn is_embedded(&self) -> bool {
        self.frames.iter().all(|frame| frame.source.starts_with('<'))
    }

    /// The error in one line: `file:line:column: message`.
    pub fn one_line(&self) -> String {
        match self.place() {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
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

/// What a standard module refuses is the fault of the line that called it.
fn blame_the_caller(frames: &mut Vec<Frame>) {
    let ours = frames.iter().take_while(|f| f.source.starts_with("<std/")).count();
    if ours < frames.len() {
        frames.drain(..ours);
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
        Some('$') if rest.starts_with("${") => rest.find('}').map_or(2, |end| end + 1),
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
