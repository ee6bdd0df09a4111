//! What the ways of showing a comparison have in common: which rows, which words, which colours.

use serde_json::Value;

use crate::compare::{Comparison, Fact, Group, NOTHING, Row, RunFacts, RunStanding, Standing, Unit, Verdict, in_words};
use crate::ui::{Tone, human_duration, paint, visible_line};

/// Said where nothing tells whether the programs that the commands ran were the same.
const OUTSIDE_NOT_RECORDED: &str = "not recorded: the code outside the scripts (programs that the commands run); a git \
     repository around the run records it, or `inputs` of a phase";

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 80;
/// A blank between words that stay in one line.
const TOGETHER: char = '\u{a0}';

/// A fact as one line for people; what is not there is a dash.
pub(in crate::cli) fn shown(fact: Option<&Fact>) -> String {
    fact.map_or_else(|| NOTHING.into(), |fact| visible_line(&in_words(fact)).into_owned())
}

/// A fact as a program would want it: numbers bare.
pub(in crate::cli) fn plain(fact: &Fact) -> String {
    match &fact.value {
        _ if fact.unit == Unit::ByPhase => in_words(fact),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The colour of a change.
pub(super) fn tone(row: &Row) -> Tone {
    match row.change().and_then(|change| change.verdict) {
        _ if row.standing != Standing::Differs => Tone::Dim,
        Some(Verdict::Better) => Tone::Good,
        Some(Verdict::Worse) => Tone::Bad,
        None => Tone::Plain,
    }
}

/// The colour of a status word.
pub(in crate::cli) fn status_tone(word: &str) -> Tone {
    match word {
        "completed" => Tone::Good,
        "failed" => Tone::Bad,
        "running" | "in_progress" => Tone::Accent,
        "skipped" | "interrupted" => Tone::Warn,
        "pending" => Tone::Dim,
        _ => Tone::Plain,
    }
}

/// The rows of a group that are to be shown.
pub(super) fn visible_rows(comparison: &Comparison, group: Group, all: bool) -> Vec<&Row> {
    comparison
        .group(group)
        .filter(|row| all || row.standing == Standing::Differs)
        .collect()
}

/// The letter that stands for a run: A, B, … Z, AA, AB, …
pub(super) fn letter(position: usize) -> String {
    let last = char::from(b'A' + (position % 26) as u8);
    match position / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letter(more - 1)),
    }
}

/// The lines that say which run each letter stands for.
pub(super) fn legend(runs: &[RunFacts], colored: bool) -> String {
    let letters = letter(runs.len().saturating_sub(1)).len();
    let mut text = String::new();
    for (position, run) in runs.iter().enumerate() {
        let took = run.seconds.map(human_duration).unwrap_or_default();
        let zone = jiff::tz::TimeZone::system();
        let when = run
            .started
            .map(|t| t.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string());
        let standing = run.standing.as_str();
        let blanks = " ".repeat(RunStanding::Interrupted.as_str().len().saturating_sub(standing.len()));
        text.push_str(&format!(
            "{}  {}{blanks}  {took:>7}  {:<16}  {}\n",
            paint(Tone::Bold, &format!("{:<letters$}", letter(position)), colored),
            paint(status_tone(standing), standing, colored),
            when.unwrap_or_default(),
            visible_line(&run.path()),
        ));
    }
    text
}

/// What is said at the end: how much is the same, and what could not be compared.
pub(super) fn remainder(comparison: &Comparison, width: usize, colored: bool) -> String {
    let mut text = String::new();
    let same: Vec<String> = comparison
        .groups()
        .filter_map(|group| {
            let count = comparison
                .group(group)
                .filter(|row| row.standing == Standing::Same && !is_aside(row))
                .count();
            (count > 0).then(|| format!("{}{TOGETHER}{count}", group.as_str()))
        })
        .collect();
    let mut say = |line: &str| {
        for part in wrapped_words(line, width) {
            text.push_str(&paint(Tone::Dim, &part, colored));
            text.push('\n');
        }
    };
    if !same.is_empty() {
        say(&format!("the same: {}", same.join(", ")));
    }
    let mut without: Vec<(&[usize], Vec<&str>)> = Vec::new();
    for (group, runs) in &comparison.unrecorded {
        match without.iter_mut().find(|(known, _)| known == runs) {
            Some((_, groups)) => groups.push(group.as_str()),
            None => without.push((runs, vec![group.as_str()])),
        }
    }
    for (runs, groups) in without {
        let letters: Vec<String> = runs.iter().map(|p| letter(*p)).collect();
        say(&format!(
            "not recorded in {}: {}",
            letters.join(", "),
            groups.join(", ")
        ));
    }
    if comparison.blind_outside_scripts {
        say(OUTSIDE_NOT_RECORDED);
    }
    text
}

fn is_aside(row: &Row) -> bool {
    row.facts.iter().flatten().all(|fact| fact.aside)
}

/// Words in lines of at most `width` columns; those after the first are indented.
fn wrapped_words(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut now = String::new();
    for word in line.split(' ') {
        if !now.trim().is_empty() && now.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut now, " ".into()));
        }
        if !now.is_empty() {
            now.push(' ');
        }
        now.push_str(word);
    }
    lines.push(now);
    lines.into_iter().map(|line| line.replace(TOGETHER, " ")).collect()
}

/// How many rows of a group were left out because they differ by no more than two equal runs would.
pub(super) fn folded(comparison: &Comparison, group: Group, all: bool) -> usize {
    let noise = |row: &&Row| {
        row.standing == Standing::Noise && row.facts.iter().all(|fact| fact.as_ref().is_some_and(|f| !f.aside))
    };
    if all {
        0
    } else {
        comparison.group(group).filter(noise).count()
    }
}

/// What two long lists of paths (`/a:/b`) hold that the other has not, each in its order; `None` where they are no such lists, or hold the same in
/// another order.
pub(super) fn other_entries(left: &str, right: &str) -> Option<(Vec<String>, Vec<String>)> {
    let is_list = |text: &str| text.contains('/') && text.contains(':') && !text.contains([' ', ',', '{']);
    if !is_list(left) && !is_list(right) {
        return None;
    }
    let only = |text: &str, other: &str| -> Vec<String> {
        let known: Vec<&str> = other.split(':').collect();
        let entries = text.split(':').filter(|entry| !entry.is_empty() && *entry != NOTHING);
        entries
            .filter(|entry| !known.contains(entry))
            .map(String::from)
            .collect()
    };
    let found = (only(left, right), only(right, left));
    (!found.0.is_empty() || !found.1.is_empty()).then_some(found)
}

/// The columns of a comparison: those of the terminal, what `COLUMNS` says where there is none, else 80.
pub(super) fn width(terminal: Option<usize>) -> usize {
    let said = || std::env::var("COLUMNS").ok()?.trim().parse().ok();
    terminal.or_else(said).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

/// Text that begins where two long texts begin to differ, so that a cut keeps what matters.
pub(super) fn focused(left: &str, right: &str, width: usize) -> (String, String) {
    if left.chars().count() <= width && right.chars().count() <= width {
        return (left.into(), right.into());
    }
    let common = left.chars().zip(right.chars()).take_while(|(a, b)| a == b).count();
    // A little of what is common stays: it says where this is.
    let skipped = common.saturating_sub(width / 4);
    let cut = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        if skipped == 0 { rest } else { format!("…{rest}") }
    };
    (cut(left), cut(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        let letters: Vec<String> = [0, 1, 25, 26, 27, 51, 52, 701, 702].into_iter().map(letter).collect();
        assert_eq!(letters, ["A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn of_lists_of_paths_the_entries_that_differ_are_found() {
        let found = other_entries("/a/bin:/usr/bin:/bin", "/usr/bin:/b/bin:/bin");
        assert_eq!(found, Some((vec!["/a/bin".into()], vec!["/b/bin".into()])));
        assert_eq!(other_entries("/a:/b", "/b:/a"), None);
        assert_eq!(other_entries("a sentence", "another"), None);
    }

    #[test]
    fn a_word_and_its_number_stay_together() {
        let line = format!("the same: outcome{TOGETHER}6, durations{TOGETHER}3");
        assert_eq!(wrapped_words(&line, 20), ["the same: outcome 6,", "  durations 3"]);
    }

    #[test]
    fn a_long_text_is_shown_from_where_it_differs() {
        let (left, right) = (format!("{}left", "x".repeat(100)), format!("{}right", "x".repeat(100)));
        let (a, b) = focused(&left, &right, 40);
        assert_eq!((a.as_str(), b.as_str()), ("…xxxxxxxxxxleft", "…xxxxxxxxxxright"));
        assert_eq!(focused("a", "b", 40), ("a".into(), "b".into()));
    }
}
