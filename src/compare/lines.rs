//! Two texts, line by line: scripts, and whole state files.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

/// What a line of a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Where the lines that follow stand in both texts.
    Place,
    /// It is in both.
    Both,
    /// Only in the first.
    Left,
    /// Only in the second.
    Right,
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// Its text, without the line end.
    pub text: String,
}

/// How two texts differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineDiff {
    /// The lines that differ, with three around them; nothing when the texts are the same.
    pub lines: Vec<Line>,
}

/// Lines shown around a difference.
const CONTEXT: usize = 3;

/// After so long a difference may be told with more lines than are needed.
const LONGEST_SEARCH: Duration = Duration::from_secs(2);

impl LineDiff {
    /// Compares two texts.
    pub fn new(left: &str, right: &str) -> LineDiff {
        let diff = TextDiff::configure().timeout(LONGEST_SEARCH).diff_lines(left, right);
        let mut lines = Vec::new();
        for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
            lines.push(Line {
                kind: LineKind::Place,
                text: hunk.header().to_string().trim_end().to_string(),
            });
            for change in hunk.iter_changes() {
                let kind = match change.tag() {
                    ChangeTag::Equal => LineKind::Both,
                    ChangeTag::Delete => LineKind::Left,
                    ChangeTag::Insert => LineKind::Right,
                };
                let text = change.value().trim_end_matches(['\n', '\r']).to_string();
                lines.push(Line { kind, text });
            }
        }
        LineDiff { lines }
    }

    /// How many lines are only in the first, and how many only in the second.
    pub fn counts(&self) -> (usize, usize) {
        let count = |kind| self.lines.iter().filter(|line| line.kind == kind).count();
        (count(LineKind::Left), count(LineKind::Right))
    }

    /// Whether the texts are the same.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
