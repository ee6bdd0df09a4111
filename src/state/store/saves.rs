//! What people write into the state file while a store is open, and how it is taken in.

use super::super::error::StateError;
use super::super::event::{Change, PHASES};
use super::super::journal::Entry;
use super::super::look::{merged, refuse_other_run};
use super::super::owner;
use super::super::page::Page;
use super::super::view::{Patience, Sighting};
use super::{Store, TRIES, WANTED, WANTED_KEY};

impl Store {
    /// Takes in what was written into the file. Returns whether the file may be replaced now.
    pub(super) fn take_in(&mut self, patience: Patience) -> Result<bool, StateError> {
        for _ in 0..TRIES {
            match self.view.look(patience)? {
                Sighting::Same => return Ok(true),
                Sighting::Unclear => return Ok(false),
                Sighting::Gone { exists } => {
                    let text = self.view.known().to_vec();
                    self.skeleton.get_or_insert(text);
                    self.view.set_known(exists.then(Vec::new));
                    self.notes.push(format!(
                        "{} was gone or empty; it is written anew",
                        self.shown.display()
                    ));
                    self.stale = true;
                    return Ok(true);
                }
                Sighting::Spoilt { why, bytes } => {
                    self.set_aside(&why, bytes)?;
                    return Ok(true);
                }
                Sighting::Saved {
                    bytes,
                    page,
                    user,
                    late,
                } => self.take_save(bytes, page, user, late)?,
            }
        }
        Ok(false)
    }

    /// Keeps a file of which nothing counts under another name; the next text is made from the last one that did.
    fn set_aside(&mut self, why: &str, bytes: Option<Vec<u8>>) -> Result<(), StateError> {
        let text = self.view.known().to_vec();
        let aside = self.view.keep_aside(bytes)?;
        self.skeleton.get_or_insert(text);
        self.notes.push(format!(
            "warning: {why}\n  the whole edit was set aside as {}; the state file is written anew without it",
            aside.display()
        ));
        self.stale = true;
        Ok(())
    }

    fn take_save(&mut self, bytes: Vec<u8>, page: Page, user: Option<u32>, late: bool) -> Result<(), StateError> {
        if let Err(error) = refuse_other_run(&*self.disk, &self.private_directory, &self.state, &page, &self.shown) {
            return if late {
                Ok(())
            } else {
                self.set_aside(&error.headline(), Some(bytes))
            };
        }
        let merged = merged(&*self.disk, &self.private_directory, &self.state, page);
        let changed = !merged.edits.is_empty();
        let edits = self.note_wishes(merged.edits, merged.notes);
        if !edits.is_empty() {
            let who = user.map_or_else(|| "hand".to_owned(), owner::user_name);
            let (verb, changes, sync) = (&format!("edited by {who}"), &edits, true);
            self.write_down(&[Entry { verb, changes, sync }])?;
        }
        let first_look = self.view.knows_nothing();
        if late {
            if changed || !first_look {
                self.skeleton = Some(bytes);
                self.stale = true;
            }
            return Ok(());
        }
        if let Some(older) = self.skeleton.take() {
            if !changed && first_look {
                self.skeleton = Some(older);
            } else if let Some(path) = self.view.keep_text(&older) {
                self.notes.push(format!(
                    "two saves of {} came at once; the values of both count, the older text is in {}",
                    self.shown.display(),
                    path.display()
                ));
            }
        }
        self.view.set_known(Some(bytes));
        // Even one that says the same may lack the stamp or the last line.
        self.stale = true;
        Ok(())
    }

    /// A status that was written for a phase which is running waits until the attempt is over.
    fn note_wishes(&mut self, edits: Vec<Change>, mut notes: Vec<String>) -> Vec<Change> {
        let mut left = Vec::new();
        for mut edit in edits {
            let running = edit.section == PHASES && self.running.contains(&edit.key);
            if let (true, Some(word)) = (running, &edit.value) {
                let phase = &edit.key;
                notes.retain(|note| !note.starts_with(&format!("edited by hand: {phase}=")));
                notes.push(format!(
                    "{phase} is running; {phase}={word} counts if it does not complete"
                ));
                edit.section = WANTED.to_owned();
                edit.key.push_str(WANTED_KEY);
            } else if running {
                continue;
            }
            left.push(edit);
        }
        self.notes.append(&mut notes);
        left
    }
}
