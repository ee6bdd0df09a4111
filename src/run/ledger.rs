//! The one door to a run's state for everything that runs.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::Observer;
use super::unsaved::{Patience, give_up};
use crate::exec::StopSignal;
use crate::state::{Change, Event, State, StateError, Store};

/// A run's state, either as a draft in memory (while a script plans, and in a dry run) or live and durable.
pub struct Ledger {
    shared: Arc<Shared>,
    /// Brings the state file up to date while nobody else does.
    shower: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

enum Inner {
    Draft { state: State, changes: Vec<Change> },
    Live(Box<Live>),
}

struct Live {
    store: Store,
    closed: bool,
    observer: Arc<dyn Observer>,
    stop: StopSignal,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere must not take the state down with it: every commit leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the state file up to date whenever it lags behind, until the ledger is closed.
    fn keep_showing(&self) {
        let mut inner = self.lock();
        loop {
            let Inner::Live(live) = &mut *inner else { return };
            if live.closed {
                return;
            }
            let wait = match live.store.show_in() {
                Some(time) if time.is_zero() => {
                    live.store.show_when_due();
                    continue;
                }
                wait => wait,
            };
            inner = match wait {
                Some(time) => match self.changed.wait_timeout(inner, time) {
                    Ok((inner, _)) => inner,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Ledger {
    /// Begins from what is known; nothing is written before [`Ledger::go_live`].
    pub fn draft(state: State) -> Ledger {
        Ledger {
            shared: Arc::new(Shared {
                inner: Mutex::new(Inner::Draft { state, changes: vec![] }),
                changed: Condvar::new(),
            }),
            shower: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }

    /// The changes that were made to a draft, in order.
    pub fn drafted(&self) -> Vec<Change> {
        match &*self.lock() {
            Inner::Draft { changes, .. } => changes.clone(),
            Inner::Live(_) => vec![],
        }
    }

    /// Puts the store behind the door: from here on a commit is durable. `observer` hears of a disk that fails; a
    /// commit is tried again until `stop`.
    pub fn go_live(&self, store: Store, observer: Arc<dyn Observer>, stop: StopSignal) {
        *self.lock() = Inner::Live(Box::new(Live {
            store,
            closed: false,
            observer,
            stop,
        }));
        let shared = Arc::clone(&self.shared);
        // Without the thread the file lags behind until the next transition; nothing is lost.
        let shower = thread::Builder::new()
            .name("state file".into())
            .spawn(move || shared.keep_showing());
        *self.shower.lock().unwrap_or_else(PoisonError::into_inner) = shower.ok();
    }

    /// The hidden directory for jumar's own files; `None` while there is only a draft.
    pub fn private_dir(&self) -> Option<PathBuf> {
        match &*self.lock() {
            Inner::Draft { .. } => None,
            Inner::Live(live) => Some(live.store.private_dir().to_path_buf()),
        }
    }

    /// Begins a draft anew from `state`, whatever was drafted before.
    pub fn redraft(&self, state: State) {
        *self.lock() = Inner::Draft { state, changes: vec![] };
    }

    /// Whether a commit is durable.
    pub fn is_live(&self) -> bool {
        matches!(&*self.lock(), Inner::Live(_))
    }

    /// Reads one value.
    pub fn get(&self, section: &str, key: &str) -> Option<String> {
        self.read(|state| state.get(section, key).map(String::from))
    }

    /// Looks at the state as it is now.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        match &*self.lock() {
            Inner::Draft { state, .. } => look(state),
            Inner::Live(live) => look(live.store.state()),
        }
    }

    /// Makes a transition; durable when it returns, unless the event says otherwise (a draft only remembers it). While
    /// the disk fails it is tried again, and nobody is told of it.
    ///
    /// # Errors
    /// [`StateError`] when it could not be made durable; the state is then as before.
    pub fn commit(&self, event: Event) -> Result<(), StateError> {
        self.update(|_| event)
    }

    /// Makes a transition that depends on the state as it is, with nobody in between.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn update(&self, make: impl FnOnce(&State) -> Event) -> Result<(), StateError> {
        let (event, error, observer, stop) = match &mut *self.lock() {
            Inner::Draft { state, changes } => {
                for change in make(state).changes {
                    state.apply(&change);
                    changes.push(change);
                }
                return Ok(());
            }
            Inner::Live(live) => {
                let event = make(live.store.state());
                match live.store.commit(event.clone()) {
                    Err(error @ StateError::Io { .. }) => (event, error, Arc::clone(&live.observer), live.stop.clone()),
                    other => {
                        self.shared.changed.notify_all();
                        return other;
                    }
                }
            }
        };
        self.insist(event, error, &*observer, &stop)
    }

    /// The disk fails: what is to be recorded stays in memory and is tried again, until it is recorded or somebody
    /// wants an end.
    fn insist(
        &self,
        event: Event,
        mut error: StateError,
        observer: &dyn Observer,
        stop: &StopSignal,
    ) -> Result<(), StateError> {
        let mut patience = Patience::new();
        loop {
            if !patience.wait(&event, &error, observer, stop) {
                let path = match &*self.lock() {
                    Inner::Live(live) => live.store.path().to_owned(),
                    Inner::Draft { .. } => return Err(error),
                };
                return Err(give_up(&event, &path, error));
            }
            let Inner::Live(live) = &mut *self.lock() else {
                return Err(error);
            };
            match live.store.commit(event.clone()) {
                Err(again @ StateError::Io { .. }) => error = again,
                Err(other) => return Err(other),
                Ok(()) => {
                    self.shared.changed.notify_all();
                    observer.note("what had to wait is recorded now");
                    return Ok(());
                }
            }
        }
    }

    /// Makes sure that there is room to record how a phase ended, before it starts.
    ///
    /// # Errors
    /// [`StateError::NoRoom`] and [`StateError::TakenOver`]: the phase must not start.
    pub fn reserve(&self) -> Result<(), StateError> {
        match &mut *self.lock() {
            Inner::Draft { .. } => Ok(()),
            Inner::Live(live) => live.store.reserve(),
        }
    }

    /// What the store has to tell: edits by hand that were taken in, for instance.
    pub fn take_notes(&self) -> Vec<String> {
        match &mut *self.lock() {
            Inner::Draft { .. } => vec![],
            Inner::Live(live) => live.store.take_notes(),
        }
    }

    /// Looks whether somebody edited the file.
    ///
    /// # Errors
    /// [`StateError`] when the file cannot be read.
    pub fn refresh(&self) -> Result<Vec<String>, StateError> {
        match &mut *self.lock() {
            Inner::Draft { .. } => Ok(vec![]),
            Inner::Live(live) => live.store.refresh(),
        }
    }

    /// Brings the state file up to date for the last time, and returns what there is to tell.
    pub fn close(&self) -> Vec<String> {
        let notes = match &mut *self.lock() {
            Inner::Draft { .. } => vec![],
            Inner::Live(live) => {
                live.closed = true;
                let shown = live.store.show();
                let mut notes = live.store.take_notes();
                if let Err(error) = shown {
                    notes.push(format!(
                        "the state file could not be brought up to date: {}; the journal has everything",
                        error.headline()
                    ));
                }
                notes
            }
        };
        self.shared.changed.notify_all();
        let shower = self.shower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(shower) = shower {
            // If it panicked, the hook has said so.
            let _ = shower.join();
        }
        notes
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}
