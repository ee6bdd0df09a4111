//! Laws of the three-way merge.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::document::Document;
use super::super::merge::{Merged, merge};
use super::super::model::State;
use super::hold;
use crate::corpus::{any_worse, mutations, places, replay};

const COMPLETED: Option<&str> = Some("completed");
/// What the program keeps account of, whatever a person writes at the same time.
const ACCOUNTS: [&str; 3] = ["metadata", "checkpoints", "failures"];
/// What such files are made of.
const WORDS: &[&str] = &[
    "\n",
    "=== base\n",
    "=== ours\n",
    "=== theirs\n",
    "=== merged\n",
    "[phases]\n",
    "[metadata]\n",
    "[mine]\n",
    "a=pending\n",
    "a=completed\n",
    "b=completed\n",
    "a=failed\n",
    "a=\n",
    "x=1\n",
    "x=2\n",
];

fn keys(state: &State) -> impl Iterator<Item = (&str, &str)> {
    let of_section = |section| state.section(section).map(move |(key, _)| (section, key));
    state.sections().flat_map(of_section)
}

fn patched(state: &State, merged: &Merged) -> State {
    let mut state = state.clone();
    merged.edits.iter().for_each(|change| state.apply(change));
    state
}

/// The first key that two states have differently.
fn difference<'a>(one: &'a State, other: &'a State) -> Option<(&'a str, &'a str)> {
    keys(one)
        .chain(keys(other))
        .find(|(section, key)| one.get(section, key) != other.get(section, key))
}

fn laws(base: &State, ours: &State, theirs: &State) -> Result<(), String> {
    let told = |what: &str, key: (&str, &str)| format!("{what}: {key:?} of {base:?}, {ours:?}, {theirs:?}");
    for (same, other) in [(ours, base), (theirs, base), (base, ours), (base, theirs)] {
        let nothing = merge(other, same, same) == Merged::default();
        hold(nothing, || told("two equal sides need a merge", ("", "")))?;
        let nothing = merge(base, same, base) == Merged::default();
        hold(nothing, || told("a file that was not touched needs a merge", ("", "")))?;
        let taken = patched(base, &merge(base, base, same));
        let difference = difference(&taken, same);
        hold(difference.is_none(), || {
            told("an edit is not obeyed", difference.unwrap_or_default())
        })?;
    }

    let merged = merge(base, ours, theirs);
    let result = patched(ours, &merged);
    let mirrored = patched(theirs, &merge(base, theirs, ours));
    let all: BTreeSet<(&str, &str)> = [base, ours, theirs, &result].into_iter().flat_map(keys).collect();
    for key in all {
        let (section, name) = key;
        let [b, o, t, r, m] = [base, ours, theirs, &result, &mirrored].map(|state| state.get(section, name));
        hold(r == o || r == t, || told("comes from nowhere", key))?;
        let is_phase = section == "phases";
        if is_phase && b != COMPLETED && (o == COMPLETED || t == COMPLETED) {
            hold(r == COMPLETED, || told("a completion is lost", key))?;
        }
        // Who is who matters only where both changed it differently and no rule is above both.
        let is_account = ACCOUNTS.contains(&section);
        let completes = is_phase && (o == COMPLETED || t == COMPLETED);
        let taken_out = !is_account && (o.is_none() || t.is_none());
        if o == t || o == b || t == b || completes || taken_out {
            hold(r == m, || told("it matters who is who", key))?;
        } else {
            let expected = if is_account { o } else { t };
            hold(r == expected, || told("the other side wins", key))?;
        }
        let told_of = merged.notes.iter().any(|note| note.contains(name));
        hold(t == b || t == o || told_of, || told("an edit is not answered", key))?;
    }
    // What came of it is what both have from now on.
    hold(merge(theirs, &result, &result) == Merged::default(), || {
        told("does not come to rest", ("", ""))
    })
}

/// The states of a file `=== base`, `=== ours`, `=== theirs`, `=== merged`; a part that is no state is empty.
fn parts(bytes: &[u8]) -> [State; 4] {
    let text = String::from_utf8_lossy(bytes);
    ["base", "ours", "theirs", "merged"].map(|name| {
        let after = text.split_once(&format!("=== {name}\n")).map_or("", |(_, after)| after);
        let part = after.split_once("=== ").map_or(after, |(part, _)| part);
        Document::parse(part)
            .map(|document| document.state())
            .unwrap_or_default()
    })
}

#[test]
fn every_merge_of_the_corpus_comes_to_what_it_says_and_keeps_the_laws() {
    replay("merge", |sample| {
        let [base, ours, theirs, expected] = parts(&sample.bytes);
        let result = patched(&ours, &merge(&base, &ours, &theirs));
        let wrong = difference(&result, &expected);
        hold(wrong.is_none(), || format!("{wrong:?} in {result:?}"))?;
        laws(&base, &ours, &theirs)
    });
}

#[test]
fn a_merge_of_texts_that_were_cut_or_damaged_keeps_the_laws() {
    replay("merge", |sample| {
        let hold_on = |bytes: &[u8]| {
            let [base, ours, theirs, _] = parts(bytes);
            laws(&base, &ours, &theirs)
        };
        places(sample.bytes.len()).try_for_each(|cut| hold_on(&sample.bytes[..cut]))?;
        mutations(&sample.bytes).try_for_each(|hurt| hold_on(&hurt.bytes))
    });
}

proptest! {
    #[test]
    fn a_merge_of_anything_keeps_the_laws(bytes in any_worse("merge", WORDS)) {
        let [base, ours, theirs, merged] = parts(&bytes);
        laws(&base, &ours, &theirs).map_err(TestCaseError::fail)?;
        laws(&ours, &theirs, &merged).map_err(TestCaseError::fail)?;
        laws(&State::default(), &merged, &theirs).map_err(TestCaseError::fail)?;
    }
}
