//! `jumar history`: what happened to a run. It reads; it never locks, waits or writes.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde_json::{Value, json};

use super::args::HistoryArguments;
use super::error::CliError;
use super::event_words::in_words;
use super::exit_code;
use super::moment::locate_whole;
use crate::plan::parse_duration;
use crate::state::{ByHand, Happened, KeyChange, StateError, history as happened_to, read};
use crate::ui::counted;
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// What notes only where a log begins: nothing to people when there is nothing else to say of it.
const NOTED: &str = "noted";

/// Lists the events of a run, oldest first.
pub(super) fn history(arguments: &HistoryArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate_whole(arguments.run.as_deref(), "history lists all events")?;
    let since = arguments
        .since
        .as_deref()
        .map(|text| moment(text, &ZonedDateTime::now()))
        .transpose()?;
    let (mut events, is_kept) = match happened_to(&run.state_file) {
        Err(StateError::NoJournal { .. }) => (vec![], false),
        events => (events?, true),
    };
    events.retain(|event| since.is_none_or(|since| event.at >= since));
    if let Some(phase) = &arguments.phase {
        events.retain(|event| event.changes.iter().any(|change| concerns(change, phase)));
    }
    if arguments.json {
        printer.json(&Value::Array(events.iter().map(to_json).collect()));
        return Ok(exit_code::DONE);
    }
    if events.is_empty() {
        printer.info(if is_kept {
            "nothing is recorded that was asked for"
        } else if read(&run.state_file).is_ok_and(|state| state.get("metadata", "run_id").is_some()) {
            "its journal is gone: nothing is known of how it came to be"
        } else {
            "it has no journal yet: nothing that jumar did to it"
        });
        return Ok(exit_code::DONE);
    }
    let mut table = Table::new(&[
        ("event", Align::Right),
        ("time", Align::Left),
        ("what", Align::Left),
        ("", Align::Left),
    ]);
    let mut left_out = 0;
    for event in &events {
        let said = in_words(event);
        if said.is_empty() && event.verb == NOTED && !arguments.all {
            left_out += 1;
            continue;
        }
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
            Cell::new(said).tone(Tone::Dim),
        ]);
    }
    printer.raw_stdout(&table.render(printer.stdout_width(), printer.stdout_colored()));
    if left_out > 0 {
        printer.info(&format!(
            "left out: {}, only notes of where a log begins; `--all` shows them",
            counted(left_out, "event")
        ));
    }
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
}
