//! Which sections and keys of the state file jumar writes, and what they mean. `docs/state-file.md` is this page for people.
//!
//! Outside `[phases]` no key is ever just a phase's name: the bash runner's tools look keys up by `^name=` in the
//! whole file, and must go on finding the status.

use std::collections::HashSet;
use std::path::Path;

use jiff::{Timestamp, ZonedDateTime};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AttemptOutcome, AttemptRecord, CommandResult, Failure, Manifest, NextAttempt, Overrides};
use crate::plan::{Fingerprint, Parameters, Plan};
use crate::state::value::{decode, encode};
use crate::state::{Event, InOrder, PhaseStatus, State};

/// The name of the state file in a run directory.
pub const STATE_FILE: &str = ".experiment_state";
/// The version of the format that jumar writes.
pub const STATE_VERSION: &str = "3.2.0";

fn json(value: &impl Serialize) -> String {
    // Our own records are maps with text keys: they cannot fail to be JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// Seconds since 1970, as the bash runner wrote times.
fn epoch() -> String {
    Timestamp::now().as_second().to_string()
}

/// All attempts at a phase, first first.
pub fn attempts(state: &State, phase: &str) -> Vec<AttemptRecord> {
    (1..)
        .map_while(|n| serde_json::from_str(state.get("attempts", &format!("{phase}.{n}"))?).ok())
        .collect()
}

/// The phases of which some attempt may be recorded as running; the others have none. Costs less than to read the records.
pub(super) fn may_have_running_attempts(state: &State) -> HashSet<&str> {
    // As `AttemptOutcome::Running` is written.
    let word = memmem::Finder::new("\"running\"");
    let running = state
        .section("attempts")
        .filter(|(_, record)| word.find(record.as_bytes()).is_some());
    running.filter_map(|(key, _)| Some(key.rsplit_once('.')?.0)).collect()
}

/// Whether a phase is pending because its last attempt was stopped.
pub fn is_interrupted(state: &State, phase: &str) -> bool {
    let last = || attempts(state, phase).pop().map(|record| record.outcome);
    state.phase(phase) == Some(PhaseStatus::Pending) && last() == Some(AttemptOutcome::Interrupted)
}

/// Whether a phase that is not completed now was completed before: somebody wants it done anew.
pub(super) fn was_completed_before(state: &State, phase: &str) -> bool {
    attempts(state, phase)
        .last()
        .is_some_and(|a| a.outcome == AttemptOutcome::Completed)
}

/// The parameters that a run recorded.
pub fn recorded_parameters(state: &State) -> Map<String, Value> {
    state
        .section("params")
        .map(|(name, value)| (name.to_string(), decode(value)))
        .collect()
}

pub(super) fn step_key(phase: &str, step: &str) -> String {
    format!("{phase}/{step}")
}

/// The recorded value of a step that was completed.
pub(super) fn step_value(state: &State, phase: &str, step: &str) -> Option<Value> {
    state.get("steps", &step_key(phase, step)).map(decode)
}

/// The recorded result of a phase.
pub(super) fn result(state: &State, phase: &str) -> Option<Value> {
    state.get("results", &format!("{phase}.result")).map(decode)
}

/// What a phase was made from when it completed, or was last accepted.
pub(super) fn fingerprint(state: &State, phase: &str) -> Option<Fingerprint> {
    serde_json::from_str(state.get("fingerprints", &format!("{phase}.fingerprint"))?).ok()
}

/// What is recorded of phases that are asked for in about the order in which they completed.
pub(super) struct Fingerprints<'a> {
    recorded: InOrder<'a>,
    /// The last key that was asked for.
    key: String,
}

impl<'a> Fingerprints<'a> {
    pub(super) fn of(state: &'a State) -> Self {
        Fingerprints {
            recorded: state.in_order("fingerprints"),
            key: String::new(),
        }
    }

    /// What is recorded of a phase, as it stands there.
    pub(super) fn text(&mut self, phase: &str) -> Option<&'a str> {
        self.key.clear();
        self.key.push_str(phase);
        self.key.push_str(".fingerprint");
        self.recorded.get(&self.key)
    }
}

/// What completed phases were made from, by phase.
pub fn recorded_fingerprints(state: &State) -> impl Iterator<Item = (&str, Fingerprint)> {
    let read = |(key, text): (_, &str)| {
        let key: &str = key;
        Some((key.strip_suffix(".fingerprint")?, serde_json::from_str(text).ok()?))
    };
    state.section("fingerprints").filter_map(read)
}

/// The event, and what the phase was made from.
pub(super) fn with_fingerprint(event: Event, phase: &str, print: &Fingerprint) -> Event {
    event.set("fingerprints", format!("{phase}.fingerprint"), json(print))
}

/// What a policy changed for the next attempt.
pub(super) fn overrides(state: &State, phase: &str) -> Overrides {
    decided(state, phase).unwrap_or_default().changes
}

fn decided(state: &State, phase: &str) -> Option<NextAttempt> {
    serde_json::from_str(state.get("overrides", &format!("{phase}.next"))?).ok()
}

/// What is decided of the next attempt at a phase that failed and is tried again; `None` for any other.
pub fn next_attempt(state: &State, phase: &str) -> Option<NextAttempt> {
    let failed = attempts(state, phase).pop()?.outcome == AttemptOutcome::Failed;
    let waits = failed && state.phase(phase) == Some(PhaseStatus::Pending);
    decided(state, phase).filter(|_| waits)
}

/// What the first event of a run says besides its phases.
pub(super) struct Birth<'a> {
    pub directory: &'a Path,
    pub name: &'a str,
    pub run_id: &'a str,
    pub working_directory: &'a Path,
    pub script: &'a str,
    pub script_hash: &'a str,
}

impl Birth<'_> {
    fn metadata(&self) -> [(&'static str, String); 9] {
        [
            ("version", STATE_VERSION.into()),
            ("start_time", epoch()),
            ("base_output_dir", self.directory.to_string_lossy().into_owned()),
            ("name", encode(&self.name.into())),
            ("run_id", self.run_id.into()),
            (
                "working_directory",
                encode(&self.working_directory.to_string_lossy().into()),
            ),
            ("script", encode(&self.script.into())),
            ("script_hash", self.script_hash.into()),
            ("jumar", env!("CARGO_PKG_VERSION").into()),
        ]
    }
}

/// `[failures]` of a run in which nothing has failed yet.
const NO_FAILURE: [(&str, &str); 3] = [("failure_count", "0"), ("last_failure", ""), ("last_failure_time", "")];

/// The run begins: everything is pending.
pub(super) fn run_created(
    birth: &Birth<'_>,
    plan: &Plan,
    drafted: &[crate::state::Change],
    parameters: &Parameters,
) -> Event {
    let mut event = Event::new("created");
    for (key, value) in birth.metadata() {
        event = event.set("metadata", key, value);
    }
    for phase in plan.phases() {
        event = event.set("phases", &phase.name, PhaseStatus::Pending.as_str());
    }
    event.changes.extend(drafted.iter().cloned());
    if !drafted
        .iter()
        .any(|c| c.section == "checkpoints" && c.key == "checkpoint_path")
    {
        event = event.set("checkpoints", "checkpoint_path", "");
    }
    for (key, value) in NO_FAILURE {
        event = event.set("failures", key, value);
    }
    with_parameters(event, parameters)
}

/// A run goes on: phases that are new in the plan. A file without a version, which somebody made by
/// hand, is given what a new run's has; of the bash runner's only the identity is missing.
pub(super) fn run_resumed(state: &State, birth: &Birth<'_>, plan: &Plan, drafted: &[crate::state::Change]) -> Event {
    let mut event = Event::new("resumed");
    let by_hand = state.get("metadata", "version").is_none();
    let is_missing = |section: &str, key: &str| state.get(section, key).is_none();
    for (key, value) in birth.metadata() {
        let wanted = key == "script_hash" || is_missing("metadata", key) && (by_hand || key == "run_id");
        if wanted && !value.is_empty() {
            event = event.set("metadata", key, value);
        }
    }
    let resumes: u64 = state
        .get("metadata", "resume_count")
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0);
    // Twice in one second: without the count nothing would change, and what changes nothing is not recorded.
    event = event
        .set("metadata", "last_resume", epoch())
        .set("metadata", "resume_count", (resumes + 1).to_string());
    if by_hand {
        for (key, value) in NO_FAILURE.into_iter().filter(|(key, _)| is_missing("failures", key)) {
            event = event.set("failures", key, value);
        }
    }
    for phase in plan.phases().iter().filter(|p| state.phase(&p.name).is_none()) {
        event = event.set("phases", &phase.name, PhaseStatus::Pending.as_str());
    }
    event.changes.extend(drafted.iter().cloned());
    event
}

/// The parameters, and where those came from that are not the script's own. A value taken from the record keeps the source it had.
pub(super) fn with_parameters(mut event: Event, parameters: &Parameters) -> Event {
    use crate::plan::ParameterSource::{Default, Recorded};
    for (name, parameter) in parameters.iter() {
        event = event.set("params", name, encode(&parameter.value));
        let key = format!("{name}.from");
        event = match parameter.source {
            Recorded => event,
            Default => event.remove("param_sources", key),
            _ => event.set("param_sources", key, encode(&parameter.source.to_string().into())),
        };
    }
    event
}

/// A phase that joins the plan while it runs.
pub(super) fn phase_declared(name: &str) -> Event {
    Event::new("declared").set("phases", name, PhaseStatus::Pending.as_str())
}

/// An attempt begins. `fresh` forgets the steps and the result of an earlier completion.
pub(super) fn attempt_started(state: &State, phase: &str, number: u32, record: &AttemptRecord, fresh: bool) -> Event {
    let mut event = Event::new("started")
        .set("phases", phase, PhaseStatus::InProgress.as_str())
        .set("metadata", "last_phase_start", epoch())
        .set("attempts", format!("{phase}.{number}"), json(record))
        // Should the power fail, nothing runs any more, and the phase is rightly pending.
        .unsynced();
    if fresh {
        event = forget(state, phase, event);
    }
    event
}

fn forget(state: &State, phase: &str, mut event: Event) -> Event {
    let prefix = step_key(phase, "");
    let steps: Vec<String> = state
        .section("steps")
        .map(|(k, _)| k)
        .filter(|k| k.starts_with(&prefix))
        .map(String::from)
        .collect();
    for key in steps {
        event = event.remove("steps", key);
    }
    let key = format!("{phase}.result");
    if state.get("results", &key).is_some() {
        event.remove("results", key)
    } else {
        event
    }
}

/// An attempt whose host has died is gone on with.
pub(super) fn attempt_continued(phase: &str, number: u32, record: &AttemptRecord) -> Event {
    Event::new("continued")
        .set("phases", phase, PhaseStatus::InProgress.as_str())
        .set("attempts", format!("{phase}.{number}"), json(record))
}

/// There is more to know of an attempt.
pub(super) fn attempt_noted(phase: &str, number: u32, record: &AttemptRecord) -> Event {
    Event::new("noted")
        .set("attempts", format!("{phase}.{number}"), json(record))
        .unsynced()
}

/// What a completed phase declared, and the commands that its body saw: enough to go through it again on resume.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Declarations {
    pub phases: Vec<String>,
    pub commands: Vec<CommandResult>,
}

/// The completed phases that declared others, in the file's order.
pub(super) fn declarations(state: &State) -> Vec<(String, Declarations)> {
    let read = |(key, text): (&str, &str)| {
        Some((
            key.strip_suffix(".declared")?.to_string(),
            serde_json::from_str(text).ok()?,
        ))
    };
    state.section("declared").filter_map(read).collect()
}

/// A phase completed.
pub(super) fn phase_completed(
    state: &State,
    phase: &str,
    number: u32,
    record: &AttemptRecord,
    result: &Value,
    declared: (Vec<String>, Vec<CommandResult>),
) -> Event {
    let mut event = Event::new("completed")
        .set("phases", phase, PhaseStatus::Completed.as_str())
        .set("metadata", "last_phase_complete", epoch())
        .set("attempts", format!("{phase}.{number}"), json(record));
    if !result.is_null() {
        event = event.set("results", format!("{phase}.result"), encode(result));
    }
    let (phases, commands) = declared;
    if !phases.is_empty() {
        event = event.set(
            "declared",
            format!("{phase}.declared"),
            json(&Declarations { phases, commands }),
        );
    }
    without_overrides(state, phase, event)
}

fn without_overrides(state: &State, phase: &str, event: Event) -> Event {
    let key = format!("{phase}.next");
    if state.get("overrides", &key).is_some() {
        event.remove("overrides", key)
    } else {
        event
    }
}

/// An attempt failed; the phase is failed unless something more is decided.
pub(super) fn phase_failed(
    state: &State,
    phase: &str,
    number: u32,
    record: &AttemptRecord,
    failure: &Failure,
) -> Event {
    let count = state
        .get("failures", "failure_count")
        .and_then(|t| t.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Event::new("failed")
        .set("phases", phase, PhaseStatus::Failed.as_str())
        .set("attempts", format!("{phase}.{number}"), json(record))
        .set("failures", "failure_count", (count + 1).to_string())
        .set("failures", "last_failure", phase)
        // The bash runner wrote what date(1) prints.
        .set(
            "failures",
            "last_failure_time",
            ZonedDateTime::now().strftime("%a %b %e %H:%M:%S %Z %Y").to_string(),
        )
        .set("failures", "last_failure_kind", &failure.kind)
        .set(
            "failures",
            "last_failure_error",
            encode(&failure.message.as_str().into()),
        )
}

/// A retry was decided: it will be made even if this host dies now.
pub(super) fn retry_decided(phase: &str, next: &NextAttempt) -> Event {
    Event::new("retry")
        .set("phases", phase, PhaseStatus::Pending.as_str())
        .set("overrides", format!("{phase}.next"), json(next))
}

/// A policy stopped the whole run over a failure; the attempt's record says why.
pub(super) fn aborted(phase: &str, number: u32, record: &AttemptRecord) -> Event {
    Event::new("aborted").set("attempts", format!("{phase}.{number}"), json(record))
}

/// A failed phase is left out.
pub(super) fn phase_skipped(state: &State, phase: &str, number: u32, record: &AttemptRecord, why: &str) -> Event {
    let event = Event::new("skipped")
        .set("phases", phase, PhaseStatus::Skipped.as_str())
        .set("attempts", format!("{phase}.{number}"), json(record))
        .set("results", format!("{phase}.skipped"), encode(&why.into()));
    without_overrides(state, phase, event)
}

/// An attempt was stopped, or its host is gone: the phase is pending again.
pub(super) fn phase_interrupted(phase: &str, number: u32, record: Option<&AttemptRecord>) -> Event {
    let event = Event::new("interrupted").set("phases", phase, PhaseStatus::Pending.as_str());
    match record {
        Some(record) => event.set("attempts", format!("{phase}.{number}"), json(record)),
        None => event,
    }
}

/// A phase is set back because somebody asked for it (`--rerun`), or what it was made from has changed.
pub(super) fn phase_set_back(phase: &str) -> Event {
    Event::new("rerun").set("phases", phase, PhaseStatus::Pending.as_str())
}

/// A step was completed.
pub(super) fn step_completed(phase: &str, step: &str, value: &Value) -> Event {
    Event::new("step").set("steps", step_key(phase, step), encode(value))
}

/// Which way a metric is meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better: an accuracy.
    Higher,
    /// Less is better: a loss.
    Lower,
}

impl Better {
    /// The word for it in scripts and in the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Better::Higher => "higher",
            Better::Lower => "lower",
        }
    }

    /// What a word means; `None` for any other word.
    pub fn from_word(word: &str) -> Option<Better> {
        [Better::Higher, Better::Lower].into_iter().find(|b| b.as_str() == word)
    }
}

/// A metric was measured. It becomes durable with the completion of its phase; without that, it is measured again.
pub(super) fn metric(phase: &str, name: &str, value: &Value, better: Option<Better>) -> Event {
    let event = Event::new("metric")
        .set("metrics", format!("{phase}.{name}"), encode(value))
        .unsynced();
    match better {
        Some(better) => event.set("metric_info", format!("{phase}.{name}.better"), better.as_str()),
        None => event,
    }
}

/// Which way the metrics of a run are meant to go, as far as its script said so: `phase.name` and the direction.
pub fn metric_directions(state: &State) -> impl Iterator<Item = (&str, Better)> {
    let read = |(key, word): (_, &str)| {
        let key: &str = key;
        Some((key.strip_suffix(".better")?, Better::from_word(word)?))
    };
    state.section("metric_info").filter_map(read)
}

/// The recorded results of phases, by phase.
pub fn recorded_results(state: &State) -> impl Iterator<Item = (&str, Value)> {
    let read = |(key, text): (_, &str)| {
        let key: &str = key;
        Some((key.strip_suffix(".result")?, decode(text)))
    };
    state.section("results").filter_map(read)
}

/// A checkpoint was verified and recorded.
pub(super) fn checkpoint(state: &State, phase: &str, manifest: &Manifest) -> Event {
    let next = (1..)
        .find(|n| state.get("checkpoints", &format!("{phase}.checkpoint.{n}")).is_none())
        .unwrap_or(1);
    Event::new("checkpoint")
        .set("checkpoints", "checkpoint_path", &manifest.path)
        .set("checkpoints", format!("{phase}.checkpoint.{next}"), json(manifest))
}

/// What recorded the newest checkpoint: a phase, or in its place what says that a person gave it.
pub(super) fn newest_checkpoint_maker(state: &State) -> Option<String> {
    let path = state.get("checkpoints", "checkpoint_path")?;
    let made = state.section("checkpoints").filter_map(|(key, text)| {
        let (maker, _) = key.split_once(".checkpoint.")?;
        let manifest: Manifest = serde_json::from_str(text).ok()?;
        (manifest.path == path).then(|| (manifest.at, maker.to_string()))
    });
    made.max().map(|(_, maker)| maker)
}

/// The checkpoints of a run, newest last; a bash runner's file has only a path.
pub fn checkpoints(state: &State) -> Vec<Manifest> {
    let mut known: Vec<Manifest> = state
        .section("checkpoints")
        .filter(|(k, _)| k.contains(".checkpoint."))
        .filter_map(|(_, v)| serde_json::from_str(v).ok())
        .collect();
    known.sort_by_key(|m| m.at);
    match state.get("checkpoints", "checkpoint_path").filter(|p| !p.is_empty()) {
        // A path that was written by hand, or by the bash runner, is the newest word on it.
        Some(path) if known.last().is_none_or(|m| m.path != path) => known.push(Manifest::unverified(path)),
        _ => {}
    }
    known
}
