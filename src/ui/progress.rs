//! The progress of a running plan on standard error.
//!
//! On a terminal each running phase has a line that is redrawn, and leaves a permanent one when it
//! ends; elsewhere there are plain lines for start and end. Several phases may run at once, and
//! any thread may report. The cursor is never hidden, so that even a killed program leaves it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use unicode_width::UnicodeWidthStr;

use super::harmless::visible_line;
use super::printer::{Drawing, Printer};
use super::progress_line::{Running, ended_on_pipe, ended_on_terminal};
use super::stream::locked;
use super::style::Tone;

/// Longer names than this are not waited for by the others.
const WIDEST_NAME: usize = 30;
const TICK: Duration = Duration::from_millis(100);
const FRAMES_PER_SECOND: u8 = 20;
/// The last one is indicatif's for a finished spinner, which is never shown.
const SPINNER: &str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ";
const SPINNER_COLUMNS: usize = 2;
/// Of a longer line of output only the end is kept: enough for the widest terminal.
const LONGEST_LAST_LINE: usize = 4096;

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did all it had to do.
    Completed,
    /// It failed, and no policy saved it.
    Failed,
    /// A policy or the user passed it over.
    Skipped,
    /// It was stopped and will run again.
    Interrupted,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Completed => "✓",
            Self::Failed => "✗",
            Self::Skipped => "-",
            Self::Interrupted => "!",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Completed => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Skipped => Tone::Dim,
            Self::Interrupted => Tone::Warn,
        }
    }
}

/// Which of the phases that were started; valid only with the [`Progress`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhaseId(usize);

/// Reports the phases of one run. Clones report to the same lines; when the last one is dropped
/// the terminal is left clean.
#[derive(Clone, Debug)]
pub struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    printer: Printer,
    total: Arc<AtomicUsize>,
    /// How many columns the names of phases take; 0 when that is not known.
    names: AtomicUsize,
    drawing: Option<Drawing>,
    phases: Mutex<Phases>,
}

#[derive(Debug, Default)]
struct Phases {
    next_id: usize,
    numbers: HashMap<String, usize>,
    running: HashMap<PhaseId, Line>,
}

#[derive(Clone, Debug)]
struct Line {
    phase: Arc<Mutex<Running>>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A progress over `total` phases, drawn with spinners when the printer's standard error is a
    /// terminal that can be redrawn. Under `--quiet` it tells only of failures.
    ///
    /// A printer draws one progress at a time: a second one takes the first one's lines away.
    pub fn new(printer: &Printer, total: usize) -> Self {
        let wanted = printer.animated() && !printer.settings().quiet;
        let drawing = wanted.then(|| {
            let screen = printer.screen();
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), FRAMES_PER_SECOND);
            Drawing {
                bars: MultiProgress::with_draw_target(target),
                screen,
            }
        });
        if let Some(drawing) = &drawing {
            printer.attach(drawing.clone());
        }
        Self {
            shared: Arc::new(Shared {
                printer: printer.clone(),
                total: Arc::new(AtomicUsize::new(total)),
                names: AtomicUsize::new(0),
                drawing,
                phases: Mutex::default(),
            }),
        }
    }

    /// Says which phases there are, so that what is said of them stands below each other.
    pub fn align<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let widest = names.into_iter().map(UnicodeWidthStr::width).max().unwrap_or(0);
        self.shared.names.store(widest.min(WIDEST_NAME), Ordering::Relaxed);
    }

    /// Raises the number of phases, as when a running phase declares more.
    pub fn expect_more(&self, more: usize) {
        self.shared.total.fetch_add(more, Ordering::Relaxed);
    }

    /// A phase starts; `detail` says what it does first, and may be empty. Phases are numbered in
    /// the order of their first start, so another attempt keeps its number.
    pub fn start(&self, name: &str, detail: &str) -> PhaseId {
        let (id, running) = self.register(name, detail);
        if !self.quiet() && self.shared.drawing.is_none() {
            let detail = visible_line(detail);
            let detail = if detail.is_empty() {
                String::new()
            } else {
                format!(" ({detail})")
            };
            self.say(&format!("{} started{detail}", running.heading(self.total())));
        }
        let phase = Arc::new(Mutex::new(running));
        let bar = self
            .shared
            .drawing
            .as_ref()
            .map(|drawing| self.add_bar(drawing, &phase));
        locked(&self.shared.phases).running.insert(id, Line { phase, bar });
        id
    }

    /// What the phase does now: a step or a command. On a pipe it is printed only with `-v`.
    pub fn detail(&self, id: PhaseId, text: &str) {
        let Some(line) = self.line(id) else { return };
        let heading = {
            let mut phase = locked(&line.phase);
            text.clone_into(&mut phase.detail);
            phase.heading(self.total())
        };
        if line.bar.is_none() && !text.is_empty() {
            self.shared
                .printer
                .detail(&format!("{heading}: {}", visible_line(text)));
        }
    }

    /// The last line of the phase's output, as it came. Blank ones are passed over; on a pipe none
    /// is printed. Cheap enough for every line of a talkative program.
    pub fn last_line(&self, id: PhaseId, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if let Some(line) = self.line(id).filter(|line| line.bar.is_some()) {
            let start = text.ceil_char_boundary(text.len().saturating_sub(LONGEST_LAST_LINE));
            text[start..].clone_into(&mut locked(&line.phase).last_line);
        }
    }

    /// A line above those of the running phases; nothing under `--quiet`.
    pub fn note(&self, text: &str) {
        self.shared.printer.info(text);
    }

    /// The phase ended, after that many seconds; `extra` adds a word or two (a failure's kind, the
    /// reason for skipping) and may be empty. The same phase cannot end twice: a second call is
    /// ignored.
    pub fn finish(&self, id: PhaseId, outcome: Outcome, seconds: f64, extra: &str) {
        let Some(line) = locked(&self.shared.phases).running.remove(&id) else {
            return;
        };
        if let Some(bar) = &line.bar {
            self.remove_bar(bar);
        }
        if self.quiet() && outcome != Outcome::Failed {
            return;
        }
        let phase = locked(&line.phase).clone();
        if self.shared.drawing.is_some() {
            let colored = self.shared.printer.stderr_colored();
            let names = self.shared.names.load(Ordering::Relaxed);
            self.say(&ended_on_terminal(
                (&phase.name, names),
                outcome,
                seconds,
                extra,
                colored,
            ));
        } else {
            let heading = phase.heading(self.total());
            self.say(&format!("{heading} {}", ended_on_pipe(outcome, seconds, extra)));
        }
    }

    /// Leaves the terminal to somebody else while `work` is done: the lines of running phases are off it.
    pub fn while_paused<T>(&self, work: impl FnOnce() -> T) -> T {
        let screen = self.shared.drawing.as_ref().map(|drawing| &drawing.screen);
        if let Some(screen) = screen {
            screen.pause();
        }
        let result = work();
        if let Some(screen) = screen {
            screen.resume();
        }
        result
    }

    /// Takes the lines of running phases off the terminal for good. A phase that ends afterwards
    /// still leaves its permanent line.
    pub fn clear(&self) {
        self.shared.clear();
    }

    fn register(&self, name: &str, detail: &str) -> (PhaseId, Running) {
        let mut phases = locked(&self.shared.phases);
        let id = PhaseId(phases.next_id);
        phases.next_id += 1;
        let following = phases.numbers.len() + 1;
        let number = *phases.numbers.entry(name.to_owned()).or_insert(following);
        let name = visible_line(name).into_owned();
        (
            id,
            Running {
                number,
                name,
                detail: detail.to_owned(),
                last_line: String::new(),
            },
        )
    }

    fn add_bar(&self, drawing: &Drawing, phase: &Arc<Mutex<Running>>) -> ProgressBar {
        let (phase, total) = (Arc::clone(phase), Arc::clone(&self.shared.total));
        let (screen, colored) = (drawing.screen.clone(), self.shared.printer.stderr_colored());
        let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let columns = screen.columns().saturating_sub(SPINNER_COLUMNS);
            let seconds = state.elapsed().as_secs_f64();
            let total = total.load(Ordering::Relaxed);
            let text = locked(&phase).on_terminal(total, seconds, columns, colored);
            let _ = out.write_str(&text);
        };
        let style = ProgressStyle::with_template("{spinner} {line}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars(SPINNER)
            .with_key("line", line);
        let bar = drawing.bars.add(ProgressBar::no_length().with_style(style));
        // At once: the first tick comes from another thread.
        bar.force_draw();
        bar.enable_steady_tick(TICK);
        bar
    }

    fn remove_bar(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        if let Some(drawing) = &self.shared.drawing {
            drawing.bars.remove(bar);
        }
    }

    fn line(&self, id: PhaseId) -> Option<Line> {
        locked(&self.shared.phases).running.get(&id).cloned()
    }

    fn say(&self, line: &str) {
        self.shared.printer.raw_stderr(&format!("{line}\n"));
    }

    fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    fn quiet(&self) -> bool {
        self.shared.printer.settings().quiet
    }
}

impl Shared {
    fn clear(&self) {
        if let Some(drawing) = &self.drawing {
            self.printer.detach(drawing);
        }
        let bars: Vec<ProgressBar> = locked(&self.phases)
            .running
            .values_mut()
            .filter_map(|line| line.bar.take())
            .collect();
        for bar in bars {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
