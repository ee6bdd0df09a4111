//! What happens to a state: an event is a verb and the changes that it makes at once.
//!
//! Which events there are is decided by those who run things; this file only knows what an event is made of and
//! which names and values the file can hold.

use std::borrow::Cow;

use indexmap::IndexMap;

use super::model::State;
use super::status::PhaseStatus;

/// The section in which the phases stand.
pub(super) const PHASES: &str = "phases";

/// One atomic transition of a run's state: after a crash all of its changes are there or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened, in a word or two ("phase completed"). It names the event in messages and in history.
    pub verb: Cow<'static, str>,
    /// What it changes; a later change to the same key wins.
    pub changes: Vec<Change>,
    /// Whether nobody acts on it, so that it need not survive a loss of power.
    unsynced: bool,
}

/// One key that gets a value or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The section's name; empty for the keys before any section header.
    pub section: String,
    /// The key's name.
    pub key: String,
    /// The text after the `=`, as [`super::value::encode`] writes it; `None` removes the key.
    pub value: Option<String>,
}

/// In which way a person changed a state by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// The file was saved by another program: an editor, `sed`.
    Outside,
    /// `jumar edit`
    Edit,
    /// `jumar mark`
    Mark,
    /// A commit in `jumar repl`, or an assignment in the middle of a failure.
    Repl,
}

impl ByHand {
    /// All ways.
    pub const ALL: [ByHand; 4] = [ByHand::Outside, ByHand::Edit, ByHand::Mark, ByHand::Repl];

    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            ByHand::Outside => "outside",
            ByHand::Edit => "edit",
            ByHand::Mark => "mark",
            ByHand::Repl => "repl",
        }
    }

    /// How the verb of such an event begins; ` by ` and a name follow.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            ByHand::Outside => "edited outside",
            ByHand::Edit => "edited with edit",
            ByHand::Mark => "marked",
            ByHand::Repl => "committed in repl",
        }
    }
}

impl Event {
    /// An event that changes nothing yet.
    pub fn new(verb: impl Into<Cow<'static, str>>) -> Self {
        Event {
            verb: verb.into(),
            changes: Vec::new(),
            unsynced: false,
        }
    }

    /// As [`Event::new`], for what the user of this process does by hand: the verb says how, and who that is.
    pub fn by_hand(way: ByHand) -> Self {
        Event::new(format!("{} by {}", way.verb(), super::owner::user()))
    }

    /// The same changes, as something that the user of this process does by hand.
    pub fn done_by_hand(self, way: ByHand) -> Self {
        let Event { verb, .. } = Event::by_hand(way);
        Event { verb, ..self }
    }

    /// Adds: this key gets this value. The value is the text of one line; text that may hold line ends or blanks
    /// at its ends has to go through [`super::value::encode`] first, or the commit refuses it.
    pub fn set(mut self, section: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.changes.push(Change {
            section: section.into(),
            key: key.into(),
            value: Some(value.into()),
        });
        self
    }

    /// Says that nobody is told anything on the strength of this event: it survives the death of the program, but a
    /// loss of power may take it back. Committing it costs next to nothing.
    pub fn unsynced(mut self) -> Self {
        self.unsynced = true;
        self
    }

    pub(super) fn needs_sync(&self) -> bool {
        !self.unsynced
    }

    /// Adds: this key goes.
    pub fn remove(mut self, section: impl Into<String>, key: impl Into<String>) -> Self {
        self.changes.push(Change {
            section: section.into(),
            key: key.into(),
            value: None,
        });
        self
    }

    /// The changes that really alter the state, one a key, in the order in which the keys were first named.
    pub(super) fn effect_on(&self, state: &State) -> Vec<Change> {
        let mut last = IndexMap::new();
        for change in &self.changes {
            last.insert((change.section.as_str(), change.key.as_str()), change);
        }
        last.into_values()
            .filter(|change| state.get(&change.section, &change.key) != change.value.as_deref())
            .cloned()
            .collect()
    }
}

impl Change {
    /// Whether it says of a phase that it is completed.
    pub(super) fn completes(&self) -> bool {
        self.section == PHASES && self.value.as_deref() == Some(PhaseStatus::Completed.as_str())
    }

    /// Why a line of the file could not hold this change and read back as it is, if so.
    pub(super) fn problem(&self) -> Option<String> {
        if let Some(problem) = section_problem(&self.section) {
            return Some(problem.to_owned());
        }
        if let Some(problem) = key_problem(&self.key) {
            return Some(problem.to_owned());
        }
        let value = self.value.as_deref()?;
        if value.contains(['\n', '\r', '\0']) {
            return Some("a value is one line of text".to_owned());
        }
        (value.trim() != value).then(|| "a value has no blanks at its ends".to_owned())
    }
}

/// Why this text cannot be a key of the state file (so neither the name of a phase), or `None` when it can.
pub fn key_problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("a key needs a name")
    } else if key.trim() != key {
        Some("a key has no blanks at its ends")
    } else if key.contains(|c: char| c.is_control() || c == '\u{feff}') {
        Some("a key has no control characters")
    } else if key.contains('=') {
        Some("a key has no `=` in it")
    } else if key.starts_with(['[', '#', ';']) {
        Some("a key does not begin with `[`, `#` or `;`")
    } else {
        None
    }
}

fn section_problem(name: &str) -> Option<&'static str> {
    if name.trim() != name {
        Some("a section's name has no blanks at its ends")
    } else if name.contains(|c: char| c.is_control() || c == ']') {
        Some("a section's name has no `]` and no control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_alter_nothing_are_not_part_of_the_effect() {
        let mut state = State::default();
        for change in &Event::new("x").set("a", "x", "1").set("a", "y", "2").changes {
            state.apply(change);
        }
        let event = Event::new("x")
            .set("a", "x", "1")
            .remove("a", "none")
            .set("a", "y", "3");
        assert_eq!(event.effect_on(&state), Event::new("x").set("a", "y", "3").changes);
    }

    #[test]
    fn the_last_change_of_a_key_wins() {
        let event = Event::new("x")
            .set("a", "x", "1")
            .set("b", "x", "2")
            .remove("a", "x")
            .set("a", "x", "3");
        assert_eq!(
            event.effect_on(&State::default()),
            Event::new("x").set("a", "x", "3").set("b", "x", "2").changes
        );
    }

    #[test]
    fn names_that_would_not_read_back_are_refused() {
        for key in ["", " a", "a ", "a=b", "[a", "#a", ";a", "a\nb", "\u{feff}a", "a\0"] {
            assert!(key_problem(key).is_some(), "{key:?}");
        }
        for key in ["a", "a b", "a:b", "ключ", "a#b", "\"a\""] {
            assert_eq!(key_problem(key), None, "{key:?}");
        }
    }

    #[test]
    fn values_that_would_not_read_back_are_refused() {
        let problem = |value: &str| Event::new("x").set("a", "k", value).changes[0].problem();
        for value in ["a\nb", " a", "a\t", "a\u{a0}", "a\rb", "\0"] {
            assert!(problem(value).is_some(), "{value:?}");
        }
        for value in ["", "a", "a=b", "a # b", "\"a\\nb\""] {
            assert_eq!(problem(value), None, "{value:?}");
        }
        assert!(Event::new("x").remove("a]", "k").changes[0].problem().is_some());
    }
}
