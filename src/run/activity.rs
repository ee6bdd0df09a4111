//! What an attempt was busy with: its commands and steps, when each began and how long it took.
//!
//! One line of JSON for each in `activity.jsonl`, beside the state file's other private files. It is for reading later
//! (`report` draws it) and decides nothing: a line that is lost or cannot be written harms no run.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, Mode, Session};
use crate::exec::{ExecError, Exit, Status};
use crate::state::private_directory;

const FILE: &str = "activity.jsonl";
/// Longer commands are cut: the log has them whole.
const COMMAND_CHARACTERS: usize = 2000;

/// A command or a step of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// The phase.
    pub phase: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The step: of a command, the one around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it was.
    #[serde(flatten)]
    pub kind: ActivityKind,
}

/// What an attempt was busy with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ActivityKind {
    /// A step.
    Step,
    /// A command.
    Command {
        /// The command, quoted for the shell.
        command: String,
        /// Its exit status; `None` when a signal ended it or it could not be started.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Processor time, in seconds.
        cpu: f64,
        /// The largest resident set, in KiB.
        max_rss: u64,
        /// The GPUs that its attempt held.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<String>,
    },
}

/// What is known of a run's commands and steps, in the order in which they ended; nothing for a run that kept no such record.
pub fn activities(state_file: &Path) -> Vec<Activity> {
    let text = std::fs::read(private_directory(state_file).join(FILE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn thousandths(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

impl Attempt {
    pub(super) fn note_step(&self, path: &str, began: Option<(Timestamp, Instant)>) {
        let Some((started, clock)) = began.filter(|_| !self.is_replayed() && self.session.mode == Mode::Live) else {
            return;
        };
        self.note_activity(&Activity {
            phase: self.phase.name.clone(),
            attempt: self.number,
            step: Some(path.into()),
            started,
            seconds: thousandths(clock.elapsed().as_secs_f64()),
            kind: ActivityKind::Step,
        });
    }

    pub(super) fn note_command(
        &self,
        shown: &str,
        step: Option<&str>,
        started: Timestamp,
        outcome: &Result<Exit, ExecError>,
    ) {
        let exit = outcome.as_ref().ok();
        let (code, signal) = match exit.map(|e| e.status) {
            Some(Status::Code(code)) => (Some(code), None),
            Some(Status::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        self.note_activity(&Activity {
            phase: self.phase.name.clone(),
            attempt: self.number,
            step: step.map(String::from),
            started,
            seconds: thousandths(exit.map_or(0.0, |e| e.seconds)),
            kind: ActivityKind::Command {
                command: shown.chars().take(COMMAND_CHARACTERS).collect(),
                code,
                signal,
                cpu: thousandths(exit.map_or(0.0, |e| e.user_seconds + e.system_seconds)),
                max_rss: exit.map_or(0, |e| e.max_rss_kib),
                gpus: self.devices.clone(),
            },
        });
    }

    fn note_activity(&self, activity: &Activity) {
        let (Some(mut file), Ok(mut line)) = (self.session.activity_file(), serde_json::to_string(activity)) else {
            return;
        };
        line.push('\n');
        // One write each: phases that run side by side do not cut each other's lines.
        let _ = file.write_all(line.as_bytes());
    }
}

impl Session {
    /// The record of what attempts are busy with, open for appending; `None` while there is only a draft.
    fn activity_file(&self) -> Option<&File> {
        let open = || {
            let path = self.ledger.private_dir()?.join(FILE);
            File::options().create(true).append(true).open(path).ok()
        };
        match self.activities.get() {
            Some(file) => Some(file),
            // A draft may yet go live.
            None => open().map(|file| self.activities.get_or_init(|| file)),
        }
    }
}
