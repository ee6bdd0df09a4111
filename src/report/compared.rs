//! Several runs on one page: which they are, where they differ, and when each did what.

use super::html::Html;
use super::overview::{local, rect};
use super::reported::Reported;
use super::timeline::{axis, draw, key};
use crate::compare::{
    Comparison, Group, LineKind, NOTHING, Row, Standing, TextDifference, Verdict, change_in_words, in_words,
};
use crate::ui::human_duration;

/// With more runs than this the page is as wide as the window.
const MANY: usize = 8;

/// The letter that stands for a run: A, B, … Z, AA, …
pub(super) fn letter(position: usize) -> String {
    let last = char::from(b'A' + (position % 26) as u8);
    match position / 26 {
        0 => last.to_string(),
        more => format!("{}{last}", letter(more - 1)),
    }
}

pub(super) fn compared(page: &mut Html, runs: &[Reported]) {
    let comparison = Comparison::new(runs.iter().map(|run| run.facts.clone()).collect(), &[]);
    page.raw(if runs.len() > MANY {
        "<header class=\"many\">\n"
    } else {
        "<header>\n"
    });
    page.element("h1", "", &format!("{} runs compared", runs.len()));
    legend(page, runs);
    page.raw("</header>\n");
    if !comparison.differs() {
        page.raw("<p class=\"story\">They do not differ in anything that counts.</p>\n");
    }
    for group in comparison.groups() {
        differences(page, &comparison, group);
    }
    for (group, without) in &comparison.unrecorded {
        let letters: Vec<String> = without.iter().map(|p| letter(*p)).collect();
        page.element(
            "p",
            "dim",
            &format!("{} not recorded in {}", group.as_str(), letters.join(", ")),
        );
    }
    if comparison.blind_outside_scripts {
        page.element(
            "p",
            "dim",
            "the code outside the scripts was not recorded: no git repository, no inputs of a phase",
        );
    }
    timelines(page, runs);
}

fn legend(page: &mut Html, runs: &[Reported]) {
    let rows: Vec<Vec<(String, &str)>> = runs
        .iter()
        .enumerate()
        .map(|(position, run)| {
            vec![
                (letter(position), "letter"),
                (run.facts.name(), ""),
                (run.facts.standing.as_str().into(), run.facts.standing.as_str()),
                (run.facts.seconds.map(human_duration).unwrap_or_default(), ""),
                (run.facts.started.map(local).unwrap_or_default(), "dim"),
            ]
        })
        .collect();
    page.table(
        &[
            ("", ""),
            ("run", ""),
            ("status", ""),
            ("time in phases", "n"),
            ("started", ""),
        ],
        &rows,
    );
}

fn differences(page: &mut Html, comparison: &Comparison, group: Group) {
    let rows: Vec<&Row> = comparison
        .group(group)
        .filter(|row| row.standing == Standing::Differs)
        .collect();
    if rows.is_empty() {
        return;
    }
    let two = comparison.runs.len() == 2;
    page.raw("<section>\n");
    page.element("h2", "cap", group.as_str());
    // Columns of the same width in all groups; they scroll where there is no room for them.
    let columns = comparison.runs.len() + usize::from(two);
    let width = format!("--columns: {columns}");
    page.raw("\n<div class=\"scroll\">");
    page.open_with("table", &[("class", "diff"), ("style", &width)]);
    page.raw("\n<thead><tr><th></th>");
    for position in 0..comparison.runs.len() {
        page.element("th", "letter", &letter(position));
    }
    page.raw(if two {
        "<th></th></tr></thead>\n<tbody>\n"
    } else {
        "</tr></thead>\n<tbody>\n"
    });
    for row in rows {
        page.raw("<tr>");
        page.raw("<th>");
        page.breakable(&row.name);
        page.raw("</th>");
        let best = row.best();
        for (position, fact) in row.facts.iter().enumerate() {
            let text = fact.as_ref().map_or_else(|| NOTHING.into(), in_words);
            let numeric = fact.as_ref().is_some_and(|f| f.value.is_number());
            let status = if group == Group::Outcome { text.as_str() } else { "" };
            let class = format!(
                "{status} {} {}",
                if numeric { "n" } else { "code" },
                if best.contains(&position) { "best" } else { "" }
            );
            page.open_with("td", &[("class", class.trim())]);
            page.text(&text);
            if best.contains(&position) {
                page.raw(" <span class=\"star\">★</span>");
            }
            if matches!(group, Group::Metrics | Group::Durations) {
                bar(page, row, position);
            }
            page.raw("</td>");
        }
        if two {
            let class = match row.change().and_then(|change| change.verdict) {
                Some(Verdict::Better) => "change better",
                Some(Verdict::Worse) => "change worse",
                None => "change",
            };
            page.element("td", class, &change_in_words(row));
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table></div>\n");
    if group == Group::Code {
        for text in &comparison.texts {
            text_lines(page, text);
        }
    }
    page.raw("</section>\n");
}

/// How large a number is beside the largest of its row.
fn bar(page: &mut Html, row: &Row, position: usize) {
    let number = |fact: &Option<crate::compare::Fact>| fact.as_ref().and_then(|f| f.value.as_f64());
    let largest = row.facts.iter().filter_map(number).fold(0.0, f64::max);
    let smallest = row.facts.iter().filter_map(number).fold(f64::INFINITY, f64::min);
    let Some(value) = number(&row.facts[position]) else {
        return;
    };
    if largest <= 0.0 || smallest < 0.0 {
        return;
    }
    page.raw("<svg class=\"small\" aria-hidden=\"true\">");
    rect(
        page,
        if row.best().contains(&position) {
            "best"
        } else {
            "plain"
        },
        (0.0, value / largest * 100.0),
        (0.0, 4.0),
    );
    page.raw("</rect></svg>");
}

fn text_lines(page: &mut Html, text: &TextDifference) {
    page.element("h3", "", &text.title);
    page.raw("\n<pre class=\"lines\">");
    for line in &text.lines.lines {
        let (class, sign) = match line.kind {
            LineKind::Place => ("place", ""),
            LineKind::Both => ("both", "  "),
            LineKind::Left => ("left", "− "),
            LineKind::Right => ("right", "+ "),
        };
        page.element("span", class, &format!("{sign}{}", line.text));
        page.raw("\n");
    }
    page.raw("</pre>\n");
}

/// All runs on one scale, each from its own beginning.
fn timelines(page: &mut Html, runs: &[Reported]) {
    let longest = runs
        .iter()
        .filter_map(|run| axis(run, 0.0))
        .map(|a| a.worked())
        .fold(0.0, f64::max);
    if longest == 0.0 {
        return;
    }
    page.raw("<section>\n<h2>Timelines</h2>\n");
    for (position, run) in runs.iter().enumerate() {
        let Some(axis) = axis(run, longest) else { continue };
        page.raw("<h3>");
        page.element("b", "letter", &letter(position));
        page.raw(" ");
        page.text(&run.facts.name());
        page.raw("</h3>\n");
        draw(page, run, &axis);
    }
    key(page, runs);
    page.raw("</section>\n");
}
