//! What a dry run shows: the plan, the parameters with where each came from, and each command that is known.

use std::fmt::Write;

use serde_json::{Value, json};

use super::outcome::why_blocked;
use super::watch::{PlannedCommand, Watcher};
use crate::plan::Standing;
use crate::run::{PhasePreview, Session};
use crate::script::ScriptSource;
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// Shows a dry run.
pub(super) fn show(
    source: &ScriptSource,
    session: &Session,
    phases: &[PhasePreview],
    watcher: &Watcher,
    as_json: bool,
    printer: &Printer,
) {
    let commands = watcher.planned();
    let directory = session.directory.path().unwrap_or_default();
    if as_json {
        printer.json(&to_json(source, session, phases, &commands));
        return;
    }
    let mut text = format!(
        "Dry run of {}: nothing is run or written.\nRun directory: {}\n",
        source.name,
        directory.display()
    );
    text.push_str("\nParameters\n");
    text.push_str(&parameters(session, printer));
    text.push_str("\nPlan\n");
    for phase in phases {
        let number = phase.number.map(|n| format!(" ({n})")).unwrap_or_default();
        let _ = writeln!(text, "  {}{number}: {}", phase.name, verdict(phase));
        for command in commands.iter().filter(|c| c.phase == phase.name) {
            let step = command.step.as_ref().map(|s| format!("[{s}] ")).unwrap_or_default();
            let _ = if command.unknown {
                writeln!(text, "      … what follows is not known yet: {}", command.text)
            } else {
                writeln!(text, "      {step}$ {}", command.text)
            };
        }
    }
    printer.raw_stdout(&text);
}

fn verdict(phase: &PhasePreview) -> String {
    match (phase.runs, phase.standing, &phase.blocked) {
        (true, Standing::Failed, _) => "runs again (it failed)".into(),
        (true, Standing::Completed, _) if !phase.stale.is_empty() => format!("runs again: {}", because(phase)),
        (true, Standing::Completed, _) => "runs again".into(),
        (true, ..) => "runs".into(),
        (false, Standing::Completed, _) if !phase.stale.is_empty() => {
            format!("completed, and stale ({}); not run again", because(phase))
        }
        (false, Standing::Completed, _) => "completed; not run again".into(),
        (false, Standing::Skipped, _) => "skipped before; not run".into(),
        (false, _, Some(blocked)) => format!("does not run: {}", why_blocked(blocked)),
        (false, ..) => "does not run".into(),
    }
}

fn because(phase: &PhasePreview) -> String {
    phase
        .stale
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The parameters as a table: name, value, where from.
pub(super) fn parameters(session: &Session, printer: &Printer) -> String {
    let mut table = Table::new(&[("  name", Align::Left), ("value", Align::Left), ("from", Align::Left)]);
    for (name, parameter) in session.parameters().iter() {
        let value = match &parameter.value {
            Value::String(text) if !text.is_empty() => text.clone(),
            other => other.to_string(),
        };
        table.row(vec![
            Cell::new(format!("  {name}")),
            value.into(),
            Cell::new(parameter.source.to_string()).tone(Tone::Dim),
        ]);
    }
    if table.is_empty() {
        "  none\n".into()
    } else {
        table.render(None, printer.stdout_colored())
    }
}

fn to_json(source: &ScriptSource, session: &Session, phases: &[PhasePreview], commands: &[PlannedCommand]) -> Value {
    let parameters: serde_json::Map<String, Value> = session
        .parameters()
        .iter()
        .map(|(name, p)| {
            (
                name.to_string(),
                json!({ "value": p.value, "source": p.source.to_string(), "default": p.default, "help": p.help }),
            )
        })
        .collect();
    let phases: Vec<Value> = phases
        .iter()
        .map(|phase| {
            let own = commands.iter().filter(|c| c.phase == phase.name);
            let known: Vec<Value> = own
                .clone()
                .filter(|c| !c.unknown)
                .map(|c| json!({ "step": c.step, "command": c.text }))
                .collect();
            json!({
                "name": phase.name,
                "number": phase.number,
                "after": phase.after,
                "runs": phase.runs,
                "why": verdict(phase),
                "commands": known,
                "unknown_from_here": own.clone().find(|c| c.unknown).map(|c| &c.text),
            })
        })
        .collect();
    json!({ "script": source.name, "run": session.directory.path().unwrap_or_default(), "parameters": parameters, "phases": phases })
}
