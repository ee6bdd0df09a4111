//! Text on standard output that changes in its place.

use super::harmless::cut_to_width;
use super::printer::Printer;

/// Moves to the line's beginning and so many lines up.
fn up(lines: usize) -> String {
    if lines == 0 {
        "\r".into()
    } else {
        format!("\r\u{1b}[{lines}A")
    }
}

const CLEAR_BELOW: &str = "\u{1b}[J";
/// A line that is too long is cut by the terminal and not continued: every line is one row.
const WRAP_OFF: &str = "\u{1b}[?7l";
const WRAP_ON: &str = "\u{1b}[?7h";

/// A text that is shown again and again: on a terminal in the same place, elsewhere one after another.
pub struct Redraw<'a> {
    printer: &'a Printer,
    lines: usize,
    shown: String,
}

impl<'a> Redraw<'a> {
    /// Nothing is shown yet.
    pub fn new(printer: &'a Printer) -> Self {
        Redraw {
            printer,
            lines: 0,
            shown: String::new(),
        }
    }

    /// Shows whole lines in place of those before. A text that is the same as the one before is not shown again. On a terminal what
    /// does not fit on the screen is left out, and said so.
    pub fn show(&mut self, text: &str) {
        if text == self.shown {
            return;
        }
        self.shown = text.to_owned();
        let Some(rows) = self.printer.stdout_rows() else {
            self.printer.raw_stdout(text);
            return;
        };
        let all: Vec<&str> = text.lines().collect();
        let room = rows.saturating_sub(1).max(2);
        let width = self.printer.stdout_width().unwrap_or(usize::MAX);
        // What is coloured has been made to fit.
        let fit = |line: &&str| match line.contains('\u{1b}') {
            true => (*line).to_string(),
            false => cut_to_width(line, width).into_owned(),
        };
        let mut kept: Vec<String> = all.iter().take(room).map(fit).collect();
        if all.len() > room {
            let left_out = all.len() - (room - 1);
            kept.truncate(room - 1);
            kept.push(format!("… {left_out} more lines"));
        }
        let body: String = kept.iter().map(|line| format!("{line}\n")).collect();
        self.printer
            .raw_stdout(&format!("{}{CLEAR_BELOW}{WRAP_OFF}{body}{WRAP_ON}", up(self.lines)));
        self.lines = kept.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Settings;

    #[test]
    fn on_a_terminal_the_lines_before_are_replaced() {
        let (printer, captured) = Printer::captured(Settings::default(), Some(40));
        let mut redraw = Redraw::new(&printer);
        redraw.show("one\ntwo\n");
        redraw.show("one\ntwo\n");
        redraw.show("three\n");
        let text = captured.stdout();
        assert_eq!(
            text.matches("one\n").count(),
            1,
            "the same is not shown again: {text:?}"
        );
        assert!(
            text.ends_with("\r\u{1b}[2A\u{1b}[J\u{1b}[?7lthree\n\u{1b}[?7h"),
            "{text:?}"
        );
    }

    #[test]
    fn a_line_that_is_too_long_ends_in_a_sign_of_that() {
        let (printer, captured) = Printer::captured(Settings::default(), Some(10));
        Redraw::new(&printer).show("0123456789abcdef\n");
        assert!(captured.stdout().contains("012345678…\n"), "{:?}", captured.stdout());
    }

    #[test]
    fn what_does_not_fit_on_the_screen_is_counted() {
        let (printer, captured) = Printer::captured(Settings::default(), Some(40));
        let long: String = (0..500).map(|n| format!("line {n}\n")).collect();
        Redraw::new(&printer).show(&long);
        let text = captured.stdout();
        let lines = text.matches('\n').count();
        assert!(
            lines < 100 && text.contains(&format!("… {} more lines", 500 - (lines - 1))),
            "{text:?}"
        );
    }

    #[test]
    fn elsewhere_there_are_no_escape_codes() {
        let (printer, captured) = Printer::captured(Settings::default(), None);
        let mut redraw = Redraw::new(&printer);
        redraw.show("one\n");
        redraw.show("two\n");
        assert_eq!(captured.stdout(), "one\ntwo\n");
    }
}
