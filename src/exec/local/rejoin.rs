//! Going on with a command that an earlier host has started: it is no child of this process, so its process is watched through
//! a pidfd, and how it ended is read in the logbook, where its keeper writes it.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::children;
use super::ending::Beginning;
use super::launch::{self, COMMAND_ID_VARIABLE, Started};
use super::leader::Leader;
use super::prepared::{exit_of, log_error, open_log, take_captured};
use super::process_table::{self, Variable};
use super::runner::{DEFAULT_GRACE, lost_track, unkillable};
use super::watch::{Limits, Watched, watch};
use crate::exec::logbook::{End, EndWatch, Entry, Line, Logbook, ProcessName};
use crate::exec::{Command, ExecError, Exit, StopSignal};

/// How often the logbook is looked at for an end that must come.
const GLANCE: Duration = Duration::from_millis(2);
/// How long a keeper may take to write down an end that it has seen.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Waits for the end of a command that an earlier host has started, has it ended when it passes its limits, and returns how it
/// ended; `None` when it has ended and nobody saw how.
pub(super) fn rejoin(
    entry: &Entry,
    command: &Command,
    grace: Duration,
    stop: &StopSignal,
) -> Result<Option<Exit>, ExecError> {
    let Some(note) = &command.note else { return Ok(None) };
    let lost = |source| lost_track(command, source);
    let end = match &entry.end {
        Some(end) => Some(end.clone()),
        None => {
            let mut watch = EndWatch::new(note.logbook.path(), &entry.id).map_err(lost)?;
            match watch.look().map_err(lost)? {
                Some(end) => Some(end),
                None => wait_for_end(entry, command, &mut watch, grace, stop)?,
            }
        }
    };
    let Some(end) = end else { return Ok(None) };
    let stdout = match &entry.capture {
        Some(path) => Some(captured(path, entry, command, &note.logbook)?),
        None => None,
    };
    exit_of(command, end, entry.log_start, stdout).map(Some)
}

impl Entry {
    /// How long ago the command began, the time in which nobody looked and the machine was suspended included.
    pub fn age(&self) -> Duration {
        Duration::try_from_secs_f64(Beginning::at(self.began).seconds()).unwrap_or_default()
    }
}

fn wait_for_end(
    entry: &Entry,
    command: &Command,
    watch_end: &mut EndWatch<'_>,
    grace: Duration,
    stop: &StopSignal,
) -> Result<Option<End>, ExecError> {
    let lost = |source| lost_track(command, source);
    let logbook = command.note.as_ref().map(|note| &note.logbook);
    let mut stopped = None;
    if let Some(leader) = Leader::of_another(entry.process).map_err(lost)? {
        let started = Started {
            leader,
            command_id: entry.id.clone(),
        };
        let past = entry.age();
        let too_large = || match &entry.capture {
            Some(path) => Capture::too_large_at(path),
            None => Ok(false),
        };
        let limits = Limits {
            timeout: command.timeout.map(|timeout| timeout.saturating_sub(past)),
            stop,
            wrote_too_much: &too_large,
            // Its keeper sees a signal and does not know whose: without this a later host would take it for a failure.
            about_to_stop: &|why| {
                let id = entry.id.clone();
                let _ = logbook.map(|logbook| logbook.append(&Line::Stop { id, why }));
            },
            grace,
        };
        let Watched { why, survivors } = watch(&started, &limits).map_err(lost)?;
        if survivors.contains(&entry.process.pid) {
            return Err(unkillable(command, entry.process.pid));
        }
        stopped = why;
    }
    let end = read_end(entry, watch_end).map_err(lost)?;
    let beginning = Beginning::at(entry.began);
    Ok(match (end, stopped) {
        (Some(end), why) => Some(End {
            why: end.why.or(why),
            ..end
        }),
        // That we ended it is enough to know of its end.
        (None, Some(why)) => Some(End::of_stopped(why, beginning.seconds())),
        (None, None) => None,
    })
}

/// The end of a command whose process is gone. As long as its keeper lives it is about to write it down, unless it cannot: the
/// disk may be full.
fn read_end(entry: &Entry, watch: &mut EndWatch<'_>) -> io::Result<Option<End>> {
    let patience = match entry.stopped {
        // The process is gone, but the keeper may still be ending what it had started.
        Some(_) => DEFAULT_GRACE + WRITE_PATIENCE,
        None => WRITE_PATIENCE,
    };
    let deadline = Instant::now() + patience;
    loop {
        // Asked before looking: what it wrote last is then seen.
        let keeper_lives = Leader::of_another(entry.keeper)?.is_some();
        if let Some(end) = watch.look()? {
            return Ok(Some(end));
        }
        if !keeper_lives || Instant::now() > deadline {
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}

/// What a command wrote to standard output; it joins the log unless it has done so before.
fn captured(path: &Path, entry: &Entry, command: &Command, logbook: &Logbook) -> Result<String, ExecError> {
    let log_error = |source| log_error(command, source);
    let capture = Capture::open(path.to_owned()).map_err(log_error)?;
    if entry.taken {
        return capture.read().map_err(log_error);
    }
    let stdout = take_captured(capture, command, &open_log(command).map_err(log_error)?)?;
    let id = entry.id.clone();
    let _ = logbook.append(&Line::Taken { id });
    Ok(stdout)
}

/// What became of a command that was handed to a keeper which was killed before it could note anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// It runs.
    Runs(ProcessName),
    /// It was never started.
    NotStarted,
    /// It may have been started and have ended.
    Unknown,
}

/// How long a process may take from its start until it is the program that it was started for.
const EXEC_PATIENCE: Duration = Duration::from_secs(2);

/// Looks for the command with this id, which cannot have been started before `since` (in clock ticks since boot), among the
/// children that this process has inherited from its keeper. Whatever the keeper had started is among them, for it has reaped
/// nothing that it has not noted.
pub(super) fn find_handed(id: &str, since: u64) -> io::Result<Handed> {
    let deadline = Instant::now() + EXEC_PATIENCE;
    loop {
        let mut inherited = process_table::own_children()?;
        inherited.retain(|child| child.pid == child.group && child.started >= since && !children::is_led(child.pid));
        let mut nameless = false;
        for child in inherited.iter().filter(|child| !child.ended) {
            match process_table::environment_variable(child.pid, COMMAND_ID_VARIABLE) {
                Variable::Value(mark) if mark.split('/').any(|part| part == id) => {
                    return Ok(Handed::Runs(ProcessName {
                        pid: child.pid,
                        started: child.started,
                    }));
                }
                Variable::Value(mark) if !launch::is_only_outer(&mark) => {}
                // Until it becomes another program it shows its keeper's environment.
                Variable::Value(_) | Variable::Missing | Variable::Unreadable => nameless = true,
            }
        }
        if !nameless {
            let any_ended = inherited.iter().any(|child| child.ended);
            return Ok(if any_ended { Handed::Unknown } else { Handed::NotStarted });
        }
        if Instant::now() > deadline {
            return Ok(Handed::Unknown);
        }
        thread::sleep(GLANCE);
    }
}
