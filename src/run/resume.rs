//! Taking over a run that ended: what the last host left in progress is gone on with where its commands are noted, is pending
//! again where they are not, and is said so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::command_book::{self, CommandBook, Open};
use super::records;
use super::{AttemptOutcome, AttemptRecord, GpuPool, Session, attempts};
use crate::exec::{Entry, Living, Logbook, living_with};
use crate::state::{Event, PhaseStatus, State, StateError};

/// Something that was found when a run was taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeNote {
    /// The phase.
    pub phase: String,
    /// What was found, in one line.
    pub text: String,
}

/// The attempts of a dead host that can be gone on with, by phase.
#[derive(Default)]
pub struct Unfinished {
    attempts: HashMap<String, UnfinishedAttempt>,
}

/// An attempt whose host has died, with what its commands have come to.
pub(super) struct UnfinishedAttempt {
    pub number: u32,
    pub record: AttemptRecord,
    logbook: Logbook,
    entries: Vec<Entry>,
    /// The GPUs that are kept for it: its commands may be using them.
    reserved: Vec<String>,
}

/// What a phase is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// The step, when it is in one.
    pub step: Option<String>,
    /// The command, as its process is called.
    pub command: String,
}

impl Unfinished {
    /// Looks for them; nothing is written. `private` is jumar's own directory in the run.
    ///
    /// Not among them is a phase that somebody has marked otherwise, one of which nothing is noted, and all of them when
    /// the machine has been booted since.
    pub fn find(state: &State, private: &Path) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for (phase, _) in state.phases().filter(|(_, status)| *status == PhaseStatus::InProgress) {
            let mut known = attempts(state, phase);
            let number = known.len() as u32;
            let Some(record) = known.pop().filter(|a| a.outcome == AttemptOutcome::Running) else {
                continue;
            };
            let found = command_book::find(private, phase, number, &record).unwrap_or_else(|error| {
                tracing::warn!(%error, phase, "what was noted of its commands cannot be read");
                None
            });
            if let Some((logbook, entries)) = found {
                let attempt = UnfinishedAttempt {
                    number,
                    record,
                    logbook,
                    entries,
                    reserved: vec![],
                };
                unfinished.attempts.insert(phase.into(), attempt);
            }
        }
        unfinished
    }

    /// Leaves only phases of which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.attempts.retain(|phase, _| keep(phase));
    }

    /// The step and the command that a phase is at now; `None` between commands, and where that cannot be seen from here.
    pub fn at_work(&self, phase: &str) -> Option<AtWork> {
        let mut open = self
            .get(phase)?
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.end.is_none());
        let (entry, process) = open.find_map(|entry| Some((entry, Living::named(entry.process)?)))?;
        let step = command_book::read_label(&entry.label).map(|(_, _, step)| step);
        let command = process.command;
        // A text for the shell is shown as it was written.
        let written = ["bash -o pipefail -ec ", "sh -ec "]
            .iter()
            .find_map(|shell| command.strip_prefix(shell));
        Some(AtWork {
            step: step.filter(|step| !step.is_empty()),
            command: written.map_or_else(|| command.clone(), String::from),
        })
    }

    /// How far the commands of a phase's attempt have come, as in "1 command had ended"; `None` when there is none to go on with.
    pub fn progress(&self, phase: &str) -> Option<String> {
        self.get(phase).map(|attempt| said(attempt.counts()))
    }

    /// Takes the attempt at one phase, to go on with it.
    pub(super) fn take(&mut self, phase: &str) -> Option<UnfinishedAttempt> {
        self.attempts.remove(phase)
    }

    pub(super) fn get(&self, phase: &str) -> Option<&UnfinishedAttempt> {
        self.attempts.get(phase)
    }

    /// Takes the GPUs that the attempt at a phase has had out of the pool, if those are as many as it wants now.
    pub(super) fn reserve(&mut self, phase: &str, wanted: usize, pool: &GpuPool) {
        if let Some(attempt) = self.attempts.get_mut(phase)
            && attempt.record.gpus.len() == wanted
            && pool.lease_these(&attempt.record.gpus)
        {
            attempt.reserved.clone_from(&attempt.record.gpus);
        }
    }

    /// The GPUs that were kept for a phase, which are its own now.
    pub(super) fn reserved(&mut self, phase: &str) -> Option<Vec<String>> {
        let attempt = self.attempts.get_mut(phase)?;
        (!attempt.reserved.is_empty()).then(|| std::mem::take(&mut attempt.reserved))
    }

    /// The files of all books.
    pub(super) fn books(&self) -> Vec<PathBuf> {
        let books = self.attempts.values().map(|attempt| attempt.logbook.path().to_owned());
        books.collect()
    }
}

impl UnfinishedAttempt {
    /// How long the attempt has been on. The time after its last command, in which nobody was there to go on, does not count.
    pub(super) fn seconds(&self) -> f64 {
        let since = jiff::Timestamp::now().duration_since(self.record.started);
        let since = Duration::try_from(since).unwrap_or_default();
        let idle = if self.entries.iter().all(|entry| entry.end.is_some()) {
            let ends = self.entries.iter().filter_map(|entry| entry.end.as_ref());
            ends.map(crate::exec::End::ago).min().unwrap_or(since)
        } else {
            Duration::ZERO
        };
        since.saturating_sub(idle).as_secs_f64()
    }

    /// How many of its commands have ended, and how many have not as far as is known.
    fn counts(&self) -> (usize, usize) {
        let ended = self.entries.iter().filter(|entry| entry.end.is_some()).count();
        (ended, self.entries.len() - ended)
    }

    pub(super) fn book(self) -> CommandBook {
        CommandBook::continued(self.logbook, self.entries)
    }
}

/// Ends what the attempts that nobody came to still have running, for a walk that was asked to stop: they are interrupted as
/// those are that it had come to. Only of phases of which `stops` is true.
///
/// # Errors
/// [`StateError`] when it cannot be recorded.
pub(super) fn stop_unfinished(session: &Session, stops: impl Fn(&str) -> bool) -> Result<(), StateError> {
    let attempts = std::mem::take(&mut session.unfinished().attempts);
    end_unfinished(
        session,
        attempts.into_iter().filter(|(phase, _)| stops(phase)).collect(),
    )
}

/// Waits for what these attempts still have running, or ends it when jumar was asked to stop; they are interrupted, and nobody
/// goes on with them.
///
/// # Errors
/// [`StateError`] when that cannot be recorded.
pub(super) fn end_unfinished(session: &Session, left: Vec<(String, UnfinishedAttempt)>) -> Result<(), StateError> {
    // Each has its own time of grace; one after the other they would add up.
    thread::scope(|scope| {
        for (phase, attempt) in &left {
            for open in Open::of(attempt.entries.clone(), &attempt.logbook) {
                if let Some(process) = Living::named(open.entry.process) {
                    let what = if session.stop.is_requested() {
                        "ending"
                    } else {
                        "waiting for"
                    };
                    session.observer.note(&format!(
                        "{phase}: {what} process {}, which the last jumar left running: {}",
                        process.pid, process.command
                    ));
                }
                scope.spawn(move || go_on_with(session, &open));
            }
        }
    });
    for (phase, attempt) in left {
        let record = attempt
            .record
            .clone()
            .end(AttemptOutcome::Interrupted, attempt.seconds());
        let interrupted = records::phase_interrupted(&phase, attempt.number, Some(&record));
        session.ledger.commit(interrupted)?;
        attempt.logbook.discard();
    }
    Ok(())
}

/// Waits for the end of a command, or ends it when jumar was asked to stop; how it ended does not matter any more.
pub(super) fn go_on_with(session: &Session, open: &Open) {
    if let Err(error) = session.executor.rejoin(&open.entry, &open.command, &session.stop) {
        session.observer.warn(&error.to_string());
    }
}

/// The events that make the state of an ended run one to go on from, with a line about each phase for people. What is
/// `unfinished` stays in progress.
///
/// Nothing is written here: a dry run shows the notes and drops the events.
pub fn take_over(state: &State, unfinished: &Unfinished) -> (Vec<Event>, Vec<ResumeNote>) {
    let mut events = Vec::new();
    let mut notes = Vec::new();
    let may_be_on = records::may_have_running_attempts(state);
    for (phase, status) in state.phases() {
        if status != PhaseStatus::InProgress && !may_be_on.contains(phase) {
            continue;
        }
        let known = attempts(state, phase);
        let number = known.len() as u32;
        let record = known.last().filter(|a| a.outcome == AttemptOutcome::Running).cloned();
        let ended = record.clone().map(|mut r| {
            r.outcome = AttemptOutcome::Interrupted;
            r
        });
        if status != PhaseStatus::InProgress {
            // Somebody has marked it otherwise since; its attempt is over all the same.
            events.extend(ended.map(|ended| records::attempt_noted(phase, number, &ended)));
            continue;
        }
        let when = record.as_ref().map(|r| {
            format!(
                " (attempt {number}, begun {})",
                r.started.strftime("%Y-%m-%d %H:%M:%S UTC")
            )
        });
        let what = match unfinished.get(phase) {
            Some(attempt) => format!("going on with it: {}", said(attempt.counts())),
            None => "it is pending again".into(),
        };
        notes.push(ResumeNote {
            phase: phase.into(),
            text: format!(
                "{phase} was in progress when the last run ended{}; {what}",
                when.unwrap_or_default()
            ),
        });
        if unfinished.get(phase).is_none() {
            events.push(records::phase_interrupted(phase, number, ended.as_ref()));
        }
    }
    (events, notes)
}

fn said((ended, open): (usize, usize)) -> String {
    let commands = |n: usize| {
        if n == 1 {
            "1 command".into()
        } else {
            format!("{n} commands")
        }
    };
    match (ended, open) {
        (0, 0) => "no command had begun".into(),
        (0, open) => format!("{} had begun", commands(open)),
        (ended, 0) => format!("{} had ended", commands(ended)),
        (ended, open) => format!("{} had ended, {open} had not", commands(ended)),
    }
}

/// Commands that go on although the host that started them is gone, and that no unfinished attempt takes in, by phase; however
/// somebody has marked the phase since. A second copy beside a living one would write over its results, and what waits for the
/// phase would read half of them: whoever takes the run over waits for them first.
pub fn left_running<'a>(
    state: &'a State,
    run_directory: &Path,
    unfinished: &Unfinished,
) -> Vec<(&'a str, Vec<Living>)> {
    let may_be_on = records::may_have_running_attempts(state);
    let left = |(phase, status): (&'a str, PhaseStatus)| {
        let may = status == PhaseStatus::InProgress || may_be_on.contains(phase) || unfinished.get(phase).is_some();
        let left = may.then(|| left_of(state, run_directory, unfinished, phase, status))?;
        (!left.is_empty()).then_some((phase, left))
    };
    state.phases().filter_map(left).collect()
}

fn left_of(
    state: &State,
    run_directory: &Path,
    unfinished: &Unfinished,
    phase: &str,
    status: PhaseStatus,
) -> Vec<Living> {
    let directory = run_directory.to_string_lossy();
    let known = attempts(state, phase);
    let number = known.len().to_string();
    let in_attempt = [
        ("JUMAR_RUN_DIR", &*directory),
        ("JUMAR_PHASE", phase),
        ("JUMAR_ATTEMPT", &number),
    ];
    if let Some(attempt) = unfinished.get(phase) {
        // A keeper that was killed as it started a command could not note it.
        let noted = |process: &Living| attempt.entries.iter().any(|entry| process.is_part_of(&entry.id));
        return living_with(&in_attempt)
            .into_iter()
            .filter(|process| !noted(process))
            .collect();
    }
    let was_on = known.last().is_some_and(|a| a.outcome == AttemptOutcome::Running);
    if status == PhaseStatus::InProgress || was_on {
        living_with(&in_attempt)
    } else {
        vec![]
    }
}
