//! The moment a plan becomes a run: the state file is made, or taken up again, and the ledger goes live.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, ZonedDateTime};

use super::records::{self, Birth};
use super::{ResumeNote, RunDirectoryError, STATE_FILE, Session, Unfinished, command_book, take_over};
use crate::state::{StateError, Store};

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

/// Takes a run up again: what was in progress is pending unless it is `unfinished`, phases that are new in the plan are added.
/// Parameters that have changed are recorded when the first attempt begins. Returns what there is to say about it.
///
/// # Errors
/// [`StateError`] when it cannot be written.
pub fn reopen_run(
    session: &Session,
    mut store: Store,
    script: Option<PlannedScript<'_>>,
    unfinished: Unfinished,
) -> Result<Vec<ResumeNote>, StateError> {
    let drafted = session.ledger.drafted();
    let (events, notes) = take_over(store.state(), &unfinished);
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
        script: script.map(|s| s.name).unwrap_or_default(),
        script_hash: script.map(|s| s.hash).unwrap_or_default(),
    };
    let resumed = records::run_resumed(store.state(), &birth, &session.plan(), &drafted);
    store.commit(resumed)?;
    if let Some(script) = script {
        keep_script(&store, script);
    }
    command_book::tidy(store.private_dir(), &unfinished.books());
    *session.unfinished() = unfinished;
    session
        .ledger
        .go_live(store, Arc::clone(&session.observer), session.stop.clone());
    Ok(notes)
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
fn new_run_id(directory: &std::path::Path) -> String {
    let seed = format!(
        "{} {} {}",
        directory.display(),
        Timestamp::now().as_nanosecond(),
        std::process::id()
    );
    blake3::hash(seed.as_bytes()).to_hex()[..12].to_string()
}
