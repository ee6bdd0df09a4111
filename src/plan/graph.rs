//! The phases in their order and the arrows between them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Origin, Phase};

/// A plan that cannot be: each variant names the phases, and where they were declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two phases of one name.
    #[error("phase `{name}` is declared twice{}", first.as_ref().map(|o| format!(" (first at {o})")).unwrap_or_default())]
    Duplicate {
        /// The name.
        name: String,
        /// Where the first one is.
        first: Option<Origin>,
    },
    /// A name that cannot be a key of the state file.
    #[error("`{name}` cannot be a phase name: {why}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A dependency that nobody declared.
    #[error("phase `{phase}` comes after `{missing}`, but no phase has that name{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownDependency {
        /// The phase that waits.
        phase: String,
        /// What it waits for.
        missing: String,
        /// A declared name that is close.
        near: Option<String>,
        /// Where the waiting phase was declared.
        origin: Option<Origin>,
    },
    /// Phases that wait for each other.
    #[error("{}", circle_in_words(path))]
    Cycle {
        /// The circle, its first name repeated at the end.
        path: Vec<String>,
        /// Where its first phase was declared.
        origin: Option<Origin>,
    },
    /// Two phases that `--phase N` would both mean.
    #[error("phases `{first}` and `{second}` both have number {number}")]
    DuplicateNumber {
        /// The number.
        number: i64,
        /// The one that had it.
        first: String,
        /// The one that wants it too.
        second: String,
    },
}

impl PlanError {
    /// Where the mistake was made, when that is known.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            PlanError::UnknownDependency { origin, .. } | PlanError::Cycle { origin, .. } => origin.as_ref(),
            PlanError::Duplicate { .. } | PlanError::BadName { .. } | PlanError::DuplicateNumber { .. } => None,
        }
    }
}

/// A hash for the table, which looks at both ends of it.
fn widen(half: u32) -> u64 {
    (u64::from(half) << 32) | u64::from(half)
}

/// The declared phases, in the order of their declaration.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    phases: Arc<Vec<Arc<Phase>>>,
    /// Where in `phases` a name is, with half of its hash: a table that grows does not go through the names again.
    index: HashTable<(u32, u32)>,
    hasher: RandomState,
    numbers: HashMap<i64, usize>,
}

impl Plan {
    /// Appends a phase; returns its place in the order.
    ///
    /// # Errors
    /// [`PlanError::Duplicate`], [`PlanError::DuplicateNumber`] or [`PlanError::BadName`]; the plan is then as before.
    pub fn add(&mut self, phase: Phase) -> Result<usize, PlanError> {
        if let Some(why) = name_fault(&phase.name) {
            return Err(PlanError::BadName { name: phase.name, why });
        }
        let (place, half) = (self.phases.len(), self.half_hash(&phase.name));
        let is_it = |(place, other): &(u32, u32)| *other == half && self.phases[*place as usize].name == phase.name;
        let free = match self.index.entry(widen(half), is_it, |(_, half)| widen(*half)) {
            Entry::Vacant(free) => free,
            Entry::Occupied(first) => {
                return Err(PlanError::Duplicate {
                    first: self.phases[first.get().0 as usize].origin.clone(),
                    name: phase.name,
                });
            }
        };
        if let Some(number) = phase.options.number {
            if let Some(&first) = self.numbers.get(&number) {
                return Err(PlanError::DuplicateNumber {
                    number,
                    first: self.phases[first].name.clone(),
                    second: phase.name,
                });
            }
            self.numbers.insert(number, place);
        }
        free.insert((place as u32, half));
        Arc::make_mut(&mut self.phases).push(Arc::new(phase));
        Ok(place)
    }

    /// Takes the phase that was added last out again.
    pub fn remove_last(&mut self) {
        if let Some(phase) = Arc::make_mut(&mut self.phases).pop() {
            let (half, place) = (self.half_hash(&phase.name), self.phases.len());
            if let Ok(entry) = self
                .index
                .find_entry(widen(half), |(other, _)| *other as usize == place)
            {
                entry.remove();
            }
            phase.options.number.map(|n| self.numbers.remove(&n));
        }
    }

    /// The phases in order.
    pub fn phases(&self) -> &[Arc<Phase>] {
        &self.phases
    }

    /// The phases in order, for whoever looks at them without the plan. Costs nothing.
    pub fn shared_phases(&self) -> Arc<Vec<Arc<Phase>>> {
        Arc::clone(&self.phases)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.phases.len()
    }

    /// Whether the script declared none.
    pub fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// The place of a phase in the order.
    pub fn position(&self, name: &str) -> Option<usize> {
        let half = self.half_hash(name);
        let found = self.index.find(widen(half), |(place, other)| {
            *other == half && self.phases[*place as usize].name == name
        });
        found.map(|(place, _)| *place as usize)
    }

    fn half_hash(&self, name: &str) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// The phase of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Phase>> {
        self.position(name).map(|i| &self.phases[i])
    }

    /// What a person means by a phase's name or number.
    pub fn find(&self, name_or_number: &str) -> Option<usize> {
        self.position(name_or_number)
            .or_else(|| self.numbers.get(&name_or_number.parse().ok()?).copied())
    }

    /// The declared name that is closest to a mistyped one.
    pub fn nearest(&self, name: &str) -> Option<String> {
        nearest(name, self.phases.iter().map(|p| p.name.as_str()))
    }

    /// Checks the arrows: every dependency exists and there is no circle.
    ///
    /// # Errors
    /// [`PlanError::UnknownDependency`] or [`PlanError::Cycle`].
    pub fn validate(&self) -> Result<(), PlanError> {
        self.phases.iter().try_for_each(|phase| self.check_names(phase))?;
        match self.circle() {
            Some(path) => Err(PlanError::Cycle {
                origin: self.get(&path[0]).and_then(|p| p.origin.clone()),
                path,
            }),
            None => Ok(()),
        }
    }

    /// As [`Plan::validate`], for the phase that was added last to a plan that had nothing wrong with it: nobody waits for it yet.
    ///
    /// # Errors
    /// As [`Plan::validate`].
    pub fn validate_last(&self) -> Result<(), PlanError> {
        let Some(phase) = self.phases.last() else { return Ok(()) };
        self.check_names(phase)?;
        let mut names = phase.options.waits_for();
        if names.any(|name| *name == phase.name) {
            return self.validate();
        }
        Ok(())
    }

    fn check_names(&self, phase: &Phase) -> Result<(), PlanError> {
        let mut names = phase.options.waits_for();
        match names.find(|name| self.position(name).is_none()) {
            None => Ok(()),
            Some(missing) => Err(PlanError::UnknownDependency {
                phase: phase.name.clone(),
                missing: missing.clone(),
                near: self.nearest(missing),
                origin: phase.origin.clone(),
            }),
        }
    }

    /// The positions that a phase waits for.
    pub fn dependencies(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let phase = &self.phases[position];
        phase.options.waits_for().filter_map(|name| self.position(name))
    }

    /// Depth first with an explicit stack: a chain of 100,000 phases must not overflow ours.
    fn circle(&self) -> Option<Vec<String>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            Unseen,
            OnPath,
            Done,
        }
        let mut marks = vec![Mark::Unseen; self.phases.len()];
        for start in 0..self.phases.len() {
            if marks[start] != Mark::Unseen {
                continue;
            }
            marks[start] = Mark::OnPath;
            let mut path: Vec<(usize, Vec<usize>)> = vec![(start, self.dependencies(start).collect())];
            while let Some((here, rest)) = path.last_mut() {
                let here = *here;
                match rest.pop() {
                    None => {
                        marks[here] = Mark::Done;
                        path.pop();
                    }
                    Some(next) if marks[next] == Mark::OnPath => {
                        let from = path.iter().position(|(p, _)| *p == next).unwrap_or(0);
                        // The path runs from a phase to what it waits for; people read the order of running.
                        let mut names: Vec<String> = path[from..]
                            .iter()
                            .rev()
                            .map(|(p, _)| self.phases[*p].name.clone())
                            .collect();
                        names.insert(0, self.phases[next].name.clone());
                        return Some(names);
                    }
                    Some(next) if marks[next] == Mark::Unseen => {
                        marks[next] = Mark::OnPath;
                        path.push((next, self.dependencies(next).collect()));
                    }
                    Some(_) => {}
                }
            }
        }
        None
    }
}

/// What each of a circle waits for; the circle comes in the order of running.
fn circle_in_words(path: &[String]) -> String {
    let waits = |pair: &[String]| format!("{} waits for {}", pair[1], pair[0]);
    let said: Vec<String> = path.windows(2).rev().map(waits).collect();
    match said.as_slice() {
        [_] => format!("phase `{}` waits for itself", path[0]),
        _ => format!("phases wait for each other in a circle: {}", said.join(", ")),
    }
}

/// The closest of some names, when one is close enough to be a slip of the finger.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let reach = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    names
        .map(|n| (strsim::damerau_levenshtein(name, n), n))
        .filter(|(d, _)| *d > 0 && *d <= reach)
        .min_by_key(|(d, _)| *d)
        .map(|(_, n)| n.to_string())
}

/// A phase's name is a key of an INI file that people grep: `^name=`.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.trim() != name {
        Some("it begins or ends with a blank")
    } else if name.starts_with(['[', '#', ';']) {
        Some("a line of the state file that begins so is not a key")
    } else if name.contains('=') {
        Some("the state file separates key and value by `=`")
    } else if name.chars().any(char::is_control) {
        Some("it holds a control character")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::PhaseOptions;
    use super::*;

    fn plan(phases: &[(&str, &[&str])]) -> Plan {
        let mut plan = Plan::default();
        for (name, after) in phases {
            plan.add(Phase {
                name: name.to_string(),
                options: PhaseOptions {
                    after: after.iter().map(|s| s.to_string()).collect(),
                    ..PhaseOptions::default()
                }
                .into(),
                ..Phase::default()
            })
            .expect("distinct names");
        }
        plan
    }

    #[test]
    fn a_phase_may_wait_for_one_that_is_declared_later() {
        assert_eq!(plan(&[("b", &["a"]), ("a", &[])]).validate(), Ok(()));
    }

    #[test]
    fn an_unknown_dependency_is_named_with_a_suggestion() {
        let error = plan(&[("training", &[]), ("eval", &["trainin"])])
            .validate()
            .expect_err("no such phase");
        assert_eq!(
            error.to_string(),
            "phase `eval` comes after `trainin`, but no phase has that name; did you mean `training`?"
        );
    }

    #[test]
    fn of_a_circle_it_is_said_who_waits_for_whom() {
        let error = plan(&[("x", &[]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"])])
            .validate()
            .expect_err("a circle");
        assert_eq!(
            error.to_string(),
            "phases wait for each other in a circle: a waits for c, c waits for b, b waits for a"
        );
    }

    #[test]
    fn the_phase_that_was_added_last_is_checked_as_the_whole_plan_is() {
        for (after, is_fine) in [(&["a", "b"], true), (&["a", "last"], false), (&["a", "none"], false)] {
            let plan = plan(&[("a", &[]), ("b", &["a"]), ("last", after)]);
            assert_eq!(plan.validate_last(), plan.validate());
            assert_eq!(plan.validate().is_ok(), is_fine, "{after:?}");
        }
    }

    #[test]
    fn a_chain_of_100_000_phases_is_checked_without_recursion() {
        let names: Vec<String> = (0..100_000).map(|i| format!("p{i}")).collect();
        let mut plan = Plan::default();
        for (i, name) in names.iter().enumerate() {
            let after = if i + 1 < names.len() {
                vec![names[i + 1].clone()]
            } else {
                vec![]
            };
            plan.add(Phase {
                name: name.clone(),
                options: PhaseOptions {
                    after,
                    ..PhaseOptions::default()
                }
                .into(),
                ..Phase::default()
            })
            .expect("distinct names");
        }
        assert_eq!(plan.validate(), Ok(()));
    }

    #[test]
    fn names_that_would_break_the_state_file_are_refused() {
        for name in ["", " a", "a=b", "[x]", "#x", "a\nb"] {
            assert!(
                matches!(
                    Plan::default().add(Phase {
                        name: name.into(),
                        ..Phase::default()
                    }),
                    Err(PlanError::BadName { .. })
                ),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_phase_is_found_by_name_and_by_number() {
        let mut plan = plan(&[("training", &[])]);
        plan.add(Phase {
            name: "phase1_statistical".into(),
            options: PhaseOptions {
                number: Some(1),
                ..PhaseOptions::default()
            }
            .into(),
            ..Phase::default()
        })
        .expect("new");
        assert_eq!(plan.find("1"), Some(1));
        assert_eq!(plan.find("training"), Some(0));
        assert_eq!(plan.find("2"), None);
    }
}
