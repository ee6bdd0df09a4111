//! What came of a rehearsed run, held against the one without a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::scenario::{Played, Scenario, Stage};
use super::stuck::Stuck;
use super::trouble::Trouble;
use crate::plan::Plan;
use crate::run::{STATE_FILE, TraceLine};
use crate::state::{State, read, value};

/// The run without a fault.
pub(super) struct Straight {
    /// Its phases, in order.
    pub phases: Vec<String>,
    /// The commands of each phase that has any, in order, with their steps.
    pub commands: BTreeMap<String, Vec<(String, String)>>,
    /// Phases that are run again when what they are made from has been made anew.
    renewed: BTreeSet<String>,
    counts: BTreeMap<Done, usize>,
    outcome: BTreeMap<String, String>,
}

/// What is to be said of a run with a fault.
pub(super) struct Verdict {
    /// What was lost, done twice or left different; empty when it survived.
    pub problems: Vec<String>,
    /// Commands of the phase that failed, outside of steps, that were run again.
    pub repeated: usize,
}

/// A command that ended: phase, step, command.
type Done = (String, String, String);

impl Straight {
    /// Plays it.
    ///
    /// # Errors
    /// What is in the way when it does not get to the end.
    pub(super) fn of(stage: &Stage, plan: &Plan) -> Result<Straight, Stuck> {
        let played = stage.play_straight()?;
        let state = read(&played.run.join(STATE_FILE)).map_err(|e| Stuck::plain(e.to_string()))?;
        let mut commands: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for line in played.rehearsal.trace().into_iter().filter(|l| l.ended) {
            commands.entry(line.phase).or_default().push((line.step, line.command));
        }
        Ok(Straight {
            phases: state.phases().map(|(name, _)| name.to_string()).collect(),
            commands,
            renewed: plan
                .phases()
                .iter()
                .filter(|p| p.options.rerun_when_stale)
                .map(|p| p.name.clone())
                .collect(),
            counts: counts(&played),
            outcome: outcome(&state, &played.run),
        })
    }
}

/// Plays a scenario and judges it.
pub(super) fn of(scenario: &Scenario, number: usize, stage: &Stage, straight: &Straight) -> Verdict {
    let mut verdict = Verdict {
        problems: vec![],
        repeated: 0,
    };
    let played = match stage.play(scenario, number) {
        Ok(played) => played,
        Err(why) => {
            verdict.problems.push(why);
            return verdict;
        }
    };
    verdict.judge_commands(scenario, &counts(&played), straight);
    match read(&played.run.join(STATE_FILE)) {
        Ok(state) => verdict.judge_state(scenario, &outcome(&state, &played.run), &straight.outcome),
        Err(error) => verdict
            .problems
            .push(format!("the state cannot be read afterwards: {error}")),
    }
    if verdict.problems.is_empty() {
        // Only what did not survive is worth a look.
        let _ = played.run.parent().map(fs::remove_dir_all);
    }
    verdict
}

impl Verdict {
    fn judge_commands(&mut self, scenario: &Scenario, now: &BTreeMap<Done, usize>, straight: &Straight) {
        let keys = now
            .keys()
            .chain(straight.counts.keys().filter(|k| !now.contains_key(*k)));
        for key in keys {
            let (phase, step, command) = key;
            let (times, wanted) = (
                now.get(key).copied().unwrap_or(0),
                straight.counts.get(key).copied().unwrap_or(0),
            );
            let at = if step.is_empty() {
                phase.clone()
            } else {
                format!("{phase}, step {step}")
            };
            if times < wanted {
                self.problems
                    .push(format!("lost: `{command}` of {at} did not run to its end"));
            } else if wanted == 0 {
                self.problems
                    .push(format!("{at} ran `{command}`, which it does not without the fault"));
            } else if times > wanted && may_repeat(scenario, phase, step) {
                self.repeated += times - wanted;
            } else if times > wanted && !straight.renewed.contains(phase) {
                self.problems
                    .push(format!("done twice: `{command}` of {at}, although it had completed"));
            }
        }
    }

    fn judge_state(
        &mut self,
        scenario: &Scenario,
        now: &BTreeMap<String, String>,
        straight: &BTreeMap<String, String>,
    ) {
        let phase = &scenario.fault.phase;
        for (key, wanted) in straight {
            match now.get(key) {
                Some(is) if is == wanted => {}
                Some(is) => self.problems.push(format!(
                    "{phase} is not repeatable: {key} is {is} afterwards, and {wanted} without the fault"
                )),
                None => self
                    .problems
                    .push(format!("lost: {key}, which is {wanted} without the fault")),
            }
        }
        for key in now.keys().filter(|k| !straight.contains_key(*k)) {
            self.problems.push(format!(
                "{phase} is not repeatable: it left {key}={}, which is not there without the fault",
                now[key]
            ));
        }
    }
}

/// A phase that failed is done anew but for its completed steps; of a step that failed, all of it.
fn may_repeat(scenario: &Scenario, phase: &str, step: &str) -> bool {
    // A host that died left its commands running, and what they did is done.
    let work_goes_on = matches!(scenario.trouble, Trouble::HostKilled | Trouble::StateTorn);
    phase == scenario.fault.phase && scenario.step.starts_with(step) && !work_goes_on
}

fn counts(played: &Played) -> BTreeMap<Done, usize> {
    let mut counts = BTreeMap::new();
    for line in played.rehearsal.trace().into_iter().filter(|l| l.ended) {
        let TraceLine {
            phase, step, command, ..
        } = line;
        *counts.entry((phase, step, neutral(&command, &played.run))).or_default() += 1;
    }
    counts
}

/// What a run leaves behind that a fault must not change.
fn outcome(state: &State, run: &Path) -> BTreeMap<String, String> {
    let mut left = BTreeMap::new();
    for section in state.sections() {
        // When, how often and with what help is another matter.
        let of_the_way = [
            "metadata",
            "attempts",
            "failures",
            "param_sources",
            "overrides",
            "declared",
            "steps",
            "fingerprints",
            "params",
        ];
        if of_the_way.contains(&section) {
            continue;
        }
        for (key, text) in state.section(section) {
            if section == "checkpoints" && key.contains(".checkpoint.") {
                continue;
            }
            left.insert(format!("[{section}] {key}"), neutral(&without_times(text), run));
        }
    }
    left
}

fn without_times(text: &str) -> String {
    match value::decode(text) {
        Value::Object(mut map) => {
            map.retain(|key, _| key != "seconds" && key != "max_rss");
            Value::Object(map).to_string()
        }
        _ => text.into(),
    }
}

/// The same text wherever the run lies and whenever it was.
fn neutral(text: &str, run: &Path) -> String {
    let text = text.replace(&*run.to_string_lossy(), "RUN");
    match regex_lite::Regex::new(r"\d{8}_\d{6}") {
        Ok(times) => times.replace_all(&text, "TIME").into_owned(),
        Err(_) => text,
    }
}
