//! Writing into a state file as a person with an editor does: the whole text at once, without the run's lock.
//!
//! A run that is on merges such a text in when it looks at the file next, just as it does with what an editor saved.

use std::path::Path;

use super::check;
use super::disk::{self, Disk, RealDisk, SIZE_LIMIT, failure, parent, unreadable};
use super::error::StateError;
use super::event::Change;
use super::look::places;
use super::model::State;

/// The text of a state file, checked as [`super::read`] checks it, and the state that it describes.
///
/// # Errors
/// Those of [`super::read`].
pub fn read_text(state_file: &Path) -> Result<(String, State), StateError> {
    let bytes = read(&places(state_file).0, state_file)?;
    let (_, state) = check::understand(&bytes, state_file)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), state))
}

/// Checks a text that is to become a state file; `shown` is the path in messages.
///
/// # Errors
/// [`StateError::Syntax`] for text that is no state file, [`StateError::NewerVersion`].
pub fn check_text(text: &str, shown: &Path) -> Result<State, StateError> {
    check::understand(text.as_bytes(), shown).map(|(_, state)| state)
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

/// Puts `after` in the place of the file if that still holds `before`; `false` when it holds something else. The file is
/// at every moment the one text or the other.
///
/// # Errors
/// [`StateError`] when `after` is no state file, and when the disk fails.
pub fn replace_text(state_file: &Path, before: &str, after: &str) -> Result<bool, StateError> {
    check_text(after, state_file)?;
    let file = disk::resolve(state_file).map_err(failure("replace", state_file, true))?;
    let disk = RealDisk;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent(&file).join(format!("{name}.edit-{:08x}", disk.nonce()));
    let installed = write_and_install(&disk, &file, &beside, state_file, before, after);
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
    before: &str,
    after: &str,
) -> Result<bool, StateError> {
    let mut copy = disk
        .create(beside, Some(file))
        .map_err(failure("create", beside, true))?;
    copy.append(after.as_bytes())
        .and_then(|()| copy.sync())
        .map_err(failure("write", beside, true))?;
    if read(file, shown)? != before.as_bytes() {
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

    use super::*;

    #[test]
    fn a_text_is_put_in_place_only_of_the_one_it_was_made_from() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("state");
        std::fs::write(&file, "[phases]\na=pending\n").unwrap();
        assert!(!replace_text(&file, "something else", "[phases]\na=failed\n").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[phases]\na=pending\n");
        assert!(replace_text(&file, "[phases]\na=pending\n", "# mine\n[phases]\na=failed\n").unwrap());
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
        assert!(replace_text(&file, "", "[phases]\na=compelted\n").is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }

    #[test]
    fn a_patched_text_keeps_its_comments() {
        let change = Change {
            section: "phases".into(),
            key: "a".into(),
            value: Some("failed".into()),
        };
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
