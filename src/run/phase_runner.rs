//! One phase from its first attempt to its end: attempts, policies, retries, and the record of each before it counts.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::attempt::lock;
use super::conductor::Bodies;
use super::gpu_memory::MemoryBefore;
use super::resume::{UnfinishedAttempt, end_unfinished};
use super::{
    Attempt, AttemptOutcome, AttemptRecord, Decision, Failure, NextAttempt, Overrides, Problem, Session, records,
};
use crate::exec::StopSignal;
use crate::plan::{Phase, Standing};
use crate::state::{Change, Event, PhaseStatus, StateError};

/// A policy that says `retry()` to everything would go on for ever.
const MAX_ATTEMPTS_A_WALK: u32 = 100;

/// The kind of failure that is nobody's fault: somebody else was given the machine.
const PREEMPTED: &str = "preempted";

/// So many preemptions in a row without a new step or checkpoint, and trying again is only a waste.
const FRUITLESS_PREEMPTIONS: usize = 3;

/// How a phase ended.
pub(super) struct End {
    pub outcome: Result<Standing, Problem>,
    pub seconds: f64,
    pub attempts: u32,
    pub aborted: Option<String>,
}

/// Runs one phase.
pub(super) struct PhaseRunner {
    session: Arc<Session>,
    phase: Arc<Phase>,
    devices: Vec<String>,
    memory: Option<MemoryBefore>,
    stop: StopSignal,
    attempts: u32,
    /// How long the last attempt took, as it is recorded.
    seconds: f64,
    /// Failures in this walk that count against limits: preemptions do not.
    counted: u32,
    aborted: Option<String>,
}

/// What follows a failed attempt.
enum Next {
    Again,
    Over(Standing),
}

impl PhaseRunner {
    pub(super) fn new(session: Arc<Session>, position: usize, devices: Vec<String>, stop: StopSignal) -> PhaseRunner {
        let phase = Arc::clone(&session.plan().phases()[position]);
        PhaseRunner {
            memory: None,
            session,
            phase,
            devices,
            stop,
            attempts: 0,
            seconds: 0.0,
            counted: 0,
            aborted: None,
        }
    }

    pub(super) fn run(mut self, bodies: &dyn Bodies) -> End {
        let outcome = self.attempt_until_over(bodies);
        if !self.devices.is_empty() {
            self.session.gpus().give_back(std::mem::take(&mut self.devices));
        }
        End {
            outcome,
            seconds: self.seconds,
            attempts: self.attempts,
            aborted: self.aborted,
        }
    }

    fn attempt_until_over(&mut self, bodies: &dyn Bodies) -> Result<Standing, Problem> {
        let name = self.phase.name.clone();
        let (mut earlier, mut fresh) = self.session.ledger.read(|s| {
            (
                super::attempts(s, &name).len() as u32,
                records::was_completed_before(s, &name),
            )
        });
        let mut unfinished = self.session.unfinished().take(&name);
        if self.session.ledger.read(|s| s.phase(&name)) != Some(PhaseStatus::InProgress)
            && let Some(attempt) = unfinished.take()
        {
            // Somebody has set it back since this host began: it is done anew.
            end_unfinished(&self.session, vec![(name.clone(), attempt)])?;
        }
        if let Some(attempt) = &unfinished {
            earlier = attempt.number - 1;
        }
        self.attempts = earlier;
        if !self.devices.is_empty() {
            self.memory = MemoryBefore::of(&self.devices, &self.stop);
        }
        let mut is_first = true;
        self.wait_for_delay()?;
        loop {
            self.attempts += 1;
            self.session.ledger.reserve()?;
            let attempt = self.begin(
                unfinished.take(),
                std::mem::take(&mut fresh),
                std::mem::take(&mut is_first),
            )?;
            self.session.observer.phase_started(&name, attempt.number);
            attempt.find_checkpoints(bodies.checkpoint_judge(&name).as_deref())?;
            let outcome = match bodies.run(&attempt) {
                Err(Problem::State(error)) => Err(Problem::State(error)),
                // Neither the next phase nor the next attempt may meet what the last host had started of this one.
                outcome => attempt.wait_for_left_over().and(outcome),
            };
            match outcome {
                Ok(value) => {
                    let record = self.ended(&attempt, AttemptOutcome::Completed);
                    let (print, declared) = (attempt.fingerprint(), attempt.declarations());
                    let (phase, number) = (name.clone(), attempt.number);
                    self.session.ledger.update(move |s| {
                        let event = records::phase_completed(s, &phase, number, &record, &value, declared);
                        records::with_fingerprint(event, &phase, &print)
                    })?;
                    attempt.book.close();
                    self.session.observer.phase_completed(&name, self.seconds);
                    return Ok(Standing::Completed);
                }
                Err(Problem::Failed(failure)) => match self.recover(bodies, &attempt, *failure)? {
                    Next::Again => {}
                    Next::Over(standing) => return Ok(standing),
                },
                Err(Problem::Interrupted) => {
                    let record = self.ended(&attempt, AttemptOutcome::Interrupted);
                    self.session
                        .ledger
                        .commit(records::phase_interrupted(&name, attempt.number, Some(&record)))?;
                    attempt.book.close();
                    self.session.observer.phase_interrupted(&name, self.seconds);
                    return Err(Problem::Interrupted);
                }
                Err(state) => return Err(state),
            }
        }
    }

    /// The record of an attempt that ends now. What is said of its time is what is recorded.
    fn ended(&mut self, attempt: &Attempt, outcome: AttemptOutcome) -> AttemptRecord {
        let mut record = attempt.record();
        // What a policy changed and the body never asked for was not used: a closure keeps the copy that it captured.
        for name in attempt
            .overrides
            .params
            .keys()
            .filter(|name| !record.reads.contains(*name))
        {
            record.changed.params.remove(name);
            if let Some(parameter) = self.session.parameters().get(name) {
                record.params.insert(name.clone(), parameter.value.clone());
            }
        }
        let record = record.end(outcome, attempt.seconds());
        self.seconds = record.seconds.unwrap_or_default();
        record
    }

    /// Begins the next attempt, or goes on with one whose host has died; its record is durable when this returns.
    fn begin(
        &self,
        unfinished: Option<UnfinishedAttempt>,
        fresh: bool,
        is_first: bool,
    ) -> Result<Arc<Attempt>, Problem> {
        let name = &self.phase.name;
        let ledger = &self.session.ledger;
        let mut overrides = ledger.read(|s| records::overrides(s, name));
        if is_first {
            // What a person says now counts more than what a policy decided under an earlier host.
            let parameters = self.session.parameters();
            let was_changed = |name: &str| parameters.get(name).is_some_and(|p| p.changed_from.is_some());
            overrides.params.retain(|name, _| !was_changed(name));
        }
        let mut attempt = Attempt::new(
            Arc::clone(&self.session),
            Arc::clone(&self.phase),
            self.attempts,
            overrides,
            self.devices.clone(),
        );
        attempt.stop = self.stop.clone();
        let attempt = match unfinished {
            Some(unfinished) => {
                let attempt = attempt.continued(unfinished);
                let mut continued = records::attempt_continued(name, attempt.number, &attempt.record());
                continued.changes.extend(self.parameters_to_record());
                ledger.commit(continued)?;
                attempt
            }
            None => {
                let attempt = match ledger.private_dir() {
                    Some(private) => attempt.noted(&private),
                    None => attempt,
                };
                let (name, number, record) = (name.clone(), attempt.number, attempt.record());
                let parameters = self.parameters_to_record();
                ledger.update(move |s| {
                    let mut started = records::attempt_started(s, &name, number, &record, fresh);
                    started.changes.extend(parameters);
                    started
                })?;
                attempt
            }
        };
        Ok(Arc::new(attempt))
    }

    /// What records the parameters, the first time that something runs with them: what nothing has run with is not
    /// recorded as if something had.
    fn parameters_to_record(&self) -> Vec<Change> {
        if self.session.parameters_begin_to_count() {
            records::with_parameters(Event::new("parameters"), &self.session.parameters()).changes
        } else {
            vec![]
        }
    }

    /// The failure is on disk before anybody is asked what to do about it.
    fn recover(&mut self, bodies: &dyn Bodies, attempt: &Arc<Attempt>, mut failure: Failure) -> Result<Next, Problem> {
        let phase = Arc::clone(&self.phase);
        let name = &phase.name;
        failure.attempt = attempt.number;
        let record = self.ended(attempt, AttemptOutcome::Failed);
        failure.seconds = self.seconds;
        self.counted += u32::from(failure.kind != PREEMPTED);
        failure.count = self.counted;
        failure.advanced = attempt.has_advanced();
        failure.checkpoint = attempt.newest_checkpoint().ok().map(|found| found.manifest.path);
        let record = record.because(&failure);
        let (phase_name, number, cause, failed) = (name.clone(), attempt.number, failure.clone(), record.clone());
        self.session
            .ledger
            .update(move |s| records::phase_failed(s, &phase_name, number, &failed, &cause))?;
        attempt.book.close();
        if self.is_fruitless() {
            let why = format!("{name}: no progress in {FRUITLESS_PREEMPTIONS} attempts, each preempted");
            return self.abort(attempt.number, record, failure, why);
        }
        let decision = bodies.decide(attempt, &failure).unwrap_or_else(|fault| {
            let text = format!("the recovery policy of {name} is at fault itself: {fault}");
            self.session.observer.warn(&text);
            // A state that cannot be written will say so at the next transition.
            let _ = self.note(attempt.number, &record, text);
            Decision::Fail
        });
        let decision = match decision {
            Decision::NoOpinion if self.phase.options.retries > 0 && self.counted <= self.phase.options.retries => {
                Decision::Retry {
                    overrides: Overrides::default(),
                    delay: Duration::ZERO,
                }
            }
            Decision::Retry { .. } if self.counted >= MAX_ATTEMPTS_A_WALK => {
                self.session.observer.warn(&format!(
                    "{name} was tried {MAX_ATTEMPTS_A_WALK} times; it is not tried again"
                ));
                Decision::Fail
            }
            other => other,
        };
        match decision {
            Decision::Retry { overrides, delay } => self.retry(attempt, &failure, overrides, delay),
            Decision::Skip { why } => {
                let record = attempt
                    .record()
                    .end(AttemptOutcome::Skipped, failure.seconds)
                    .because(&failure);
                let (skipped, number, because) = (name.clone(), attempt.number, why.clone());
                self.session
                    .ledger
                    .update(move |s| records::phase_skipped(s, &skipped, number, &record, &because))?;
                self.session.observer.phase_skipped(name, &why);
                Ok(Next::Over(Standing::Skipped))
            }
            Decision::Fail | Decision::NoOpinion => self.give_up(failure),
            Decision::Abort { why } => self.abort(attempt.number, record, failure, why),
        }
    }

    /// Whether the attempts that ended last were all preempted before they came any further.
    fn is_fruitless(&self) -> bool {
        let attempts = self.session.ledger.read(|s| super::attempts(s, &self.phase.name));
        let fruitless = |a: &&AttemptRecord| a.kind.as_deref() == Some(PREEMPTED) && !a.advanced;
        attempts.iter().rev().take_while(fruitless).count() >= FRUITLESS_PREEMPTIONS
    }

    /// Gives up the whole run; why is on disk before anybody hears of it.
    fn abort(&mut self, number: u32, record: AttemptRecord, failure: Failure, why: String) -> Result<Next, Problem> {
        let record = AttemptRecord {
            aborted: Some(why.clone()),
            ..record
        };
        self.session
            .ledger
            .commit(records::aborted(&self.phase.name, number, &record))?;
        self.aborted = Some(why);
        self.give_up(failure)
    }

    fn give_up(&mut self, failure: Failure) -> Result<Next, Problem> {
        self.session.observer.phase_failed(&self.phase.name, &failure);
        Err(Problem::Failed(Box::new(failure)))
    }

    fn retry(
        &mut self,
        attempt: &Arc<Attempt>,
        failure: &Failure,
        changes: Overrides,
        delay: Duration,
    ) -> Result<Next, Problem> {
        let name = self.phase.name.clone();
        if let Some(wanted) = changes.gpus
            && let Err(why) = self.change_devices(wanted)
        {
            self.session.observer.warn(&why);
            return self.give_up(failure.clone());
        }
        self.warn_of_copies(attempt, &changes);
        let said = changes.in_words(Some(delay));
        let mut overrides = attempt.overrides.clone();
        overrides.merge(changes);
        // Decided first: the moment counts also for whoever takes the run up again.
        let next = NextAttempt::after(overrides, delay);
        self.session.ledger.commit(records::retry_decided(&name, &next))?;
        self.session.observer.phase_retried(&name, failure, &said);
        let until = Instant::now() + delay;
        self.wait_for_memory();
        self.wait_until(until)?;
        Ok(Next::Again)
    }

    /// Waits for the moment of a retry. A stop ends the delay for good: whoever takes the run up again after that means now.
    ///
    /// # Errors
    /// [`Problem::Interrupted`] when jumar was asked to stop, [`Problem::State`] when that could not be recorded.
    fn wait_until(&self, until: Instant) -> Result<(), Problem> {
        while Instant::now() < until && !self.stop.is_requested() {
            thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
        }
        if self.stop.is_requested() {
            let name = &self.phase.name;
            if let Some(NextAttempt { changes, .. }) = self.session.ledger.read(|s| records::next_attempt(s, name)) {
                let now = NextAttempt::after(changes, Duration::ZERO);
                self.session.ledger.commit(records::retry_decided(name, &now))?;
            }
            self.session.observer.phase_interrupted(name, 0.0);
            return Err(Problem::Interrupted);
        }
        Ok(())
    }

    /// Waits for what is left of a delay that the last jumar had decided.
    fn wait_for_delay(&self) -> Result<(), Problem> {
        let name = &self.phase.name;
        let Some(next) = self.session.ledger.read(|s| records::next_attempt(s, name)) else {
            return Ok(());
        };
        let wait = next.wait(Timestamp::now());
        if wait.is_zero() {
            return Ok(());
        }
        let how = next.changes.in_words(Some(wait));
        self.session
            .observer
            .note(&format!("{name} failed before: trying again {how}"));
        self.wait_until(Instant::now() + wait)
    }

    /// Adds a line to the record of an attempt that has ended.
    fn note(&self, number: u32, record: &AttemptRecord, text: String) -> Result<(), StateError> {
        let mut record = record.clone();
        record.notes.push(text);
        let noted = records::attempt_noted(&self.phase.name, number, &record);
        self.session.ledger.commit(noted)
    }

    /// A parameter that is changed for a body which does not ask for it changes nothing: what a closure captured is a copy.
    fn warn_of_copies(&self, attempt: &Attempt, changes: &Overrides) {
        let asked = lock(&attempt.record).reads.clone();
        let name = &self.phase.name;
        for (parameter, value) in changes.params.iter().filter(|(p, _)| !asked.contains(*p)) {
            self.session.observer.warn(&format!(
                "{name} is tried again with {parameter}={value}, but its body has not asked for param(\"{parameter}\"): a variable \
                 from outside the body keeps the value that it had"
            ));
        }
    }

    fn wait_for_memory(&self) {
        let Some(Err(held)) = self.memory.as_ref().map(|m| m.wait_until_given_back(&self.stop)) else {
            return;
        };
        for device in held {
            let by = match device.by.is_empty() {
                true => "nvidia-smi does not say by whom".to_string(),
                false => device.by.join(", "),
            };
            self.session.observer.warn(&format!(
                "{}: GPU {} still holds {} MiB more than before: {by}",
                self.phase.name, device.device, device.more
            ));
        }
    }

    fn change_devices(&mut self, wanted: usize) -> Result<(), String> {
        let pool = self.session.gpus();
        if wanted <= self.devices.len() {
            pool.give_back(self.devices.split_off(wanted));
            return Ok(());
        }
        let more = wanted - self.devices.len();
        let leased = pool.lease(more).ok_or_else(|| {
            format!(
                "{} cannot be tried again with {wanted} GPUs: only {} are there or free",
                self.phase.name,
                pool.all().len()
            )
        })?;
        self.devices.extend(leased);
        Ok(())
    }
}
