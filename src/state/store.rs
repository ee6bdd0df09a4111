//! The one writer of a run's state.
//!
//! A [`Store`] holds the run's lock and the state in memory. Every event goes through [`Store::commit`] into the
//! journal; the state file shows it as soon as that costs little. What a person writes into the state file is merged
//! in, journaled, and the person's text is what is patched.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, failure};
use super::error::StateError;
use super::journal::Journal;
use super::lock::{self, Lock};
use super::model::State;
use super::view::{Installed, Patience, View};
use super::{page, shown};

mod committing;
mod opening;
mod saves;

pub use committing::{Maker, Uncommitted, Underway};

/// How often the state file is written anew because somebody saved it in that moment.
const TRIES: usize = 20;
/// How long to leave the state file alone while somebody seems to be saving it, and after it could not be replaced.
const SAVING: Duration = Duration::from_millis(200);
const TROUBLED: Duration = Duration::from_secs(2);
/// Where a status waits that somebody wrote for a phase which was running.
const WANTED: &str = "edits";
const WANTED_KEY: &str = ".wanted";

/// A run's state, open for writing. Dropping it brings the state file up to date and releases the lock.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    /// The path as the caller knows it, for messages.
    shown: PathBuf,
    private_directory: PathBuf,
    state: State,
    journal: Journal,
    view: View,
    /// The text that the state is put into, when it is not the one in the file.
    skeleton: Option<Vec<u8>>,
    /// Whether the file does not show the state as it is.
    stale: bool,
    /// Whether anything of the run was written since it was opened.
    has_written: bool,
    /// Phases that this process runs.
    running: HashSet<String>,
    /// Whether events are on their way to the disk, and the journal with them.
    is_underway: bool,
    notes: Vec<String>,
    /// The last trouble with the state file, so that it is told once.
    trouble: Option<String>,
    lock: Option<Lock>,
}

impl Store {
    /// The state as it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes sure that there is room to record the result of a phase that is about to start.
    ///
    /// # Errors
    /// [`StateError::NoRoom`]: the phase must not start, because nobody could be told reliably how it ended.
    /// [`StateError::TakenOver`]: another host goes on with the run.
    pub fn reserve(&mut self) -> Result<(), StateError> {
        if self.journal.is_taken_over() {
            return Err(self.taken_over());
        }
        let result = self.journal.reserve(&self.state);
        self.notes.extend(self.journal.take_notes());
        result.map_err(|source| StateError::NoRoom {
            path: self.shown.clone(),
            source,
        })
    }

    fn taken_over(&self) -> StateError {
        StateError::TakenOver {
            path: self.shown.clone(),
            owner: Box::new(lock::holder(&self.private_directory).unwrap_or_default()),
        }
    }

    /// Looks whether somebody wrote into the file since the last look, merges it in, and returns what to tell the
    /// user (together with what [`Store::take_notes`] would have returned).
    ///
    /// # Errors
    /// [`StateError::Io`] when the edit cannot be journaled, [`StateError::Unreadable`] and
    /// [`StateError::IsDirectory`] when nothing can be said about the file.
    pub fn refresh(&mut self) -> Result<Vec<String>, StateError> {
        self.take_in(Patience::Later)?;
        self.show_when_due();
        Ok(self.take_notes())
    }

    /// Brings the state file up to date, be it due or not.
    ///
    /// # Errors
    /// [`StateError`] when that was not possible. Nothing is lost then: the journal has everything.
    pub fn show(&mut self) -> Result<(), StateError> {
        self.show_with(Patience::Now)?;
        if let Some(stamp) = self.journal.stamp().filter(|_| !self.stale) {
            shown::note(&*self.disk, &self.private_directory, &stamp, self.view.known());
        }
        Ok(())
    }

    /// As [`Store::show`], for the last time. A journal that has grown long begins anew, so that whoever opens the run next
    /// reads the state and not how it came to be.
    ///
    /// # Errors
    /// As [`Store::show`].
    pub fn show_at_the_end(&mut self) -> Result<(), StateError> {
        if self.has_written && !self.is_underway {
            let before = self.journal.stamp();
            self.journal.rotate_at_the_end(&self.state);
            self.stale |= self.journal.stamp() != before;
        }
        self.show()
    }

    /// How long it is until the state file should be brought up to date; nothing while it is.
    pub fn show_in(&self) -> Option<Duration> {
        self.stale.then(|| self.view.due().saturating_sub(self.disk.clock()))
    }

    /// Brings the state file up to date if [`Store::show_in`] says that it is time. That it cannot be is worth a note,
    /// no more: the truth is in the journal.
    pub fn show_when_due(&mut self) {
        if self.show_in().is_none_or(|time| !time.is_zero()) {
            return;
        }
        match self.show_with(Patience::Later) {
            Ok(()) => {
                self.trouble = None;
                if self.stale {
                    self.view.postpone(SAVING);
                }
            }
            Err(error) => {
                let trouble = error.headline();
                if self.trouble.as_ref() != Some(&trouble) {
                    self.notes.push(format!(
                        "the state file lags behind, the journal has everything: {trouble}"
                    ));
                }
                self.trouble = Some(trouble);
                self.view.postpone(TROUBLED);
            }
        }
    }

    /// What the user should hear about edits by hand and about the file system, each once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The state file, as it was named when the store was opened.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Says how the user knows the state file from now on, for messages.
    pub fn name(&mut self, shown: &Path) {
        self.shown = shown.to_owned();
        self.view.name(shown);
    }

    /// The hidden directory beside the file for the program's own files. It exists.
    pub fn private_dir(&self) -> &Path {
        &self.private_directory
    }

    /// Whether events are on their way to the disk: between [`Store::begin`] and [`Store::finish`].
    pub fn is_underway(&self) -> bool {
        self.is_underway
    }

    /// Lets go of the run, as dropping does, and leaves what it held in memory to the end of the process: to free half a
    /// million texts one by one takes as long as reading them.
    pub fn leave(mut self) {
        self.show_what_was_written();
        self.lock = None;
        std::mem::forget(self);
    }

    /// What was only looked at stays as it is. Who wants to hear of trouble has called `show`; the journal has everything.
    fn show_what_was_written(&mut self) {
        if self.has_written {
            let _ = self.show();
            self.journal.give_back_space();
        }
    }

    fn show_with(&mut self, patience: Patience) -> Result<(), StateError> {
        if self.is_underway {
            return Ok(());
        }
        for _ in 0..TRIES {
            if !self.take_in(patience)? || !self.stale {
                return Ok(());
            }
            if !self.view.load().map_err(failure("read", &self.shown, true))? {
                continue;
            }
            let begun = self.disk.clock();
            let synced = self.journal.sync(&self.state);
            self.notes.extend(self.journal.take_notes());
            synced.map_err(failure("write the journal in", &self.private_directory, true))?;
            let Some(stamp) = self.journal.stamp() else {
                return Ok(());
            };
            let skeleton = self.skeleton.as_deref().unwrap_or(self.view.known());
            let text = page::render(skeleton, &self.state, &stamp);
            if self.skeleton.is_none() && text.as_bytes() == self.view.known() {
                self.stale = false;
                return Ok(());
            }
            let installed = self
                .view
                .install(text, begun)
                .map_err(failure("replace", &self.shown, true))?;
            match installed {
                Installed::Done => {
                    self.skeleton = None;
                    self.stale = false;
                    return Ok(());
                }
                Installed::Overtaken => {}
                Installed::Unclear if patience == Patience::Later => return Ok(()),
                Installed::Unclear => {}
            }
        }
        let busy = std::io::Error::other("somebody else keeps writing into it");
        Err(failure("replace", &self.shown, true)(busy))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.show_what_was_written();
    }
}

#[cfg(test)]
mod tests;
