//! What is known of a run in tables: phases, metrics, parameters, and the rest folded away.

use indexmap::IndexMap;
use serde_json::Value;

use super::html::Html;
use super::overview::local;
use super::reported::Reported;
use crate::compare::{Group, in_words, value_in_words};
use crate::run::{ActivityKind, Better};
use crate::ui::{human_bytes_kib, human_duration};

/// Commands listed for each phase.
const MOST_COMMANDS: usize = 50;

pub(super) fn phases(page: &mut Html, run: &Reported) {
    if run.phases.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Phases</h2>\n");
    let gpus = run.attempts.values().flatten().any(|attempt| !attempt.gpus.is_empty());
    let mut heads = vec![
        ("phase", ""),
        ("status", ""),
        ("attempts", "n"),
        ("time", "n"),
        ("processor", "n"),
        ("peak memory", "n"),
    ];
    if gpus {
        heads.push(("GPUs", "n"));
    }
    let mut rows = Vec::new();
    for (phase, status) in &run.phases {
        let attempts = run.attempts_of(phase);
        let last = attempts.last();
        let text = |value: Option<String>| value.unwrap_or_default();
        rows.push(vec![
            (phase.clone(), ""),
            (status.to_string(), status.as_str()),
            (
                if attempts.is_empty() {
                    String::new()
                } else {
                    attempts.len().to_string()
                },
                "",
            ),
            (text(time(run, phase)), ""),
            (text(last.and_then(|a| a.cpu).map(human_duration)), ""),
            (
                text(attempts.iter().filter_map(|a| a.max_rss).max().map(human_bytes_kib)),
                "",
            ),
        ]);
        if gpus && let Some(row) = rows.last_mut() {
            row.push((last.map(|a| a.gpus.join(" ")).unwrap_or_default(), ""));
        }
    }
    page.table(&heads, &rows);
    retried(page, run);
    commands(page, run);
    page.raw("</section>\n");
}

/// How long the last attempt of a phase took, or is taking.
fn time(run: &Reported, phase: &str) -> Option<String> {
    let attempts = run.attempts_of(phase);
    let last = attempts.last()?;
    let span = run.span(phase, attempts.len(), last);
    match last.seconds {
        Some(seconds) => Some(human_duration(seconds)),
        None => (!span.open).then(|| format!("{} so far", human_duration(span.seconds()))),
    }
}

/// Which parameters an attempt had other than the one before it.
fn retried(page: &mut Html, run: &Reported) {
    let mut rows = Vec::new();
    for phase in run.phases.keys() {
        for (place, pair) in run.attempts_of(phase).windows(2).enumerate() {
            let other = |(name, value): (&String, &Value)| {
                let was = pair[0].params.get(name).filter(|was| *was != value)?;
                Some(format!("{name} {} → {}", value_in_words(was), value_in_words(value)))
            };
            let changed: Vec<String> = pair[1].params.iter().filter_map(other).collect();
            if !changed.is_empty() {
                rows.push(vec![
                    (phase.clone(), ""),
                    ((place + 2).to_string(), ""),
                    (changed.join(", "), "code"),
                ]);
            }
        }
    }
    if !rows.is_empty() {
        page.raw("<h3>Changed for another attempt</h3>\n");
        page.table(&[("phase", ""), ("attempt", "n"), ("parameters", "")], &rows);
    }
}

fn commands(page: &mut Html, run: &Reported) {
    let mut rows = Vec::new();
    let mut left_out = 0;
    for phase in run.phases.keys() {
        let of_phase = run.activities.iter().filter(|a| a.phase == *phase);
        let commands = of_phase.filter(|a| matches!(a.kind, ActivityKind::Command { .. }));
        for (count, activity) in commands.enumerate() {
            let ActivityKind::Command {
                command,
                code,
                signal,
                max_rss,
                ..
            } = &activity.kind
            else {
                continue;
            };
            if count >= MOST_COMMANDS {
                left_out += 1;
                continue;
            }
            let (end, class) = match (code, signal) {
                (Some(0), _) => ("0".to_string(), ""),
                (Some(code), _) => (code.to_string(), "failed"),
                (None, Some(signal)) => (format!("signal {signal}"), "failed"),
                (None, None) => ("–".into(), "failed"),
            };
            let place = activity
                .step
                .as_ref()
                .map_or_else(|| phase.clone(), |step| format!("{phase} / {step}"));
            rows.push(vec![
                (place, ""),
                (activity.attempt.to_string(), ""),
                (end, class),
                (human_duration(activity.seconds), ""),
                (human_bytes_kib(*max_rss), ""),
                (command.clone(), "code"),
            ]);
        }
    }
    if rows.is_empty() {
        return;
    }
    let all = rows.len() + left_out;
    fold(
        page,
        &format!("{all} {}", if all == 1 { "command" } else { "commands" }),
    );
    let heads = [
        ("phase", ""),
        ("attempt", "n"),
        ("status", "n"),
        ("time", "n"),
        ("memory", "n"),
        ("command", ""),
    ];
    page.table(&heads, &rows);
    if left_out > 0 {
        page.element("p", "dim", &format!("{left_out} more are left out"));
    }
    page.raw("</details>\n");
}

fn fold(page: &mut Html, title: &str) {
    page.raw("<details><summary>");
    page.text(title);
    page.raw("</summary>\n");
}

pub(super) fn metrics(page: &mut Html, run: &Reported) {
    let all: Vec<_> = run
        .facts
        .facts()
        .filter(|(group, ..)| *group == Group::Metrics)
        .collect();
    if all.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Metrics</h2>\n");
    let mut by_last: IndexMap<&str, Vec<f64>> = IndexMap::new();
    let mut rows = Vec::new();
    for (_, name, fact) in &all {
        let way = match fact.better {
            Some(Better::Higher) => "higher is better",
            Some(Better::Lower) => "lower is better",
            None => "",
        };
        rows.push(vec![
            ((*name).to_string(), ""),
            (in_words(fact), "n"),
            (way.to_string(), "dim"),
        ]);
        let last = name.rsplit_once('.').map_or(*name, |(_, last)| last);
        by_last.entry(last).or_default().extend(fact.value.as_f64());
    }
    page.table(&[("metric", ""), ("value", "n"), ("", "")], &rows);
    let means: Vec<Vec<(String, &str)>> = by_last
        .iter()
        .filter(|(_, values)| values.len() > 1)
        .map(|(name, values)| {
            let (mean, deviation) = mean(values);
            vec![
                ((*name).to_string(), ""),
                (format!("{} ± {}", short(mean), short(deviation)), ""),
                (values.len().to_string(), ""),
            ]
        })
        .collect();
    if !means.is_empty() {
        page.raw("<h3>Over phases</h3>\n");
        page.table(&[("metric", ""), ("mean ± deviation", "n"), ("phases", "n")], &means);
    }
    page.raw("</section>\n");
}

/// The mean and the sample's standard deviation.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// A number with four significant digits.
pub(super) fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor();
    if !(-4.0..9.0).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    let decimals = (3.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

pub(super) fn parameters(page: &mut Html, run: &Reported) {
    let of_group = run
        .facts
        .facts()
        .filter(|(group, _, fact)| *group == Group::Parameters && !fact.aside);
    let rows: Vec<Vec<(String, &str)>> = of_group
        .map(|(_, name, fact)| {
            let from = run
                .facts
                .fact(Group::Parameters, &format!("{name} (from)"))
                .map(in_words)
                .unwrap_or_default();
            let class = if from == "default" { "dim" } else { "" };
            vec![(name.to_string(), ""), (in_words(fact), "code"), (from, class)]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.raw("<section>\n<h2>Parameters</h2>\n");
    page.table(&[("name", ""), ("value", ""), ("from", "")], &rows);
    page.raw("</section>\n");
}

/// What is looked up and not read: folded, a table for each group.
pub(super) fn rest(page: &mut Html, run: &Reported) {
    page.raw("<section>\n<h2>More</h2>\n");
    for (group, title) in [
        (Group::Results, "Results"),
        (Group::Checkpoints, "Checkpoints"),
        (Group::State, "State"),
        (Group::Code, "Code"),
        (Group::Machine, "Machine"),
        (Group::Packages, "Packages"),
        (Group::Environment, "Environment"),
    ] {
        let facts = run.facts.facts().filter(|(g, ..)| *g == group);
        let rows: Vec<Vec<(String, &str)>> = facts
            .map(|(_, name, fact)| vec![(name.to_string(), ""), (in_words(fact), "code")])
            .collect();
        if rows.is_empty() {
            continue;
        }
        fold(page, &format!("{title} ({})", rows.len()));
        page.table(&[("", ""), ("", "")], &rows);
        if group == Group::Code
            && let Some(script) = &run.facts.script
        {
            page.element("pre", "script", script);
            for module in run.facts.modules.iter().flatten() {
                if let Some(text) = &module.text {
                    page.element("h3", "", &module.name);
                    page.element("pre", "script", text);
                }
            }
        }
        page.raw("</details>\n");
    }
    if let Some(known) = &run.facts.provenance {
        page.element(
            "p",
            "dim",
            &format!(
                "As recorded {}. Secrets in the environment are masked.",
                local(known.at)
            ),
        );
    }
    page.raw("</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_comes_with_the_deviation_of_the_sample() {
        let (mean, deviation) = mean(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
        assert_eq!(
            [0.812_34, 1234.5, 0.5, 0.0, 1e-7].map(short),
            ["0.8123", "1234", "0.5", "0", "1.000e-7"]
        );
    }
}
