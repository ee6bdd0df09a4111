//! Everything that reaches the terminal.
//!
//! The room takes plain data (text, numbers, its own small enums) and decides how it looks: which
//! stream it goes to, whether it is coloured, how it is aligned and cut. It knows neither scripts
//! nor plans, runs, state or commands, and it never decides *what* is worth saying.

mod banner;
mod color;
mod diagnostic;
mod duration;
mod harmless;
mod printer;
mod progress;
mod progress_line;
mod progress_terminal;
mod quote;
mod redraw;
mod stream;
mod style;
mod table;
mod value_text;

pub use banner::{Banner, Failure, failure_banner};
pub use color::ColorChoice;
pub use diagnostic::{Diagnostic, Excerpt, Label, Level, render};
pub use duration::{counted, human_bytes_kib, human_duration};
pub use harmless::{as_terminal_line, cut_to_width, visible, visible_line};
pub use printer::{Printer, Settings, StderrWriter};
pub use progress::{Outcome, PhaseId, Progress};
pub use quote::shell_quote;
pub use redraw::Redraw;
pub use stream::Captured;
pub use style::{Tone, paint};
pub use table::{Align, Cell, Table};
pub use value_text::value_text;
