//! The Rhai host: reads a script, lets it declare a plan, and runs its closures when the conductor says so.
//!
//! This is the only room that knows Rhai. What a primitive does lies in `run/`; how it looks to a script lies in `api/`,
//! one file a primitive. `docs/script-host.md` says which ways were tried and why these were taken.

mod api;
mod body;
mod check;
mod checkpoint_judge;
mod closures;
mod current;
mod diagnostics;
mod embedded;
mod engine;
mod fault;
mod host;
mod imports;
mod inspect;
pub mod lexer;
mod lines;
mod listing;
mod manual;
mod post_mortem;
mod reach;
mod resolver;
mod scan;
mod shared;
mod site;
mod source;
mod values;
mod words;

pub use check::{Finding, Severity};
pub use diagnostics::ScriptError;
pub use embedded::{STARTER, STOCK_MODES, STOCK_NAME, standard_modules};
pub use host::{Host, Imports};
pub use inspect::{Answer, Ask, Call, FunctionDocs, Inspector, NAMES, is_unfinished};
pub use listing::{Primitive, primitives};
pub use manual::{Entry, definitions, manual};
pub use post_mortem::Examiner;
pub use source::ScriptSource;
