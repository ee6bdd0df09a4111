//! How a store comes to be: a run's first event, or what its journal and its state file say.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk::{self, Disk, RealDisk, SIZE_LIMIT, failure, unreadable};
use super::super::error::StateError;
use super::super::event::{Change, Event};
use super::super::journal::Journal;
use super::super::lock::{Doubt, Lock};
use super::super::look::{places, read_at, refuse_other_run};
use super::super::model::State;
use super::super::page::{self, Page};
use super::super::recovery::{self, Recovered};
use super::super::shown::{self, Noted};
use super::super::view::{Patience, View};
use super::Store;
use super::committing::check_event;

/// What stood in the state file when the store was opened.
enum Found {
    /// There is no journal: it is the state.
    Imported(Vec<u8>),
    /// It says the same as the journal.
    Same(Vec<u8>),
    /// As before; it is noted, and was not kept.
    Noted(Noted),
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

    pub(super) fn create_on(
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
        let mut store = Self::assemble(disk, file, shown, directory, recovered, State::default(), lock);
        store.begin_journal(&[])?;
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
        let mut store = Self::open_untouched(state_file, Doubt::Respect)?;
        store.begin_writing()?;
        Ok(store)
    }

    /// As [`Store::open`], but a run whose files say what they should is left as it is until [`Store::begin_writing`], or
    /// until there is something to record. `doubt` says what to do where nobody can know whether another host has the run.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StateError::MaybeLocked`].
    pub fn open_untouched(state_file: &Path, doubt: Doubt) -> Result<Store, StateError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let (file, private_directory) = places(state_file);
        // Asked before anything is made beside a file that is not there, or is no state.
        if disk.mark(&private_directory).is_err() {
            read_at(&*disk, &file, state_file, &private_directory)?;
        }
        let (private_directory, lock) = take_over(&file, state_file, doubt)?;
        Self::open_untouched_on(disk, file, state_file.to_owned(), private_directory, Some(lock))
    }

    /// Takes the journal over from whoever wrote it last, if that has not been done.
    ///
    /// # Errors
    /// [`StateError::TakenOver`] when somebody else has done so since the store was opened, [`StateError::Io`].
    pub fn begin_writing(&mut self) -> Result<(), StateError> {
        if self.journal.has_begun() {
            return Ok(());
        }
        let as_it_was = self.journal.is_as_it_was_read();
        if !as_it_was.map_err(failure("read", &self.private_directory, true))? {
            return Err(self.taken_over());
        }
        self.begin_journal(&[])
    }

    pub(super) fn open_untouched_on(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        called: PathBuf,
        directory: PathBuf,
        lock: Option<Lock>,
    ) -> Result<Store, StateError> {
        let mark = disk.mark(&file).ok();
        let (mut recovered, noted) = shown::recover(&*disk, &file, &directory)?;
        let (state, found) = match (recovered.state.take(), noted) {
            (Some(state), Some(noted)) => (state, Found::Noted(noted)),
            (state, _) => match (state, disk.read(&file, SIZE_LIMIT)) {
                (None, Ok(bytes)) => (page::import(&bytes, &called)?, Found::Imported(bytes)),
                (None, Err(error)) => return Err(unreadable(&*disk, &file, &called, error)),
                (Some(state), bytes) => {
                    let bytes = bytes.unwrap_or_default();
                    let found = match page::judge(&bytes, &called) {
                        // Whoever opens it is there and can mend it.
                        Page::Wrong(error) => return Err(error.or_remove_the_file()),
                        // A view is written when the journal is durable up to its stamp. What a host that was killed left
                        // behind that may not be, and is to be before anybody is told.
                        Page::Whole(content)
                            if content.state == state && recovered.stamp.as_ref() == Some(&content.stamp) =>
                        {
                            Found::Same(bytes)
                        }
                        page => {
                            refuse_other_run(&*disk, &directory, &state, &page, &called)?;
                            Found::Judged(bytes, page)
                        }
                    };
                    (state, found)
                }
            },
        };
        let is_clean = recovered.joined.is_empty() && recovered.notes.is_empty();
        let joined = recovered.joined_changes(&state);
        let mut store = Self::assemble(disk, file, called, directory, recovered, state, lock);
        if !(is_clean && matches!(found, Found::Same(_) | Found::Noted(_))) {
            store.begin_journal(&joined)?;
        }
        match found {
            Found::Imported(bytes) => store.view.set_known(Some(bytes)),
            Found::Same(bytes) => {
                store.view.set_read(bytes, mark);
                store.take_in_late_saves()?;
            }
            Found::Noted(noted) => {
                store.view.set_noted(noted, mark);
                store.take_in_late_saves()?;
            }
            Found::Judged(bytes, page) => {
                store.view.set_judged(bytes, page);
                store.take_in(Patience::Now)?;
            }
        }
        Ok(store)
    }

    /// What somebody saved into a file that the last host had replaced already.
    fn take_in_late_saves(&mut self) -> Result<(), StateError> {
        self.stale = self.journal.has_begun();
        self.take_in(Patience::Now).map(|_| ())
    }

    fn begin_journal(&mut self, joined: &[Change]) -> Result<(), StateError> {
        let begun = self.journal.begin(&self.state, joined);
        begun.map_err(failure("write the journal in", &self.private_directory, true))?;
        joined.iter().for_each(|change| self.state.apply(change));
        self.stale = true;
        self.has_written = true;
        Ok(())
    }

    /// Puts together what has been read; nothing is written.
    fn assemble(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        shown: PathBuf,
        private_directory: PathBuf,
        recovered: Recovered,
        state: State,
        lock: Option<Lock>,
    ) -> Store {
        let notes = lock.iter().flat_map(|lock| lock.warning.clone());
        let journal = Journal::new(
            Arc::clone(&disk),
            private_directory.clone(),
            recovered.present,
            recovered.seq,
        );
        let view = View::new(Arc::clone(&disk), file, shown.clone(), private_directory.clone());
        Store {
            disk,
            shown,
            private_directory,
            state,
            journal,
            view,
            skeleton: None,
            stale: false,
            has_written: false,
            running: HashSet::new(),
            is_underway: false,
            notes: notes.chain(recovered.notes).collect(),
            trouble: None,
            lock,
        }
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
