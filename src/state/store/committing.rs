//! How an event becomes durable.

use super::super::check;
use super::super::disk::failure;
use super::super::error::StateError;
use super::super::event::{Change, Event, PHASES};
use super::super::journal::Entry;
use super::super::status::PhaseStatus;
use super::{Store, WANTED, WANTED_KEY};

impl Store {
    /// Makes an event durable: when this returns, all of it is on the disk (an [`Event::unsynced`] survives the death
    /// of this process, but perhaps not a loss of power). An event that alters nothing is not written.
    ///
    /// # Errors
    /// [`StateError::BadChange`] for a name, a status or a text that the file cannot hold; [`StateError::Io`] when
    /// the disk fails. Nothing of the event is visible in memory then; it may be committed again.
    pub fn commit(&mut self, event: Event) -> Result<(), StateError> {
        check_event(&event)?;
        let mut changes = event.effect_on(&self.state);
        self.grant_wishes(&mut changes);
        if changes.is_empty() {
            self.show_when_due();
            return Ok(());
        }
        self.write_down(&event.verb, &changes, event.needs_sync())?;
        for change in changes.iter().filter(|change| change.section == PHASES) {
            if change.value.as_deref() == Some(PhaseStatus::InProgress.as_str()) {
                self.running.insert(change.key.clone());
            } else {
                self.running.remove(&change.key);
            }
        }
        self.show_when_due();
        Ok(())
    }

    pub(super) fn write_down(&mut self, verb: &str, changes: &[Change], sync: bool) -> Result<(), StateError> {
        let entry = Entry { verb, changes, sync };
        let written = self.journal.record(&self.state, entry);
        self.notes.extend(self.journal.take_notes());
        written.map_err(failure("write the journal in", &self.private_directory, false))?;
        for change in changes {
            self.state.apply(change);
        }
        self.journal.rotate_if_large(&self.state);
        self.stale = true;
        Ok(())
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
