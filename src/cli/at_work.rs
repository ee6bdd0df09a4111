//! What is said of a phase while it runs: the step and the command that it is at, and how long it may still take.

use jiff::Timestamp;

use super::attempt_words::joined;
use crate::run::{AtWork, AttemptOutcome, attempts};
use crate::state::{PhaseStatus, State};
use crate::ui::human_duration;

/// How long a phase took in the earlier runs in which it completed, in seconds: the mean.
fn expected(earlier: &[State], phase: &str) -> Option<f64> {
    let took = earlier.iter().filter_map(|state| {
        let last = attempts(state, phase).pop()?;
        last.seconds.filter(|_| last.outcome == AttemptOutcome::Completed)
    });
    let took: Vec<f64> = took.collect();
    (!took.is_empty()).then(|| took.iter().sum::<f64>() / took.len() as f64)
}

/// What a running phase is at, for the last column of a table; `seconds` is how long it has run.
pub(super) fn remark(at: Option<&AtWork>, phase: &str, seconds: f64, earlier: &[State]) -> String {
    let time = expected(earlier, phase).map(|expected| {
        let over = seconds - expected;
        match over > 0.0 {
            true => format!("{} longer than before", human_duration(over)),
            false => format!("of about {}", human_duration(expected)),
        }
    });
    let step = at.and_then(|at| at.step.as_ref()).map(|step| format!("step {step}"));
    let command = at.map(|at| at.command.clone());
    let parts = [time, step, command].map(Option::unwrap_or_default);
    joined(&parts, "; ")
}

/// The running phases that have taken longer than in earlier runs: what is left of them is not known.
pub(super) fn overdue(state: &State, earlier: &[State]) -> Vec<String> {
    let now = Timestamp::now();
    let is_over = |phase: &str| {
        let begun = attempts(state, phase).pop()?.started;
        Some(now.duration_since(begun).as_secs_f64() > expected(earlier, phase)?)
    };
    let running = state.phases().filter(|(_, status)| *status == PhaseStatus::InProgress);
    running
        .filter(|(phase, _)| is_over(phase) == Some(true))
        .map(|(phase, _)| phase.to_string())
        .collect()
}
