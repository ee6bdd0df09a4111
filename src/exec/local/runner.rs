//! The executor for this machine: one command from its start to its end.

use std::fs::{self, File};
use std::io;
use std::time::Duration;

use super::capture::{CAPTURE_LIMIT, Capture};
use super::launch::{self, Around};
use super::oom::OomCounters;
use super::watch::{Limits, watch};
use super::{children, program_file};
use crate::exec::{Command, ExecError, Executor, Exit, StopSignal};

/// How long a command may take to end after it was asked to, unless [`Local::with_grace`] says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Runs commands on this machine.
#[derive(Debug)]
pub struct Local {
    grace: Duration,
    adopts_orphans: bool,
    oom_counters: OomCounters,
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
        }
    }

    /// Whether orphans of commands come to this process. Where the system refuses that, they are found by the mark in their
    /// environment alone.
    pub fn adopts_orphans(&self) -> bool {
        self.adopts_orphans
    }
}

impl Default for Local {
    fn default() -> Self {
        Local::new()
    }
}

impl Executor for Local {
    /// Runs a command as [`Executor::run`] says. One that ends by itself keeps what it left running in the background; one that
    /// is stopped takes all of it along, daemons and children in sessions of their own included.
    fn run(&self, command: &Command, stop: &StopSignal) -> Result<Exit, ExecError> {
        if stop.is_requested() {
            let command = command.display();
            return Err(ExecError::StopRequested { command });
        }
        let program = program_file::find(&command.program, command.cwd.as_deref(), &command.env)?;
        let log_error = |source| ExecError::Log {
            path: command.log.clone(),
            source,
        };
        let lost_track = |source| ExecError::Wait {
            command: command.display(),
            source,
        };
        let mut log = open_log(command).map_err(log_error)?;
        let log_start = log.metadata().map_err(log_error)?.len();
        let capture = command
            .capture
            .then(|| Capture::beside(&command.log))
            .transpose()
            .map_err(log_error)?;
        let stdout = match &capture {
            Some(capture) => capture.writer(),
            None => log.try_clone(),
        };
        let around = Around {
            cwd: command.cwd.as_deref(),
            env: &command.env,
            stdin: &command.stdin,
            stdout: stdout.map_err(log_error)?,
            stderr: log.try_clone().map_err(log_error)?,
        };

        let oom_before = self.oom_counters.read();
        let began = seconds_since_boot();
        let started = launch::launch(&program, around)?;
        let limits = Limits {
            timeout: command.timeout,
            stop,
            wrote_too_much: &|| capture.as_ref().map_or(Ok(false), Capture::is_too_large),
            grace: self.grace,
        };
        let watched = watch(&started, &limits).map_err(lost_track)?;
        let pid = started.leader.pid().as_raw_nonzero().get();
        if watched.survivors.contains(&pid) {
            let command = command.display();
            return Err(ExecError::Unkillable { command, pid });
        }
        let seconds = seconds_since_boot() - began;
        let oom_kills = self.oom_counters.read().since(oom_before);
        let ended = started.leader.reap().map_err(lost_track)?;
        children::reap_orphans_now_and_then();

        let stdout = match capture {
            Some(capture) if capture.is_too_large().map_err(log_error)? => {
                capture.move_to(&mut log, TOO_LARGE_SAMPLE).map_err(log_error)?;
                return Err(ExecError::CaptureTooLarge {
                    command: command.display(),
                    limit: CAPTURE_LIMIT,
                });
            }
            Some(capture) => {
                let bytes = capture.move_to(&mut log, CAPTURE_LIMIT).map_err(log_error)?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            None => None,
        };
        Ok(Exit {
            status: ended.status,
            stopped: watched.stopped,
            seconds,
            max_rss_kib: ended.max_rss_kib,
            user_seconds: ended.user_seconds,
            system_seconds: ended.system_seconds,
            kernel_oom_kills: oom_kills.machine,
            cgroup_oom_kills: oom_kills.cgroup,
            stdout,
            log_start,
            survivors: watched.survivors,
        })
    }
}

/// How much of captured output that was too large reaches the log, to show what it was.
const TOO_LARGE_SAMPLE: u64 = 64 << 10;

/// Opens the log for appending and makes the directories above it.
fn open_log(command: &Command) -> io::Result<File> {
    let open = || File::options().append(true).create(true).open(&command.log);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = command.log.parent() {
                fs::create_dir_all(parent)?;
            }
            open()
        }
        opened => opened,
    }
}

/// Time since boot, suspended time included.
fn seconds_since_boot() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to memory of ours of the right type; the clock exists on every Linux of this century.
    unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time);
    }
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
