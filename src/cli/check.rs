//! `jumar check`: parses, lints and plans a script; nothing is run or written.

use std::sync::Arc;

use serde_json::{Value, json};

use super::args::CheckArguments;
use super::error::{CliError, plan_error};
use super::exit_code;
use super::parameter_file::read_parameters;
use super::script_help::own_options;
use super::watch::Watcher;
use crate::plan::{PlanError, Provided, RawOption};
use crate::run::{RunDirectory, Session};
use crate::script::{Finding, Host, ScriptError, ScriptSource, Severity};
use crate::state::State;
use crate::ui::{Diagnostic, Excerpt, Label, Level, Printer, counted, render};

/// Looks a script over.
pub(super) fn check(arguments: &CheckArguments, raw: Vec<RawOption>, printer: &Printer) -> Result<u8, CliError> {
    let source = arguments
        .script
        .as_deref()
        .map_or_else(|| Ok(ScriptSource::stock()), ScriptSource::read)?;
    let provided = Provided {
        options: raw,
        pairs: arguments.parameter.clone(),
        file: arguments.params.as_deref().map(read_parameters).transpose()?,
        environment: Some(|name| std::env::var(name).ok()),
        ..Provided::default()
    };
    let session = Arc::new(Session::planning(
        RunDirectory::new("check", None, true),
        State::default(),
        provided,
        Arc::new(Watcher::new(printer, true, false)),
    ));
    let host = Host::new(Arc::clone(&session), &source)?;
    let findings = host.check();
    let broken = findings.iter().any(|f| f.severity == Severity::Error);
    // What the lints call an error would only be said again by the evaluation.
    let planned = if broken { None } else { Some(plan(&host, &session)) };
    if let Some(Ok(())) = planned {
        session.parameters().check_all_claimed(&own_options("check"))?;
    }
    if arguments.json {
        return Ok(report_json(&findings, planned, &session, printer));
    }
    for finding in &findings {
        let drawn = draw(finding, &source, printer.stdout_colored(), printer.stdout_width());
        printer.raw_stdout(&format!("{}\n\n", drawn.trim_end()));
    }
    match planned {
        None => Ok(exit_code::SCRIPT),
        Some(Err(Trouble::Script(error))) => Err(error.into()),
        Some(Err(Trouble::Plan(error))) => Err(plan_error(&error, &source)),
        Some(Ok(())) => {
            let warnings = if findings.is_empty() {
                String::new()
            } else {
                format!(", {}", counted(findings.len(), "warning"))
            };
            printer.result(&format!(
                "{}: {}, {}{warnings}",
                source.name,
                counted(session.plan().len(), "phase"),
                counted(session.parameters().iter().count(), "parameter")
            ));
            Ok(exit_code::DONE)
        }
    }
}

enum Trouble {
    Script(ScriptError),
    Plan(PlanError),
}

fn plan(host: &Host, session: &Arc<Session>) -> Result<(), Trouble> {
    let shared = Arc::clone(session);
    let validated = host
        .evaluate(move |_| shared.plan().validate())
        .map_err(Trouble::Script)?;
    validated.map_err(Trouble::Plan)
}

/// What fails wherever it is reached. Of the others a script may mean what it says, a phase in both arms of an `if` for one.
const CERTAIN: &[&str] = &[
    "unknown-module",
    "unknown-function",
    "wrong-number-of-arguments",
    "unknown-option",
    "later-option",
    "wrong-type",
    "undeclared-parameter",
    "unknown-phase",
];

/// What goes wrong without a word: the command runs, with other arguments than were meant.
const SILENT: &[&str] = &["not-filled-in", "one-word-command"];

/// Refuses a script that is certain to fail somewhere: better now than hours into a run. What will silently do something
/// else than was meant is warned of.
///
/// # Errors
/// [`CliError::Faulty`] with everything that is wrong.
pub(super) fn refuse_faults(host: &Host, source: &ScriptSource, printer: &Printer) -> Result<(), CliError> {
    let found = host.check();
    for silent in found.iter().filter(|f| SILENT.contains(&f.code)) {
        let at = format!("{}:{}:{}", source.name, silent.line, silent.column);
        printer.warn(&format!("{at}: {}", silent.message));
    }
    let faults: Vec<&Finding> = found.iter().filter(|f| CERTAIN.contains(&f.code)).collect();
    let Some(first) = faults.first() else { return Ok(()) };
    let more = match faults.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!(
        "{}:{}:{}: {}{more}",
        source.name, first.line, first.column, first.message
    );
    let drawn = faults
        .iter()
        .map(|f| draw(f, source, printer.stderr_colored(), printer.stderr_width()))
        .collect();
    Err(CliError::Faulty { message, drawn })
}

fn draw(finding: &Finding, source: &ScriptSource, colored: bool, width: Option<usize>) -> String {
    let level = if finding.severity == Severity::Error {
        Level::Error
    } else {
        Level::Warning
    };
    let label = Label {
        span: finding.span(&source.text),
        text: String::new(),
        primary: true,
    };
    let sources = if finding.line == 0 {
        vec![]
    } else {
        vec![Excerpt {
            path: source.name.clone(),
            text: source.text.clone(),
            labels: vec![label],
        }]
    };
    let diagnostic = Diagnostic {
        level,
        code: Some(finding.code.into()),
        title: finding.message.clone(),
        sources,
        notes: vec![],
        helps: finding.help.iter().cloned().collect(),
    };
    render(&diagnostic, colored, width)
}

fn report_json(findings: &[Finding], planned: Option<Result<(), Trouble>>, session: &Session, printer: &Printer) -> u8 {
    let listed: Vec<Value> = findings
        .iter()
        .map(|f| json!({ "severity": if f.severity == Severity::Error { "error" } else { "warning" }, "code": f.code, "message": f.message, "help": f.help, "line": f.line, "column": f.column }))
        .collect();
    let (error, code) = match planned {
        None => (None, exit_code::SCRIPT),
        Some(Ok(())) => (None, exit_code::DONE),
        Some(Err(Trouble::Script(error))) => (Some(error.one_line()), exit_code::SCRIPT),
        Some(Err(Trouble::Plan(error))) => (Some(error.to_string()), exit_code::SCRIPT),
    };
    let phases: Vec<String> = session.plan().phases().iter().map(|p| p.name.clone()).collect();
    let parameters: Vec<String> = session.parameters().iter().map(|(name, _)| name.to_string()).collect();
    printer.json(&json!({ "findings": listed, "error": error, "phases": phases, "parameters": parameters }));
    code
}
