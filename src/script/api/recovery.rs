//! `on_failure(fn)`, and what a policy returns: `retry`, `skip`, `fail`, `abort`

use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, FnPtr, Map, Module, NativeCallContext};
use serde_json::Value;

use super::functions::{POLICY, fits};
use super::options::Options;
use super::{Outcome, define};
use crate::run::{Decision, Overrides, Session};
use crate::script::closures::own_closure;
use crate::script::current;
use crate::script::fault::mistake;
use crate::script::shared::Shared;
use crate::script::values::{to_data, type_in_words};

/// The options of `retry`.
pub(in crate::script) const OPTIONS: &[&str] = &["params", "env", "delay", "gpus"];

const ON_FAILURE: &str = "Sets the pipeline's recovery policy: a function that is called with the failure of an attempt, after the phase's own policy had no opinion.
The failure is a map: `phase`, `step`, `kind`, `code`, `signal`, `message`, `command`, `log`, `tail`, `attempt`, `seconds`, `max_rss`, `params`, `env`.
The policy returns `retry()`, `skip(why)`, `fail()`, `abort(why)`, or `()` for no opinion.";

const RETRY: &str = "A policy's answer: try the phase again. Options: `params` and `env` (changed for the next attempts), `delay` (\"30s\"), `gpus` (how many instead).
The changes are recorded before they count: when jumar dies before the retry, a resume still makes it, after what is left of the delay (a stop, as by Ctrl-C, ends the delay).";

const SKIP: &str = "A policy's answer: leave the phase out, and go on with what waits for it. `why` is recorded.";
const FAIL: &str =
    "A policy's answer: the phase has failed. What waits for it stays pending; independent phases go on.";
const ABORT: &str = "A policy's answer: the phase has failed, and nothing else is started. `why` is recorded.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "on_failure",
        &["policy: Fn", "()"],
        ON_FAILURE,
        move |context: NativeCallContext, policy: FnPtr| -> Outcome<()> {
            if current::attempt().is_some() {
                return Err(mistake(
                    "on_failure() belongs at the top level of the script; a phase has its own option `on_failure`",
                ));
            }
            fits(
                &known,
                &context,
                &policy,
                POLICY,
                format_args!("on_failure: the policy"),
            )?;
            known.set_policy(own_closure(policy));
            Ok(())
        },
    );
    define(module, "retry", &["Decision"], RETRY, || Decision::Retry {
        overrides: Overrides::default(),
        delay: Duration::ZERO,
    });
    define(module, "retry", &["options: map", "Decision"], RETRY, retry);
    define(module, "skip", &["why: string", "Decision"], SKIP, |why: &str| {
        Decision::Skip { why: why.into() }
    });
    define(module, "fail", &["Decision"], FAIL, || Decision::Fail);
    define(module, "abort", &["why: string", "Decision"], ABORT, |why: &str| {
        Decision::Abort { why: why.into() }
    });
    module.set_custom_type::<Decision>("Decision");
}

fn retry(options: Map) -> Outcome<Decision> {
    let mut options = Options::new("retry", options, OPTIONS, &["slurm"])?;
    let delay = options.duration("delay")?.unwrap_or_default();
    let gpus = options.count("gpus")?;
    let data = |name: &str, map: Map| -> Outcome<serde_json::Map<String, Value>> {
        let value = to_data(&Dynamic::from_map(map))
            .map_err(|not| mistake(format!("retry: `{name}{}` cannot be {}", not.path, not.type_name)))?;
        Ok(value.as_object().cloned().unwrap_or_default())
    };
    let params = data("params", options.map("params")?)?;
    let env = data("env", options.map("env")?)?;
    Ok(Decision::Retry {
        overrides: Overrides { params, env, gpus },
        delay,
    })
}

/// A policy's answer, with the parameters it sets checked against what was declared.
pub(in crate::script) fn decision_of(answer: Dynamic, session: &Session) -> Result<Decision, String> {
    let answer = answer.flatten();
    if answer.is_unit() {
        return Ok(Decision::NoOpinion);
    }
    let words = type_in_words(&answer);
    let Some(decision) = answer.try_cast::<Decision>() else {
        return Err(format!(
            "it must return retry(), skip(why), fail(), abort(why) or nothing, not {words}"
        ));
    };
    match decision {
        Decision::Retry { mut overrides, delay } => {
            let parameters = session.parameters();
            for (name, value) in &mut overrides.params {
                *value = parameters
                    .conform(name, value, "the recovery policy")
                    .map_err(|e| e.to_string())?;
            }
            Ok(Decision::Retry { overrides, delay })
        }
        other => Ok(other),
    }
}
