//! The head of a report: what ran, how it ended, and the numbers people look for first.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::html::Html;
use super::reported::Reported;
use crate::compare::{RunStanding, resume_command};
use crate::run::{AttemptOutcome, standing_advice};
use crate::state::PhaseStatus;
use crate::ui::{human_bytes_kib, human_duration};

/// A moment as people write it here.
pub(super) fn local(moment: Timestamp) -> String {
    moment
        .to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

pub(super) fn overview(page: &mut Html, run: &Reported) {
    let standing = run.facts.standing.as_str();
    page.raw("<header>\n<h1>");
    page.text(&run.facts.name());
    page.raw("</h1>\n");
    page.element("p", &format!("pill {standing}"), standing);
    page.raw("\n<p class=\"sub\">");
    page.text(&subline(run));
    page.raw("</p>\n");
    bar(page, run);
    page.element("p", "story", &story(run));
    page.raw("\n</header>\n<dl class=\"tiles\">\n");
    for (name, value) in tiles(run) {
        page.raw("<div>");
        page.element("dt", "", name);
        page.element("dd", "", &value);
        page.raw("</div>\n");
    }
    page.raw("</dl>\n");
    if !matches!(run.facts.standing, RunStanding::Completed | RunStanding::Running) {
        let advice = standing_advice(&run.facts.state);
        page.raw("<p class=\"resume\">To go on: ");
        page.element("code", "", &resume_command(Path::new(&run.facts.path()), &advice));
        page.raw("</p>\n");
        for line in &advice.lines {
            page.element("p", "dim", line);
        }
    }
}

fn subline(run: &Reported) -> String {
    let mut parts = Vec::new();
    parts.extend(run.text("metadata", "script"));
    if let Some(known) = &run.facts.provenance {
        parts.push(format!("on {}", known.machine.host));
        if let Some(git) = &known.git {
            let short: String = git.commit.chars().take(10).collect();
            parts.push(if git.dirty {
                format!("{short} with uncommitted changes")
            } else {
                short
            });
        }
    }
    parts.extend(run.facts.started.map(|t| format!("started {}", local(t))));
    parts.join(" · ")
}

/// All phases as one bar, a part for each status.
fn bar(page: &mut Html, run: &Reported) {
    let all = run.phases.len();
    if all == 0 {
        return;
    }
    let label = format!("{} of {all} phases completed", run.count(PhaseStatus::Completed));
    page.open_with("svg", &[("class", "bar"), ("role", "img"), ("aria-label", &label)]);
    let mut place = 0.0;
    for status in [
        PhaseStatus::Completed,
        PhaseStatus::Skipped,
        PhaseStatus::Failed,
        PhaseStatus::InProgress,
        PhaseStatus::Pending,
    ] {
        let count = run.count(status);
        if count > 0 {
            let width = count as f64 / all as f64 * 100.0;
            rect(page, status.as_str(), (place, width), (0.0, 10.0));
            page.raw("<title>");
            page.text(&format!("{count} {status}"));
            page.raw("</title></rect>");
            place += width;
        }
    }
    page.raw("</svg>\n");
}

/// An opened rectangle: place and width in per cent, top and height in pixels.
pub(super) fn rect(page: &mut Html, class: &str, across: (f64, f64), down: (f64, f64)) {
    page.raw("<rect class=\"");
    page.text(class);
    page.raw("\" x=\"");
    page.number(across.0);
    page.raw("%\" width=\"");
    page.number(across.1);
    page.raw("%\" y=\"");
    page.number(down.0);
    page.raw("\" height=\"");
    page.number(down.1);
    page.raw("\">");
}

fn story(run: &Reported) -> String {
    let all = run.phases.len();
    if all == 0 {
        return "No phase is recorded yet: everything is pending.".into();
    }
    let over = run.count(PhaseStatus::Completed);
    let mut text = match over {
        _ if over == all => format!("All {all} phases completed"),
        _ => format!("{over} of {all} phases completed"),
    };
    let named = |status| {
        run.phases
            .iter()
            .filter(move |(_, s)| **s == status)
            .map(|(n, _)| n.as_str())
    };
    for (status, word) in [
        (PhaseStatus::Failed, "failed"),
        (PhaseStatus::Skipped, "skipped"),
        (PhaseStatus::InProgress, "in progress"),
    ] {
        let names: Vec<&str> = named(status).collect();
        match names.as_slice() {
            [] => {}
            few if few.len() <= 3 => text += &format!("; {word}: {}", few.join(", ")),
            many => text += &format!("; {word}: {}, {} and {} more", many[0], many[1], many.len() - 2),
        }
    }
    let tried: usize = run.attempts.values().map(|all| all.len().saturating_sub(1)).sum();
    if tried > 0 {
        let again = if tried == 1 {
            "once".into()
        } else {
            format!("{tried} times")
        };
        text += &format!("; something was tried again {again}");
    }
    text + "."
}

fn tiles(run: &Reported) -> Vec<(&'static str, String)> {
    let records = || run.attempts.values().flatten();
    let mut tiles = vec![(
        "phases",
        format!("{} / {}", run.count(PhaseStatus::Completed), run.phases.len()),
    )];
    if let Some(seconds) = run.facts.seconds {
        tiles.push(("time in phases", human_duration(seconds)));
    }
    if let Some(extent) = run.extent().filter(|e| e.seconds() > 0.0) {
        tiles.push(("from start to end", human_duration(extent.seconds())));
    }
    if let Some(rest) = &run.rest {
        tiles.push((
            "rest, as earlier runs",
            format!("about {}", human_duration(rest.seconds)),
        ));
    }
    let failed = records()
        .filter(|a| matches!(a.outcome, AttemptOutcome::Failed | AttemptOutcome::Skipped))
        .count();
    let failed = if records().next().is_some() {
        failed.to_string()
    } else {
        run.text("failures", "failure_count").unwrap_or_else(|| "0".into())
    };
    tiles.push(("failed attempts", failed));
    let cpu: f64 = records().filter_map(|a| a.cpu).sum();
    if cpu > 0.0 {
        tiles.push(("processor time", human_duration(cpu)));
    }
    if let Some(memory) = records().filter_map(|a| a.max_rss).max() {
        tiles.push(("peak memory", human_bytes_kib(memory)));
    }
    tiles
}
