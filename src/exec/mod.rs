//! Runs single commands and says exactly how each one ended.
//!
//! This room knows commands, processes and logs. It knows no phases, no scripts and no terminal: whoever calls it decides
//! what a command is for, what its failure means and what a user gets to see. [`Executor`] is the border: [`Local`] runs a
//! command on this machine, and another executor (a cluster's, say) can take its place without its callers noticing.

mod command;
mod error;
mod executor;
mod local;
mod log;
mod logbook;
mod plain_text;
mod signals;
mod stop;

pub use command::{Command, Program, Stdin};
pub use error::ExecError;
pub use executor::{Executor, Exit, Status, Stopped};
pub use local::{
    CAPTURE_LIMIT, DEFAULT_GRACE, KEEPER_ARGUMENT, Keeping, LOOK_UP_LIMIT, Living, Local, LookUp, keep, living_with,
    look_up, settle, topmost,
};
pub use log::{LogFollower, tail, tail_between};
pub use logbook::{End, Entry, Logbook, Note, ProcessName, Shelf, Why};
pub use signals::{install_signal_handlers, interrupt_flag, signal_name};
pub use stop::{StopLevel, StopSignal};
