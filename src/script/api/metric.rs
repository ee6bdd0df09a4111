//! `metric(name, value, options?)`

use std::sync::Arc;

use rhai::{Dynamic, Map, Module};

use super::options::Options;
use super::{Outcome, define};
use crate::run::Better;
use crate::script::current;
use crate::script::fault::{mistake, raise_problem};
use crate::script::shared::Shared;
use crate::script::values::{to_data, type_in_words};

const DOCS: &str = "Records a metric of the phase, a number, in the state file's `[metrics]` as `phase.name`. The last value of a name counts. With the option `better: \"higher\"` or `better: \"lower\"` comparisons say which of two runs did better. Throws outside a phase, or for what is no number.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(
        module,
        "metric",
        &["name: string", "value: number", "()"],
        DOCS,
        |name: &str, value: Dynamic| -> Outcome<()> { record(name, &value, None) },
    );
    define(
        module,
        "metric",
        &["name: string", "value: number", "options: map", "()"],
        DOCS,
        |name: &str, value: Dynamic, options: Map| -> Outcome<()> {
            let mut options = Options::new("metric", options, &["better"], &[])?;
            let better = options.text("better")?.map(|word| direction(&word)).transpose()?;
            record(name, &value, better)
        },
    );
}

fn direction(word: &str) -> Outcome<Better> {
    Better::from_word(word).ok_or_else(|| {
        mistake(format!(
            "metric: `better` must be \"higher\" or \"lower\", not \"{word}\""
        ))
    })
}

fn record(name: &str, value: &Dynamic, better: Option<Better>) -> Outcome<()> {
    let attempt = current::attempt().ok_or_else(|| mistake("metric() runs inside a phase"))?;
    if name.is_empty() || name.trim() != name || name.contains('=') || name.chars().any(char::is_control) {
        return Err(mistake(format!(
            "`{name}` cannot be a metric's name: it must not be empty, hold `=` or control characters, or begin or end with a blank"
        )));
    }
    // What a stand-in wrote has no numbers in it.
    let nothing = value.is_unit() && attempt.session.rehearsal.is_some();
    let value = if nothing { &Dynamic::from(0_i64) } else { value };
    let data = to_data(value).ok().filter(|_| value.is_int() || value.is_float());
    let data = data.ok_or_else(|| {
        mistake(format!(
            "metric: the value of `{name}` must be a number, not {}",
            type_in_words(value)
        ))
    })?;
    attempt.record_metric(name, &data, better).map_err(raise_problem)
}
