//! Two runs as aligned text: a name, what each run says, and what that means.

use unicode_width::UnicodeWidthStr;

use super::layout::{focused, folded, legend, other_entries, remainder, shown, status_tone, tone, visible_rows};
use super::lines;
use crate::compare::{Comparison, Group, Row, Standing, change_in_words};
use crate::ui::{Tone, cut_to_width, paint, visible_line};

const INDENT: &str = "  ";
const GAP: usize = 2;
/// Longer values stand on lines of their own.
const LONGEST_VALUE: usize = 24;
/// Longer names have a wider column only in the groups that need it.
const LONGEST_NAME: usize = 32;

/// So much of a hash tells two of them apart.
const SHORT_HASH: usize = 12;

/// One row in words.
struct Words {
    name: String,
    left: String,
    right: String,
    change: String,
}

impl Words {
    fn of(row: &Row, comparison: &Comparison) -> Words {
        let part = |position: usize| {
            let text = shown(row.facts.get(position).and_then(Option::as_ref));
            let is_hash =
                row.group == Group::Code && text.len() > SHORT_HASH && text.bytes().all(|b| b.is_ascii_hexdigit());
            if is_hash { text[..SHORT_HASH].to_string() } else { text }
        };
        Words {
            name: visible_line(&row.name).into_owned(),
            left: part(0),
            right: part(1),
            change: match comparison.text_of(row) {
                Some(text) => {
                    let (left, right) = text.counts();
                    format!("−{left} +{right} lines")
                }
                None => change_in_words(row),
            },
        }
    }
}

/// How wide each column is.
struct Columns {
    name: usize,
    value: usize,
    total: usize,
}

impl Words {
    fn value_width(&self) -> usize {
        self.left.width().max(self.right.width())
    }

    fn change_width(&self) -> usize {
        match self.change.width() {
            0 => 0,
            width => GAP + width,
        }
    }
}

impl Columns {
    /// Whether the values and the change fit behind the names.
    fn fits(&self, words: &Words) -> bool {
        words.value_width() <= self.value && self.behind(self.name, words.change_width()) <= self.total
    }

    fn behind(&self, name: usize, change: usize) -> usize {
        INDENT.len() + name + 2 * (GAP + self.value) + change
    }

    /// The names' column is as wide in all groups, as long as names are short; the values' as each group needs.
    fn of(all: &[Words], group: &[(&&Row, &Words)], heading: &str, total: usize) -> Columns {
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
        let mut short: Vec<&Words> = group
            .iter()
            .map(|(_, words)| *words)
            .filter(|words| words.value_width() <= LONGEST_VALUE)
            .collect();
        let mut columns = Columns {
            name: widest(&mut all.iter().map(|w| w.name.width()).filter(|w| *w <= LONGEST_NAME)),
            value: widest(&mut short.iter().map(|w| w.value_width())),
            total,
        };
        // One value that leaves no room for the changes stands on lines of its own, not all the others.
        short.sort_by_key(|words| words.value_width());
        while columns.behind(columns.name, widest(&mut short.iter().map(|w| w.change_width()))) > total {
            short.pop();
            columns.value = widest(&mut short.iter().map(|w| w.value_width()));
            if short.is_empty() {
                break;
            }
        }
        let change = widest(&mut short.iter().map(|w| w.change_width()));
        let names = short.iter().map(|w| w.name.width());
        let wide = widest(&mut names.filter(|name| columns.behind(*name, change) <= total));
        columns.name = columns.name.max(wide).max(heading.len().saturating_sub(INDENT.len()));
        columns
    }
}

/// Draws a comparison of two runs.
pub(super) fn render(comparison: &Comparison, all: bool, width: usize, colored: bool) -> String {
    let mut text = legend(&comparison.runs, colored);
    let rows: Vec<&Row> = comparison
        .groups()
        .flat_map(|group| visible_rows(comparison, group, all))
        .collect();
    let words: Vec<Words> = rows.iter().map(|row| Words::of(row, comparison)).collect();
    for group in comparison.groups() {
        let count = folded(comparison, group, all);
        let of_group: Vec<(&&Row, &Words)> = rows.iter().zip(&words).filter(|(row, _)| row.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        let columns = Columns::of(&words, &of_group, group.as_str(), width);
        text.push('\n');
        text.push_str(&heading(group, &columns, colored));
        for (row, words) in of_group {
            text.push_str(&draw(row, words, &columns, colored));
            if let Some(diff) = comparison.text_of(row) {
                text.push_str(&lines(diff, "    ", Some(width), colored));
            }
        }
        if count > 0 {
            text.push_str(&paint(
                Tone::Dim,
                &format!("{INDENT}{count} more about the same"),
                colored,
            ));
            text.push('\n');
        }
    }
    if !comparison.differs() {
        text.push_str("\nno difference\n");
    }
    text.push('\n');
    text.push_str(&remainder(comparison, width, colored));
    text
}

fn heading(group: Group, columns: &Columns, colored: bool) -> String {
    let name = group.as_str();
    let blanks = " ".repeat((INDENT.len() + columns.name + GAP).saturating_sub(name.len()));
    let letters = format!("A{}B", " ".repeat((columns.value + GAP).saturating_sub(1)));
    format!(
        "{}{blanks}{}\n",
        paint(Tone::Bold, name, colored),
        paint(Tone::Dim, &letters, colored)
    )
}

fn draw(row: &Row, words: &Words, columns: &Columns, colored: bool) -> String {
    let dim = row.standing != Standing::Differs;
    let of_value = |text: &str| match row.group {
        _ if dim => Tone::Dim,
        Group::Outcome => status_tone(text),
        _ => Tone::Plain,
    };
    if columns.fits(words) {
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()) + GAP);
        let name = cut_to_width(&words.name, columns.total.saturating_sub(INDENT.len()));
        // A name that is too long has a line of its own.
        let before = if name.width() > columns.name {
            format!("\n{}", pad("", INDENT.len() + columns.name))
        } else {
            pad(&name, columns.name)
        };
        let line = format!(
            "{INDENT}{}{before}{}{}{}{}{}",
            paint(if dim { Tone::Dim } else { Tone::Plain }, &name, colored),
            paint(of_value(&words.left), &words.left, colored),
            pad(&words.left, columns.value),
            paint(of_value(&words.right), &words.right, colored),
            pad(&words.right, columns.value),
            paint(tone(row), &words.change, colored),
        );
        return format!("{}\n", line.trim_end());
    }
    let room = columns.total.saturating_sub(2 * INDENT.len() + 2);
    let lines = |sign: &'static str, values: Vec<String>, tone| values.into_iter().map(move |v| (sign, v, tone));
    let shown: Vec<(&str, String, Tone)> = if words.left == words.right {
        vec![(" ", words.left.clone(), Tone::Plain)]
    } else if let Some((left, right)) = other_entries(&words.left, &words.right) {
        lines("-", left, Tone::Bad)
            .chain(lines("+", right, Tone::Good))
            .collect()
    } else {
        let (left, right) = focused(&words.left, &words.right, room);
        vec![("-", left, Tone::Bad), ("+", right, Tone::Good)]
    };
    let mut text = format!(
        "{INDENT}{}",
        cut_to_width(&words.name, columns.total.saturating_sub(INDENT.len()))
    );
    if !words.change.is_empty() {
        text.push_str("  ");
        text.push_str(&paint(tone(row), &words.change, colored));
    }
    for (sign, value, tone) in shown {
        let line = format!("{sign} {}", cut_to_width(&value, room));
        text.push_str(&format!(
            "\n{INDENT}{INDENT}{}",
            paint(if dim { Tone::Dim } else { tone }, &line, colored)
        ));
    }
    text.push('\n');
    text
}
