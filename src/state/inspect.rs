//! What can be said of a run's files without touching them.

use std::path::Path;

use super::disk::{Disk, RealDisk, SIZE_LIMIT, unreadable};
use super::error::StateError;
use super::look::{places, refuse_other_run};
use super::page::{self, Page};
use super::recovery::{self, HISTORY, is_segment};
use super::segment::Segment;

/// Something that was found in a run's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is a trouble that `fsck --repair` mends, or the user has to.
    pub is_trouble: bool,
    /// What it is, in a line.
    pub text: String,
    /// What a person has to do about it, when nothing else mends it.
    pub by_hand: Option<String>,
}

/// Looks all of a run's files over. Nothing is locked or written.
///
/// # Errors
/// Those of [`super::read`] that stand in the way of looking further.
pub fn inspect(state_file: &Path) -> Result<Vec<Finding>, StateError> {
    let (file, directory) = places(state_file);
    let recovered = recovery::recover(&RealDisk, &directory)?;
    let mut findings = Vec::new();
    let mut tell = |is_trouble: bool, text: String, by_hand: Option<String>| {
        findings.push(Finding {
            is_trouble,
            text,
            by_hand,
        });
    };
    let mut say = |is_trouble: bool, text: String| tell(is_trouble, text, None);
    let names = |place: &Path| {
        let mut names = RealDisk.list(place).unwrap_or_default();
        names.sort();
        names
    };
    for name in names(&directory).iter().filter(|name| is_segment(name)) {
        let parsed = RealDisk.read(&directory.join(name), u64::MAX).map(Segment::parse);
        match parsed {
            Ok(Ok(segment)) if segment.lives && segment.damage.is_none() => {
                let events = format!("{} events up to {}", segment.records.len(), segment.last_seq());
                say(
                    false,
                    match segment.torn {
                        0 => format!("{name}: whole, {events}"),
                        torn => {
                            format!("{name}: {events}, and {torn} bytes of one that was being written when it ended")
                        }
                    },
                );
            }
            Ok(Ok(segment)) if segment.damage.is_some() => say(
                true,
                format!(
                    "{name}: damaged; {} events behind the damage can be read",
                    segment.behind_damage.len()
                ),
            ),
            Ok(_) => say(true, format!("{name}: was never begun; it holds nothing")),
            Err(error) => say(true, format!("{name}: cannot be read: {error}")),
        }
    }
    let superseded = names(&directory.join(HISTORY)).len();
    if superseded > 0 {
        say(false, format!("{superseded} superseded segments in {HISTORY}/"));
    }
    recovered.notes.iter().for_each(|note| say(true, note.clone()));
    let bytes = RealDisk
        .read(&file, SIZE_LIMIT)
        .map_err(|error| unreadable(&RealDisk, &file, state_file, error));
    let shown = state_file.display();
    let page = bytes.map(|bytes| page::judge(&bytes, state_file));
    let foreign = match (&recovered.state, &page) {
        (Some(state), Ok(page)) => refuse_other_run(&RealDisk, &directory, state, page, state_file).err(),
        _ => None,
    };
    match (&recovered.state, page) {
        _ if foreign.is_some() => {
            let error = foreign.iter();
            error.for_each(|error| tell(true, error.headline(), error.remedy()));
        }
        (None, Err(error)) => return Err(error),
        (None, Ok(_)) if !recovered.joined.is_empty() => say(
            true,
            format!(
                "the journal's beginning is lost: {shown} counts, with what is completed in the rest of the journal"
            ),
        ),
        (None, Ok(_)) => say(true, format!("there is no journal: {shown} is all there is")),
        (Some(_), Err(error)) => say(true, error.headline()),
        (Some(_), Ok(Page::Blank)) => say(true, format!("{shown} is empty; the journal has everything")),
        (Some(_), Ok(Page::Cut(why))) => say(true, why),
        (Some(_), Ok(Page::Wrong(error))) => {
            let text = error.headline();
            tell(true, text, error.or_remove_the_file().remedy());
        }
        (Some(_), Ok(Page::Loose(_))) => say(true, format!("{shown} does not say what it was made from")),
        (Some(state), Ok(Page::Whole(content))) if content.state == *state => {
            say(false, format!("{shown}: whole, and as the journal has it"));
        }
        (Some(_), Ok(Page::Whole(content))) if recovery::state_at(&RealDisk, &directory, &content.stamp).is_none() => {
            say(
                true,
                format!(
                    "{shown} was written at {}, which the journal does not have: the journal was cut, or one of the two is an older \
                 copy; what the file says counts when the run is opened",
                    content.stamp
                ),
            )
        }
        (Some(_), Ok(Page::Whole(_))) => say(
            true,
            format!("{shown} differs from the journal: it was edited, or its host ended before it was written"),
        ),
    }
    if let (Some(directory), Some(name)) = (file.parent(), file.file_name()) {
        let prefix = format!("{}.rejected-", name.to_string_lossy());
        for rejected in names(directory).iter().filter(|name| name.starts_with(&prefix)) {
            let text = format!("{rejected}: a text that was not understood; remove it when it is not needed");
            tell(false, text, None);
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::super::{Event, Store};
    use super::*;

    fn troubles(file: &Path) -> Vec<String> {
        let findings = inspect(file).unwrap().into_iter();
        findings
            .filter(|finding| finding.is_trouble)
            .map(|finding| finding.text)
            .collect()
    }

    #[test]
    fn a_run_that_is_well_has_no_trouble_and_one_that_is_damaged_has_and_opening_mends_it() {
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        let first = Event::new("created")
            .set("metadata", "version", "3.2.0")
            .set("phases", "a", "completed");
        drop(Store::create(&file, "", first).unwrap());
        assert_eq!(troubles(&file), Vec::<String>::new());

        std::fs::write(&file, "").unwrap();
        std::fs::write(
            home.path().join(".experiment_state.d/j-00000009-00000000"),
            "half a hea",
        )
        .unwrap();
        let found = troubles(&file).join("\n");
        assert!(found.contains("is empty") && found.contains("never begun"), "{found}");

        drop(Store::open(&file).unwrap());
        assert_eq!(troubles(&file), Vec::<String>::new());
    }

    #[test]
    fn a_damaged_segment_is_told_and_its_completions_are_kept() {
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        let mut store = Store::create(&file, "", Event::new("created").set("phases", "a", "pending")).unwrap();
        for name in ["a", "b", "c"] {
            store
                .commit(Event::new("completed").set("phases", name, "completed"))
                .unwrap();
        }
        drop(store);
        let directory = home.path().join(".experiment_state.d");
        let segment = RealDisk
            .list(&directory)
            .unwrap()
            .into_iter()
            .find(|name| is_segment(name))
            .unwrap();
        let path = directory.join(segment);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("[phases]b=completed", "[phases]b=compl\0ted")).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(troubles(&file).join("\n").contains("damaged"));
        let store = Store::open(&file).unwrap();
        let completed = |name| store.state().get("phases", name) == Some("completed");
        assert!(completed("a") && !completed("b") && completed("c"));
    }

    #[test]
    fn a_journal_that_was_cut_is_told_and_what_the_file_says_counts() {
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        let mut store = Store::create(&file, "", Event::new("created").set("phases", "a", "pending")).unwrap();
        store
            .commit(Event::new("completed").set("phases", "a", "completed"))
            .unwrap();
        drop(store);
        let directory = home.path().join(".experiment_state.d");
        let names = RealDisk.list(&directory).unwrap();
        let path = directory.join(names.iter().find(|name| is_segment(name)).unwrap());
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 3]).unwrap();

        let found: Vec<String> = inspect(&file).unwrap().into_iter().map(|f| f.text).collect();
        let found = found.join("\n");
        assert!(
            found.contains("bytes of one that was being written when it ended"),
            "{found}"
        );
        assert!(found.contains("which the journal does not have"), "{found}");

        let mut store = Store::open(&file).unwrap();
        assert_eq!(store.state().get("phases", "a"), Some("completed"));
        let notes = store.take_notes().join("\n");
        assert!(notes.contains("counts: a=completed (the journal: pending)"), "{notes}");
        assert!(!notes.contains("by hand"), "{notes}");
        drop(store);
        assert_eq!(troubles(&file), Vec::<String>::new());
    }
}
