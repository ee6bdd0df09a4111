//! What a host and its keeper say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exec::local::program_file::ProgramFile;
use crate::exec::logbook::{End, Why};

/// What a host asks for. A connection carries one command at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// The first word on the first connection. The descriptor is a locked file: the keeper lets go of it when it cannot start
    /// anything more. Answered by [`Reply::Ready`].
    Hello,
    /// Another connection, which is the descriptor.
    Connect,
    /// Start this command. The descriptors are its standard input (or none), its standard output (or none: its log), its log,
    /// and its logbook (or none). Answered by its end.
    Run(Box<Run>),
    /// Stop the command of this connection.
    Stop {
        /// How long it is given to end by itself, in milliseconds.
        grace_ms: u64,
        why: Why,
    },
    /// Stop it at once: somebody is out of patience.
    Hurry,
}

/// A command that is ready to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::exec::local) struct Run {
    pub id: String,
    pub program: ProgramFile,
    pub cwd: Option<PathBuf>,
    pub env: Vec<(String, Option<String>)>,
    pub has_input: bool,
    /// Whether its standard output goes elsewhere than to its log.
    pub captured: bool,
    /// What the logbook says of it beside what the keeper knows.
    pub noted: Option<Noted>,
}

/// The caller's part of a logbook's entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::exec::local) struct Noted {
    pub label: String,
    pub log: PathBuf,
    pub log_start: u64,
    pub capture: Option<PathBuf>,
}

/// What the keeper answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is out of the host's session and adopts orphans.
    Ready,
    /// The command has ended.
    Ended(End),
    /// The command could not be started.
    Refused {
        /// The system's error number, when it gave one.
        errno: Option<i32>,
        message: String,
    },
    /// The command was to be stopped and could not be: this is its process.
    Unkillable(i32),
}
