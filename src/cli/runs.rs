//! `jumar runs`: the runs under `runs/`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::RunsArguments;
use super::error::CliError;
use super::exit_code;
use super::status::is_interrupted;
use crate::run::{RunPath, all_runs};
use crate::state::{PhaseStatus, State, holder, read};
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// One run in a line.
struct Line {
    run: RunPath,
    started: Option<Timestamp>,
    completed: usize,
    phases: usize,
    standing: &'static str,
    tone: Tone,
    trouble: String,
}

/// Lists the runs, newest last.
pub(super) fn runs(arguments: &RunsArguments, printer: &Printer) -> Result<u8, CliError> {
    let lines: Vec<Line> = all_runs()?.into_iter().map(line).collect();
    if arguments.json {
        printer.json(&Value::Array(lines.iter().map(to_json).collect()));
        return Ok(exit_code::DONE);
    }
    if lines.is_empty() {
        printer.info("there is no run under runs/");
        return Ok(exit_code::DONE);
    }
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("started", Align::Left),
        ("phases", Align::Right),
        ("status", Align::Left),
        ("", Align::Left),
    ]);
    for line in lines {
        let name = line
            .run
            .directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let started = line
            .started
            .map(|t| {
                t.to_zoned_datetime(TimeZone::system())
                    .strftime("%Y-%m-%d %H:%M")
                    .to_string()
            })
            .unwrap_or_default();
        let count = format!("{}/{}", line.completed, line.phases);
        table.row(vec![
            name.into(),
            started.into(),
            count.into(),
            Cell::new(line.standing).tone(line.tone),
            Cell::new(line.trouble).tone(Tone::Dim),
        ]);
    }
    printer.raw_stdout(&table.render(printer.stdout_width(), printer.stdout_colored()));
    Ok(exit_code::DONE)
}

fn line(run: RunPath) -> Line {
    let state = match read(&run.state_file) {
        Ok(state) => state,
        Err(error) => {
            return Line {
                run,
                started: None,
                completed: 0,
                phases: 0,
                standing: "unreadable",
                tone: Tone::Bad,
                trouble: error.headline(),
            };
        }
    };
    let started = state
        .get("metadata", "start_time")
        .and_then(|s| s.trim().parse().ok())
        .and_then(|s| Timestamp::from_second(s).ok());
    let live = holder(&run.state_file).is_some();
    let (standing, tone) = standing(&state, live);
    let completed = state
        .phases()
        .filter(|(_, s)| matches!(s, PhaseStatus::Completed | PhaseStatus::Skipped))
        .count();
    let trouble = state
        .get("failures", "last_failure")
        .filter(|t| !t.is_empty() && standing == "failed")
        .unwrap_or_default()
        .to_string();
    Line {
        run,
        started,
        completed,
        phases: state.phases().count(),
        standing,
        tone,
        trouble,
    }
}

fn standing(state: &State, live: bool) -> (&'static str, Tone) {
    let any = |status: PhaseStatus| state.phases().any(|(_, s)| s == status);
    if live {
        ("running", Tone::Accent)
    } else if any(PhaseStatus::Failed) {
        ("failed", Tone::Bad)
    } else if any(PhaseStatus::InProgress) || state.phases().any(|(name, _)| is_interrupted(state, name)) {
        ("interrupted", Tone::Warn)
    } else if any(PhaseStatus::Pending) || state.phases().next().is_none() {
        ("pending", Tone::Dim)
    } else {
        ("completed", Tone::Good)
    }
}

fn to_json(line: &Line) -> Value {
    json!({
        "run": line.run.directory,
        "started": line.started,
        "completed": line.completed,
        "phases": line.phases,
        "status": line.standing,
        "trouble": line.trouble,
    })
}
