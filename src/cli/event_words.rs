//! What an event of a run's history was about, in a line.

use serde_json::Value;

use super::attempt_words::changed;
use crate::run::{AttemptRecord, NextAttempt};
use crate::state::{Happened, KeyChange, value};

/// How much of a value is shown, in characters.
const VALUE_WIDTH: usize = 40;
/// How much of a sentence is shown, in characters.
const SENTENCE_WIDTH: usize = 160;
/// So many changes of one event are shown.
const MOST_CHANGES: usize = 4;
/// The sections in which jumar keeps its books; what stands there says nothing by itself.
const BOOKS: &[&str] = &[
    "metadata",
    "attempts",
    "fingerprints",
    "declared",
    "overrides",
    "param_sources",
];

/// What an event was about; empty when it says nothing to people.
pub(super) fn in_words(event: &Happened) -> String {
    let of = |section: &'static str| event.changes.iter().filter(move |change| change.section == section);
    let said = match event.verb.as_str() {
        "noted" => of("attempts").filter_map(noted).collect(),
        "step" => of("steps").map(|change| change.key.clone()).collect(),
        "metric" => of("metrics").map(metric).collect(),
        "checkpoint" => of("checkpoints").filter_map(checkpoint).collect(),
        "continued" => of("attempts").filter_map(continued).collect(),
        "retry" => of("overrides").filter_map(retried).collect(),
        "aborted" => of("attempts").filter_map(aborted).collect(),
        "resumed" => resumed(event),
        "started" | "failed" | "skipped" => with_attempt(event),
        _ => vec![],
    };
    if said.is_empty() { changes(event) } else { listed(said) }
}

/// The phases that an event changed; other keys when a person or a script changed them, and where there is nothing else.
fn changes(event: &Happened) -> String {
    let all =
        event.by_hand().is_some() || event.verb.starts_with("undid ") || matches!(&*event.verb, "set" | "removed");
    // What a phase was made from goes with its status.
    let told = |change: &&KeyChange| change.section == "phases" || (all && change.section != "fingerprints");
    let phases: Vec<String> = event.changes.iter().filter(told).map(change_in_words).collect();
    if !phases.is_empty() {
        return listed(phases);
    }
    let others = event.changes.iter().filter(|change| !BOOKS.contains(&&*change.section));
    listed(others.map(change_in_words).collect())
}

fn listed(mut all: Vec<String>) -> String {
    let more = all.len().saturating_sub(MOST_CHANGES);
    all.truncate(MOST_CHANGES);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

/// A change in a line.
pub(super) fn change_in_words(change: &KeyChange) -> String {
    let name = match change.section.as_str() {
        "phases" | "" => change.key.clone(),
        section => format!("[{section}] {}", change.key),
    };
    match (&change.before, &change.after) {
        (before, Some(after)) => {
            let was = before
                .as_ref()
                .map(|before| format!(" (was {})", short(before, VALUE_WIDTH)))
                .unwrap_or_default();
            format!("{name}={}{was}", short(after, VALUE_WIDTH))
        }
        (_, None) => format!("{name} removed"),
    }
}

fn short(value: &str, width: usize) -> String {
    if value.chars().count() <= width {
        return value.to_owned();
    }
    value.chars().take(width).chain(['…']).collect()
}

/// The phase and the number of a key of `[attempts]`.
fn attempt_of(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or((key, "1"))
}

fn record(text: Option<&String>) -> Option<AttemptRecord> {
    serde_json::from_str(text?).ok()
}

/// What was noted of an attempt since; where its log begins is for programs.
fn noted(change: &KeyChange) -> Option<String> {
    let (phase, number) = attempt_of(&change.key);
    let after = record(change.after.as_ref())?;
    let before = record(change.before.as_ref());
    let known = before.as_ref().map_or(0, |before| before.notes.len());
    let notes = after.notes.get(known..).unwrap_or_default();
    if !notes.is_empty() {
        return Some(format!("{phase}: {}", short(&notes.join("; "), SENTENCE_WIDTH)));
    }
    let ended = before.is_some_and(|before| before.outcome != after.outcome);
    ended.then(|| format!("{phase}: attempt {number} ended with its jumar"))
}

fn metric(change: &KeyChange) -> String {
    let value = change.after.as_deref().map_or(Value::Null, value::decode);
    format!("{} = {}", change.key, short(&value.to_string(), VALUE_WIDTH))
}

fn checkpoint(change: &KeyChange) -> Option<String> {
    let (phase, _) = change.key.split_once(".checkpoint.")?;
    let manifest: Value = serde_json::from_str(change.after.as_ref()?).ok()?;
    Some(format!("{} of {phase}", manifest.get("path")?.as_str()?))
}

fn continued(change: &KeyChange) -> Option<String> {
    let (phase, number) = attempt_of(&change.key);
    record(change.after.as_ref())?;
    Some(format!("{phase}, attempt {number}, which outlived its jumar"))
}

fn retried(change: &KeyChange) -> Option<String> {
    let phase = change.key.strip_suffix(".next")?;
    let next: NextAttempt = serde_json::from_str(change.after.as_ref()?).ok()?;
    let how = next.changes.in_words(next.delay());
    Some(format!("{phase} {how}").trim_end().to_owned())
}

fn aborted(change: &KeyChange) -> Option<String> {
    let (phase, _) = attempt_of(&change.key);
    let why = record(change.after.as_ref())?.aborted?;
    Some(format!("{phase}: {}", short(&why, SENTENCE_WIDTH)))
}

fn resumed(event: &Happened) -> Vec<String> {
    let script = event
        .changes
        .iter()
        .filter(|c| c.section == "metadata" && c.key == "script_hash");
    let script = script
        .filter(|c| c.before.is_some())
        .map(|_| "with a changed script".to_owned());
    let others = event.changes.iter().filter(|change| !BOOKS.contains(&&*change.section));
    script.chain(others.map(change_in_words)).collect()
}

/// The phase, and what its attempt's record has to say beside it.
fn with_attempt(event: &Happened) -> Vec<String> {
    let of = |section: &'static str| event.changes.iter().filter(move |change| change.section == section);
    let beside = |change: &KeyChange| {
        let (_, number) = attempt_of(&change.key);
        let record = record(change.after.as_ref())?;
        let changed = changed(&record);
        let said = match (event.verb.as_str(), &record.kind, &record.message) {
            ("started", ..) if number == "1" && changed.is_empty() => return None,
            ("started", ..) => format!("attempt {number} {changed}"),
            ("failed", Some(kind), Some(message)) => format!("{kind}: {message}"),
            _ => return None,
        };
        Some(short(said.trim_end(), SENTENCE_WIDTH))
    };
    // What nothing had run with before is the run's own from here on.
    let params = of("params").filter(|change| change.before.is_some());
    let why = of("results").filter(|change| change.key.ends_with(".skipped"));
    let why = why.filter_map(|change| Some(value::decode(change.after.as_ref()?).as_str()?.to_owned()));
    of("phases")
        .map(change_in_words)
        .chain(of("attempts").filter_map(beside))
        .chain(params.map(change_in_words))
        .chain(why.map(|why| short(&why, SENTENCE_WIDTH)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(verb: &str, changes: &[(&str, &str, Option<&str>, &str)]) -> String {
        let change = |&(section, key, before, after): &(&str, &str, Option<&str>, &str)| KeyChange {
            section: section.into(),
            key: key.into(),
            before: before.map(String::from),
            after: Some(after.into()),
        };
        in_words(&Happened {
            number: 1,
            at: jiff::Timestamp::default(),
            verb: verb.into(),
            changes: changes.iter().map(change).collect(),
        })
    }

    const BEGUN: &str = r#"{"outcome":"running","started":"2026-01-01T00:00:00Z"}"#;

    #[test]
    fn each_event_says_what_it_was_about() {
        let attempt = |more: &str| BEGUN.replace('}', &format!(",{more}}}"));
        let noted = attempt(r#""notes":["nobody saw how `x` ended: it runs again"]"#);
        let failed = attempt(r#""kind":"exit","message":"ended with status 1""#);
        let changed = attempt(r#""changed":{"params":{"batch_size":8}}"#);
        let aborted = attempt(r#""aborted":"cluster is down""#);
        let next =
            r#"{"params":{"batch_size":8},"decided":"2026-01-01T00:00:00Z","not_before":"2026-01-01T00:00:04Z"}"#;
        for (verb, changes, words) in [
            ("set", vec![("mine", "best", None, "0.9")], "[mine] best=0.9"),
            ("step", vec![("steps", "eval/clean", None, "1")], "eval/clean"),
            (
                "metric",
                vec![("metrics", "eval.accuracy", None, "0.9")],
                "eval.accuracy = 0.9",
            ),
            (
                "checkpoint",
                vec![
                    ("checkpoints", "checkpoint_path", None, "c/epoch3"),
                    ("checkpoints", "train.checkpoint.1", None, r#"{"path":"c/epoch3"}"#),
                ],
                "c/epoch3 of train",
            ),
            (
                "continued",
                vec![("attempts", "train.2", Some(BEGUN), BEGUN)],
                "train, attempt 2, which outlived its jumar",
            ),
            (
                "retry",
                vec![("overrides", "train.next", None, next)],
                "train with batch_size=8 after 4 s",
            ),
            (
                "noted",
                vec![("attempts", "train.1", Some(BEGUN), noted.as_str())],
                "train: nobody saw how `x` ended: it runs again",
            ),
            (
                "noted",
                vec![("attempts", "train.1", Some(BEGUN), &attempt(r#""logs":[["a",0]]"#))],
                "",
            ),
            (
                "failed",
                vec![
                    ("phases", "train", Some("in_progress"), "failed"),
                    ("attempts", "train.1", Some(BEGUN), &failed),
                ],
                "train=failed (was in_progress), exit: ended with status 1",
            ),
            (
                "started",
                vec![
                    ("phases", "train", Some("pending"), "in_progress"),
                    ("attempts", "train.2", None, &changed),
                ],
                "train=in_progress (was pending), attempt 2 with batch_size=8",
            ),
            (
                "aborted",
                vec![("attempts", "train.1", Some(BEGUN), &aborted)],
                "train: cluster is down",
            ),
            (
                "resumed",
                vec![
                    ("metadata", "script_hash", Some("a"), "b"),
                    ("metadata", "resume_count", None, "1"),
                ],
                "with a changed script",
            ),
        ] {
            assert_eq!(event(verb, &changes), words, "{verb}");
        }
    }

    #[test]
    fn a_change_is_told_with_what_was_before() {
        let change = |section: &str, before: Option<&str>, after: Option<&str>| {
            change_in_words(&KeyChange {
                section: section.into(),
                key: "train".into(),
                before: before.map(String::from),
                after: after.map(String::from),
            })
        };
        assert_eq!(
            change("phases", Some("completed"), Some("pending")),
            "train=pending (was completed)"
        );
        assert_eq!(change("mine", None, Some("x")), "[mine] train=x");
        assert_eq!(change("", Some("x"), None), "train removed");
    }
}
