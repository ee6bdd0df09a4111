//! The commands of an attempt: their environment, their log, and the evidence they leave.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attempt::lock;
use super::failure::{Evidence, Problem};
use super::{Attempt, Mode, records};
use crate::exec::{self, Command, ExecError, Program, Status, Stdin, Stopped};

/// How many of a log's last lines are kept with a failure.
const TAIL_LINES: usize = 20;

/// A command as a body asks for it.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    /// What to run.
    pub program: Program,
    /// Changes to the environment on top of the phase's.
    pub env: Vec<(String, Option<String>)>,
    /// Its working directory instead of the phase's.
    pub cwd: Option<PathBuf>,
    /// The most time it may take.
    pub timeout: Option<Duration>,
    /// Whether to return what it writes to standard output.
    pub capture: bool,
    /// What it reads.
    pub stdin: Stdin,
    /// Its log instead of the phase's: a bare name lies under the run's `logs/`.
    pub log: Option<PathBuf>,
}

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

/// Where a command runs, and what its environment has that jumar's own has not (`None`: taken out).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The directory, when it is not the run's working directory.
    pub cwd: Option<PathBuf>,
    /// The variables.
    pub env: BTreeMap<String, Option<String>>,
}

impl Attempt {
    /// The environment of a command, in the order in which the last word counts.
    pub(super) fn command_environment(&self, call: &[(String, Option<String>)]) -> Vec<(String, Option<String>)> {
        let mut changes: Vec<(String, Option<String>)> = self
            .session
            .environment()
            .iter()
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        changes.extend(self.phase.env.iter().cloned());
        if self.phase.gpus > 0 || self.overrides.gpus.is_some() {
            changes.push(("CUDA_VISIBLE_DEVICES".into(), Some(self.devices.join(","))));
        }
        changes.extend(lock(&self.progress).environment.iter().cloned());
        changes.extend(self.overrides.env.iter().map(|(n, v)| (n.clone(), text_of(v))));
        changes.extend(call.iter().cloned());
        changes
    }

    /// What every child is told about the run it belongs to.
    fn identity(&self, directory: &Path) -> Vec<(String, Option<String>)> {
        let run_id = self
            .session
            .ledger
            .get("metadata", "run_id")
            .unwrap_or_else(|| self.session.directory.name());
        let plain: String = self
            .phase
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let mut identity = vec![
            ("JUMAR_RUN_DIR", directory.to_string_lossy().into_owned()),
            ("JUMAR_PHASE", self.phase.name.clone()),
            ("JUMAR_ATTEMPT", self.number.to_string()),
        ];
        let checkpoint = self.checkpoint.get_or_init(|| {
            let path = self.newest_checkpoint().ok()?.manifest.path;
            Some(std::path::absolute(&path).map_or(path, |p| p.to_string_lossy().into_owned()))
        });
        identity.extend(checkpoint.clone().map(|path| ("JUMAR_CHECKPOINT", path)));
        for (name, value) in [
            ("WANDB_RUN_ID", format!("{run_id}-{plain}")),
            ("WANDB_RESUME", "allow".into()),
        ] {
            if std::env::var_os(name).is_none() {
                identity.push((name, value));
            }
        }
        identity.into_iter().map(|(n, v)| (n.to_string(), Some(v))).collect()
    }

    /// The directory and the environment that its next command would have, on top of jumar's own.
    ///
    /// # Errors
    /// As [`Session::absolute_directory`](super::Session::absolute_directory).
    pub fn surroundings(&self) -> Result<Surroundings, super::RunDirectoryError> {
        let mut env = self.identity(&self.session.absolute_directory()?);
        env.extend(self.command_environment(&[]));
        Ok(Surroundings {
            cwd: self.phase.cwd.clone(),
            env: env.into_iter().collect(),
        })
    }

    /// Runs a command to its end, its output appended to the log. A dry run only shows it.
    ///
    /// # Errors
    /// [`Problem::Interrupted`] when jumar was asked to stop. A command that fails is no error: see
    /// [`CommandResult::evidence`].
    pub fn run_command(&self, request: CommandRequest) -> Result<CommandResult, Problem> {
        let step = self.step();
        let run_dir = self.session.directory.path().map_err(|e| self.broken(e.to_string()))?;
        let log = self.log_path(&run_dir, request.log.as_deref());
        let limits = [request.timeout, self.time_left()];
        let cwd = request.cwd.or_else(|| self.phase.cwd.clone());
        let mut command = Command {
            program: request.program,
            env: vec![],
            cwd,
            stdin: request.stdin,
            log: log.clone(),
            capture: request.capture,
            timeout: limits.into_iter().flatten().min(),
        };
        let shown = command.display();
        if let Some(replay) = &self.replay {
            return replay
                .next(&shown, &self.phase.name)
                .map_err(|message| self.broken(message));
        }
        if self.session.mode == Mode::Dry {
            self.session
                .observer
                .command_planned(&self.phase.name, step.as_deref(), &shown);
            let stdout = request.capture.then(String::new);
            return Ok(CommandResult {
                command: shown,
                code: Some(0),
                signal: None,
                stdout,
                seconds: 0.0,
                max_rss: 0,
                log,
                evidence: None,
                message: String::new(),
            });
        }
        if self.session.stop.is_requested() {
            self.note_stopped();
            return Err(Problem::Interrupted);
        }
        let absolute = self
            .session
            .absolute_directory()
            .map_err(|e| self.broken(e.to_string()))?;
        command.env = self.identity(&absolute);
        command.env.extend(self.command_environment(&request.env));
        lock(&self.record).note_command(&shown, &command);
        let from = self
            .open_log(&log, &shown)
            .map_err(|e| self.broken(format!("cannot write the log {}: {e}", log.display())))?;
        self.session
            .observer
            .command_started(&self.phase.name, &shown, &log, from);
        let outcome = self.session.executor.run(&command, &self.session.stop);
        self.session.observer.command_finished(&self.phase.name);
        let result = self.judge(outcome, shown, log, from)?;
        lock(&self.progress).commands.push(result.clone());
        Ok(result)
    }

    fn judge(
        &self,
        outcome: Result<exec::Exit, ExecError>,
        command: String,
        log: PathBuf,
        from: u64,
    ) -> Result<CommandResult, Problem> {
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
        if exit.stopped == Some(Stopped::Interrupted) {
            self.note_stopped();
            return Err(Problem::Interrupted);
        }
        {
            let mut record = lock(&self.record);
            record.max_rss = record.max_rss.max(Some(exit.max_rss_kib));
        }
        let (code, signal) = match exit.status {
            Status::Code(code) => (Some(code), None),
            Status::Signal(signal) => (None, Some(signal)),
        };
        let timed_out = exit.stopped == Some(Stopped::Timeout);
        let failed = timed_out || code != Some(0);
        let ended = match (timed_out, code, signal) {
            (true, ..) => format!("stopped after {:.1} s: its time was over", exit.seconds),
            (false, Some(code), _) => format!("ended with status {code}"),
            (false, None, signal) => format!("ended by signal {}", signal.unwrap_or(0)),
        };
        let tail = if failed {
            exec::tail(&log, from, TAIL_LINES).unwrap_or_default()
        } else {
            vec![]
        };
        let message = match tail.iter().rev().map(|l| l.trim()).find(|l| !l.is_empty()) {
            Some(last) if !timed_out => format!("{ended}: {}", shortened(last)),
            _ => ended,
        };
        let evidence = failed.then_some(Evidence {
            code,
            signal,
            timed_out,
            interrupted: false,
            kernel_oom_kills: exit.kernel_oom_kills,
            errno: None,
            tail,
        });
        Ok(CommandResult {
            command,
            code,
            signal,
            stdout: exit.stdout,
            seconds: exit.seconds,
            max_rss: exit.max_rss_kib,
            log,
            evidence,
            message,
        })
    }

    fn broken(&self, message: String) -> Problem {
        let failure = super::Failure {
            phase: self.phase.name.clone(),
            kind: "script".into(),
            message,
            attempt: self.number,
            seconds: self.seconds(),
            ..Default::default()
        };
        Problem::Failed(Box::new(failure))
    }

    fn log_path(&self, run_dir: &Path, asked: Option<&Path>) -> PathBuf {
        match asked {
            Some(path) if path.components().count() > 1 || path.is_absolute() => path.into(),
            Some(name) => run_dir.join("logs").join(name),
            None => {
                let plain: String = self
                    .phase
                    .name
                    .chars()
                    .map(|c| {
                        if c.is_alphanumeric() || "._-".contains(c) {
                            c
                        } else {
                            '_'
                        }
                    })
                    .collect();
                run_dir.join("logs").join(format!("{plain}.log"))
            }
        }
    }

    /// Writes the line that says what follows, and tells the record of a log that is new to this attempt. Returns where
    /// the command's own output will begin.
    fn open_log(&self, log: &Path, shown: &str) -> std::io::Result<u64> {
        if let Some(parent) = log.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        let start = file.metadata()?.len();
        let first = {
            let mut progress = lock(&self.progress);
            let first = !progress.logs.iter().any(|l| l == log);
            if first {
                progress.logs.push(log.into());
                lock(&self.record)
                    .logs
                    .push((log.to_string_lossy().into_owned(), start));
            }
            first
        };
        let mut head = String::new();
        if first && self.number > 1 {
            head = format!(
                "--- attempt {} · {} ---\n",
                self.number,
                jiff::ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S")
            );
        }
        head.push_str(&format!("$ {shown}\n"));
        file.write_all(head.as_bytes())?;
        if first {
            let noted = records::attempt_noted(&self.phase.name, self.number, &self.record());
            // The record of a log is for reading it later; a state that cannot be written will say so at the completion.
            let _ = self.session.ledger.commit(noted);
        }
        Ok(start + head.len() as u64)
    }
}

/// The commands of a completed attempt, given out again in their order.
pub(super) struct Replay {
    pub(super) commands: Mutex<VecDeque<CommandResult>>,
}

impl Replay {
    fn next(&self, shown: &str, phase: &str) -> Result<CommandResult, String> {
        match lock(&self.commands).pop_front() {
            Some(result) if result.command == shown => Ok(result),
            Some(result) => Err(format!(
                "phase `{phase}` completed and declared phases, but it now asks for `{shown}` where it ran `{}`",
                result.command
            )),
            None => Err(format!(
                "phase `{phase}` completed and declared phases, but it now asks for one command more: `{shown}`"
            )),
        }
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

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
