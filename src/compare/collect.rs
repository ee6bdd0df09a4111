//! The facts in a state file.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::collect_parameters::parameters;
use super::fact::{Fact, Group, Unit};
use super::run_facts::{RunFacts, RunStanding};
use crate::run::{AttemptOutcome, Better, Manifest, attempts, checkpoints, metric_directions, recorded_results};
use crate::state::value::decode;

/// The facts of a run while they are found.
pub(super) type Found = IndexMap<(Group, String), Fact>;

/// The name of the sum over all attempts of all phases.
/// What is in the newest checkpoint: it follows from all else.
pub(super) const CHECKPOINT_CONTENTS: &str = "newest contents";

pub(super) const ALL_PHASES: &str = "all phases";
/// What stands for a run's own directory in values: the same file of two runs is no difference.
const OWN_DIRECTORY: &str = "{run}";

/// Sections that are told in their own way or are only jumar's notes to itself; all others are the user's.
const KNOWN_SECTIONS: [&str; 15] = [
    "",
    "metadata",
    "phases",
    "params",
    "param_sources",
    "attempts",
    "results",
    "declared",
    "fingerprints",
    "overrides",
    "steps",
    "metrics",
    "metric_info",
    "checkpoints",
    "failures",
];

/// What tells the result of `shell()` from other maps.
const COMMAND_RESULT: [&str; 4] = ["code", "seconds", "max_rss", "log"];
const COMMAND_COST: [&str; 3] = ["seconds", "max_rss", "log"];

/// Collects what the state file says.
pub(super) fn facts(run: &RunFacts) -> Found {
    let mut collector = Collector {
        run,
        found: Found::new(),
        own: own_directories(run),
    };
    collector.outcome();
    collector.metrics();
    collector.attempts();
    collector.failures();
    collector.parameters();
    collector.checkpoints();
    collector.user_state();
    collector.found
}

/// The names that a run's directory goes by, longest first.
pub(super) fn own_directories(run: &RunFacts) -> Vec<String> {
    let mut names: Vec<String> = run.text("metadata", "base_output_dir").into_iter().collect();
    names.push(run.directory.to_string_lossy().into_owned());
    let more = names.iter().filter_map(|name| {
        let base = run.text("metadata", "working_directory").unwrap_or_else(|| ".".into());
        std::path::absolute(std::path::Path::new(&base).join(name)).ok()
    });
    let more: Vec<String> = more.map(|path| path.to_string_lossy().into_owned()).collect();
    names.extend(more);
    // What is as short as this could stand for anything.
    names.retain(|name| name.len() > 3 && name != "..");
    names.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    names.dedup();
    names
}

/// The same value with the run's own directory replaced by one name for it.
pub(super) fn relocated(value: Value, own: &[String]) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text;
            for name in own {
                if text.contains(name.as_str()) {
                    text = text.replace(name.as_str(), OWN_DIRECTORY);
                }
            }
            Value::String(text)
        }
        Value::Array(items) => items.into_iter().map(|v| relocated(v, own)).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, relocated(v, own))).collect(),
        other => other,
    }
}

struct Collector<'a> {
    run: &'a RunFacts,
    found: Found,
    own: Vec<String>,
}

impl Collector<'_> {
    fn add(&mut self, group: Group, name: impl Into<String>, fact: Fact) {
        let fact = Fact {
            value: relocated(fact.value, &self.own),
            ..fact
        };
        self.found.insert((group, name.into()), fact);
    }

    /// A map becomes one fact for each of its leaves.
    fn add_leaves(&mut self, group: Group, name: &str, value: Value) {
        match value {
            // A body that ends with a command returns how the command went; what it cost is told elsewhere.
            Value::Object(map) if COMMAND_RESULT.iter().all(|key| map.contains_key(*key)) => {
                for (key, value) in map.into_iter().filter(|(key, _)| !COMMAND_COST.contains(&key.as_str())) {
                    self.add(group, format!("{name}.{key}"), Fact::plain(value));
                }
            }
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    self.add_leaves(group, &format!("{name}.{key}"), value);
                }
            }
            value => self.add(group, name, Fact::plain(value)),
        }
    }

    fn outcome(&mut self) {
        self.add(Group::Outcome, "run", Fact::plain(self.run.standing.as_str()));
        for (phase, status) in self.run.state.phases() {
            self.add(Group::Outcome, phase, Fact::plain(status.as_str()));
        }
    }

    fn metrics(&mut self) {
        let directions: HashMap<&str, _> = metric_directions(&self.run.state).collect();
        for (name, text) in self.run.state.section("metrics") {
            let better = directions.get(name).copied();
            self.add(
                Group::Metrics,
                name,
                Fact {
                    better,
                    ..Fact::plain(decode(text))
                },
            );
        }
        for (phase, value) in recorded_results(&self.run.state) {
            self.add_leaves(Group::Results, phase, value);
        }
    }

    fn attempts(&mut self) {
        let state = &self.run.state;
        let mut all_seconds = None;
        for (phase, _) in state.phases() {
            let known = attempts(state, phase);
            let Some(last) = known.last() else { continue };
            if known.iter().any(|a| a.seconds.is_some()) {
                let sum: f64 = known.iter().filter_map(|a| a.seconds).sum();
                all_seconds = Some(all_seconds.unwrap_or(0.0) + sum);
            }
            // The attempt that counts: the others are told as failures.
            if let Some(seconds) = last.seconds {
                let better = (last.outcome == AttemptOutcome::Completed).then_some(Better::Lower);
                self.add(
                    Group::Durations,
                    phase,
                    Fact {
                        better,
                        ..Fact::seconds(seconds)
                    },
                );
            }
            if let Some(cpu) = last.cpu {
                self.add(
                    Group::Resources,
                    format!("{phase} processor"),
                    Fact {
                        better: None,
                        ..Fact::seconds(cpu)
                    },
                );
            }
            if let Some(memory) = known.iter().filter_map(|a| a.max_rss).max() {
                self.add(Group::Resources, format!("{phase} peak memory"), Fact::kib(memory));
            }
            if !last.gpus.is_empty() {
                self.add(Group::Resources, format!("{phase} GPUs"), Fact::plain(last.gpus.len()));
            }
            self.add(Group::Attempts, phase, Fact::plain(known.len()));
            let failed = known.iter().filter(|a| a.outcome != AttemptOutcome::Completed);
            let kinds: Vec<Value> = failed.filter_map(|a| a.kind.clone().map(Value::from)).collect();
            if !kinds.is_empty() {
                self.add(Group::Failures, phase, Fact::plain(kinds));
            }
        }
        if let Some(seconds) = all_seconds {
            let better = (self.run.standing == RunStanding::Completed).then_some(Better::Lower);
            let fact = Fact::seconds((seconds * 1000.0).round() / 1000.0);
            self.add(Group::Durations, ALL_PHASES, Fact { better, ..fact });
        }
    }

    fn failures(&mut self) {
        for (key, text) in self.run.state.section("failures") {
            let (name, aside) = match key {
                "failure_count" => ("failures", false),
                "last_failure" => ("last failure", false),
                "last_failure_kind" => ("last failure's kind", false),
                "last_failure_error" => ("last failure's message", false),
                "last_failure_time" => ("last failure's time", true),
                other => (other, false),
            };
            if text.is_empty() {
                continue;
            }
            let fact = Fact {
                aside,
                ..Fact::plain(decode(text))
            };
            self.add(Group::Failures, name, fact);
        }
    }

    fn parameters(&mut self) {
        for (name, fact) in parameters(self.run) {
            let is_as_given = self.run.state.get("params", &name).map(decode).as_ref() == Some(&fact.value);
            self.add(Group::Parameters, name.as_str(), fact);
            let source = self.run.text("param_sources", &format!("{name}.from"));
            let source = match is_as_given {
                true => source.unwrap_or_else(|| "default".into()),
                false => "changed for a phase".into(),
            };
            self.add(Group::Parameters, format!("{name} (from)"), Fact::plain(source).aside());
        }
    }

    fn checkpoints(&mut self) {
        let known = checkpoints(&self.run.state);
        if let Some(Manifest {
            path,
            files,
            bytes,
            hash,
            at,
            info,
        }) = known.last().cloned()
        {
            self.add(Group::Checkpoints, "newest", Fact::plain(path));
            if files > 0 {
                self.add(Group::Checkpoints, "newest size", Fact::kib(bytes.div_ceil(1024)));
                self.add(Group::Checkpoints, CHECKPOINT_CONTENTS, Fact::plain(hash));
                let moment = Fact {
                    unit: Unit::Moment,
                    ..Fact::plain(at.to_string())
                };
                self.add(Group::Checkpoints, "newest recorded", moment.aside());
                self.add_leaves(Group::Checkpoints, "newest info", Value::Object(info));
            }
            self.add(Group::Checkpoints, "recorded", Fact::plain(known.len()));
        }
        for (key, text) in self.run.state.section("checkpoints") {
            if key != "checkpoint_path" && !key.contains(".checkpoint.") && !text.is_empty() {
                self.add(Group::Checkpoints, key, Fact::plain(decode(text)));
            }
        }
    }

    fn user_state(&mut self) {
        let own: Vec<&str> = self
            .run
            .state
            .sections()
            .filter(|s| !KNOWN_SECTIONS.contains(s))
            .collect();
        for section in own {
            for (key, text) in self.run.state.section(section) {
                self.add_leaves(Group::State, &format!("{section}.{key}"), decode(text));
            }
        }
    }
}
