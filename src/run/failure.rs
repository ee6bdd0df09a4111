//! What went wrong with an attempt: evidence first, then a failure with a kind.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::StateError;

/// What is known of a command that did not end well, before anybody has judged it. `std/failures` turns it into a kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The exit status, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether jumar ended it because its time was over.
    pub timed_out: bool,
    /// Whether jumar ended it because nothing came of it for too long (`stall`).
    #[serde(default)]
    pub stalled: bool,
    /// Whether jumar ended it because jumar was asked to stop.
    pub interrupted: bool,
    /// How many processes the kernel killed for want of memory meanwhile.
    pub kernel_oom_kills: u64,
    /// The system's error number when the command could not be started.
    pub errno: Option<i32>,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// Lines before those: the cause of a failure often stands far above its last echo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
}

/// The kind of a failure of jumar's own writing.
pub fn kind_of(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "disk_full",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "permission",
        _ => "script",
    }
}

/// A failed attempt, as policies, the state file and people see it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Failure {
    /// The phase.
    pub phase: String,
    /// The step inside it, when there was one.
    pub step: Option<String>,
    /// What kind of failure: `oom_gpu`, `oom_host`, `timeout`, … (product words; users add their own).
    pub kind: String,
    /// The exit status of the command that failed.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// One line that says what happened.
    pub message: String,
    /// The command, quoted for the shell.
    pub command: Option<String>,
    /// Its log file.
    pub log: Option<String>,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How many failures of the phase this host has seen, this one included; preemptions are not counted.
    pub count: u32,
    /// Whether a step or a checkpoint was recorded in the attempt: another one would begin further on.
    pub advanced: bool,
    /// The newest checkpoint that verifies.
    pub checkpoint: Option<String>,
    /// How long the attempt took.
    pub seconds: f64,
    /// The command's largest resident set, in KiB.
    pub max_rss: Option<u64>,
    /// The parameters the attempt had.
    pub params: Map<String, Value>,
    /// What a policy had changed in the environment for this attempt.
    pub env: Map<String, Value>,
    /// What usually helps.
    #[serde(default, skip_serializing_if = "Advice::is_empty")]
    pub advice: Advice,
    /// The script's own error drawn for a terminal, when the script itself was at fault.
    #[serde(skip)]
    pub diagnostic: Option<String>,
}

/// What usually helps against a failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// For people, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Variables that the command that resumes is given.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
}

impl Advice {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self == &Advice::default()
    }
}

/// Why a body did not return a value.
#[derive(Debug)]
pub enum Problem {
    /// The attempt failed.
    Failed(Box<Failure>),
    /// jumar was asked to stop.
    Interrupted,
    /// The state could not be written: nothing more may be started.
    State(StateError),
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Problem {
        Problem::State(error)
    }
}
