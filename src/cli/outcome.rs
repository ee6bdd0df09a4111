//! The end of a run, for people and for programs: summary, banner, exit code.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::exit_code;
use super::take_up::{typed_directory, typed_path};
use crate::compare::resume_command;
use crate::plan::{Blocked, Standing};
use crate::run::{Advice, PhaseReport, Report, STATE_FILE, Session, standing_advice};
use crate::ui::{self, Align, Banner, Cell, Printer, Table, Tone, failure_banner, human_duration};

/// Shows how a walk ended; returns its exit code.
pub(super) fn show(session: &Session, report: &Report, as_json: bool, printer: &Printer) -> u8 {
    let code = code_of(session, report);
    for note in session.ledger.close() {
        printer.info(&note);
    }
    for note in changes_without_effect(session, report) {
        printer.info(&note);
    }
    if as_json {
        printer.json(&to_json(session, report, code));
    }
    if !printer.settings().quiet && !as_json {
        printer.raw_stderr(&format!("\n{}", summary(report, printer)));
    }
    if report.failures().next().is_some() {
        if report.interrupted {
            printer.info("\nStopped before its end; what was running is pending again. What had failed before:");
        }
        printer.raw_stderr(&format!("\n{}", banner(session, report, printer)));
    } else if report.interrupted {
        printer.info(&format!(
            "\nStopped; what was running is pending again. To go on:\n  {}",
            command(session)
        ));
    } else if report.is_complete() && !as_json {
        let directory = typed_directory(session);
        printer.result(&format!("{}", directory.display()));
    }
    code
}

/// What there is to say of changed parameters when nothing ran with them.
fn changes_without_effect(session: &Session, report: &Report) -> Vec<String> {
    if report.interrupted || report.phases.iter().any(|phase| phase.ran) {
        return vec![];
    }
    let parameters = session.parameters();
    let changed = parameters.iter().filter_map(|(name, parameter)| {
        let was = parameter.changed_from.as_ref()?;
        Some(format!(
            "no phase ran with {name}={}: it stays {was} in this run; `--rerun PHASE` runs a phase again with it",
            parameter.value
        ))
    });
    changed.collect()
}

fn code_of(session: &Session, report: &Report) -> u8 {
    if report.interrupted {
        exit_code::stopped_by(session.stop.signal())
    } else if report.is_complete() {
        exit_code::DONE
    } else {
        exit_code::FAILED
    }
}

fn standing_word(standing: Standing) -> (&'static str, Tone) {
    match standing {
        Standing::Completed => ("completed", Tone::Good),
        Standing::Skipped => ("skipped", Tone::Warn),
        Standing::Failed => ("failed", Tone::Bad),
        Standing::Waiting | Standing::Running => ("pending", Tone::Dim),
    }
}

/// More names than this are no remark.
const MOST_NAMES: usize = 3;

/// Names for a remark: `a, b and 5 more`.
fn few(names: &[String]) -> String {
    if names.len() <= MOST_NAMES {
        return names.join(", ");
    }
    let shown = MOST_NAMES - 1;
    format!("{} and {} more", names[..shown].join(", "), names.len() - shown)
}

/// Why a phase did not run, in words.
pub(super) fn why_blocked(blocked: &Blocked) -> String {
    match blocked {
        Blocked::DependencyFailed(names) => format!("{} failed", few(names)),
        Blocked::DependencyPending(names) => format!("waits for {}", few(names)),
        Blocked::NotReached => "not reached".into(),
        Blocked::NotSelected => "not asked for".into(),
    }
}

/// More rows than this are no summary: the phases that went as they should are then only counted.
const MOST_ROWS: usize = 60;

fn summary(report: &Report, printer: &Printer) -> String {
    let mut table = Table::new(&[
        ("phase", Align::Left),
        ("status", Align::Left),
        ("attempts", Align::Right),
        ("time", Align::Right),
        ("", Align::Left),
    ]);
    let mut left_out = 0;
    for phase in &report.phases {
        let fine = phase.standing == Standing::Completed;
        if report.phases.len() > MOST_ROWS && fine {
            left_out += 1;
            continue;
        }
        let (word, tone) = standing_word(phase.standing);
        let attempts = if phase.attempts == 0 {
            String::new()
        } else {
            phase.attempts.to_string()
        };
        let time = if phase.ran {
            human_duration(phase.seconds)
        } else {
            String::new()
        };
        table.row(vec![
            phase.phase.name.as_str().into(),
            Cell::new(word).tone(tone),
            attempts.into(),
            time.into(),
            Cell::new(remark(phase)).tone(Tone::Dim),
        ]);
    }
    let mut text = if table.is_empty() {
        String::new()
    } else {
        table.render(printer.stderr_width(), printer.stderr_colored())
    };
    if left_out > 0 {
        let _ = writeln!(text, "{left_out} phases completed");
    }
    if let Some(why) = &report.aborted {
        let _ = writeln!(text, "stopped: {why}");
    }
    if let Some(failed) = report.failed_fast.as_ref().filter(|_| left_undone(report)) {
        let _ = writeln!(
            text,
            "stopped early: {failed} failed, and --fail-fast starts nothing more"
        );
    }
    text
}

/// Whether there was more to do.
fn left_undone(report: &Report) -> bool {
    let undone =
        |phase: &&PhaseReport| phase.standing == Standing::Waiting && phase.blocked != Some(Blocked::NotSelected);
    report.phases.iter().any(|phase| undone(&phase))
}

fn remark(phase: &PhaseReport) -> String {
    match (&phase.failure, &phase.blocked) {
        (Some(failure), _) => failure.kind.clone(),
        (None, Some(blocked)) => why_waiting(phase, blocked),
        (None, None) if !phase.ran => "before".into(),
        (None, None) => String::new(),
    }
}

fn why_waiting(phase: &PhaseReport, blocked: &Blocked) -> String {
    if phase.ran {
        "interrupted".into()
    } else {
        why_blocked(blocked)
    }
}

/// What helps against what has failed; the same as `status` and the sessions say.
fn advice(session: &Session) -> Advice {
    session.ledger.read(standing_advice)
}

/// The command that goes on, as the user can type it.
fn command(session: &Session) -> String {
    resume_command(&typed_directory(session).join(STATE_FILE), &advice(session))
}

fn banner(session: &Session, report: &Report, printer: &Printer) -> String {
    let failures: Vec<&crate::run::Failure> = report.failures().collect();
    let typed = |log: &String| typed_path(Path::new(log)).display().to_string();
    let logs: Vec<Option<String>> = failures.iter().map(|f| f.log.as_ref().map(typed)).collect();
    let shown: Vec<ui::Failure<'_>> = failures
        .iter()
        .zip(&logs)
        .map(|(f, log)| ui::Failure {
            phase: &f.phase,
            step: f.step.as_deref(),
            attempt: f.attempt.into(),
            seconds: f.seconds,
            kind: &f.kind,
            message: &f.message,
            command: f.command.as_deref(),
            log: log.as_deref(),
            last_lines: &f.tail,
            diagnostic: f.diagnostic.as_deref(),
        })
        .collect();
    failure_banner(
        &Banner {
            failures: &shown,
            hints: &advice(session).lines,
            resume_command: &command(session),
        },
        printer.stderr_colored(),
    )
}

fn to_json(session: &Session, report: &Report, code: u8) -> Value {
    let phases: Vec<Value> = report
        .phases
        .iter()
        .map(|p| {
            json!({
                "name": p.phase.name,
                "status": standing_word(p.standing).0,
                "ran": p.ran,
                "seconds": if p.ran { Some(p.seconds) } else { None },
                "attempts": p.attempts,
                "blocked": p.blocked.as_ref().map(|blocked| why_waiting(p, blocked)),
                "failure": p.failure,
            })
        })
        .collect();
    let resume = (code != exit_code::DONE).then(|| command(session));
    json!({
        "run": typed_directory(session),
        "exit_code": code,
        "complete": report.is_complete(),
        "interrupted": report.interrupted,
        "aborted": report.aborted,
        "failed_fast": report.failed_fast,
        "phases": phases,
        "resume": resume,
    })
}
