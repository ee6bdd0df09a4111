//! How long a run that is on will still take, judged by earlier runs of the same script.

use jiff::Timestamp;

use crate::run::{AttemptOutcome, AttemptRecord, attempts};
use crate::state::{PhaseStatus, State};

/// What earlier runs say about the rest of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds until the end of the phases that are known.
    pub seconds: f64,
    /// How many earlier runs say so.
    pub runs: usize,
    /// Phases that are to come and that no earlier run has completed.
    pub unknown: Vec<String>,
}

/// Judges the rest of a run at a moment; `None` when no earlier run has completed any of the phases to come.
///
/// A phase is expected to take the mean of what it took in the earlier runs. Phases that ran side by side so far are expected to
/// go on so.
pub fn estimate(state: &State, earlier: &[State], now: Timestamp) -> Option<Estimate> {
    let mut work = 0.0;
    let mut longest_running = 0.0_f64;
    let mut used = vec![false; earlier.len()];
    let mut unknown = Vec::new();
    for (phase, status) in state.phases() {
        let begun = match status {
            PhaseStatus::Completed | PhaseStatus::Skipped => continue,
            PhaseStatus::InProgress => attempts(state, phase).last().map(|a| a.started),
            PhaseStatus::Pending | PhaseStatus::Failed => None,
        };
        let took: Vec<(usize, f64)> = earlier
            .iter()
            .enumerate()
            .filter_map(|(run, state)| Some((run, seconds_of(state, phase)?)))
            .collect();
        if took.is_empty() {
            unknown.push(phase.to_string());
            continue;
        }
        took.iter().for_each(|(run, _)| used[*run] = true);
        let expected = took.iter().map(|(_, seconds)| seconds).sum::<f64>() / took.len() as f64;
        let elapsed = begun.map_or(0.0, |begun| now.duration_since(begun).as_secs_f64());
        let left = (expected - elapsed).max(0.0);
        work += left;
        longest_running = longest_running.max(left);
    }
    let runs = used.into_iter().filter(|used| *used).count();
    // No single phase gets faster by others running beside it.
    let seconds = (work / side_by_side(state)).max(longest_running);
    (runs > 0).then_some(Estimate { seconds, runs, unknown })
}

/// How long a phase took where it completed.
fn seconds_of(state: &State, phase: &str) -> Option<f64> {
    let completed = |a: &AttemptRecord| a.outcome == AttemptOutcome::Completed;
    attempts(state, phase).last().filter(|a| completed(a))?.seconds
}

/// How many phases ran at once on average, in the time in which any ran: at least 1.
fn side_by_side(state: &State) -> f64 {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for (phase, _) in state.phases() {
        for attempt in attempts(state, phase) {
            let start = attempt.started.as_millisecond() as f64 / 1000.0;
            spans.extend(attempt.seconds.map(|seconds| (start, start + seconds)));
        }
    }
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let work: f64 = spans.iter().map(|(start, end)| end - start).sum();
    let mut busy = 0.0;
    let mut until = f64::NEG_INFINITY;
    for (start, end) in spans {
        busy += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    if busy > 0.0 { (work / busy).max(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Change;

    fn state(phases: &[(&str, &str)], records: &[(&str, &str, f64, Option<f64>)]) -> State {
        let mut state = State::default();
        let mut set = |section: &str, key: &str, value: String| {
            state.apply(&Change {
                section: section.into(),
                key: key.into(),
                value: Some(value),
            });
        };
        for (phase, status) in phases {
            set("phases", phase, (*status).into());
        }
        for (phase, outcome, start, seconds) in records {
            let started = Timestamp::from_millisecond((start * 1000.0) as i64).expect("a moment");
            let seconds = seconds.map(|s| format!(",\"seconds\":{s}")).unwrap_or_default();
            set(
                "attempts",
                &format!("{phase}.1"),
                format!("{{\"outcome\":\"{outcome}\",\"started\":\"{started}\"{seconds}}}"),
            );
        }
        state
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    const TWO: [(&str, &str); 2] = [("a", "in_progress"), ("b", "pending")];

    #[test]
    fn the_rest_is_the_mean_of_what_the_phases_took_less_what_has_passed() {
        let now = state(&TWO, &[("a", "running", 1000.0, None)]);
        let earlier = [
            state(
                &[("a", "completed")],
                &[
                    ("a", "completed", 0.0, Some(100.0)),
                    ("b", "completed", 0.0, Some(50.0)),
                ],
            ),
            state(
                &[("a", "completed")],
                &[("a", "completed", 0.0, Some(200.0)), ("b", "failed", 0.0, Some(1.0))],
            ),
        ];
        let found = estimate(&now, &earlier, at(1040)).expect("there are earlier runs");
        // `b` failed in the second, so only the first says how long it takes.
        assert_eq!(
            found,
            Estimate {
                seconds: 110.0 + 50.0,
                runs: 2,
                unknown: vec![]
            }
        );
        let late = estimate(&now, &earlier, at(9000)).expect("there are earlier runs");
        assert_eq!(
            late.seconds, 50.0,
            "a phase that takes longer than ever is expected to end now"
        );
    }

    #[test]
    fn phases_nobody_knows_are_named_and_without_earlier_runs_nothing_is_said() {
        let now = state(&TWO, &[]);
        assert_eq!(estimate(&now, &[], at(0)), None);
        let other = state(&[("x", "completed")], &[("x", "completed", 0.0, Some(9.0))]);
        assert_eq!(estimate(&now, &[other], at(0)), None);
        let half = state(&[("b", "completed")], &[("b", "completed", 0.0, Some(9.0))]);
        let found = estimate(&now, &[half], at(0)).expect("half is known");
        assert_eq!((found.seconds, found.unknown), (9.0, vec!["a".to_string()]));
    }

    #[test]
    fn phases_that_ran_side_by_side_are_expected_to_go_on_so() {
        let phases = [
            ("a", "completed"),
            ("b", "completed"),
            ("c", "pending"),
            ("d", "pending"),
        ];
        let done = [("a", "completed", 0.0, Some(10.0)), ("b", "completed", 0.0, Some(10.0))];
        let earlier = state(
            &phases,
            &[("c", "completed", 0.0, Some(10.0)), ("d", "completed", 0.0, Some(10.0))],
        );
        let found = estimate(&state(&phases, &done), &[earlier], at(10)).expect("known");
        assert_eq!(found.seconds, 10.0);
    }
}
