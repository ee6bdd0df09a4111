//! A note of what the state file says, so that a large one need not be read word by word to learn that it says nothing new.
//!
//! `shown`, beside the journal: the place in the journal that the text was made from, its length in bytes and its BLAKE3
//! hash. It is a hint: where it is missing or does not fit, the text is read. Nothing waits for it to be durable, for half
//! a note fits no text.

use std::path::Path;

use super::disk::Disk;
use super::recovery::Stamp;

const FILE: &str = "shown";
/// A note is never longer, in bytes.
const LONGEST: u64 = 300;
/// A shorter text is read faster than it is worth a note. Tests note every one.
const SHORTEST_TEXT: usize = if cfg!(test) { 1 } else { 1 << 20 };

/// Notes that the text was made from the state at `stamp`, if the text says so, too.
pub(super) fn note(disk: &dyn Disk, directory: &Path, stamp: &Stamp, text: &[u8]) {
    let mark = format!("journal={stamp}\n");
    let is_marked = || text.windows(mark.len()).any(|part| part == mark.as_bytes());
    if text.len() < SHORTEST_TEXT || fits(disk, directory, stamp, text) || !is_marked() {
        return;
    }
    let file = directory.join(FILE);
    let _ = disk.remove(&file);
    if let Ok(mut file) = disk.create(&file, None) {
        let _ = file.append(line(stamp, text).as_bytes());
    }
}

/// Whether it is noted that the text was made from the state at `stamp`.
pub(super) fn fits(disk: &dyn Disk, directory: &Path, stamp: &Stamp, text: &[u8]) -> bool {
    text.len() >= SHORTEST_TEXT
        && disk
            .read(&directory.join(FILE), LONGEST)
            .is_ok_and(|noted| noted.starts_with(head(stamp, text).as_bytes()) && noted == line(stamp, text).as_bytes())
}

fn head(stamp: &Stamp, text: &[u8]) -> String {
    format!("{stamp} {} ", text.len())
}

fn line(stamp: &Stamp, text: &[u8]) -> String {
    format!("{}{}\n", head(stamp, text), blake3::hash(text).to_hex())
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
        let fits = |stamp: &Stamp, text: &str| fits(&RealDisk, home.path(), stamp, text.as_bytes());
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
