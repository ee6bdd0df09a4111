//! Laws of the state file's text: what is read, what a change does to it, and how a state is put into it.

use std::path::Path;

use proptest::prelude::*;

use super::super::check;
use super::super::document::Document;
use super::super::error::StateError;
use super::super::event::Change;
use super::super::model::State;
use super::super::page::{self, END, Page};
use super::super::recovery::Stamp;
use super::hold;
use crate::corpus::{any_worse, mutations, places, replay};

/// What such files are made of.
const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "=",
    "[",
    "]",
    "#",
    ";",
    " ",
    "\t",
    "\0",
    "\u{feff}",
    "\u{a0}",
    "\u{85}",
    "é",
    "a=1\n",
    "x = 2\n",
    "=completed",
    "[phases]\n",
    "[metadata]\n",
    "[a]\n",
    "version=3.2.0\n",
    "version=3.1.0\n",
    "journal=j-00000057-d7b369bd@58\n",
    "# journal=j-00000057-d7b369bd@58\n",
    "# end of state\n",
    "# c\n",
    "\n\n",
];

fn shown() -> &'static Path {
    Path::new("run/.experiment_state")
}

fn stamp() -> Stamp {
    "j-00000077-0badcafe@99".parse().unwrap()
}

fn change(section: &str, key: &str, value: Option<&str>) -> Change {
    Change {
        section: section.to_owned(),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

/// Changes that can be made to such a state: of up to `most` keys each, and in a section that is there and one that is not.
fn changes_of(state: &State, most: usize) -> Vec<Change> {
    let mut changes = vec![];
    for section in state.sections() {
        for (key, value) in state.section(section).take(most) {
            let longer = format!("{}+", value.trim_end());
            for value in [Some("skipped"), Some(""), Some(longer.as_str()), None] {
                changes.push(change(section, key, value));
            }
        }
        changes.push(change(section, "a key that nobody has", Some("1")));
        if changes.len() > 12 * most {
            break;
        }
    }
    changes.push(change("", "a key that nobody has", Some("1")));
    changes.push(change("a section that nobody has", "k", Some("")));
    // One that cannot be written would be refused before it comes here.
    changes.retain(|change| change.problem().is_none());
    changes
}

/// How many bytes two texts share at their beginning and, behind that, at their end.
fn shared(one: &str, other: &str) -> usize {
    let start = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.len() - start;
    let ends = one.bytes().rev().zip(other.bytes().rev());
    start + ends.take_while(|(a, b)| a == b).count().min(rest(one)).min(rest(other))
}

/// A change is what is read afterwards, making it again alters nothing, and no other byte than its own is touched.
fn patch_law(text: &str, change: &Change) -> Result<(), String> {
    let told = |what: &str, after: &str| format!("{what}: {change:?} makes {after:?} of {text:?}");
    let parse = |text: &str| Document::parse(text).map_err(|fault| format!("{fault:?}"));
    let mut document = parse(text)?;
    let mut expected = document.state();
    let old = document.get(&change.section, &change.key).map(str::to_owned);
    document.apply(change);
    expected.apply(change);
    let after = document.to_string();
    let mut again = Document::parse(&after).map_err(|_| told("cannot be read back", &after))?;
    hold(again.state() == expected, || told("does not read back", &after))?;
    again.apply(change);
    hold(again.to_string() == after, || {
        told("is not the same made twice", &after)
    })?;

    let kept = shared(text, &after);
    match (old, &change.value) {
        (Some(old), Some(new)) => {
            let in_place = after.len() + old.len() == text.len() + new.len() && kept + old.len() >= text.len();
            hold(in_place, || told("touches more than the value", &after))
        }
        (Some(_), None) => {
            let lines = |text: &str| text.matches('\n').count();
            let one_line = kept == after.len() && lines(text) - lines(&after) <= 1;
            hold(one_line, || told("takes more than the line out", &after))
        }
        (None, None) => hold(after == text, || told("changes something", &after)),
        (None, Some(value)) => {
            let added = after.len().saturating_sub(text.len());
            // A header, three line ends of two bytes at most, and a blank line.
            let most = change.section.len() + 2 + change.key.len() + 1 + value.len() + 8;
            hold(kept == text.len() && added <= most, || {
                told("touches what was there", &after)
            })
        }
    }
}

/// A state that is put into any bytes is what is read from them; putting it in again alters nothing; and comments stay.
fn render_law(bytes: &[u8], state: &State) -> Result<(), String> {
    let text = page::render(bytes, state, &stamp());
    let told = |what: &str| format!("{what}: {text:?} of {:?}", String::from_utf8_lossy(bytes));
    match page::judge(text.as_bytes(), shown()) {
        Page::Whole(content) => {
            hold(content.stamp == stamp(), || told("another stamp"))?;
            let same = keys(&content.state).eq(keys(state)) || {
                let (mut one, mut other): (Vec<_>, Vec<_>) = (keys(&content.state).collect(), keys(state).collect());
                one.sort_unstable();
                other.sort_unstable();
                one == other
            };
            hold(same, || told("another state"))?;
        }
        other => return Err(told(&format!("{other:?}"))),
    }
    let again = page::render(text.as_bytes(), state, &stamp());
    // Where lines end in two ways, the first line says in which new ones do, and that line may be one that goes.
    let comes_to_rest = again == text || (is_mixed(bytes) && page::render(again.as_bytes(), state, &stamp()) == again);
    hold(comes_to_rest, || told("not the same the second time"))?;
    let old = std::str::from_utf8(bytes).unwrap_or_default().replace('\0', "");
    if Document::parse(&old).is_err() {
        return Ok(());
    }
    let is_mark = |line: &str| line == END || line.starts_with("# journal=");
    let mut lines = unmarked(&text).lines();
    let comments = unmarked(&old).lines().map(str::trim);
    for comment in comments.filter(|line| line.starts_with(['#', ';']) && !is_mark(line)) {
        hold(lines.any(|line| line.trim() == comment), || {
            told(&format!("{comment:?} is gone"))
        })?;
    }
    Ok(())
}

/// A text without its byte order mark. A second one would be a part of the first line.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn is_mixed(bytes: &[u8]) -> bool {
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    // The last line end may have been cut in half.
    let is_windows = |line: &[u8]| line.strip_suffix(b"\n").unwrap_or(line).ends_with(b"\r");
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map(is_windows);
    let first = lines.next();
    lines.any(|other| Some(other) != first)
}

fn keys(state: &State) -> impl Iterator<Item = (&str, &str, &str)> {
    let of_section = |section| state.section(section).map(move |(key, value)| (section, key, value));
    state.sections().flat_map(of_section)
}

/// What must be so of any bytes, with changes of up to `most` keys a section.
fn laws(bytes: &[u8], most: usize) -> Result<(), String> {
    let page = page::judge(bytes, shown());
    let fixed = check::understand(b"[metadata]\nversion=3.2.0\n[phases]\na=completed\n", shown());
    let fixed = fixed.map(|(_, state)| state).map_err(|error| error.to_string())?;
    let state = match check::understand(bytes, shown()) {
        Err(error) => {
            hold(matches!(page, Page::Blank | Page::Cut(_) | Page::Wrong(_)), || {
                format!("{page:?}: {error}")
            })?;
            hold(page::import(bytes, shown()).is_err(), || {
                "refused, and imported".to_owned()
            })?;
            if let StateError::Syntax(error) = error {
                let lines = bytes.split(|byte| *byte == b'\n').count();
                hold((1..=lines).contains(&error.line), || {
                    format!("{error:?}: there is no such line")
                })?;
                let pointed = error.text.get(error.span.clone()).is_some();
                hold(pointed, || format!("{error:?} points nowhere"))?;
            }
            return render_law(bytes, &fixed);
        }
        Ok((document, state)) => {
            let text = document.to_string();
            hold(text.as_bytes() == bytes, || format!("comes back as {text:?}"))?;
            state
        }
    };
    hold(!matches!(page, Page::Wrong(_)), || format!("{page:?} can be read"))?;
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut stamped = state.clone();
    stamped.apply(&change("metadata", "journal", None));
    if stamped.sections().all(|section| {
        stamped
            .section(section)
            .all(|(key, value)| change(section, key, Some(value)).problem().is_none())
    }) {
        render_law(bytes, &stamped)?;
    }
    render_law(bytes, &fixed)?;
    changes_of(&state, most)
        .iter()
        .try_for_each(|change| patch_law(text, change))
}

/// A beginning of a text whose last line is the end line is whole only when no more than the last line end is missing, and
/// what it says otherwise is what the whole text says.
fn prefix_law(bytes: &[u8]) -> Result<(), String> {
    let whole = match page::judge(bytes, shown()) {
        Page::Whole(content) => content.state,
        _ => return Ok(()),
    };
    let end = format!("{END}\n");
    if !bytes.ends_with(end.as_bytes()) || String::from_utf8_lossy(bytes).matches(END).count() != 1 {
        return Ok(());
    }
    for cut in places(bytes.len()) {
        let is_right = match page::judge(&bytes[..cut], shown()) {
            Page::Whole(content) => cut == bytes.len() - 1 && content.state == whole,
            Page::Blank => cut == 0,
            Page::Cut(_) => true,
            Page::Loose(found) => keys(&found).all(|(section, key, value)| whole.get(section, key) == Some(value)),
            Page::Wrong(_) => false,
        };
        hold(is_right, || {
            format!("cut at {cut}: {:?}", page::judge(&bytes[..cut], shown()))
        })?;
    }
    Ok(())
}

#[test]
fn every_state_file_of_the_corpus_is_read_or_refused_as_its_folder_says_and_keeps_the_laws() {
    replay("document", |sample| {
        let verdict = check::understand(&sample.bytes, shown()).map(drop);
        hold(verdict.is_ok() == (sample.kind == "good"), || format!("{verdict:?}"))?;
        laws(&sample.bytes, 3)?;
        prefix_law(&sample.bytes)
    });
}

#[test]
fn a_state_file_that_is_cut_anywhere_or_damaged_keeps_the_laws() {
    replay("document", |sample| {
        let bytes = &sample.bytes;
        // The long ones are long, and nothing else is wrong with them.
        let step = 1 + bytes.len() / 400;
        for cut in places(bytes.len()).step_by(step) {
            laws(&bytes[..cut], 0).map_err(|broken| format!("cut at {cut}: {broken}"))?;
        }
        for hurt in mutations(bytes).step_by(5 * step) {
            laws(&hurt.bytes, 0).map_err(|broken| format!("{:?} damaged: {broken}", hurt.touched))?;
        }
        Ok(())
    });
}

proptest! {
    #[test]
    fn a_state_file_with_anything_done_to_it_keeps_the_laws(bytes in any_worse("document", WORDS)) {
        laws(&bytes, 1).map_err(TestCaseError::fail)?;
    }
}
