//! What a recovery policy may decide, and what it may change for the next attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
