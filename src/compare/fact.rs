//! One thing that is known of a run, and the question it answers.

use serde_json::{Map, Value};

use crate::run::Better;

/// A question that a person asks of two runs; facts are told in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// How did it end, and each phase of it?
    Outcome,
    /// What was measured?
    Metrics,
    /// What did the phases return?
    Results,
    /// How long did it take?
    Durations,
    /// How much memory and processor time did it use?
    Resources,
    /// What went wrong?
    Failures,
    /// How often was each phase tried?
    Attempts,
    /// With which parameters?
    Parameters,
    /// Was it the same code?
    Code,
    /// The same environment?
    Environment,
    /// The same packages?
    Packages,
    /// The same machine?
    Machine,
    /// Which checkpoints are there?
    Checkpoints,
    /// What did the script, or a person, write into the state?
    State,
}

impl Group {
    /// All groups, in the order in which they are told.
    pub const ALL: [Group; 14] = [
        Group::Outcome,
        Group::Metrics,
        Group::Results,
        Group::Durations,
        Group::Resources,
        Group::Failures,
        Group::Attempts,
        Group::Parameters,
        Group::Code,
        Group::Environment,
        Group::Packages,
        Group::Machine,
        Group::Checkpoints,
        Group::State,
    ];

    /// The group's name in `--only`, in JSON, and as a heading.
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::Outcome => "outcome",
            Group::Metrics => "metrics",
            Group::Results => "results",
            Group::Durations => "durations",
            Group::Resources => "resources",
            Group::Failures => "failures",
            Group::Attempts => "attempts",
            Group::Parameters => "parameters",
            Group::Code => "code",
            Group::Environment => "environment",
            Group::Packages => "packages",
            Group::Machine => "machine",
            Group::Checkpoints => "checkpoints",
            Group::State => "state",
        }
    }

    /// The words that people use for groups, their names included.
    pub const WORDS: [&str; 17] = [
        "outcome",
        "metrics",
        "results",
        "durations",
        "resources",
        "failures",
        "attempts",
        "parameters",
        "code",
        "environment",
        "packages",
        "machine",
        "checkpoints",
        "state",
        "params",
        "env",
        "git",
    ];

    /// The group that a word means: its name, the beginning of it (`params`, `env`), or a word people use for it.
    pub fn from_word(word: &str) -> Option<Group> {
        let word = word.trim().to_lowercase();
        let other = match word.as_str() {
            "params" | "param" => Some(Group::Parameters),
            "time" | "times" | "seconds" => Some(Group::Durations),
            "phases" | "status" => Some(Group::Outcome),
            "memory" | "cpu" => Some(Group::Resources),
            "script" | "git" => Some(Group::Code),
            "host" | "hosts" | "gpu" | "gpus" => Some(Group::Machine),
            _ => None,
        };
        let begins = |group: &Group| word.len() >= 3 && group.as_str().starts_with(&word);
        other.or_else(|| Group::ALL.into_iter().find(begins))
    }
}

/// In what a number is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// It is only a number, or no number at all.
    Plain,
    /// Seconds.
    Seconds,
    /// KiB.
    Kib,
    /// A point in time, as text.
    Moment,
    /// A map: what phases used by their names, and what all others did under `*`.
    ByPhase,
}

impl Unit {
    /// The unit's name in JSON; `None` for a plain number.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Unit::Plain => None,
            Unit::Seconds => Some("seconds"),
            Unit::Kib => Some("KiB"),
            Unit::Moment => Some("time"),
            Unit::ByPhase => Some("by phase"),
        }
    }
}

/// One thing that is known of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its value.
    pub value: Value,
    /// In what it is counted.
    pub unit: Unit,
    /// Which way is better, where that is known.
    pub better: Option<Better>,
    /// Whether it says nothing of what the run did: a session's own variables, times of day. It is told only on demand.
    pub aside: bool,
}

impl Fact {
    /// A plain value.
    pub(super) fn plain(value: impl Into<Value>) -> Fact {
        Fact {
            value: value.into(),
            unit: Unit::Plain,
            better: None,
            aside: false,
        }
    }

    /// Seconds that something took.
    pub(super) fn seconds(seconds: f64) -> Fact {
        Fact {
            unit: Unit::Seconds,
            better: Some(Better::Lower),
            ..Fact::plain(seconds)
        }
    }

    /// An amount of memory in KiB.
    pub(super) fn kib(kib: u64) -> Fact {
        Fact {
            unit: Unit::Kib,
            ..Fact::plain(kib)
        }
    }

    /// A value that is not the same in all phases.
    pub(super) fn by_phase(values: Map<String, Value>) -> Fact {
        Fact {
            unit: Unit::ByPhase,
            ..Fact::plain(values)
        }
    }

    /// The same, to be told only on demand.
    pub(super) fn aside(mut self) -> Fact {
        self.aside = true;
        self
    }
}

/// Whether two values mean the same: numbers as numbers (`1` is `1.0`), lists and maps part by part.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b && a.abs() < EXACT)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => left == right,
    }
}

/// Below this a whole number and the double that is nearest to it are the same number.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        assert!(same(&json!(1), &json!(1.0)));
        assert!(same(&json!([1, { "a": 2.0 }]), &json!([1.0, { "a": 2 }])));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(&json!(0.1), &json!(0.2)));
        assert!(!same(
            &json!(9_007_199_254_740_993_i64),
            &json!(9_007_199_254_740_992_i64)
        ));
        assert!(!same(&json!([1, 2]), &json!([2, 1])));
    }

    #[test]
    fn a_group_is_found_by_its_name_its_beginning_or_another_word_for_it() {
        for group in Group::ALL {
            assert_eq!(Group::from_word(group.as_str()), Some(group));
        }
        for (word, group) in [
            ("params", Group::Parameters),
            ("env", Group::Environment),
            ("GPU", Group::Machine),
        ] {
            assert_eq!(Group::from_word(word), Some(group), "{word}");
        }
        assert_eq!(Group::from_word("nothing"), None);
        assert_eq!(Group::from_word(""), None);
    }
}
