//! Two runs in two columns, nothing cut: values that are too long go on in the next line.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::layout::{folded, legend, remainder, shown, visible_rows};
use crate::compare::{Comparison, LineDiff, LineKind, Standing, change_in_words};
use crate::ui::{Tone, paint, visible_line};

/// Draws a comparison of two runs.
pub(super) fn render(comparison: &Comparison, all: bool, width: usize, colored: bool) -> String {
    let half = (width.max(40) - 3) / 2;
    let mut text = legend(&comparison.runs, colored);
    for group in comparison.groups() {
        let rows = visible_rows(comparison, group, all);
        if rows.is_empty() {
            continue;
        }
        text.push('\n');
        text.push_str(&paint(Tone::Bold, group.as_str(), colored));
        text.push('\n');
        for row in rows {
            let mark = if row.standing == Standing::Differs { '|' } else { ' ' };
            let value = |p: usize| format!("  {}", shown(row.facts.get(p).and_then(Option::as_ref)));
            text.push_str(&paint(Tone::Accent, &visible_line(&row.name), colored));
            let change = change_in_words(row);
            if !change.is_empty() {
                text.push_str(&format!("  {}", paint(super::layout::tone(row), &change, colored)));
            }
            text.push('\n');
            text.push_str(&halves(
                &value(0),
                &value(1),
                mark,
                half,
                (Tone::Plain, Tone::Plain),
                colored,
            ));
            if let Some(diff) = comparison.text_of(row) {
                text.push_str(&text_lines(diff, half, colored));
            }
        }
        let count = folded(comparison, group, all);
        if count > 0 {
            text.push_str(&paint(Tone::Dim, &format!("{count} more about the same\n"), colored));
        }
    }
    if !comparison.differs() {
        text.push_str("\nno difference\n");
    }
    text.push('\n');
    text.push_str(&remainder(comparison, width, colored));
    text
}

/// Lines that were taken out beside those that came in their place.
fn text_lines(diff: &LineDiff, half: usize, colored: bool) -> String {
    let mut text = String::new();
    let (mut left, mut right): (Vec<&str>, Vec<&str>) = (vec![], vec![]);
    let flush = |left: &mut Vec<&str>, right: &mut Vec<&str>, text: &mut String| {
        for place in 0..left.len().max(right.len()) {
            let (a, b) = (left.get(place), right.get(place));
            let mark = match (a, b) {
                (Some(_), Some(_)) => '|',
                (Some(_), None) => '<',
                _ => '>',
            };
            let tones = (Tone::Bad, Tone::Good);
            text.push_str(&halves(a.unwrap_or(&""), b.unwrap_or(&""), mark, half, tones, colored));
        }
        left.clear();
        right.clear();
    };
    for line in &diff.lines {
        match line.kind {
            LineKind::Left => left.push(&line.text),
            LineKind::Right => right.push(&line.text),
            kind => {
                flush(&mut left, &mut right, &mut text);
                if kind == LineKind::Place {
                    text.push_str(&paint(Tone::Accent, &line.text, colored));
                    text.push('\n');
                } else {
                    text.push_str(&halves(
                        &line.text,
                        &line.text,
                        ' ',
                        half,
                        (Tone::Plain, Tone::Plain),
                        colored,
                    ));
                }
            }
        }
    }
    flush(&mut left, &mut right, &mut text);
    text
}

fn halves(left: &str, right: &str, mark: char, half: usize, tones: (Tone, Tone), colored: bool) -> String {
    let (left, right) = (wrapped(left, half), wrapped(right, half));
    let mut text = String::new();
    for place in 0..left.len().max(right.len()) {
        let part = |lines: &[String]| lines.get(place).cloned().unwrap_or_default();
        let (a, b) = (part(&left), part(&right));
        let blanks = " ".repeat(half.saturating_sub(a.width()));
        let line = format!(
            "{}{blanks} {mark} {}",
            paint(tones.0, &a, colored),
            paint(tones.1, &b, colored)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text in lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in visible_line(text).chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns > width {
            lines.push(String::new());
            used = 0;
        }
        used += columns;
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
    lines
}
