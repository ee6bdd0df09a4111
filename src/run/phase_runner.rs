//! One phase from its first attempt to its end: attempts, policies, retries, and the record of each before it counts.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::conductor::Bodies;
use super::{Attempt, AttemptOutcome, Decision, Failure, Overrides, Problem, Session, records};
use crate::plan::{Phase, Standing};

/// A policy that says `retry()` to everything would go on for ever.
const MAX_ATTEMPTS_A_WALK: u32 = 100;

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
    attempts: u32,
    aborted: Option<String>,
}

/// What follows a failed attempt.
enum Next {
    Again,
    Over(Standing),
}

impl PhaseRunner {
    pub(super) fn new(session: Arc<Session>, position: usize, devices: Vec<String>) -> PhaseRunner {
        let phase = Arc::clone(&session.plan().phases()[position]);
        PhaseRunner {
            session,
            phase,
            devices,
            attempts: 0,
            aborted: None,
        }
    }

    pub(super) fn run(mut self, bodies: &dyn Bodies) -> End {
        let began = Instant::now();
        let outcome = self.attempt_until_over(bodies);
        if !self.devices.is_empty() {
            self.session.gpus().give_back(std::mem::take(&mut self.devices));
        }
        End {
            outcome,
            seconds: began.elapsed().as_secs_f64(),
            attempts: self.attempts,
            aborted: self.aborted,
        }
    }

    fn attempt_until_over(&mut self, bodies: &dyn Bodies) -> Result<Standing, Problem> {
        let name = self.phase.name.clone();
        let (earlier, mut fresh) = self.session.ledger.read(|s| {
            (
                super::attempts(s, &name).len() as u32,
                records::was_completed_before(s, &name),
            )
        });
        self.attempts = earlier;
        loop {
            self.attempts += 1;
            let overrides = self.session.ledger.read(|s| records::overrides(s, &name));
            let attempt = Arc::new(Attempt::new(
                Arc::clone(&self.session),
                Arc::clone(&self.phase),
                self.attempts,
                overrides,
                self.devices.clone(),
            ));
            self.session
                .ledger
                .update(|state| records::attempt_started(state, &name, attempt.number, &attempt.record(), fresh))?;
            fresh = false;
            self.session.observer.phase_started(&name, attempt.number);
            match bodies.run(&attempt) {
                Ok(value) => {
                    let record = attempt.record().end(AttemptOutcome::Completed, attempt.seconds());
                    let print = attempt.fingerprint();
                    self.session.ledger.update(|s| {
                        let declared = attempt.declarations();
                        let event = records::phase_completed(s, &name, attempt.number, &record, &value, declared);
                        records::with_fingerprint(event, &name, &print)
                    })?;
                    self.session.observer.phase_completed(&name, attempt.seconds());
                    return Ok(Standing::Completed);
                }
                Err(Problem::Failed(failure)) => match self.recover(bodies, &attempt, *failure, earlier)? {
                    Next::Again => {}
                    Next::Over(standing) => return Ok(standing),
                },
                Err(Problem::Interrupted) => {
                    let record = attempt.record().end(AttemptOutcome::Interrupted, attempt.seconds());
                    self.session
                        .ledger
                        .commit(records::phase_interrupted(&name, attempt.number, Some(&record)))?;
                    self.session.observer.phase_interrupted(&name, attempt.seconds());
                    return Err(Problem::Interrupted);
                }
                Err(state) => return Err(state),
            }
        }
    }

    /// The failure is on disk before anybody is asked what to do about it.
    fn recover(
        &mut self,
        bodies: &dyn Bodies,
        attempt: &Arc<Attempt>,
        mut failure: Failure,
        earlier: u32,
    ) -> Result<Next, Problem> {
        let name = &self.phase.name;
        failure.attempt = attempt.number;
        failure.seconds = attempt.seconds();
        let record = attempt
            .record()
            .end(AttemptOutcome::Failed, failure.seconds)
            .because(&failure);
        self.session
            .ledger
            .update(|s| records::phase_failed(s, name, attempt.number, &record, &failure))?;
        let decision = bodies.decide(attempt, &failure).unwrap_or_else(|fault| {
            self.session
                .observer
                .warn(&format!("the recovery policy of {name} is at fault itself: {fault}"));
            Decision::Fail
        });
        let walked = attempt.number - earlier;
        let decision = match decision {
            Decision::NoOpinion if walked <= self.phase.retries => Decision::Retry {
                overrides: Overrides::default(),
                delay: Duration::ZERO,
            },
            Decision::Retry { .. } if walked >= MAX_ATTEMPTS_A_WALK => {
                self.session
                    .observer
                    .warn(&format!("{name} was tried {walked} times; it is not tried again"));
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
                self.session
                    .ledger
                    .update(|s| records::phase_skipped(s, name, attempt.number, &record, &why))?;
                self.session.observer.phase_skipped(name, &why);
                Ok(Next::Over(Standing::Skipped))
            }
            Decision::Fail | Decision::NoOpinion => self.give_up(failure, None),
            Decision::Abort { why } => self.give_up(failure, Some(why)),
        }
    }

    fn give_up(&mut self, failure: Failure, aborted: Option<String>) -> Result<Next, Problem> {
        self.aborted = aborted;
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
            return self.give_up(failure.clone(), None);
        }
        let said = describe(&changes, delay);
        let mut overrides = attempt.overrides.clone();
        overrides.merge(changes);
        self.session.ledger.commit(records::retry_decided(&name, &overrides))?;
        self.session.observer.phase_retried(&name, failure, &said);
        let until = Instant::now() + delay;
        while Instant::now() < until && !self.session.stop.is_requested() {
            thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
        }
        if self.session.stop.is_requested() {
            self.session.observer.phase_interrupted(&name, 0.0);
            return Err(Problem::Interrupted);
        }
        Ok(Next::Again)
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

/// A retry's changes in one line.
fn describe(changes: &Overrides, delay: Duration) -> String {
    let mut parts: Vec<String> = changes
        .params
        .iter()
        .chain(&changes.env)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.extend(changes.gpus.map(|n| format!("{n} GPUs")));
    if !delay.is_zero() {
        parts.push(format!("after {:.0} s", delay.as_secs_f64()));
    }
    parts.join(", ")
}
