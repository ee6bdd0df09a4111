//! `checkpoint(path, info?)` and `checkpoint()`

use std::path::Path;
use std::sync::Arc;

use rhai::{Dynamic, Map, Module};

use super::files::{here, would_match};
use super::{Outcome, define};
use crate::run::{Manifest, Mode, make_checkpoint};
use crate::script::current;
use crate::script::fault::{mistake, raise, raise_problem};
use crate::script::shared::Shared;
use crate::script::values::to_data;

const RECORD: &str = "Records a checkpoint, a file or a directory, after looking at it: it must exist and not be empty. Its size and a hash are kept, so that it can be
verified before it is used. `info` is a map of anything worth keeping. A relative path is taken from the phase's `cwd`. Throws a failure of kind `not_found` when it is missing or empty.";

const NEWEST: &str = "The path of the newest checkpoint that is still what was recorded. A newer one that is not is passed over, with a warning.
Throws a failure of kind `not_found` when there is none.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(module, "checkpoint", &["path: string", "()"], RECORD, |path: &str| {
        record(path, Map::new())
    });
    define(
        module,
        "checkpoint",
        &["path: string", "info: map", "()"],
        RECORD,
        |path: &str, info: Map| record(path, info),
    );
    define(module, "checkpoint", &["nothing: ()", "()"], RECORD, |_nothing: ()| {
        nothing_to_record(Map::new())
    });
    define(
        module,
        "checkpoint",
        &["nothing: ()", "info: map", "()"],
        RECORD,
        |_nothing: (), info: Map| nothing_to_record(info),
    );
    define(module, "checkpoint", &["string"], NEWEST, newest);
}

/// In a rehearsal a checkpoint that no stand-in could know of is made; what `newest` was to find is one.
fn nothing_to_record(info: Map) -> Outcome<()> {
    let rehearsed = current::attempt().filter(|attempt| attempt.session.rehearsal.is_some());
    if let Some(attempt) = rehearsed
        && let Some(path) = would_match()
        && let (Ok(run), Ok(full)) = (attempt.session.absolute_directory(), std::path::absolute(here(&path)))
        && full.starts_with(run)
    {
        return record(&path, info);
    }
    Err(raise(
        "not_found",
        "checkpoint: there is no file to record (`newest` found none)",
    ))
}

fn record(path: &str, info: Map) -> Outcome<()> {
    let attempt = current::attempt().ok_or_else(|| mistake("checkpoint(path) runs inside a phase"))?;
    let info = to_data(&Dynamic::from_map(info)).map_err(|not| {
        mistake(format!(
            "checkpoint: `info{}` cannot be kept: it is {}",
            not.path, not.type_name
        ))
    })?;
    let path = here(path).to_string_lossy().into_owned();
    let path = path.as_str();
    if attempt.session.mode == Mode::Dry {
        return attempt
            .record_checkpoint(&Manifest::expected(path))
            .map_err(raise_problem);
    }
    if attempt.session.rehearsal.is_some() {
        make_checkpoint(Path::new(path)).map_err(|error| raise("not_found", format!("checkpoint {path}: {error}")))?;
    }
    let info = info.as_object().cloned().unwrap_or_default();
    let manifest = Manifest::take(path, info).map_err(|error| raise("not_found", error.to_string()))?;
    attempt.record_checkpoint(&manifest).map_err(raise_problem)
}

fn newest() -> Outcome<String> {
    let attempt = current::attempt().ok_or_else(|| mistake("checkpoint() runs inside a phase"))?;
    match attempt.usable_checkpoint() {
        Ok(manifest) => {
            // Recorded as seen from the working directory; a phase that has another must find it, too.
            let path = manifest.path;
            Ok(match attempt.phase.options.cwd {
                Some(_) => std::path::absolute(&path).map_or(path, |p| p.to_string_lossy().into_owned()),
                None => path,
            })
        }
        Err(faults) => {
            let why = faults
                .first()
                .map_or_else(|| "no checkpoint has been recorded".to_string(), ToString::to_string);
            let again = match attempt.session.checkpoint_maker() {
                Some(phase) => format!("`jumar resume --rerun {phase}` makes it again"),
                None => "run the phase that makes it".into(),
            };
            let elsewhere = "or give one with --checkpoint PATH";
            Err(raise("not_found", format!("{why}; {again}, {elsewhere}")))
        }
    }
}
