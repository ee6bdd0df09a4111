//! The one writer of a run's state.
//!
//! A [`Store`] holds the run's lock and the state in memory. Every event goes through [`Store::commit`], which looks
//! at the file first: what a person wrote into it meanwhile is merged in, and the person's text is what is patched.

use std::io;
use std::path::{Path, PathBuf};

use super::check;
use super::disk::{self, Replacement};
use super::document::Document;
use super::error::StateError;
use super::event::{Change, Event};
use super::lock::{self, Lock};
use super::merge::{Merged, merge};
use super::model::State;
use super::owner::Owner;
use super::watch::{self, Found};

/// How often a commit starts anew because somebody saved the file while it was being written.
const TRIES: usize = 20;

/// A run's state, open for writing. Dropping it releases the lock; nothing is left to be written then.
#[derive(Debug)]
pub struct Store {
    /// The path as the caller knows it, for messages.
    shown: PathBuf,
    /// The file itself, behind all links.
    file: PathBuf,
    private_directory: PathBuf,
    document: Document,
    state: State,
    /// What was written or read last: the file differs from it only when somebody else wrote.
    written: Vec<u8>,
    notes: Vec<String>,
    _lock: Lock,
}

/// What a commit is about to put in the place of the file.
struct Draft {
    document: Document,
    changes: Vec<Change>,
    /// The state that the changes belong to, when it is not the one in memory.
    theirs: Option<State>,
    notes: Vec<String>,
    must_write: bool,
}

impl Store {
    /// Makes the state file, and the directory it is to stand in, and takes the run's lock. `header` becomes the
    /// comment lines at the top; `first` fills the file. When this returns the file is durable.
    ///
    /// # Errors
    /// [`StateError::AlreadyExists`] when there is a file that is not empty, [`StateError::Locked`],
    /// [`StateError::BadChange`], [`StateError::Io`].
    pub fn create(state_file: &Path, header: &str, first: Event) -> Result<Store, StateError> {
        check_event(&first)?;
        refuse_content(state_file, state_file)?;
        if let Some(directory) = state_file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk::create_directory(directory)?;
        }
        let file = disk::resolve(state_file).map_err(disk::failure("create", state_file, true))?;
        let (private_directory, lock) = take_over(&file, state_file)?;
        refuse_content(&file, state_file)?;
        let mut store = Store {
            shown: state_file.to_owned(),
            file,
            private_directory,
            document: Document::with_comments(header),
            state: State::default(),
            written: Vec::new(),
            notes: lock.warning.iter().cloned().collect(),
            _lock: lock,
        };
        let draft = Draft {
            document: std::mem::take(&mut store.document),
            changes: first.effect_on(&store.state),
            theirs: None,
            notes: Vec::new(),
            must_write: true,
        };
        if !store.install(draft, &Found::Vanished)? {
            return Err(StateError::AlreadyExists {
                path: state_file.to_owned(),
            });
        }
        Ok(store)
    }

    /// Takes the run's lock and reads the file. A file that cannot be understood is left as it is.
    ///
    /// # Errors
    /// Everything [`read`] refuses, [`StateError::Locked`], and [`StateError::Io`] when the lock cannot be made.
    pub fn open(state_file: &Path) -> Result<Store, StateError> {
        // Asked before anything is made beside a file that is not there.
        disk::size(state_file, state_file)?;
        let file = disk::resolve(state_file).map_err(|source| StateError::Unreadable {
            path: state_file.to_owned(),
            source,
        })?;
        let (private_directory, lock) = take_over(&file, state_file)?;
        let written = disk::read(&file, state_file)?;
        let (document, state) = check::understand(&written, state_file)?;
        Ok(Store {
            shown: state_file.to_owned(),
            file,
            private_directory,
            document,
            state,
            written,
            notes: lock.warning.iter().cloned().collect(),
            _lock: lock,
        })
    }

    /// The state as it was last written or read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes an event durable: when this returns, all of it is on the disk. An event that alters nothing is not
    /// written.
    ///
    /// What somebody wrote into the file meanwhile is merged in; [`Store::take_notes`] says what became of it.
    ///
    /// # Errors
    /// [`StateError::BadChange`] for a name, a status or a text that the file cannot hold; [`StateError::Io`],
    /// [`StateError::Unreadable`] and [`StateError::IsDirectory`] when the disk fails. Nothing of the event is
    /// visible in memory then, and the file is as it was (or says `unchanged: false` when that is not certain).
    pub fn commit(&mut self, event: Event) -> Result<(), StateError> {
        check_event(&event)?;
        let result = self.merge_and_write(&event);
        if result.is_err() {
            self.restore_document();
        }
        result
    }

    /// Looks whether somebody wrote into the file since the last look, merges it in, and returns what to tell the
    /// user (together with what [`Store::take_notes`] would have returned).
    ///
    /// # Errors
    /// As [`Store::commit`], when the file has to be written anew.
    pub fn refresh(&mut self) -> Result<Vec<String>, StateError> {
        self.commit(Event::new("refresh"))?;
        Ok(self.take_notes())
    }

    /// What the user should hear about edits by hand and about the file system, each once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The state file, as it was named when the store was opened.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// The hidden directory beside the file for the program's own files. It exists.
    pub fn private_dir(&self) -> &Path {
        &self.private_directory
    }

    fn merge_and_write(&mut self, event: &Event) -> Result<(), StateError> {
        for _ in 0..TRIES {
            let mut found = watch::look(&self.file, &self.shown, &self.written, &self.state)?;
            let draft = self.draft(event, &mut found);
            if self.install(draft, &found)? {
                return Ok(());
            }
            self.restore_document();
        }
        let busy = io::Error::other("somebody else keeps writing into it");
        Err(disk::failure("replace", &self.shown, true)(busy))
    }

    /// What the event comes to, given what was found in the file.
    fn draft(&mut self, event: &Event, found: &mut Found) -> Draft {
        let changes = event.effect_on(&self.state);
        if let Found::Edited { document, state, .. } = found {
            let theirs = std::mem::take(state);
            let mut ours = self.state.clone();
            for change in &changes {
                ours.apply(change);
            }
            let Merged { changes, notes } = merge(&self.state, &ours, &theirs);
            let must_write = !changes.is_empty();
            return Draft {
                document: std::mem::take(document),
                changes,
                theirs: Some(theirs),
                notes,
                must_write,
            };
        }
        let notes = match found {
            Found::Vanished => vec![format!(
                "{} was gone or empty; it was written anew",
                self.shown.display()
            )],
            // Where the old text was put is known only when it has been.
            Found::Same | Found::Edited { .. } | Found::Broken { .. } => Vec::new(),
        };
        let must_write = !changes.is_empty() || !matches!(found, Found::Same);
        Draft {
            document: std::mem::take(&mut self.document),
            changes,
            theirs: None,
            notes,
            must_write,
        }
    }

    /// Puts a draft in the place of the file, and then into memory. Returns whether that was done: it is not when
    /// the file changed under our hands.
    fn install(&mut self, mut draft: Draft, found: &Found) -> Result<bool, StateError> {
        if draft.must_write {
            for change in &draft.changes {
                draft.document.apply(change);
            }
            let text = draft.document.to_string().into_bytes();
            let replacement = Replacement::write(&self.file, &text)?;
            if !watch::still_is(found, &self.file, &self.shown, &self.written) {
                return Ok(false);
            }
            if let Found::Broken { why, .. } = found {
                let aside = disk::keep_aside(&self.file)?;
                draft.notes.push(format!(
                    "{why}\n  kept as {}; the state file was written anew without it",
                    aside.display()
                ));
            }
            if let Err(error) = replacement.install() {
                return Err(self.put_back(error, found));
            }
            self.written = text;
        } else if let Found::Edited { bytes, .. } = found {
            self.written.clone_from(bytes);
        }
        self.document = draft.document;
        if let Some(theirs) = draft.theirs {
            self.state = theirs;
        }
        for change in &draft.changes {
            self.state.apply(change);
        }
        self.notes.extend(draft.notes);
        Ok(true)
    }

    /// After a failure that came when the new text was in place already: tries to put the old text back.
    fn put_back(&self, error: StateError, found: &Found) -> StateError {
        let StateError::Io {
            doing,
            path,
            unchanged: false,
            source,
        } = error
        else {
            return error;
        };
        let old = match found {
            Found::Edited { bytes, .. } => bytes,
            _ => &self.written,
        };
        let unchanged = Replacement::write(&self.file, old)
            .and_then(Replacement::install)
            .is_ok();
        StateError::Io {
            doing,
            path,
            unchanged,
            source,
        }
    }

    /// Makes the document anew from the text that was written last, after a draft took it and failed.
    fn restore_document(&mut self) {
        if let Ok((document, _)) = check::understand(&self.written, &self.shown) {
            self.document = document;
        }
    }
}

/// Reads a state without taking its lock, without writing and without waiting.
///
/// # Errors
/// [`StateError::NotFound`], [`StateError::IsDirectory`], [`StateError::Unreadable`], [`StateError::TooLarge`],
/// [`StateError::Syntax`], [`StateError::NewerVersion`].
pub fn read(state_file: &Path) -> Result<State, StateError> {
    let bytes = disk::read(state_file, state_file)?;
    check::understand(&bytes, state_file).map(|(_, state)| state)
}

/// The directory for the program's own files beside a state file, behind all links; it need not be there.
pub fn private_directory(state_file: &Path) -> PathBuf {
    let file = disk::resolve(state_file).unwrap_or_else(|_| state_file.to_path_buf());
    disk::private_directory(&file)
}

/// Who has the run of this state file in use now, asked without taking its lock; `None` when nobody has.
pub fn holder(state_file: &Path) -> Option<Owner> {
    let file = disk::resolve(state_file).ok()?;
    lock::holder(&disk::private_directory(&file))
}

fn refuse_content(file: &Path, shown: &Path) -> Result<(), StateError> {
    match disk::size(file, shown) {
        Ok(0) | Err(StateError::NotFound { .. }) => Ok(()),
        Ok(_) => Err(StateError::AlreadyExists { path: shown.to_owned() }),
        Err(error) => Err(error),
    }
}

fn take_over(file: &Path, shown: &Path) -> Result<(PathBuf, Lock), StateError> {
    let private_directory = disk::private_directory(file);
    disk::create_directory(&private_directory)?;
    let lock = Lock::take(&private_directory, shown)?;
    Ok((private_directory, lock))
}

fn check_event(event: &Event) -> Result<(), StateError> {
    for change in &event.changes {
        let value_problem = || check::value_problem(&change.section, &change.key, change.value.as_deref()?);
        if let Some(problem) = change.problem().or_else(value_problem) {
            let (section, key) = (change.section.clone(), change.key.clone());
            return Err(StateError::BadChange { section, key, problem });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
