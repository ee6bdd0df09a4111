//! Changing a state as a person does: the whole text of the file at once, without the run's lock.
//!
//! A run that is on merges such a text in when it looks at the file next, just as it does with what an editor saved. The
//! journal then says only that the file was edited; a command that did it leaves word of who and how beside the journal
//! ([`announce`]), and [`super::history`] puts the two together.

use std::path::{Path, PathBuf};

use crc32c::crc32c_append;

use super::check;
use super::disk::{self, Disk, RealDisk, SIZE_LIMIT, failure, parent, unreadable};
use super::error::StateError;
use super::event::Change;
use super::look::{merged, places, refuse_other_run};
use super::model::State;
use super::page::{self, Page};
use super::record::{Lines, Record, read_line};
use super::recovery::{self, Stamp};

/// The directory, in the private one, for what commands said of edits that a run takes in by itself.
const ANNOUNCED: &str = "by-hand";

/// The text of a state file, up to date: the journal may know more than the file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateText {
    /// The text.
    pub text: String,
    /// What it says, as [`super::read`] reads it.
    pub state: State,
    /// What the file holds really.
    found: Vec<u8>,
    stamp: Option<Stamp>,
}

impl StateText {
    /// Another text with the values of a state in it, and with the marks that tie it to the journal.
    pub fn filled(&self, text: &str, state: &State) -> String {
        match &self.stamp {
            Some(stamp) => page::render(text.as_bytes(), state, stamp),
            None => page::render_bare(text.as_bytes(), state),
        }
    }
}

/// Reads a state with its text.
///
/// # Errors
/// Those of [`super::read`].
pub fn read_text(state_file: &Path) -> Result<StateText, StateError> {
    let (file, directory) = places(state_file);
    let mut recovered = recovery::recover(&RealDisk, &directory)?;
    let found = read(&file, state_file);
    let Some(mut state) = recovered.state.take() else {
        let found = found?;
        let mut state = page::import(&found, state_file)?;
        for change in recovered.joined_changes(&state) {
            state.apply(&change);
        }
        return Ok(StateText {
            text: String::from_utf8_lossy(&found).into_owned(),
            state,
            found,
            stamp: None,
        });
    };
    for change in recovered.joined_changes(&state) {
        state.apply(&change);
    }
    let found = match found {
        Err(StateError::NotFound { .. }) => Vec::new(),
        found => found?,
    };
    match page::judge(&found, state_file) {
        Page::Wrong(error) => return Err(error),
        page => {
            refuse_other_run(&RealDisk, &directory, &state, &page, state_file)?;
            for edit in merged(&RealDisk, &directory, &state, page).edits {
                state.apply(&edit);
            }
        }
    }
    let mut text = StateText {
        text: String::new(),
        state,
        stamp: recovered.stamp,
        found,
    };
    text.text = text.filled(&String::from_utf8_lossy(&text.found), &text.state);
    Ok(text)
}

/// Checks a text that is to become a state file; `shown` is the path in messages.
///
/// # Errors
/// [`StateError::Syntax`] for text that is no state file, [`StateError::NewerVersion`].
pub fn check_text(text: &str, shown: &Path) -> Result<State, StateError> {
    page::import(text.as_bytes(), shown)
}

/// The text with some changes made to it and everything else as it was, to the byte.
///
/// # Errors
/// As [`check_text`], for the text before the changes and for the one after them.
pub fn patch_text(text: &str, changes: &[Change], shown: &Path) -> Result<String, StateError> {
    let (mut document, _) = check::understand(text.as_bytes(), shown)?;
    for change in changes {
        document.apply(change);
    }
    let patched = document.to_string();
    check_text(&patched, shown)?;
    Ok(patched)
}

/// Puts `after` in the place of the file if that still holds what it held when `before` was read; `false` when it holds
/// something else. The file is at every moment the one text or the other.
///
/// # Errors
/// [`StateError`] when `after` is no state file, and when the disk fails.
pub fn replace_text(state_file: &Path, before: &StateText, after: &str) -> Result<bool, StateError> {
    check_text(after, state_file)?;
    if after.as_bytes() == before.found {
        return Ok(true);
    }
    let file = disk::resolve(state_file).map_err(failure("replace", state_file, true))?;
    let disk = RealDisk;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent(&file).join(format!("{name}.edit-{:08x}", disk.nonce()));
    let installed = write_and_install(&disk, &file, &beside, state_file, &before.found, after);
    if !matches!(installed, Ok(true)) {
        // There is nobody to tell; it is a copy.
        let _ = disk.remove(&beside);
    }
    installed
}

fn write_and_install(
    disk: &dyn Disk,
    file: &Path,
    beside: &Path,
    shown: &Path,
    before: &[u8],
    after: &str,
) -> Result<bool, StateError> {
    let mut copy = disk
        .create(beside, Some(file))
        .map_err(failure("create", beside, true))?;
    copy.append(after.as_bytes())
        .and_then(|()| copy.sync())
        .map_err(failure("write", beside, true))?;
    let now = match read(file, shown) {
        Err(StateError::NotFound { .. }) => Vec::new(),
        now => now?,
    };
    if now != before {
        return Ok(false);
    }
    disk.rename(beside, file).map_err(failure("replace", shown, true))?;
    disk.sync_directory(parent(file))
        .map_err(failure("make durable the new text of", shown, false))?;
    Ok(true)
}

fn read(file: &Path, shown: &Path) -> Result<Vec<u8>, StateError> {
    let disk = RealDisk;
    disk.read(file, SIZE_LIMIT)
        .map_err(|error| unreadable(&disk, file, shown, error))
}

/// Leaves word that a command is about to make these changes in the file of a run that is on; `verb` says what it is and
/// who uses it.
///
/// # Errors
/// [`StateError::Io`].
pub fn announce(state_file: &Path, verb: &str, changes: &[Change]) -> Result<(), StateError> {
    let (file, directory) = places(state_file);
    let directory = directory.join(ANNOUNCED);
    disk::create_directory(&directory)?;
    let now = jiff::Timestamp::now().as_millisecond();
    let mut lines = Lines::new(0);
    lines.begin(0, u64::try_from(now).unwrap_or_default(), verb);
    changes.iter().for_each(|change| lines.change(change));
    lines.end();
    let text = lines.into_text();
    let path = directory.join(format!(
        "{now:013}-{:08x}",
        crc32c_append(RealDisk.nonce(), text.as_bytes())
    ));
    let mut word = RealDisk
        .create(&path, Some(&file))
        .map_err(failure("create", &path, true))?;
    word.append(text.as_bytes())
        .and_then(|()| word.sync())
        .map_err(failure("write", &path, true))
}

/// What commands said of their edits beside runs that were on, oldest first.
pub(super) fn announced(private_directory: &Path) -> Vec<Record> {
    let directory = private_directory.join(ANNOUNCED);
    let mut names = RealDisk.list(&directory).unwrap_or_default();
    names.sort();
    let paths = names.iter().map(|name| directory.join(name));
    let read = |path: PathBuf| read_line(0, &RealDisk.read(&path, SIZE_LIMIT).ok()?);
    paths.filter_map(read).collect()
}

/// What turns one state into another, in the order of the file: first what is set, then what is taken out.
pub fn changes_between(before: &State, after: &State) -> Vec<Change> {
    let keys = |state: &State| -> Vec<(String, String, String)> {
        state
            .sections()
            .flat_map(|s| {
                state
                    .section(s)
                    .map(move |(k, v)| (s.to_owned(), k.to_owned(), v.to_owned()))
            })
            .collect()
    };
    let set = keys(after)
        .into_iter()
        .filter(|(s, k, v)| before.get(s, k) != Some(v.as_str()))
        .map(|(section, key, value)| Change {
            section,
            key,
            value: Some(value),
        });
    let gone = keys(before)
        .into_iter()
        .filter(|(s, k, _)| after.get(s, k).is_none())
        .map(|(section, key, _)| Change {
            section,
            key,
            value: None,
        });
    set.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::super::{Event, Store};
    use super::*;

    fn change(section: &str, key: &str, value: &str) -> Change {
        Change {
            section: section.into(),
            key: key.into(),
            value: Some(value.into()),
        }
    }

    #[test]
    fn a_text_is_put_in_place_only_of_the_one_it_was_made_from() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("state");
        std::fs::write(&file, "[phases]\na=pending\n").unwrap();
        let before = read_text(&file).unwrap();
        std::fs::write(&file, "[phases]\na=skipped\n").unwrap();
        assert!(!replace_text(&file, &before, "[phases]\na=failed\n").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[phases]\na=skipped\n");
        let before = read_text(&file).unwrap();
        assert!(replace_text(&file, &before, "# mine\n[phases]\na=failed\n").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "# mine\n[phases]\na=failed\n");
        assert_eq!(
            std::fs::read_dir(home.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_text_that_is_no_state_is_not_put_in_place() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("state");
        std::fs::write(&file, "").unwrap();
        let before = read_text(&file).unwrap();
        assert!(replace_text(&file, &before, "[phases]\na=compelted\n").is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }

    #[test]
    fn a_text_is_up_to_date_although_the_file_lags_behind_the_journal() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("state");
        let first = Event::new("created")
            .set("metadata", "version", "3.2.0")
            .set("phases", "a", "pending");
        let mut store = Store::create(&file, "mine", first).unwrap();
        let lagging = std::fs::read(&file).unwrap();
        store.commit(Event::new("x").set("phases", "a", "completed")).unwrap();
        drop(store);
        let shown = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, lagging).unwrap();
        let read = read_text(&file).unwrap();
        assert_eq!(read.text, shown);
        assert_eq!(read.state, super::super::read(&file).unwrap());
        // What is set back in it is set back, not "completed meanwhile".
        let after = patch_text(&read.text, &[change("phases", "a", "pending")], &file).unwrap();
        assert!(replace_text(&file, &read, &after).unwrap());
        assert_eq!(super::super::read(&file).unwrap().get("phases", "a"), Some("pending"));
    }

    #[test]
    fn what_was_announced_is_read_back() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("state");
        let changes = [change("phases", "a", "failed"), change("notes", "b\tc", "x")];
        announce(&file, "marked by ann", &changes).unwrap();
        let all = announced(&places(&file).1);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].verb, "marked by ann");
        assert!(all[0].changes().eq(changes.iter()));
    }

    #[test]
    fn a_patched_text_keeps_its_comments() {
        let change = change("phases", "a", "failed");
        let patched = patch_text(
            "# c\n[phases]\na=pending # no\n",
            std::slice::from_ref(&change),
            Path::new("s"),
        );
        assert!(patched.is_err(), "a status with a comment behind it is none");
        let patched = patch_text("# c\n[phases]\n# d\na=pending\n", &[change], Path::new("s")).unwrap();
        assert_eq!(patched, "# c\n[phases]\n# d\na=failed\n");
    }

    #[test]
    fn the_changes_between_two_states_turn_the_one_into_the_other() {
        let before = check_text("[a]\nx=1\ny=2\n[b]\nz=3\n", Path::new("s")).unwrap();
        let after = check_text("[a]\nx=1\ny=4\n[c]\nn=5\n", Path::new("s")).unwrap();
        let mut now = before.clone();
        let changes = changes_between(&before, &after);
        changes.iter().for_each(|c| now.apply(c));
        assert_eq!(changes.len(), 3);
        assert_eq!(
            (now.get("a", "y"), now.get("b", "z"), now.get("c", "n")),
            (Some("4"), None, Some("5"))
        );
    }
}
