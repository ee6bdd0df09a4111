//! The keeper: a small process of its own that starts commands and waits for them, so that their ends are seen and written down
//! although the host that asked for them has been killed.
//!
//! There is one for each host and run, started with the first command. It leads a session of its own, so no interrupt and no
//! hang-up of the host's terminal reaches it or its commands, and it adopts what its commands leave behind. It speaks with its
//! host over connections that it inherits, one for each command that runs at a time, and it goes when they are closed and its
//! last command has ended.
//!
//! A later host does not speak with it at all. It reads the logbook that the keeper writes, and watches the commands' processes
//! through pidfds. There is nothing that could be connected to: a socket with a path does not exist on every file system that
//! runs live on and its path may be too long, an abstract one is only visible in the same network namespace, and taking
//! a descriptor out of another process needs rights that containers withhold. Reading a file works wherever the run does, and
//! goes on working when the keeper, too, has been killed. The only thing that needs agreement is the moment from which an
//! orphaned keeper starts nothing more: it holds a lock until then, which a later host waits for ([`settle`]).

mod host;
mod message;
mod process;
mod wire;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use super::children;
use crate::exec::signals::{is_ignored, survive};
use process::Keeper;
use wire::Wire;

pub(super) use host::{Handover, KeeperOfHost, LostTrack};
pub use host::{Keeping, settle};
pub(super) use message::{Noted, Run};

/// The argument that makes this program a keeper.
pub const KEEPER_ARGUMENT: &str = "__keeper";

/// Is a keeper: serves the host at the other end of standard input until it has gone and all its commands have ended. To be
/// called by a program that was started with [`KEEPER_ARGUMENT`], before it does anything else.
///
/// # Errors
///
/// When standard input is no connection to a host, or the system refuses what a keeper needs.
pub fn keep() -> io::Result<()> {
    // The program's file may be called anything.
    let _ = rustix::thread::set_name(c"jumar-keeper");
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGXFSZ];
    // What is ignored already stays so, for the commands, too: the run was started with nohup, say.
    for signal in signals.into_iter().filter(|signal| !is_ignored(*signal)) {
        // It goes when its work is done, and is stopped by stopping its commands.
        survive(signal)?;
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    children::adopt_orphans();
    children::expect_only_commands();
    Keeper::new(Wire::from(socket))?.serve()
}

#[cfg(test)]
pub(super) fn keep_in_this_process(socket: std::os::fd::OwnedFd) -> io::Result<()> {
    Keeper::new(Wire::from(socket))?.serve()
}
