//! `run`: what a script may know of the run it is.

use std::sync::Arc;

use rhai::{Dynamic, FnNamespace, FuncRegistration, Map, Module};

use super::Outcome;
use crate::script::current;
use crate::script::fault::mistake;
use crate::script::shared::Shared;

/// The value behind the name `run`.
#[derive(Clone)]
struct Run(Arc<Shared>);

/// The properties of `run`, for messages and completion.
const PROPERTIES: &[&str] = &[
    "dir",
    "cwd",
    "name",
    "id",
    "checkpoint",
    "attempt",
    "phase",
    "dry",
    "program",
];

pub(super) fn handle(shared: &Arc<Shared>) -> Dynamic {
    Dynamic::from(Run(Arc::clone(shared)))
}

pub(super) const DOCS: &str = "What a script may know of the run: `run.dir`: the run directory (absolute inside a phase that has a `cwd`); `run.cwd`: the working directory; `run.name`, which the script may set before it asks for `run.dir`; `run.id`;
`run.checkpoint`: what `--checkpoint` gave, or `()`; `run.phase` and `run.attempt` inside a phase; `run.dry`: whether nothing is really done; `run.program`: the path of the jumar that runs.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    module.set_custom_type::<Run>("Run");
    let getter = FuncRegistration::new_index_getter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global);
    let setter = FuncRegistration::new_index_setter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global);
    getter.set_into_module(module, |run: &mut Run, name: &str| get(run, name));
    setter.set_into_module(module, |run: &mut Run, name: &str, value: Dynamic| {
        set(run, name, value)
    });
}

/// A copy of what is known of the run, when the value is that.
pub(super) fn as_map(value: &Dynamic) -> Option<Map> {
    let run = value.read_lock::<Run>()?;
    let known = PROPERTIES
        .iter()
        .filter_map(|name| Some(((*name).into(), get(&run, name).ok()?)));
    Some(known.filter(|(_, value): &(_, Dynamic)| !value.is_unit()).collect())
}

fn get(run: &Run, name: &str) -> Outcome<Dynamic> {
    let session = &run.0.session;
    let text = |text: Option<String>| text.map_or(Dynamic::UNIT, Dynamic::from);
    Ok(match name {
        "dir" => {
            let elsewhere = current::with(|attempt| attempt.is_some_and(|a| a.phase.options.cwd.is_some()));
            let path = if elsewhere {
                session.absolute_directory()
            } else {
                session.directory.path()
            };
            path.map_err(|e| mistake(e.to_string()))?
                .to_string_lossy()
                .into_owned()
                .into()
        }
        "cwd" => std::env::current_dir()
            .map_err(|e| mistake(format!("run.cwd: {e}")))?
            .to_string_lossy()
            .into_owned()
            .into(),
        "name" => session.directory.name().into(),
        "id" => text(session.ledger.get("metadata", "run_id")),
        "checkpoint" => text(session.given_checkpoint.clone()),
        "phase" => text(current::with(|a| a.map(|a| a.phase.name.clone()))),
        "attempt" => current::with(|a| a.map(|a| i64::from(a.number))).map_or(Dynamic::UNIT, Dynamic::from),
        "program" => std::env::current_exe()
            .map_err(|e| mistake(format!("run.program: {e}")))?
            .to_string_lossy()
            .into_owned()
            .into(),
        "dry" => (session.mode == crate::run::Mode::Dry).into(),
        _ => {
            return Err(mistake(format!(
                "run has no property `{name}`; it has {}",
                PROPERTIES.join(", ")
            )));
        }
    })
}

fn set(run: &Run, name: &str, value: Dynamic) -> Outcome<()> {
    if name != "name" {
        return Err(mistake(format!("`run.{name}` cannot be set; `run.name` can")));
    }
    let name = value.into_string().map_err(|_| mistake("`run.name` must be a text"))?;
    match run.0.session.directory.rename(&name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(mistake(
            "`run.name` is set too late: `run.dir` has been asked for already",
        )),
        Err(error) => Err(mistake(error.to_string())),
    }
}
