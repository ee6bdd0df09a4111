//! `env`: the environment that commands get.

use std::sync::Arc;

use rhai::{Dynamic, FnNamespace, FuncRegistration, Module};

use super::Outcome;
use super::options::variable_of;
use crate::script::current;
use crate::script::shared::Shared;

/// The value behind the name `env`.
#[derive(Clone)]
struct Environment(Arc<Shared>);

pub(super) fn handle(shared: &Arc<Shared>) -> Dynamic {
    Dynamic::from(Environment(Arc::clone(shared)))
}

pub(super) const DOCS: &str = "The environment of commands: `env.NAME` reads, `()` when it is not set; `env.NAME = value` sets it for all commands, or inside a phase for the commands of that attempt; `env.NAME = ()` takes it away, `\"NAME\" in env` asks.
jumar's own environment never changes.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    module.set_custom_type::<Environment>("Environment");
    let getter = FuncRegistration::new_index_getter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global);
    let setter = FuncRegistration::new_index_setter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global);
    getter.set_into_module(module, |environment: &mut Environment, name: &str| {
        get(environment, name)
    });
    setter.set_into_module(module, |environment: &mut Environment, name: &str, value: Dynamic| {
        set(environment, name, &value)
    });
    FuncRegistration::new("contains")
        .with_purity(true)
        .with_namespace(FnNamespace::Global)
        .set_into_module(module, |environment: &mut Environment, name: &str| {
            !get(environment, name).is_unit()
        });
}

fn get(environment: &Environment, name: &str) -> Dynamic {
    let value = match current::with(|attempt| attempt.map(|a| a.environment(name))) {
        Some(Some(changed)) => changed,
        Some(None) => std::env::var(name).ok(),
        None => environment
            .0
            .session
            .environment()
            .get(name)
            .cloned()
            .unwrap_or_else(|| std::env::var(name).ok()),
    };
    value.map_or(Dynamic::UNIT, Dynamic::from)
}

fn set(environment: &Environment, name: &str, value: &Dynamic) -> Outcome<()> {
    let value = variable_of(name, value)?;
    match current::attempt() {
        Some(attempt) => attempt.set_environment(name, value),
        None => {
            environment.0.session.environment().insert(name.into(), value);
        }
    }
    Ok(())
}
