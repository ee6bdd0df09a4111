//! What a recovery policy may decide, and what it may change for the next attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MASKED;
use super::attempt_record::is_secret;
use crate::plan::duration_in_words;

/// Changes that a policy makes for the next attempt. They add up over attempts and are written down before they count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overrides {
    /// Parameters with their new values.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Environment variables; `null` removes one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub env: Map<String, Value>,
    /// How many GPUs instead of what the phase asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<usize>,
}

impl Overrides {
    /// Adds later changes to earlier ones.
    pub fn merge(&mut self, later: Overrides) {
        self.params.extend(later.params);
        self.env.extend(later.env);
        self.gpus = later.gpus.or(self.gpus);
    }

    /// The changes, and the delay before they count, as they follow "trying again": `with batch_size=8 after 0.5 s`; empty when
    /// there is nothing to say.
    pub fn in_words(&self, delay: Option<Duration>) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        let set = self
            .params
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)));
        let variables = self.env.iter().map(|(name, value)| match value {
            Value::Null => format!("without {name}"),
            _ if is_secret(name) => format!("{name}={MASKED}"),
            value => format!("{name}={}", text(value)),
        });
        let mut parts: Vec<String> = set.chain(variables).collect();
        parts.extend(
            self.gpus
                .map(|n| if n == 1 { "1 GPU".into() } else { format!("{n} GPUs") }),
        );
        let with = (!parts.is_empty()).then(|| format!("with {}", parts.join(", ")));
        let after = delay.filter(|delay| !delay.is_zero());
        let after = after.map(|delay| format!("after {}", duration_in_words(delay)));
        with.into_iter().chain(after).collect::<Vec<_>>().join(" ")
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self == &Overrides::default()
    }
}

/// A policy's answer to a failure.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Try again.
    Retry {
        /// With these changes.
        overrides: Overrides,
        /// After this long.
        delay: Duration,
    },
    /// Leave the phase out; what waits for it goes on.
    Skip {
        /// Why, for the record.
        why: String,
    },
    /// The phase has failed; independent phases go on.
    Fail,
    /// The phase has failed and nothing else is started.
    Abort {
        /// Why, for the record.
        why: String,
    },
    /// The policy has no opinion: ask the next one.
    NoOpinion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_next_is_told_as_a_sentence_goes_on() {
        let mut changes = Overrides::default();
        assert_eq!(changes.in_words(Some(Duration::ZERO)), "");
        assert_eq!(changes.in_words(Some(Duration::from_millis(500))), "after 0.5 s");
        changes.params.insert("batch_size".into(), 8.into());
        assert_eq!(
            changes.in_words(Some(Duration::from_millis(500))),
            "with batch_size=8 after 0.5 s"
        );
        changes.env.insert("API_KEY".into(), "x".into());
        changes.env.insert("DEBUG".into(), Value::Null);
        assert_eq!(changes.in_words(None), "with batch_size=8, API_KEY=***, without DEBUG");
    }
}
