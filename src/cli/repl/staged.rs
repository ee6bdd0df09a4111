//! Edits of a state that are not written yet: each line's changes are one edit, and all of them are written as one event.

use std::sync::Arc;

use similar::TextDiff;

use super::super::edit::conflicts;
use super::super::error::CliError;
use super::super::take_up::typed_path;
use crate::compare::resume_command;
use crate::run::{RunPath, Session, standing_advice};
use crate::state::{ByHand, Change, Event, StateError, StateText, Store, patch_text, read_text};
use crate::ui::{Tone, counted, paint};

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 2;

/// What has been staged on top of the file.
pub(super) struct Staged {
    run: RunPath,
    session: Arc<Session>,
    base: StateText,
    edits: Vec<Edit>,
}

/// What one line changed.
struct Edit {
    line: String,
    changes: Vec<Change>,
}

impl Staged {
    /// Nothing is staged on top of the file as it is now.
    pub(super) fn new(run: &RunPath, session: &Arc<Session>) -> Result<Staged, CliError> {
        let base = read_text(&run.state_file)?;
        session.ledger.redraft(base.state.clone());
        Ok(Staged {
            run: run.clone(),
            session: Arc::clone(session),
            base,
            edits: vec![],
        })
    }

    /// How many edits there are.
    pub(super) fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether what is staged, if anything is, leaves everything as it is.
    pub(super) fn is_in_vain(&self) -> bool {
        self.changes().is_empty()
    }

    /// Takes the file as it is now, if nothing is staged on top of what it was.
    pub(super) fn refresh(&mut self) {
        // A file that cannot be read at this moment is looked at again before the next line.
        if let (true, Ok(now)) = (self.edits.is_empty(), read_text(&self.run.state_file)) {
            if now.text != self.base.text {
                self.session.ledger.redraft(now.state.clone());
            }
            self.base = now;
        }
    }

    /// Makes an edit of what the ledger has drafted since the last one; returns a line for each change.
    pub(super) fn collect(&mut self, line: &str) -> Vec<String> {
        let known: usize = self.edits.iter().map(|e| e.changes.len()).sum();
        let changes: Vec<Change> = self.session.ledger.drafted().split_off(known);
        let said = changes.iter().map(in_words).collect();
        if !changes.is_empty() {
            self.edits.push(Edit {
                line: line.into(),
                changes,
            });
        }
        said
    }

    /// Drops what the ledger has drafted since the last edit: the line failed.
    pub(super) fn roll_back(&self) {
        self.session.ledger.redraft(self.base.state.clone());
        for edit in &self.edits {
            // A draft in memory takes what it took before.
            let _ = self.session.ledger.commit(event_of(&edit.changes));
        }
    }

    /// Takes the last edit back; returns its line.
    pub(super) fn undo(&mut self) -> Option<String> {
        let edit = self.edits.pop()?;
        self.roll_back();
        Some(edit.line)
    }

    /// What a commit would change in the file, as a unified diff.
    pub(super) fn diff(&self, colored: bool) -> Result<String, CliError> {
        // Others may have changed it since the first edit.
        let now = read_text(&self.run.state_file)?;
        let after = patch_text(&now.text, &self.changes(), &self.run.state_file)?;
        let diff = TextDiff::from_lines(&now.text, &after);
        let text = diff
            .unified_diff()
            .context_radius(CONTEXT)
            .header("as it is", "as it will be")
            .to_string();
        let paint_line = |line: &str| {
            let tone = match line.as_bytes().first() {
                _ if line.starts_with("--- ") || line.starts_with("+++ ") => Tone::Dim,
                Some(b'+') => Tone::Good,
                Some(b'-') => Tone::Bad,
                Some(b'@') => Tone::Dim,
                _ => return format!("{line}\n"),
            };
            format!("{}\n", paint(tone, line, colored))
        };
        Ok(text.lines().map(paint_line).collect())
    }

    /// Writes all edits as one event. With `over`, also where somebody else has changed the same keys meanwhile. Returns what
    /// to tell the user.
    pub(super) fn commit(&mut self, over: bool) -> Result<String, CliError> {
        let changes = self.changes();
        if changes.is_empty() {
            let was_staged = !self.edits.is_empty();
            self.edits.clear();
            self.session.ledger.redraft(self.base.state.clone());
            return Ok(match was_staged {
                true => "nothing is written: what was staged leaves everything as it was".into(),
                false => "nothing is staged".into(),
            });
        }
        let mut store = match Store::open(&self.run.state_file) {
            Err(StateError::Locked { owner, .. }) => {
                return Err(
                    CliError::usage(format!("the run is on, in {owner}: nothing was written"))
                        .hint("what is staged stays so; `:commit` again when the run has ended"),
                );
            }
            opened => opened?,
        };
        let conflicts = conflicts(&self.base.state, store.state(), &changes);
        if !conflicts.is_empty() && !over {
            let error = CliError::disk("the file was changed meanwhile, by somebody else: nothing was written");
            let error = conflicts.into_iter().fold(error, CliError::hint);
            return Err(error.hint("`:undo` takes your edits back; `:commit!` writes yours over it"));
        }
        let merged = *store.state() != self.base.state;
        store.commit(event_of(&changes))?;
        drop(store);
        let count = changes.len();
        self.edits.clear();
        self.base = read_text(&self.run.state_file)?;
        self.session.ledger.redraft(self.base.state.clone());
        let with = if merged {
            ", merged with what others changed meanwhile"
        } else {
            ""
        };
        Ok(format!(
            "{} written{with}; to go on: {}",
            counted(count, "change"),
            resume_command(&typed_path(&self.run.directory), &standing_advice(&self.base.state))
        ))
    }

    /// Each key's last change, in the order in which the keys were first changed, without those that change nothing.
    fn changes(&self) -> Vec<Change> {
        let mut last: Vec<Change> = vec![];
        for change in self.edits.iter().flat_map(|e| &e.changes) {
            match last
                .iter_mut()
                .find(|c| (&c.section, &c.key) == (&change.section, &change.key))
            {
                Some(known) => *known = change.clone(),
                None => last.push(change.clone()),
            }
        }
        last.retain(|c| self.base.state.get(&c.section, &c.key) != c.value.as_deref());
        last
    }
}

fn event_of(changes: &[Change]) -> Event {
    let mut event = Event::by_hand(ByHand::Repl);
    event.changes = changes.to_vec();
    event
}

fn in_words(change: &Change) -> String {
    match &change.value {
        Some(value) => format!("staged: [{}] {} = {value}", change.section, change.key),
        None => format!("staged: [{}] {} is taken out", change.section, change.key),
    }
}
