//! The watch over one command while it runs: its output, which must not cease for too long, and its checkpoints.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::Attempt;
use super::checkpoint_watch::{CheckpointJudge, CheckpointWatch, Writer};
use crate::exec::StopSignal;
use crate::state::StateError;

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(250);

/// What a watch is told to look for.
pub(super) struct Orders<'a> {
    /// The command's log: growth is progress.
    pub log: &'a Path,
    /// The most time without progress.
    pub stall: Option<Duration>,
    /// What says that a checkpoint is whole.
    pub judge: Option<CheckpointJudge<'a>>,
}

/// Runs a command under watch; returns what came of it, and whether it was stopped because nothing came of it for too long.
/// `ended_well` looks at what came of it. Without anything to look for all this costs nothing.
///
/// # Errors
/// When a checkpoint could not be recorded. The command has ended all the same.
pub(super) fn watched<T>(
    attempt: &Attempt,
    orders: Orders<'_>,
    run: impl FnOnce(&StopSignal) -> T,
    ended_well: impl FnOnce(&T) -> bool,
) -> Result<(T, bool), StateError> {
    if orders.stall.is_none() && attempt.phase.options.checkpoints.is_none() {
        return Ok((run(&attempt.stop), false));
    }
    let stop = attempt.stop.child();
    let (ended, end) = mpsc::channel();
    let mut watch = Watch::new(attempt, orders, stop.clone());
    thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let writer = loop {
                match end.recv_timeout(GLANCE) {
                    Err(RecvTimeoutError::Timeout) => watch.glance()?,
                    Ok(writer) => break writer,
                    Err(RecvTimeoutError::Disconnected) => break Writer::EndedBadly,
                }
            };
            watch.record(writer)?;
            Ok::<bool, StateError>(watch.stalled)
        });
        let outcome = run(&stop);
        let well = ended_well(&outcome);
        let _ = ended.send(if well { Writer::EndedWell } else { Writer::EndedBadly });
        let stalled = match watching.join() {
            Ok(answer) => answer?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((outcome, stalled))
    })
}

struct Watch<'a> {
    attempt: &'a Attempt,
    orders: Orders<'a>,
    checkpoints: Option<CheckpointWatch>,
    stop: StopSignal,
    size: u64,
    progress: Instant,
    stalled: bool,
}

impl<'a> Watch<'a> {
    fn new(attempt: &'a Attempt, orders: Orders<'a>, stop: StopSignal) -> Watch<'a> {
        let now = Instant::now();
        let checkpoints = attempt.checkpoint_watch();
        Watch {
            attempt,
            size: size_of(orders.log),
            orders,
            checkpoints,
            stop,
            progress: now,
            stalled: false,
        }
    }

    fn glance(&mut self) -> Result<(), StateError> {
        let now = Instant::now();
        let size = size_of(self.orders.log);
        if size != self.size || self.record(Writer::Running)? {
            self.size = size;
            self.progress = now;
        }
        let patience = self.orders.stall.unwrap_or(Duration::MAX);
        if !self.stalled && now.saturating_duration_since(self.progress) >= patience {
            self.stalled = true;
            self.stop.request();
        }
        Ok(())
    }

    /// Records what has become whole; whether there was any.
    fn record(&mut self, writer: Writer) -> Result<bool, StateError> {
        let Some(watch) = &mut self.checkpoints else {
            return Ok(false);
        };
        let found = watch.look(writer, self.orders.judge, Instant::now());
        self.attempt.keep_found(&found)?;
        Ok(!found.whole.is_empty())
    }
}

fn size_of(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |m| m.len())
}
