//! The words of a progress: what one running or ended phase looks like, as pure functions.

use super::duration::human_duration;
use super::harmless::{as_terminal_line, cut_to_width, visible_line};
use super::progress::Outcome;
use super::style::{Tone, paint};

use unicode_width::UnicodeWidthStr;

/// What is known of a phase while it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) last_line: String,
}

impl Running {
    /// `[2/6] training`
    pub(super) fn heading(&self, total: usize) -> String {
        format!("[{}/{}] {}", self.number, total.max(self.number), self.name)
    }

    /// The line of a running phase on a terminal, without its spinner, at most `columns` wide.
    pub(super) fn on_terminal(&self, total: usize, seconds: f64, columns: usize, colored: bool) -> String {
        let parts = [
            (Tone::Bold, self.heading(total)),
            (Tone::Plain, human_duration(seconds)),
            (Tone::Accent, visible_line(&self.detail).into_owned()),
            (Tone::Dim, as_terminal_line(&self.last_line)),
        ];
        fit(&parts, columns, colored)
    }
}

/// How wide the words of most outcomes are.
const OUTCOME_WIDTH: usize = "completed".len();

/// The line that an ended phase leaves on a terminal: `✓ training  completed  3.2s`. Where the names of the phases are known to
/// take up to `names` columns, the lines stand below each other like a table.
pub(super) fn ended_on_terminal(
    (name, names): (&str, usize),
    outcome: Outcome,
    seconds: f64,
    extra: &str,
    colored: bool,
) -> String {
    let blanks = " ".repeat(names.saturating_sub(name.width()));
    let mut line = format!(
        "{} {name}{blanks}  {}",
        paint(outcome.tone(), outcome.symbol(), colored),
        paint(outcome.tone(), outcome.word(), colored),
    );
    if names > 0 && !(outcome == Outcome::Skipped && extra.is_empty()) {
        line += &" ".repeat(OUTCOME_WIDTH.saturating_sub(outcome.word().len()));
    }
    if outcome != Outcome::Skipped {
        line += &format!("  {}", human_duration(seconds));
    }
    if !extra.is_empty() {
        line += &format!("  {}", paint(Tone::Dim, &visible_line(extra), colored));
    }
    line
}

/// What follows the heading in the line that an ended phase leaves on a pipe: `completed in 3.2s`.
pub(super) fn ended_on_pipe(outcome: Outcome, seconds: f64, extra: &str) -> String {
    let took = human_duration(seconds);
    let mut words = match outcome {
        Outcome::Completed => format!("completed in {took}"),
        Outcome::Failed => format!("failed after {took}"),
        Outcome::Interrupted => format!("interrupted after {took}"),
        Outcome::Skipped => "skipped".to_owned(),
    };
    if !extra.is_empty() {
        words += &format!(" ({})", visible_line(extra));
    }
    words
}

/// Joins the parts that are not empty by two blanks, cutting the one that no longer fits and
/// leaving out those after it.
fn fit(parts: &[(Tone, String)], columns: usize, colored: bool) -> String {
    let mut line = String::new();
    let mut left = columns;
    for (tone, text) in parts.iter().filter(|(_, text)| !text.is_empty()) {
        let gap = if line.is_empty() { "" } else { "  " };
        if left <= gap.len() {
            break;
        }
        left -= gap.len();
        let cut = cut_to_width(text, left);
        left -= cut.width().min(left);
        line += gap;
        line += &paint(*tone, &cut, colored);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        Running {
            number: 2,
            name: "training".to_owned(),
            detail: "python3 train.py".to_owned(),
            last_line: "epoch 1\repoch 2\u{1b}[K  loss 0.25\u{7}".to_owned(),
        }
    }

    #[test]
    fn a_running_phase_shows_what_it_does_and_its_last_line() {
        insta::assert_snapshot!(
            running().on_terminal(6, 12.0, 80, false),
            @"[2/6] training  12s  python3 train.py  epoch 2  loss 0.25"
        );
    }

    #[test]
    fn a_running_phase_never_exceeds_its_columns() {
        insta::assert_snapshot!(
            running().on_terminal(6, 12.0, 45, false),
            @"[2/6] training  12s  python3 train.py  epoch…"
        );
        insta::assert_snapshot!(running().on_terminal(6, 12.0, 24, false), @"[2/6] training  12s  py…");
        insta::assert_snapshot!(running().on_terminal(6, 12.0, 8, false), @"[2/6] t…");
        for columns in 0..60 {
            let line = running().on_terminal(6, 12.0, columns, false);
            assert!(line.width() <= columns, "{columns}: {line}");
        }
    }

    #[test]
    fn colours_take_no_columns() {
        let plain = running().on_terminal(6, 12.0, 40, false);
        let colored = running().on_terminal(6, 12.0, 40, true);
        assert_ne!(plain, colored);
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
    }

    #[test]
    fn a_phase_that_joined_late_does_not_count_past_the_total() {
        let late = Running {
            number: 7,
            name: "sweep".to_owned(),
            ..Running::default()
        };
        assert_eq!(late.heading(6), "[7/7] sweep");
    }

    #[test]
    fn every_outcome_says_its_word_next_to_its_symbol() {
        let all = [
            Outcome::Completed,
            Outcome::Failed,
            Outcome::Skipped,
            Outcome::Interrupted,
        ];
        let lines: Vec<String> = all
            .iter()
            .flat_map(|outcome| {
                let extra = if *outcome == Outcome::Failed { "oom_host" } else { "" };
                [
                    ended_on_terminal(("training", 0), *outcome, 3.2, extra, false),
                    ended_on_pipe(*outcome, 3.2, extra),
                ]
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        ✓ training  completed  3.2s
        completed in 3.2s
        ✗ training  failed  3.2s  oom_host
        failed after 3.2s (oom_host)
        - training  skipped
        skipped
        ! training  interrupted  3.2s
        interrupted after 3.2s
        ");
    }

    #[test]
    fn where_the_names_are_known_the_lines_of_ended_phases_stand_below_each_other() {
        let line = |name, outcome, extra| ended_on_terminal((name, 8), outcome, 3.2, extra, false);
        let lines = [
            line("prepare", Outcome::Completed, ""),
            line("training", Outcome::Failed, "oom_gpu"),
            line("é", Outcome::Skipped, "why"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        ✓ prepare   completed  3.2s
        ✗ training  failed     3.2s  oom_gpu
        - é         skipped    why
        ");
    }
}
