//! jumar runs experiment pipelines that never slip back.
//!
//! The rooms, from the top: [`cli`] turns arguments into calls and results into words and exit codes; [`script`] is the
//! Rhai host; [`run`] walks the plan; [`plan`] is what is to be done, [`ui`] is how it looks; [`state`] keeps what
//! happened, [`exec`] runs commands. [`compare`] finds where runs differ, [`report`] makes pages of them. Arrows point downward only; see `ARCHITECTURE.md`.

pub mod cli;
pub mod compare;
pub mod exec;
pub mod plan;
pub mod report;
pub mod run;
pub mod script;
pub mod state;
pub mod ui;

#[cfg(test)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;
