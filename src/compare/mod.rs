//! Comparing runs by meaning: what each run is reduced to, and where two or more of them differ.
//!
//! A run becomes a list of [`Fact`]s, each in a [`Group`] that answers one question a person asks ("did it do better?",
//! "was it the same code?"). Two runs, or two hundred, are compared fact by fact: numbers as numbers, lists as lists,
//! durations with their noise left out, paths below a run's own directory as the same path.
//!
//! Arrows: this room knows `run` (what is recorded of a run) and `state` (the file). It knows no scripts being run, no
//! processes and no terminal, and it only reads; of `ui` it uses how durations and amounts are said. `cli` and `report`
//! show what it finds.

mod collect;
mod collect_parameters;
mod collect_provenance;
mod comparison;
mod estimate;
mod fact;
mod lines;
mod lookup;
mod run_facts;
mod words;

pub use collect_provenance::SCRIPT_TEXT;
pub use comparison::{Change, Comparison, Row, Standing, TextDifference, Verdict};
pub use estimate::{Estimate, estimate};
pub use fact::{Fact, Group, Unit};
pub use lines::{Line, LineDiff, LineKind};
pub use lookup::{FactName, facts_named};
pub use run_facts::{RunFacts, RunStanding, standing};
pub use words::{NOTHING, change_in_words, in_words, resume_command, value_in_words};
