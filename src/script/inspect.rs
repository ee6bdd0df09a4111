//! A script loaded to be asked: its functions, its imports and what its top level left are in reach of single lines.
//! Its phases are declared and never started.

use rhai::{Engine, LexError, ParseErrorType};
use serde_json::Value;

use super::diagnostics::ScriptError;
use super::host::Host;
use super::lexer::lex;
use super::lines::Lines;

/// The names that a line has besides those of the script, and what stands behind each.
pub const NAMES: &[(&str, &str)] = &[
    (
        "state",
        "the run's state: `state.phases.train`, any section and key of the file",
    ),
    ("phases", "the section `[phases]`: how each phase stands"),
    (
        "params",
        "the parameters as a resume takes them; `params.NAME = …` changes one",
    ),
    ("metrics", "what phases measured: `metrics.eval_42.accuracy`"),
    ("results", "what phases returned: `results.train`"),
    ("run", "the run itself: `run.dir`, `run.name`, `run.id`"),
    ("env", "environment variables: `env.HOME`"),
];

/// A value that a line came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value for people: what is no data, a function for instance, is named.
    pub shown: Value,
    /// Whether it is nothing: the value of a statement.
    pub is_nothing: bool,
    /// The value for programs, or why there is none.
    pub exact: Result<Value, String>,
}

/// A function or primitive that lines can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDocs {
    /// Its name.
    pub name: String,
    /// `name(parameter: type, …) -> type`
    pub signature: String,
    /// Its documentation, without comment marks; empty when it has none.
    pub docs: String,
    /// Whether the script, or a line, defined it.
    pub is_own: bool,
}

/// A call that led to where lines are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called: `phase train`, a function, `step load`.
    pub what: String,
    /// The place that was reached in it, `file:line`.
    pub place: String,
    /// Its own variables.
    pub variables: Vec<String>,
    /// Whether lines see its variables, and those around it.
    pub is_looked_at: bool,
}

/// Something that answers lines of script.
pub trait Ask {
    /// Evaluates a line, or several, and returns the value of the last.
    ///
    /// # Errors
    /// [`ScriptError`] with the place in the line.
    fn ask(&mut self, text: &str) -> Result<Answer, ScriptError>;

    /// The names of variables that lines can use, in alphabetical order.
    fn variables(&self) -> Vec<String>;

    /// The functions that lines can call, in alphabetical order; each overload is one.
    fn functions(&self) -> Vec<FunctionDocs>;

    /// The calls that led here, outermost first; none where nothing is being called.
    fn calls(&self) -> Vec<Call> {
        vec![]
    }

    /// Lines see the variables of one of [`Ask::calls`] from here on; `false` when there is none of that number.
    fn stand_in(&mut self, _call: usize) -> bool {
        false
    }
}

/// A script that can be asked.
pub struct Inspector {
    engine: Engine,
    lines: Lines,
}

impl Host {
    /// Evaluates the script's top level and keeps what it left. The error, if the top level failed, is no hindrance: what
    /// was there by then is in reach.
    pub fn inspect(self) -> (Inspector, Option<ScriptError>) {
        let Host {
            shared,
            mut engine,
            ast,
        } = self;
        // A line may name what an earlier one imported; that is not known while it is compiled.
        engine.set_strict_variables(false);
        let (lines, failed) = Lines::behind(shared, &engine, &ast);
        (Inspector { engine, lines }, failed)
    }
}

impl Ask for Inspector {
    fn ask(&mut self, text: &str) -> Result<Answer, ScriptError> {
        self.lines.ask(&self.engine, text)
    }

    fn variables(&self) -> Vec<String> {
        self.lines.variables()
    }

    fn functions(&self) -> Vec<FunctionDocs> {
        self.lines.functions(&self.engine)
    }
}

/// Whether a text is only the beginning of a line of script: something in it is open, or it ends where more must follow.
pub fn is_unfinished(text: &str) -> bool {
    if text.trim().is_empty() {
        return false;
    }
    if lex(text).open {
        return true;
    }
    let Err(rhai::ParseError(kind, at)) = Engine::new_raw().compile(text) else {
        return false;
    };
    // A text in quotes does not go on in the next line.
    if matches!(*kind, ParseErrorType::BadInput(LexError::UnterminatedString)) {
        return false;
    }
    let (line, column) = (at.line().unwrap_or(usize::MAX), at.position().unwrap_or(0));
    let lines: Vec<&str> = text.lines().collect();
    let behind = line > lines.len() || (line == lines.len() && column > lines[line - 1].trim_end().chars().count());
    at.is_none() || behind || matches!(*kind, ParseErrorType::UnexpectedEOF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_or_lacks_its_end_goes_on_in_the_next_line() {
        for unfinished in [
            "if x {",
            "f(1,",
            "let x =",
            "a +",
            "fn f(x)",
            "`a",
            "/* a",
            "for x in",
            "if a { b } else",
            "#{ a:",
            "x = switch y {",
        ] {
            assert!(is_unfinished(unfinished), "{unfinished}");
        }
    }

    #[test]
    fn what_is_whole_or_wrong_does_not_go_on() {
        for whole in [
            "1",
            "let x = 1",
            "f(1)",
            "if x { 1 }",
            "\"abc",
            "1 2",
            "a)",
            "// c",
            "",
            "x.y",
            "state.a.b = 1;",
        ] {
            assert!(!is_unfinished(whole), "{whole}");
        }
    }
}
