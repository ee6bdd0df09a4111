//! The commands of an attempt: their environment, their log, and the evidence they leave.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::attempt::lock;
use super::attempt_record::now;
use super::checkpoint_watch::CheckpointJudge;
use super::command_book::{Known, Open, hash_of};
use super::command_result::Limits;
use super::failure::{Problem, kind_of};
use super::resume::go_on_with;
use super::watchdog::{Orders, watched};
use super::{Attempt, CommandResult, Mode, records};
use crate::exec::{Command, ExecError, Exit, Living, Program, Status, Stdin, Stopped};

/// How many bytes of a phase's name go into the name of its log: file systems take 255 in all.
const LONGEST_STEM: usize = 200;

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
    /// The most time without output and without a new checkpoint, instead of the phase's. Captured output does not count.
    pub stall: Option<Duration>,
    /// Whether to return what it writes to standard output.
    pub capture: bool,
    /// What it reads.
    pub stdin: Stdin,
    /// What to run instead in a rehearsal: a line for the shell.
    pub stand_in: Option<String>,
    /// Its log instead of the phase's: a bare name lies under the run's `logs/`.
    pub log: Option<PathBuf>,
}

/// A command with the variables of its own before it, as a shell takes both.
fn with_variables(variables: &[(String, Option<String>)], command: &str) -> String {
    let assignment = |(name, value): &(String, Option<String>)| {
        let value = value.as_deref()?;
        // What no shell can write (a NUL byte), no command can be given either.
        Some(format!("{name}={} ", shlex::try_quote(value).unwrap_or_default()))
    };
    variables.iter().filter_map(assignment).collect::<String>() + command
}

/// What is looked at while a command runs.
#[derive(Clone, Copy)]
struct Watch<'a> {
    limits: Limits,
    judge: Option<CheckpointJudge<'a>>,
}

impl<'a> Watch<'a> {
    fn orders(self, log: &'a Path) -> Orders<'a> {
        Orders {
            log,
            stall: self.limits.stall,
            judge: self.judge,
        }
    }
}

/// The status of a program that was asked to end by SIGTERM, has done what it had to do, and says so.
const TERMINATED: i32 = 128 + 15;

/// Whether what a command wrote last is whole. One that was stopped may have saved before it ended; one that a signal ended
/// may have been in the middle of it.
fn ended_well(outcome: &Result<Exit, ExecError>) -> bool {
    let Ok(exit) = outcome else { return false };
    match exit.status {
        Status::Code(0) => true,
        Status::Code(TERMINATED) => exit.stopped.is_some(),
        _ => false,
    }
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
        self.changed_environment(call, true)
    }

    /// The part of a command's environment that its script and its policies decide: not which GPUs it got.
    fn own_environment(&self, call: &[(String, Option<String>)]) -> Vec<(String, Option<String>)> {
        self.changed_environment(call, false)
    }

    fn changed_environment(
        &self,
        call: &[(String, Option<String>)],
        with_devices: bool,
    ) -> Vec<(String, Option<String>)> {
        let mut changes: Vec<(String, Option<String>)> = self
            .session
            .environment()
            .iter()
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        changes.extend(self.phase.options.env.iter().cloned());
        if with_devices && (self.phase.options.gpus > 0 || self.overrides.gpus.is_some()) {
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
            let path = self.usable_checkpoint().ok()?.path;
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
            cwd: self.phase.options.cwd.clone(),
            env: env.into_iter().collect(),
        })
    }

    /// Runs a command to its end, its output appended to the log. A dry run only shows it. What an earlier host has begun of this
    /// attempt is not run again: its end is waited for, or taken as it was. `judge` says which of the phase's
    /// `checkpoints` are whole.
    ///
    /// # Errors
    /// [`Problem::Interrupted`] when jumar was asked to stop. A command that fails is no error: see
    /// [`CommandResult::evidence`].
    pub fn run_command(
        &self,
        request: CommandRequest,
        judge: Option<CheckpointJudge<'_>>,
    ) -> Result<CommandResult, Problem> {
        let step = self.step();
        let run_dir = self.session.directory.path().map_err(|e| self.broken(e.to_string()))?;
        let log = self.log_path(&run_dir, request.log.as_deref());
        let shown = request.program.display();
        if let Some(replay) = &self.replay {
            return replay
                .next(&shown, &self.phase.name)
                .map_err(|message| self.broken(message));
        }
        if self.session.mode == Mode::Dry {
            let planned = with_variables(&request.env, &shown);
            self.session
                .observer
                .command_planned(&self.phase.name, step.as_deref(), &planned);
            return Ok(CommandResult::expected(shown, request.capture, log));
        }
        if self.stop.is_requested() {
            self.note_stopped();
            return Err(Problem::Interrupted);
        }
        let absolute = self
            .session
            .absolute_directory()
            .map_err(|e| self.broken(e.to_string()))?;
        let cwd = request.cwd.clone().or_else(|| self.phase.options.cwd.clone());
        let hash = hash_of(&request, cwd.as_deref(), &self.own_environment(&request.env));
        let place = self.book.next(step.as_deref(), &hash, request.capture);
        let mut env = self.identity(&absolute);
        env.extend(self.command_environment(&request.env));
        let mut command = Command {
            program: request.program,
            env,
            cwd,
            stdin: request.stdin,
            log,
            log_file: None,
            capture: request.capture,
            timeout: request.timeout.into_iter().chain(self.time_left()).min(),
            // The book of an attempt that is over is closed.
            note: place.note.filter(|_| !self.is_over()),
        };
        let watch = Watch {
            limits: Limits {
                own: request.timeout,
                phase: self
                    .phase
                    .options
                    .timeout
                    .filter(|_| command.timeout != request.timeout),
                stall: request.stall.or(self.phase.options.stall),
                time: command.timeout,
            },
            judge,
        };
        let result = match self.gone_on_with(place.known, &command, &shown, watch)? {
            Some(result) => result,
            None => {
                if let Some(rehearsal) = &self.session.rehearsal {
                    let (phase, instead) = (&self.phase.name, request.stand_in.as_deref());
                    rehearsal.replace(&mut command, phase, step.as_deref(), instead, [&run_dir, &absolute]);
                }
                self.start(command, shown, watch)?
            }
        };
        lock(&self.progress).commands.push(result.clone());
        Ok(result)
    }

    /// Starts a command and waits for its end.
    fn start(&self, mut command: Command, shown: String, watch: Watch<'_>) -> Result<CommandResult, Problem> {
        let log = command.log.clone();
        // Of an attempt that is over the record is complete: what is run to look around is no part of it.
        if !self.is_over() {
            lock(&self.record).note_command(&shown, &command);
        }
        // The line that says what follows; the command's own output begins behind it.
        let (file, from) = self
            .write_log(&log, &format!("$ {shown}\n"))
            .map_err(|e| self.broken_by(kind_of(&e), format!("cannot write the log {}: {e}", log.display())))?;
        command.log_file = Some(Arc::new(file));
        self.session
            .observer
            .command_started(&self.phase.name, &shown, &log, from);
        let started = now();
        let ended = watched(
            self,
            watch.orders(&log),
            |stop| self.session.executor.run(&command, stop),
            ended_well,
        );
        if let Ok((outcome, _)) = &ended {
            self.note_command(&shown, self.step().as_deref(), started, outcome);
        }
        self.session.observer.command_finished(&self.phase.name);
        let (outcome, stalled) = ended?;
        self.judge(outcome, stalled, watch.limits, shown, (log, from))
    }

    /// The result of a command that an earlier host has started; `None` when it is to be started now.
    fn gone_on_with(
        &self,
        known: Known,
        command: &Command,
        shown: &str,
        watch: Watch<'_>,
    ) -> Result<Option<CommandResult>, Problem> {
        let phase = &self.phase.name;
        let entry = match known {
            Known::Nothing => return Ok(None),
            Known::Same(entry) => entry,
            Known::Other(living) => {
                self.note(format!(
                    "{phase} is not what it was when jumar died: from `{shown}` on its commands run again"
                ))?;
                self.wait_for(living)?;
                return Ok(None);
            }
        };
        // A command's limit counts from its beginning; what is left of the phase's time counts from now.
        let own = watch.limits.own;
        let left = self.time_left().map(|left| left.saturating_add(entry.age()));
        let command = &Command {
            log: entry.log.clone(),
            timeout: own.into_iter().chain(left).min(),
            ..command.clone()
        };
        let watch = Watch {
            limits: Limits {
                phase: self.phase.options.timeout.filter(|_| command.timeout != own),
                time: command.timeout,
                ..watch.limits
            },
            ..watch
        };
        if entry.end.is_none() {
            if let Some(Living { pid, .. }) = Living::named(entry.process) {
                self.session.observer.note(&format!(
                    "{phase}: waiting for what the last jumar had started as process {pid}, and its result: {shown}"
                ));
            }
            let from = std::fs::metadata(&entry.log).map_or(entry.log_start, |log| log.len());
            self.session.observer.command_started(phase, shown, &entry.log, from);
        }
        let ended = watched(
            self,
            watch.orders(&entry.log),
            |stop| self.session.executor.rejoin(&entry, command, stop).transpose(),
            |outcome| outcome.as_ref().is_some_and(ended_well),
        );
        if entry.end.is_none() {
            self.session.observer.command_finished(phase);
        }
        let (outcome, stalled) = ended?;
        match outcome {
            None => {
                self.note(format!("nobody saw how `{shown}` ended: it runs again"))?;
                Ok(None)
            }
            // It was being stopped when its host died, and nobody wants it stopped any more.
            Some(Ok(exit)) if exit.stopped == Some(Stopped::Interrupted) && !stalled && !self.stop.is_requested() => {
                Ok(None)
            }
            Some(outcome) => self
                .judge(
                    outcome,
                    stalled,
                    watch.limits,
                    shown.into(),
                    (entry.log, entry.log_start),
                )
                .map(Some),
        }
    }

    /// Says something about this attempt, and writes it into its record.
    fn note(&self, text: String) -> Result<(), Problem> {
        self.session.observer.note(&text);
        lock(&self.record).notes.push(text);
        let noted = records::attempt_noted(&self.phase.name, self.number, &self.record());
        Ok(self.session.ledger.commit(noted)?)
    }

    /// Waits for commands of an earlier host that this body has not come to; ends them when jumar was asked to stop.
    ///
    /// # Errors
    /// [`Problem::Interrupted`] when jumar was asked to stop meanwhile.
    pub(super) fn wait_for_left_over(&self) -> Result<(), Problem> {
        self.wait_for(self.book.left_over())
    }

    fn wait_for(&self, left: Vec<Open>) -> Result<(), Problem> {
        for open in &left {
            if let Some(process) = Living::named(open.entry.process) {
                self.session.observer.note(&format!(
                    "{}: waiting for process {}, which the last jumar left running: {}",
                    self.phase.name, process.pid, process.command
                ));
                go_on_with(&self.session, open);
            }
        }
        if !left.is_empty() && self.stop.is_requested() {
            self.note_stopped();
            return Err(Problem::Interrupted);
        }
        Ok(())
    }

    fn broken(&self, message: String) -> Problem {
        self.broken_by("script", message)
    }

    fn broken_by(&self, kind: &str, message: String) -> Problem {
        let failure = super::Failure {
            phase: self.phase.name.clone(),
            kind: kind.into(),
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
            None => run_dir.join("logs").join(self.log_name()),
        }
    }

    /// The name of the phase's log; whoever looks around in an attempt that is over has one beside it.
    fn log_name(&self) -> String {
        let kind = if self.is_over() { ".repl.log" } else { ".log" };
        file_stem(&self.phase.name) + kind
    }

    /// Where the output of commands goes that are run in the middle of its failure; `None` before it has failed.
    pub fn log_of_the_looks(&self) -> Option<PathBuf> {
        let directory = self.session.directory.path().ok().filter(|_| self.is_over())?;
        Some(self.log_path(&directory, None))
    }

    /// Writes what the script says into the phase's log. It is shown elsewhere, too: a log that cannot be written is no failure.
    pub fn log_line(&self, text: &str) {
        let live = self.session.mode == Mode::Live && !self.is_replayed();
        if let Some(directory) = self.session.directory.path().ok().filter(|_| live) {
            let _ = self.write_log(&self.log_path(&directory, None), &format!("{text}\n"));
        }
    }

    /// Appends lines of jumar's own to a log, and tells the record of one that is new to this attempt. Returns it, and
    /// where they end.
    fn write_log(&self, log: &Path, lines: &str) -> std::io::Result<(File, u64)> {
        let mut file = open_to_append(log)?;
        let start = file.metadata()?.len();
        let first = !self.is_over() && {
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
        let mut text = String::new();
        if first && self.number > 1 {
            text = format!(
                "--- attempt {} · {} ---\n",
                self.number,
                jiff::ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S")
            );
        }
        text.push_str(lines);
        file.write_all(text.as_bytes())?;
        if first {
            let noted = records::attempt_noted(&self.phase.name, self.number, &self.record());
            // The record of a log is for reading it later; a state that cannot be written will say so at the completion.
            let _ = self.session.ledger.commit(noted);
        }
        Ok((file, start + text.len() as u64))
    }
}

/// Opens a log, and makes its directory where there is none yet.
fn open_to_append(log: &Path) -> std::io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(log);
    match (open(), log.parent()) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            std::fs::create_dir_all(parent)?;
            open()
        }
        (opened, _) => opened,
    }
}

/// A phase's name as the name of its log. One that cannot be a file's name as it is gets a hash behind it: `a b` and
/// `a_b` must not write into the same log.
fn file_stem(phase: &str) -> String {
    let plain: String = phase
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    if plain == phase && plain.len() <= LONGEST_STEM {
        return plain;
    }
    let short: String = plain
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= LONGEST_STEM)
        .map(|(_, c)| c)
        .collect();
    format!("{short}-{}", &blake3::hash(phase.as_bytes()).to_hex()[..6])
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

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
