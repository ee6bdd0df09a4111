//! Many runs as tables: a row for each fact that differs, a column for each run, as many columns as fit at a time.

use std::collections::HashSet;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::layout::{folded, legend, letter, remainder, shown, status_tone, visible_rows};
use crate::compare::{Comparison, Group, Row, Standing};
use crate::ui::{Align, Cell, Table, Tone, cut_to_width, paint, visible_line};

/// Longer values are cut; CSV and JSON have them whole.
const LONGEST_VALUE: usize = 18;
/// Names are cut to this only where the runs leave no more room.
const SHORT_NAME: usize = 28;
/// A shorter beginning that all names share is not worth a line.
const SHORTEST_PREFIX: usize = 6;
const INDENT: &str = "  ";
const GAP: usize = 2;
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
        any_best |= rows.iter().any(|row| !row.best().is_empty());
        let names = Names::of(&rows, room_for_names(&rows, comparison.runs.len(), width));
        for columns in fitting(&rows, &names, comparison.runs.len(), width) {
            text.push('\n');
            text.push_str(&block(group, &rows, &names, columns, colored));
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

/// The names of a group's rows as they are shown, and what all begin with where that is left out.
struct Names {
    prefix: String,
    shown: Vec<String>,
}

impl Names {
    /// Names within so many columns: whole where they fit, else without what all begin with, else without their middles. No two
    /// become the same.
    fn of(rows: &[&Row], room: usize) -> Names {
        let whole: Vec<String> = rows.iter().map(|row| visible_line(&row.name).into_owned()).collect();
        let fits = |names: &[String]| names.iter().all(|name| name.width() <= room);
        if fits(&whole) {
            return Names {
                prefix: String::new(),
                shown: whole,
            };
        }
        let prefix = common_beginning(&whole);
        let rest: Vec<String> = whole
            .iter()
            .map(|name| match prefix.len() {
                0 => name.clone(),
                length => format!("…{}", &name[length..]),
            })
            .collect();
        let cut: Vec<String> = rest.iter().map(|name| cut_in_the_middle(name, room)).collect();
        let distinct = cut.iter().collect::<HashSet<_>>().len() == cut.len();
        Names {
            prefix,
            shown: if distinct { cut } else { rest },
        }
    }
}

/// What several names begin with, up to a point or an underscore; nothing when it is not worth it.
fn common_beginning(names: &[String]) -> String {
    let Some((first, others)) = names.split_first().filter(|(_, others)| !others.is_empty()) else {
        return String::new();
    };
    let same = |other: &String| {
        let pairs = first.char_indices().zip(other.chars());
        pairs
            .take_while(|((_, a), b)| a == b)
            .last()
            .map_or(0, |((at, c), _)| at + c.len_utf8())
    };
    let common = &first[..others.iter().map(same).min().unwrap_or(0)];
    let end = common.rfind(['.', '_', '/', '-']).map_or(0, |at| at + 1);
    let prefix = &common[..end];
    if prefix.width() >= SHORTEST_PREFIX {
        prefix.into()
    } else {
        String::new()
    }
}

/// The beginning and the end of a text that is too wide: what tells names apart is at their ends.
fn cut_in_the_middle(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.into();
    }
    let part = |chars: &mut dyn Iterator<Item = char>, columns: usize| -> Vec<char> {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += c.width().unwrap_or(0);
                used <= columns
            })
            .collect()
    };
    let columns = room.saturating_sub(1);
    let head: String = part(&mut text.chars(), columns / 3).into_iter().collect();
    let tail: String = part(&mut text.chars().rev(), columns - columns / 3)
        .into_iter()
        .rev()
        .collect();
    format!("{head}…{tail}")
}

fn value(row: &Row, run: usize) -> String {
    let text = shown(row.facts[run].as_ref());
    let text = cut_to_width(&text, LONGEST_VALUE).into_owned();
    if row.best().contains(&run) {
        format!("{BEST}{text}")
    } else {
        text
    }
}

fn column(rows: &[&Row], run: usize) -> usize {
    let widest = rows.iter().map(|row| value(row, run).width()).max().unwrap_or(0);
    widest.max(letter(run).len()) + GAP
}

/// What the runs leave, and never less than what stays readable, or more than all names but the widest run need.
fn room_for_names(rows: &[&Row], runs: usize, width: usize) -> usize {
    let columns = (0..runs).map(|run| column(rows, run));
    let all: usize = columns.clone().sum();
    let widest = columns.max().unwrap_or(0);
    let most = width.saturating_sub(widest + INDENT.len());
    width
        .saturating_sub(all + INDENT.len())
        .max(SHORT_NAME)
        .min(most)
        .max(SHORTEST_PREFIX)
}

/// The columns in parts that fit beside the names.
fn fitting(rows: &[&Row], names: &Names, runs: usize, width: usize) -> Vec<std::ops::Range<usize>> {
    let names = names.shown.iter().map(|name| name.width()).max().unwrap_or(0) + INDENT.len();
    let mut parts = Vec::new();
    let (mut first, mut used) = (0, names);
    for run in 0..runs {
        let column = column(rows, run);
        if used + column > width && run > first {
            parts.push(first..run);
            (first, used) = (run, names);
        }
        used += column;
    }
    parts.push(first..runs);
    parts
}

fn block(group: Group, rows: &[&Row], names: &Names, runs: std::ops::Range<usize>, colored: bool) -> String {
    let letters: Vec<String> = runs.clone().map(letter).collect();
    let mut columns = vec![(group.as_str(), Align::Left)];
    let prefix = match names.prefix.as_str() {
        "" => String::new(),
        prefix => paint(Tone::Dim, &format!("{} of {prefix}…\n", group.as_str()), colored),
    };
    columns.extend(letters.iter().map(|l| (l.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (row, name) in rows.iter().zip(&names.shown) {
        let dim = row.standing != Standing::Differs;
        let cell = |run: usize| {
            let text = value(row, run);
            let tone = match group {
                _ if dim => Tone::Dim,
                Group::Outcome => status_tone(&text),
                _ if row.best().contains(&run) => Tone::Good,
                _ => Tone::Plain,
            };
            Cell::new(text).tone(tone)
        };
        let mut cells = vec![Cell::new(format!("{INDENT}{name}")).tone(if dim { Tone::Dim } else { Tone::Plain })];
        cells.extend(runs.clone().map(cell));
        table.row(cells);
    }
    format!("{prefix}{}", table.render(None, colored))
}
