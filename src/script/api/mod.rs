//! The primitives: one file each, with signature, documentation and conversion side by side.

mod artifacts;
mod checkpoint;
mod environment;
mod failures;
mod files;
mod functions;
mod gpus;
mod lent;
mod logging;
mod metric;
mod options;
mod param;
mod phase;
mod recovery;
mod result;
mod run_info;
mod shell;
mod sleep;
mod state;
mod step;
mod text;

use std::sync::Arc;

use rhai::{Dynamic, FuncRegistration, Module, RhaiNativeFunc, Variant};

pub(super) use failures::advice;
pub(super) use functions::BODY;
pub(super) use lent::{params_handle, phases_handle};
pub(super) use phase::{LATER as PHASE_OPTIONS_LATER, OPTIONS as PHASE_OPTIONS};
pub(super) use recovery::{OPTIONS as RETRY_OPTIONS, decision_of};
pub(super) use shell::OPTIONS as SHELL_OPTIONS;
pub(super) use state::as_plain_data;

use super::engine::Outcome;
use super::shared::Shared;

/// All primitives as one module.
pub(super) fn module(shared: &Arc<Shared>) -> Module {
    let mut module = Module::new();
    let parts = [
        phase::register,
        step::register,
        shell::register,
        checkpoint::register,
        param::register,
        recovery::register,
        failures::register,
        functions::register,
        result::register,
        metric::register,
        gpus::register,
        logging::register,
        files::register,
        artifacts::register,
        text::register,
        sleep::register,
        state::register,
        lent::register,
        environment::register,
        run_info::register,
    ];
    for register in parts {
        register(&mut module, shared);
    }
    module
}

/// The values behind the names that are there everywhere.
pub(super) fn globals(shared: &Arc<Shared>) -> Vec<(&'static str, Dynamic)> {
    vec![
        ("state", state::handle(shared)),
        ("env", environment::handle(shared)),
        ("run", run_info::handle(shared)),
    ]
}

/// What those values are for.
pub(super) const GLOBAL_DOCS: [(&str, &str, &str); 3] = [
    ("state", "State", state::DOCS),
    ("env", "Environment", environment::DOCS),
    ("run", "Run", run_info::DOCS),
];

/// Defines one overload of a primitive. `signature` names the parameters with their types, and the result last; `docs`
/// is what `docs NAME` and an editor show.
fn define<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
    module: &mut Module,
    name: &str,
    signature: &[&str],
    docs: &str,
    function: FUNC,
) where
    R: Variant + Clone,
    FUNC: RhaiNativeFunc<A, N, X, R, F> + Send + Sync + 'static,
{
    let comments: Vec<String> = docs
        .lines()
        .map(|line| format!("/// {}", line.trim()).trim_end().to_string())
        .collect();
    FuncRegistration::new(name)
        .with_params_info(signature)
        .with_comments(comments)
        .set_into_module(module, function);
}
