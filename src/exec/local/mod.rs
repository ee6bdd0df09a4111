//! Runs commands on this machine.
//!
//! Each command is the leader of its own process group, writes straight to its log file and carries a mark of its own in the
//! environment variable `JUMAR_COMMAND_ID`. It is started by a small process that outlives this one, the keeper, or by this
//! process where there is none. Either is the reaper of orphans (a child subreaper) for the commands that it starts, so that
//! whatever a command leaves behind stays findable: by descent, by group, by session or by that mark. When the keeper is killed, its
//! commands become children of this process, which goes on with them. Everything is the plain kernel interface of an
//! unprivileged Linux process; no control group is needed and none is made.

mod boot_clock;
mod capture;
mod children;
mod ending;
mod keeper;
mod launch;
mod leader;
mod living;
mod look_up;
mod oom;
mod prepared;
mod process_table;
mod program_file;
mod rejoin;
mod runner;
mod spawn;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

pub use capture::CAPTURE_LIMIT;
pub use keeper::{KEEPER_ARGUMENT, Keeping, keep, settle};
pub use living::{Living, living_with, topmost};
pub use look_up::{LOOK_UP_LIMIT, LookUp, look_up};
pub use runner::{DEFAULT_GRACE, Local};
