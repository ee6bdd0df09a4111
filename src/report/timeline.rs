//! When each phase ran: a row for each, its attempts as bars, its steps below them.

use std::collections::HashSet;

use super::html::Html;
use super::overview::{local, rect};
use super::reported::Reported;
use super::span::{Axis, Span};
use crate::run::{Activity, ActivityKind, AttemptOutcome, AttemptRecord};
use crate::ui::human_duration;

/// More rows than this are no drawing: the longest and the failed ones are drawn then.
const MOST_ROWS: usize = 150;
/// Marks along the axis, about.
const MARKS: usize = 6;
/// The narrowest bar, in per cent: it must be seen.
const NARROWEST: f64 = 0.35;

/// The timeline of one run, as a section.
pub(super) fn section(page: &mut Html, run: &Reported) {
    page.raw("<section>\n<h2>Timeline</h2>\n");
    match axis(run, 0.0) {
        Some(axis) => {
            draw(page, run, &axis);
            key(page, [run]);
        }
        None => page.raw("<p class=\"dim\">No attempt is recorded.</p>\n"),
    }
    page.raw("</section>\n");
}

/// The axis of a run; `total` as in [`Axis::new`].
pub(super) fn axis(run: &Reported, total: f64) -> Option<Axis> {
    let spans: Vec<Span> = run
        .attempts
        .iter()
        .flat_map(|(phase, all)| {
            all.iter()
                .enumerate()
                .map(move |(place, attempt)| run.span(phase, place + 1, attempt))
        })
        .collect();
    Axis::new(&spans, total)
}

/// Draws a run on its axis.
pub(super) fn draw(page: &mut Html, run: &Reported, axis: &Axis) {
    let (phases, left_out) = chosen(run);
    page.raw("<div class=\"gantt\">\n");
    for phase in phases {
        row(page, run, axis, phase);
    }
    page.raw("<div class=\"row\"><span class=\"name\"></span><svg class=\"axis\">");
    for (at, seconds) in axis.marks(MARKS) {
        page.raw("<line x1=\"");
        page.number(at);
        page.raw("%\" x2=\"");
        page.number(at);
        // The last mark's words would stand outside.
        page.raw(if at > 92.0 {
            "%\" y1=\"0\" y2=\"5\"/><text text-anchor=\"end\" y=\"17\" x=\""
        } else if at < 4.0 {
            "%\" y1=\"0\" y2=\"5\"/><text y=\"17\" x=\""
        } else {
            "%\" y1=\"0\" y2=\"5\"/><text text-anchor=\"middle\" y=\"17\" x=\""
        });
        page.number(at);
        page.raw("%\">");
        page.text(&mark(seconds));
        page.raw("</text>");
    }
    page.raw("</svg></div>\n</div>\n");
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!("{left_out} short phases are left out"));
    }
    let gaps: Vec<String> = axis.gaps().map(|(_, _, seconds)| human_duration(seconds)).collect();
    if !gaps.is_empty() {
        notes.push(format!("nothing ran for {} (drawn short)", gaps.join(", ")));
    }
    if !notes.is_empty() {
        page.element("p", "dim", &notes.join("; "));
    }
}

/// What the colours of drawings mean, as far as they occur in these runs.
pub(super) fn key<'a>(page: &mut Html, runs: impl IntoIterator<Item = &'a Reported>) {
    let mut found: HashSet<&str> = HashSet::new();
    for run in runs {
        for (phase, attempts) in &run.attempts {
            let class = |(place, attempt)| {
                let attempt: &AttemptRecord = attempt;
                class(attempt.outcome, run.span(phase, place + 1, attempt).open)
            };
            found.extend(attempts.iter().enumerate().map(class));
        }
        if run
            .activities
            .iter()
            .any(|activity| activity.kind == ActivityKind::Step)
        {
            found.insert("step");
        }
    }
    page.raw("<p class=\"key\">");
    for word in ["completed", "failed", "interrupted", "running", "step"] {
        if found.contains(word) {
            page.raw("<span class=\"entry\">");
            page.open_with("span", &[("class", &format!("swatch {word}"))]);
            page.raw("</span>");
            page.text(word);
            page.raw("</span> ");
        }
    }
    page.raw("</p>\n");
}

/// A point in time for the axis: `0`, `30s`, `5m`, `2h`.
fn mark(seconds: f64) -> String {
    let rounded = (seconds * 10.0).round() / 10.0;
    match rounded {
        0.0 => "0".into(),
        s if s < 60.0 => format!("{s}s"),
        s if s < 3600.0 && s % 60.0 == 0.0 => format!("{}m", s / 60.0),
        s if s % 3600.0 == 0.0 && s < 86400.0 => format!("{}h", s / 3600.0),
        s => human_duration(s),
    }
}

/// The phases to draw in the order in which they began, and how many are left out.
fn chosen(run: &Reported) -> (Vec<&str>, usize) {
    let begun = |phase: &&String| run.attempts_of(phase).first().map(|a| a.started);
    let mut all: Vec<&String> = run.phases.keys().filter(|p| begun(p).is_some()).collect();
    let count = all.len();
    if count > MOST_ROWS {
        let weight = |phase: &&String| {
            let attempts = run.attempts_of(phase);
            let failed = attempts.iter().any(|a| a.outcome != AttemptOutcome::Completed);
            let seconds: f64 = attempts.iter().filter_map(|a| a.seconds).sum();
            if failed { f64::INFINITY } else { seconds }
        };
        all.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        all.truncate(MOST_ROWS);
    }
    all.sort_by_key(begun);
    (
        all.into_iter().map(String::as_str).collect(),
        count - count.min(MOST_ROWS),
    )
}

fn row(page: &mut Html, run: &Reported, axis: &Axis, phase: &str) {
    let steps: Vec<&Activity> = run
        .activities
        .iter()
        .filter(|a| a.phase == phase && a.kind == ActivityKind::Step)
        .collect();
    page.raw("<div class=\"row\">");
    page.open_with("span", &[("class", "name"), ("title", phase)]);
    page.text(phase);
    page.raw("</span>");
    page.open_with(
        "svg",
        &[
            ("class", if steps.is_empty() { "bars" } else { "bars steps" }),
            ("role", "img"),
            ("aria-label", &in_words(run, phase)),
        ],
    );
    for (from, to, seconds) in axis.gaps() {
        rect(page, "gap", (from, to - from), (0.0, 40.0));
        page.raw("<title>");
        page.text(&format!("nothing ran for {}", human_duration(seconds)));
        page.raw("</title></rect>");
    }
    for (place, attempt) in run.attempts_of(phase).iter().enumerate() {
        let span = run.span(phase, place + 1, attempt);
        let (x, end) = (axis.at(span.start), axis.at(span.end));
        let width = (end - x).max(NARROWEST);
        let x = x.min(100.0 - width);
        let class = class(attempt.outcome, span.open);
        rect(page, class, (x, width), (3.0, 16.0));
        let took = if span.open {
            "nobody knows how long".into()
        } else {
            human_duration(span.seconds())
        };
        let kind = attempt
            .kind
            .as_deref()
            .map(|kind| format!(", {kind}"))
            .unwrap_or_default();
        page.raw("<title>");
        page.text(&format!(
            "{phase}, attempt {}: {class}{kind}, {took}, from {}",
            place + 1,
            local(attempt.started)
        ));
        page.raw("</title></rect>");
        if class == "failed" {
            // Not by colour alone.
            page.raw("<text class=\"cross\" text-anchor=\"middle\" y=\"15.5\" x=\"");
            page.number(x + width / 2.0);
            page.raw("%\">✕</text>");
        }
    }
    let outer: HashSet<&str> = steps
        .iter()
        .filter_map(|s| s.step.as_deref())
        .filter(|s| !s.contains('/'))
        .collect();
    for step in steps
        .iter()
        .filter(|s| s.step.as_deref().is_some_and(|s| outer.contains(s)))
    {
        let start = step.started.as_millisecond() as f64 / 1000.0;
        let (x, end) = (axis.at(start), axis.at(start + step.seconds));
        rect(page, "step", (x, (end - x).max(NARROWEST)), (21.0, 5.0));
        page.raw("<title>");
        page.text(&format!(
            "step {}: {}",
            step.step.as_deref().unwrap_or_default(),
            human_duration(step.seconds)
        ));
        page.raw("</title></rect>");
    }
    page.raw("</svg></div>\n");
}

fn class(outcome: AttemptOutcome, open: bool) -> &'static str {
    match outcome {
        AttemptOutcome::Completed => "completed",
        AttemptOutcome::Failed | AttemptOutcome::Skipped => "failed",
        AttemptOutcome::Running if !open => "running",
        AttemptOutcome::Running | AttemptOutcome::Interrupted => "interrupted",
    }
}

fn in_words(run: &Reported, phase: &str) -> String {
    let attempts = run.attempts_of(phase);
    let each: Vec<String> = attempts
        .iter()
        .map(|a| {
            let took = a
                .seconds
                .map(|s| format!(" after {}", human_duration(s)))
                .unwrap_or_default();
            format!(
                "{}{took}",
                class(
                    a.outcome,
                    a.seconds.is_none() && run.facts.standing != crate::compare::RunStanding::Running
                )
            )
        })
        .collect();
    format!("{phase}: {}", each.join(", then "))
}
