//! Errors that primitives raise, and what becomes of any error at the border of a phase.

use std::cell::RefCell;

use rhai::{Dynamic, EvalAltResult, Map, Position};

use super::values::{from_data, to_data};
use crate::plan::ParameterError;
use crate::run::{Failure, Problem};
use crate::state::StateError;

/// The token of an error that no `catch` may swallow: the run is being stopped.
const STOPPED: &str = "stopped";

/// A failure that a script may catch: a map with `kind` and `message`. Rhai fills in where it was raised.
pub(super) fn raise(kind: &str, message: impl Into<String>) -> Box<EvalAltResult> {
    let mut map = Map::new();
    map.insert("kind".into(), kind.into());
    map.insert("message".into(), message.into().into());
    raise_map(map)
}

/// A mistake in the script itself.
pub(super) fn mistake(message: impl Into<String>) -> Box<EvalAltResult> {
    raise("script", message)
}

pub(super) fn raise_map(map: Map) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(map.into(), Position::NONE))
}

/// A failure as scripts see it.
pub(super) fn failure_map(failure: &Failure) -> Map {
    let data = serde_json::to_value(failure).unwrap_or_default();
    from_data(&data).try_cast::<Map>().unwrap_or_default()
}

/// A problem on its way through the script.
pub(super) fn raise_problem(problem: Problem) -> Box<EvalAltResult> {
    match problem {
        Problem::Failed(failure) => raise_map(failure_map(&failure)),
        Problem::Interrupted => stop(),
        Problem::State(error) => raise_state_error(error),
    }
}

thread_local! {
    /// The trouble with the state that stopped this thread's script: Rhai's errors cannot carry it.
    static STATE_ERROR: RefCell<Option<StateError>> = const { RefCell::new(None) };
}

/// The trouble with the state that stopped this thread's script, if that is what did.
pub(super) fn take_state_error() -> Option<StateError> {
    STATE_ERROR.with(|slot| slot.borrow_mut().take())
}

thread_local! {
    /// The value that somebody gave to a parameter and that does not fit: no fault of the script's.
    static BAD_VALUE: RefCell<Option<ParameterError>> = const { RefCell::new(None) };
}

/// A parameter cannot be declared. A value that does not fit is remembered: not the script is wrong but its caller.
pub(super) fn raise_parameter_error(error: ParameterError) -> Box<EvalAltResult> {
    let raised = mistake(error.to_string());
    if matches!(
        error,
        ParameterError::WrongType { .. } | ParameterError::NoValue { .. } | ParameterError::Refused { .. }
    ) {
        BAD_VALUE.with(|slot| *slot.borrow_mut() = Some(error));
    }
    raised
}

/// The value that did not fit, if that is what `message` is about: the script may have caught it and failed otherwise.
pub(super) fn take_bad_value(message: &str) -> Option<ParameterError> {
    BAD_VALUE
        .with(|slot| slot.borrow_mut().take())
        .filter(|e| e.to_string() == message)
}

/// An error that no `catch` may swallow: the script is stopped where it stands.
pub(super) fn stop() -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorTerminated(STOPPED.into(), Position::NONE))
}

/// The state cannot be read or written: nothing more may be done.
pub(super) fn raise_state_error(error: StateError) -> Box<EvalAltResult> {
    STATE_ERROR.with(|slot| *slot.borrow_mut() = Some(error));
    stop()
}

/// The innermost error: the one that was raised, without the calls around it.
pub(super) fn root(error: &EvalAltResult) -> &EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => root(inner),
        other => other,
    }
}

/// Whether the error stops the script where it stands.
pub(super) fn is_stop(error: &EvalAltResult) -> bool {
    matches!(root(error), EvalAltResult::ErrorTerminated(..))
}

/// The map of an error that a primitive raised, or a script threw.
pub(super) fn thrown(error: &EvalAltResult) -> Option<&Dynamic> {
    match root(error) {
        EvalAltResult::ErrorRuntime(value, _) => Some(value),
        _ => None,
    }
}

/// A failure from an error that was raised as one; `None` for a mistake in the script.
pub(super) fn as_failure(error: &EvalAltResult) -> Option<Failure> {
    let map = thrown(error)?.read_lock::<Map>()?.clone();
    let data = to_data(&map.into()).ok()?;
    let text = |name: &str| data.get(name).and_then(|v| v.as_str()).map(String::from);
    let number = |name: &str| data.get(name).and_then(serde_json::Value::as_i64);
    let kind = text("kind")?;
    let lines = data.get("tail").and_then(|t| t.as_array());
    Some(Failure {
        step: text("step"),
        code: number("code").and_then(|c| c.try_into().ok()),
        signal: number("signal").and_then(|s| s.try_into().ok()),
        message: text("message").unwrap_or_else(|| format!("failure of kind {kind}")),
        command: text("command"),
        log: text("log"),
        tail: lines
            .map(|l| l.iter().filter_map(|v| v.as_str().map(String::from)).collect())
            .unwrap_or_default(),
        max_rss: number("max_rss").and_then(|n| n.try_into().ok()),
        kind,
        ..Failure::default()
    })
}
