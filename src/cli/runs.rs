//! `jumar runs`: the runs under `runs/`, in a list or in columns of one's choice.

use std::num::NonZero;
use std::thread;

use serde_json::{Map, Value, json};

use super::args::RunsArguments;
use super::error::CliError;
use super::left_behind::{still_running, still_runs};
use super::run_columns::{Column, columns, local, progress, table, trouble, usual};
use super::{csv, diff, exit_code};
use crate::compare::{RunFacts, RunStanding};
use crate::run::{RunPath, all_runs};
use crate::state::StateError;
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// A run that could be read, or why not.
type Looked = Result<RunFacts, (RunPath, StateError)>;

/// Reads runs on all processors, and keeps their order.
fn side_by_side<T: Send>(runs: &[RunPath], read: impl Fn(&RunPath) -> T + Sync) -> Vec<T> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = runs.len().div_ceil(processors).max(1);
    thread::scope(|scope| {
        let readers: Vec<_> = runs
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(&read).collect::<Vec<T>>()))
            .collect();
        let read = readers.into_iter().map(|reader| match reader.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        read.flatten().collect()
    })
}

/// Lists the runs, newest last.
pub(super) fn runs(arguments: &RunsArguments, printer: &Printer) -> Result<u8, CliError> {
    let plain = arguments.columns.is_empty() && arguments.sort.is_none() && !arguments.csv;
    let read = if plain { RunFacts::read_outcome } else { RunFacts::read };
    let looked = side_by_side(&all_runs()?, |run| read(run).map_err(|error| (run.clone(), error)));
    if plain {
        return Ok(list(&looked, arguments.json, printer));
    }
    let mut runs = Vec::new();
    for run in looked {
        match run {
            Ok(run) => runs.push(run),
            Err((run, error)) => printer.warn(&format!("{}: {}", run.directory.display(), error.headline())),
        }
    }
    if let Some(key) = arguments.sort.as_ref().filter(|_| !runs.is_empty()) {
        diff::sort(&mut runs, key)?;
    }
    let columns = match (arguments.columns.is_empty(), &arguments.sort) {
        (false, _) => columns(&arguments.columns, &runs)?,
        (true, Some(key)) if !arguments.csv => {
            let words = ["status", "started", "phases", key.trim_start_matches('-')].map(String::from);
            columns(&words, &runs)?
        }
        _ => usual(&runs),
    };
    if arguments.json {
        printer.json(&Value::Array(
            runs.iter().map(|run| with_columns(run, &columns)).collect(),
        ));
    } else if arguments.csv {
        let mut text = String::new();
        csv::line(&mut text, columns.iter().map(Column::title));
        for run in &runs {
            csv::line(&mut text, columns.iter().map(|column| column.field(run)));
        }
        printer.raw_stdout(&text);
    } else if runs.is_empty() {
        printer.info("there is no run under runs/");
    } else {
        printer.raw_stdout(&table(&columns, &runs).render(printer.stdout_width(), printer.stdout_colored()));
    }
    Ok(exit_code::DONE)
}

fn list(looked: &[Looked], as_json: bool, printer: &Printer) -> u8 {
    if as_json {
        printer.json(&Value::Array(looked.iter().map(to_json).collect()));
        return exit_code::DONE;
    }
    if looked.is_empty() {
        printer.info("there is no run under runs/");
        return exit_code::DONE;
    }
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("started", Align::Left),
        ("phases", Align::Right),
        ("status", Align::Left),
        ("", Align::Left),
    ]);
    for run in looked {
        table.row(match run {
            Ok(run) => {
                let (over, all) = progress(run);
                let word = run.standing.as_str();
                vec![
                    run.name().into(),
                    run.started.map(local).unwrap_or_default().into(),
                    format!("{over}/{all}").into(),
                    Cell::new(word).tone(diff::layout::status_tone(word)),
                    Cell::new(still(run).unwrap_or_else(|| trouble(run).into())).tone(Tone::Dim),
                ]
            }
            Err((run, error)) => {
                let name = run
                    .directory
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                vec![
                    name.into(),
                    "".into(),
                    "0/0".into(),
                    Cell::new("unreadable").tone(Tone::Bad),
                    Cell::new(error.headline()).tone(Tone::Dim),
                ]
            }
        });
    }
    printer.raw_stdout(&table.render(printer.stdout_width(), printer.stdout_colored()));
    exit_code::DONE
}

/// What goes on of a run although its jumar is gone.
fn still(run: &RunFacts) -> Option<String> {
    let interrupted = run.standing == RunStanding::Interrupted;
    let left = interrupted.then(|| still_running(&run.directory, &run.state))?;
    still_runs(&left.iter().collect::<Vec<_>>())
}

fn to_json(run: &Looked) -> Value {
    match run {
        Ok(run) => {
            let (over, all) = progress(run);
            json!({
                "run": run.directory,
                "started": run.started,
                "completed": over,
                "phases": all,
                "status": run.standing.as_str(),
                "trouble": trouble(run),
                "still_runs": still(run).is_some(),
            })
        }
        Err((run, error)) => json!({
            "run": run.directory,
            "started": null,
            "completed": 0,
            "phases": 0,
            "status": "unreadable",
            "trouble": error.headline(),
            "still_runs": false,
        }),
    }
}

fn with_columns(run: &RunFacts, columns: &[Column]) -> Value {
    let fields: Map<String, Value> = columns.iter().map(|c| (c.title().to_string(), c.value(run))).collect();
    Value::Object(fields)
}
