//! One attempt at a phase: what a body can do, and what of it is written down.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::attempt_command::Replay;
use super::attempt_record::now;
use super::checkpoint::newest_valid;
use super::checkpoint_watch::{CheckpointWatch, Found, Writer};
use super::command_book::CommandBook;
use super::failure::Problem;
use super::resume::UnfinishedAttempt;
use super::{
    AttemptRecord, Better, CheckpointError, CheckpointJudge, CommandResult, Manifest, Overrides, Session,
    ValidCheckpoint, records,
};
use crate::exec::StopSignal;
use crate::plan::{Fingerprint, Phase, PlanError};
use crate::state::StateError;

/// By so much the clock of the file system may be behind ours.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// An attempt that is on. Shared by all calls of its body.
pub struct Attempt {
    /// The run it belongs to.
    pub session: Arc<Session>,
    /// Its phase.
    pub phase: Arc<Phase>,
    /// Which attempt it is, from 1.
    pub number: u32,
    /// What policies changed for it.
    pub overrides: Overrides,
    /// The GPUs it holds.
    pub devices: Vec<String>,
    /// Whether it is to stop: jumar was asked to, or another phase's failure ends them all.
    pub stop: StopSignal,
    began: Instant,
    /// How long it had been on under earlier hosts; `None` when there were none.
    before: Option<Duration>,
    pub(super) book: CommandBook,
    pub(super) record: Mutex<AttemptRecord>,
    pub(super) progress: Mutex<Progress>,
    pub(super) checkpoint: OnceLock<Option<String>>,
    stopped: AtomicBool,
    /// Whether people were told that `complete_when` is at fault.
    has_complained: AtomicBool,
    /// Whether people were told that newer checkpoints are not what was recorded.
    has_fallen_back: AtomicBool,
    /// Whether the phase's time does not count any more.
    is_over: AtomicBool,
    pub(super) replay: Option<Replay>,
}

/// What has happened in an attempt so far.
#[derive(Default)]
pub(super) struct Progress {
    steps: Vec<String>,
    steps_began: Vec<(Timestamp, Instant)>,
    failed_step: Option<String>,
    seen: HashSet<String>,
    declared: Vec<String>,
    advanced: bool,
    pub(super) commands: Vec<CommandResult>,
    pub(super) environment: Vec<(String, Option<String>)>,
    pub(super) logs: Vec<PathBuf>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attempt {
    pub(super) fn new(
        session: Arc<Session>,
        phase: Arc<Phase>,
        number: u32,
        overrides: Overrides,
        devices: Vec<String>,
    ) -> Attempt {
        let mut record = AttemptRecord::begin();
        record.gpus.clone_from(&devices);
        record.params = parameters(&session, &overrides);
        record.changed = overrides.masked();
        record.phase_number = phase.options.number;
        Attempt {
            stop: session.stop.clone(),
            session,
            phase,
            number,
            overrides,
            devices,
            began: Instant::now(),
            before: None,
            book: CommandBook::none(),
            record: Mutex::new(record),
            progress: Mutex::default(),
            checkpoint: OnceLock::new(),
            stopped: AtomicBool::new(false),
            has_complained: AtomicBool::new(false),
            has_fallen_back: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            replay: None,
        }
    }

    /// The same attempt with a book of its commands, which lies under `private`.
    pub(super) fn noted(mut self, private: &Path) -> Attempt {
        let shelf = Arc::clone(&self.session.logbooks);
        self.book = CommandBook::new(shelf, private, &self.phase.name, self.number, &self.record());
        self
    }

    /// An attempt that an earlier host has begun. `self` is as a new one with its number would be.
    pub(super) fn continued(mut self, unfinished: UnfinishedAttempt) -> Attempt {
        self.before = Some(Duration::try_from_secs_f64(unfinished.seconds()).unwrap_or_default());
        let mut record = unfinished.record.clone();
        record.gpus.clone_from(&self.devices);
        record.params = self.parameters();
        record.changed = self.overrides.masked();
        record.notes.push(format!(
            "jumar died; another one went on with it at {}",
            super::attempt_record::now().strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
        let logs = record.logs.iter().map(|(log, _)| PathBuf::from(log));
        self.progress = Mutex::new(Progress {
            logs: logs.collect(),
            ..Progress::default()
        });
        self.record = Mutex::new(record);
        self.book = unfinished.book();
        self
    }

    /// A completed attempt whose body is gone through again for the phases it declared: its commands give the results
    /// that they gave then, and nothing is written.
    pub(super) fn replayed(
        session: Arc<Session>,
        phase: Arc<Phase>,
        number: u32,
        commands: Vec<CommandResult>,
    ) -> Attempt {
        let mut attempt = Attempt::new(session, phase, number, Overrides::default(), vec![]);
        attempt.replay = Some(Replay {
            commands: Mutex::new(commands.into()),
        });
        attempt
    }

    /// Whether this only goes through a completed phase again.
    pub fn is_replayed(&self) -> bool {
        self.replay.is_some()
    }

    /// Remembers that a stop request ended something in this attempt.
    pub fn note_stopped(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether a stop request ended something in this attempt.
    pub fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Remembers that a step or a checkpoint was recorded: another attempt would begin further on.
    fn note_advance(&self) {
        lock(&self.progress).advanced = true;
    }

    /// Whether a step or a checkpoint was recorded in this attempt.
    pub fn has_advanced(&self) -> bool {
        lock(&self.progress).advanced
    }

    /// The innermost step that an error left.
    pub fn failed_step(&self) -> Option<String> {
        lock(&self.progress).failed_step.clone()
    }

    /// The phases that this attempt declared, and the commands it ran so far: what a replay needs.
    pub(super) fn declarations(&self) -> (Vec<String>, Vec<CommandResult>) {
        let progress = lock(&self.progress);
        (
            progress.declared.clone(),
            if progress.declared.is_empty() {
                vec![]
            } else {
                progress.commands.clone()
            },
        )
    }

    /// Declares a phase from inside this one; it is pending, and on disk, when this returns. One that this phase has declared
    /// before, because it is tried again, is the same. Returns its place in the plan.
    ///
    /// # Errors
    /// [`DeclareError`] when the plan cannot have it, or it cannot be recorded.
    pub fn declare(&self, phase: Phase) -> Result<usize, DeclareError> {
        let name = phase.name.clone();
        let mut plan = self.session.plan();
        let own = Some(self.phase.name.as_str());
        let known = plan.position(&name);
        let known = known.filter(|place| plan.phases()[*place].declared_by.as_deref() == own);
        let place = match known {
            Some(place) => place,
            None => plan.add(phase).map_err(|e| DeclareError::Plan(Box::new(e)))?,
        };
        if known.is_none()
            && let Err(error) = plan.validate_last()
        {
            plan.remove_last();
            return Err(DeclareError::Plan(Box::new(error)));
        }
        drop(plan);
        lock(&self.progress).declared.push(name.clone());
        let known = self.session.ledger.read(|state| state.phase(&name).is_some());
        if !known {
            self.session
                .ledger
                .commit(records::phase_declared(&name))
                .map_err(|e| DeclareError::State(e.into()))?;
        }
        Ok(place)
    }

    /// The attempt as it is written down.
    pub fn record(&self) -> AttemptRecord {
        lock(&self.record).clone()
    }

    /// How long it has been on, in seconds.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    fn elapsed(&self) -> Duration {
        self.before.unwrap_or_default() + self.began.elapsed()
    }

    /// How much of the phase's `timeout` is left; `None` without one.
    pub fn time_left(&self) -> Option<Duration> {
        if self.is_over() {
            return None;
        }
        self.phase.options.timeout.map(|t| t.saturating_sub(self.elapsed()))
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The attempt is over and recorded; what is done with it from here on is bounded by nothing.
    pub fn stop_the_clock(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The step that is on, with the steps around it: `outer/inner`.
    pub fn step(&self) -> Option<String> {
        let progress = lock(&self.progress);
        (!progress.steps.is_empty()).then(|| progress.steps.join("/"))
    }

    /// The parameters that it runs with, what policies changed for it included.
    pub fn parameters(&self) -> Map<String, Value> {
        parameters(&self.session, &self.overrides)
    }

    /// A value for a parameter that a policy set for this attempt.
    pub fn overridden(&self, parameter: &str) -> Option<Value> {
        self.overrides.params.get(parameter).cloned()
    }

    /// Remembers that the body asked for a parameter.
    pub fn note_parameter(&self, name: &str) {
        let mut record = lock(&self.record);
        if !record.reads.contains(name) {
            record.reads.insert(name.into());
        }
    }

    /// What the phase is made from, as things are now. Attempts that failed may have made some of its steps.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut read = lock(&self.record).reads.clone();
        if self.number > 1 {
            let earlier = self
                .session
                .ledger
                .read(|state| super::attempts(state, &self.phase.name));
            read.extend(earlier.into_iter().flat_map(|attempt| attempt.reads));
        }
        super::stale::take(&self.session, &self.phase, &read, None)
    }

    /// Sets a variable for this attempt's commands.
    pub fn set_environment(&self, name: &str, value: Option<String>) {
        lock(&self.progress).environment.push((name.into(), value));
    }

    /// What the environment of this attempt's next command would say of a variable; `None` when nothing here changes it.
    pub fn environment(&self, name: &str) -> Option<Option<String>> {
        self.command_environment(&[])
            .into_iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v)
    }

    /// Begins a step. `Err` holds the recorded value when it was completed before.
    ///
    /// # Errors
    /// The outer error says that the step's name cannot be used: taken, or no key.
    pub fn enter_step(&self, name: &str) -> Result<Result<(), Value>, String> {
        if name.is_empty() || name.trim() != name || name.contains('=') || name.chars().any(char::is_control) {
            return Err(format!(
                "`{name}` cannot be a step's name: it must not be empty, hold `=` or control characters, or begin or end with a blank"
            ));
        }
        let path = {
            let mut progress = lock(&self.progress);
            progress.steps.push(name.into());
            let path = progress.steps.join("/");
            if !progress.seen.insert(path.clone()) {
                progress.steps.pop();
                return Err(format!(
                    "step `{path}` appears twice in phase `{}`; give each its own name",
                    self.phase.name
                ));
            }
            path
        };
        let recorded = self
            .session
            .ledger
            .read(|state| records::step_value(state, &self.phase.name, &path));
        self.session.observer.step(&self.phase.name, &path, recorded.is_some());
        match recorded {
            Some(value) => {
                lock(&self.progress).steps.pop();
                Ok(Err(value))
            }
            None => {
                lock(&self.progress).steps_began.push((now(), Instant::now()));
                Ok(Ok(()))
            }
        }
    }

    /// Ends the step that is on; with a value it is completed, and durable when this returns.
    ///
    /// # Errors
    /// [`Problem::State`] when it could not be recorded.
    pub fn leave_step(&self, value: Option<&Value>) -> Result<(), Problem> {
        let path = self.step();
        let began = {
            let mut progress = lock(&self.progress);
            progress.steps.pop();
            progress.steps_began.pop()
        };
        match (path, value) {
            (Some(path), Some(value)) if !self.is_replayed() => {
                self.note_advance();
                self.note_step(&path, began);
                lock(&self.progress).failed_step = None;
                self.session
                    .ledger
                    .commit(records::step_completed(&self.phase.name, &path, value))?;
            }
            (Some(path), None) => {
                self.note_step(&path, began);
                lock(&self.progress).failed_step.get_or_insert(path);
            }
            _ => {}
        }
        Ok(())
    }

    /// Records a metric of the phase.
    ///
    /// # Errors
    /// [`Problem::State`] when it could not be recorded.
    pub fn record_metric(&self, name: &str, value: &Value, better: Option<Better>) -> Result<(), Problem> {
        if self.is_replayed() {
            return Ok(());
        }
        Ok(self
            .session
            .ledger
            .commit(records::metric(&self.phase.name, name, value, better))?)
    }

    /// Records a checkpoint that has been looked at.
    ///
    /// # Errors
    /// [`Problem::State`] when it could not be recorded.
    pub fn record_checkpoint(&self, manifest: &Manifest) -> Result<(), Problem> {
        if self.is_replayed() {
            return Ok(());
        }
        // A body that is gone through again after its host has died comes by here again.
        let is_known = |known: &Manifest| known.path == manifest.path && known.hash == manifest.hash;
        let newest = self.session.ledger.read(records::checkpoints).pop();
        if self.before.is_some() && newest.is_some_and(|newest| is_known(&newest)) {
            return Ok(());
        }
        Ok(self.keep_checkpoint(manifest)?)
    }

    pub(super) fn keep_checkpoint(&self, manifest: &Manifest) -> Result<(), StateError> {
        self.note_advance();
        let (name, manifest) = (self.phase.name.clone(), manifest.clone());
        self.session
            .ledger
            .update(move |state| records::checkpoint(state, &name, &manifest))
    }

    /// What the phase's pattern matches now, and what of it is recorded; `None` when it has no pattern.
    pub(super) fn checkpoint_watch(&self) -> Option<CheckpointWatch> {
        let pattern = self.phase.options.checkpoints.as_deref()?;
        let (known, first) = self.session.ledger.read(|state| {
            let first = super::attempts(state, &self.phase.name).first().map(|a| a.started);
            (records::checkpoints(state), first)
        });
        let began = u64::try_from(first.unwrap_or_else(now).as_millisecond()).unwrap_or_default();
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(began);
        Some(CheckpointWatch::new(
            pattern,
            &known,
            began - CLOCK_SLACK,
            Instant::now(),
        ))
    }

    /// Records the checkpoints that were written while nobody watched: after the last jumar had gone.
    ///
    /// # Errors
    /// When they could not be recorded.
    pub(super) fn find_checkpoints(&self, judge: Option<CheckpointJudge<'_>>) -> Result<(), StateError> {
        match self.checkpoint_watch() {
            // One whose writer may have been killed is only whole if the judge says so, or a newer one is there.
            Some(mut watch) => self.keep_found(&watch.look(Writer::EndedBadly, judge, Instant::now())),
            None => Ok(()),
        }
    }

    /// Records what a look has brought.
    pub(super) fn keep_found(&self, found: &Found) -> Result<(), StateError> {
        if let Some(fault) = &found.fault
            && !self.has_complained.swap(true, Ordering::Relaxed)
        {
            let phase = &self.phase.name;
            let text =
                format!("complete_when of {phase} is at fault itself, such checkpoints are not recorded: {fault}");
            self.session.observer.warn(&text);
        }
        for manifest in &found.whole {
            tracing::debug!(path = manifest.path, "checkpoint");
            self.keep_checkpoint(manifest)?;
        }
        Ok(())
    }

    /// The newest checkpoint of the run that verifies; of newer ones that do not people are told, once.
    ///
    /// # Errors
    /// As [`newest_checkpoint`](Self::newest_checkpoint).
    pub fn usable_checkpoint(&self) -> Result<Manifest, Vec<CheckpointError>> {
        let found = self.newest_checkpoint()?;
        if !self.has_fallen_back.swap(true, Ordering::Relaxed) {
            for error in &found.passed_over {
                let text = format!("{error}; falling back to {}", found.manifest.path);
                self.session.observer.warn(&text);
            }
        }
        Ok(found.manifest)
    }

    /// The newest checkpoint of the run that verifies.
    ///
    /// # Errors
    /// What is wrong with each, newest first; an empty list when none was recorded.
    pub(super) fn newest_checkpoint(&self) -> Result<ValidCheckpoint, Vec<CheckpointError>> {
        newest_valid(self.session.ledger.read(records::checkpoints))
    }
}

fn parameters(session: &Session, overrides: &Overrides) -> Map<String, Value> {
    let declared = session.parameters();
    let mut values: Map<String, Value> = declared
        .iter()
        .map(|(name, parameter)| (name.into(), parameter.value.clone()))
        .collect();
    values.extend(overrides.params.clone());
    values
}

/// Why a phase could not be declared from inside another.
#[derive(Debug)]
pub enum DeclareError {
    /// The plan cannot have it.
    Plan(Box<PlanError>),
    /// It could not be recorded.
    State(Problem),
}
