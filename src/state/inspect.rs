//! What can be said of a run's files without touching them.

use std::path::Path;

use super::disk::{Disk, RealDisk, SIZE_LIMIT, unreadable};
use super::error::StateError;
use super::look::{places, refuse_other_run};
use super::page::{self, Page};
use super::recovery::{self, HISTORY, Recovered, Stamp, is_segment};
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

impl Finding {
    fn of(is_trouble: bool, text: String) -> Finding {
        Finding {
            is_trouble,
            text,
            by_hand: None,
        }
    }

    fn of_error(error: &StateError) -> Finding {
        Finding {
            is_trouble: true,
            text: error.headline(),
            by_hand: error.remedy(),
        }
    }
}

/// Looks all of a run's files over. Nothing is locked or written.
///
/// # Errors
/// Those of [`super::read`] that stand in the way of looking further.
pub fn inspect(state_file: &Path) -> Result<Vec<Finding>, StateError> {
    let (file, directory) = places(state_file);
    let recovered = recovery::recover(&RealDisk, &directory)?;
    let mut findings = Vec::new();
    let mut say = |is_trouble: bool, text: String| findings.push(Finding::of(is_trouble, text));
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
    findings.push(of_file(&file, state_file, &directory, &recovered)?);
    if let (Some(directory), Some(name)) = (file.parent(), file.file_name()) {
        let prefix = format!("{}.rejected-", name.to_string_lossy());
        for rejected in names(directory).iter().filter(|name| name.starts_with(&prefix)) {
            findings.push(Finding::of(
                false,
                format!("{rejected}: a text that was not understood; remove it when it is not needed"),
            ));
        }
    }
    Ok(findings)
}

/// What there is to say of the state file, beside what its journal says.
fn of_file(file: &Path, called: &Path, directory: &Path, recovered: &Recovered) -> Result<Finding, StateError> {
    let bytes = RealDisk
        .read(file, SIZE_LIMIT)
        .map_err(|error| unreadable(&RealDisk, file, called, error));
    let shown = called.display();
    let Some(state) = &recovered.state else {
        bytes?;
        return Ok(Finding::of(
            true,
            if recovered.joined.is_empty() {
                format!("there is no journal: {shown} is all there is")
            } else {
                format!(
                    "the journal's beginning is lost: {shown} counts, with what is completed in the rest of the journal"
                )
            },
        ));
    };
    let page = match bytes {
        Ok(bytes) => page::judge(&bytes, called),
        Err(error) => return Ok(Finding::of(true, error.headline())),
    };
    if let Err(error) = refuse_other_run(&RealDisk, directory, state, &page, called) {
        return Ok(Finding::of_error(&error));
    }
    let is_known = |stamp: &Stamp| recovery::state_at(&RealDisk, directory, stamp).is_some();
    Ok(match page {
        Page::Blank => Finding::of(true, format!("{shown} is empty; the journal has everything")),
        Page::Cut(why) => Finding::of(true, why),
        Page::Wrong(error) => Finding::of_error(&error.or_remove_the_file()),
        Page::Loose(_) => Finding::of(true, format!("{shown} does not say what it was made from")),
        Page::Whole(content) if content.state == *state => {
            Finding::of(false, format!("{shown}: whole, and as the journal has it"))
        }
        Page::Whole(content) if !is_known(&content.stamp) => Finding::of(
            true,
            format!(
                "{shown} was written at {}, which the journal does not have: the journal was cut, or one of the two is an older \
                 copy; what the file says counts when the run is opened",
                content.stamp
            ),
        ),
        Page::Whole(_) => Finding::of(
            true,
            format!("{shown} differs from the journal: it was edited, or its host ended before it was written"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::super::tests::three_completions;
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
        let (file, path) = three_completions(&home);
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
        let (file, path) = three_completions(&home);
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
        assert_eq!(store.state().get("phases", "c"), Some("completed"));
        let notes = store.take_notes().join("\n");
        assert!(notes.contains("counts: c=completed (the journal: nothing)"), "{notes}");
        assert!(!notes.contains("by hand"), "{notes}");
        drop(store);
        assert_eq!(troubles(&file), Vec::<String>::new());
    }
}
