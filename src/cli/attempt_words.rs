//! What is said of an attempt: what policies had changed for it, and of the one to come when it is made and with what.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::run::{AttemptRecord, next_attempt};
use crate::state::State;

/// What policies had changed: `with batch_size=4`; empty when nothing.
pub(super) fn changed(record: &AttemptRecord) -> String {
    record.changed.in_words(None)
}

/// Joins what is not empty.
pub(super) fn joined(parts: &[String], between: &str) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(between)
}

/// When a phase that failed is tried again, and with what; `None` for a phase that is not.
pub(super) fn to_come(state: &State, phase: &str) -> Option<String> {
    let next = next_attempt(state, phase)?;
    let now = Timestamp::now();
    let at = match next.not_before.filter(|_| !next.wait(now).is_zero()) {
        Some(moment) => format!("at {}", clock(moment, now)),
        None => String::new(),
    };
    let how = next.changes.in_words(None);
    Some(joined(&["it is to be tried again".into(), how, at], " "))
}

/// A moment as people here write it: of today only the time.
pub(super) fn clock(moment: Timestamp, now: Timestamp) -> String {
    let here = |at: Timestamp| -> ZonedDateTime { at.to_zoned_datetime(TimeZone::system()) };
    let form = if here(moment).date() == here(now).date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    here(moment).strftime(form).to_string()
}
