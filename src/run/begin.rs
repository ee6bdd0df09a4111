//! The moment a plan becomes a run: the state file is made, or taken up again, and the ledger goes live.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, ZonedDateTime};

use super::records::{self, Birth};
use super::{ResumeNote, RunDirectoryError, STATE_FILE, Session, Unfinished, command_book, take_over};
use crate::plan::{Phase, Plan, Selection};
use crate::state::{PhaseStatus, State, StateError, Store};

/// The script that a run was planned from.
#[derive(Clone, Copy, Debug)]
pub struct PlannedScript<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its text, of which the run keeps a copy.
    pub text: &'a str,
    /// A hash of the text.
    pub hash: &'a str,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The run directory cannot be made.
    #[error(transparent)]
    Directory(#[from] RunDirectoryError),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Makes the run directory and its state file; everything is pending, and durable, when this returns.
///
/// # Errors
/// [`BeginError`] when the directory or the file cannot be made.
pub fn create_run(session: &Session, script: PlannedScript<'_>) -> Result<(), BeginError> {
    let directory = session.directory.path()?;
    let name = session.directory.name();
    let working_directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let run_id = new_run_id(&working_directory.join(&directory));
    let drafted = session.ledger.drafted();
    let birth = Birth {
        directory: &directory,
        name: &name,
        run_id: &run_id,
        working_directory: &working_directory,
        script: script.name,
        script_hash: script.hash,
    };
    let first = records::run_created(&birth, &session.plan(), &drafted, &session.parameters());
    let header = format!(
        "jumar state file: read it, grep it, edit it, also while the run is on\nCreated: {}\nExperiment: {name}",
        ZonedDateTime::now().strftime("%a %b %e %H:%M:%S %Z %Y")
    );
    let store = Store::create(&directory.join(STATE_FILE), &header, first)?;
    keep_script(&store, script);
    session
        .ledger
        .go_live(store, Arc::clone(&session.observer), session.stop.clone());
    Ok(())
}

/// A run that was taken up again.
#[derive(Debug, Default)]
pub struct Reopened {
    /// What there is to say about it.
    pub notes: Vec<ResumeNote>,
    /// Whether there was nothing to do. Its files are as they were then.
    pub is_settled: bool,
}

/// Takes a run up again: what was in progress is pending unless it is `unfinished`, phases that are new in the plan are added.
/// Parameters that have changed are recorded when the first attempt begins. A run in which nothing that is selected is left to
/// do is not written to.
///
/// # Errors
/// [`StateError`] when it cannot be written.
pub fn reopen_run(
    session: &Session,
    mut store: Store,
    script: PlannedScript<'_>,
    unfinished: Unfinished,
    selection: &Selection,
) -> Result<Reopened, StateError> {
    let drafted = session.ledger.drafted();
    let (events, notes) = take_over(store.state(), &unfinished);
    let untouched = events.is_empty() && drafted.is_empty() && unfinished.books().is_empty();
    if untouched && is_settled(&session.plan(), store.state(), script, selection) {
        session
            .ledger
            .go_live(store, Arc::clone(&session.observer), session.stop.clone());
        let is_settled = true;
        return Ok(Reopened { notes, is_settled });
    }
    store.begin_writing()?;
    for event in events {
        store.commit(event)?;
    }
    let directory = session.directory.path().unwrap_or_default();
    let name = session.directory.name();
    let working_directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let birth = Birth {
        directory: &directory,
        name: &name,
        run_id: &new_run_id(&working_directory.join(&directory)),
        working_directory: &working_directory,
        script: script.name,
        script_hash: script.hash,
    };
    let resumed = records::run_resumed(store.state(), &birth, &session.plan(), &drafted);
    store.commit(resumed)?;
    keep_script(&store, script);
    command_book::tidy(store.private_dir(), &unfinished.books());
    *session.unfinished() = unfinished;
    session
        .ledger
        .go_live(store, Arc::clone(&session.observer), session.stop.clone());
    let is_settled = false;
    Ok(Reopened { notes, is_settled })
}

/// Whether nothing that is selected is left to do, and nothing has changed that a resume records.
fn is_settled(plan: &Plan, state: &State, script: PlannedScript<'_>, selection: &Selection) -> bool {
    let has = |key: &str| state.get("metadata", key).is_some();
    let is_done = |phase: &Phase, status| {
        matches!(status, Some(PhaseStatus::Completed | PhaseStatus::Skipped)) && !phase.options.rerun_when_stale
    };
    let Ok(selected) = selection.resolve(plan) else {
        return false;
    };
    let statuses = state.statuses(plan.phases().iter().map(|phase| phase.name.as_str()));
    let mut phases = plan.phases().iter().zip(statuses).zip(selected);
    has("version")
        && has("run_id")
        && state.get("metadata", "script_hash") == Some(script.hash)
        && selection.rerun.is_empty()
        && !selection.rerun_stale
        && phases.all(|((phase, status), selected)| is_done(phase, status) || (!selected && status.is_some()))
}

/// The copy is for reading later; a run is not worth less without it.
fn keep_script(store: &Store, script: PlannedScript<'_>) {
    let path = store.private_dir().join("script.rhai");
    if std::fs::read(&path).is_ok_and(|old| old == script.text.as_bytes()) {
        return;
    }
    let fresh = path.with_extension("new");
    let _ = std::fs::write(&fresh, script.text).and_then(|()| std::fs::rename(&fresh, &path));
}

/// A name for trackers that stays over all attempts and resumes of a run, and that no other run has.
pub(super) fn new_run_id(directory: &std::path::Path) -> String {
    let seed = format!(
        "{} {} {}",
        directory.display(),
        Timestamp::now().as_nanosecond(),
        std::process::id()
    );
    blake3::hash(seed.as_bytes()).to_hex()[..12].to_string()
}
