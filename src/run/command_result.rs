//! How a command went: its exit, turned into a result and the evidence against it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Attempt;
use super::attempt::lock;
use super::failure::{Evidence, Problem};
use crate::exec::{self, ExecError, Status, Stopped};

/// How many of a log's last lines are kept with a failure.
const TAIL_LINES: usize = 20;

/// How many of its last lines are searched for the cause.
const JUDGED_LINES: usize = 400;

/// How a command went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command, quoted for the shell.
    pub command: String,
    /// Its exit status; `None` when a signal ended it or it could not be started.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard output, when that was asked for.
    pub stdout: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Its largest resident set, in KiB.
    pub max_rss: u64,
    /// Its log.
    pub log: PathBuf,
    /// What speaks against it; `None` when it ended with status 0.
    pub evidence: Option<Evidence>,
    /// Why it failed, in one line.
    pub message: String,
}

impl CommandResult {
    /// What a dry run takes a command to come to.
    pub(super) fn expected(command: String, capture: bool, log: PathBuf) -> CommandResult {
        CommandResult {
            command,
            code: Some(0),
            signal: None,
            stdout: capture.then(String::new),
            seconds: 0.0,
            max_rss: 0,
            log,
            evidence: None,
            message: String::new(),
        }
    }
}

impl Attempt {
    pub(super) fn judge(
        &self,
        outcome: Result<exec::Exit, ExecError>,
        stalled: bool,
        command: String,
        log: PathBuf,
        from: u64,
    ) -> Result<CommandResult, Problem> {
        let stalled = stalled && !self.stop.is_requested();
        let exit = match outcome {
            Ok(exit) => exit,
            Err(ExecError::StopRequested { .. }) => {
                self.note_stopped();
                return Err(Problem::Interrupted);
            }
            Err(error) => {
                let message = error.to_string();
                let evidence = Evidence {
                    errno: error.errno(),
                    tail: vec![message.clone()],
                    ..Evidence::default()
                };
                return Ok(CommandResult {
                    command,
                    code: None,
                    signal: None,
                    stdout: None,
                    seconds: 0.0,
                    max_rss: 0,
                    log,
                    evidence: Some(evidence),
                    message,
                });
            }
        };
        if exit.stopped == Some(Stopped::Interrupted) && !stalled {
            self.note_stopped();
            return Err(Problem::Interrupted);
        }
        {
            let mut record = lock(&self.record);
            record.max_rss = record.max_rss.max(Some(exit.max_rss_kib));
            let cpu = record.cpu.unwrap_or(0.0) + exit.user_seconds + exit.system_seconds;
            record.cpu = Some((cpu * 1000.0).round() / 1000.0);
        }
        let (code, signal) = match exit.status {
            Status::Code(code) => (Some(code), None),
            Status::Signal(signal) => (None, Some(signal)),
        };
        let timed_out = exit.stopped == Some(Stopped::Timeout);
        let stalled = stalled && exit.stopped == Some(Stopped::Interrupted);
        let failed = timed_out || stalled || code != Some(0);
        let ended = match (timed_out || stalled, code, signal) {
            (true, ..) if stalled => format!(
                "stopped after {:.1} s: no output and no new checkpoint for too long",
                exit.seconds
            ),
            (true, ..) => format!("stopped after {:.1} s: its time was over", exit.seconds),
            (false, Some(code), _) => format!("ended with status {code}"),
            (false, None, signal) => format!("ended by {}", exec::signal_name(signal.unwrap_or(0))),
        };
        let mut before = if failed {
            // Captured output has joined the log after the end.
            let captured = exit.stdout.as_ref().map_or(0, |text| text.len() as u64);
            let to = exit.log_end.saturating_add(captured);
            exec::tail_between(&log, from, to, JUDGED_LINES).unwrap_or_default()
        } else {
            vec![]
        };
        let tail = before.split_off(before.len().saturating_sub(TAIL_LINES));
        let message = match tail.iter().rev().map(|l| l.trim()).find(|l| !l.is_empty()) {
            // What a program said before somebody ended it from outside is not why it ended.
            Some(last) if code.is_some() && !timed_out && !stalled => format!("{ended}: {}", shortened(last)),
            _ => ended,
        };
        let evidence = failed.then_some(Evidence {
            code,
            signal,
            timed_out,
            stalled,
            interrupted: false,
            kernel_oom_kills: exit.kernel_oom_kills,
            errno: None,
            tail,
            before,
        });
        // Results of a rehearsal are compared with each other.
        let rehearsed = self.session.rehearsal.is_some();
        Ok(CommandResult {
            command,
            code,
            signal,
            stdout: exit.stdout,
            seconds: if rehearsed { 0.0 } else { exit.seconds },
            max_rss: if rehearsed { 0 } else { exit.max_rss_kib },
            log,
            evidence,
            message,
        })
    }
}

/// A line of output as part of a message.
fn shortened(line: &str) -> String {
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(160).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
