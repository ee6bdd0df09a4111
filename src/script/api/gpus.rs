//! `gpus()` and `cpus()`

use std::sync::Arc;

use rhai::{Array, Module};

use super::define;
use crate::script::current;
use crate::script::shared::Shared;

const DOCS: &str = "The GPUs: inside a phase with `gpus: n` those that it holds, elsewhere all there are (`CUDA_VISIBLE_DEVICES` when that is set, else what nvidia-smi lists).
A list of device numbers as texts; empty without a GPU.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(module, "gpus", &["array"], DOCS, move || -> Array {
        let held = current::with(|a| {
            a.filter(|a| a.phase.options.gpus > 0 || a.overrides.gpus.is_some())
                .map(|a| a.devices.clone())
        });
        held.unwrap_or_else(|| known.session.gpus().all().to_vec())
            .into_iter()
            .map(Into::into)
            .collect()
    });
    define(
        module,
        "cpus",
        &["int"],
        "How many processors jumar may use.",
        || -> i64 { std::thread::available_parallelism().map_or(1, |n| n.get().try_into().unwrap_or(i64::MAX)) },
    );
}
