//! A dry run: the plan walked in memory. Bodies are gone through for the commands they would start; nothing is started
//! and nothing is written.

use std::sync::Arc;

use super::conductor::{Bodies, standings};
use super::stale::{stale_phases, to_run_again};
use super::{Attempt, AttemptOutcome, Problem, Session, records};
use crate::plan::{Blocked, Cause, Schedule, Selection, SelectionError, Standing};

/// What a dry run says of one phase.
#[derive(Clone, Debug)]
pub struct PhasePreview {
    /// Its name.
    pub name: String,
    /// Its number, if it has one.
    pub number: Option<i64>,
    /// What it waits for.
    pub after: Vec<String>,
    /// How it stands before.
    pub standing: Standing,
    /// Whether it would run.
    pub runs: bool,
    /// Why it would not, when it has not completed either.
    pub blocked: Option<Blocked>,
    /// Why it is stale, when it completed and is.
    pub stale: Vec<Cause>,
    /// Its line of help.
    pub help: Option<String>,
}

/// Walks the session's plan in memory.
///
/// # Errors
/// [`SelectionError`] when `--phase` and its like name no phase.
pub fn preview(
    session: &Arc<Session>,
    selection: &Selection,
    bodies: &dyn Bodies,
) -> Result<Vec<PhasePreview>, SelectionError> {
    let stale = stale_phases(session);
    let (mut schedule, before) = {
        let plan = session.plan();
        let selected = selection.resolve(&plan)?;
        let before = session
            .ledger
            .read(|state| standings(&plan, state, &vec![false; plan.len()]));
        let standing = session.ledger.read(|state| standings(&plan, state, &selected));
        let mut schedule = Schedule::new(&plan, standing, selected, !selection.only.is_empty());
        let again = to_run_again(&plan, &stale, selection.rerun_stale);
        let again = again
            .into_iter()
            .filter(|p| schedule.is_selected(*p))
            .collect::<Vec<_>>();
        for position in selection.reruns(&plan)?.into_iter().chain(again) {
            schedule.set_back(&plan, position);
        }
        (schedule, before)
    };
    let mut runs = vec![false; before.len()];
    while let Some(position) = schedule.take_ready(|_| true) {
        let phase = Arc::clone(&session.plan().phases()[position]);
        runs.resize(runs.len().max(position + 1), false);
        runs[position] = true;
        let overrides = session.ledger.read(|state| records::overrides(state, &phase.name));
        let number = session.ledger.read(|state| super::attempts(state, &phase.name).len()) as u32 + 1;
        let attempt = Arc::new(Attempt::new(
            Arc::clone(session),
            Arc::clone(&phase),
            number,
            overrides,
            vec![],
        ));
        match bodies.run(&attempt) {
            Ok(value) => {
                let record = attempt.record().end(AttemptOutcome::Completed, 0.0);
                let name = phase.name.clone();
                // A draft cannot fail.
                let _ = session
                    .ledger
                    .update(move |s| records::phase_completed(s, &name, number, &record, &value, (vec![], vec![])));
            }
            Err(Problem::Failed(failure)) => session.observer.unknown_from_here(&phase.name, &failure.message),
            Err(_) => break,
        }
        let plan = session.plan();
        schedule.extend(&plan);
        let dependents = schedule.completed_dependents(position);
        schedule.finished(position, Standing::Completed);
        for dependent in dependents {
            if plan.phases()[dependent].options.rerun_when_stale && schedule.is_selected(dependent) {
                schedule.set_back(&plan, dependent);
            }
        }
    }
    let plan = session.plan();
    let phases = plan.phases().iter().enumerate().map(|(position, phase)| PhasePreview {
        name: phase.name.clone(),
        number: phase.options.number,
        after: phase.options.waits_for().cloned().collect(),
        standing: before.get(position).copied().unwrap_or(Standing::Waiting),
        runs: runs.get(position).copied().unwrap_or(false),
        blocked: schedule.blocked(&plan, position),
        stale: stale
            .iter()
            .find(|s| s.phase == phase.name)
            .map(|s| s.causes.clone())
            .unwrap_or_default(),
        help: phase.options.help.clone(),
    });
    Ok(phases.collect())
}
