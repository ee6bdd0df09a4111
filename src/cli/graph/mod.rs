//! `jumar graph`: the plan of a script as a drawing. Nothing is run or written.

mod drawing;
mod layers;
mod words;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{GraphArguments, GraphFormat};
use super::error::{CliError, plan_error};
use super::exit_code;
use super::parameter_file::read_parameters;
use super::take_up::{go_to_working_directory, recorded_script};
use super::watch::Watcher;
use crate::plan::{Plan, PlanError, Provided};
use crate::run::{RunDirectory, RunPath, STATE_FILE, Session, locate, recorded_parameters};
use crate::script::{Host, ScriptSource};
use crate::state::{State, read};
use crate::ui::Printer;

/// A phase as it is drawn.
struct Node {
    name: String,
    /// A second line: its number, its GPUs.
    note: String,
}

/// An arrow from one node to another.
struct Arrow {
    from: usize,
    to: usize,
    /// It is enough that the first has finished, completed or failed.
    any_end: bool,
}

/// A plan as nodes and arrows.
struct Graph {
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
}

/// Draws the plan of a script.
pub(super) fn graph(arguments: &GraphArguments, printer: &Printer) -> Result<u8, CliError> {
    let file = arguments.params.as_deref().map(read_parameters).transpose()?;
    let (source, state) = match arguments.script.as_deref() {
        None => (ScriptSource::stock(), State::default()),
        Some(asked) => match run_meant(asked) {
            Some(mut run) => {
                let state = read(&run.state_file)?;
                let source = recorded_script(&run, &state, None, printer)?;
                go_to_working_directory(&mut run, None, &state, printer)?;
                (source, state)
            }
            None => (ScriptSource::read(asked)?, State::default()),
        },
    };
    let provided = Provided {
        pairs: arguments.parameter.clone(),
        file,
        environment: Some(|name| std::env::var(name).ok()),
        recorded: recorded_parameters(&state),
        ..Provided::default()
    };
    let session = Arc::new(Session::planning(
        RunDirectory::new("graph", None, true),
        state,
        provided,
        Arc::new(Watcher::new(printer, true, false)),
    ));
    let host = Host::new(Arc::clone(&session), &source)?;
    let shared = Arc::clone(&session);
    let read = move |_: &dyn crate::run::Bodies| -> Result<Graph, PlanError> {
        let plan = shared.plan();
        plan.validate()?;
        Ok(Graph::of(&plan))
    };
    let graph = host.evaluate(read)?.map_err(|error| plan_error(&error, &source))?;
    session.parameters().check_all_claimed(&[])?;
    match arguments.format() {
        GraphFormat::Mermaid => printer.raw_stdout(&words::mermaid(&graph)),
        GraphFormat::Dot => printer.raw_stdout(&words::dot(&graph)),
        GraphFormat::Svg => printer.raw_stdout(&drawing::svg(&graph)),
        GraphFormat::Json => printer.json(&as_json(&session.plan())),
    }
    Ok(exit_code::DONE)
}

/// The run that is meant where a script could be named; `None` for what can only be a script.
fn run_meant(asked: &str) -> Option<RunPath> {
    let path = Path::new(asked);
    let is_script = path.extension().is_some_and(|extension| extension == "rhai")
        || (path.is_file() && !path.ends_with(STATE_FILE));
    if is_script { None } else { locate(Some(asked)).ok() }
}

/// The plan for programs: `docs/comparing.md` describes it.
fn as_json(plan: &Plan) -> Value {
    let phases = plan.phases().iter().map(|phase| {
        json!({
            "name": phase.name,
            "number": phase.options.number,
            "gpus": phase.options.gpus,
            "after": phase.options.after,
            "after_any": phase.options.after_any,
        })
    });
    json!({ "schema": 1, "phases": phases.collect::<Vec<Value>>() })
}

impl Graph {
    fn of(plan: &Plan) -> Graph {
        let mut arrows = Vec::new();
        for (to, phase) in plan.phases().iter().enumerate() {
            for (names, any_end) in [(&phase.options.after, false), (&phase.options.after_any, true)] {
                let known = names.iter().filter_map(|name| plan.position(name));
                arrows.extend(known.map(|from| Arrow { from, to, any_end }));
            }
        }
        let node = |phase: &Arc<crate::plan::Phase>| {
            let mut notes: Vec<String> = phase.options.number.map(|n| format!("phase {n}")).into_iter().collect();
            match phase.options.gpus {
                0 => {}
                1 => notes.push("1 GPU".into()),
                many => notes.push(format!("{many} GPUs")),
            }
            Node {
                name: phase.name.clone(),
                note: notes.join(" · "),
            }
        };
        Graph {
            nodes: plan.phases().iter().map(node).collect(),
            arrows,
        }
    }
}
