//! The executor for this machine: one command from its start to its end.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Pid;

use super::ending::{Beginning, own_name};
use super::keeper::{Handover, KeeperOfHost, Keeping, LostTrack};
use super::launch::Started;
use super::leader::Leader;
use super::oom::OomCounters;
use super::prepared::Prepared;
use super::rejoin::{self, Handed};
use super::watch::{Limits, watch};
use super::{children, process_table, program_file};
use crate::exec::logbook::{self, End, Entry};
use crate::exec::{Command, ExecError, Executor, Exit, StopSignal};

/// How long a command may take to end after it was asked to, unless [`Local::with_grace`] says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// How many keepers in a row may be killed with the same command in their hands.
const KEEPERS: usize = 3;

/// What came of handing a command to a keeper.
enum HandOver {
    Ended(End),
    /// There is none.
    NoKeeper,
    /// It was killed and had not started the command.
    NotStarted,
}

/// Runs commands on this machine.
#[derive(Debug)]
pub struct Local {
    grace: Duration,
    adopts_orphans: bool,
    oom_counters: OomCounters,
    keeper: OnceLock<KeeperOfHost>,
}

impl Local {
    /// An executor that gives a command [`DEFAULT_GRACE`] to end. From here on this process adopts the orphans of everything it
    /// starts.
    pub fn new() -> Self {
        Local::with_grace(DEFAULT_GRACE)
    }

    /// An executor that gives a command this long to end after it was asked to, before it is killed; nothing at all when zero.
    pub fn with_grace(grace: Duration) -> Self {
        Local {
            grace,
            adopts_orphans: children::adopt_orphans(),
            oom_counters: OomCounters::open(),
            keeper: OnceLock::new(),
        }
    }

    /// Whether orphans of commands come to this process. Where the system refuses that, they are found by the mark in their
    /// environment alone.
    pub fn adopts_orphans(&self) -> bool {
        self.adopts_orphans
    }

    /// From the next command on, has a process of their own start all commands and see their ends, which outlives this one. Only
    /// the first call counts.
    pub fn keep(&self, keeping: Keeping) {
        self.keep_through(KeeperOfHost::new(keeping));
    }

    pub(super) fn keep_through(&self, keeper: KeeperOfHost) {
        // A second keeper for the same run would have to wait for the first one.
        let _ = self.keeper.set(keeper);
    }

    /// Has the keeper end as soon as its last command has, which dropping does, too. Another one is started for another command.
    pub fn dismiss_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.dismiss();
        }
    }

    fn limits<'a>(
        &self,
        command: &Command,
        stop: &'a StopSignal,
        wrote_too_much: &'a dyn Fn() -> io::Result<bool>,
    ) -> Limits<'a> {
        Limits {
            timeout: command.timeout,
            stop,
            wrote_too_much,
            about_to_stop: &|_| (),
            grace: self.grace,
        }
    }

    /// Runs a command through the keeper; `None` when there is none to be had and nothing was started.
    fn run_kept(
        &self,
        keeper: &KeeperOfHost,
        prepared: &Prepared<'_>,
        limits: &Limits<'_>,
    ) -> Result<Option<End>, ExecError> {
        for _ in 0..KEEPERS {
            match self.hand_over(keeper, prepared, limits)? {
                HandOver::Ended(end) => return Ok(Some(end)),
                HandOver::NoKeeper => return Ok(None),
                // The keeper was killed before it came to it: another one will.
                HandOver::NotStarted => {}
            }
        }
        Ok(None)
    }

    fn hand_over(
        &self,
        keeper: &KeeperOfHost,
        prepared: &Prepared<'_>,
        limits: &Limits<'_>,
    ) -> Result<HandOver, ExecError> {
        let handover = Handover {
            run: prepared.request(),
            stdin: prepared.stdin.as_ref(),
            captured: prepared.captured(),
            log: &prepared.log,
            logbook: prepared.logbook(),
        };
        let beginning = Beginning::now();
        let kept = match keeper.run(handover) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "no keeper: the command is started by this process and does not outlive it unseen");
                return Ok(HandOver::NoKeeper);
            }
        };
        match kept.wait(limits) {
            Ok(end) => Ok(HandOver::Ended(end)),
            Err(LostTrack::Refused(source)) => Err(program_file::explain(&prepared.program, source)),
            Err(LostTrack::Unkillable(pid)) => Err(unkillable(prepared.command, pid)),
            Err(LostTrack::Failed(source)) => Err(lost_track(prepared.command, source)),
            Err(LostTrack::KeeperGone) => self.take_in(prepared, limits, &beginning),
        }
    }

    /// Goes on with a command whose keeper was killed after `handed`: it is a child of this process now, if it is there.
    fn take_in(&self, prepared: &Prepared<'_>, limits: &Limits<'_>, handed: &Beginning) -> Result<HandOver, ExecError> {
        let command = prepared.command;
        tracing::warn!(command = command.display(), "the keeper is gone; going on without it");
        let lost_track = |source| lost_track(command, source);
        let unseen = || ExecError::Unseen {
            command: command.display(),
        };
        let entry = match &command.note {
            Some(note) => logbook::entry(note.logbook.path(), &prepared.id).map_err(lost_track)?,
            None => None,
        };
        let process = match &entry {
            Some(Entry { end: Some(end), .. }) => return Ok(HandOver::Ended(end.clone())),
            Some(entry) => entry.process,
            None => match rejoin::find_handed(&prepared.id, handed.ticks()).map_err(lost_track)? {
                Handed::Runs(process) => process,
                Handed::NotStarted => return Ok(HandOver::NotStarted),
                Handed::Unknown => return Err(unseen()),
            },
        };
        let own_child = process_table::read_one(process.pid)
            .map_err(lost_track)?
            .is_some_and(|now| now.started == process.started && now.parent == own_name().pid);
        let pid = Pid::from_raw(process.pid).filter(|_| own_child).ok_or_else(unseen)?;
        let started = Started {
            leader: Leader::taken_in(pid),
            command_id: prepared.id.clone(),
        };
        let beginning = entry.map_or(*handed, |entry| Beginning::at(entry.began));
        let end = self.see_end(prepared, started, &beginning, limits)?;
        prepared.note_end(&end);
        Ok(HandOver::Ended(end))
    }

    /// Runs a command as a child of this process.
    fn run_directly(&self, prepared: &Prepared<'_>, limits: &Limits<'_>) -> Result<End, ExecError> {
        let beginning = Beginning::now().with_kills(&self.oom_counters);
        let started = prepared.start(&beginning)?;
        let end = self.see_end(prepared, started, &beginning, limits)?;
        prepared.note_end(&end);
        children::reap_orphans_now_and_then();
        Ok(end)
    }

    fn see_end(
        &self,
        prepared: &Prepared<'_>,
        started: Started,
        beginning: &Beginning,
        limits: &Limits<'_>,
    ) -> Result<End, ExecError> {
        let lost_track = |source| lost_track(prepared.command, source);
        let watched = watch(&started, limits).map_err(lost_track)?;
        let pid = started.leader.pid().as_raw_nonzero().get();
        if watched.survivors.contains(&pid) {
            return Err(unkillable(prepared.command, pid));
        }
        beginning
            .end(started, watched, &prepared.log, &self.oom_counters)
            .map_err(lost_track)
    }
}

impl Default for Local {
    fn default() -> Self {
        Local::new()
    }
}

impl Executor for Local {
    fn grace(&self) -> Duration {
        self.grace
    }

    /// Runs a command as [`Executor::run`] says. One that ends by itself keeps what it left running in the background; one that
    /// is stopped takes all of it along, daemons and children in sessions of their own included.
    fn run(&self, command: &Command, stop: &StopSignal) -> Result<Exit, ExecError> {
        refuse_when_stopped(command, stop)?;
        let keeper = self.keeper.get();
        let prepared = Prepared::new(command, keeper.is_some())?;
        let wrote_too_much = || prepared.wrote_too_much();
        let limits = self.limits(command, stop, &wrote_too_much);
        let kept = match keeper {
            Some(keeper) => self.run_kept(keeper, &prepared, &limits)?,
            None => None,
        };
        let end = match kept {
            Some(end) => end,
            None => self.run_directly(&prepared, &limits)?,
        };
        prepared.conclude(end)
    }

    fn rejoin(&self, entry: &Entry, command: &Command, stop: &StopSignal) -> Result<Option<Exit>, ExecError> {
        rejoin::rejoin(entry, command, self.grace, stop)
    }
}

pub(super) fn refuse_when_stopped(command: &Command, stop: &StopSignal) -> Result<(), ExecError> {
    if stop.is_requested() {
        let command = command.display();
        return Err(ExecError::StopRequested { command });
    }
    Ok(())
}

pub(super) fn lost_track(command: &Command, source: io::Error) -> ExecError {
    let command = command.display();
    ExecError::Wait { command, source }
}

pub(super) fn unkillable(command: &Command, pid: i32) -> ExecError {
    let command = command.display();
    ExecError::Unkillable { command, pid }
}
