//! What usually helps a run to go on, judged by its state as it is now and not as it was when it failed.

use super::{Advice, AttemptRecord, attempts};
use crate::state::value::decode;
use crate::state::{PhaseStatus, State};

/// What helps against the failures that still stand: one advice for all phases that are failed.
pub fn standing_advice(state: &State) -> Advice {
    let mut all = Advice::default();
    let failed = state.phases().filter(|(_, status)| *status == PhaseStatus::Failed);
    for (phase, _) in failed {
        let one = advice_for(state, phase);
        for line in one.lines {
            if !all.lines.contains(&line) {
                all.lines.push(line);
            }
        }
        for (name, value) in one.variables {
            all.variables.entry(name).or_insert(value);
        }
    }
    all
}

/// What helps against the last failure of a phase. What somebody has decided since counts: a variable for a parameter that was
/// changed after the failure would undo that change, and is left out.
pub fn advice_for(state: &State, phase: &str) -> Advice {
    let known = attempts(state, phase);
    let Some(failed) = known.iter().rev().find(|record| record.kind.is_some()) else {
        return Advice::default();
    };
    let mut advice = failed.advice.clone();
    let advised = advice.variables.len();
    advice
        .variables
        .retain(|name, _| !is_changed_since(state, &known, &name.to_lowercase()));
    if advised > 0 && advice.variables.is_empty() {
        // The lines speak of the variables.
        advice.lines.clear();
    }
    advice
}

/// Whether the run's record has another value for a parameter than the phase's attempts began with. What a policy set for an
/// attempt is no change of the record, so an attempt without such a change is asked.
fn is_changed_since(state: &State, known: &[AttemptRecord], parameter: &str) -> bool {
    let plain = known
        .iter()
        .rev()
        .find(|record| !record.changed.params.contains_key(parameter));
    let before = plain.and_then(|record| record.params.get(parameter));
    let now = state.get("params", parameter).map(decode);
    matches!((before, now), (Some(before), Some(now)) if *before != now)
}
