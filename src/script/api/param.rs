//! `param(name, default, help?)`

use std::sync::Arc;

use rhai::{Dynamic, Module};

use super::{Outcome, define};
use crate::plan::ParameterError;
use crate::script::current;
use crate::script::fault::{mistake, raise_parameter_error};
use crate::script::shared::Shared;
use crate::script::values::{from_data, to_data};

const DECLARE: &str = "A parameter and its value. Taken from, the first that has it: the command line (`--batch-size 4`), `-p batch_size=4`, the file of `--params`, the
environment (`BATCH_SIZE`), the record of the run that is resumed, the default. The default's type is enforced; a list may be given as `\"42 123\"`, `42,123` or JSON.
Throws when a value does not fit, or the name cannot be an option and a variable.";

const VALUE: &str = "The value of a parameter that was declared before. Inside a phase that a policy has tried again, the value that the policy set. Throws for an unknown name.";

const SOURCE: &str = "Where a declared parameter's value came from: \"option\", \"-p\", \"file …\", \"environment NAME\", \"recorded\" or \"default\". Throws for an unknown name.";

const NEEDS: &str = "Says that the script must declare a parameter of this name, at the latest when its top level has come to its end: for modules that are given the name of one.";

const REFUSE: &str = "Refuses to begin, while planning: a value that somebody gave makes no sense, and the script is not at fault. Said without a line of the script, as any
mistake on the command line is; exit code 2. Inside a phase it fails the phase, as `throw` does.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(module, "param", &["name: string", "?"], VALUE, move |name: &str| {
        value(&known, name)
    });
    let known = Arc::clone(shared);
    define(
        module,
        "param",
        &["name: string", "default: ?", "?"],
        DECLARE,
        move |name: &str, default: Dynamic| declare(&known, name, default, None),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "param",
        &["name: string", "default: ?", "help: string", "?"],
        DECLARE,
        move |name: &str, default: Dynamic, help: &str| declare(&known, name, default, Some(help)),
    );
    define(module, "refuse", &["why: string", "()"], REFUSE, |why: &str| {
        refuse(why)
    });
    let known = Arc::clone(shared);
    define(
        module,
        "param_source",
        &["name: string", "string"],
        SOURCE,
        move |name: &str| -> Outcome<String> {
            let parameters = known.session.parameters();
            let parameter = parameters
                .get(name)
                .ok_or_else(|| unknown(name, parameters.nearest(name)))?;
            Ok(parameter.source.to_string())
        },
    );
    let known = Arc::clone(shared);
    define(
        module,
        "needs_param",
        &["name: string", "()"],
        NEEDS,
        move |name: &str| {
            if current::attempt().is_none() {
                known.needed_parameters().insert(name.to_string());
            }
        },
    );
}

fn refuse(why: &str) -> Outcome<()> {
    if current::attempt().is_some() {
        return Err(mistake(why));
    }
    Err(raise_parameter_error(ParameterError::Refused { why: why.into() }))
}

fn unknown(name: &str, near: Option<String>) -> Box<rhai::EvalAltResult> {
    let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    mistake(format!(
        "parameter `{name}` has not been declared: param(\"{name}\", default){near}"
    ))
}

fn value(shared: &Shared, name: &str) -> Outcome<Dynamic> {
    if let Some(attempt) = current::attempt() {
        attempt.note_parameter(name);
    }
    if let Some(value) = current::with(|attempt| attempt.and_then(|a| a.overridden(name))) {
        return Ok(from_data(&value));
    }
    let parameters = shared.session.parameters();
    let parameter = parameters
        .get(name)
        .ok_or_else(|| unknown(name, parameters.nearest(name)))?;
    Ok(from_data(&parameter.value))
}

fn declare(shared: &Shared, name: &str, default: Dynamic, help: Option<&str>) -> Outcome<Dynamic> {
    let default = to_data(&default)
        .map_err(|not| mistake(format!("the default of parameter `{name}` cannot be {}", not.type_name)))?;
    {
        let mut parameters = shared.session.parameters();
        let changed = parameters.get(name).is_none();
        let parameter = parameters.declare(name, default, help).map_err(raise_parameter_error)?;
        if changed && let Some(was) = &parameter.changed_from {
            let note = format!(
                "{name} is {} ({}); it was {was} in this run",
                parameter.value, parameter.source
            );
            shared.session.observer.note(&note);
        }
    }
    value(shared, name)
}
