//! Which fact a person means by a word.

use super::fact::{Fact, Group};
use super::run_facts::RunFacts;

/// Where a bare word is looked for, first the places where people look first.
const ORDER: [Group; 14] = [
    Group::Metrics,
    Group::Parameters,
    Group::Results,
    Group::Durations,
    Group::Code,
    Group::Machine,
    Group::State,
    Group::Packages,
    Group::Environment,
    Group::Checkpoints,
    Group::Resources,
    Group::Failures,
    Group::Attempts,
    Group::Outcome,
];

impl RunFacts {
    /// The fact that a word means: `GROUP:NAME`, a name (metrics first, then parameters and the rest), or the last part
    /// of a metric's or result's name (`accuracy` for `eval.accuracy`).
    pub fn lookup(&self, word: &str) -> Option<(Group, &str, &Fact)> {
        if let Some((group, name)) = word.split_once(':')
            && let Some(group) = Group::from_word(group)
        {
            return self.named(group, name);
        }
        ORDER.into_iter().find_map(|group| self.named(group, word))
    }

    fn named(&self, group: Group, name: &str) -> Option<(Group, &str, &Fact)> {
        let exact = self.facts.get_key_value(&(group, name.to_string()));
        if let Some(((group, name), fact)) = exact {
            return Some((*group, name, fact));
        }
        if !matches!(group, Group::Metrics | Group::Results | Group::State) {
            return None;
        }
        self.facts()
            .find(|(g, full, _)| *g == group && full.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
    }
}
