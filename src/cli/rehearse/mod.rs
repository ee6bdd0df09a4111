//! `jumar rehearse`: fails every phase of a pipeline in every way, takes the run up again, and says what was lost or
//! done twice.
//!
//! What is rehearsed are real runs by real hosts in scratch directories; only the commands are stand-ins.

mod scenario;
mod stuck;
mod trouble;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use indexmap::IndexMap;
use serde_json::json;

use super::args::RehearseArguments;
use super::error::{CliError, plan_error};
use super::exit_code;
use super::script_argument::script_of;
use super::watch::Watcher;
use crate::plan::{Plan, Provided, RawOption};
use crate::run::{Fault, RunDirectory, Session};
use crate::script::{Host, ScriptSource};
use crate::state::State;
use crate::ui::{Align, Cell, Printer, Table, Tone};
use scenario::{Scenario, Stage};
use trouble::Trouble;
use verdict::{Straight, Verdict};

/// `jumar rehearse`
pub(super) fn rehearse(
    arguments: &RehearseArguments,
    mut raw: Vec<RawOption>,
    printer: &Printer,
) -> Result<u8, CliError> {
    let script = script_of(arguments.script.as_deref(), &mut raw)?;
    let source = script.map_or_else(|| Ok(ScriptSource::stock()), ScriptSource::read)?;
    let plan = plan(&source, &raw, arguments, printer)?;
    let name = source.name;
    let scratch = scratch_directory(arguments.keep.as_deref())?;
    let stage = Stage::new(script, arguments, raw, &scratch)?;
    let straight = Straight::of(&stage, &plan).map_err(|stuck| {
        let error = CliError::unrehearsable(format!(
            "{name} does not get to its end with stand-ins, even without a fault:\n  {}",
            stuck.why
        ));
        let error = stuck.hints.into_iter().fold(error, CliError::hint);
        error.hint(format!("the run is kept in {}", scratch.display()))
    })?;
    if straight.commands.is_empty() {
        return Err(CliError::usage(format!(
            "{name} runs no commands: there is nothing to rehearse"
        )));
    }
    let troubles = Trouble::all();
    let phases: Vec<&String> = straight
        .phases
        .iter()
        .filter(|p| straight.commands.contains_key(*p))
        .collect();
    printer.info(&format!(
        "rehearsing {name}: {} phases, {} commands as stand-ins, {} faults in each phase",
        phases.len(),
        straight.commands.values().map(Vec::len).sum::<usize>(),
        troubles.len()
    ));
    let scenarios: Vec<Scenario> = phases
        .iter()
        .flat_map(|phase| troubles.iter().map(move |&trouble| (phase, trouble)))
        .map(|(phase, trouble)| {
            let commands = &straight.commands[*phase];
            let middle = commands.len() / 2;
            Scenario {
                fault: Fault {
                    phase: (*phase).clone(),
                    command: middle,
                    fate: trouble.fate(),
                },
                step: commands[middle].0.clone(),
                trouble,
            }
        })
        .collect();
    let verdicts = play_all(
        &scenarios,
        &stage,
        &straight,
        usize::from(arguments.jobs.unwrap_or_else(processors)),
    );
    let survived = verdicts.iter().filter(|v| v.problems.is_empty()).count();
    if arguments.json {
        printer.json(&as_json(&name, &scenarios, &verdicts));
    } else {
        printer.result(report(&phases, troubles, &scenarios, &verdicts, printer).trim_end());
    }
    if survived == scenarios.len() {
        if arguments.keep.is_none() {
            // What is left of it lies among temporary files.
            let _ = fs::remove_dir_all(&scratch);
        }
        return Ok(exit_code::DONE);
    }
    printer.hint(&format!(
        "the runs that did not survive are kept in {}",
        scratch.display()
    ));
    Ok(exit_code::FAILED)
}

/// The plan of the script. What is wrong with a script is better said before any host is started.
fn plan(
    source: &ScriptSource,
    raw: &[RawOption],
    arguments: &RehearseArguments,
    printer: &Printer,
) -> Result<Plan, CliError> {
    let provided = Provided {
        options: raw.to_vec(),
        pairs: arguments.parameter.clone(),
        environment: Some(|name| std::env::var(name).ok()),
        ..Provided::default()
    };
    let session = Arc::new(Session::planning(
        RunDirectory::new("rehearsal", None, true),
        State::default(),
        provided,
        Arc::new(Watcher::new(printer, true, false)),
    ));
    let shared = Arc::clone(&session);
    let validated = Host::new(Arc::clone(&session), source)?.evaluate(move |_| shared.plan().validate())?;
    validated.map_err(|error| plan_error(&error, source))?;
    let plan = session.plan().clone();
    Ok(plan)
}

fn processors() -> u16 {
    thread::available_parallelism().map_or(1, |n| n.get().try_into().unwrap_or(u16::MAX))
}

fn scratch_directory(asked: Option<&Path>) -> Result<PathBuf, CliError> {
    let made = match asked {
        Some(path) => fs::create_dir_all(path).map(|()| path.to_path_buf()),
        None => fresh_directory(),
    };
    let path = made.and_then(|path| path.canonicalize());
    path.map_err(|error| CliError::disk(format!("cannot make a scratch directory: {error}")))
}

fn fresh_directory() -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    for number in 0.. {
        let path = base.join(format!("jumar-rehearsal-{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn play_all(scenarios: &[Scenario], stage: &Stage, straight: &Straight, jobs: usize) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(number) else { return };
                    let verdict = verdict::of(scenario, number, stage, straight);
                    verdicts
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, verdict);
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.into_values().collect()
}

fn report(
    phases: &[&String],
    troubles: &[Trouble],
    scenarios: &[Scenario],
    verdicts: &[Verdict],
    printer: &Printer,
) -> String {
    let mut columns = vec![("phase", Align::Left)];
    columns.extend(troubles.iter().map(|t| (t.title(), Align::Left)));
    let mut table = Table::new(&columns);
    for (row, phase) in phases.iter().enumerate() {
        let mut cells = vec![Cell::new(phase.as_str())];
        for verdict in &verdicts[row * troubles.len()..(row + 1) * troubles.len()] {
            cells.push(match verdict.problems.is_empty() {
                true => Cell::new("survived").tone(Tone::Good),
                false => Cell::new("FAILED").tone(Tone::Bad),
            });
        }
        table.row(cells);
    }
    let mut text = table.render(printer.stdout_width(), printer.stdout_colored());
    let failed: Vec<_> = scenarios
        .iter()
        .zip(verdicts)
        .filter(|(_, v)| !v.problems.is_empty())
        .collect();
    let survived = scenarios.len() - failed.len();
    text.push_str(&match failed.is_empty() {
        true => format!("\nall {survived} survived: nothing lost, no completed phase or step done twice\n"),
        false => format!("\n{survived} of {} survived\n", scenarios.len()),
    });
    // The same problem often follows from several faults; it is told once.
    let mut told: IndexMap<(&str, &[String]), Vec<&str>> = IndexMap::new();
    for (scenario, verdict) in failed {
        let problem = (scenario.fault.phase.as_str(), verdict.problems.as_slice());
        told.entry(problem).or_default().push(scenario.trouble.in_words());
    }
    for ((phase, problems), after) in told {
        text.push_str(&format!("\n{phase}, after {}:\n", after.join("; after ")));
        for problem in problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}

fn as_json(name: &str, scenarios: &[Scenario], verdicts: &[Verdict]) -> serde_json::Value {
    let one = |(scenario, verdict): (&Scenario, &Verdict)| {
        json!({
            "phase": scenario.fault.phase,
            "fault": scenario.trouble.name(),
            "survived": verdict.problems.is_empty(),
            "repeated_commands": verdict.repeated,
            "problems": verdict.problems,
        })
    };
    let all: Vec<_> = scenarios.iter().zip(verdicts).map(one).collect();
    json!({ "script": name, "scenarios": all })
}
