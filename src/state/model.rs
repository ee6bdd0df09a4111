//! The state in memory: sections of keys with text values, in the order of the file.
//!
//! No text of the file, no disk. A value is the text that stands after the `=`; [`super::value`] turns it into
//! a typed value and back.

use std::sync::Arc;
use std::thread::Builder;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::event::Change;
use super::keys::Keys;
use super::status::PhaseStatus;

/// So many keys and more are worth a thread of their own.
const WORTH_A_THREAD: usize = 20_000;

/// What is known about a run. Sections and keys keep the order they have in the file; setting a key costs the same
/// however many there are. Two states are equal when they hold the same values, whatever their order.
///
/// Keys that stand before any section header belong to the section with the empty name.
///
/// A copy costs next to nothing: it shares the sections with the original until one of the two changes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    sections: IndexMap<String, Arc<Keys>, RandomState>,
}

impl State {
    /// The text of a value, or `None` when the section or the key is not there.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.sections.get(section)?.get(key)
    }

    /// The keys and values of a section, in order; nothing when there is no such section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.sections.get(name).into_iter().flat_map(|keys| keys.iter())
    }

    /// The names of the sections, in order, those without keys included.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Whether the section is there, be it with or without keys.
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// The phases that `[phases]` mentions and how each stands, in order.
    pub fn phases(&self) -> impl Iterator<Item = (&str, PhaseStatus)> {
        self.section("phases")
            .filter_map(|(name, word)| Some((name, word.parse().ok()?)))
    }

    /// How a phase stands; `None` when `[phases]` does not mention it.
    pub fn phase(&self, name: &str) -> Option<PhaseStatus> {
        self.get("phases", name)?.parse().ok()
    }

    /// How each of these phases stands; `None` for one that `[phases]` does not mention. Quick when they come in about the order
    /// in which they stand there.
    pub fn statuses<'a>(&'a self, phases: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Option<PhaseStatus>> {
        let mut known = self.in_order("phases");
        phases.map(move |name| known.get(name)?.parse().ok())
    }

    /// Takes what was read apart on a thread of its own, so that nobody has to wait for it who asks later. Where the system gives
    /// no thread, and where there is little of it, that is done when somebody asks.
    pub fn prepare(&self) {
        let count: usize = self.sections.values().map(|keys| keys.len()).sum();
        if count >= WORTH_A_THREAD {
            let sections: Vec<Arc<Keys>> = self.sections.values().cloned().collect();
            let _ = Builder::new().spawn(move || sections.iter().for_each(|keys| keys.take_apart()));
        }
    }

    /// The section for somebody who asks for its keys in about the order in which they stand.
    pub fn in_order(&self, section: &str) -> InOrder<'_> {
        InOrder {
            keys: self.sections.get(section).map(|keys| &**keys),
            next: 0,
        }
    }

    /// Applies one change. A section that is not there is made; removing the last key leaves the section (unless it
    /// is the one before all headers, which is there only by its keys). Removing takes time with the section's length.
    pub fn apply(&mut self, change: &Change) {
        let Some(value) = &change.value else {
            if let Some(keys) = self.sections.get_mut(&change.section) {
                let keys = Arc::make_mut(keys);
                keys.remove(&change.key);
                if keys.is_empty() && change.section.is_empty() {
                    self.sections.shift_remove("");
                }
            }
            return;
        };
        self.set(&change.section, &change.key, value);
    }

    /// Sets a value. A section that is not there is made.
    pub(super) fn set(&mut self, section: &str, key: &str, value: &str) {
        self.open_section(section).set(key, value.into());
    }

    /// Applies changes so that they can be taken back.
    pub(super) fn try_out(&mut self, changes: &[Change]) -> Vec<Undo> {
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            let keys = self.sections.get(&change.section);
            undo.push(Undo {
                section: change.section.clone(),
                key: change.key.clone(),
                had_section: keys.is_some(),
                old: keys.and_then(|keys| {
                    let place = keys.place(&change.key)?;
                    Some((place, keys.at(place)?.1.into()))
                }),
            });
            self.apply(change);
        }
        undo
    }

    /// Takes back what was tried out last, to the order of the keys.
    pub(super) fn take_back(&mut self, undo: Vec<Undo>) {
        for Undo {
            section,
            key,
            had_section,
            old,
        } in undo.into_iter().rev()
        {
            if let Some((place, value)) = old {
                let keys = self.open_section(&section);
                match keys.place(&key) {
                    Some(_) => keys.set(&key, value),
                    None => keys.put(place, &key, value),
                }
            } else if had_section {
                if let Some(keys) = self.sections.get_mut(&section) {
                    Arc::make_mut(keys).remove(&key);
                }
            } else {
                self.sections.shift_remove(&section);
            }
        }
    }

    /// The keys of a section, which is made when it is not there. What stands before all headers comes first.
    pub(super) fn open_section(&mut self, name: &str) -> &mut Keys {
        self.open_made_as(name, Keys::default)
    }

    /// As [`State::open_section`]; what is appended to one that is made here is read from `text`.
    pub(super) fn open_read_section(&mut self, name: &str, text: &Arc<String>) -> &mut Keys {
        self.open_made_as(name, || Keys::of(Arc::clone(text)))
    }

    fn open_made_as(&mut self, name: &str, make: impl FnOnce() -> Keys) -> &mut Keys {
        if !self.sections.contains_key(name) {
            let place = if name.is_empty() { 0 } else { self.sections.len() };
            self.sections.shift_insert(place, name.to_owned(), Arc::new(make()));
        }
        Arc::make_mut(&mut self.sections[name])
    }
}

/// A section whose keys are asked for one after the other. A key that stands near the one before it is found at once, any
/// other as [`State::get`] finds it.
#[derive(Debug, Clone)]
pub struct InOrder<'a> {
    keys: Option<&'a Keys>,
    next: usize,
}

impl<'a> InOrder<'a> {
    /// How far from where the order says phases that ran side by side are looked for.
    const NEAR: usize = 4;

    /// The text of a value, or `None` when the section or the key is not there.
    pub fn get(&mut self, key: &str) -> Option<&'a str> {
        let keys = self.keys?;
        let mut near = self.next..self.next + Self::NEAR;
        let mut before = self.next.saturating_sub(Self::NEAR)..self.next;
        let is_at = |place: &usize| keys.at(*place).is_some_and(|(other, _)| other == key);
        let place = near.find(is_at).or_else(|| before.find(is_at));
        let place = place.or_else(|| keys.place(key))?;
        self.next = place + 1;
        keys.at(place).map(|(_, value)| value)
    }
}

/// How one key was before a change that is tried out.
#[derive(Debug)]
pub(super) struct Undo {
    section: String,
    key: String,
    had_section: bool,
    /// Its place among the keys of its section, and its value.
    old: Option<(usize, Arc<str>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(changes: &[(&str, &str, Option<&str>)]) -> State {
        let mut state = State::default();
        for (section, key, value) in changes {
            state.apply(&Change {
                section: (*section).to_owned(),
                key: (*key).to_owned(),
                value: value.map(str::to_owned),
            });
        }
        state
    }

    #[test]
    fn what_is_set_is_there_and_in_order() {
        let state = state(&[("b", "y", Some("1")), ("a", "x", Some("2")), ("b", "a", Some("3"))]);
        assert_eq!(state.sections().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(state.section("b").collect::<Vec<_>>(), [("y", "1"), ("a", "3")]);
        assert_eq!(state.get("a", "x"), Some("2"));
        assert_eq!(state.get("a", "y"), None);
        assert_eq!(state.section("none").count(), 0);
    }

    #[test]
    fn a_removed_key_leaves_the_order_of_the_others_and_its_section() {
        let state = state(&[
            ("a", "x", Some("1")),
            ("a", "y", Some("2")),
            ("a", "z", Some("3")),
            ("a", "x", None),
            ("gone", "x", None),
        ]);
        assert_eq!(state.section("a").collect::<Vec<_>>(), [("y", "2"), ("z", "3")]);
        assert!(state.has_section("a"));
        assert!(!state.has_section("gone"));
    }

    #[test]
    fn keys_outside_any_section_come_first() {
        let state = state(&[("a", "x", Some("1")), ("", "top", Some("2"))]);
        assert_eq!(state.sections().collect::<Vec<_>>(), ["", "a"]);
    }

    #[test]
    fn a_phase_that_is_not_mentioned_has_no_status() {
        let state = state(&[("phases", "train", Some("completed"))]);
        assert_eq!(state.phase("train"), Some(PhaseStatus::Completed));
        assert_eq!(state.phase("other"), None);
        assert_eq!(state.phases().collect::<Vec<_>>(), [("train", PhaseStatus::Completed)]);
    }

    #[test]
    fn keys_are_found_in_whatever_order_they_are_asked_for() {
        let names: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
        let mut state = State::default();
        names
            .iter()
            .for_each(|name| state.set("phases", name, &format!("{name} stands so")));
        for step in 1..30 {
            let mut phases = state.in_order("phases");
            for turn in 0..60 {
                let name = format!("p{}", turn * step % 37);
                assert_eq!(phases.get(&name), state.get("phases", &name));
            }
        }
        assert_eq!(state.in_order("none").get("p1"), None);
        state.set("phases", "p3", "failed");
        let statuses = state.statuses(["p3", "p4", "none"].into_iter());
        assert_eq!(statuses.collect::<Vec<_>>(), [Some(PhaseStatus::Failed), None, None]);
    }

    #[test]
    fn a_copy_does_not_follow_the_original_nor_the_original_the_copy() {
        let original = [("a", "x", Some("1")), ("b", "y", Some("2"))];
        let change = |key: &str, value: Option<&str>| Change {
            section: "a".to_owned(),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        for value in [Some("3"), None] {
            let (mut one, kept) = (state(&original), state(&original));
            let mut other = one.clone();
            one.apply(&change("x", value));
            assert_eq!((one.get("a", "x"), &other), (value, &kept));
            let undo = other.try_out(&[change("w", Some("4"))]);
            assert_eq!(one.get("a", "w"), None);
            other.take_back(undo);
            assert_eq!(other, kept);
        }
    }

    #[test]
    fn what_is_tried_out_is_taken_back_to_the_order_of_keys_and_sections() {
        let before = [("a", "x", Some("1")), ("a", "y", Some("2")), ("b", "z", Some("3"))];
        let mut tried = state(&before);
        let change = |section: &str, key: &str, value: Option<&str>| Change {
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let undo = tried.try_out(&[
            change("a", "x", None),
            change("a", "x", Some("4")),
            change("a", "w", Some("5")),
            change("new", "v", Some("6")),
            change("b", "z", Some("7")),
            change("", "top", Some("8")),
            change("none", "u", None),
        ]);
        assert_eq!(tried.get("a", "x"), Some("4"));
        tried.take_back(undo);
        let listed = |state: &State| {
            let keys = |name: &str| state.section(name).map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
            let sections = state.sections().map(|name| (name.to_owned(), keys(name)));
            sections.collect::<Vec<_>>()
        };
        assert_eq!(listed(&tried), listed(&state(&before)));
    }
}
