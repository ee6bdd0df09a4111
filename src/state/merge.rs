//! What becomes of a state that two wrote at once: the program, and a person with an editor.
//!
//! A pure function over three states. The result is a list of changes to the program's side: what the person edited.

use indexmap::IndexSet;

use super::event::Change;
use super::model::State;
use super::status::PhaseStatus;

const COMPLETED: &str = PhaseStatus::Completed.as_str();

/// Where it stands what phases were made from.
const FINGERPRINTS: &str = "fingerprints";

/// What a merge comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// What turns the program's state into the merged one.
    pub(super) edits: Vec<Change>,
    /// What to tell the user: each edit that was taken, and each that was not, with the reason.
    pub(super) notes: Vec<String>,
}

/// Merges what became of `base` on two sides: `ours`, the program's, and `theirs`, the file's.
///
/// A key that only one side changed is as that side has it. Where both changed a key differently, a phase that is
/// completed on either side is completed; what the program keeps account of (`[metadata]`, `[checkpoints]`,
/// `[failures]`) is the program's; everything else is the person's, unless the person only took the line out.
pub(super) fn merge(base: &State, ours: &State, theirs: &State) -> Merged {
    let mut merged = Merged::default();
    let keys: IndexSet<(&str, &str)> = [theirs, ours, base].into_iter().flat_map(keys).collect();
    for (section, key) in keys {
        let sides = Sides {
            section,
            key,
            base: base.get(section, key),
            ours: ours.get(section, key),
            theirs: theirs.get(section, key),
        };
        let (take_ours, note) = sides.decide();
        let result = if take_ours { sides.ours } else { sides.theirs };
        if result != sides.ours {
            merged.edits.push(Change {
                section: section.to_owned(),
                key: key.to_owned(),
                value: result.map(str::to_owned),
            });
        }
        // What a phase was made from goes with the status that somebody gave it.
        merged.notes.extend(note.filter(|_| section != FINGERPRINTS));
    }
    merged
}

/// Gives a state the keys of another that it lacks: what is missing then counts as untouched.
pub(super) fn complete(theirs: &mut State, ours: &State) {
    for (section, key) in keys(ours) {
        if theirs.get(section, key).is_none()
            && let Some(value) = ours.get(section, key)
        {
            theirs.set(section, key, value);
        }
    }
}

fn keys(state: &State) -> impl Iterator<Item = (&str, &str)> {
    state
        .sections()
        .flat_map(|section| state.section(section).map(move |(key, _)| (section, key)))
}

/// One key as the three states have it.
struct Sides<'a> {
    section: &'a str,
    key: &'a str,
    base: Option<&'a str>,
    ours: Option<&'a str>,
    theirs: Option<&'a str>,
}

impl Sides<'_> {
    /// Whether our value is taken (else theirs is), and what to say about it.
    fn decide(&self) -> (bool, Option<String>) {
        let Sides { base, ours, theirs, .. } = *self;
        let name = self.name();
        if theirs == ours {
            return (false, None);
        }
        if theirs == base {
            return (true, None);
        }
        if ours == base {
            return (false, Some(self.edited()));
        }
        let kept = || format!("kept {}", value_text(ours));
        let wrote = || {
            theirs.map_or_else(
                || "took it out".to_owned(),
                |text| format!("wrote {}", value_text(Some(text))),
            )
        };
        match self.section {
            "phases" if ours == Some(COMPLETED) => (
                true,
                Some(format!(
                    "{name}: you {} while it completed; kept completed. Set it again to run it once more.",
                    wrote()
                )),
            ),
            "phases" if theirs == Some(COMPLETED) => (false, Some(self.edited())),
            "metadata" | "checkpoints" | "failures" => (
                true,
                Some(format!("{name}: you {} while it changed; {}", wrote(), kept())),
            ),
            _ if theirs.is_none() => (
                true,
                Some(format!("{name}: you {} while it changed; {}", wrote(), kept())),
            ),
            _ => (false, Some(self.edited())),
        }
    }

    fn edited(&self) -> String {
        let name = self.name();
        match (self.theirs, self.base) {
            (Some(now), Some(before)) => format!("edited by hand: {name}={now} (was {})", value_text(Some(before))),
            (Some(now), None) => format!("edited by hand: {name}={now} (was not there)"),
            (None, before) => format!("removed by hand: {name} (was {})", value_text(before)),
        }
    }

    fn name(&self) -> String {
        match self.section {
            "phases" | "" => self.key.to_owned(),
            section => format!("[{section}] {}", self.key),
        }
    }
}

/// A value in words.
pub(super) fn value_text(value: Option<&str>) -> &str {
    match value {
        None => "nothing",
        Some("") => "empty",
        Some(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(entries: &[(&str, &str, Option<&str>)]) -> State {
        let mut state = State::default();
        for (section, key, value) in entries {
            state.apply(&Change {
                section: (*section).to_owned(),
                key: (*key).to_owned(),
                value: value.map(str::to_owned),
            });
        }
        state
    }

    /// Merges one key and returns its value and the notes.
    fn one(
        section: &str,
        base: Option<&str>,
        ours: Option<&str>,
        theirs: Option<&str>,
    ) -> (Option<String>, Vec<String>) {
        let [base, ours, theirs] = [base, ours, theirs].map(|value| state(&[(section, "k", value)]));
        let merged = merge(&base, &ours, &theirs);
        let result = patched(ours, &merged);
        (result.get(section, "k").map(str::to_owned), merged.notes)
    }

    fn patched(mut ours: State, merged: &Merged) -> State {
        for change in &merged.edits {
            ours.apply(change);
        }
        ours
    }

    #[test]
    fn an_edit_of_what_the_program_left_alone_is_obeyed_and_told() {
        let (value, notes) = one("phases", Some("completed"), Some("completed"), Some("pending"));
        assert_eq!(value.as_deref(), Some("pending"));
        assert_eq!(notes, ["edited by hand: k=pending (was completed)"]);
        let (value, notes) = one("datasets", Some("x"), Some("x"), None);
        assert_eq!(value, None);
        assert_eq!(notes, ["removed by hand: [datasets] k (was x)"]);
        let (value, notes) = one("mine", None, None, Some("x"));
        assert_eq!(value.as_deref(), Some("x"));
        assert_eq!(notes, ["edited by hand: [mine] k=x (was not there)"]);
    }

    #[test]
    fn what_only_the_program_changed_is_not_talked_about() {
        let (value, notes) = one("phases", Some("pending"), Some("in_progress"), Some("pending"));
        assert_eq!(value.as_deref(), Some("in_progress"));
        assert!(notes.is_empty());
    }

    #[test]
    fn a_phase_that_completed_during_the_edit_stays_completed_and_the_user_hears_why() {
        for theirs in [Some("pending"), Some("failed"), None] {
            let (value, notes) = one("phases", Some("in_progress"), Some("completed"), theirs);
            assert_eq!(value.as_deref(), Some("completed"));
            assert!(notes[0].contains("kept completed"), "{notes:?}");
        }
    }

    #[test]
    fn a_phase_that_the_user_calls_completed_is() {
        let (value, notes) = one("phases", Some("in_progress"), Some("failed"), Some("completed"));
        assert_eq!(value.as_deref(), Some("completed"));
        assert_eq!(notes, ["edited by hand: k=completed (was in_progress)"]);
    }

    #[test]
    fn the_accounts_are_the_programs_and_the_rest_the_users() {
        for section in ["metadata", "checkpoints", "failures"] {
            let (value, notes) = one(section, Some("1"), Some("2"), Some("3"));
            assert_eq!(value.as_deref(), Some("2"));
            assert_eq!(notes, [format!("[{section}] k: you wrote 3 while it changed; kept 2")]);
        }
        for section in ["phases", "datasets", "mine"] {
            let (value, notes) = one(section, Some("pending"), Some("in_progress"), Some("skipped"));
            assert_eq!(value.as_deref(), Some("skipped"));
            assert_eq!(notes.len(), 1);
        }
    }

    #[test]
    fn a_line_taken_out_does_not_take_the_programs_news_with_it() {
        let (value, notes) = one("phases", Some("pending"), Some("in_progress"), None);
        assert_eq!(value.as_deref(), Some("in_progress"));
        assert_eq!(notes, ["k: you took it out while it changed; kept in_progress"]);
    }

    fn any_state() -> impl Strategy<Value = State> {
        let section = prop_oneof![Just("phases"), Just("metadata"), Just("mine"), Just("")];
        let word = prop_oneof![
            Just("pending"),
            Just("in_progress"),
            Just("completed"),
            Just("failed"),
            Just("")
        ];
        let key = prop_oneof![Just("a"), Just("b"), Just("c")];
        prop::collection::vec((section, key, word), 0..8).prop_map(|entries| {
            let entries: Vec<_> = entries
                .iter()
                .map(|(section, key, word)| (*section, *key, Some(*word)))
                .collect();
            state(&entries)
        })
    }

    proptest! {
        #[test]
        fn a_file_that_is_as_ours_needs_nothing(base in any_state(), ours in any_state()) {
            prop_assert_eq!(merge(&base, &ours, &ours), Merged::default());
        }

        #[test]
        fn what_only_the_user_changed_is_the_result(base in any_state(), theirs in any_state()) {
            let merged = merge(&base, &base, &theirs);
            let result = patched(base.clone(), &merged);
            let different = |(section, key): (&str, &str)| theirs.get(section, key) != result.get(section, key);
            prop_assert!(!keys(&theirs).chain(keys(&result)).any(different));
            let changed = keys(&base).chain(keys(&theirs)).collect::<IndexSet<_>>().into_iter()
                .filter(|(section, key)| base.get(section, key) != theirs.get(section, key)).count();
            prop_assert_eq!(merged.notes.len(), changed);
        }

        #[test]
        fn what_only_the_program_changed_is_the_result(base in any_state(), ours in any_state()) {
            let merged = merge(&base, &ours, &base);
            prop_assert_eq!(merged, Merged::default());
        }

        #[test]
        fn a_completion_is_never_lost(base in any_state(), ours in any_state(), theirs in any_state()) {
            let result = patched(ours.clone(), &merge(&base, &ours, &theirs));
            for phase in ["a", "b", "c"] {
                let [b, o, t] = [&base, &ours, &theirs].map(|state| state.phase(phase) == Some(PhaseStatus::Completed));
                if (o || t) && !b || (o && t) {
                    prop_assert_eq!(result.phase(phase), Some(PhaseStatus::Completed));
                }
            }
        }

        #[test]
        fn what_is_missing_from_a_completed_state_counts_as_untouched(ours in any_state(), mut theirs in any_state()) {
            let said: Vec<_> = keys(&theirs).map(|(section, key)| (section.to_owned(), key.to_owned())).collect();
            complete(&mut theirs, &ours);
            let result = patched(ours.clone(), &merge(&ours, &ours, &theirs));
            for (section, key) in keys(&ours) {
                let said = said.contains(&(section.to_owned(), key.to_owned()));
                let expected = if said { theirs.get(section, key) } else { ours.get(section, key) };
                prop_assert_eq!(result.get(section, key), expected);
            }
        }

        #[test]
        fn nothing_comes_from_nowhere(base in any_state(), ours in any_state(), theirs in any_state()) {
            let result = patched(ours.clone(), &merge(&base, &ours, &theirs));
            for (section, key) in keys(&result) {
                let value = result.get(section, key);
                prop_assert!(value == ours.get(section, key) || value == theirs.get(section, key));
            }
        }
    }
}
