//! The watch over a command that runs: until it ends by itself, or has to be ended.

use std::io;
use std::time::{Duration, Instant};

use super::launch::Started;
use super::{children, tree};
use crate::exec::StopSignal;
use crate::exec::logbook::Why;

/// What a command must not do while it is watched.
pub(super) struct Limits<'a> {
    /// Run longer than this.
    pub(super) timeout: Option<Duration>,
    /// Go on once this is requested.
    pub(super) stop: &'a StopSignal,
    /// Make this true.
    pub(super) wrote_too_much: &'a dyn Fn() -> io::Result<bool>,
    /// Called before it is stopped.
    pub(super) about_to_stop: &'a dyn Fn(Why),
    /// Take longer than this to end after it was asked to.
    pub(super) grace: Duration,
}

impl Limits<'_> {
    /// How long it may be until the next look at the limits, for a command that has been watched since `began`.
    pub(super) fn next_look(&self, began: Instant) -> Duration {
        self.time_left(began).min(LOOK_INTERVAL)
    }

    /// Why a command that has been watched since `began` has to be stopped now, and how long it is given.
    pub(super) fn passed(&self, began: Instant) -> io::Result<Option<(Why, Duration)>> {
        Ok(if self.stop.is_requested() {
            Some((Why::Interrupted, self.grace))
        } else if self.time_left(began).is_zero() {
            Some((Why::Timeout, self.grace))
        } else if (self.wrote_too_much)()? {
            // It would only write more in its time of grace.
            Some((Why::TooMuch, Duration::ZERO))
        } else {
            None
        })
    }

    fn time_left(&self, began: Instant) -> Duration {
        self.timeout
            .map_or(Duration::MAX, |timeout| timeout.saturating_sub(began.elapsed()))
    }
}

/// How the watch over a command came to its end.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Why the command was stopped; `None` when it ended by itself.
    pub(super) why: Option<Why>,
    /// What the stop could not end. The leader itself may be among it.
    pub(super) survivors: Vec<i32>,
}

/// Waits until a command has ended, and ends it with all it started when it passes a limit. The leader is not reaped.
pub(super) fn watch(started: &Started, limits: &Limits<'_>) -> io::Result<Watched> {
    let began = Instant::now();
    loop {
        if started.leader.wait(limits.next_look(began))? {
            return Ok(Watched::default());
        }
        if let Some((why, grace)) = limits.passed(began)? {
            (limits.about_to_stop)(why);
            let survivors = tree::end(started, grace, limits.stop)?;
            let why = Some(why);
            return Ok(Watched { why, survivors });
        }
        children::reap_orphans_now_and_then();
    }
}

/// How often the limits are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
