//! A phase's `complete_when`: the script says whether a checkpoint is whole.

use rhai::{FnPtr, NativeCallContext};

use super::current;
use super::shared::Shared;
use super::values::type_in_words;
use crate::run::OwnCheckpointJudge;

/// What the `complete_when` of a phase says; `None` when it has none.
pub(super) fn checkpoint_judge<'a>(
    shared: &'a Shared,
    context: &'a NativeCallContext<'_>,
    phase: &str,
) -> Option<OwnCheckpointJudge<'a>> {
    let judge = shared.body(phase)?.complete_when?;
    Some(Box::new(move |path| is_whole(shared, context, &judge, path)))
}

fn is_whole(shared: &Shared, context: &NativeCallContext, judge: &FnPtr, path: &str) -> Result<bool, String> {
    let answer = current::judging(|| shared.libraries.call(context, judge, (path.to_string(),)))
        .map_err(|error| error.to_string())?;
    answer
        .as_bool()
        .map_err(|_| format!("it must return true or false, not {}", type_in_words(&answer)))
}
