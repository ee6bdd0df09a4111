//! What the binary carries with it: the standard modules, the stock pipeline, and the files of its small experiment.

/// How the stock pipeline is called in messages and in the state file.
pub const STOCK_NAME: &str = "<stock>/run_all.rhai";

/// The first words that the bash runner took, and the stock pipeline takes as its `mode`.
pub const STOCK_MODES: &[&str] = &["experiment", "quick", "finalize", "train", "eval"];

/// A pipeline to begin with, which needs nothing but a shell.
pub const STARTER: &str = include_str!("../../scripts/starter.rhai");

const STDLIB: &[(&str, &str)] = &[
    ("std/failures", include_str!("../../stdlib/failures.rhai")),
    ("std/gpu", include_str!("../../stdlib/gpu.rhai")),
    ("std/python", include_str!("../../stdlib/python.rhai")),
    ("std/recovery", include_str!("../../stdlib/recovery.rhai")),
    ("std/sweep", include_str!("../../stdlib/sweep.rhai")),
];

const STOCK: &[(&str, &str)] = &[
    (STOCK_NAME, include_str!("../../scripts/run_all.rhai")),
    ("<stock>/latentwire.rhai", include_str!("../../scripts/latentwire.rhai")),
    ("<stock>/small.rhai", include_str!("../../scripts/small.rhai")),
];

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scripts/", $folder, "/", $name)))),*]
    };
}

/// The small experiment, file by file.
const SMALL: &[(&str, &str)] = files!(
    "small": "aggregate.py", "bootstrap.py", "checkpoint.py", "command_line.py", "corpus.py", "efficiency.py", "evaluate.py", "linear_probe.py", "metrics.py", "model.py", "results.py", "shortened.py", "tables.py", "token_budget.py", "token_compression.py", "train.py", "trainer.py",
);

/// The text of a standard module, `std/gpu` for instance.
pub(super) fn standard_module(path: &str) -> Option<&'static str> {
    find(STDLIB, path)
}

/// The names of the standard modules.
pub fn standard_modules() -> impl Iterator<Item = &'static str> {
    STDLIB.iter().map(|(name, _)| *name)
}

/// The text of a script that lies beside the stock pipeline.
pub(super) fn stock_script(name: &str) -> Option<&'static str> {
    find(STOCK, name)
}

/// The files of a bundle that can be unpacked beside a run.
pub(super) fn bundle(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    (name == "small").then_some(SMALL)
}

fn find(list: &'static [(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
