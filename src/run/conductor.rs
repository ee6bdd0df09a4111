//! The conductor: asks the plan what is ready, has it run, writes down how it ended, and only then goes on.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use super::crew::Crew;
use super::phase_runner::{End, PhaseRunner};
use super::resume::stop_unfinished;
use super::stale::{self, Stale, stale_phases};
use super::{Attempt, Decision, Failure, OwnCheckpointJudge, Problem, Session, records};
use crate::exec::StopSignal;
use crate::plan::{Blocked, Phase, Plan, Schedule, Selection, SelectionError, Standing, duration_in_words};
use crate::state::{PhaseStatus, State, StateError};

/// What the script host gives: the bodies of phases, and the policies.
pub trait Bodies: Sync {
    /// Runs the body of an attempt's phase and returns its value.
    ///
    /// # Errors
    /// [`Problem`] when the attempt failed or was stopped.
    fn run(&self, attempt: &Arc<Attempt>) -> Result<serde_json::Value, Problem>;

    /// What says whether a checkpoint of a phase is whole; `None` when the phase leaves that to time.
    fn checkpoint_judge(&self, phase: &str) -> Option<OwnCheckpointJudge<'_>>;

    /// Asks the policies what to do about a failure: the phase's own first, then the pipeline's.
    ///
    /// # Errors
    /// A text when a policy itself is at fault; the failure then stands.
    fn decide(&self, attempt: &Arc<Attempt>, failure: &Failure) -> Result<Decision, String>;
}

/// How one phase stands at the end of a walk.
#[derive(Clone, Debug)]
pub struct PhaseReport {
    /// The phase.
    pub phase: Arc<Phase>,
    /// How it stands.
    pub standing: Standing,
    /// Whether it ran in this walk.
    pub ran: bool,
    /// How long its last attempt took, in seconds.
    pub seconds: f64,
    /// How many attempts it has had in all.
    pub attempts: u32,
    /// Why it did not run.
    pub blocked: Option<Blocked>,
    /// Why it failed, when it did in this walk.
    pub failure: Option<Box<Failure>>,
}

/// The end of a walk.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All phases in order.
    pub phases: Vec<PhaseReport>,
    /// Whether jumar was asked to stop.
    pub interrupted: bool,
    /// Why a policy stopped everything.
    pub aborted: Option<String>,
    /// The phase whose failure stopped everything because that was asked for.
    pub failed_fast: Option<String>,
}

impl Report {
    /// The failures of this walk, in the plan's order.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.phases.iter().filter_map(|p| p.failure.as_deref())
    }

    /// Whether everything that was asked for has completed or was left out on purpose.
    pub fn is_complete(&self) -> bool {
        let settled = |p: &PhaseReport| {
            matches!(p.standing, Standing::Completed | Standing::Skipped) || p.blocked == Some(Blocked::NotSelected)
        };
        !self.interrupted && self.phases.iter().all(settled)
    }
}

/// Walks a plan.
pub struct Conductor {
    session: Arc<Session>,
    selection: Selection,
    jobs: usize,
    fail_fast: bool,
    /// Ends the phases that run, and not jumar.
    halt: StopSignal,
}

/// A walk under way.
struct Walk {
    schedule: Schedule,
    phases: Vec<PhaseReport>,
    aborted: Option<String>,
    failed_fast: Option<String>,
    halted: bool,
}

/// More stale phases than this are counted, not told one by one.
const MOST_STALE: usize = 20;

impl Conductor {
    /// A conductor for the session's plan; `jobs` phases at most run side by side, and with `fail_fast` the first
    /// failure stops them and nothing more is started.
    pub fn new(session: Arc<Session>, selection: Selection, jobs: usize, fail_fast: bool) -> Conductor {
        Conductor {
            halt: session.stop.child(),
            session,
            selection,
            jobs: jobs.max(1),
            fail_fast,
        }
    }

    /// Walks the plan to its end.
    ///
    /// # Errors
    /// [`WalkError`] for a selection that names no phase, and when the state cannot be written.
    pub fn walk(&self, bodies: &dyn Bodies) -> Result<Report, WalkError> {
        self.replay(bodies)?;
        let mut walk = self.begin()?;
        thread::scope(|scope| -> Result<(), WalkError> {
            let mut crew = Crew::new(scope, bodies);
            loop {
                self.look(&mut walk)?;
                while crew.running() < self.jobs && !walk.halted && !self.session.stop.is_requested() {
                    let Some((position, devices)) = self.next(&mut walk) else {
                        break;
                    };
                    let runner = PhaseRunner::new(Arc::clone(&self.session), position, devices, self.halt.clone());
                    if self.jobs == 1 {
                        self.settle(&mut walk, position, runner.run(bodies))?;
                        self.look(&mut walk)?;
                    } else {
                        crew.start(position, runner).map_err(WalkError::Thread)?;
                    }
                }
                match crew.wait() {
                    Some((position, end)) => self.settle(&mut walk, position, end)?,
                    None => return Ok(()),
                }
            }
        })?;
        if self.session.stop.is_requested() {
            let plan = self.session.plan().clone();
            let is_selected = |phase: &str| plan.position(phase).is_some_and(|here| walk.schedule.is_selected(here));
            stop_unfinished(&self.session, is_selected)?;
        }
        Ok(self.report(walk))
    }

    /// Phases that a completed phase declared while it ran are not in the script's top level: its body is gone through
    /// once more for them, with the results its commands gave then.
    fn replay(&self, bodies: &dyn Bodies) -> Result<(), WalkError> {
        for (name, declared) in self.session.ledger.read(records::declarations) {
            let phase = self.session.plan().get(&name).cloned();
            let completed = self.session.ledger.read(|s| s.phase(&name)) == Some(PhaseStatus::Completed);
            let Some(phase) = phase.filter(|_| completed) else {
                continue;
            };
            let number = self.session.ledger.read(|s| super::attempts(s, &name).len()) as u32;
            let attempt = Arc::new(Attempt::replayed(
                Arc::clone(&self.session),
                phase,
                number,
                declared.commands,
            ));
            match bodies.run(&attempt) {
                Ok(_) => {}
                Err(Problem::State(error)) => return Err(error.into()),
                Err(Problem::Interrupted) => return Ok(()),
                Err(Problem::Failed(failure)) => {
                    let lost = declared.phases.join(", ");
                    self.session.observer.warn(&format!(
                        "{} (phases it declared: {lost}); `--rerun {name}` declares them anew",
                        failure.message
                    ));
                }
            }
        }
        Ok(())
    }

    fn begin(&self) -> Result<Walk, WalkError> {
        let stale = stale_phases(&self.session);
        let plan = self.session.plan();
        let selected = self.selection.resolve(&plan)?;
        let rerun: HashSet<usize> = self.selection.reruns(&plan)?.into_iter().collect();
        let standing = self.session.ledger.read(|state| standings(&plan, state, &selected));
        let mut schedule = Schedule::new(&plan, standing, selected, !self.selection.only.is_empty());
        let outdated = stale::to_run_again(&plan, &stale, self.selection.rerun_stale);
        for position in 0..plan.len() {
            let again = rerun.contains(&position) || (outdated.contains(&position) && schedule.is_selected(position));
            if again && schedule.standing(position) != Standing::Waiting {
                self.session
                    .ledger
                    .commit(records::phase_set_back(&plan.phases()[position].name))?;
                schedule.set_back(&plan, position);
            }
        }
        self.tell_stale(&plan, &schedule, &stale);
        self.session.observer.phases_expected(schedule.waiting());
        self.reserve_devices(&plan, &schedule);
        let phases = (0..plan.len()).map(|p| blank_report(&plan, p)).collect();
        Ok(Walk {
            schedule,
            phases,
            aborted: None,
            failed_fast: None,
            halted: false,
        })
    }

    /// Says which completed phases are stale and stay so, and which run again because they are.
    fn tell_stale(&self, plan: &Plan, schedule: &Schedule, stale: &[Stale]) {
        let (mut staying, mut again) = (0, 0);
        for Stale { phase, causes } in stale {
            let Some(position) = plan.position(phase) else { continue };
            let stays = schedule.standing(position) == Standing::Completed;
            let told = if stays { &mut staying } else { &mut again };
            *told += 1;
            if *told > MOST_STALE {
                continue;
            }
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            let why = causes.join("; ");
            self.session.observer.note(&if stays {
                format!(
                    "{phase} is stale ({why}) and stays completed; `--rerun {phase}` or `--rerun-stale` runs it again"
                )
            } else {
                format!("{phase} runs again ({why})")
            });
        }
        let more = |told: usize, what: &str| {
            if let Some(more) = told.checked_sub(MOST_STALE).filter(|more| *more > 0) {
                self.session.observer.note(&format!("{more} more {what}"));
            }
        };
        more(
            staying,
            "are stale and stay completed; `jumar explain` lists them, `--rerun-stale` runs them again",
        );
        more(again, "run again");
    }

    /// Takes in what somebody wrote into the state file. A phase that has ended and was set back runs again.
    fn look(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let notes = self.session.ledger.refresh()?;
        if notes.is_empty() && !self.session.ledger.was_edited() {
            return Ok(());
        }
        notes.iter().for_each(|note| self.session.observer.note(note));
        let plan = self.session.plan();
        let statuses: Vec<_> = self.session.ledger.read(|state| {
            let names = plan.phases().iter().map(|phase| phase.name.as_str());
            state.statuses(names).take(walk.phases.len()).collect()
        });
        let mut set_back = 0;
        for (position, status) in statuses.into_iter().enumerate() {
            let said = match (walk.schedule.standing(position), status) {
                (Standing::Running, _) => continue,
                (Standing::Completed | Standing::Skipped | Standing::Failed, Some(PhaseStatus::Pending)) => {
                    if !walk.schedule.is_selected(position) {
                        continue;
                    }
                    walk.schedule.set_back(&plan, position);
                    set_back += 1;
                    Standing::Waiting
                }
                (Standing::Failed | Standing::Waiting, Some(PhaseStatus::Completed)) => Standing::Completed,
                (Standing::Failed | Standing::Waiting, Some(PhaseStatus::Skipped)) => Standing::Skipped,
                _ => continue,
            };
            walk.phases[position].failure = None;
            if said != Standing::Waiting {
                walk.schedule.finished(position, said);
            }
        }
        self.session.observer.phases_expected(set_back);
        Ok(())
    }

    /// The next phase that is ready and for which there are GPUs. A phase that somebody marked meanwhile is not run.
    fn next(&self, walk: &mut Walk) -> Option<(usize, Vec<String>)> {
        loop {
            let mut devices = Vec::new();
            let taken = walk.schedule.take_ready(|position| {
                let plan = self.session.plan();
                let phase = &plan.phases()[position];
                let wanted = self.wanted_devices(phase);
                let leased = if wanted == 0 {
                    Some(vec![])
                } else {
                    let reserved = self.session.unfinished().reserved(&phase.name);
                    reserved.or_else(|| self.session.gpus().lease(wanted))
                };
                leased.map(|d| devices = d).is_some()
            });
            let position = taken?;
            let name = self.session.plan().phases()[position].name.clone();
            let marked = match self.session.ledger.read(|s| s.phase(&name)) {
                Some(PhaseStatus::Completed) => Standing::Completed,
                Some(PhaseStatus::Skipped) => Standing::Skipped,
                _ => return Some((position, devices)),
            };
            if !devices.is_empty() {
                self.session.gpus().give_back(devices);
            }
            walk.schedule.finished(position, marked);
        }
    }

    /// Keeps the devices of attempts that are to be gone on with: nobody else may be given what a living command uses. Not of one
    /// that waits for another phase, which may itself want them.
    fn reserve_devices(&self, plan: &Plan, schedule: &Schedule) {
        for (position, phase) in plan.phases().iter().enumerate() {
            if self.session.unfinished().get(&phase.name).is_none() {
                continue;
            }
            let wanted = self.wanted_devices(phase);
            let is_ready = schedule.blocked(plan, position) == Some(Blocked::NotReached);
            if wanted > 0 && is_ready {
                let pool = self.session.gpus();
                self.session.unfinished().reserve(&phase.name, wanted, pool);
            }
        }
    }

    fn wanted_devices(&self, phase: &Phase) -> usize {
        let overrides = self.session.ledger.read(|s| records::overrides(s, &phase.name));
        overrides.gpus.unwrap_or(phase.options.gpus)
    }

    fn settle(&self, walk: &mut Walk, position: usize, end: End) -> Result<(), WalkError> {
        let plan = self.session.plan();
        walk.schedule.extend(&plan);
        self.session.observer.phases_expected(plan.len() - walk.phases.len());
        for new in walk.phases.len()..plan.len() {
            walk.phases.push(blank_report(&plan, new));
        }
        let report = &mut walk.phases[position];
        report.ran = true;
        report.seconds = end.seconds;
        report.attempts = end.attempts;
        let standing = match end.outcome {
            Ok(standing) => standing,
            Err(Problem::Interrupted) => Standing::Waiting,
            Err(Problem::State(error)) => return Err(error.into()),
            Err(Problem::Failed(failure)) => {
                report.failure = Some(failure);
                // A second request would kill those that are ending.
                if self.fail_fast && !self.halt.is_requested() {
                    walk.failed_fast = Some(plan.phases()[position].name.clone());
                    self.tell_fail_fast(walk, &plan, position);
                    self.halt.request();
                }
                walk.halted |= self.fail_fast || end.aborted.is_some();
                walk.aborted = walk.aborted.take().or(end.aborted);
                Standing::Failed
            }
        };
        let dependents = walk.schedule.completed_dependents(position);
        walk.schedule.finished(position, standing);
        if standing == Standing::Completed {
            for dependent in dependents {
                self.outdate(walk, &plan, dependent, position)?;
            }
        }
        Ok(())
    }

    /// What else runs is asked to end, and may take its time for that.
    fn tell_fail_fast(&self, walk: &Walk, plan: &Plan, failed: usize) {
        let is_on = |at: &usize| *at != failed && walk.schedule.standing(*at) == Standing::Running;
        let running: Vec<&str> = (0..plan.len())
            .filter(is_on)
            .map(|at| plan.phases()[at].name.as_str())
            .collect();
        if !running.is_empty() {
            self.session.observer.note(&format!(
                "{} failed, and --fail-fast stops everything: waiting up to {} for {} to end",
                plan.phases()[failed].name,
                duration_in_words(self.session.executor.grace()),
                running.join(", ")
            ));
        }
    }

    /// A completed phase was made from something that has just been made anew.
    fn outdate(&self, walk: &mut Walk, plan: &Plan, dependent: usize, cause: usize) -> Result<(), WalkError> {
        let (phase, cause) = (&plan.phases()[dependent], &plan.phases()[cause].name);
        if (phase.options.rerun_when_stale || self.selection.rerun_stale) && walk.schedule.is_selected(dependent) {
            self.session.ledger.commit(records::phase_set_back(&phase.name))?;
            walk.schedule.set_back(plan, dependent);
            self.session.observer.phases_expected(1);
            self.session.observer.note(&format!(
                "{} runs again: {cause} has completed since it did",
                phase.name
            ));
        } else {
            self.session.observer.note(&format!(
                "{} stays completed although {cause} has completed since; `--rerun {}` runs it again",
                phase.name, phase.name
            ));
        }
        Ok(())
    }

    fn report(&self, mut walk: Walk) -> Report {
        let plan = self.session.plan();
        for (position, report) in walk.phases.iter_mut().enumerate() {
            report.standing = walk.schedule.standing(position);
            report.blocked = walk.schedule.blocked(&plan, position);
        }
        Report {
            phases: walk.phases,
            interrupted: self.session.stop.is_requested(),
            aborted: walk.aborted,
            failed_fast: walk.failed_fast,
        }
    }
}

/// Why a walk could not go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// `--phase` and its like name no phase.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system gives no thread.
    #[error("cannot start a thread for a phase: {0}")]
    Thread(std::io::Error),
}

fn blank_report(plan: &Plan, position: usize) -> PhaseReport {
    PhaseReport {
        phase: Arc::clone(&plan.phases()[position]),
        standing: Standing::Waiting,
        ran: false,
        seconds: 0.0,
        attempts: 0,
        blocked: None,
        failure: None,
    }
}

/// How phases stand before anything runs, one entry a phase: one that failed is tried again when it is selected.
pub fn standings(plan: &Plan, state: &State, selected: &[bool]) -> Vec<Standing> {
    let standing = |(status, selected): (Option<PhaseStatus>, &bool)| match status {
        Some(PhaseStatus::Completed) => Standing::Completed,
        Some(PhaseStatus::Skipped) => Standing::Skipped,
        Some(PhaseStatus::Failed) if !selected => Standing::Failed,
        _ => Standing::Waiting,
    };
    let statuses = state.statuses(plan.phases().iter().map(|phase| phase.name.as_str()));
    statuses.zip(selected).map(standing).collect()
}
