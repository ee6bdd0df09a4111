//! `jumar explain [RUN] [PHASE]`: why each phase will or will not run when the run is resumed. It reads; it never locks,
//! waits or writes.

use std::fmt::Write;

use serde_json::{Value, json};

use super::args::ExplainArguments;
use super::attempt_words::{changed, joined, to_come};
use super::error::CliError;
use super::exit_code;
use super::left_behind::{looked_at, still_running, still_runs};
use super::look::{Look, With};
use super::moment::is_a_run;
use super::outcome::why_blocked;
use crate::plan::{Cause, Phase, Schedule, Selection, Standing};
use crate::run::{AttemptOutcome, Unfinished, attempts, locate, recorded_parameters, stale_phases, standings};
use crate::state::{PhaseStatus, read, value};
use crate::ui::{Align, Cell, Printer, Table, Tone, human_duration, shell_quote};

/// What is said of one phase.
struct Verdict {
    phase: std::sync::Arc<Phase>,
    status: PhaseStatus,
    /// Whether a resume runs it, if what it waits for completes.
    runs: bool,
    tone: Tone,
    why: String,
    causes: Vec<Cause>,
}

/// Explains a run, or one phase of it.
pub(super) fn explain(arguments: &ExplainArguments, printer: &Printer) -> Result<u8, CliError> {
    let (run, phase) = which(arguments);
    let with = With::Resumed {
        pairs: arguments.parameter.clone(),
    };
    show(Look::open(run, with, printer)?, phase, arguments.json, printer)?;
    Ok(exit_code::DONE)
}

/// Says of all phases of a run, or of one, why they will or will not run.
pub(super) fn show(mut look: Look, phase: Option<&str>, as_json: bool, printer: &Printer) -> Result<(), CliError> {
    if let Some(trouble) = look.trouble.take() {
        return Err(trouble.into());
    }
    look.session.parameters().check_all_claimed(&[])?;
    let verdicts = verdicts(&look);
    if let Some(name) = phase {
        let selection = Selection {
            only: vec![name.into()],
            ..Selection::default()
        };
        let unplanned = || verdicts.iter().position(|v| v.phase.name == name);
        let place = match selection.resolve(&look.session.plan()) {
            Ok(chosen) => chosen.iter().position(|chosen| *chosen),
            Err(error) => Some(unplanned().ok_or(error)?),
        };
        if let Some(verdict) = place.and_then(|place| verdicts.get(place)) {
            if as_json {
                printer.json(&to_json(&look, verdict));
            } else {
                printer.raw_stdout(&in_detail(&look, verdict));
            }
        }
        return Ok(());
    }
    if as_json {
        let phases: Vec<Value> = verdicts.iter().map(|v| to_json(&look, v)).collect();
        printer.json(&json!({ "run": look.run.directory, "running": look.owner.is_some(), "phases": phases }));
        return Ok(());
    }
    printer.raw_stdout(&table(&verdicts, printer));
    let stale = verdicts.iter().filter(|v| !v.causes.is_empty() && !v.runs).count();
    if stale > 0 {
        let (stale_phases, itself, them, they) = match stale {
            1 => ("1 phase is stale".into(), "itself", "it", "it is"),
            many => (format!("{many} phases are stale"), "themselves", "them", "they are"),
        };
        printer.info(&format!(
            "\n{stale_phases}, and not run again by {itself}: `jumar resume {run} --rerun-stale` runs {them}, \
             `jumar mark {run} PHASE --as completed` takes {them} as {they}",
            run = shell_quote(&look.run.directory.to_string_lossy())
        ));
    }
    Ok(())
}

/// `explain PHASE` means the newest run when no run is called that; one that only begins so is not meant.
fn which(arguments: &ExplainArguments) -> (Option<&str>, Option<&str>) {
    match (arguments.run.as_deref(), arguments.phase.as_deref()) {
        (Some(word), None) if !is_a_run(word) => {
            let newest = locate(None).ok().and_then(|run| read(&run.state_file).ok());
            match newest.is_some_and(|state| state.phase(word).is_some()) {
                true => (None, Some(word)),
                false => (Some(word), None),
            }
        }
        other => other,
    }
}

fn verdicts(look: &Look) -> Vec<Verdict> {
    let stale = stale_phases(&look.session);
    let plan = look.session.plan();
    let selected = vec![true; plan.len()];
    let before = look.session.ledger.read(|state| standings(&plan, state, &selected));
    let mut schedule = Schedule::new(&plan, before, selected, false);
    let again = |phase: &Phase| phase.options.rerun_when_stale && stale.iter().any(|s| s.phase == phase.name);
    for (position, phase) in plan.phases().iter().enumerate() {
        if again(phase) {
            schedule.set_back(&plan, position);
        }
    }
    // Everything that is ready is taken to complete: what is left waits for something that will not.
    let mut runs = vec![false; plan.len()];
    while let Some(position) = schedule.take_ready(|_| true) {
        runs[position] = true;
        schedule.finished(position, Standing::Completed);
    }
    let verdict = |(position, phase): (usize, &std::sync::Arc<Phase>)| {
        let causes = stale.iter().find(|s| s.phase == phase.name);
        let causes = causes.map(|s| s.causes.clone()).unwrap_or_default();
        let status = look.state.phase(&phase.name).unwrap_or(PhaseStatus::Pending);
        let blocked = schedule.blocked(&plan, position).map(|b| why_blocked(&b));
        let (why, tone) = why(look, phase, status, &causes, runs[position], blocked, &stale);
        Verdict {
            phase: std::sync::Arc::clone(phase),
            status,
            runs: runs[position],
            tone,
            why,
            causes,
        }
    };
    let planned = plan.phases().iter().enumerate().map(verdict);
    let unplanned = look.state.phases().filter(|(name, _)| plan.get(name).is_none());
    planned.chain(unplanned.map(not_planned)).collect()
}

/// A phase that the file knows and the script's top level does not declare.
fn not_planned((name, status): (&str, PhaseStatus)) -> Verdict {
    Verdict {
        phase: std::sync::Arc::new(Phase {
            name: name.into(),
            ..Phase::default()
        }),
        status,
        runs: false,
        tone: Tone::Dim,
        why: format!("{status}: declared by a phase while it ran, or in the script no more"),
        causes: vec![],
    }
}

fn why(
    look: &Look,
    phase: &Phase,
    status: PhaseStatus,
    causes: &[Cause],
    runs: bool,
    blocked: Option<String>,
    stale: &[crate::run::Stale],
) -> (String, Tone) {
    let known = attempts(&look.state, &phase.name);
    let last = known.last();
    let still = (status == PhaseStatus::InProgress && look.owner.is_none()).then(|| {
        let left = still_running(&look.run.directory, &look.state);
        still_runs(&left.iter().filter(|one| one.phase == phase.name).collect::<Vec<_>>())
    });
    let still = still.flatten();
    let because = causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let waits_for = phase.options.waits_for();
    let unsure: Vec<&str> = waits_for
        .filter(|name| stale.iter().any(|s| s.phase == **name))
        .map(String::as_str)
        .collect();
    match status {
        PhaseStatus::InProgress if look.owner.is_some() => ("is running now".into(), Tone::Accent),
        PhaseStatus::InProgress if still.is_some() => (
            format!("{}: resume takes it up", still.unwrap_or_default()),
            Tone::Accent,
        ),
        PhaseStatus::Completed if !causes.is_empty() && runs => (format!("runs again: {because}"), Tone::Warn),
        PhaseStatus::Completed if !causes.is_empty() => (format!("stale: {because}"), Tone::Warn),
        PhaseStatus::Completed if !unsure.is_empty() => {
            let verb = if unsure.len() == 1 { "is" } else { "are" };
            (format!("completed, but {} {verb} stale", unsure.join(", ")), Tone::Warn)
        }
        PhaseStatus::Completed => ("completed: does not run again".into(), Tone::Good),
        PhaseStatus::Skipped => {
            let why = look.state.get("results", &format!("{}.skipped", phase.name));
            let why = why
                .map(value::decode)
                .and_then(|v| v.as_str().map(|s| format!(" ({s})")));
            (format!("left out{}", why.unwrap_or_default()), Tone::Warn)
        }
        _ if !runs => (
            format!("does not run: {}", blocked.unwrap_or_else(|| "not reached".into())),
            Tone::Dim,
        ),
        PhaseStatus::Failed => {
            let how = last.and_then(|a| Some(format!(": {}: {}", a.kind.as_ref()?, a.message.as_ref()?)));
            (format!("runs again: it failed{}", how.unwrap_or_default()), Tone::Bad)
        }
        _ => {
            let began = match last.map(|a| a.outcome) {
                Some(AttemptOutcome::Interrupted | AttemptOutcome::Running) => {
                    // What was so at an earlier moment is not found among the processes of now.
                    let may_go_on = status == PhaseStatus::InProgress && look.moment.is_none();
                    let found = may_go_on.then(|| Unfinished::find(&look.state, &looked_at(&look.run)));
                    match found.and_then(|found| found.progress(&phase.name)) {
                        Some(progress) => format!("it goes on, {progress}"),
                        None => "it was interrupted".into(),
                    }
                }
                Some(AttemptOutcome::Completed) => "it was set back".into(),
                Some(AttemptOutcome::Failed) => {
                    to_come(&look.state, &phase.name).unwrap_or_else(|| "it is to be tried again".into())
                }
                Some(AttemptOutcome::Skipped) | None => "it has never run".to_string(),
            };
            (format!("runs: {began}"), Tone::Accent)
        }
    }
}

fn table(verdicts: &[Verdict], printer: &Printer) -> String {
    let mut table = Table::new(&[("phase", Align::Left), ("", Align::Left)]);
    for verdict in verdicts {
        table.row(vec![
            verdict.phase.name.as_str().into(),
            Cell::new(verdict.why.clone()).tone(verdict.tone),
        ]);
    }
    if table.is_empty() {
        return "the script declares no phase\n".into();
    }
    table.render(None, printer.stdout_colored())
}

fn in_detail(look: &Look, verdict: &Verdict) -> String {
    let phase = &verdict.phase;
    let mut text = format!("{}: {}\n", phase.name, verdict.why);
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {what:<12} {value}");
        }
    };
    line("status", verdict.status.to_string());
    line("help", phase.options.help.clone().unwrap_or_default());
    line(
        "declared at",
        phase.origin.as_ref().map(ToString::to_string).unwrap_or_default(),
    );
    let standing = |names: &[String]| {
        let one = |name: &String| {
            let status = look.state.phase(name).unwrap_or(PhaseStatus::Pending);
            format!("{name} ({status})")
        };
        names.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    line("waits for", standing(&phase.options.after));
    line("after any of", standing(&phase.options.after_any));
    line("inputs", phase.options.inputs.join(", "));
    line("outputs", phase.options.outputs.join(", "));
    let parameters = look.session.parameters();
    // One that is declared inside a phase is not known before that runs.
    let recorded = recorded_parameters(&look.state);
    let value = |name: &str| parameters.get(name).map(|p| &p.value).or_else(|| recorded.get(name));
    let shown = |name: &String| Some(format!("{name}={}", value(name)?));
    let read = look.session.recorded_reads(&phase.name);
    line("reads", read.iter().filter_map(shown).collect::<Vec<_>>().join(", "));
    let known = attempts(&look.state, &phase.name);
    for (number, attempt) in known.iter().enumerate() {
        let how = match attempt.outcome {
            AttemptOutcome::Running => "running",
            AttemptOutcome::Completed => "completed",
            AttemptOutcome::Failed => "failed",
            AttemptOutcome::Interrupted => "interrupted",
            AttemptOutcome::Skipped => "failed, left out",
        };
        let time = attempt
            .seconds
            .map(|s| format!(" after {}", human_duration(s)))
            .unwrap_or_default();
        let why = attempt.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
        let aborted = attempt
            .aborted
            .as_ref()
            .map(|why| format!("; its policy stopped everything: {why}"));
        let said = joined(&[format!("{how}{time}"), changed(attempt)], ", ");
        line(
            &format!("attempt {}", number + 1),
            format!("{said}{why}{}", aborted.unwrap_or_default()),
        );
        attempt.notes.iter().for_each(|note| line("", note.clone()));
    }
    for cause in &verdict.causes {
        line("stale", cause.to_string());
    }
    text
}

fn to_json(look: &Look, verdict: &Verdict) -> Value {
    let phase = &verdict.phase;
    json!({
        "name": phase.name,
        "status": verdict.status,
        "runs": verdict.runs,
        "stale": !verdict.causes.is_empty(),
        "why": verdict.why,
        "causes": verdict.causes.iter().map(Cause::to_json).collect::<Vec<_>>(),
        "after": phase.options.after,
        "after_any": phase.options.after_any,
        "attempts": attempts(&look.state, &phase.name).len(),
    })
}
