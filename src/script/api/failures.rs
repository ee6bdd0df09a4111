//! Failure kinds: the evidence is gathered here, judged by `std/failures`, which is a script.

use std::sync::Arc;

use rhai::{AST, Array, Dynamic, Map, Module, NativeCallContext, Scope};

use super::{Outcome, define};
use crate::run::{Advice, Evidence, Failure};
use crate::script::embedded::standard_module;
use crate::script::fault::{failure_map, mistake};
use crate::script::shared::Shared;
use crate::script::values::{from_data, to_data};

const ADD: &str = "Adds a pattern of your own: a failed command whose last lines of output match the regular expression is of that `kind`.
Patterns that were added are asked before those of `std/failures`, in the order in which they were added. Throws when the expression is none.";

const LIST: &str = "The patterns that were added with `failure_pattern`: a list of maps with `kind` and `pattern`.";

const MATCHES: &str =
    "Whether the regular expression matches somewhere in the text. Throws when the expression is none.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "failure_pattern",
        &["kind: string", "pattern: string", "()"],
        ADD,
        move |kind: &str, pattern: &str| -> Outcome<()> {
            expression(pattern)?;
            known.patterns().push((kind.into(), pattern.into()));
            Ok(())
        },
    );
    let known = Arc::clone(shared);
    define(module, "failure_patterns", &["array"], LIST, move || -> Array {
        let as_map = |(kind, pattern): &(String, String)| {
            Dynamic::from_map(Map::from([
                ("kind".into(), kind.into()),
                ("pattern".into(), pattern.into()),
            ]))
        };
        known.patterns().iter().map(as_map).collect()
    });
    define(
        module,
        "matches",
        &["text: string", "pattern: string", "bool"],
        MATCHES,
        |text: &str, pattern: &str| -> Outcome<bool> { Ok(expression(pattern)?.is_match(text)) },
    );
}

fn expression(pattern: &str) -> Outcome<regex_lite::Regex> {
    regex_lite::Regex::new(pattern).map_err(|error| mistake(format!("`{pattern}` is no regular expression: {error}")))
}

/// The kind of a failure, as `classify` in `std/failures` judges it.
pub(super) fn classify(shared: &Shared, context: &NativeCallContext, evidence: &Evidence) -> Outcome<String> {
    let data = from_data(&serde_json::to_value(evidence).unwrap_or_default());
    context
        .engine()
        .call_fn::<String>(&mut Scope::new(), judge(shared, context)?, "classify", (data,))
}

/// What usually helps, as `advice` in `std/failures` has it. No advice is better than an error about advice.
pub(in crate::script) fn advice(shared: &Shared, context: &NativeCallContext, failure: &Failure) -> Advice {
    let Ok(judge) = judge(shared, context) else {
        return Advice::default();
    };
    let given = context
        .engine()
        .call_fn::<Map>(&mut Scope::new(), judge, "advice", (failure_map(failure),))
        .unwrap_or_default();
    let data = to_data(&given.into()).unwrap_or_default();
    serde_json::from_value(data).unwrap_or_default()
}

fn judge<'a>(shared: &'a Shared, context: &NativeCallContext) -> Outcome<&'a AST> {
    if let Some(ast) = shared.judge.get() {
        return Ok(ast);
    }
    let text = standard_module("std/failures").unwrap_or_default();
    let mut compiled = context.engine().compile(text)?;
    compiled.set_source("<std/failures>");
    shared.remember_source("<std/failures>", text);
    Ok(shared.judge.get_or_init(|| compiled))
}
