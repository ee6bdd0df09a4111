//! What a host that died has left behind, and what this one will leave behind if it dies: commands that go on.

use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::exec::{Keeping, Living, Local, settle, topmost};
use crate::plan::Selection;
use crate::run::{RunPath, Session, Unfinished, left_running};
use crate::state::{State, Store};

/// The program that runs, also when its file has been replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Where jumar's own files of a run lie.
const PRIVATE_DIRECTORY: &str = ".experiment_state.d";
/// The keeper's lock among jumar's own files of a run.
const KEEPER_LOCK: &str = "keeper";

/// Has a keeper start the commands of a run from now on.
pub(super) fn keep_commands(local: &Local, session: &Session, directory: &Path) {
    if let Some(private) = session.ledger.private_dir() {
        local.keep(Keeping {
            program: THIS_PROGRAM.into(),
            title: format!("jumar keeper: {}", directory.display()),
            lock: private.join(KEEPER_LOCK),
        });
    }
}

/// Jumar's own directory of a run that is only looked at.
pub(super) fn looked_at(run: &RunPath) -> PathBuf {
    run.directory.join(PRIVATE_DIRECTORY)
}

/// What a jumar that is gone has left running in a phase.
pub(super) struct StillRunning {
    /// The phase.
    pub phase: String,
    /// Its processes.
    pub processes: Vec<Living>,
}

/// The phases of a run that nobody has in use whose commands still run.
pub(super) fn still_running(directory: &Path, state: &State) -> Vec<StillRunning> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let left = left_running(state, &directory, &Unfinished::default()).into_iter();
    left.map(|(phase, processes)| StillRunning {
        phase: phase.into(),
        processes,
    })
    .collect()
}

/// `its command still runs (process 4711: python3 train.py)`; nothing when nothing does.
pub(super) fn still_runs(left: &[&StillRunning]) -> Option<String> {
    let processes: Vec<&Living> = left.iter().flat_map(|one| topmost(&one.processes)).collect();
    let first = processes.first()?;
    let more = match processes.len() {
        1 => String::new(),
        n => format!("; and {} more", n - 1),
    };
    Some(format!(
        "its command still runs (process {}: {}{more})",
        first.pid, first.command
    ))
}

/// What the last host of a run was at and this one goes on with. What it had running beside that is waited for; `None` when jumar
/// was asked to stop meanwhile.
pub(super) fn take_in(session: &Session, selection: &Selection, store: &Store) -> Result<Option<Unfinished>, CliError> {
    let private = store.private_dir();
    let settled = settle(&private.join(KEEPER_LOCK), &session.stop).map_err(|e| {
        CliError::disk(format!("the keeper of the last jumar does not answer: {e}"))
            .hint("`ps -e | grep jumar-keeper` shows it; when it is stopped, `kill -CONT` lets it go on")
    })?;
    if !settled {
        return Ok(None);
    }
    let unfinished = unfinished(session, selection, store.state(), private)?;
    let goes_on = wait_for_what_runs(session, store.state(), &unfinished)?;
    Ok(goes_on.then_some(unfinished))
}

/// The attempts that are gone on with: those of phases that are still in the plan and that nobody wants done anew.
pub(super) fn unfinished(
    session: &Session,
    selection: &Selection,
    state: &State,
    private: &Path,
) -> Result<Unfinished, CliError> {
    let plan = session.plan();
    let anew = selection.reruns(&plan)?;
    let mut unfinished = Unfinished::find(state, private);
    unfinished.retain(|phase| {
        let position = plan.phases().iter().position(|known| known.name == phase);
        position.is_some_and(|position| !anew.contains(&position))
    });
    Ok(unfinished)
}

/// Waits for what the last host left running; `false` when jumar was asked to stop first.
fn wait_for_what_runs(session: &Session, state: &State, unfinished: &Unfinished) -> Result<bool, CliError> {
    let living = left_running(state, &session.absolute_directory()?, unfinished).into_iter();
    let living: Vec<Living> = living.flat_map(|(_, processes)| processes).collect();
    for process in topmost(&living) {
        session.observer.note(&format!(
            "waiting for process {}, which the last jumar left running, before the run goes on: {}",
            process.pid, process.command
        ));
    }
    for process in &living {
        if !process.wait(&session.stop) {
            return Ok(false);
        }
    }
    Ok(true)
}
