//! `jumar status`: how the phases of a run stand. It reads; it never locks, waits or writes.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::StatusArguments;
use super::error::CliError;
use super::exit_code;
use crate::run::{AttemptRecord, RunPath, attempts, locate};
use crate::state::{Owner, PhaseStatus, State, holder, read, value};
use crate::ui::{Align, Cell, Printer, Table, Tone, human_duration, shell_quote};

/// Shows a run's state.
pub(super) fn status(arguments: &StatusArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate(arguments.run.as_deref())?;
    let state = read(&run.state_file)?;
    let owner = holder(&run.state_file);
    if arguments.json {
        printer.json(&to_json(&run, &state, owner.as_ref()));
    } else {
        printer.raw_stdout(&in_words(&run, &state, owner.as_ref(), printer));
    }
    Ok(exit_code::DONE)
}

/// A word and a tone for a status.
pub(super) fn status_cell(status: PhaseStatus) -> Cell {
    let tone = match status {
        PhaseStatus::Completed => Tone::Good,
        PhaseStatus::Failed => Tone::Bad,
        PhaseStatus::InProgress => Tone::Accent,
        PhaseStatus::Skipped => Tone::Warn,
        PhaseStatus::Pending => Tone::Dim,
    };
    Cell::new(status.as_str()).tone(tone)
}

fn text_of(state: &State, section: &str, key: &str) -> Option<String> {
    let text = state.get(section, key).filter(|t| !t.is_empty())?;
    Some(
        value::decode(text)
            .as_str()
            .map_or_else(|| text.to_string(), String::from),
    )
}

fn in_words(run: &RunPath, state: &State, owner: Option<&Owner>, printer: &Printer) -> String {
    let mut text = format!("run      {}\n", run.directory.display());
    if let Some(script) = text_of(state, "metadata", "script") {
        let _ = writeln!(text, "script   {script}");
    }
    if let Some(start) = state
        .get("metadata", "start_time")
        .and_then(|s| s.trim().parse().ok())
        .and_then(|s| Timestamp::from_second(s).ok())
    {
        let _ = writeln!(
            text,
            "started  {}",
            start
                .to_zoned_datetime(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
        );
    }
    let interrupted = owner.is_none() && state.phases().any(|(_, s)| s == PhaseStatus::InProgress);
    let now = match owner {
        Some(owner) => format!("running: {owner}"),
        None if interrupted => "not running: its host ended in the middle of a phase".into(),
        None => "not running".into(),
    };
    let _ = writeln!(text, "now      {now}\n");
    text.push_str(&phases(state, owner.is_some(), printer));
    if let Some(phase) = text_of(state, "failures", "last_failure") {
        let when = text_of(state, "failures", "last_failure_time").unwrap_or_default();
        let why = text_of(state, "failures", "last_failure_error")
            .map(|e| format!(": {e}"))
            .unwrap_or_default();
        let _ = writeln!(text, "\nlast failure: {phase}, {when}{why}");
    }
    if owner.is_none()
        && state
            .phases()
            .any(|(_, s)| !matches!(s, PhaseStatus::Completed | PhaseStatus::Skipped))
    {
        let _ = writeln!(
            text,
            "\nto go on: jumar resume {}",
            shell_quote(&run.state_file.to_string_lossy())
        );
    }
    text
}

/// The phases of a state as a table; `live` says that a run is on.
pub(super) fn phases(state: &State, live: bool, printer: &Printer) -> String {
    let mut table = Table::new(&[
        ("phase", Align::Left),
        ("status", Align::Left),
        ("attempts", Align::Right),
        ("time", Align::Right),
        ("", Align::Left),
    ]);
    for (name, status) in state.phases() {
        let known = attempts(state, name);
        let last = known.last();
        let time = match (status, last) {
            (PhaseStatus::InProgress, Some(record)) if live => {
                Some(Timestamp::now().duration_since(record.started).as_secs_f64())
            }
            (_, Some(record)) => record.seconds,
            (_, None) => None,
        };
        let count = if known.is_empty() {
            String::new()
        } else {
            known.len().to_string()
        };
        let remark = last
            .filter(|_| matches!(status, PhaseStatus::Failed | PhaseStatus::Skipped))
            .map(failure_of)
            .unwrap_or_default();
        table.row(vec![
            name.into(),
            status_cell(status),
            count.into(),
            time.map(human_duration).unwrap_or_default().into(),
            Cell::new(remark).tone(Tone::Dim),
        ]);
    }
    if table.is_empty() {
        "no phases yet: everything is pending\n".into()
    } else {
        table.render(printer.stdout_width(), printer.stdout_colored())
    }
}

fn failure_of(record: &AttemptRecord) -> String {
    let step = record.step.as_ref().map(|s| format!("{s}: ")).unwrap_or_default();
    match (&record.kind, &record.message) {
        (Some(kind), Some(message)) => format!("{kind}: {step}{message}"),
        _ => String::new(),
    }
}

fn to_json(run: &RunPath, state: &State, owner: Option<&Owner>) -> Value {
    let sections: serde_json::Map<String, Value> = state
        .sections()
        .filter(|name| !matches!(*name, "phases" | "attempts"))
        .map(|name| {
            (
                name.to_string(),
                state
                    .section(name)
                    .map(|(k, v)| (k.to_string(), value::decode(v)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )
        })
        .collect();
    let phases: Vec<Value> = state
        .phases()
        .map(|(name, status)| json!({ "name": name, "status": status.as_str(), "attempts": attempts(state, name) }))
        .collect();
    json!({
        "run": run.directory,
        "state_file": run.state_file,
        "running": owner.is_some(),
        "owner": owner.map(ToString::to_string),
        "phases": phases,
        "state": sections,
    })
}
