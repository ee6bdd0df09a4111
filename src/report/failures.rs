//! What went wrong, each failed attempt with the end of its log.

use super::html::Html;
use super::log_tail::log_tail;
use super::overview::local;
use super::reported::Reported;
use crate::run::{ActivityKind, AttemptOutcome};
use crate::state::PhaseStatus;
use crate::ui::human_duration;

/// Lines of the log for each failure.
const LINES: usize = 30;
/// More failures than this are no reading matter; the last of each phase come first.
const MOST: usize = 40;

pub(super) fn failures(page: &mut Html, run: &Reported) {
    let mut all: Vec<(&str, usize)> = Vec::new();
    for phase in run.phases.keys() {
        for (place, attempt) in run.attempts_of(phase).iter().enumerate() {
            if matches!(attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::Skipped) {
                all.push((phase, place));
            }
        }
    }
    if all.is_empty() {
        return from_state(page, run);
    }
    // What is still broken first, then by time.
    let resolved = |phase: &str| run.phases.get(phase) == Some(&PhaseStatus::Completed);
    all.sort_by_key(|(phase, place)| (resolved(phase), run.attempts_of(phase)[*place].started));
    page.raw("<section>\n<h2>Failures</h2>\n");
    for (phase, place) in all.iter().take(MOST) {
        one(page, run, phase, *place, resolved(phase));
    }
    if all.len() > MOST {
        page.element("p", "dim", &format!("and {} more", all.len() - MOST));
    }
    page.raw("</section>\n");
}

fn one(page: &mut Html, run: &Reported, phase: &str, place: usize, resolved: bool) {
    let attempt = &run.attempts_of(phase)[place];
    page.open_with(
        "article",
        &[("class", if resolved { "failure resolved" } else { "failure" })],
    );
    page.raw("<h3>");
    page.text(phase);
    if let Some(step) = &attempt.step {
        page.text(&format!(" / {step}"));
    }
    page.raw(" ");
    page.element("span", "kind", attempt.kind.as_deref().unwrap_or("failed"));
    page.raw("</h3>\n");
    let mut line = vec![format!("attempt {}", place + 1)];
    line.extend(attempt.seconds.map(|s| format!("after {}", human_duration(s))));
    line.push(local(attempt.ended.unwrap_or(attempt.started)));
    line.extend(attempt.code.map(|code| format!("status {code}")));
    line.extend(attempt.signal.map(|signal| format!("signal {signal}")));
    if resolved {
        line.push("a later attempt completed".into());
    }
    page.element("p", "dim", &line.join(" · "));
    if let Some(message) = &attempt.message {
        page.element("p", "message", message);
    }
    let failed = |a: &&crate::run::Activity| !matches!(a.kind, ActivityKind::Command { code: Some(0), .. });
    if let Some(ActivityKind::Command { command, .. }) =
        run.commands_of(phase, place + 1).filter(failed).last().map(|a| &a.kind)
    {
        page.element("pre", "command", &format!("$ {command}"));
    }
    if let Some((log, lines)) = log_tail(run, phase, place, LINES).filter(|(_, lines)| !lines.is_empty()) {
        page.open_with("details", &[("open", if resolved { "" } else { "open" })]);
        page.raw("<summary>the end of ");
        page.element("code", "", &log);
        page.raw("</summary>");
        page.element("pre", "log", &lines.join("\n"));
        page.raw("</details>\n");
    }
    page.raw("</article>\n");
}

/// The bash runner's files keep only the last failure.
fn from_state(page: &mut Html, run: &Reported) {
    let Some(phase) = run.text("failures", "last_failure") else {
        return;
    };
    page.raw("<section>\n<h2>Failures</h2>\n<article class=\"failure\"><h3>");
    page.text(&phase);
    page.raw("</h3>\n");
    page.element(
        "p",
        "dim",
        &run.text("failures", "last_failure_time").unwrap_or_default(),
    );
    if let Some(message) = run.text("failures", "last_failure_error") {
        page.element("p", "message", &message);
    }
    page.raw("</article>\n</section>\n");
}
