//! Which facts a person means by a word.

use std::borrow::Cow;

use super::collect::ALL_PHASES;
use super::comparison::number;
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

/// The name of a fact, or of the mean of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactName {
    /// Its group.
    pub group: Group,
    /// Its name there; of a mean the last part of the metrics' names.
    pub name: String,
    is_mean: bool,
}

impl FactName {
    /// One fact by its full name.
    pub fn new(group: Group, name: impl Into<String>) -> FactName {
        FactName {
            group,
            name: name.into(),
            is_mean: false,
        }
    }

    /// What a run says of it. The mean of a metric is that over the phases which measured it.
    pub fn of<'a>(&self, run: &'a RunFacts) -> Option<Cow<'a, Fact>> {
        if self.is_mean {
            return mean(run, &self.name).map(Cow::Owned);
        }
        run.fact(self.group, &self.name).map(Cow::Borrowed)
    }

    /// A heading for it, which also finds it again.
    pub fn title(&self) -> String {
        match self.is_mean {
            true => format!("mean({})", self.name),
            false => self.name.clone(),
        }
    }
}

/// The facts that a word means in some runs: of `GROUP:NAME` or of a whole name that one; else those metrics, or results, whose name ends
/// with the word (`accuracy` for `eval.accuracy`), all of them; of `mean(NAME)` the mean of those metrics. Nothing when no run has it.
pub fn facts_named(runs: &[&RunFacts], word: &str) -> Vec<FactName> {
    if let Some((group, name)) = word.split_once(':')
        && let Some(group) = Group::from_word(group)
    {
        return named(runs, group, name);
    }
    let found = ORDER.into_iter().map(|group| named(runs, group, word));
    if let Some(found) = found.into_iter().find(|found| !found.is_empty()) {
        return found;
    }
    let inner = word.strip_prefix("mean(").and_then(|rest| rest.strip_suffix(')'));
    match (inner, word) {
        (Some(inner), _) => {
            let known = runs.iter().any(|run| mean(run, inner.trim()).is_some());
            let name = FactName {
                is_mean: true,
                ..FactName::new(Group::Metrics, inner.trim())
            };
            Vec::from_iter(known.then_some(name))
        }
        (None, "time" | "seconds") => named(runs, Group::Durations, ALL_PHASES),
        _ => vec![],
    }
}

fn named(runs: &[&RunFacts], group: Group, name: &str) -> Vec<FactName> {
    if runs.iter().any(|run| run.fact(group, name).is_some()) {
        return vec![FactName::new(group, name)];
    }
    if !matches!(group, Group::Metrics | Group::Results | Group::State) {
        return vec![];
    }
    let mut found: Vec<FactName> = Vec::new();
    for run in runs {
        for (_, full, _) in run.facts().filter(|(g, full, _)| *g == group && ends_with(full, name)) {
            if found.iter().all(|known| known.name != full) {
                found.push(FactName::new(group, full));
            }
        }
    }
    found
}

/// Whether the last parts of a fact's name are these.
fn ends_with(full: &str, name: &str) -> bool {
    full.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

fn mean(run: &RunFacts, name: &str) -> Option<Fact> {
    let all: Vec<&Fact> = run
        .facts()
        .filter(|(group, full, _)| *group == Group::Metrics && (*full == name || ends_with(full, name)))
        .map(|(.., fact)| fact)
        .collect();
    let numbers: Vec<f64> = all.iter().filter_map(|fact| number(fact)).collect();
    if numbers.is_empty() {
        return None;
    }
    let better = all.first().and_then(|fact| fact.better);
    Some(Fact {
        better: better.filter(|better| all.iter().all(|fact| fact.better == Some(*better))),
        ..Fact::plain(numbers.iter().sum::<f64>() / numbers.len() as f64)
    })
}
