//! How a command went: its exit, turned into a result and the evidence against it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Attempt;
use super::attempt::lock;
use super::failure::{Evidence, Problem};
use crate::exec::{self, ExecError, Status, Stopped};
use crate::plan::duration_in_words;

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

/// The limits that a command had.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The most time it might take itself.
    pub own: Option<Duration>,
    /// The most time its phase might take, where that was over sooner.
    pub phase: Option<Duration>,
    /// The most time without output and checkpoints.
    pub stall: Option<Duration>,
    /// The most time that it had in the end.
    pub time: Option<Duration>,
}

impl Limits {
    /// Why a command was stopped that passed a limit, and what it made of that.
    fn passed(self, status: Status, seconds: f64, stalled: bool, grace: Duration) -> String {
        let limit = |length: Option<Duration>| length.map(duration_in_words);
        let why = match (stalled, limit(self.phase), limit(self.own), limit(self.stall)) {
            (true, _, _, Some(stall)) => format!("no output and no new checkpoint for {stall}"),
            (true, ..) => "no output and no new checkpoint for too long".into(),
            (false, Some(phase), ..) => format!("its phase's limit of {phase} was over"),
            (false, None, Some(own), _) => format!("its limit of {own} was over"),
            (false, ..) => "its time was over".into(),
        };
        // A shell obeys, and what it has started may not: then the end took all of the time of grace.
        let late = self.time.filter(|_| !stalled).map(|time| seconds - time.as_secs_f64());
        let who = match status {
            Status::Signal(libc::SIGKILL) => Some("it"),
            _ if late.is_some_and(|late| late >= grace.as_secs_f64()) => Some("what it had started"),
            _ => None,
        };
        let killed = who.filter(|_| !grace.is_zero()).map_or_else(String::new, |who| {
            format!("; {who} ignored TERM and was killed after {}", duration_in_words(grace))
        });
        format!("stopped after {seconds:.1} s: {why}{killed}")
    }
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
        limits: Limits,
        command: String,
        (log, from): (PathBuf, u64),
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
            (true, ..) => limits.passed(exit.status, exit.seconds, stalled, self.session.executor.grace()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_passed_is_named_and_so_is_who_ignored_that() {
        let seconds = |n| Some(Duration::from_secs(n));
        let limits = |own, phase, time| Limits {
            own,
            phase,
            stall: seconds(4),
            time,
        };
        let own = limits(seconds(3), None, seconds(3));
        let (asked, killed) = (Status::Signal(libc::SIGTERM), Status::Signal(libc::SIGKILL));
        let said =
            |limits: Limits, status, after, stalled| limits.passed(status, after, stalled, Duration::from_secs(30));
        assert_eq!(
            said(own, asked, 3.04, false),
            "stopped after 3.0 s: its limit of 3 s was over"
        );
        assert_eq!(
            said(own, killed, 33.0, false),
            "stopped after 33.0 s: its limit of 3 s was over; it ignored TERM and was killed after 30 s"
        );
        assert!(said(own, asked, 33.0, false).ends_with("what it had started ignored TERM and was killed after 30 s"));
        assert_eq!(
            said(own, asked, 40.0, true),
            "stopped after 40.0 s: no output and no new checkpoint for 4 s"
        );
        let of_phase = limits(seconds(90), seconds(60), seconds(20));
        assert!(said(of_phase, asked, 20.0, false).ends_with("its phase's limit of 1 min was over"));
    }
}
