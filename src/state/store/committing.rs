//! How an event becomes durable.

use std::panic::{self, AssertUnwindSafe};

use super::super::check;
use super::super::disk::failure;
use super::super::error::StateError;
use super::super::event::{Change, Event, PHASES};
use super::super::journal::{Entry, Sending};
use super::super::model::State;
use super::super::status::PhaseStatus;
use super::{Store, WANTED, WANTED_KEY};

/// Makes an event from the state that it is to change.
pub type Maker = Box<dyn FnOnce(&State) -> Event + Send>;

/// An event that could not be made durable; it may be committed again.
#[derive(Debug)]
pub struct Uncommitted {
    /// The event.
    pub event: Event,
    /// Why.
    pub error: StateError,
}

/// An event with what it changes of the state as it is when its turn comes.
#[derive(Debug)]
struct Transition {
    event: Event,
    changes: Vec<Change>,
    /// Whose it is among those that came together.
    place: usize,
}

impl Transition {
    fn entry(&self) -> Entry<'_> {
        Entry {
            verb: &self.event.verb,
            changes: &self.changes,
            sync: self.event.needs_sync(),
        }
    }
}

/// Events on their way to the disk.
#[derive(Debug)]
pub struct Underway {
    answers: Vec<Result<(), Uncommitted>>,
    batch: Vec<Transition>,
    sending: Option<Sending>,
}

impl Underway {
    /// The part of [`Store::commit_together`] that takes time; the store is free for those who read meanwhile.
    pub fn sync(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.sync();
        }
    }
}

impl Store {
    /// Makes an event durable: when this returns, all of it is on the disk (an [`Event::unsynced`] survives the death
    /// of this process, but perhaps not a loss of power). An event that alters nothing is not written.
    ///
    /// # Errors
    /// [`StateError::BadChange`] for a name, a status or a text that the file cannot hold; [`StateError::Io`] when
    /// the disk fails. Nothing of the event is visible in memory then; it may be committed again.
    pub fn commit(&mut self, event: Event) -> Result<(), StateError> {
        let answers = self.commit_together(vec![Box::new(move |_| event)]);
        answers
            .into_iter()
            .try_for_each(|answer| answer.map_err(|uncommitted| uncommitted.error))
    }

    /// Makes events durable that came together, with one write and one sync for all of them. Each is made from the state
    /// that those before it leave. The answers stand in the order of the makers; each is as that of [`Store::commit`].
    pub fn commit_together(&mut self, makers: Vec<Maker>) -> Vec<Result<(), Uncommitted>> {
        let mut underway = self.begin(makers);
        underway.sync();
        self.finish(underway)
    }

    /// The first part of [`Store::commit_together`]: the events are made and written. Until [`Store::finish`] the state
    /// is as it was, and can be read; nothing else may be asked of the store.
    pub fn begin(&mut self, makers: Vec<Maker>) -> Underway {
        let mut answers: Vec<Result<(), Uncommitted>> = Vec::with_capacity(makers.len());
        let mut batch: Vec<Transition> = Vec::with_capacity(makers.len());
        let mut undo = Vec::new();
        let count = makers.len();
        for (place, make) in makers.into_iter().enumerate() {
            let event = match panic::catch_unwind(AssertUnwindSafe(|| make(&self.state))) {
                Ok(event) => event,
                Err(panic) => {
                    self.state.take_back(undo);
                    panic::resume_unwind(panic);
                }
            };
            if let Err(error) = check_event(&event) {
                answers.push(Err(Uncommitted { event, error }));
                continue;
            }
            answers.push(Ok(()));
            let mut changes = event.effect_on(&self.state);
            self.grant_wishes(&mut changes);
            if changes.is_empty() {
                continue;
            }
            if place + 1 < count {
                undo.extend(self.state.try_out(&changes));
            }
            batch.push(Transition { event, changes, place });
        }
        // Until it is durable it did not happen: nobody may see it, and the journal may have to begin anew without it.
        self.state.take_back(undo);
        let entries: Vec<Entry<'_>> = batch.iter().map(Transition::entry).collect();
        let sending = (!entries.is_empty()).then(|| self.journal.send(&entries));
        self.is_underway = true;
        Underway {
            answers,
            batch,
            sending,
        }
    }

    /// The last part of [`Store::commit_together`]: what is durable becomes visible, and everybody gets his answer.
    pub fn finish(&mut self, underway: Underway) -> Vec<Result<(), Uncommitted>> {
        self.is_underway = false;
        let Underway {
            mut answers,
            batch,
            sending,
        } = underway;
        if let Some(sending) = sending {
            let entries: Vec<Entry<'_>> = batch.iter().map(Transition::entry).collect();
            match self.settle(sending, &entries) {
                Ok(()) => batch
                    .iter()
                    .for_each(|transition| self.note_running(&transition.changes)),
                Err(error) => self.answer_failed(batch, error, &mut answers),
            }
        }
        if answers.iter().any(Result::is_ok) {
            self.show_when_due();
        }
        answers
    }

    /// What could not be written together is tried one by one: one that has no room must not keep the others out, and
    /// each wants to know why.
    fn answer_failed(&mut self, batch: Vec<Transition>, error: StateError, answers: &mut [Result<(), Uncommitted>]) {
        let mut error = Some(error).filter(|_| batch.len() == 1);
        for Transition { event, place, .. } in batch {
            let answer = match error.take() {
                Some(error) => Err(error),
                None => self.commit(event.clone()),
            };
            answers[place] = answer.map_err(|error| Uncommitted { event, error });
        }
    }

    /// Writes transitions into the journal, each with what it changes of the state that those before it leave.
    pub(super) fn write_down(&mut self, entries: &[Entry<'_>]) -> Result<(), StateError> {
        let mut sending = self.journal.send(entries);
        sending.sync();
        self.settle(sending, entries)
    }

    fn settle(&mut self, sending: Sending, entries: &[Entry<'_>]) -> Result<(), StateError> {
        let written = self.journal.settle(sending, &self.state, entries);
        self.notes.extend(self.journal.take_notes());
        written.map_err(failure("write the journal in", &self.private_directory, false))?;
        for change in entries.iter().flat_map(|entry| entry.changes) {
            self.state.apply(change);
        }
        self.journal.rotate_if_long(&self.state);
        self.stale = true;
        self.has_written = true;
        Ok(())
    }

    /// Remembers which phases this process runs.
    fn note_running(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.section == PHASES) {
            if change.value.as_deref() == Some(PhaseStatus::InProgress.as_str()) {
                self.running.insert(change.key.clone());
            } else {
                self.running.remove(&change.key);
            }
        }
    }

    /// Somebody wrote a status for a phase while it ran; it counts if the attempt did not complete.
    fn grant_wishes(&mut self, changes: &mut Vec<Change>) {
        let mut granted = Vec::new();
        for change in changes.iter_mut().filter(|change| change.section == PHASES) {
            let key = format!("{}{WANTED_KEY}", change.key);
            let Some(wish) = self.state.get(WANTED, &key) else {
                continue;
            };
            if change.value.as_deref() == Some(PhaseStatus::InProgress.as_str()) {
                continue;
            }
            let phase = &change.key;
            if change.completes() {
                self.notes.push(format!(
                    "{phase}: you wrote {wish} while it ran, and it completed; kept completed. Set it again to run it once more."
                ));
            } else {
                self.notes.push(format!("edited by hand, while it ran: {phase}={wish}"));
                change.value = Some(wish.to_owned());
            }
            granted.push(Change {
                section: WANTED.to_owned(),
                key,
                value: None,
            });
        }
        changes.extend(granted);
    }
}

pub(super) fn check_event(event: &Event) -> Result<(), StateError> {
    for change in &event.changes {
        let value_problem = || check::value_problem(&change.section, &change.key, change.value.as_deref()?);
        if let Some(problem) = change.problem().or_else(value_problem) {
            let (section, key) = (change.section.clone(), change.key.clone());
            return Err(StateError::BadChange { section, key, problem });
        }
    }
    Ok(())
}
