//! Taking a run up again: its script, and the directory it began in.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use super::args::How;
use super::error::CliError;
use crate::plan::nearest;
use crate::run::{RunPath, Session};
use crate::script::ScriptSource;
use crate::state::{State, value};
use crate::ui::Printer;

/// The directory in which the user is, when this process has left it.
static LEFT: OnceLock<PathBuf> = OnceLock::new();

/// A path that the user typed, as it means the same from here.
pub(super) fn meant_path(typed: &str) -> PathBuf {
    LEFT.get().map_or_else(|| typed.into(), |left| left.join(typed))
}

/// The run directory as the user can type it, who may be elsewhere than in the run's working directory.
pub(super) fn typed_directory(session: &Session) -> PathBuf {
    typed_path(&session.directory.path().unwrap_or_default())
}

/// A path as the user can type it, who may be elsewhere.
pub(super) fn typed_path(path: &Path) -> PathBuf {
    if LEFT.get().is_some() {
        std::path::absolute(path).unwrap_or_else(|_| path.into())
    } else {
        path.into()
    }
}

/// Where more pairs of names would have to be compared, the script has changed, and nobody has misspelt anything.
const MOST_COMPARED: usize = 10_000;

/// A name in the state file that the script does not have is nothing to complain of: scripts change. But where it stands in the place
/// of one that is missing there, a phase would be run again of which somebody said that it is done.
pub(super) fn warn_of_misspelt_phases(session: &Session) {
    let plan = session.plan();
    let misspelt: Vec<(String, String)> = session.ledger.read(|state| {
        let names = plan.phases().iter().map(|phase| phase.name.as_str());
        let missing = names
            .clone()
            .zip(state.statuses(names))
            .filter(|(_, status)| status.is_none());
        let missing: Vec<&str> = missing.map(|(name, _)| name).collect();
        if missing.is_empty() {
            return vec![];
        }
        let unknown = state.phases().map(|(name, _)| name);
        let unknown: Vec<&str> = unknown.filter(|name| plan.get(name).is_none()).collect();
        if unknown.len() * missing.len() > MOST_COMPARED {
            return vec![];
        }
        let near = |name: &&str| Some((String::from(*name), nearest(name, missing.iter().copied())?));
        unknown.iter().filter_map(near).collect()
    });
    for (name, near) in misspelt {
        session.observer.warn(&format!(
            "the state file has `{name}`, and no phase is called that; did you mean `{near}`? That one is pending"
        ));
    }
}

/// The script of a run: the one the user names, the one it was started with, or the copy that it kept. A file of the bash runner has
/// none: that was the stock pipeline.
pub(super) fn recorded_script(
    run: &RunPath,
    state: &State,
    asked: Option<&str>,
    printer: &Printer,
) -> Result<ScriptSource, CliError> {
    if let Some(path) = asked {
        return Ok(ScriptSource::read(path)?);
    }
    let text = |key: &str| {
        state
            .get("metadata", key)
            .map(value::decode)
            .and_then(|v| v.as_str().map(String::from))
    };
    let Some(name) = text("script").filter(|name| !name.starts_with("<stock>")) else {
        return Ok(ScriptSource::stock());
    };
    let directory = text("working_directory")
        .map(PathBuf::from)
        .filter(|d| d.is_dir())
        .unwrap_or_default();
    let path = directory.join(&name);
    let mut source = if path.is_file() {
        ScriptSource::read(&path.to_string_lossy())?
    } else {
        let copy = run.directory.join(".experiment_state.d/script.rhai");
        printer.warn(&format!("the script {name} is gone; using the copy that the run kept"));
        ScriptSource::read(&copy.to_string_lossy())?
    };
    source.name = name;
    if text("script_hash").is_some_and(|hash| hash != source.hash()) {
        printer.info(&format!("note: {} has changed since the run began", source.name));
    }
    Ok(source)
}

/// Commands and relative paths mean what they meant when the run began; those that the user gave mean what they mean here.
pub(super) fn go_to_working_directory(
    run: &mut RunPath,
    how: Option<&mut How>,
    state: &State,
    printer: &Printer,
) -> Result<(), CliError> {
    let Some(recorded) = state
        .get("metadata", "working_directory")
        .map(value::decode)
        .and_then(|v| v.as_str().map(PathBuf::from))
    else {
        return Ok(());
    };
    let here = std::env::current_dir().map_err(|e| CliError::disk(format!("the working directory is gone: {e}")))?;
    if recorded == here {
        return Ok(());
    }
    if !recorded.is_dir() {
        printer.warn(&format!(
            "the run's working directory {} is not here; going on in {}",
            recorded.display(),
            here.display()
        ));
        return Ok(());
    }
    let mut file = std::path::absolute(&run.state_file).map_err(|e| CliError::disk(e.to_string()))?;
    if file.components().any(|part| part == Component::ParentDir)
        && let (Some(directory), Some(name)) = (file.parent(), file.file_name())
        && let Ok(directory) = directory.canonicalize()
    {
        file = directory.join(name);
    }
    std::env::set_current_dir(&recorded).map_err(|e| {
        CliError::disk(format!(
            "cannot go to the run's working directory {}: {e}",
            recorded.display()
        ))
    })?;
    // A second time it is left for the same one.
    let _ = LEFT.set(here.clone());
    if let Some(how) = how {
        if let Some(path) = &mut how.checkpoint {
            *path = here.join(&*path).to_string_lossy().into_owned();
        }
        if let Some(path) = &mut how.params {
            *path = here.join(&*path);
        }
    }
    let relative = file.strip_prefix(&recorded).map(Path::to_path_buf).unwrap_or(file);
    run.directory = relative.parent().map(Path::to_path_buf).unwrap_or_default();
    run.state_file = relative;
    Ok(())
}
