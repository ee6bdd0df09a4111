//! The only door to standard output and standard error.
//!
//! Results go to standard output, all else to standard error. No write can panic or fail the
//! caller: a reader that went away is remembered, nothing more. While a
//! [`Progress`](super::Progress) draws, its lines step aside for every message.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use indicatif::MultiProgress;

use super::color::ColorChoice;
use super::harmless::for_stream;
use super::progress_terminal::Screen;
use super::stream::{Captured, Stream, locked};
use super::style::{Tone, paint};

/// Writes for the whole program; a clone writes to the same streams.
#[derive(Clone)]
pub struct Printer {
    shared: Arc<Shared>,
}

/// How much is said, and in which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Leave out everything but results, warnings, errors and their hints.
    pub quiet: bool,
    /// How many times `-v` was given.
    pub verbose: u8,
    /// Whether to colour.
    pub color: ColorChoice,
}

struct Shared {
    settings: Settings,
    stdout: Stream,
    stderr: Arc<Stream>,
    stdout_failure: Mutex<Option<io::Error>>,
    drawing: Mutex<Option<Drawing>>,
}

/// The lines that are being redrawn on standard error, and the screen they are drawn on.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub(super) bars: MultiProgress,
    pub(super) screen: Screen,
}

impl Printer {
    /// A printer for this process's standard output and error. Looks at the environment
    /// (`NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, `TERM`) and at the streams once, now.
    pub fn new(settings: Settings) -> Self {
        let environment = |name: &str| std::env::var_os(name);
        Self::with_streams(
            settings,
            Stream::of_process(rustix::stdio::stdout, settings.color, environment),
            Stream::of_process(rustix::stdio::stderr, settings.color, environment),
        )
    }

    /// A printer that writes into memory, for tests: both streams are terminals of that many
    /// columns, or pipes when `terminal` is `None`. The environment plays no part.
    pub fn captured(settings: Settings, terminal: Option<usize>) -> (Self, Captured) {
        let captured = Captured::default();
        let printer = Self::with_streams(
            settings,
            Stream::to_sink(Box::new(captured.stdout.clone()), settings.color, terminal),
            Stream::to_sink(Box::new(captured.stderr.clone()), settings.color, terminal),
        );
        (printer, captured)
    }

    pub(super) fn with_streams(settings: Settings, stdout: Stream, stderr: Stream) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                stdout,
                stderr: Arc::new(stderr),
                stdout_failure: Mutex::new(None),
                drawing: Mutex::new(None),
            }),
        }
    }

    /// Prints a result, a line or several, to standard output; also under `--quiet`.
    ///
    /// Colour codes in `text` reach only a coloured stream; other control characters are made
    /// visible. Data that must arrive byte for byte goes through [`raw_stdout`](Self::raw_stdout).
    pub fn result(&self, text: &str) {
        self.raw_stdout(&with_newline(for_stream(text, self.shared.stdout.colored)));
    }

    /// Prints `value`, indented, to standard output.
    pub fn json(&self, value: &serde_json::Value) {
        self.raw_stdout(&with_newline(format!("{value:#}")));
    }

    /// Tells something in passing on standard error; nothing under `--quiet`. Colour codes are
    /// treated as by [`result`](Self::result).
    pub fn info(&self, text: &str) {
        if !self.shared.settings.quiet {
            self.message("", text);
        }
    }

    /// Like [`info`](Self::info), but only when `-v` was given, and dimmed.
    pub fn detail(&self, text: &str) {
        if self.shared.settings.verbose > 0 && !self.shared.settings.quiet {
            self.message("", &paint(Tone::Dim, text, self.shared.stderr.colored));
        }
    }

    /// Prints `warning: …` to standard error.
    pub fn warn(&self, text: &str) {
        self.message(&self.prefix(Tone::Warn, "warning:"), text);
    }

    /// Prints `error: …` to standard error.
    pub fn error(&self, text: &str) {
        self.message(&self.prefix(Tone::Bad, "error:"), text);
    }

    /// Prints `hint: …` to standard error.
    pub fn hint(&self, text: &str) {
        self.message(&self.prefix(Tone::Accent, "hint:"), text);
    }

    /// Writes `text` to standard output exactly as it is. Failures are remembered, see
    /// [`stdout_broken`](Self::stdout_broken); after the first, nothing more is written.
    pub fn raw_stdout(&self, text: &str) {
        if self.stdout_broken() {
            return;
        }
        let write = || self.shared.stdout.write(text.as_bytes());
        let written = if self.shared.stdout.terminal {
            self.above_bars(write)
        } else {
            write()
        };
        if let Err(error) = written {
            *locked(&self.shared.stdout_failure) = Some(error);
        }
    }

    /// Writes `text` to standard error exactly as it is, ignoring failures. While a progress is
    /// drawn, a last line without newline gets one.
    pub fn raw_stderr(&self, text: &str) {
        let drawing = locked(&self.shared.drawing).is_some();
        let whole_lines = if drawing && !text.is_empty() {
            with_newline(text.to_owned())
        } else {
            text.to_owned()
        };
        // Nobody is left to be told when standard error is gone.
        let _ = self.above_bars(|| self.shared.stderr.write(whole_lines.as_bytes()));
    }

    /// Whether standard output has failed: its reader went away (as with `| head`), or the disk
    /// behind it is full. The caller need not go on producing results.
    pub fn stdout_broken(&self) -> bool {
        locked(&self.shared.stdout_failure).is_some()
    }

    /// Why standard output failed, when that deserves an error message: `None` as long as it works
    /// and when its reader simply went away.
    pub fn stdout_failure(&self) -> Option<String> {
        let failure = locked(&self.shared.stdout_failure);
        let told = failure
            .as_ref()
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        told.map(io::Error::to_string)
    }

    /// A writer for whole lines of foreign text (a logger's, say) on standard error.
    pub fn stderr_writer(&self) -> StderrWriter {
        StderrWriter {
            printer: self.clone(),
            pending: Vec::new(),
        }
    }

    /// Takes the lines of a running [`Progress`](super::Progress) off the terminal for good. To be
    /// called before the process leaves at once, by `exit` in another thread.
    pub fn end_progress(&self) {
        let drawing = locked(&self.shared.drawing).take();
        if let Some(drawing) = drawing {
            drawing.screen.close();
        }
    }

    /// What the printer was made with.
    pub fn settings(&self) -> Settings {
        self.shared.settings
    }

    /// Whether text for standard output may be coloured.
    pub fn stdout_colored(&self) -> bool {
        self.shared.stdout.colored
    }

    /// Whether text for standard error may be coloured.
    pub fn stderr_colored(&self) -> bool {
        self.shared.stderr.colored
    }

    /// Columns of standard output if it is a terminal, `None` otherwise: text for anything else
    /// is never cut.
    pub fn stdout_width(&self) -> Option<usize> {
        self.shared.stdout.terminal.then(|| self.shared.stdout.size().0)
    }

    /// Rows of standard output if it is a terminal that can be drawn on, `None` otherwise.
    pub(super) fn stdout_rows(&self) -> Option<usize> {
        self.shared.stdout.animated.then(|| self.shared.stdout.size().1)
    }

    /// Columns of standard error if it is a terminal, `None` otherwise.
    pub fn stderr_width(&self) -> Option<usize> {
        self.shared.stderr.terminal.then(|| self.shared.stderr.size().0)
    }

    /// Whether lines on standard error can be redrawn.
    pub(super) fn animated(&self) -> bool {
        self.shared.stderr.animated
    }

    /// A screen for drawing on standard error.
    pub(super) fn screen(&self) -> Screen {
        Screen::new(Arc::clone(&self.shared.stderr))
    }

    /// From now on messages appear above this drawing.
    pub(super) fn attach(&self, drawing: Drawing) {
        let former = locked(&self.shared.drawing).replace(drawing);
        if let Some(former) = former {
            former.screen.close();
        }
    }

    /// Ends a drawing, be it this printer's current one or not.
    pub(super) fn detach(&self, drawing: &Drawing) {
        drawing.screen.close();
        let mut current = locked(&self.shared.drawing);
        if current
            .as_ref()
            .is_some_and(|current| current.screen.is(&drawing.screen))
        {
            *current = None;
        }
    }

    fn prefix(&self, tone: Tone, word: &str) -> String {
        paint(tone, word, self.shared.stderr.colored) + " "
    }

    fn message(&self, prefix: &str, text: &str) {
        let text = for_stream(text, self.shared.stderr.colored);
        self.raw_stderr(&with_newline(format!("{prefix}{text}")));
    }

    fn above_bars<R>(&self, write: impl FnOnce() -> R) -> R {
        let drawing = locked(&self.shared.drawing).clone();
        match drawing {
            Some(drawing) => drawing.bars.suspend(write),
            None => write(),
        }
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        formatter
            .debug_struct("Printer")
            .field("settings", settings)
            .finish_non_exhaustive()
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Passes on whole lines to standard error; the rest of an unfinished line when it is dropped.
#[derive(Debug)]
pub struct StderrWriter {
    printer: Printer,
    pending: Vec<u8>,
}

impl Write for StderrWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(end + 1);
            let lines = std::mem::replace(&mut self.pending, rest);
            self.printer.raw_stderr(&String::from_utf8_lossy(&lines));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StderrWriter {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.printer
                .raw_stderr(&with_newline(String::from_utf8_lossy(&rest).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
