//! The parameters that a run used. `[params]` holds what the next phase would use; what a phase did use stands with its attempt,
//! which a policy, a retry by hand or an edit may have given another value.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fact::{Fact, same};
use super::run_facts::RunFacts;
use crate::run::{AttemptOutcome, attempts, recorded_fingerprints};
use crate::state::PhaseStatus;
use crate::state::value::decode;

/// The key, in a value by phase, of the phases that are not named.
pub(super) const OTHER_PHASES: &str = "*";

/// What each phase that counts ran with, in the file's order.
struct Used {
    /// The phase, its parameters, and whether it is known to have read any.
    phases: Vec<(String, Map<String, Value>)>,
    /// The names of the parameters that a completed phase read, as far as that was recorded.
    read: HashMap<String, Vec<String>>,
    /// Whether a phase is still to run.
    more_to_come: bool,
}

/// The parameters of a run by name.
pub(super) fn parameters(run: &RunFacts) -> Vec<(String, Fact)> {
    let used = used(run);
    run.state
        .section("params")
        .map(|(name, text)| (name.to_string(), used.fact(name, decode(text))))
        .collect()
}

fn used(run: &RunFacts) -> Used {
    let mut all = Used {
        phases: vec![],
        read: recorded_fingerprints(&run.state)
            .map(|(phase, print)| (phase.to_string(), print.params.into_keys().collect()))
            .collect(),
        more_to_come: false,
    };
    for (phase, status) in run.state.phases() {
        let mut attempts = attempts(&run.state, phase);
        match status {
            PhaseStatus::Skipped => continue,
            PhaseStatus::Pending => {
                all.more_to_come = true;
                continue;
            }
            PhaseStatus::Completed => attempts.retain(|a| a.outcome == AttemptOutcome::Completed),
            PhaseStatus::Failed | PhaseStatus::InProgress => {}
        }
        let last = attempts.pop().map(|attempt| attempt.params);
        all.phases.extend(last.map(|params| (phase.to_string(), params)));
    }
    all
}

impl Used {
    fn fact(&self, name: &str, recorded: Value) -> Fact {
        let reads = |phase: &str| self.read.get(phase).is_some_and(|read| read.iter().any(|r| r == name));
        let anybody = self.phases.iter().any(|(phase, _)| reads(phase));
        let values: Vec<(&str, &Value)> = self
            .phases
            .iter()
            .filter(|(phase, _)| !anybody || reads(phase))
            .filter_map(|(phase, params)| Some((phase.as_str(), params.get(name)?)))
            .collect();
        let count = |value: &Value| values.iter().filter(|(_, other)| same(other, value)).count();
        let most = values.iter().map(|(_, value)| *value);
        let most = most.rev().max_by_key(|value| count(value));
        let base = match most {
            Some(most) if !self.more_to_come && count(&recorded) == 0 => most.clone(),
            _ => recorded,
        };
        let others: Vec<&(&str, &Value)> = values.iter().filter(|(_, value)| !same(value, &base)).collect();
        if others.is_empty() {
            return Fact::plain(base);
        }
        let mut by_phase = Map::from_iter([(OTHER_PHASES.to_string(), base)]);
        by_phase.extend(others.iter().map(|(phase, value)| ((*phase).into(), (*value).clone())));
        Fact::by_phase(by_phase)
    }
}
