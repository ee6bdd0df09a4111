//! `jumar status`: how the phases of a run stand. It reads; it never locks, waits or writes.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::StatusArguments;
use super::at_work::{overdue, remark};
use super::attempt_words::{changed, clock, joined, to_come};
use super::error::CliError;
use super::exit_code;
use super::left_behind::{StillRunning, looked_at, still_running, still_runs};
use super::moment::{Suffix, read_run};
use crate::compare::resume_command;
use crate::compare::{Estimate, estimate};
use crate::run::{
    AttemptRecord, RunPath, Unfinished, all_runs, attempts, is_interrupted, next_attempt, standing_advice,
};
use crate::state::{Moment, Owner, PhaseStatus, State, holder, read, value};
use crate::ui::{Align, Cell, Printer, Redraw, Table, Tone, human_duration};

/// How often a run that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// More phases than this are no picture to be watched.
const WATCHED_PHASES: usize = 30;
/// How many earlier runs are asked how long a phase takes.
const EARLIER_RUNS: usize = 20;

/// What is known around a run's state.
#[derive(Default)]
struct Around<'a> {
    /// Who has the run in use.
    owner: Option<&'a Owner>,
    /// Earlier runs of the same script.
    earlier: Vec<State>,
    /// What the phases are at.
    at: Unfinished,
    /// What a jumar that is gone left running.
    left: Vec<StillRunning>,
    /// The moment at which the run is shown, if it is not now.
    moment: Option<Moment>,
    /// How many phases are shown at most.
    most: Option<usize>,
}

/// Shows a run's state.
pub(super) fn status(arguments: &StatusArguments, printer: &Printer) -> Result<u8, CliError> {
    let (run, state, moment) = read_run(arguments.run.as_deref(), printer)?;
    if arguments.watch && moment.is_none() {
        return watch(&run, printer);
    }
    // Who has it now says nothing about then.
    let owner = holder(&run.state_file).filter(|_| moment.is_none());
    let mut around = Around {
        owner: owner.as_ref(),
        moment,
        ..Around::default()
    };
    if moment.is_none() {
        around.at = Unfinished::find(&state, &looked_at(&run));
    }
    if owner.is_some() {
        around.earlier = earlier_runs(&run, &state);
    } else if moment.is_none() {
        around.left = still_running(&run.directory, &state);
    }
    if arguments.json {
        printer.json(&to_json(&run, &state, &around));
    } else {
        printer.raw_stdout(&in_words(&run, &state, &around, printer));
    }
    Ok(exit_code::DONE)
}

/// Shows the state again and again until nobody works on the run, a command that outlived its jumar included. On a terminal times go on; elsewhere only what changes is told.
fn watch(run: &RunPath, printer: &Printer) -> Result<u8, CliError> {
    let mut redraw = Redraw::new(printer);
    let mut known: Option<(State, bool, Option<String>)> = None;
    let mut earlier: Option<Vec<State>> = None;
    loop {
        // Asked first: a run that ends in between is then seen in its last state.
        let owner = holder(&run.state_file);
        let state = read(&run.state_file)?;
        let left = match &owner {
            Some(_) => vec![],
            None => still_running(&run.directory, &state),
        };
        let now = (state, owner.is_some(), still_runs(&left.iter().collect::<Vec<_>>()));
        if printer.stdout_width().is_some() || known.as_ref() != Some(&now) {
            let around = Around {
                owner: owner.as_ref(),
                earlier: earlier.take().unwrap_or_else(|| earlier_runs(run, &now.0)),
                moment: None,
                at: Unfinished::find(&now.0, &looked_at(run)),
                most: Some(WATCHED_PHASES),
                left,
            };
            redraw.show(&in_words(run, &now.0, &around, printer));
            earlier = Some(around.earlier);
        }
        if (owner.is_none() && now.2.is_none()) || printer.stdout_broken() {
            return Ok(exit_code::DONE);
        }
        known = Some(now);
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// The states of the newest other runs of the same script.
pub(super) fn earlier_runs(run: &RunPath, state: &State) -> Vec<State> {
    let script = text_of(state, "metadata", "script");
    let own = std::fs::canonicalize(&run.state_file).ok();
    let others = all_runs().unwrap_or_default().into_iter().rev();
    others
        .filter(|other| std::fs::canonicalize(&other.state_file).ok() != own)
        .take(EARLIER_RUNS)
        .filter_map(|other| read(&other.state_file).ok())
        .filter(|other| script.is_some() && text_of(other, "metadata", "script") == script)
        .collect()
}

fn rest(state: &State, earlier: &[State]) -> Option<Estimate> {
    estimate(state, earlier, Timestamp::now())
}

fn rest_in_words(rest: &Estimate) -> String {
    let runs = if rest.runs == 1 {
        "an earlier run".into()
    } else {
        format!("{} earlier runs", rest.runs)
    };
    let about = human_duration(rest.seconds);
    match rest.unknown.as_slice() {
        [] => format!("about {about}, judged by {runs}"),
        [one] => format!("at least {about}, judged by {runs}; how long {one} takes is not known"),
        many => format!(
            "at least {about}, judged by {runs}; how long {} phases take is not known",
            many.len()
        ),
    }
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

fn start_of(state: &State) -> Option<Timestamp> {
    let text = state.get("metadata", "start_time")?;
    Timestamp::from_second(text.trim().parse().ok()?).ok()
}

/// When the last attempt of a run in which nothing runs ended, and how many seconds after its start.
fn end_of(state: &State) -> Option<(Timestamp, f64)> {
    let is_on = state.phases().any(|(_, status)| status == PhaseStatus::InProgress);
    let ended = state
        .phases()
        .flat_map(|(name, _)| attempts(state, name))
        .filter_map(|a| a.ended);
    let last = ended.max().filter(|_| !is_on)?;
    Some((last, last.duration_since(start_of(state)?).as_secs_f64().max(0.0)))
}

fn day_and_time(at: Timestamp) -> String {
    let here = at.to_zoned_datetime(jiff::tz::TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn in_words(run: &RunPath, state: &State, around: &Around<'_>, printer: &Printer) -> String {
    let owner = around.owner;
    let mut text = format!("run      {}\n", run.directory.display());
    if let Some(script) = text_of(state, "metadata", "script") {
        let _ = writeln!(text, "script   {script}");
    }
    if let Some(start) = start_of(state) {
        let _ = writeln!(text, "started  {}", day_and_time(start));
    }
    if let Some((ended, took)) = end_of(state).filter(|_| owner.is_none() && around.moment.is_none()) {
        let _ = writeln!(text, "ended    {}, after {}", day_and_time(ended), human_duration(took));
    }
    let still = still_runs(&around.left.iter().collect::<Vec<_>>());
    let interrupted = owner.is_none() && state.phases().any(|(_, s)| s == PhaseStatus::InProgress);
    let now = match owner {
        _ if around.moment.is_some() => String::new(),
        Some(owner) => format!("running: {owner}"),
        None if still.is_some() => format!("jumar is gone; {}", still.unwrap_or_default()),
        None if interrupted => "not running: jumar ended in the middle of a phase".into(),
        None => "not running".into(),
    };
    match around.moment {
        Some(moment) => {
            let on = if interrupted {
                "running then"
            } else {
                "no phase was running then"
            };
            let _ = writeln!(text, "then     {on}, at {}", Suffix(moment));
        }
        None => {
            let _ = writeln!(text, "now      {now}");
        }
    }
    if let Some(rest) = owner.and_then(|_| rest(state, &around.earlier)) {
        let late = match overdue(state, &around.earlier).as_slice() {
            [] => String::new(),
            late => format!("; when {} ends cannot be said", late.join(", ")),
        };
        let _ = writeln!(text, "rest     {}{late}", rest_in_words(&rest));
    }
    text.push('\n');
    text.push_str(&phase_table(state, owner.is_some(), around, printer));
    if let Some(phase) = text_of(state, "failures", "last_failure") {
        let is_over = matches!(state.phase(&phase), Some(PhaseStatus::Completed | PhaseStatus::Skipped));
        let what = if is_over { "recovered from" } else { "last failure" };
        let when = text_of(state, "failures", "last_failure_time").unwrap_or_default();
        let why = text_of(state, "failures", "last_failure_error")
            .map(|e| format!(": {e}"))
            .unwrap_or_default();
        let _ = writeln!(text, "\n{what}: {phase}, {when}{why}");
    }
    for (phase, why) in aborted(state) {
        let _ = writeln!(text, "stopped by the policy of {phase}: {why}");
    }
    if owner.is_none()
        && around.moment.is_none()
        && state
            .phases()
            .any(|(_, s)| !matches!(s, PhaseStatus::Completed | PhaseStatus::Skipped))
    {
        let advice = standing_advice(state);
        for line in &advice.lines {
            let _ = writeln!(text, "hint: {line}");
        }
        let _ = writeln!(text, "\nto go on: {}", resume_command(&run.state_file, &advice));
    }
    text
}

/// All phases.
pub(super) fn phases(state: &State, live: bool, most: Option<usize>, printer: &Printer) -> String {
    let around = Around {
        most,
        ..Around::default()
    };
    phase_table(state, live, &around, printer)
}

/// All phases, or where there are more than `most` those with something to tell, and a count of the others.
fn phase_table(state: &State, live: bool, around: &Around<'_>, printer: &Printer) -> String {
    let most = around.most;
    let dull = |status: PhaseStatus| matches!(status, PhaseStatus::Completed | PhaseStatus::Pending);
    let count = |status: PhaseStatus| state.phases().filter(|(_, s)| *s == status).count();
    let shortened = most.is_some_and(|most| state.phases().count() > most);
    let mut table = Table::new(&[
        ("phase", Align::Left),
        ("status", Align::Left),
        ("attempts", Align::Right),
        ("time", Align::Right),
        ("", Align::Left),
    ]);
    for (name, status) in state.phases().filter(|(_, status)| !shortened || !dull(*status)) {
        let known = attempts(state, name);
        let last = known.last();
        let time = match (status, last) {
            (PhaseStatus::InProgress, Some(record)) if live || around.left.iter().any(|left| left.phase == name) => {
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
        let remark = match (status, last) {
            (PhaseStatus::Failed, Some(record)) => joined(&[failure_of(record), changed(record)], "; "),
            (PhaseStatus::Skipped, _) => {
                let why = text_of(state, "results", &format!("{name}.skipped")).unwrap_or_default();
                let failure = last.map(failure_of).unwrap_or_default();
                joined(&[why, failure], "; after ")
            }
            (PhaseStatus::InProgress, Some(record)) if time.is_none() => {
                let begun = format!("begun {}", clock(record.started, Timestamp::now()));
                joined(&[begun, changed(record)], ", ")
            }
            (PhaseStatus::InProgress, Some(record)) => {
                let at = around.at.at_work(name);
                let doing = remark(at.as_ref(), name, time.unwrap_or_default(), &around.earlier);
                joined(&[changed(record), doing], "; ")
            }
            (PhaseStatus::Completed, Some(record)) => changed(record),
            _ if is_interrupted(state, name) => "interrupted".into(),
            _ => to_come(state, name).unwrap_or_default(),
        };
        table.row(vec![
            name.into(),
            status_cell(status),
            count.into(),
            time.map(human_duration).unwrap_or_default().into(),
            Cell::new(remark).tone(Tone::Dim),
        ]);
    }
    if shortened {
        let table = table.render(printer.stdout_width(), printer.stdout_colored());
        let (completed, pending) = (count(PhaseStatus::Completed), count(PhaseStatus::Pending));
        return format!("{table}and {completed} phases completed, {pending} pending\n");
    }
    if table.is_empty() {
        "no phases yet: everything is pending\n".into()
    } else {
        table.render(printer.stdout_width(), printer.stdout_colored())
    }
}

/// The phases over whose failure a policy stopped the whole run, and why.
fn aborted(state: &State) -> Vec<(&str, String)> {
    let failed = state.phases().filter(|(_, status)| *status == PhaseStatus::Failed);
    failed
        .filter_map(|(phase, _)| Some((phase, attempts(state, phase).pop()?.aborted?)))
        .collect()
}

fn failure_of(record: &AttemptRecord) -> String {
    let step = record.step.as_ref().map(|s| format!("{s}: ")).unwrap_or_default();
    match (&record.kind, &record.message) {
        (Some(kind), Some(message)) => format!("{kind}: {step}{message}"),
        _ => String::new(),
    }
}

fn to_json(run: &RunPath, state: &State, around: &Around<'_>) -> Value {
    let owner = around.owner;
    let rest = owner.and_then(|_| rest(state, &around.earlier));
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
        .map(|(name, status)| {
            json!({
                "name": name,
                "status": status.as_str(),
                "attempts": attempts(state, name),
                "next": next_attempt(state, name),
            })
        })
        .collect();
    let left = around.left.iter().flat_map(|one| {
        let processes = one.processes.iter();
        processes.map(|p| json!({ "phase": one.phase, "pid": p.pid, "command": p.command }))
    });
    let aborted: serde_json::Map<String, Value> = aborted(state)
        .into_iter()
        .map(|(phase, why)| (phase.into(), why.into()))
        .collect();
    json!({
        "run": run.directory,
        "state_file": run.state_file,
        "running": owner.is_some(),
        "owner": owner.map(ToString::to_string),
        "expected_rest_seconds": rest.map(|r| r.seconds),
        "left_running": left.collect::<Vec<_>>(),
        "aborted": aborted,
        "phases": phases,
        "state": sections,
    })
}
