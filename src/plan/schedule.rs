//! What is ready: the plan's arrows counted down as phases finish.
//!
//! Every phase and every arrow is looked at a constant number of times, so that a plan of 100,000 phases costs time
//! linear in its size.

use std::collections::BTreeSet;

use super::Plan;

/// How a phase stands within the run that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not begun.
    Waiting,
    /// Begun and not ended.
    Running,
    /// Ended well, now or earlier.
    Completed,
    /// Left out on purpose: what waits for it goes on.
    Skipped,
    /// Ended badly.
    Failed,
}

impl Standing {
    fn satisfies(self, any: bool) -> bool {
        match self {
            Standing::Completed | Standing::Skipped => true,
            Standing::Failed => any,
            Standing::Waiting | Standing::Running => false,
        }
    }
}

/// Why a phase did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Something it waits for failed.
    DependencyFailed(Vec<String>),
    /// Something it waits for did not run itself.
    DependencyPending(Vec<String>),
    /// The run ended before its turn came.
    NotReached,
    /// It was not asked for.
    NotSelected,
}

struct Arrow {
    to: usize,
    any: bool,
}

/// The state of a plan being walked.
pub struct Schedule {
    standing: Vec<Standing>,
    selected: Vec<bool>,
    unmet: Vec<usize>,
    dependents: Vec<Vec<Arrow>>,
    ready: BTreeSet<usize>,
    alone: bool,
}

impl Schedule {
    /// Begins a walk. `standing` and `selected` have one entry a phase. With `alone`, the selected phases run
    /// whether or not what they wait for has completed, unless that is selected as well.
    pub fn new(plan: &Plan, standing: Vec<Standing>, selected: Vec<bool>, alone: bool) -> Schedule {
        let mut schedule = Schedule {
            standing,
            selected,
            unmet: vec![],
            dependents: vec![],
            ready: BTreeSet::new(),
            alone,
        };
        schedule.wire(plan, 0);
        schedule
    }

    /// Takes in phases that were declared since the walk began; they are selected and waiting.
    pub fn extend(&mut self, plan: &Plan) {
        let known = self.standing.len();
        self.standing.resize(plan.len(), Standing::Waiting);
        self.selected.resize(plan.len(), true);
        self.wire(plan, known);
    }

    fn wire(&mut self, plan: &Plan, from: usize) {
        self.dependents.resize_with(plan.len(), Vec::new);
        self.unmet.resize(plan.len(), 0);
        for here in from..plan.len() {
            let phase = &plan.phases()[here];
            for (names, any) in [(&phase.options.after, false), (&phase.options.after_any, true)] {
                for earlier in names.iter().filter_map(|n| plan.position(n)) {
                    let ignored = self.alone && !self.selected[earlier];
                    if !ignored {
                        self.dependents[earlier].push(Arrow { to: here, any });
                        self.unmet[here] += usize::from(!self.standing[earlier].satisfies(any));
                    }
                }
            }
            self.note_ready(here);
        }
    }

    fn note_ready(&mut self, here: usize) {
        if self.standing[here] == Standing::Waiting && self.selected[here] && self.unmet[here] == 0 {
            self.ready.insert(here);
        }
    }

    /// The first ready phase that `fits` says yes to, taken out and running.
    pub fn take_ready(&mut self, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
        let here = self.ready.iter().copied().find(|&p| fits(p))?;
        self.ready.remove(&here);
        self.standing[here] = Standing::Running;
        Some(here)
    }

    /// A phase ended, or somebody said how it stands that was not running. `Waiting` puts it back as one that has not begun, and
    /// it is not tried again in this walk.
    pub fn finished(&mut self, here: usize, standing: Standing) {
        let stood = std::mem::replace(&mut self.standing[here], standing);
        self.ready.remove(&here);
        let arrows = std::mem::take(&mut self.dependents[here]);
        let is_met = |arrow: &&Arrow| standing.satisfies(arrow.any) && !stood.satisfies(arrow.any);
        for arrow in arrows.iter().filter(is_met) {
            self.unmet[arrow.to] = self.unmet[arrow.to].saturating_sub(1);
            self.note_ready(arrow.to);
        }
        self.dependents[here] = arrows;
    }

    /// Completed phases that wait for this one: what they were made from has changed.
    pub fn completed_dependents(&self, here: usize) -> Vec<usize> {
        let done = |a: &&Arrow| self.standing[a.to] == Standing::Completed;
        self.dependents[here].iter().filter(done).map(|a| a.to).collect()
    }

    /// Sets a phase that has ended back, so that it runs again once what it waits for has finished; and what waits for it, and
    /// has not begun, waits again.
    pub fn set_back(&mut self, plan: &Plan, here: usize) {
        let stood = std::mem::replace(&mut self.standing[here], Standing::Waiting);
        for arrow in self.dependents[here].iter().filter(|a| stood.satisfies(a.any)) {
            self.unmet[arrow.to] += 1;
            self.ready.remove(&arrow.to);
        }
        let phase = &plan.phases()[here];
        let mut unmet = 0;
        for (names, any) in [(&phase.options.after, false), (&phase.options.after_any, true)] {
            for earlier in names.iter().filter_map(|n| plan.position(n)) {
                let ignored = self.alone && !self.selected[earlier];
                unmet += usize::from(!ignored && !self.standing[earlier].satisfies(any));
            }
        }
        self.unmet[here] = unmet;
        self.note_ready(here);
    }

    /// How many phases wait and were asked for.
    pub fn waiting(&self) -> usize {
        let asked = self.standing.iter().zip(&self.selected);
        asked
            .filter(|&(s, selected)| *selected && *s == Standing::Waiting)
            .count()
    }

    /// How a phase stands.
    pub fn standing(&self, here: usize) -> Standing {
        self.standing[here]
    }

    /// Whether a phase was asked for.
    pub fn is_selected(&self, here: usize) -> bool {
        self.selected[here]
    }

    /// Why a phase that is still waiting did not run; `None` for one that is not waiting.
    pub fn blocked(&self, plan: &Plan, here: usize) -> Option<Blocked> {
        if self.standing[here] != Standing::Waiting {
            return None;
        }
        if !self.selected[here] {
            return Some(Blocked::NotSelected);
        }
        let phase = &plan.phases()[here];
        let (mut failed, mut pending) = (vec![], vec![]);
        for (names, any) in [(&phase.options.after, false), (&phase.options.after_any, true)] {
            for name in names {
                let Some(earlier) = plan.position(name) else { continue };
                match self.standing[earlier] {
                    standing if standing.satisfies(any) => {}
                    Standing::Failed => failed.push(name.clone()),
                    _ => pending.push(name.clone()),
                }
            }
        }
        Some(match (failed.is_empty(), pending.is_empty()) {
            (false, _) => Blocked::DependencyFailed(failed),
            (true, false) => Blocked::DependencyPending(pending),
            (true, true) => Blocked::NotReached,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, PhaseOptions};

    fn stock() -> Plan {
        let mut plan = Plan::default();
        let strings = |names: &[&str]| names.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let mut add = |name: &str, after: &[&str], after_any: &[&str]| {
            let phase = Phase {
                name: name.into(),
                options: PhaseOptions {
                    after: strings(after),
                    after_any: strings(after_any),
                    ..PhaseOptions::default()
                }
                .into(),
                ..Phase::default()
            };
            plan.add(phase).expect("distinct names");
        };
        add("training", &[], &[]);
        add("one", &["training"], &[]);
        add("two", &["training"], &[]);
        add("aggregation", &[], &["one", "two"]);
        plan
    }

    fn walk(plan: &Plan, schedule: &mut Schedule, failing: &[&str]) -> Vec<String> {
        let mut order = vec![];
        while let Some(here) = schedule.take_ready(|_| true) {
            let name = plan.phases()[here].name.clone();
            schedule.finished(
                here,
                if failing.contains(&name.as_str()) {
                    Standing::Failed
                } else {
                    Standing::Completed
                },
            );
            order.push(name);
        }
        order
    }

    #[test]
    fn independent_phases_go_on_and_the_last_takes_what_there_is() {
        let plan = stock();
        let mut schedule = Schedule::new(&plan, vec![Standing::Waiting; 4], vec![true; 4], false);
        assert_eq!(
            walk(&plan, &mut schedule, &["one"]),
            ["training", "one", "two", "aggregation"]
        );
    }

    #[test]
    fn nothing_runs_after_a_failed_training_and_each_phase_can_say_why() {
        let plan = stock();
        let mut schedule = Schedule::new(&plan, vec![Standing::Waiting; 4], vec![true; 4], false);
        assert_eq!(walk(&plan, &mut schedule, &["training"]), ["training"]);
        assert_eq!(
            schedule.blocked(&plan, 1),
            Some(Blocked::DependencyFailed(vec!["training".into()]))
        );
        assert_eq!(
            schedule.blocked(&plan, 3),
            Some(Blocked::DependencyPending(vec!["one".into(), "two".into()]))
        );
    }

    #[test]
    fn a_phase_asked_for_alone_does_not_wait() {
        let plan = stock();
        let mut schedule = Schedule::new(&plan, vec![Standing::Waiting; 4], vec![false, false, true, false], true);
        assert_eq!(walk(&plan, &mut schedule, &[]), ["two"]);
        assert_eq!(schedule.blocked(&plan, 0), Some(Blocked::NotSelected));
    }

    #[test]
    fn a_phase_declared_on_the_way_joins_in() {
        let mut plan = stock();
        let mut schedule = Schedule::new(&plan, vec![Standing::Completed; 4], vec![true; 4], false);
        plan.add(Phase {
            name: "late".into(),
            options: PhaseOptions {
                after: vec!["one".into()],
                ..PhaseOptions::default()
            }
            .into(),
            ..Phase::default()
        })
        .expect("new");
        schedule.extend(&plan);
        assert_eq!(walk(&plan, &mut schedule, &[]), ["late"]);
    }

    #[test]
    fn what_waits_for_a_phase_that_is_set_back_does_not_begin_beside_it_nor_before_all_it_waits_for() {
        let plan = stock();
        let mut standing = vec![Standing::Waiting; 4];
        standing[0] = Standing::Completed;
        let mut schedule = Schedule::new(&plan, standing, vec![true; 4], false);
        schedule.set_back(&plan, 0);
        assert_eq!(schedule.take_ready(|_| true), Some(0));
        assert_eq!(schedule.take_ready(|_| true), None, "one and two wait for the training");
        schedule.finished(0, Standing::Completed);
        assert_eq!(schedule.take_ready(|_| true), Some(1));
        schedule.finished(1, Standing::Completed);
        // It is set back and completes once more, while two has not.
        schedule.set_back(&plan, 1);
        assert_eq!(schedule.take_ready(|position| position != 2), Some(1));
        schedule.finished(1, Standing::Completed);
        assert_eq!(
            schedule.take_ready(|position| position != 2),
            None,
            "aggregation waits for two"
        );
        assert_eq!(walk(&plan, &mut schedule, &[]), ["two", "aggregation"]);
    }

    #[test]
    fn a_phase_set_back_runs_again_after_what_it_waits_for() {
        let plan = stock();
        let mut standing = vec![Standing::Completed; 4];
        standing[2] = Standing::Waiting;
        let mut schedule = Schedule::new(&plan, standing, vec![true; 4], false);
        assert_eq!(schedule.completed_dependents(2), [3]);
        schedule.set_back(&plan, 3);
        assert_eq!(walk(&plan, &mut schedule, &[]), ["two", "aggregation"]);
    }
}
