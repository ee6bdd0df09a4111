//! What a recovery policy may decide, and what it may change for the next attempt.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MASKED;
use super::attempt_record::now;
use super::secret::is_secret;
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

    /// The same with secrets masked, for the record.
    pub(super) fn masked(&self) -> Overrides {
        let mut masked = self.clone();
        for (name, value) in &mut masked.env {
            if is_secret(name) && !value.is_null() {
                *value = MASKED.into();
            }
        }
        masked
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self == &Overrides::default()
    }
}

/// What is decided of the next attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// What is changed for it, and for all that follow.
    #[serde(flatten)]
    pub changes: Overrides,
    /// When a delay was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
    /// Before this it is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

impl NextAttempt {
    /// An attempt after this delay from now on.
    pub(super) fn after(changes: Overrides, delay: Duration) -> NextAttempt {
        let decided = (!delay.is_zero()).then(now);
        NextAttempt {
            changes,
            decided,
            not_before: decided.and_then(|decided| decided.checked_add(delay).ok()),
        }
    }

    /// The delay that was decided.
    pub fn delay(&self) -> Option<Duration> {
        let delay = self.not_before?.duration_since(self.decided?);
        Duration::try_from(delay).ok()
    }

    /// How long there is to wait at a moment. Nothing when that lies before the decision: a clock that was set back says nothing.
    pub fn wait(&self, at: Timestamp) -> Duration {
        match (self.decided, self.not_before) {
            (Some(decided), Some(not_before)) if decided <= at => {
                Duration::try_from(not_before.duration_since(at)).unwrap_or_default()
            }
            _ => Duration::ZERO,
        }
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
    fn what_is_left_of_a_delay_is_nothing_when_it_is_past_or_the_clock_was_set_back() {
        let decided: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let next = NextAttempt {
            decided: Some(decided),
            not_before: Some(decided + Duration::from_secs(60)),
            ..NextAttempt::default()
        };
        let wait = |seconds: i64| next.wait(decided + jiff::SignedDuration::from_secs(seconds)).as_secs();
        assert_eq!([0, 20, 60, 3600, -1, -3600].map(wait), [60, 40, 0, 0, 0, 0]);
        assert_eq!(NextAttempt::default().wait(decided), Duration::ZERO);
    }

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
