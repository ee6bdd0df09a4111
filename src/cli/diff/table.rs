//! Many runs as tables: a row for each fact that differs, a column for each run, as many columns as fit at a time.

use unicode_width::UnicodeWidthStr;

use super::layout::{folded, legend, letter, remainder, shown, status_tone, visible_rows};
use crate::compare::{Comparison, Group, Row, Standing};
use crate::ui::{Align, Cell, Table, Tone, cut_to_width, paint, visible_line};

/// Longer values and names are cut; CSV and JSON have them whole.
const LONGEST_VALUE: usize = 18;
const LONGEST_NAME: usize = 28;
/// Marks the run that did best.
const BEST: &str = "*";

/// Draws a comparison of any number of runs.
pub(super) fn render(comparison: &Comparison, all: bool, width: usize, colored: bool) -> String {
    let mut text = legend(&comparison.runs, colored);
    let mut any_best = false;
    for group in comparison.groups() {
        let rows = visible_rows(comparison, group, all);
        if rows.is_empty() {
            continue;
        }
        any_best |= rows.iter().any(|row| row.best().is_some());
        for columns in fitting(&rows, comparison.runs.len(), width) {
            text.push('\n');
            text.push_str(&block(group, &rows, columns, colored));
        }
        let count = folded(comparison, group, all);
        if count > 0 {
            text.push_str(&paint(Tone::Dim, &format!("  {count} more about the same"), colored));
            text.push('\n');
        }
    }
    if !comparison.differs() {
        text.push_str("\nno difference\n");
    }
    text.push('\n');
    if any_best {
        text.push_str(&paint(Tone::Dim, &format!("{BEST} the best"), colored));
        text.push('\n');
    }
    text.push_str(&remainder(comparison, width, colored));
    text
}

fn name(row: &Row) -> String {
    cut_to_width(&visible_line(&row.name), LONGEST_NAME).into_owned()
}

fn value(row: &Row, run: usize) -> String {
    let text = shown(row.facts[run].as_ref());
    let text = cut_to_width(&text, LONGEST_VALUE).into_owned();
    if row.best() == Some(run) {
        format!("{BEST}{text}")
    } else {
        text
    }
}

/// The columns in parts that fit beside the names.
fn fitting(rows: &[&Row], runs: usize, width: usize) -> Vec<std::ops::Range<usize>> {
    let names = rows.iter().map(|row| name(row).width()).max().unwrap_or(0) + 2;
    let mut parts = Vec::new();
    let (mut first, mut used) = (0, names);
    for run in 0..runs {
        let widest = rows.iter().map(|row| value(row, run).width()).max().unwrap_or(0);
        let column = widest.max(letter(run).len()) + 2;
        if used + column > width && run > first {
            parts.push(first..run);
            (first, used) = (run, names);
        }
        used += column;
    }
    parts.push(first..runs);
    parts
}

fn block(group: Group, rows: &[&Row], runs: std::ops::Range<usize>, colored: bool) -> String {
    let letters: Vec<String> = runs.clone().map(letter).collect();
    let mut columns = vec![(group.as_str(), Align::Left)];
    columns.extend(letters.iter().map(|l| (l.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for row in rows {
        let dim = row.standing != Standing::Differs;
        let cell = |run: usize| {
            let text = value(row, run);
            let tone = match group {
                _ if dim => Tone::Dim,
                Group::Outcome => status_tone(&text),
                _ if row.best() == Some(run) => Tone::Good,
                _ => Tone::Plain,
            };
            Cell::new(text).tone(tone)
        };
        let mut cells = vec![Cell::new(format!("  {}", name(row))).tone(if dim { Tone::Dim } else { Tone::Plain })];
        cells.extend(runs.clone().map(cell));
        table.row(cells);
    }
    table.render(None, colored)
}
