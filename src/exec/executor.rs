//! The border of the room: who runs commands, and what is known of one that ended.

use std::time::Duration;

use crate::exec::{Command, Entry, ExecError, StopSignal};

/// Something that runs commands, on this machine or elsewhere.
pub trait Executor: Send + Sync {
    /// Runs a command to its end and returns how it ended; blocks until then. Several threads may run commands at once.
    ///
    /// `stop` is looked at several times a second: a graceful request asks the command to end and waits, a request to stop at
    /// once does not wait. The command's output is in its log file while it runs; whoever shows it follows that file.
    ///
    /// # Errors
    ///
    /// When the command could not be started, its log could not be written, its captured output was too large, a stop was
    /// requested before it started, or its end could not be learned. A command that ran and failed is not an error.
    fn run(&self, command: &Command, stop: &StopSignal) -> Result<Exit, ExecError>;

    /// Goes on with a command that an earlier host has started and that `entry` tells of: waits for its end as
    /// [`run`](Self::run) does, or takes it as it was seen meanwhile. `None` when it has ended and nobody saw how. `command` is
    /// the command as it would be run now; its note names the logbook that the entry is from.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    fn rejoin(&self, entry: &Entry, command: &Command, stop: &StopSignal) -> Result<Option<Exit>, ExecError>;

    /// How long a command may take to end after it was asked to, before it is killed.
    fn grace(&self) -> Duration;
}

/// How a command ended and what it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// How the process itself ended.
    pub status: Status,
    /// Why the command was stopped, when it did not end by itself. Its status then is only what it made of being stopped.
    pub stopped: Option<Stopped>,
    /// How long it ran, in seconds, counting time the machine was suspended.
    pub seconds: f64,
    /// The largest resident memory of the command or one of the children it waited for, in KiB. Never below the resident
    /// memory of the process that started it: the kernel hands that down.
    pub max_rss_kib: u64,
    /// Processor time spent in the command and the children it waited for, in seconds.
    pub user_seconds: f64,
    /// Processor time spent in the kernel for them, in seconds.
    pub system_seconds: f64,
    /// How many processes the kernel killed for want of memory while the command ran, or less than a second before; 0 for a
    /// command that ended well. Counted for the whole machine, so it only suggests that one of them was the command's,
    /// unless `cgroup_oom_kills` counted them too.
    pub kernel_oom_kills: u64,
    /// How many of those were in the control group that the command shares with its host; 0 where that cannot be read.
    pub cgroup_oom_kills: u64,
    /// What it wrote to standard output, when that was captured; bytes that are not UTF-8 are replaced.
    pub stdout: Option<String>,
    /// The length of the log, in bytes, before the command wrote to it.
    pub log_start: u64,
    /// The length of the log, in bytes, when the command had ended; captured output comes after it.
    pub log_end: u64,
    /// Process ids of the command's children that a stop could not end: they belong to another user, or hang in the kernel.
    pub survivors: Vec<i32>,
}

impl Exit {
    /// Whether the command ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.stopped.is_none() && self.status == Status::Code(0)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// Why a command was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ran longer than its timeout.
    Timeout,
    /// A stop was requested.
    Interrupted,
}
