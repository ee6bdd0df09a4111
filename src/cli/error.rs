//! Errors at the edge: what went wrong, in words, in JSON, and as an exit code.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::exit_code;
use crate::plan::{ParameterError, PlanError, SelectionError};
use crate::run::{LocateError, RunDirectoryError, STATE_FILE, WalkError};
use crate::script::{STOCK_MODES, ScriptError};
use crate::state::{StateError, SyntaxError};
use crate::ui::{Diagnostic, Excerpt, Label, Level, Printer, render};

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(super) enum CliError {
    /// The command line makes no sense.
    Usage { message: String, hints: Vec<String> },
    /// The script is at fault.
    Script(Box<ScriptError>),
    /// The script is certain to fail somewhere.
    Faulty {
        /// What is wrong first, in one line.
        message: String,
        /// All that is wrong, drawn.
        drawn: Vec<String>,
    },
    /// The script cannot be rehearsed as it is.
    Unrehearsable { message: String, hints: Vec<String> },
    /// The state cannot be read or written, or is locked.
    State(Box<StateError>),
    /// A signal asked for a stop before anything was started.
    Stopped { signal: Option<i32> },
    /// Something else on the disk is in the way.
    Disk { message: String, hints: Vec<String> },
}

impl CliError {
    pub(super) fn usage(message: impl Into<String>) -> CliError {
        CliError::Usage {
            message: message.into(),
            hints: vec![],
        }
    }

    pub(super) fn disk(message: impl Into<String>) -> CliError {
        CliError::Disk {
            message: message.into(),
            hints: vec![],
        }
    }

    pub(super) fn unrehearsable(message: impl Into<String>) -> CliError {
        CliError::Unrehearsable {
            message: message.into(),
            hints: vec![],
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> CliError {
        if let CliError::Usage { hints, .. } | CliError::Unrehearsable { hints, .. } | CliError::Disk { hints, .. } =
            &mut self
        {
            hints.push(hint.into());
        }
        self
    }

    /// The script's fault, when that is what it is; anything else is the outer error.
    pub(super) fn into_script(self) -> Result<ScriptError, CliError> {
        match self {
            CliError::Script(error) => Ok(*error),
            other => Err(other),
        }
    }

    fn code(&self) -> u8 {
        match self {
            CliError::Usage { .. } => exit_code::USAGE,
            CliError::Script(_) | CliError::Faulty { .. } | CliError::Unrehearsable { .. } => exit_code::SCRIPT,
            CliError::Stopped { signal } => exit_code::stopped_by(*signal),
            CliError::State(error)
                if matches!(
                    **error,
                    StateError::Locked { .. } | StateError::MaybeLocked { .. } | StateError::TakenOver { .. }
                ) =>
            {
                exit_code::LOCKED
            }
            CliError::State(_) | CliError::Disk { .. } => exit_code::STATE,
        }
    }

    fn kind(&self) -> &'static str {
        match self.code() {
            _ if matches!(self, CliError::Stopped { .. }) => "interrupted",
            exit_code::USAGE => "usage",
            exit_code::SCRIPT => "script",
            exit_code::LOCKED => "locked",
            _ => "state",
        }
    }

    /// Says what went wrong, and returns the exit code for it.
    pub(super) fn report(self, printer: &Printer, as_json: bool) -> u8 {
        if as_json {
            let (message, hints) = self.in_words();
            printer.json(
                &json!({ "error": { "kind": self.kind(), "code": self.code(), "message": message, "hints": hints } }),
            );
            return self.code();
        }
        match &self {
            CliError::Script(error) => {
                printer.raw_stderr(&format!("{}\n", error.render(printer.stderr_colored()).trim_end()))
            }
            CliError::Faulty { drawn, .. } => {
                for one in drawn {
                    printer.raw_stderr(&format!("{}\n", one.trim_end()));
                }
                printer.hint("nothing was started");
            }
            _ => self.draw(printer),
        }
        self.code()
    }

    /// Says what is wrong with a state, or anything else, without ending anything.
    pub(super) fn draw(&self, printer: &Printer) {
        match self {
            CliError::State(error) => match &**error {
                StateError::Syntax(syntax) => printer.raw_stderr(&format!("{}\n", draw(syntax, printer).trim_end())),
                _ => self.plainly(printer),
            },
            _ => self.plainly(printer),
        }
    }

    fn plainly(&self, printer: &Printer) {
        let (message, hints) = self.in_words();
        printer.error(&message);
        for hint in hints {
            printer.hint(&hint);
        }
    }

    /// What is wrong in one line, and what can be done about it.
    pub(super) fn in_words(&self) -> (String, Vec<String>) {
        match self {
            CliError::Usage { message, hints }
            | CliError::Unrehearsable { message, hints }
            | CliError::Disk { message, hints } => (message.clone(), hints.clone()),
            CliError::Script(error) => (error.one_line(), vec![]),
            CliError::Faulty { message, .. } => (message.clone(), vec![]),
            CliError::Stopped { .. } => ("stopped before anything was started".into(), vec![]),
            CliError::State(error) => (error.headline(), error.remedy().into_iter().collect()),
        }
    }
}

/// A line of the state file with the caret under what is wrong.
fn draw(error: &SyntaxError, printer: &Printer) -> String {
    // The renderer counts lines, and wants the text before the one that is wrong.
    let before = "\n".repeat(error.line.saturating_sub(1));
    let span = before.len() + error.span.start..before.len() + error.span.end;
    let label = Label {
        span,
        text: String::new(),
        primary: true,
    };
    let excerpt = Excerpt {
        path: error.path.display().to_string(),
        text: before + error.text.as_str(),
        labels: vec![label],
    };
    let notes = vec!["the file was left as it is".to_string()];
    let diagnostic = Diagnostic {
        level: Level::Error,
        code: None,
        title: error.what.clone(),
        sources: vec![excerpt],
        notes,
        helps: vec![error.remedy.clone()],
    };
    render(&diagnostic, printer.stderr_colored(), printer.stderr_width())
}

/// Says what clap says, where it belongs: help on standard output, errors on standard error.
pub(super) fn report_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is nobody's error.
    let _ = error.print();
    let unexpected = error.get(clap::error::ContextKind::InvalidArg).map(ToString::to_string);
    if unexpected.as_ref().is_some_and(|word| word.ends_with(STATE_FILE)) {
        let _ = writeln!(
            anstream::stderr(),
            "\nhint: the pattern matches several runs: name one of them, or none for the newest (`jumar resume`)"
        );
    }
    if error.use_stderr()
        && let Some(mode) = unexpected.as_deref().filter(|word| STOCK_MODES.contains(word))
    {
        let _ = writeln!(
            anstream::stderr(),
            "\nhint: a script takes its mode as a parameter: `--mode {mode}`"
        );
    }
    ExitCode::from(if error.use_stderr() {
        exit_code::USAGE
    } else {
        exit_code::DONE
    })
}

impl From<ScriptError> for CliError {
    fn from(mut error: ScriptError) -> CliError {
        match (error.state.take(), error.bad_value.take()) {
            (Some(state), _) => state.into(),
            (None, Some(value)) => value.into(),
            (None, None) => CliError::Script(Box::new(error)),
        }
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> CliError {
        CliError::State(Box::new(error))
    }
}

impl From<LocateError> for CliError {
    fn from(error: LocateError) -> CliError {
        let hint = match &error {
            LocateError::Script { asked } => {
                let script = crate::ui::shell_quote(asked);
                let hint = format!("`jumar run {script}` starts it; `jumar runs` lists the runs");
                return CliError::usage(error.to_string()).hint(hint);
            }
            LocateError::NoRuns => "start one with `jumar run`, or name a run directory",
            LocateError::Unknown { .. } => {
                "`jumar runs` lists the runs; a path to a run directory or a state file works too"
            }
            LocateError::Ambiguous { newest, .. } => {
                let hint = format!("write more of the name; `{newest}` takes the newest");
                return CliError::usage(error.to_string()).hint(hint);
            }
            LocateError::NoStateFile { inside, .. } if !inside.is_empty() => {
                let hint = format!("it is no run itself; its runs are {}", crate::run::newest_few(inside));
                return CliError::usage(error.to_string()).hint(hint);
            }
            LocateError::NoStateFile { .. } => "it is no run; `jumar runs` lists those under runs/",
            LocateError::Unreadable(_) => return CliError::disk(error.to_string()),
        };
        CliError::usage(error.to_string()).hint(hint)
    }
}

impl From<SelectionError> for CliError {
    fn from(error: SelectionError) -> CliError {
        let known = format!("there are {}", error.known.join(", "));
        CliError::usage(error.to_string()).hint(known)
    }
}

impl From<ParameterError> for CliError {
    fn from(error: ParameterError) -> CliError {
        CliError::usage(error.to_string()).hint("`jumar run SCRIPT --help` lists the parameters")
    }
}

impl From<RunDirectoryError> for CliError {
    fn from(error: RunDirectoryError) -> CliError {
        match &error {
            RunDirectoryError::Occupied { path } => {
                let hint = format!(
                    "go on with it: jumar resume {}",
                    crate::ui::shell_quote(&path.to_string_lossy())
                );
                CliError::usage(error.to_string()).hint(hint)
            }
            RunDirectoryError::BadName { .. } => CliError::usage(error.to_string()),
            RunDirectoryError::Create { .. } => CliError::disk(error.to_string()),
        }
    }
}

impl From<WalkError> for CliError {
    fn from(error: WalkError) -> CliError {
        match error {
            WalkError::Selection(error) => error.into(),
            WalkError::State(error) => error.into(),
            WalkError::Thread(_) => CliError::disk(error.to_string()),
        }
    }
}

/// An error of the plan, drawn at the phase that is at fault.
pub(super) fn plan_error(error: &PlanError, source: &crate::script::ScriptSource) -> CliError {
    let text = |file: &str| (file == source.name).then_some(source.text.as_str());
    let drawn = match error.origin() {
        Some(origin) => ScriptError::at_line(error.to_string(), &origin.file, text(&origin.file), origin.line),
        None => ScriptError::plain(error.to_string()),
    };
    CliError::Script(Box::new(drawn))
}
