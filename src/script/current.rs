//! Which attempt the calling thread is working on.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::run::Attempt;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Attempt>>> = const { RefCell::new(None) };
    static EXAMINING: Cell<bool> = const { Cell::new(false) };
    static JUDGING: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The attempt whose body this thread runs; `None` while a script plans.
pub(super) fn attempt() -> Option<Arc<Attempt>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Looks at the attempt without holding on to it.
pub(super) fn with<T>(look: impl FnOnce(Option<&Attempt>) -> T) -> T {
    CURRENT.with(|current| look(current.borrow().as_deref()))
}

/// Runs `work` in the middle of an attempt that has failed: its time does not count any more.
pub(super) fn examining<T>(attempt: &Arc<Attempt>, work: impl FnOnce() -> T) -> T {
    EXAMINING.with(|examining| examining.set(true));
    let result = within(attempt, work);
    EXAMINING.with(|examining| examining.set(false));
    result
}

/// Runs a look at a checkpoint, which a stop does not end.
pub(super) fn judging<T>(work: impl FnOnce() -> T) -> T {
    JUDGING.with(|judging| judging.set(Some(Instant::now())));
    let result = work();
    JUDGING.with(|judging| judging.set(None));
    result
}

/// For how long this thread has looked at a checkpoint; `None` when it does not.
pub(super) fn has_judged_for() -> Option<Duration> {
    JUDGING.with(|judging| judging.get().map(|since| since.elapsed()))
}

/// Whether this thread answers somebody who looks at a failure.
pub(super) fn is_examining() -> bool {
    EXAMINING.with(Cell::get)
}

/// Runs `work` as the body of an attempt; also after a panic the thread belongs to nobody again.
pub(super) fn within<T>(attempt: &Arc<Attempt>, work: impl FnOnce() -> T) -> T {
    struct Leave(Option<Arc<Attempt>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.with(|current| *current.borrow_mut() = self.0.take());
        }
    }
    let _leave = Leave(CURRENT.with(|current| current.borrow_mut().replace(Arc::clone(attempt))));
    work()
}
