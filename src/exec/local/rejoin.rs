//! Going on with a command that an earlier host has started: it is no child of this process, so its process is watched through
//! a pidfd, and how it ended is read in the logbook, where its keeper writes it.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::ending::Beginning;
use super::launch::{COMMAND_ID_VARIABLE, Started};
use super::leader::Leader;
use super::prepared::{exit_of, log_error, open_log, take_captured};
use super::process_table::{self, Variable};
use super::runner::{DEFAULT_GRACE, lost_track, unkillable};
use super::watch::{Limits, Watched, watch};
use crate::exec::logbook::{self, End, EndWatch, Entry, Line, ProcessName};
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
            let mut watch = EndWatch::new(&note.logbook, &entry.id).map_err(lost)?;
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
        let past = Duration::try_from_secs_f64(Beginning::at(entry.began).seconds()).unwrap_or_default();
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
                let _ = logbook.map(|path| logbook::append_to(path, &Line::Stop { id, why }));
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
fn captured(path: &Path, entry: &Entry, command: &Command, logbook: &Path) -> Result<String, ExecError> {
    let log_error = |source| log_error(command, source);
    let capture = Capture::open(path.to_owned()).map_err(log_error)?;
    if entry.taken {
        return capture.read().map_err(log_error);
    }
    let stdout = take_captured(capture, command, &mut open_log(command).map_err(log_error)?)?;
    let id = entry.id.clone();
    let _ = logbook::append_to(logbook, &Line::Taken { id });
    Ok(stdout)
}

/// The process that leads the command with this id, if it lives.
pub(super) fn leader_marked(id: &str) -> Option<ProcessName> {
    let processes = process_table::read_all().ok()?;
    let is_marked = |pid| match process_table::environment_variable(pid, COMMAND_ID_VARIABLE) {
        Variable::Value(mark) => mark.split('/').any(|part| part == id),
        Variable::Missing | Variable::Unreadable => false,
    };
    let mut leaders = processes
        .into_iter()
        .filter(|process| process.pid == process.group && !process.ended);
    let leader = leaders.find(|process| is_marked(process.pid))?;
    Some(ProcessName {
        pid: leader.pid,
        started: leader.started,
    })
}
