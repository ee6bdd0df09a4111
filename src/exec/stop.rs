//! How a request to stop travels from a signal, or from another thread, to the commands that run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// A shared request to stop. Clones are handles to the same request, and asking costs one atomic load.
///
/// The first request is graceful, the second means at once; it is never taken back.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    own: Arc<Request>,
    parent: Option<Arc<StopSignal>>,
}

impl StopSignal {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        StopSignal::default()
    }

    /// A request of its own that is also made whenever this one is: for stopping one command among several.
    pub fn child(&self) -> StopSignal {
        StopSignal {
            own: Arc::default(),
            parent: Some(Arc::new(self.clone())),
        }
    }

    /// Asks for a stop: gracefully the first time, at once from the second time on.
    pub fn request(&self) {
        self.raise();
    }

    /// Asks for a stop as [`request`](Self::request) does, and remembers which signal made us. Only atomic operations, so a
    /// signal handler may call it.
    pub fn request_by_signal(&self, signal: i32) {
        // Only the first signal is the reason; the later ones are impatience.
        let _ = self
            .own
            .signal
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        self.raise();
    }

    /// How urgently a stop is wanted by now, by this request or one it is a child of.
    pub fn level(&self) -> StopLevel {
        let own = StopLevel::from_count(self.own.count.load(Ordering::SeqCst));
        match &self.parent {
            Some(parent) => own.max(parent.level()),
            None => own,
        }
    }

    /// Whether a stop of any urgency is wanted.
    pub fn is_requested(&self) -> bool {
        self.level() > StopLevel::None
    }

    /// The number of the first signal that asked for this stop, when a signal did.
    pub fn signal(&self) -> Option<i32> {
        match self.own.signal.load(Ordering::SeqCst) {
            0 => self.parent.as_ref().and_then(|parent| parent.signal()),
            signal => Some(signal),
        }
    }

    fn raise(&self) {
        let _ = self
            .own
            .count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < 2).then_some(count + 1)
            });
    }
}

/// How urgently a stop is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Not at all.
    None,
    /// What runs is asked to end and given time to.
    Graceful,
    /// What runs is killed.
    AtOnce,
}

impl StopLevel {
    fn from_count(count: u8) -> Self {
        match count {
            0 => StopLevel::None,
            1 => StopLevel::Graceful,
            _ => StopLevel::AtOnce,
        }
    }
}

#[derive(Debug, Default)]
struct Request {
    count: AtomicU8,
    /// The first signal that asked, 0 while none has.
    signal: AtomicI32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_graceful_and_every_later_one_at_once() {
        let stop = StopSignal::new();
        let handle = stop.clone();
        assert_eq!(stop.level(), StopLevel::None);
        handle.request();
        assert_eq!(stop.level(), StopLevel::Graceful);
        for _ in 0..600 {
            handle.request();
            assert_eq!(stop.level(), StopLevel::AtOnce);
        }
    }

    #[test]
    fn the_signal_that_asked_first_is_remembered() {
        let stop = StopSignal::new();
        assert_eq!(stop.signal(), None);
        stop.request_by_signal(libc::SIGTERM);
        stop.request_by_signal(libc::SIGINT);
        assert_eq!(stop.signal(), Some(libc::SIGTERM));
        assert_eq!(stop.level(), StopLevel::AtOnce);
    }

    #[test]
    fn a_child_hears_its_parent_but_not_the_other_way_round() {
        let host = StopSignal::new();
        let (one, other) = (host.child(), host.child());
        one.request();
        assert!(one.is_requested());
        assert!(!host.is_requested() && !other.is_requested());
        host.request_by_signal(libc::SIGHUP);
        assert_eq!(other.level(), StopLevel::Graceful);
        assert_eq!(other.signal(), Some(libc::SIGHUP));
    }
}
