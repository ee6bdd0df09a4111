//! `sleep(duration)` and `seconds(duration)`

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Module};

use super::options::duration_of;
use super::{Outcome, define};
use crate::run::Mode;
use crate::script::current;
use crate::script::fault::{mistake, raise, stop};
use crate::script::shared::Shared;

const DOCS: &str = "Waits inside a phase: seconds, or a text like \"10m\". A stop, and the phase's timeout, end it. A dry run does not wait.";

const SECONDS: &str = "How many seconds a duration has: a number, or a text like \"10m\". For functions that are given a duration and reckon with it.";

/// How often a sleeper looks up.
const GLANCE: Duration = Duration::from_millis(50);

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(module, "sleep", &["duration: ?", "()"], DOCS, |value: Dynamic| {
        wait(&value)
    });
    // The standard package has these two of its own, which would win for their types.
    define(module, "sleep", &["seconds: i64", "()"], DOCS, |seconds: i64| {
        wait(&seconds.into())
    });
    define(module, "sleep", &["seconds: f64", "()"], DOCS, |seconds: f64| {
        wait(&seconds.into())
    });
    define(
        module,
        "seconds",
        &["duration: ?", "float"],
        SECONDS,
        |value: Dynamic| seconds(&value),
    );
}

fn seconds(value: &Dynamic) -> Outcome<f64> {
    let duration = duration_of(value).map_err(|why| mistake(format!("seconds: {why}")))?;
    Ok(duration.as_secs_f64())
}

fn wait(value: &Dynamic) -> Outcome<()> {
    let duration = duration_of(value).map_err(|why| mistake(format!("sleep: {why}")))?;
    let attempt = current::attempt().ok_or_else(|| mistake("sleep() runs inside a phase"))?;
    if attempt.session.mode == Mode::Dry {
        return Ok(());
    }
    let until = Instant::now() + duration;
    loop {
        if attempt.stop.is_requested() {
            attempt.note_stopped();
            return Err(stop());
        }
        if attempt.time_left().is_some_and(|left| left.is_zero()) {
            return Err(raise("timeout", "the phase's time was over while it slept"));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(GLANCE.min(left));
    }
}
