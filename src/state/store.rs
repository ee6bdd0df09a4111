//! The one writer of a run's state.
//!
//! A [`Store`] holds the run's lock and the state in memory. Every event goes through [`Store::commit`] into the
//! journal; the state file shows it as soon as that costs little. What a person writes into the state file is merged
//! in, journaled, and the person's text is what is patched.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check;
use super::disk::{self, Disk, RealDisk, SIZE_LIMIT, failure, unreadable};
use super::error::StateError;
use super::event::{Change, Event, PHASES};
use super::journal::{Entry, Journal};
use super::lock::{self, Doubt, Lock};
use super::look::{merged, places, read_at};
use super::model::State;
use super::owner;
use super::page::{self, Page};
use super::recovery::{self, Recovered};
use super::status::PhaseStatus;
use super::view::{Installed, Patience, Sighting, View};

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
    /// Phases that this process runs.
    running: HashSet<String>,
    notes: Vec<String>,
    /// The last trouble with the state file, so that it is told once.
    trouble: Option<String>,
    _lock: Option<Lock>,
}

/// What stood in the state file when the store was opened.
enum Found {
    /// There is no journal: it is the state.
    Imported(Vec<u8>),
    /// It is still to be merged with the journal's state.
    Judged(Vec<u8>, Page),
}

impl Store {
    /// Makes the state file, and the directory it is to stand in, and takes the run's lock. `header` becomes the
    /// comment lines at the top; `first` fills the file. When this returns the state is durable.
    ///
    /// # Errors
    /// [`StateError::AlreadyExists`] when there is a state already, [`StateError::Locked`],
    /// [`StateError::BadChange`], [`StateError::Io`].
    pub fn create(state_file: &Path, header: &str, first: Event) -> Result<Store, StateError> {
        check_event(&first)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        refuse_content(&*disk, state_file, state_file)?;
        if let Some(directory) = state_file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk::create_directory(directory)?;
        }
        let file = disk::resolve(state_file).map_err(failure("create", state_file, true))?;
        let (directory, lock) = take_over(&file, state_file, Doubt::Respect)?;
        Self::create_on(disk, file, state_file.to_owned(), directory, header, first, Some(lock))
    }

    fn create_on(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        shown: PathBuf,
        directory: PathBuf,
        header: &str,
        first: Event,
        lock: Option<Lock>,
    ) -> Result<Store, StateError> {
        refuse_content(&*disk, &file, &shown)?;
        let recovered = recovery::recover(&*disk, &directory)?;
        if recovered.state.is_some() {
            return Err(StateError::AlreadyExists { path: shown });
        }
        let mut store = Self::assemble(disk, file, shown, directory, recovered, State::default(), lock)?;
        store.skeleton = Some(page::comments(header));
        let exists = store.disk.mark(store.view.file()).is_ok();
        store.view.set_known(exists.then(Vec::new));
        store.commit(first)?;
        Ok(store)
    }

    /// Takes the run's lock and reads the state: the journal's, with what was written into the state file since.
    ///
    /// # Errors
    /// Everything [`read`] refuses, [`StateError::Locked`], and [`StateError::Io`] when the lock cannot be made or
    /// nothing can be written.
    pub fn open(state_file: &Path) -> Result<Store, StateError> {
        Self::open_despite(state_file, Doubt::Respect)
    }

    /// As [`Store::open`], and says what to do where nobody can know whether another host has the run.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StateError::MaybeLocked`].
    pub fn open_despite(state_file: &Path, doubt: Doubt) -> Result<Store, StateError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let (file, private_directory) = places(state_file);
        // Asked before anything is made beside a file that is not there, or is no state.
        if disk.mark(&private_directory).is_err() {
            read_at(&*disk, &file, state_file, &private_directory)?;
        }
        let (private_directory, lock) = take_over(&file, state_file, doubt)?;
        Self::open_on(disk, file, state_file.to_owned(), private_directory, Some(lock))
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        shown: PathBuf,
        directory: PathBuf,
        lock: Option<Lock>,
    ) -> Result<Store, StateError> {
        let mut recovered = recovery::recover(&*disk, &directory)?;
        let bytes = disk.read(&file, SIZE_LIMIT);
        let (state, found) = match (recovered.state.take(), bytes) {
            (None, Ok(bytes)) => (page::import(&bytes, &shown)?, Found::Imported(bytes)),
            (None, Err(error)) => return Err(unreadable(&*disk, &file, &shown, error)),
            (Some(state), bytes) => {
                let bytes = bytes.unwrap_or_default();
                match page::judge(&bytes, &shown) {
                    // Whoever opens it is there and can mend it.
                    Page::Wrong(error) => return Err(error),
                    page => (state, Found::Judged(bytes, page)),
                }
            }
        };
        let mut store = Self::assemble(disk, file, shown, directory, recovered, state, lock)?;
        match found {
            Found::Imported(bytes) => store.view.set_known(Some(bytes)),
            Found::Judged(bytes, page) => {
                store.view.set_judged(bytes, page);
                store.take_in(Patience::Now)?;
            }
        }
        Ok(store)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        shown: PathBuf,
        private_directory: PathBuf,
        mut recovered: Recovered,
        mut state: State,
        lock: Option<Lock>,
    ) -> Result<Store, StateError> {
        let joined = recovered.joined_changes(&state);
        let mut notes: Vec<String> = lock.iter().flat_map(|lock| lock.warning.clone()).collect();
        notes.append(&mut recovered.notes);
        let begun = Journal::begin(
            Arc::clone(&disk),
            private_directory.clone(),
            recovered.present,
            recovered.seq,
            &state,
            &joined,
        );
        let journal = begun.map_err(failure("write the journal in", &private_directory, true))?;
        joined.iter().for_each(|change| state.apply(change));
        let view = View::new(Arc::clone(&disk), file, shown.clone(), private_directory.clone());
        Ok(Store {
            disk,
            shown,
            private_directory,
            state,
            journal,
            view,
            skeleton: None,
            stale: true,
            running: HashSet::new(),
            notes,
            trouble: None,
            _lock: lock,
        })
    }

    /// The state as it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes an event durable: when this returns, all of it is on the disk (an [`Event::unsynced`] survives the death
    /// of this process, but perhaps not a loss of power). An event that alters nothing is not written.
    ///
    /// # Errors
    /// [`StateError::BadChange`] for a name, a status or a text that the file cannot hold; [`StateError::Io`] when
    /// the disk fails. Nothing of the event is visible in memory then; it may be committed again.
    pub fn commit(&mut self, event: Event) -> Result<(), StateError> {
        check_event(&event)?;
        let mut changes = event.effect_on(&self.state);
        self.grant_wishes(&mut changes);
        if changes.is_empty() {
            self.show_when_due();
            return Ok(());
        }
        self.write_down(&event.verb, &changes, event.needs_sync())?;
        for change in changes.iter().filter(|change| change.section == PHASES) {
            if change.value.as_deref() == Some(PhaseStatus::InProgress.as_str()) {
                self.running.insert(change.key.clone());
            } else {
                self.running.remove(&change.key);
            }
        }
        self.show_when_due();
        Ok(())
    }

    /// Makes sure that there is room to record the result of a phase that is about to start.
    ///
    /// # Errors
    /// [`StateError::NoRoom`]: the phase must not start, because nobody could be told reliably how it ended.
    /// [`StateError::TakenOver`]: another host goes on with the run.
    pub fn reserve(&mut self) -> Result<(), StateError> {
        if self.journal.is_taken_over() {
            return Err(StateError::TakenOver {
                path: self.shown.clone(),
                owner: Box::new(lock::holder(&self.private_directory).unwrap_or_default()),
            });
        }
        let result = self.journal.reserve(&self.state);
        self.notes.extend(self.journal.take_notes());
        result.map_err(|source| StateError::NoRoom {
            path: self.shown.clone(),
            source,
        })
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
        self.show_with(Patience::Now)
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

    /// The hidden directory beside the file for the program's own files. It exists.
    pub fn private_dir(&self) -> &Path {
        &self.private_directory
    }

    fn write_down(&mut self, verb: &str, changes: &[Change], sync: bool) -> Result<(), StateError> {
        let entry = Entry { verb, changes, sync };
        let written = self.journal.record(&self.state, entry);
        self.notes.extend(self.journal.take_notes());
        written.map_err(failure("write the journal in", &self.private_directory, false))?;
        for change in changes {
            self.state.apply(change);
        }
        self.journal.rotate_if_large(&self.state);
        self.stale = true;
        Ok(())
    }

    /// Somebody wrote a status for a phase while it ran; it counts if the attempt did not complete.
    fn grant_wishes(&mut self, changes: &mut Vec<Change>) {
        let mut granted = Vec::new();
        for change in changes.iter_mut().filter(|change| change.section == PHASES) {
            let key = format!("{}{WANTED_KEY}", change.key);
            let Some(wish) = self.state.get(WANTED, &key) else {
                continue;
            };
            if change.value.as_deref() == Some(PhaseStatus::InProgress.as_str()) {
                continue;
            }
            let phase = &change.key;
            if change.completes() {
                self.notes.push(format!(
                    "{phase}: you wrote {wish} while it ran, and it completed; kept completed. Set it again to run it once more."
                ));
            } else {
                self.notes.push(format!("edited by hand, while it ran: {phase}={wish}"));
                change.value = Some(wish.to_owned());
            }
            granted.push(Change {
                section: WANTED.to_owned(),
                key,
                value: None,
            });
        }
        changes.extend(granted);
    }

    fn show_with(&mut self, patience: Patience) -> Result<(), StateError> {
        for _ in 0..TRIES {
            if !self.take_in(patience)? {
                return Ok(());
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

    /// Takes in what was written into the file. Returns whether the file may be replaced now.
    fn take_in(&mut self, patience: Patience) -> Result<bool, StateError> {
        for _ in 0..TRIES {
            match self.view.look(patience)? {
                Sighting::Same => return Ok(true),
                Sighting::Unclear => return Ok(false),
                Sighting::Gone { exists } => {
                    let text = self.view.known().to_vec();
                    self.skeleton.get_or_insert(text);
                    self.view.set_known(exists.then(Vec::new));
                    self.notes.push(format!(
                        "{} was gone or empty; it was written anew",
                        self.shown.display()
                    ));
                    self.stale = true;
                    return Ok(true);
                }
                Sighting::Spoilt { why, bytes } => {
                    let text = self.view.known().to_vec();
                    let aside = self.view.keep_aside(bytes)?;
                    self.skeleton.get_or_insert(text);
                    self.notes.push(format!(
                        "warning: {why}\n  the whole edit was set aside as {}; the state file is written anew without it",
                        aside.display()
                    ));
                    self.stale = true;
                    return Ok(true);
                }
                Sighting::Saved {
                    bytes,
                    page,
                    user,
                    late,
                } => self.take_save(bytes, page, user, late)?,
            }
        }
        Ok(false)
    }

    fn take_save(&mut self, bytes: Vec<u8>, page: Page, user: Option<u32>, late: bool) -> Result<(), StateError> {
        let merged = merged(&*self.disk, &self.private_directory, &self.state, page);
        let changed = !merged.edits.is_empty();
        let edits = self.note_wishes(merged.edits, merged.notes);
        if !edits.is_empty() {
            let who = user.map_or_else(|| "hand".to_owned(), owner::user_name);
            self.write_down(&format!("edited by {who}"), &edits, true)?;
        }
        let first_look = self.view.known().is_empty();
        if late {
            if changed || !first_look {
                self.skeleton = Some(bytes);
                self.stale = true;
            }
            return Ok(());
        }
        if let Some(older) = self.skeleton.take() {
            if !changed && first_look {
                self.skeleton = Some(older);
            } else if let Some(path) = self.view.keep_text(&older) {
                self.notes.push(format!(
                    "two saves of {} came at once; the values of both count, the older text is in {}",
                    self.shown.display(),
                    path.display()
                ));
            }
        }
        self.view.set_known(Some(bytes));
        self.stale |= changed;
        Ok(())
    }

    /// A status that was written for a phase which is running waits until the attempt is over.
    fn note_wishes(&mut self, edits: Vec<Change>, mut notes: Vec<String>) -> Vec<Change> {
        let mut left = Vec::new();
        for mut edit in edits {
            let running = edit.section == PHASES && self.running.contains(&edit.key);
            if let (true, Some(word)) = (running, &edit.value) {
                let phase = &edit.key;
                notes.retain(|note| !note.starts_with(&format!("edited by hand: {phase}=")));
                notes.push(format!(
                    "{phase} is running; {phase}={word} counts if it does not complete"
                ));
                edit.section = WANTED.to_owned();
                edit.key.push_str(WANTED_KEY);
            } else if running {
                continue;
            }
            left.push(edit);
        }
        self.notes.append(&mut notes);
        left
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Who wants to hear of trouble has called `show`; the journal has everything.
        let _ = self.show();
    }
}

fn refuse_content(disk: &dyn Disk, file: &Path, shown: &Path) -> Result<(), StateError> {
    match disk
        .read(file, SIZE_LIMIT)
        .map_err(|error| unreadable(disk, file, shown, error))
    {
        Err(StateError::NotFound { .. }) => Ok(()),
        Ok(bytes) if bytes.is_empty() => Ok(()),
        Ok(_) => Err(StateError::AlreadyExists { path: shown.to_owned() }),
        Err(error) => Err(error),
    }
}

fn take_over(file: &Path, shown: &Path, doubt: Doubt) -> Result<(PathBuf, Lock), StateError> {
    let private_directory = disk::private_directory(file);
    disk::create_directory(&private_directory)?;
    let lock = Lock::take(&private_directory, shown, doubt)?;
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
