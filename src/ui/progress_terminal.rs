//! Where indicatif draws: a terminal that writes through the printer's standard error.
//!
//! It differs from indicatif's own in what users would notice. No failure is reported upwards,
//! since indicatif panics on one (a closed terminal must not end a run). Lines are not padded to
//! the full width, so that the `^C` a terminal echoes lands on a line that the next frame wipes.
//! And it can be closed: what was drawn is gone for good, even while spinners still tick.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;

use super::stream::{Stream, locked};

/// Columns left free at the end of each line: room for an echoed `^C` and the cursor.
const MARGIN: usize = 3;

/// indicatif's line arithmetic needs room for one wide character.
const NARROWEST: usize = 2;

/// The terminal; clones draw on the same one.
#[derive(Clone)]
pub(super) struct Screen {
    stderr: Arc<Stream>,
    frame: Arc<Mutex<Frame>>,
}

/// One redrawing, collected until indicatif flushes so that it reaches the terminal in one write.
#[derive(Default)]
struct Frame {
    bytes: String,
    lines: usize,
    line_ended: bool,
    lines_on_screen: usize,
    closed: bool,
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
        if frame.closed {
            return;
        }
        frame.closed = true;
        if frame.lines_on_screen > 0 {
            let wipe =
                "\r\u{1b}[2K".to_owned() + &"\u{1b}[1A\u{1b}[2K".repeat(frame.lines_on_screen - 1);
            let _ = self.stderr.write(wipe.as_bytes());
        }
    }

    fn with_frame(&self, change: impl FnOnce(&mut Frame)) -> io::Result<()> {
        change(&mut locked(&self.frame));
        Ok(())
    }

    fn move_cursor(&self, lines: usize, direction: char) -> io::Result<()> {
        self.with_frame(|frame| {
            if lines > 0 {
                frame.bytes.push_str(&format!("\u{1b}[{lines}{direction}"));
            }
        })
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        let columns = self.stderr.size().0.max(NARROWEST);
        u16::try_from(columns).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.stderr.size().1).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.with_frame(|frame| {
            frame.start_line_if_needed();
            frame.bytes.push_str(text);
            frame.line_ended = true;
        })
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.with_frame(|frame| {
            // indicatif ends a line by padding it with blanks up to the width.
            if text.bytes().all(|byte| byte == b' ') {
                frame.line_ended = true;
            } else {
                frame.start_line_if_needed();
                frame.bytes.push_str(text);
                frame.lines = frame.lines.max(1);
            }
        })
    }

    fn clear_line(&self) -> io::Result<()> {
        self.with_frame(|frame| frame.bytes.push_str("\r\u{1b}[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        self.with_frame(|frame| {
            let bytes = std::mem::take(&mut frame.bytes);
            let lines = std::mem::take(&mut frame.lines);
            frame.line_ended = false;
            if frame.closed || bytes.is_empty() {
                return;
            }
            frame.lines_on_screen = lines;
            let _ = self.stderr.write(bytes.as_bytes());
        })
    }
}

impl Frame {
    fn start_line_if_needed(&mut self) {
        if std::mem::take(&mut self.line_ended) {
            self.bytes.push_str("\r\n");
            self.lines += 1;
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Screen").finish_non_exhaustive()
    }
}
