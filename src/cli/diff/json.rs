//! A comparison for programs. `docs/diff.md` describes it.

use serde_json::{Value, json};

use crate::compare::{
    Comparison, Group, Line, LineKind, Row, RunFacts, SCRIPT_TEXT, Standing, TextDifference, Verdict,
};
use crate::run::Better;

/// The comparison as JSON; without `all` only the rows that differ.
pub(super) fn to_json(comparison: &Comparison, all: bool) -> Value {
    let groups: Vec<Value> = comparison
        .groups()
        .map(|group| group_json(comparison, group, all))
        .collect();
    let unrecorded: Vec<Value> = comparison
        .unrecorded
        .iter()
        .map(|(group, runs)| json!({ "group": group.as_str(), "runs": runs }))
        .collect();
    let lines = |text: &TextDifference| -> Vec<Value> {
        let line = |line: &Line| json!({ "kind": kind(line.kind), "text": line.text });
        text.lines.lines.iter().map(line).collect()
    };
    let script = comparison.texts.iter().find(|text| text.fact == SCRIPT_TEXT).map(lines);
    let texts = comparison.texts.iter();
    let texts = texts.map(|text| json!({ "fact": text.fact, "title": text.title, "lines": lines(text) }));
    json!({
        "schema": 1,
        "different": comparison.differs(),
        "runs": comparison.runs.iter().map(run_json).collect::<Vec<Value>>(),
        "groups": groups,
        "unrecorded": unrecorded,
        "script": script,
        "texts": texts.collect::<Vec<Value>>(),
        "outside_code_recorded": !comparison.blind_outside_scripts,
    })
}

fn run_json(run: &RunFacts) -> Value {
    json!({
        "run": run.path(),
        "name": run.name(),
        "state_file": run.state_file,
        "status": run.standing.as_str(),
        "started": run.started,
        "seconds": run.seconds,
    })
}

fn group_json(comparison: &Comparison, group: Group, all: bool) -> Value {
    let count = |standing| comparison.group(group).filter(|row| row.standing == standing).count();
    let rows = comparison
        .group(group)
        .filter(|row| all || row.standing == Standing::Differs);
    json!({
        "group": group.as_str(),
        "differs": count(Standing::Differs),
        "noise": count(Standing::Noise),
        "same": count(Standing::Same),
        "rows": rows.map(row_json).collect::<Vec<Value>>(),
    })
}

fn row_json(row: &Row) -> Value {
    let values: Vec<Option<&Value>> = row.facts.iter().map(|fact| fact.as_ref().map(|f| &f.value)).collect();
    let mut object = json!({
        "name": row.name,
        "standing": match row.standing {
            Standing::Same => "same",
            Standing::Noise => "noise",
            Standing::Differs => "differs",
        },
        "values": values,
        "present": row.facts.iter().map(Option::is_some).collect::<Vec<bool>>(),
        "unit": row.unit().as_str(),
        "better": row.better().map(Better::as_str),
    });
    if row.facts.len() == 2 {
        let change = row.change();
        object["difference"] = json!(change.map(|c| c.difference));
        object["relative"] = json!(change.and_then(|c| c.relative));
        object["ratio"] = json!(change.and_then(|c| c.ratio));
        object["verdict"] = json!(change.and_then(|c| c.verdict).map(|verdict| match verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
        }));
    } else {
        let best = row.best();
        object["best"] = json!(best.first().filter(|_| best.len() == 1));
        object["all_best"] = json!(best);
    }
    object
}

fn kind(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Place => "place",
        LineKind::Both => "both",
        LineKind::Left => "left",
        LineKind::Right => "right",
    }
}
