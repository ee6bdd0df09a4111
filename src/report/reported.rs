//! What a report needs of one run, read once.

use std::collections::HashMap;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::span::Span;
use crate::compare::{Estimate, RunFacts, RunStanding};
use crate::run::{Activity, ActivityKind, AttemptOutcome, AttemptRecord, RunPath, activities, attempts};
use crate::state::{Moment, PhaseStatus, StateError};

/// A run, with what was recorded of its phases.
pub struct Reported {
    /// Its facts.
    pub facts: RunFacts,
    pub(super) phases: IndexMap<String, PhaseStatus>,
    pub(super) attempts: HashMap<String, Vec<AttemptRecord>>,
    pub(super) activities: Vec<Activity>,
    pub(super) now: Timestamp,
    /// How long it will still take, as earlier runs tell.
    pub(super) rest: Option<Estimate>,
}

impl Reported {
    /// Reads a run: no lock, no write, no waiting.
    ///
    /// # Errors
    /// [`StateError`] when its state cannot be read. What else is missing is left out.
    pub fn read(run: &RunPath) -> Result<Reported, StateError> {
        Reported::at(run, None)
    }

    /// Reads a run as it was at a moment; `None` means now. Of its logs the page shows what they hold now.
    ///
    /// # Errors
    /// As [`Reported::read`], and when its journal knows no such moment.
    pub fn at(run: &RunPath, moment: Option<Moment>) -> Result<Reported, StateError> {
        let facts = RunFacts::at(run, moment)?;
        let now = facts.as_of.unwrap_or_else(Timestamp::now);
        let phases: IndexMap<String, PhaseStatus> = facts.state.phases().map(|(n, s)| (n.to_string(), s)).collect();
        let attempts = phases
            .keys()
            .map(|name| (name.clone(), attempts(&facts.state, name)))
            .collect();
        let mut activities = activities(&run.state_file);
        activities.retain(|activity| activity.started <= now);
        Ok(Reported {
            facts,
            phases,
            attempts,
            activities,
            now,
            rest: None,
        })
    }

    /// The same run, of which it is known how long it will still take.
    #[must_use]
    pub fn with_rest(mut self, rest: Option<Estimate>) -> Reported {
        self.rest = rest;
        self
    }

    /// All attempts of a phase, first first.
    pub(super) fn attempts_of(&self, phase: &str) -> &[AttemptRecord] {
        self.attempts.get(phase).map_or(&[], Vec::as_slice)
    }

    /// The commands of an attempt.
    pub(super) fn commands_of<'a>(&'a self, phase: &'a str, attempt: usize) -> impl Iterator<Item = &'a Activity> {
        let of_attempt = move |a: &&Activity| a.phase == phase && a.attempt as usize == attempt;
        self.activities
            .iter()
            .filter(of_attempt)
            .filter(|a| matches!(a.kind, ActivityKind::Command { .. }))
    }

    /// When an attempt was, as far as that is known: one that is on lasts until now, one whose host died until the last
    /// that was heard of it.
    pub(super) fn span(&self, phase: &str, number: usize, attempt: &AttemptRecord) -> Span {
        let start = attempt.started.as_millisecond() as f64 / 1000.0;
        if let Some(seconds) = attempt.seconds {
            return Span {
                start,
                end: start + seconds,
                open: false,
            };
        }
        if attempt.outcome == AttemptOutcome::Running && self.facts.standing == RunStanding::Running {
            return Span {
                start,
                end: (self.now.as_millisecond() as f64 / 1000.0).max(start),
                open: false,
            };
        }
        let heard = self
            .activities
            .iter()
            .filter(|a| a.phase == phase && a.attempt as usize == number);
        let end = heard
            .map(|a| a.started.as_millisecond() as f64 / 1000.0 + a.seconds)
            .fold(start, f64::max);
        Span { start, end, open: true }
    }

    /// From the first attempt's start to the last one's end, in seconds since 1970.
    pub(super) fn extent(&self) -> Option<Span> {
        let spans = self.attempts.iter().flat_map(|(phase, all)| {
            all.iter()
                .enumerate()
                .map(move |(place, attempt)| self.span(phase, place + 1, attempt))
        });
        spans.reduce(|a, b| Span {
            start: a.start.min(b.start),
            end: a.end.max(b.end),
            open: false,
        })
    }

    /// How many phases stand like this.
    pub(super) fn count(&self, status: PhaseStatus) -> usize {
        self.phases.values().filter(|s| **s == status).count()
    }

    pub(super) fn text(&self, section: &str, key: &str) -> Option<String> {
        let text = self.facts.state.get(section, key).filter(|t| !t.is_empty())?;
        let value = crate::state::value::decode(text);
        Some(value.as_str().map_or_else(|| text.to_string(), String::from))
    }
}
