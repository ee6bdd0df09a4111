//! `step(name, fn)`

use std::sync::Arc;

use rhai::{Dynamic, FnPtr, Module, NativeCallContext};

use super::functions::{BODY, fits};
use super::{Outcome, define};
use crate::run::Mode;
use crate::script::closures::{own, own_closure};
use crate::script::current;
use crate::script::fault::{is_stop, mistake, raise_problem};
use crate::script::shared::Shared;
use crate::script::values::{from_data, to_data};

const DOCS: &str = "A part of a phase that is completed once. When the phase is tried again, a completed step is skipped and returns its recorded value.
Returns the value of `body`. Throws outside a phase, when the name appears twice in the phase, or when the value cannot be kept (a function).";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "step",
        &["name: string", "body: Fn", "?"],
        DOCS,
        move |context: NativeCallContext, name: &str, body: FnPtr| step(&known, &context, name, body),
    );
}

fn step(shared: &Shared, context: &NativeCallContext, name: &str, body: FnPtr) -> Outcome<Dynamic> {
    let attempt = current::attempt().ok_or_else(|| mistake("step() runs inside a phase"))?;
    fits(shared, context, &body, BODY, format_args!("the body of step `{name}`"))?;
    if let Err(recorded) = attempt.enter_step(name).map_err(mistake)? {
        return Ok(from_data(&recorded));
    }
    let outcome = shared.libraries.call(context, &own_closure(body), ()).map(own);
    if let (Err(error), Mode::Dry) = (&outcome, attempt.session.mode) {
        // What a step makes of results is not known before there are any; the steps after it still are.
        attempt.leave_step(None).map_err(raise_problem)?;
        return if is_stop(error) { outcome } else { Ok(Dynamic::UNIT) };
    }
    let data = outcome.as_ref().ok().map(|value| {
        to_data(value).map_err(|not| {
            mistake(format!(
                "the value of step `{name}` cannot be kept: {} at `value{}`",
                not.type_name, not.path
            ))
        })
    });
    match data.transpose() {
        Ok(data) => attempt.leave_step(data.as_ref()).map_err(raise_problem)?,
        Err(error) => {
            attempt.leave_step(None).map_err(raise_problem)?;
            return Err(error);
        }
    }
    outcome
}
