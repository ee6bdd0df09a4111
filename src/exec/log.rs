//! Reading the log that a command writes, while it runs and afterwards. Nothing here writes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::plain_text::last_state;

/// The last lines of a log, oldest first: at most `lines` of them, of what was written from byte offset `from` on, looking at
/// no more than the last 256 KiB.
///
/// Lines come as plain text: colours are removed, and a progress bar that redraws itself with carriage returns counts as one
/// line in its last state. A last line without a newline counts. A log that does not exist has no lines.
///
/// # Errors
///
/// When the log exists but cannot be read.
pub fn tail(log: &Path, from: u64, lines: usize) -> io::Result<Vec<String>> {
    tail_between(log, from, u64::MAX, lines)
}

/// The last lines of a log as [`tail`] gives them, of what was written before byte offset `to`: for a command that others have
/// written after.
///
/// # Errors
///
/// When the log exists but cannot be read.
pub fn tail_between(log: &Path, from: u64, to: u64, lines: usize) -> io::Result<Vec<String>> {
    let Some((file, length)) = open(log)? else {
        return Ok(Vec::new());
    };
    let length = length.min(to);
    let start = from.max(length.saturating_sub(TAIL_BYTES)).min(length);
    let bytes = read_range(&file, start, length)?;
    let mut rows: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    if rows.last().is_some_and(|row| row.is_empty()) {
        rows.pop();
    }
    // The first row may be the end of a longer line. Of a progress bar it still holds whole states, of anything else it is
    // worth showing only where there is nothing better.
    if start > from && rows.len() > 1 && !rows[0].contains(&b'\r') {
        rows.remove(0);
    }
    let first = rows.len().saturating_sub(lines);
    Ok(rows[first..].iter().map(|row| last_state(row)).collect())
}

/// Follows a log that is still being written, for showing it as it grows.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    /// Where following began: nothing before it is ever shown.
    from: u64,
    /// Where the first byte lies that `read_new` has not looked at.
    position: u64,
    /// The beginning of a line whose end has not been written yet.
    unfinished: Vec<u8>,
}

impl LogFollower {
    /// Follows the log at `path` from byte offset `from` on. The file need not exist yet.
    pub fn new(path: impl Into<PathBuf>, from: u64) -> Self {
        LogFollower {
            path: path.into(),
            from,
            position: from,
            unfinished: Vec::new(),
        }
    }

    /// The lines completed since the last call, each ended by a newline, as plain text like [`tail`]'s; an empty string when
    /// there are none. Reads at most 1 MiB, so a log that grew by more needs further calls: [`is_behind`](Self::is_behind).
    /// A log that was cut short is read again from its beginning.
    ///
    /// # Errors
    ///
    /// When the log exists but cannot be read.
    pub fn read_new(&mut self) -> io::Result<String> {
        let Some((file, length)) = open(&self.path)? else {
            return Ok(String::new());
        };
        if length < self.position {
            (self.from, self.position) = (0, 0);
            self.unfinished.clear();
        }
        let end = length.min(self.position + STEP_BYTES);
        let fresh = read_range(&file, self.position, end)?;
        self.position += fresh.len() as u64;
        self.unfinished.extend_from_slice(&fresh);

        let mut complete = String::new();
        if let Some(last_newline) = self.unfinished.iter().rposition(|&byte| byte == b'\n') {
            let rest = self.unfinished.split_off(last_newline + 1);
            for line in self.unfinished[..last_newline].split(|&byte| byte == b'\n') {
                complete.push_str(&last_state(line));
                complete.push('\n');
            }
            self.unfinished = rest;
        }
        self.forget_old_drawings();
        Ok(complete)
    }

    /// Whether the log held more, when it was last looked at or since, than [`read_new`](Self::read_new) has read.
    ///
    /// # Errors
    ///
    /// When the log exists but cannot be opened.
    pub fn is_behind(&self) -> io::Result<bool> {
        Ok(open(&self.path)?.is_some_and(|(_, length)| length > self.position))
    }

    /// The line that [`read_new`](Self::read_new) has seen the beginning of only, as plain text, given out once: for the end
    /// of a command whose last line has no newline.
    pub fn take_unfinished(&mut self) -> Option<String> {
        let line = last_state(&std::mem::take(&mut self.unfinished));
        (!line.is_empty()).then_some(line)
    }

    /// What that line shows by now, without giving it out: a program that draws over one line with carriage returns may not end it
    /// for hours. Looks at no more than its last 8 KiB. `None` while it shows nothing.
    pub fn unfinished(&self) -> Option<String> {
        let start = self.unfinished.len().saturating_sub(LAST_LINE_BYTES as usize);
        let line = last_state(&self.unfinished[start..]);
        (!line.is_empty()).then_some(line)
    }

    /// The newest line of the log that shows anything, finished or not: what a progress display puts beside its spinner.
    /// Looks at the end of the file by itself, whatever has been read so far.
    ///
    /// # Errors
    ///
    /// When the log exists but cannot be read.
    pub fn last_line(&self) -> io::Result<Option<String>> {
        let Some((file, length)) = open(&self.path)? else {
            return Ok(None);
        };
        let from = if length < self.from { 0 } else { self.from };
        let start = from.max(length.saturating_sub(LAST_LINE_BYTES));
        let bytes = read_range(&file, start, length)?;
        Ok(bytes
            .rsplit(|&byte| byte == b'\n')
            .map(last_state)
            .find(|line| !line.is_empty()))
    }

    /// Keeps a progress bar that never ends its line from growing without bounds.
    fn forget_old_drawings(&mut self) {
        if self.unfinished.len() <= UNFINISHED_BYTES {
            return;
        }
        // The last byte is left out: a carriage return there may belong to a line end that is half written.
        let drawn = &self.unfinished[..self.unfinished.len() - 1];
        let start = match drawn.iter().rposition(|&byte| byte == b'\r') {
            Some(last_return) => last_return,
            None => self.unfinished.len() - UNFINISHED_BYTES,
        };
        self.unfinished.drain(..start);
    }
}

/// How much of the end of a log `tail` looks at.
const TAIL_BYTES: u64 = 256 << 10;
/// How much of a log one `read_new` reads.
const STEP_BYTES: u64 = 1 << 20;
/// How much of the end of a log may be needed for its last line.
const LAST_LINE_BYTES: u64 = 8 << 10;
/// How long an unfinished line may grow before its older drawings are forgotten.
const UNFINISHED_BYTES: usize = 64 << 10;

/// Opens a log and takes its length; `None` when it does not exist.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let length = file.metadata()?.len();
            Ok(Some((file, length)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes from `start` to `end`, fewer when the file has been cut short meanwhile.
fn read_range(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let wanted = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut bytes[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_fs::TempDir;
    use std::io::Write as _;

    fn log_with(bytes: &[u8]) -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn append(path: &Path, bytes: &[u8]) {
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    #[test]
    fn the_tail_is_the_last_lines_from_the_offset_on() {
        let (_dir, log) = log_with(b"one\ntwo\nthree\n\nfour");
        assert_eq!(tail(&log, 0, 3).unwrap(), ["three", "", "four"]);
        assert_eq!(tail(&log, 8, 20).unwrap(), ["three", "", "four"]);
        assert_eq!(tail(&log, 999, 20).unwrap(), [""; 0]);
        assert_eq!(tail(&log, 0, 0).unwrap(), [""; 0]);
    }

    #[test]
    fn what_was_written_after_the_end_is_not_in_the_tail() {
        let (_dir, log) = log_with(b"one\ntwo\nthree\n");
        assert_eq!(tail_between(&log, 0, 8, 5).unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_progress_bar_is_one_line_of_the_tail() {
        let mut bytes = b"Epoch 1\n".to_vec();
        for percent in 0..=100 {
            bytes.extend(format!("\r\x1b[32m{percent:3}%\x1b[0m").bytes());
        }
        bytes.extend(b"\nloss 0.5\n");
        let (_dir, log) = log_with(&bytes);
        assert_eq!(tail(&log, 0, 20).unwrap(), ["Epoch 1", "100%", "loss 0.5"]);
    }

    #[test]
    fn the_tail_of_a_huge_log_drops_the_line_it_cut_and_keeps_a_bar_it_cut() {
        let mut bytes = vec![b'x'; 1 << 20];
        bytes.extend(b"\nlast\n");
        let (_dir, log) = log_with(&bytes);
        assert_eq!(tail(&log, 0, 20).unwrap(), ["last"]);

        let bar = b"\r 5 of 9".repeat(100_000);
        let (_dir, log) = log_with(&[&bar[..], b"\nlast\n"].concat());
        assert_eq!(tail(&log, 0, 20).unwrap(), [" 5 of 9", "last"]);
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let (dir, _log) = log_with(b"");
        let missing = dir.path().join("missing");
        assert_eq!(tail(&missing, 0, 5).unwrap(), [""; 0]);
        let mut follower = LogFollower::new(&missing, 0);
        assert_eq!(follower.read_new().unwrap(), "");
        assert_eq!(follower.last_line().unwrap(), None);
    }

    #[test]
    fn following_gives_each_completed_line_once() {
        let (_dir, log) = log_with(b"old\none\ntw");
        let follower = LogFollower::new(&log, 10);
        assert_eq!(follower.last_line().unwrap(), None);
        let mut follower = LogFollower::new(&log, 4);
        assert_eq!(follower.read_new().unwrap(), "one\n");
        assert_eq!(follower.read_new().unwrap(), "");
        assert_eq!(follower.last_line().unwrap().as_deref(), Some("tw"));
        append(&log, b"o\r\nthr");
        assert_eq!(follower.read_new().unwrap(), "two\n");
        assert_eq!(follower.unfinished().as_deref(), Some("thr"));
        append(&log, b"\r 10%|#  \r\x1b[32m 20%|## \x1b[0m\r");
        assert_eq!(follower.read_new().unwrap(), "");
        assert_eq!(follower.unfinished().as_deref(), Some(" 20%|##"));
        assert_eq!(follower.take_unfinished().as_deref(), Some(" 20%|##"));
        assert_eq!(follower.take_unfinished(), None);
    }

    #[test]
    fn following_a_character_written_in_two_halves_does_not_break_it() {
        let (_dir, log) = log_with(b"caf\xc3");
        let mut follower = LogFollower::new(&log, 0);
        assert_eq!(follower.read_new().unwrap(), "");
        append(&log, b"\xa9\n");
        assert_eq!(follower.read_new().unwrap(), "café\n");
    }

    #[test]
    fn following_reads_a_large_log_in_steps_and_loses_nothing() {
        let text = "0123456789abcde\n".repeat(200_000);
        let (_dir, log) = log_with(text.as_bytes());
        let mut follower = LogFollower::new(&log, 0);
        let mut read = String::new();
        while follower.is_behind().unwrap() {
            read.push_str(&follower.read_new().unwrap());
        }
        assert!(read == text, "{} of {} bytes", read.len(), text.len());
    }

    #[test]
    fn a_bar_without_end_does_not_pile_up_in_memory() {
        let (_dir, log) = log_with(&b"\r 5 of 9".repeat(100_000));
        let mut follower = LogFollower::new(&log, 0);
        assert_eq!(follower.read_new().unwrap(), "");
        assert!(follower.unfinished.len() <= UNFINISHED_BYTES);
        append(&log, b"\r 9 of 9\n");
        assert_eq!(follower.read_new().unwrap(), " 9 of 9\n");
    }

    #[test]
    fn a_log_that_was_cut_short_is_read_from_its_beginning() {
        let (_dir, log) = log_with(b"a long first line\n");
        let mut follower = LogFollower::new(&log, 0);
        follower.read_new().unwrap();
        std::fs::write(&log, b"new\n").unwrap();
        assert_eq!(follower.read_new().unwrap(), "new\n");
    }
}
