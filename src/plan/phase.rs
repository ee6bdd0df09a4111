//! One phase as the script declared it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::Body;

/// Where in the scripts something was written: for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The script file as it is named in messages.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A phase: the unit that is completed once and never run again behind the user's back.
///
/// The function itself is not here. It belongs to the script host; the plan knows a phase by its name alone.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// Its name: the key in the state file's `[phases]`.
    pub name: String,
    /// What the script says of its body.
    pub body: Body,
    /// How it is to be run. Phases that say nothing of that share what is the default: a script may declare 100,000 of them.
    pub options: Arc<PhaseOptions>,
    /// The phase whose body declared this one, when it was not the script's top level.
    pub declared_by: Option<String>,
    /// Where it was declared.
    pub origin: Option<Origin>,
}

/// What a script can say of how a phase is to be run.
#[derive(Clone, Debug, Default)]
pub struct PhaseOptions {
    /// Phases that must have completed (or been skipped) first.
    pub after: Vec<String>,
    /// Phases that must have finished first, whether they completed or failed.
    pub after_any: Vec<String>,
    /// How many GPUs it holds while it runs.
    pub gpus: usize,
    /// The most time that one attempt may take.
    pub timeout: Option<Duration>,
    /// The most time that a command may go without output and without a new checkpoint.
    pub stall: Option<Duration>,
    /// Where checkpoints appear while it runs: a glob pattern.
    pub checkpoints: Option<String>,
    /// How often a failed attempt is tried again when no recovery policy has an opinion.
    pub retries: u32,
    /// Changes to the environment of its commands; `None` removes a variable.
    pub env: Vec<(String, Option<String>)>,
    /// The working directory of its commands.
    pub cwd: Option<PathBuf>,
    /// Run again when something it waits for has completed since it did (`rerun: "stale"`).
    pub rerun_when_stale: bool,
    /// Files that it reads: glob patterns. A change of them makes it stale once it has completed.
    pub inputs: Vec<String>,
    /// Files that it makes: glob patterns. A loss of them makes it stale.
    pub outputs: Vec<String>,
    /// What `--phase N` means.
    pub number: Option<i64>,
    /// One line for `--help` and the plan.
    pub help: Option<String>,
}

impl PhaseOptions {
    /// All phases that must have finished first.
    pub fn waits_for(&self) -> impl Iterator<Item = &String> {
        self.after.iter().chain(&self.after_any)
    }

    /// Those of a phase of which the script says nothing: one copy for all of them.
    pub fn none() -> Arc<PhaseOptions> {
        static NONE: LazyLock<Arc<PhaseOptions>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}
