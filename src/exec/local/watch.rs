//! The watch over a command that runs: until it ends by itself, or has to be ended.

use std::io;
use std::time::{Duration, Instant};

use super::launch::Started;
use super::{children, tree};
use crate::exec::{StopSignal, Stopped};

/// What a command must not do while it is watched.
pub(super) struct Limits<'a> {
    /// Run longer than this.
    pub(super) timeout: Option<Duration>,
    /// Go on once this is requested.
    pub(super) stop: &'a StopSignal,
    /// Make this true.
    pub(super) wrote_too_much: &'a dyn Fn() -> io::Result<bool>,
    /// Take longer than this to end after it was asked to.
    pub(super) grace: Duration,
}

/// How the watch over a command came to its end.
#[derive(Debug)]
pub(super) struct Watched {
    /// Why the command was stopped; neither, when it ended by itself.
    pub(super) stopped: Option<Stopped>,
    /// What the stop could not end. The leader itself may be among it.
    pub(super) survivors: Vec<i32>,
}

/// Waits until a command has ended, and ends it with all it started when it passes a limit. The leader is not reaped.
pub(super) fn watch(started: &Started, limits: &Limits<'_>) -> io::Result<Watched> {
    let began = Instant::now();
    loop {
        let left = limits
            .timeout
            .map_or(Duration::MAX, |timeout| timeout.saturating_sub(began.elapsed()));
        if started.leader.wait(left.min(LOOK_INTERVAL))? {
            return Ok(Watched {
                stopped: None,
                survivors: Vec::new(),
            });
        }
        let stopped = if limits.stop.is_requested() {
            Some(Stopped::Interrupted)
        } else if left.is_zero() {
            Some(Stopped::Timeout)
        } else {
            None
        };
        if stopped.is_some() || (limits.wrote_too_much)()? {
            // What writes too much would only write more in its time of grace.
            let grace = stopped.map_or(Duration::ZERO, |_| limits.grace);
            let survivors = tree::end(started, grace, limits.stop)?;
            return Ok(Watched { stopped, survivors });
        }
        children::reap_orphans_now_and_then();
    }
}

/// How often the limits are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
