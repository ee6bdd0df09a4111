//! The one door to a run's state for everything that runs.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Observer;
use super::ferry::{Ferry, Turn};
use super::unsaved::{Patience, give_up};
use crate::exec::StopSignal;
use crate::state::{Change, Event, Maker, State, StateError, Store, Uncommitted};

/// What the state file may be later than it is due. The clocks that tell so do not agree to the microsecond.
const SLACK: Duration = Duration::from_millis(5);

/// How often is looked whether somebody edited the state file, while nothing else happens.
const GLANCE: Duration = Duration::from_secs(1);

/// A run's state, either as a draft in memory (while a script plans, and in a dry run) or live and durable.
pub struct Ledger {
    shared: Arc<Shared>,
    /// Takes transitions that come together to the disk together.
    ferry: Ferry<Maker, Result<(), Uncommitted>>,
    /// Brings the state file up to date while nobody else does.
    shower: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// The store came to rest, or a guest has gone.
    changed: Condvar,
    /// The state file is to be brought up to date sooner than its thread would wake by itself. To wake it for every transition
    /// would cost more than all else that a transition costs.
    lagging: Condvar,
    /// Somebody has edited the file since [`Ledger::was_edited`] was asked.
    edited: AtomicBool,
}

enum Inner {
    Draft { state: State, changes: Vec<Change> },
    Live(Box<Live>),
}

struct Live {
    store: Store,
    closed: bool,
    /// How many wait for the store to be at rest. They go before the next transitions.
    guests: i32,
    /// When the thread that shows the file wakes by itself; `None` when it sleeps until somebody calls.
    wakes_at: Option<Instant>,
    observer: Arc<dyn Observer>,
    stop: StopSignal,
}

impl Inner {
    fn is_underway(&self) -> bool {
        matches!(self, Inner::Live(live) if live.store.is_underway())
    }

    fn has_guests(&self) -> bool {
        matches!(self, Inner::Live(live) if live.guests > 0)
    }

    /// Whether the state file is due before the thread that shows it wakes by itself.
    fn is_late(&self) -> bool {
        let Inner::Live(live) = self else { return false };
        live.store
            .show_in()
            .is_some_and(|time| live.wakes_at.is_none_or(|at| Instant::now() + time + SLACK < at))
    }

    fn count_guests(&mut self, more: i32) {
        if let Inner::Live(live) = self {
            live.guests += more;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere must not take the state down with it: every commit leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the store while nothing is on its way to the disk.
    fn at_rest<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        if !inner.is_underway() {
            return act(&mut inner);
        }
        inner.count_guests(1);
        while inner.is_underway() {
            inner = self.wait(inner);
        }
        inner.count_guests(-1);
        let result = act(&mut inner);
        drop(inner);
        self.changed.notify_all();
        result
    }

    /// Brings the state file up to date whenever it lags behind, and answers who edits it while nothing else happens, until the
    /// ledger is closed.
    fn keep_showing(&self) {
        let mut inner = self.lock();
        let mut glance = Instant::now() + GLANCE;
        loop {
            let Inner::Live(live) = &mut *inner else { return };
            if live.closed {
                return;
            }
            if Instant::now() >= glance && !live.store.is_underway() {
                glance = Instant::now() + GLANCE;
                // What stands in the way of looking is told by whoever comes to need it.
                let notes = live.store.refresh().unwrap_or_default();
                if !notes.is_empty() {
                    let observer = Arc::clone(&live.observer);
                    // Before anybody can look at what was merged.
                    self.edited.store(true, Ordering::Relaxed);
                    drop(inner);
                    notes.iter().for_each(|note| observer.note(note));
                    inner = self.lock();
                    continue;
                }
            }
            let wait = match live.store.show_in() {
                _ if live.store.is_underway() => GLANCE,
                Some(time) if time.is_zero() => {
                    live.store.show_when_due();
                    continue;
                }
                due => {
                    let glance = glance.saturating_duration_since(Instant::now());
                    due.map_or(glance, |due| due.min(glance))
                }
            };
            live.wakes_at = Some(Instant::now() + wait);
            inner = match self.lagging.wait_timeout(inner, wait) {
                Ok((inner, _)) => inner,
                Err(poisoned) => poisoned.into_inner().0,
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
                lagging: Condvar::new(),
                edited: AtomicBool::new(false),
            }),
            ferry: Ferry::new(),
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
            guests: 0,
            wakes_at: None,
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

    /// Makes a transition; durable when it returns, unless the event says otherwise (a draft only remembers it). Those
    /// that come together share one sync. While the disk fails it is tried again, and nobody is told of it.
    ///
    /// # Errors
    /// [`StateError`] when it could not be made durable; the state is then as before.
    pub fn commit(&self, event: Event) -> Result<(), StateError> {
        self.update(move |_| event)
    }

    /// Makes a transition that depends on the state as it is, with nobody in between.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn update(&self, make: impl FnOnce(&State) -> Event + Send + 'static) -> Result<(), StateError> {
        match self.make(Box::new(make)) {
            Some(Ok(())) => Ok(()),
            Some(Err(Uncommitted {
                event,
                error: error @ StateError::Io { .. },
            })) => self.insist(event, error),
            Some(Err(Uncommitted { error, .. })) => Err(error),
            None => Err(self.lost()),
        }
    }

    /// Makes a transition, together with those that others want by the time that the state is free; nothing when the one
    /// who made them panicked.
    fn make(&self, make: Maker) -> Option<Result<(), Uncommitted>> {
        let mut crossing = match self.ferry.board(make) {
            Turn::Sail(crossing) => crossing,
            Turn::Answered(answer) => return Some(answer),
            Turn::Lost => return None,
        };
        let mut inner = self.shared.lock();
        while inner.has_guests() {
            inner = self.shared.wait(inner);
        }
        let answers = match &mut *inner {
            Inner::Draft { state, changes } => {
                let remember = |make: Maker| {
                    for change in make(state).changes {
                        state.apply(&change);
                        changes.push(change);
                    }
                    Ok(())
                };
                crossing.passengers().into_iter().map(remember).collect()
            }
            Inner::Live(live) => {
                let mut underway = live.store.begin(crossing.passengers());
                drop(inner);
                // The disk takes its time, in which others read the state as it was, and gather for the next crossing.
                underway.sync();
                inner = self.shared.lock();
                match &mut *inner {
                    Inner::Live(live) => live.store.finish(underway),
                    Inner::Draft { .. } => vec![],
                }
            }
        };
        let (is_late, has_guests) = (inner.is_late(), inner.has_guests());
        drop(inner);
        let answer = crossing.land(answers);
        if has_guests {
            self.shared.changed.notify_all();
        }
        if is_late {
            self.shared.lagging.notify_one();
        }
        answer
    }

    fn lost(&self) -> StateError {
        let path = match &*self.lock() {
            Inner::Live(live) => live.store.path().to_owned(),
            Inner::Draft { .. } => PathBuf::new(),
        };
        StateError::Io {
            doing: "record what happened in",
            path,
            unchanged: false,
            source: io::Error::other("the thread that was to write it panicked"),
        }
    }

    /// The disk fails: what is to be recorded stays in memory and is tried again, until it is recorded or somebody
    /// wants an end.
    fn insist(&self, mut event: Event, mut error: StateError) -> Result<(), StateError> {
        let (path, observer, stop) = match &*self.lock() {
            Inner::Draft { .. } => return Err(error),
            Inner::Live(live) => (
                live.store.path().to_owned(),
                Arc::clone(&live.observer),
                live.stop.clone(),
            ),
        };
        let mut patience = Patience::new();
        loop {
            if !patience.wait(&event, &path, &error, &*observer, &stop) {
                return Err(give_up(&event, &path, error));
            }
            match self.make(Box::new(move |_| event)) {
                Some(Ok(())) => {
                    observer.note("what had to wait is recorded now");
                    return Ok(());
                }
                Some(Err(Uncommitted {
                    event: again,
                    error: why @ StateError::Io { .. },
                })) => (event, error) = (again, why),
                Some(Err(Uncommitted { error, .. })) => return Err(error),
                None => return Err(self.lost()),
            }
        }
    }

    /// Makes sure that there is room to record how a phase ended, before it starts.
    ///
    /// # Errors
    /// [`StateError::NoRoom`] and [`StateError::TakenOver`]: the phase must not start.
    pub fn reserve(&self) -> Result<(), StateError> {
        self.shared.at_rest(|inner| match inner {
            Inner::Draft { .. } => Ok(()),
            Inner::Live(live) => live.store.reserve(),
        })
    }

    /// What the store has to tell: edits by hand that were taken in, for instance.
    pub fn take_notes(&self) -> Vec<String> {
        match &mut *self.lock() {
            Inner::Draft { .. } => vec![],
            Inner::Live(live) => live.store.take_notes(),
        }
    }

    /// Whether somebody has edited the file, as far as that was told without being asked for, since the last time that this was
    /// asked.
    pub fn was_edited(&self) -> bool {
        self.shared.edited.swap(false, Ordering::Relaxed)
    }

    /// Looks whether somebody edited the file.
    ///
    /// # Errors
    /// [`StateError`] when the file cannot be read.
    pub fn refresh(&self) -> Result<Vec<String>, StateError> {
        self.shared.at_rest(|inner| match inner {
            Inner::Draft { .. } => Ok(vec![]),
            Inner::Live(live) => live.store.refresh(),
        })
    }

    /// Closes it for good, and lets others have the run. What it held in memory is not freed: the process is about to end.
    pub fn leave(&self) {
        self.close();
        let draft = Inner::Draft {
            state: State::default(),
            changes: vec![],
        };
        if let Inner::Live(live) = std::mem::replace(&mut *self.lock(), draft) {
            live.store.leave();
        }
    }

    /// Brings the state file up to date for the last time, and returns what there is to tell.
    pub fn close(&self) -> Vec<String> {
        let notes = self.shared.at_rest(|inner| match inner {
            Inner::Draft { .. } => vec![],
            Inner::Live(live) => {
                live.closed = true;
                let shown = live.store.show_at_the_end();
                let mut notes = live.store.take_notes();
                if let Err(error) = shown {
                    notes.push(format!(
                        "the state file could not be brought up to date: {}; the journal has everything",
                        error.headline().trim_end_matches(". Nothing was changed.")
                    ));
                }
                notes
            }
        });
        self.shared.lagging.notify_one();
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
