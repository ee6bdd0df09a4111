//! Which phases of a plan the command line asks for.

use super::Plan;
use crate::plan::graph::nearest;

/// `--phase`, `--from`, `--until` and `--rerun` as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Run these alone, whether or not what they wait for has completed.
    pub only: Vec<String>,
    /// Run this one and what depends on it.
    pub from: Option<String>,
    /// Run this one and what it depends on.
    pub until: Option<String>,
    /// Run these again although they completed.
    pub rerun: Vec<String>,
    /// Run again what is stale.
    pub rerun_stale: bool,
}

/// A phase that the plan does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no phase is named `{name}`{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct SelectionError {
    /// What was asked for.
    pub name: String,
    /// A name that is close.
    pub near: Option<String>,
    /// What there is: names, with the number where one was given.
    pub known: Vec<String>,
}

impl Selection {
    /// Whether nothing was asked for, so that everything is.
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.from.is_none() && self.until.is_none()
    }

    /// For each phase of the plan, whether it is asked for.
    ///
    /// # Errors
    /// [`SelectionError`] for a name that the plan does not have.
    pub fn resolve(&self, plan: &Plan) -> Result<Vec<bool>, SelectionError> {
        let mut chosen = vec![self.only.is_empty(); plan.len()];
        for name in &self.only {
            chosen[find(plan, name)?] = true;
        }
        if let Some(name) = &self.until {
            let wanted = ancestors(plan, find(plan, name)?);
            chosen.iter_mut().zip(wanted).for_each(|(c, w)| *c &= w);
        }
        if let Some(name) = &self.from {
            let wanted = descendants(plan, find(plan, name)?);
            chosen.iter_mut().zip(wanted).for_each(|(c, w)| *c &= w);
        }
        Ok(chosen)
    }

    /// The positions of the phases to run again.
    ///
    /// # Errors
    /// [`SelectionError`] for a name that the plan does not have.
    pub fn reruns(&self, plan: &Plan) -> Result<Vec<usize>, SelectionError> {
        self.rerun.iter().map(|name| find(plan, name)).collect()
    }
}

fn find(plan: &Plan, name: &str) -> Result<usize, SelectionError> {
    plan.find(name).ok_or_else(|| {
        let known = plan.phases().iter().map(|p| match p.options.number {
            Some(n) => format!("{} ({n})", p.name),
            None => p.name.clone(),
        });
        SelectionError {
            name: name.to_string(),
            near: nearest(name, plan.phases().iter().map(|p| p.name.as_str())),
            known: known.collect(),
        }
    })
}

fn ancestors(plan: &Plan, start: usize) -> Vec<bool> {
    let mut seen = vec![false; plan.len()];
    let mut queue = vec![start];
    while let Some(here) = queue.pop() {
        if !std::mem::replace(&mut seen[here], true) {
            queue.extend(plan.dependencies(here));
        }
    }
    seen
}

fn descendants(plan: &Plan, start: usize) -> Vec<bool> {
    let mut dependents = vec![Vec::new(); plan.len()];
    for here in 0..plan.len() {
        for earlier in plan.dependencies(here) {
            dependents[earlier].push(here);
        }
    }
    let mut seen = vec![false; plan.len()];
    let mut queue = vec![start];
    while let Some(here) = queue.pop() {
        if !std::mem::replace(&mut seen[here], true) {
            queue.extend(&dependents[here]);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, PhaseOptions};

    fn diamond() -> Plan {
        let mut plan = Plan::default();
        for (name, after, number) in [
            ("a", vec![], None),
            ("b", vec!["a"], Some(1)),
            ("c", vec!["a"], Some(2)),
            ("d", vec!["b", "c"], None),
        ] {
            plan.add(Phase {
                name: name.into(),
                options: PhaseOptions {
                    after: after.into_iter().map(String::from).collect(),
                    number,
                    ..PhaseOptions::default()
                }
                .into(),
                ..Phase::default()
            })
            .expect("distinct");
        }
        plan
    }

    #[test]
    fn until_takes_what_a_phase_needs_and_from_takes_what_needs_it() {
        let until = Selection {
            until: Some("b".into()),
            ..Selection::default()
        };
        assert_eq!(until.resolve(&diamond()), Ok(vec![true, true, false, false]));
        let from = Selection {
            from: Some("c".into()),
            ..Selection::default()
        };
        assert_eq!(from.resolve(&diamond()), Ok(vec![false, false, true, true]));
    }

    #[test]
    fn a_number_selects_a_phase_alone() {
        let only = Selection {
            only: vec!["2".into()],
            ..Selection::default()
        };
        assert_eq!(only.resolve(&diamond()), Ok(vec![false, false, true, false]));
    }

    #[test]
    fn an_unknown_phase_lists_what_there_is() {
        let error = Selection {
            only: vec!["9".into()],
            ..Selection::default()
        }
        .resolve(&diamond())
        .expect_err("no phase 9");
        assert_eq!(error.known, ["a", "b (1)", "c (2)", "d"]);
    }
}
