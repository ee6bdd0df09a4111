//! The plan: which phases there are, what they wait for, and with which parameters.
//!
//! A plan is plain data. It is filled by the script before anything runs, and it never runs anything itself: the
//! conductor (`run::conductor`) asks it what is ready.

mod duration;
mod fingerprint;
mod graph;
mod parameter_value;
mod parameters;
mod phase;
mod schedule;
mod selection;

pub use duration::{DurationError, duration_in_words, parse_duration};
pub use fingerprint::{Body, Cause, Code, FileChange, Files, Fingerprint, Made, Mark};
pub(crate) use graph::nearest;
pub use graph::{Plan, PlanError};
pub use parameters::{Parameter, ParameterError, ParameterSource, Parameters, Provided, RawOption};
pub use phase::{Origin, Phase, PhaseOptions};
pub use schedule::{Blocked, Schedule, Standing};
pub use selection::{Selection, SelectionError};
