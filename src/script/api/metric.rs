//! `metric(name, value)`

use std::sync::Arc;

use rhai::{Dynamic, Module};

use super::{Outcome, define};
use crate::script::current;
use crate::script::fault::{mistake, raise_problem};
use crate::script::shared::Shared;
use crate::script::values::{to_data, type_in_words};

const DOCS: &str = "Records a metric of the phase, a number, in the state file's `[metrics]` as `phase.name`. The last value of a name counts. Throws outside a phase, or for what is no number.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(
        module,
        "metric",
        &["name: string", "value: number", "()"],
        DOCS,
        |name: &str, value: Dynamic| -> Outcome<()> {
            let attempt = current::attempt().ok_or_else(|| mistake("metric() runs inside a phase"))?;
            if name.is_empty() || name.trim() != name || name.contains('=') || name.chars().any(char::is_control) {
                return Err(mistake(format!(
                    "`{name}` cannot be a metric's name: it must not be empty, hold `=` or control characters, or begin or end with a blank"
                )));
            }
            // What a stand-in wrote has no numbers in it.
            let value = if value.is_unit() && attempt.session.rehearsal.is_some() {
                Dynamic::from(0_i64)
            } else {
                value
            };
            let data = to_data(&value).ok().filter(|_| value.is_int() || value.is_float());
            let data = data.ok_or_else(|| {
                mistake(format!(
                    "metric: the value of `{name}` must be a number, not {}",
                    type_in_words(&value)
                ))
            })?;
            attempt.record_metric(name, &data).map_err(raise_problem)
        },
    );
}
