//! Aligned columns for people.

use unicode_width::UnicodeWidthStr;

use super::harmless::{cut_to_width, visible_line};
use super::style::{Tone, paint};

const GAP: &str = "  ";
/// However little room is left, this much of the last column stays.
const NARROWEST_LAST_COLUMN: usize = 8;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One cell: text with a tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// Rows under a header, each column as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows. Each column has a heading, which may be empty.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(title, align)| (visible_line(title).into_owned(), *align));
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Missing cells are empty; those beyond the last column are left out.
    pub fn row(&mut self, cells: Vec<Cell>) -> &mut Self {
        self.rows.push(cells);
        self
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, each ended by a newline and free of trailing blanks.
    ///
    /// `width` is the terminal's columns: the last column is cut to fit, marked by `…`. With `None`
    /// (a pipe) nothing is ever cut. Without `colored` there are no escape codes.
    pub fn render(&self, width: Option<usize>, colored: bool) -> String {
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::new(title.as_str()).tone(Tone::Bold))
            .collect();
        let widths = self.widths(&header);
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            text += &self.line(row, &widths, width, colored);
            text.push('\n');
        }
        text
    }

    /// The table as [`render`](Self::render) gives it, the last column broken between words instead of cut.
    pub fn render_wrapped(&self, width: Option<usize>, colored: bool) -> String {
        let Some(width) = width else {
            return self.render(None, colored);
        };
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::new(title.as_str()))
            .collect();
        let others = self.columns.len().saturating_sub(1);
        let before: usize = self
            .widths(&header)
            .iter()
            .take(others)
            .map(|width| width + GAP.len())
            .sum();
        let room = width.saturating_sub(before).max(NARROWEST_LAST_COLUMN);
        let mut wrapped = Table {
            columns: self.columns.clone(),
            rows: Vec::new(),
        };
        for row in &self.rows {
            let Some(last) = row.get(others) else {
                wrapped.rows.push(row.clone());
                continue;
            };
            for (number, text) in broken(&last.text, room).into_iter().enumerate() {
                let mut cells = if number == 0 {
                    row[..others].to_vec()
                } else {
                    vec![Cell::new(""); others]
                };
                cells.push(Cell { text, tone: last.tone });
                wrapped.rows.push(cells);
            }
        }
        wrapped.render(Some(width), colored)
    }

    fn widths(&self, header: &[Cell]) -> Vec<usize> {
        let widest = |column| {
            let cells = std::iter::once(header).chain(self.rows.iter().map(Vec::as_slice));
            cells
                .filter_map(|row| row.get(column))
                .map(Cell::width)
                .max()
                .unwrap_or(0)
        };
        (0..self.columns.len()).map(widest).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], terminal: Option<usize>, colored: bool) -> String {
        let mut line = String::new();
        // Blanks are owed until something follows them, so that no line ends in any.
        let mut owed = 0;
        let mut before = 0;
        for (column, (_, align)) in self.columns.iter().enumerate() {
            let is_last = column + 1 == self.columns.len();
            let width = match terminal {
                Some(terminal) if is_last => {
                    // Where the others leave no room, the lines are too long whatever is cut: the heading stays.
                    let least = NARROWEST_LAST_COLUMN.max(self.columns[column].0.width());
                    widths[column].min(terminal.saturating_sub(before).max(least))
                }
                _ => widths[column],
            };
            before += width + GAP.len();
            let (text, tone) = row
                .get(column)
                .map_or(("", Tone::Plain), |cell| (cell.text.as_str(), cell.tone));
            let text = cut_to_width(text, width);
            let blanks = width.saturating_sub(text.width());
            let (left, right) = if *align == Align::Right {
                (blanks, 0)
            } else {
                (0, blanks)
            };
            owed += left;
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', owed));
                line += &paint(tone, &text, colored);
                owed = 0;
            }
            owed += right + GAP.len();
        }
        line
    }
}

/// A text in lines of so many columns, broken between words; a word that is longer has a line of its own.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.width());
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.width() <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

impl Cell {
    /// A cell in [`Tone::Plain`]. Control characters in `text`, escape codes among them, are made
    /// visible.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let text = visible_line(text.trim_end()).into_owned();
        Self {
            text,
            tone: Tone::Plain,
        }
    }

    /// The same cell in another tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases() -> Table {
        let columns = [
            ("phase", Align::Left),
            ("status", Align::Left),
            ("time", Align::Right),
            ("why", Align::Left),
        ];
        let mut table = Table::new(&columns);
        table
            .row(vec![
                "training".into(),
                Cell::new("completed").tone(Tone::Good),
                "3.2s".into(),
            ])
            .row(vec![
                "größe_日本".into(),
                Cell::new("failed").tone(Tone::Bad),
                "2h 30m".into(),
                "oom_host: MemoryError while sorting".into(),
            ])
            .row(vec![
                "aggregation".into(),
                "pending".into(),
                "".into(),
                "blocked".into(),
            ]);
        table
    }

    #[test]
    fn a_wrapped_table_loses_no_word_and_keeps_to_its_width() {
        let text = phases().render_wrapped(Some(50), false);
        insta::assert_snapshot!(text, @"
        phase        status       time  why
        training     completed    3.2s
        größe_日本   failed     2h 30m  oom_host:
                                        MemoryError while
                                        sorting
        aggregation  pending            blocked
        ");
    }

    #[test]
    fn columns_line_up_whatever_the_script_they_are_written_in() {
        insta::assert_snapshot!(phases().render(None, false), @"
        phase        status       time  why
        training     completed    3.2s
        größe_日本   failed     2h 30m  oom_host: MemoryError while sorting
        aggregation  pending            blocked
        ");
    }

    #[test]
    fn the_last_column_is_cut_to_the_terminal() {
        insta::assert_snapshot!(phases().render(Some(50), false), @"
        phase        status       time  why
        training     completed    3.2s
        größe_日本   failed     2h 30m  oom_host: MemoryE…
        aggregation  pending            blocked
        ");
        let longest = phases()
            .render(Some(50), false)
            .lines()
            .map(UnicodeWidthStr::width)
            .max();
        assert_eq!(longest, Some(50));
    }

    #[test]
    fn a_heading_is_never_cut() {
        let mut table = Table::new(&[("a wide column", Align::Left), ("a long heading", Align::Right)]);
        table.row(vec!["x".into(), "1".into()]);
        assert!(
            table
                .render(Some(20), false)
                .starts_with("a wide column  a long heading\n")
        );
    }

    #[test]
    fn a_very_narrow_terminal_keeps_the_beginning_of_the_last_column() {
        assert!(phases().render(Some(1), false).contains("oom_hos…\n"));
    }

    #[test]
    fn colours_change_no_column_and_no_line_ends_in_blanks() {
        let colored = phases().render(Some(50), true);
        assert!(
            colored.contains("\u{1b}[32mcompleted\u{1b}[0m    3.2s\n"),
            "{colored:?}"
        );
        let plain = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(plain, phases().render(Some(50), false));
        assert!(plain.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn a_cell_cannot_act_on_the_terminal_or_break_its_line() {
        let mut table = Table::new(&[("na\u{1b}me", Align::Left), ("n", Align::Right)]);
        table.row(vec!["a\u{1b}[31mb\nc\td".into(), "7".into(), "one too many".into()]);
        insta::assert_snapshot!(table.render(None, true).replace('\u{1b}', "ESC"), @"
        ESC[1mna␛meESC[0m        ESC[1mnESC[0m
        a␛[31mb␊c d  7
        ");
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        let table = Table::new(&[("run", Align::Left), ("phases", Align::Right)]);
        assert!(table.is_empty());
        assert_eq!(table.render(Some(80), false), "run  phases\n");
    }
}
