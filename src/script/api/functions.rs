//! `takes(function, count)`, and the same question asked of bodies and policies.

use std::fmt;
use std::sync::Arc;

use rhai::{EvalAltResult, FnPtr, Module, NativeCallContext};

use super::{Outcome, define};
use crate::script::fault::mistake;
use crate::script::shared::Shared;

const TAKES: &str =
    "Whether a function can be called with so many values. A function that is not known here is said to.";

/// The body of a phase or a step.
pub(in crate::script) const BODY: (usize, &str) = (0, "it is called with nothing: `|| { … }`");
/// A recovery policy.
pub(super) const POLICY: (usize, &str) = (1, "it is called with the failure: `|failure| { … }`");
/// What says whether a checkpoint is whole.
pub(super) const JUDGE: (usize, &str) = (1, "it is called with the path: `|path| { … }`");

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "takes",
        &["function: Fn", "count: int", "bool"],
        TAKES,
        move |context: NativeCallContext, function: FnPtr, count: i64| -> bool {
            usize::try_from(count).is_ok_and(|count| known.libraries.takes(&context, &function, count))
        },
    );
}

/// Refuses a function that could only fail when it is called, perhaps hours later.
pub(super) fn fits(
    shared: &Shared,
    context: &NativeCallContext,
    function: &FnPtr,
    shape: (usize, &str),
    what: fmt::Arguments<'_>,
) -> Outcome<()> {
    if shared.libraries.takes(context, function, shape.0) {
        return Ok(());
    }
    Err(does_not_fit(shape, what))
}

/// The error of a function that [`fits`] refuses.
pub(super) fn does_not_fit((_, how): (usize, &str), what: fmt::Arguments<'_>) -> Box<EvalAltResult> {
    mistake(format!("{what} has the wrong parameters: {how}"))
}
