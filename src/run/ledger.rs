//! The one door to a run's state for everything that runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::state::{Change, Event, State, StateError, Store};

/// A run's state, either as a draft in memory (while a script plans, and in a dry run) or live and durable.
pub struct Ledger {
    inner: Mutex<Inner>,
}

enum Inner {
    Draft { state: State, changes: Vec<Change> },
    Live(Box<Store>),
}

impl Ledger {
    /// Begins from what is known; nothing is written before [`Ledger::go_live`].
    pub fn draft(state: State) -> Ledger {
        Ledger {
            inner: Mutex::new(Inner::Draft { state, changes: vec![] }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere must not take the state down with it: every commit leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes that were made to a draft, in order.
    pub fn drafted(&self) -> Vec<Change> {
        match &*self.lock() {
            Inner::Draft { changes, .. } => changes.clone(),
            Inner::Live(_) => vec![],
        }
    }

    /// Begins a draft anew from `state`, whatever was drafted before.
    pub fn redraft(&self, state: State) {
        *self.lock() = Inner::Draft { state, changes: vec![] };
    }

    /// Puts the store behind the door: from here on a commit is durable.
    pub fn go_live(&self, store: Store) {
        *self.lock() = Inner::Live(Box::new(store));
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
            Inner::Live(store) => look(store.state()),
        }
    }

    /// Makes a transition; durable when it returns (a draft only remembers it).
    ///
    /// # Errors
    /// [`StateError`] when it could not be made durable; the state is then as before.
    pub fn commit(&self, event: Event) -> Result<(), StateError> {
        match &mut *self.lock() {
            Inner::Draft { state, changes } => {
                for change in event.changes {
                    state.apply(&change);
                    changes.push(change);
                }
                Ok(())
            }
            Inner::Live(store) => store.commit(event),
        }
    }

    /// Makes a transition that depends on the state as it is, with nobody in between.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn update(&self, make: impl FnOnce(&State) -> Event) -> Result<(), StateError> {
        match &mut *self.lock() {
            Inner::Draft { state, changes } => {
                for change in make(state).changes {
                    state.apply(&change);
                    changes.push(change);
                }
                Ok(())
            }
            Inner::Live(store) => {
                let event = make(store.state());
                store.commit(event)
            }
        }
    }

    /// What the store has to tell: edits by hand that were taken in, for instance.
    pub fn take_notes(&self) -> Vec<String> {
        match &mut *self.lock() {
            Inner::Draft { .. } => vec![],
            Inner::Live(store) => store.take_notes(),
        }
    }

    /// Looks whether somebody edited the file.
    ///
    /// # Errors
    /// [`StateError`] when the file cannot be read.
    pub fn refresh(&self) -> Result<Vec<String>, StateError> {
        match &mut *self.lock() {
            Inner::Draft { .. } => Ok(vec![]),
            Inner::Live(store) => store.refresh(),
        }
    }
}
