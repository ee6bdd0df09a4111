//! What became of the state file since it was last looked at.
//!
//! Editors do not save in one step: some empty the file and write into it, some take it away and put a new one in
//! its place. So a file that differs is looked at again until it holds still, and one that is gone, empty or cut
//! short gets some more time.

use std::path::Path;
use std::time::Duration;

use super::check;
use super::disk;
use super::document::Document;
use super::error::StateError;
use super::model::State;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(40);
/// How many looks in a row have to agree before a file that is gone, empty or cut short is believed to be so.
const PATIENCE: usize = 8;
/// How many looks there are in all, should the file never hold still.
const LOOKS: usize = 25;

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// It is as it was written last.
    Same,
    /// Somebody changed it, and it is a state.
    Edited {
        document: Document,
        state: State,
        bytes: Vec<u8>,
    },
    /// Somebody changed it, and it is none.
    Broken {
        /// What is wrong, and what the user can do.
        why: String,
        bytes: Option<Vec<u8>>,
    },
    /// It is not there, or nothing is in it.
    Vanished,
}

/// Looks at the file; `written` is what was written last, `state` the state that it describes.
///
/// # Errors
/// [`StateError::Unreadable`] and [`StateError::IsDirectory`]: nothing can be said about the content.
pub(super) fn look(file: &Path, shown: &Path, written: &[u8], state: &State) -> Result<Found, StateError> {
    let mut last = read(file, shown)?;
    let mut agreed = 1;
    for _ in 1..LOOKS {
        if matches!(&last, Content::Bytes(bytes) if bytes == written) {
            return Ok(Found::Same);
        }
        if agreed >= if is_suspicious(&last, written) { PATIENCE } else { 2 } {
            break;
        }
        std::thread::sleep(PAUSE);
        let now = read(file, shown)?;
        agreed = if now == last { agreed + 1 } else { 1 };
        last = now;
    }
    Ok(judge(last, shown, written, state))
}

/// Whether the file still holds what was found, as far as that says anything about its content.
pub(super) fn still_is(found: &Found, file: &Path, shown: &Path, written: &[u8]) -> bool {
    match (found, read(file, shown)) {
        (Found::Same, Ok(Content::Bytes(now))) => now == written,
        (Found::Edited { bytes, .. } | Found::Broken { bytes: Some(bytes), .. }, Ok(Content::Bytes(now))) => {
            now == *bytes
        }
        (Found::Broken { bytes: None, .. }, Ok(Content::TooLarge(_))) => true,
        (Found::Vanished, Ok(now)) => is_nothing(&now),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Gone,
    Bytes(Vec<u8>),
    TooLarge(String),
}

fn read(file: &Path, shown: &Path) -> Result<Content, StateError> {
    match disk::read(file, shown) {
        Ok(bytes) => Ok(Content::Bytes(bytes)),
        Err(StateError::NotFound { .. }) => Ok(Content::Gone),
        Err(error @ StateError::TooLarge { .. }) => Ok(Content::TooLarge(error.to_string())),
        Err(error) => Err(error),
    }
}

fn is_nothing(content: &Content) -> bool {
    match content {
        Content::Gone => true,
        Content::Bytes(bytes) => bytes.is_empty(),
        Content::TooLarge(_) => false,
    }
}

fn is_suspicious(content: &Content, written: &[u8]) -> bool {
    is_nothing(content)
        || matches!(content, Content::Bytes(bytes) if !bytes.ends_with(b"\n") && written.ends_with(b"\n"))
}

fn judge(content: Content, shown: &Path, written: &[u8], before: &State) -> Found {
    if is_nothing(&content) {
        return Found::Vanished;
    }
    let suspicious = is_suspicious(&content, written);
    let bytes = match content {
        Content::Bytes(bytes) => bytes,
        Content::TooLarge(why) => return Found::Broken { why, bytes: None },
        Content::Gone => return Found::Vanished,
    };
    match check::understand(&bytes, shown) {
        Ok((_, state)) if suspicious && lacks_keys_of(before, &state) => Found::Broken {
            why: format!(
                "{} ends in the middle of a line and lacks keys that were there: it was cut short or half saved",
                shown.display()
            ),
            bytes: Some(bytes),
        },
        Ok((document, state)) => Found::Edited { document, state, bytes },
        Err(error) => Found::Broken {
            why: error.to_string(),
            bytes: Some(bytes),
        },
    }
}

fn lacks_keys_of(before: &State, now: &State) -> bool {
    before
        .sections()
        .any(|name| before.section(name).any(|(key, _)| now.get(name, key).is_none()))
}
