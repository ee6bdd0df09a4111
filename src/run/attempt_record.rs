//! What is written down of an attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secret::is_secret;
use super::{Advice, Failure, Overrides};
use crate::exec::Command;

/// What stands in the record instead of a secret.
pub const MASKED: &str = "***";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It is on, or the host died with it.
    Running,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// It was stopped, or its host died.
    Interrupted,
    /// It failed and a policy left the phase out.
    Skipped,
}

/// One attempt at a phase, kept as one line of JSON under `[attempts]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The phase's number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_number: Option<i64>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How long it took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The kind of failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What happened, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The exit status of the command that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether a step or a checkpoint was recorded before it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advanced: bool,
    /// What usually helps against its failure.
    #[serde(default, skip_serializing_if = "Advice::is_empty")]
    pub advice: Advice,
    /// The largest resident set of its commands, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss: Option<u64>,
    /// Processor time of its commands, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// The GPUs it held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// The last command that it started, quoted for the shell. Kept, as the two below, of an attempt that did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The directory of that command, when it was not the run's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// What that command's environment had that jumar's own had not; `None` was taken out. Secrets are masked, see [`MASKED`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// The parameters that its body asked for, likewise: steps that it completed are not gone through again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reads: BTreeSet<String>,
    /// Its log files, and the byte in each where this attempt begins; the one that was written last is last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<(String, u64)>,
    /// The parameters that it runs with, what a policy changed for it included.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// What policies had changed for it; secrets are masked.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub changed: Overrides,
    /// Why a policy stopped the whole run over its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// What else there is to know of it, a line each: that another host went on with it, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl AttemptRecord {
    /// An attempt that begins now.
    pub fn begin() -> AttemptRecord {
        AttemptRecord {
            outcome: AttemptOutcome::Running,
            phase_number: None,
            started: now(),
            ended: None,
            seconds: None,
            kind: None,
            message: None,
            code: None,
            signal: None,
            step: None,
            advanced: false,
            advice: Advice::default(),
            max_rss: None,
            cpu: None,
            gpus: vec![],
            command: None,
            cwd: None,
            env: BTreeMap::new(),
            reads: BTreeSet::new(),
            logs: vec![],
            params: Map::new(),
            changed: Overrides::default(),
            aborted: None,
            notes: vec![],
        }
    }

    /// The same attempt, ended now after `seconds`.
    pub fn end(mut self, outcome: AttemptOutcome, seconds: f64) -> AttemptRecord {
        self.outcome = outcome;
        self.ended = Some(now());
        self.seconds = Some((seconds * 1000.0).round() / 1000.0);
        if outcome == AttemptOutcome::Completed {
            (self.command, self.cwd) = (None, None);
            self.env.clear();
            self.reads.clear();
        }
        self
    }

    /// Takes down the command that begins, and what is around it.
    pub(super) fn note_command(&mut self, shown: &str, command: &Command) {
        self.command = Some(shown.into());
        self.cwd.clone_from(&command.cwd);
        self.env.clear();
        for (name, value) in &command.env {
            let masked = value
                .as_ref()
                .map(|v| if is_secret(name) { MASKED.into() } else { v.clone() });
            self.env.insert(name.clone(), masked);
        }
    }

    /// The same attempt with what is known of its failure.
    pub fn because(mut self, failure: &Failure) -> AttemptRecord {
        self.kind = Some(failure.kind.clone());
        self.message = Some(failure.message.clone());
        self.code = failure.code;
        self.signal = failure.signal;
        self.step.clone_from(&failure.step);
        self.advanced = failure.advanced;
        self.advice.clone_from(&failure.advice);
        self.max_rss = failure.max_rss.or(self.max_rss);
        self
    }
}

/// Now, as exactly as people want to read it.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}
