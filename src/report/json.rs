//! What the page tells, for programs. `docs/comparing.md` describes it.

use serde_json::{Map, Value, json};

use super::log_tail::log_tail;
use super::reported::Reported;
use crate::compare::{Fact, Group};
use crate::run::{Activity, AttemptOutcome, AttemptRecord};

/// Lines of the log for each failed attempt.
const LINES: usize = 30;

/// Everything that [`page`](super::page) tells of these runs, each for itself; how they differ is for `jumar diff --json` to say.
pub fn to_json(runs: &[Reported]) -> Value {
    json!({ "schema": 1, "runs": runs.iter().map(run_json).collect::<Vec<Value>>() })
}

fn run_json(run: &Reported) -> Value {
    let phases: Vec<Value> = run
        .phases
        .iter()
        .map(|(name, status)| {
            let attempts = run.attempts_of(name).iter().enumerate();
            let attempts: Vec<Value> = attempts
                .map(|(place, attempt)| attempt_json(run, name, place, attempt))
                .collect();
            json!({ "name": name, "status": status.as_str(), "attempts": attempts })
        })
        .collect();
    let mut facts = Map::new();
    for group in Group::ALL {
        let of_group: Vec<Value> = run
            .facts
            .facts()
            .filter(|(of, ..)| *of == group)
            .map(|(_, name, fact)| fact_json(name, fact))
            .collect();
        if !of_group.is_empty() {
            facts.insert(group.as_str().into(), of_group.into());
        }
    }
    json!({
        "run": run.facts.path(),
        "name": run.facts.name(),
        "state_file": run.facts.state_file,
        "status": run.facts.standing.as_str(),
        "started": run.facts.started,
        "seconds": run.facts.seconds,
        "phases": phases,
        "facts": facts,
    })
}

fn attempt_json(run: &Reported, phase: &str, place: usize, attempt: &AttemptRecord) -> Value {
    let mut object = json!(attempt);
    let of_attempt = |a: &&Activity| a.phase == phase && a.attempt as usize == place + 1;
    object["activities"] = run.activities.iter().filter(of_attempt).map(|a| json!(a)).collect();
    let failed = matches!(attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::Skipped);
    let tail = if failed {
        log_tail(run, phase, place, LINES)
    } else {
        None
    };
    object["log_tail"] = json!(tail.map(|(log, lines)| json!({ "log": log, "lines": lines })));
    object
}

fn fact_json(name: &str, fact: &Fact) -> Value {
    json!({
        "name": name,
        "value": fact.value,
        "unit": fact.unit.as_str(),
        "better": fact.better.map(|better| better.as_str()),
    })
}
