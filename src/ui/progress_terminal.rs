//! Where indicatif draws: a terminal that writes through the printer's standard error.
//!
//! It differs from indicatif's own in what users would notice. No failure is reported upwards,
//! since indicatif panics on one (a closed terminal must not end a run). Lines are not padded to
//! the full width, so that the `^C` a terminal echoes lands on a line that the next frame wipes.
//! What was drawn is wiped whole even after the window became narrower. And it can be closed:
//! then it is clean for good, even while spinners still tick.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use anstream::adapter::strip_str;
use indicatif::TermLike;
use unicode_width::UnicodeWidthStr;

use super::stream::{Stream, locked};

/// Columns left free at the end of each line: room for an echoed `^C` and the cursor.
const MARGIN: usize = 3;

/// One phase, and how many more there are.
const FEWEST_ROWS: usize = 2;

/// indicatif's line arithmetic needs room for one wide character.
const NARROWEST: usize = 2;

/// The terminal; clones draw on the same one.
#[derive(Clone)]
pub(super) struct Screen {
    stderr: Arc<Stream>,
    frame: Arc<Mutex<Frame>>,
}

/// One redrawing, collected until indicatif flushes so that it reaches the terminal in one write.
///
/// indicatif's own cursor movements are not needed: a frame always replaces the whole last one.
#[derive(Default)]
struct Frame {
    lines: Vec<String>,
    line_ended: bool,
    widths_on_screen: Vec<usize>,
    closed: bool,
    paused: bool,
}

impl Screen {
    pub(super) fn new(stderr: Arc<Stream>) -> Self {
        Self {
            stderr,
            frame: Arc::default(),
        }
    }

    /// Whether both are the same screen.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.frame, &other.frame)
    }

    /// Columns a line may fill.
    pub(super) fn columns(&self) -> usize {
        self.stderr.size().0.saturating_sub(MARGIN)
    }

    /// Wipes what is drawn and draws nothing from now on.
    pub(super) fn close(&self) {
        let mut frame = locked(&self.frame);
        frame.lines.clear();
        self.draw(&mut frame);
        frame.closed = true;
    }

    /// Wipes what is drawn and draws nothing until it is resumed.
    pub(super) fn pause(&self) {
        let mut frame = locked(&self.frame);
        frame.lines.clear();
        self.draw(&mut frame);
        frame.paused = true;
    }

    /// Draws again.
    pub(super) fn resume(&self) {
        locked(&self.frame).paused = false;
    }

    fn draw(&self, frame: &mut Frame) {
        let (columns, rows) = self.stderr.size();
        let lines = fitting(std::mem::take(&mut frame.lines), rows);
        frame.line_ended = false;
        if frame.closed || frame.paused || (lines.is_empty() && frame.widths_on_screen.is_empty()) {
            return;
        }
        let bytes = wipe(&frame.widths_on_screen, columns) + lines.join("\r\n").as_str();
        frame.widths_on_screen = lines.iter().map(|line| columns_of(line)).collect();
        // A terminal that is gone must not end the run.
        let _ = self.stderr.write(bytes.as_bytes());
    }
}

/// The lines that so many rows have room for; the last one counts those that are left out.
fn fitting(mut lines: Vec<String>, rows: usize) -> Vec<String> {
    let rows = rows.max(FEWEST_ROWS);
    if lines.len() > rows {
        let more = lines.len() - (rows - 1);
        lines.truncate(rows - 1);
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// What erases lines of these widths, the cursor being at the end of the last: a terminal that
/// became narrower has wrapped them.
fn wipe(widths: &[usize], columns: usize) -> String {
    let rows: usize = widths.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    match rows {
        0 => String::new(),
        _ => "\r\u{1b}[2K".to_owned() + "\u{1b}[1A\u{1b}[2K".repeat(rows - 1).as_str(),
    }
}

fn columns_of(line: &str) -> usize {
    strip_str(line).to_string().width()
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        let columns = self.stderr.size().0.max(NARROWEST);
        u16::try_from(columns).unwrap_or(u16::MAX)
    }

    /// indicatif would leave out without a word what has no room.
    fn height(&self) -> u16 {
        u16::MAX
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        locked(&self.frame).line_ended = true;
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut frame = locked(&self.frame);
        // indicatif ends a line by padding it with blanks up to the width.
        if text.bytes().all(|byte| byte == b' ') {
            frame.line_ended = true;
            return Ok(());
        }
        let continues = !std::mem::take(&mut frame.line_ended);
        match frame.lines.last_mut() {
            Some(line) if continues => line.push_str(text),
            _ => frame.lines.push(text.to_owned()),
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.draw(&mut locked(&self.frame));
        Ok(())
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Screen").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_narrower_window_has_wrapped_are_wiped_whole() {
        assert_eq!(wipe(&[], 80), "");
        assert_eq!(wipe(&[37], 40), "\r\u{1b}[2K");
        assert_eq!(wipe(&[37, 0], 40).matches("\u{1b}[1A").count(), 1);
        assert_eq!(wipe(&[77, 50], 40).matches("\u{1b}[1A").count(), 3);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let lines = || (1..=8).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(fitting(lines(), 8), lines());
        assert_eq!(fitting(lines(), 3), ["1", "2", "  and 6 more"]);
        assert_eq!(fitting(lines(), 1), ["1", "  and 7 more"]);
    }

    #[test]
    fn escape_codes_take_no_columns() {
        assert_eq!(columns_of("\u{1b}[1mtraining\u{1b}[0m 日本"), 13);
    }
}
