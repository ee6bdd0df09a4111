//! A note of what the state file says, so that a large one need not be read word by word to learn that it says nothing new.
//!
//! `shown`, beside the journal: the place in the journal that the text was made from, its length in bytes and its BLAKE3
//! hash. It is a hint: where it is missing or does not fit, the text is read. Nothing waits for it to be durable, for half
//! a note fits no text.

use std::path::Path;

use super::disk::{Disk, SIZE_LIMIT};
use super::error::StateError;
use super::recovery::{self, Recovered, Stamp};

const FILE: &str = "shown";
/// A note is never longer, in bytes.
const LONGEST: u64 = 300;
/// A shorter text is read faster than it is worth a note. Tests note every one.
const SHORTEST_TEXT: usize = if cfg!(test) { 1 } else { 1 << 20 };

/// A text of which it is noted what it says, without the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noted {
    length: u64,
    hash: blake3::Hash,
}

impl Noted {
    fn of(text: &[u8]) -> Noted {
        Noted {
            length: text.len() as u64,
            hash: blake3::hash(text),
        }
    }

    /// Whether this is the text.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        self.length == text.len() as u64 && *self == Noted::of(text)
    }

    /// Whether the file holds the text. It is gone through a piece at a time, and not kept.
    pub(super) fn is_in(&self, disk: &dyn Disk, file: &Path) -> bool {
        let (mut length, mut hasher) = (0, blake3::Hasher::new());
        let read = disk.go_through(file, SIZE_LIMIT, &mut |piece| {
            length += piece.len() as u64;
            hasher.update(piece);
        });
        read.is_ok() && (length, hasher.finalize()) == (self.length, self.hash)
    }
}

/// Notes that the text was made from the state at `stamp`, if the text says so, too.
pub(super) fn note(disk: &dyn Disk, directory: &Path, stamp: &Stamp, text: &[u8]) {
    let mark = format!("journal={stamp}\n");
    let is_marked = || text.windows(mark.len()).any(|part| part == mark.as_bytes());
    if text.len() < SHORTEST_TEXT || !is_marked() {
        return;
    }
    let new = Noted::of(text);
    if noted(disk, directory).is_some_and(|(of, noted)| of == *stamp && noted == new) {
        return;
    }
    let file = directory.join(FILE);
    let _ = disk.remove(&file);
    if let Ok(mut file) = disk.create(&file, None) {
        let line = format!("{stamp} {} {}\n", new.length, new.hash.to_hex());
        let _ = file.append(line.as_bytes());
    }
}

/// What the journal says; and the note of the text that the file holds, if that is what was made from the journal's state.
///
/// # Errors
/// As [`recovery::recover`].
pub(super) fn recover(
    disk: &dyn Disk,
    file: &Path,
    directory: &Path,
) -> Result<(Recovered, Option<Noted>), StateError> {
    let Some((stamp, noted)) = noted(disk, directory) else {
        return Ok((recovery::recover(disk, directory)?, None));
    };
    let (mut recovered, mut is_it) = (Ok(Recovered::default()), false);
    disk.do_both(&mut || is_it = noted.is_in(disk, file), &mut || {
        recovered = recovery::recover(disk, directory);
    });
    let recovered = recovered?;
    is_it &= recovered.stamp == Some(stamp);
    Ok((recovered, is_it.then_some(noted)))
}

/// The text of which there is a note, and the place in the journal that it was made from the state at.
fn noted(disk: &dyn Disk, directory: &Path) -> Option<(Stamp, Noted)> {
    let line = disk.read(&directory.join(FILE), LONGEST).ok()?;
    let mut words = std::str::from_utf8(&line).ok()?.strip_suffix('\n')?.split(' ');
    let stamp = words.next()?.parse().ok()?;
    let length = words
        .next()?
        .parse()
        .ok()
        .filter(|length| *length >= SHORTEST_TEXT as u64)?;
    let hash = blake3::Hash::from_hex(words.next()?).ok()?;
    Some((stamp, Noted { length, hash }))
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::super::disk::RealDisk;
    use super::*;

    #[test]
    fn a_note_fits_the_text_and_the_place_that_it_was_made_of_and_no_other() {
        let home = TempDir::new().unwrap();
        let stamp = |text: &str| text.parse::<Stamp>().unwrap();
        let (one, other) = (stamp("j-00000001-0a0b0c0d@7"), stamp("j-00000001-0a0b0c0d@8"));
        let fits = |stamp: &Stamp, text: &str| {
            let noted = noted(&RealDisk, home.path()).filter(|(of, _)| of == stamp);
            let noted = noted.map(|(_, noted)| noted);
            let file = home.path().join("text");
            std::fs::write(&file, text).unwrap();
            let is = |noted: &Noted| noted.is(text.as_bytes());
            assert_eq!(
                noted.as_ref().map(|noted| noted.is_in(&RealDisk, &file)),
                noted.as_ref().map(is)
            );
            noted.as_ref().is_some_and(is)
        };
        let text = |stamp: &Stamp, value: &str| format!("journal={stamp}\na={value}\n");
        let (first, second) = (text(&one, "1"), text(&other, "1"));
        assert!(!fits(&one, &first));
        note(&RealDisk, home.path(), &one, first.as_bytes());
        assert!(fits(&one, &first));
        assert!(!fits(&one, &text(&one, "2")) && !fits(&one, first.trim_end()) && !fits(&other, &first));
        note(&RealDisk, home.path(), &other, first.as_bytes());
        assert!(fits(&one, &first), "the text was made from another state");
        note(&RealDisk, home.path(), &other, second.as_bytes());
        assert!(fits(&other, &second) && !fits(&one, &first));
        let whole = std::fs::read(home.path().join(FILE)).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(home.path().join(FILE), &whole[..cut]).unwrap();
            assert!(!fits(&other, &second), "cut at {cut}");
        }
    }
}
