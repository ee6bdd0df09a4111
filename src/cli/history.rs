//! `jumar history`: what happened to a run. It reads; it never locks, waits or writes.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde_json::{Value, json};

use super::args::HistoryArguments;
use super::error::CliError;
use super::exit_code;
use crate::plan::parse_duration;
use crate::run::locate;
use crate::state::{ByHand, Happened, KeyChange, history as happened_to};
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// How much of a value is shown, in characters.
const VALUE_WIDTH: usize = 40;

/// Lists the events of a run, oldest first.
pub(super) fn history(arguments: &HistoryArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate(arguments.run.as_deref())?;
    let since = arguments
        .since
        .as_deref()
        .map(|text| moment(text, &ZonedDateTime::now()))
        .transpose()?;
    let mut events = happened_to(&run.state_file)?;
    events.retain(|event| since.is_none_or(|since| event.at >= since));
    if let Some(phase) = &arguments.phase {
        events.retain(|event| event.changes.iter().any(|change| concerns(change, phase)));
    }
    if arguments.json {
        printer.json(&Value::Array(events.iter().map(to_json).collect()));
        return Ok(exit_code::DONE);
    }
    if events.is_empty() {
        printer.info("nothing is recorded that was asked for");
        return Ok(exit_code::DONE);
    }
    let mut table = Table::new(&[
        ("event", Align::Right),
        ("time", Align::Left),
        ("what", Align::Left),
        ("", Align::Left),
    ]);
    for event in &events {
        let tone = if event.by_hand().is_some() {
            Tone::Accent
        } else {
            Tone::Plain
        };
        table.row(vec![
            event.number.to_string().into(),
            event
                .at
                .to_zoned_datetime(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
                .into(),
            Cell::new(&event.verb).tone(tone),
            Cell::new(in_words(event)).tone(Tone::Dim),
        ]);
    }
    printer.raw_stdout(&table.render(printer.stdout_width(), printer.stdout_colored()));
    Ok(exit_code::DONE)
}

/// An event for programs.
pub(super) fn to_json(event: &Happened) -> Value {
    let changes: Vec<Value> = event
        .changes
        .iter()
        .map(|c| json!({ "section": c.section, "key": c.key, "before": c.before, "after": c.after }))
        .collect();
    json!({ "event": event.number, "time": event.at, "what": event.verb, "by_hand": event.by_hand().map(ByHand::as_str), "changes": changes })
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
                .map(|before| format!(" (was {})", short(before)))
                .unwrap_or_default();
            format!("{name}={}{was}", short(after))
        }
        (_, None) => format!("{name} removed"),
    }
}

/// The phases that an event changed; other keys only when a person changed them.
fn in_words(event: &Happened) -> String {
    let told = |change: &&KeyChange| change.section == "phases" || event.by_hand().is_some();
    let mut all: Vec<String> = event.changes.iter().filter(told).take(4).map(change_in_words).collect();
    let more = event.changes.iter().filter(told).count().saturating_sub(all.len());
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

fn short(value: &str) -> String {
    if value.chars().count() <= VALUE_WIDTH {
        return value.to_owned();
    }
    value.chars().take(VALUE_WIDTH).chain(['…']).collect()
}

/// Whether a change is one of this phase: its status, or a record whose key begins with its name.
fn concerns(change: &KeyChange, phase: &str) -> bool {
    let rest = change.key.strip_prefix(phase);
    rest.is_some_and(|rest| rest.is_empty() && change.section == "phases" || rest.starts_with(['.', '/']))
}

/// A time, a time of today, or how long ago.
fn moment(text: &str, now: &ZonedDateTime) -> Result<Timestamp, CliError> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = text.parse::<DateTime>().or_else(|error| {
        text.parse::<Time>()
            .map(|time| DateTime::from_parts(now.date(), time))
            .map_err(|_| error)
    });
    if let Some(time) = civil
        .ok()
        .and_then(|time| time.to_zoned_datetime(now.time_zone().clone()).ok())
    {
        return Ok(time.timestamp());
    }
    let ago = parse_duration(text).ok();
    ago.and_then(|ago| now.timestamp().checked_sub(ago).ok())
        .ok_or_else(|| {
            CliError::usage(format!("--since: `{text}` is no time"))
                .hint("write a time (2026-01-31T14:00 or 14:00), or how long ago (90s, 15m, 3h, 2d)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_can_be_given_in_full_for_today_or_as_how_long_ago() {
        let now = ZonedDateTime::now();
        let moment = |text| moment(text, &now);
        let ago = |text| now.timestamp().duration_since(moment(text).unwrap()).as_secs();
        assert_eq!(ago("90s"), 90);
        assert_eq!(ago("2h"), 7200);
        assert_eq!(moment("2026-01-31T14:00:00Z").unwrap().as_second(), 1_769_868_000);
        assert!(moment("2026-01-31T14:00").is_ok());
        assert!(moment("00:00").unwrap() <= now.timestamp());
        assert!(moment("yesterday-ish").is_err());
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
