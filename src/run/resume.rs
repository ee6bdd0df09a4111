//! Taking over a run that ended: what the last host left in progress is pending again, and is said so.

use std::path::Path;

use super::records;
use super::{AttemptOutcome, attempts};
use crate::exec::{Living, living_with};
use crate::state::{Event, PhaseStatus, State};

/// Something that was found when a run was taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeNote {
    /// The phase.
    pub phase: String,
    /// What was found, in one line.
    pub text: String,
}

/// The events that make the state of an ended run one to go on from, with a line about each for people.
///
/// Nothing is written here: a dry run shows the notes and drops the events.
pub fn take_over(state: &State) -> (Vec<Event>, Vec<ResumeNote>) {
    let mut events = Vec::new();
    let mut notes = Vec::new();
    for (phase, _) in state.phases().filter(|(_, status)| *status == PhaseStatus::InProgress) {
        let known = attempts(state, phase);
        let record = known.last().filter(|a| a.outcome == AttemptOutcome::Running).cloned();
        let when = record
            .as_ref()
            .map(|r| {
                format!(
                    " (attempt {}, begun {})",
                    known.len(),
                    r.started.strftime("%Y-%m-%d %H:%M:%S UTC")
                )
            })
            .unwrap_or_default();
        notes.push(ResumeNote {
            phase: phase.into(),
            text: format!("{phase} was in progress when the last run ended{when}; it is pending again"),
        });
        let ended = record.map(|mut r| {
            r.outcome = AttemptOutcome::Interrupted;
            r
        });
        events.push(records::phase_interrupted(phase, known.len() as u32, ended.as_ref()));
    }
    (events, notes)
}

/// Commands of phases in progress that go on although the host that started them is gone. A second copy beside a living
/// one would write over its results: whoever takes the run over waits for them first.
pub fn left_running(state: &State, run_directory: &Path) -> Vec<Living> {
    let directory = run_directory.to_string_lossy();
    let in_progress = state.phases().filter(|(_, status)| *status == PhaseStatus::InProgress);
    in_progress
        .flat_map(|(phase, _)| living_with(&[("JUMAR_RUN_DIR", &directory), ("JUMAR_PHASE", phase)]))
        .collect()
}
