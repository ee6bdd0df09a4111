//! What can be completed: the names that a line may use, by the place where the cursor is.

use std::collections::BTreeMap;

use super::{commands, compare};
use crate::run::RunPath;
use crate::script::lexer::{Kind, lex};
use crate::script::{Ask, FunctionDocs, standard_modules};
use crate::state::State;

/// Keywords of the language that are worth completing.
pub(super) const KEYWORDS: &[&str] = &[
    "let", "const", "if", "else", "while", "loop", "for", "in", "fn", "return", "throw", "try", "catch", "switch",
    "import", "as", "break", "continue", "true", "false", "do", "until",
];

/// Words that the language keeps for itself beside its keywords, and that a phase may well be called.
const RESERVED: &[&str] = &[
    "eval",
    "print",
    "debug",
    "sync",
    "async",
    "await",
    "spawn",
    "thread",
    "go",
    "new",
    "with",
    "match",
    "use",
    "case",
    "public",
    "private",
    "static",
    "default",
    "package",
    "super",
    "var",
    "shared",
    "yield",
    "null",
    "nil",
    "void",
    "module",
    "goto",
    "exit",
    "type_of",
    "call",
    "curry",
    "this",
    "is",
    "protected",
];

/// The properties of `run`.
const RUN: &[&str] = &["dir", "cwd", "name", "id", "checkpoint", "attempt", "phase", "dry"];

/// All names, as they are before a line is typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Variables.
    pub variables: Vec<String>,
    /// Functions with their signatures.
    pub functions: Vec<(String, String)>,
    /// Sections of the state with their keys.
    pub sections: BTreeMap<String, Vec<String>>,
    /// Parameters.
    pub parameters: Vec<String>,
    /// The commands that can be used here.
    pub commands: Vec<&'static str>,
    /// The run that the session is on.
    pub run: Option<RunPath>,
}

impl Words {
    /// The names there are now.
    pub(super) fn now(ask: &dyn Ask, functions: &[FunctionDocs], state: &State, parameters: Vec<String>) -> Words {
        let keys = |section: &str| state.section(section).map(|(key, _)| key.to_string()).collect();
        Words {
            variables: ask.variables(),
            functions: functions
                .iter()
                .map(|f| (f.name.clone(), f.signature.clone()))
                .collect(),
            sections: state.sections().map(|s| (s.to_string(), keys(s))).collect(),
            parameters,
            commands: vec![],
            run: None,
        }
    }

    fn keys(&self, section: &str) -> Vec<String> {
        self.sections.get(section).cloned().unwrap_or_default()
    }

    /// Phases that have something under `section`, or its own keys without the phase.
    fn by_phase(&self, section: &str, phase: Option<&str>) -> Vec<String> {
        let keys = self.keys(section);
        let mut found: Vec<String> = match phase {
            Some(phase) => keys
                .iter()
                .filter_map(|k| k.strip_prefix(phase)?.strip_prefix('.').map(String::from))
                .collect(),
            None => {
                let phases = self.keys("phases");
                phases
                    .into_iter()
                    .filter(|p| keys.iter().any(|k| k.starts_with(&format!("{p}."))))
                    .collect()
            }
        };
        found.sort();
        found
    }

    /// The place where the word under the cursor begins, and what it may become.
    pub(super) fn complete(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let line = &line[..at];
        if let Some(command) = line.strip_prefix(':') {
            return self.complete_command(command);
        }
        let tokens = lex(line).tokens;
        let last = tokens.last();
        if let Some(token) = last.filter(|t| t.kind == Kind::Text && !is_closed(&line[t.range.clone()])) {
            return self.complete_text(line, token.range.start + 1);
        }
        let start = last.filter(|t| t.kind == Kind::Word).map_or(at, |t| t.range.start);
        let typed = &line[start..];
        let path = path_before(line, start);
        let candidates = match path.as_slice() {
            [] => {
                let functions = self.functions.iter().map(|(name, _)| format!("{name}("));
                let keywords = KEYWORDS.iter().map(|k| k.to_string());
                if typed.is_empty() {
                    self.variables.clone()
                } else {
                    self.variables
                        .iter()
                        .cloned()
                        .chain(functions)
                        .chain(keywords)
                        .collect()
                }
            }
            ["state"] => self.sections.keys().cloned().collect(),
            ["state", section] => self.keys(section),
            ["phases"] => self.keys("phases"),
            ["params"] => self.parameters.clone(),
            ["metrics" | "results"] => self.by_phase(path[0], None),
            ["metrics", phase] => self.by_phase("metrics", Some(phase)),
            ["run"] => RUN.iter().map(|p| p.to_string()).collect(),
            // Anything else may have any method.
            _ => self.functions.iter().map(|(name, _)| format!("{name}(")).collect(),
        };
        let found = beginning_with(typed, candidates);
        if path.is_empty() || found.iter().all(|name| is_property(name)) {
            return (start, found);
        }
        // What cannot stand behind a point stands in brackets, and takes the point's place.
        let placed = |name: &String| match is_property(name) {
            true => format!(".{name}"),
            false => format!("[\"{}\"]", name.replace(['\\', '"'], "")),
        };
        (start - 1, found.iter().map(placed).collect())
    }

    fn complete_command(&self, command: &str) -> (usize, Vec<String>) {
        let Some((name, rest)) = command.split_once(' ') else {
            let name = |c: &&str| match commands::find(c).map(|c| c.argument) {
                // It has to be followed by something.
                Some(commands::Argument::Phase | commands::Argument::Run | commands::Argument::Settings) => {
                    format!("{c} ")
                }
                _ => c.to_string(),
            };
            return (1, beginning_with(command, self.commands.iter().map(name).collect()));
        };
        let word = rest.rsplit(' ').next().unwrap_or(rest);
        let start = 1 + command.len() - word.len();
        let candidates = match commands::find(name).map(|c| c.argument) {
            Some(commands::Argument::Phase) => self.keys("phases"),
            Some(commands::Argument::Run) => {
                let run = self.run.as_ref();
                run.map(|run| compare::candidates(word, run)).unwrap_or_default()
            }
            Some(commands::Argument::Settings) => self.parameters.iter().map(|name| format!("{name}=")).collect(),
            Some(commands::Argument::Name) => self.functions.iter().map(|(name, _)| name.clone()).collect(),
            _ => vec![],
        };
        (start, beginning_with(word, candidates))
    }

    fn complete_text(&self, line: &str, start: usize) -> (usize, Vec<String>) {
        let before = line[..start - 1].trim_end();
        let candidates = if before.ends_with("import") {
            standard_modules().map(String::from).collect()
        } else if before.ends_with("param(") {
            self.parameters.clone()
        } else {
            self.keys("phases")
        };
        (start, beginning_with(&line[start..], candidates))
    }

    /// The signature of the function whose call the cursor is at the beginning of.
    pub(super) fn signature(&self, line: &str) -> Option<&str> {
        let name = line.strip_suffix('(')?;
        let start = name
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| at + 1);
        let known = self.functions.iter().find(|(n, _)| *n == name[start..])?;
        known.1.strip_prefix(&name[start..])?.strip_prefix('(')
    }
}

/// Whether a name can stand behind a point: a word that the language has not reserved.
fn is_property(name: &str) -> bool {
    let name = name.trim_end_matches('(');
    let word =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    word && !RESERVED.contains(&name) && !KEYWORDS.contains(&name)
}

fn is_closed(text: &str) -> bool {
    text.len() > 1 && text.ends_with(['"', '\'', '`'])
}

/// The names before the points before the word that begins at `start`: `["state", "phases"]` for `state.phases.tr`.
fn path_before(line: &str, start: usize) -> Vec<&str> {
    let mut path = vec![];
    let mut rest = &line[..start];
    while let Some(before) = rest.strip_suffix('.') {
        let from = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| at + 1);
        path.insert(0, &before[from..]);
        rest = &before[..from];
    }
    path
}

fn beginning_with(typed: &str, candidates: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = candidates.into_iter().filter(|c| c.starts_with(typed)).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let keys = |keys: &[&str]| keys.iter().map(|k| k.to_string()).collect::<Vec<_>>();
        Words {
            variables: keys(&["state", "phases", "params", "batch"]),
            functions: vec![
                ("double".into(), "double(x)".into()),
                ("len".into(), "len(array: array) -> int".into()),
            ],
            sections: BTreeMap::from([
                ("phases".into(), keys(&["prepare", "train", "eval", "a b"])),
                ("metrics".into(), keys(&["train.accuracy", "train.loss"])),
            ]),
            parameters: keys(&["batch_size"]),
            commands: vec!["undo", "log"],
            run: None,
        }
    }

    fn completed(line: &str) -> Vec<String> {
        let (start, found) = words().complete(line, line.len());
        found.iter().map(|f| format!("{}{f}", &line[..start])).collect()
    }

    #[test]
    fn names_are_completed_by_what_stands_before_them() {
        for (line, expected) in [
            ("ba", vec!["batch"]),
            ("1 + dou", vec!["1 + double("]),
            ("state.", vec!["state.metrics", "state.phases"]),
            ("x = state.phases.t", vec!["x = state.phases.train"]),
            ("phases.p", vec!["phases.prepare"]),
            ("phases.e", vec!["phases[\"eval\"]"]),
            (
                "phases.",
                vec!["phases[\"a b\"]", "phases[\"eval\"]", "phases.prepare", "phases.train"],
            ),
            ("metrics.", vec!["metrics.train"]),
            ("metrics.train.a", vec!["metrics.train.accuracy"]),
            ("params.b", vec!["params.batch_size"]),
            ("param(\"", vec!["param(\"batch_size"]),
            ("result(\"tr", vec!["result(\"train"]),
            ("import \"std/g", vec!["import \"std/gpu"]),
            (":log tr", vec![":log train"]),
            (":und", vec![":undo"]),
            (":lo", vec![":log "]),
            (":retry A=1 ba", vec![":retry A=1 batch_size="]),
            ("[1].le", vec!["[1].len("]),
        ] {
            assert_eq!(completed(line), expected, "{line}");
        }
    }

    #[test]
    fn inside_a_finished_text_nothing_is_completed_as_one() {
        assert_eq!(completed("\"train\" + ba"), ["\"train\" + batch"]);
    }

    #[test]
    fn a_call_that_begins_shows_what_the_function_takes() {
        assert_eq!(words().signature("1 + double("), Some("x)"));
        assert_eq!(words().signature("nothing("), None);
    }
}
