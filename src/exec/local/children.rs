//! Who of this process's children is whose: the commands it started itself, and the orphans it adopted.
//!
//! As a child subreaper this process becomes the parent of everything that its commands leave behind. Such orphans have to be
//! reaped when they end, but a child that some thread waits for must never be: that thread would lose its exit status, and
//! might signal a stranger that got the same pid. So the leaders of commands are registered here from before they can end
//! until they are reaped, and orphans are told from the children that other rooms start by their mark or their group.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions};

use super::launch::{self, COMMAND_ID_VARIABLE};
use super::process_table::{self, Process, Variable};

/// Makes this process adopt the orphans of its descendants, and makes sure that the children it waits for leave their exit
/// status. Returns whether it will adopt; where not, orphans of a command are still found by its mark.
pub(super) fn adopt_orphans() -> bool {
    // SAFETY: restoring a signal's default action touches no memory of ours. A parent that ignores SIGCHLD hands that down,
    // and then the kernel throws exit statuses away.
    unsafe {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
        {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok()
}

/// Starts a process that will lead its own process group, and registers it in the same breath.
pub(super) fn start_leader(start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
    let mut children = lock();
    let pid = start()?;
    children.leaders.insert(pid.as_raw_nonzero().get());
    children.groups.insert(pid.as_raw_nonzero().get());
    Ok(pid)
}

/// Registers a leader that became a child of this process because the one that started it has ended.
pub(super) fn take_in_leader(pid: Pid) {
    lock().leaders.insert(pid.as_raw_nonzero().get());
}

/// Whether somebody in this process waits for that child.
pub(super) fn is_led(pid: i32) -> bool {
    lock().leaders.contains(&pid)
}

/// Says that this process has no children but commands and what they left: whatever nobody waits for is an orphan.
pub(super) fn expect_only_commands() {
    lock().only_commands = true;
}

/// Reaps a leader by `reap` and strikes it off in the same breath, before its pid can belong to another.
pub(super) fn reap_leader<T>(pid: Pid, reap: impl FnOnce() -> T) -> T {
    let mut children = lock();
    let reaped = reap();
    children.leaders.remove(&pid.as_raw_nonzero().get());
    reaped
}

/// Reaps an adopted orphan that has ended. Does nothing when the pid is that of a command somebody waits for.
pub(super) fn reap_orphan(pid: i32) {
    reap_unless_led(&lock(), pid);
}

/// Reaps the orphans of any command that have ended since, at most once a second: so that servers and daemons that commands
/// left running do not pile up as zombies in a long run. Returns whether there may be some that have not ended yet.
pub(super) fn reap_orphans_now_and_then() -> bool {
    let mut children = lock();
    let now = Instant::now();
    if children
        .last_look
        .is_some_and(|last| now.duration_since(last) < LOOK_INTERVAL)
    {
        return true;
    }
    children.last_look = Some(now);
    // Without a table there is nothing to reap; the zombies wait for the next look.
    let present = process_table::own_children().unwrap_or_default();
    for process in &present {
        children.consider(process);
    }
    let living = present
        .iter()
        .any(|child| !child.ended && !children.leaders.contains(&child.pid));
    let present: HashSet<_> = present.iter().map(|child| (child.pid, child.started)).collect();
    children.orphans.retain(|name, _| present.contains(name));
    living
}

/// How often the orphans are looked through.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Children {
    /// Pids of commands that some thread waits for.
    leaders: HashSet<i32>,
    /// Process groups of all commands that were ever started: their orphans may still be in them.
    groups: HashSet<i32>,
    /// Orphans of commands, and children that are not, as they were found while they lived, by pid and start time.
    orphans: HashMap<(i32, u64), bool>,
    last_look: Option<Instant>,
    /// Whether every child that nobody waits for is an orphan of a command.
    only_commands: bool,
}

impl Children {
    /// Reaps a child if it is an orphan that has ended; otherwise remembers what it is. A child that is not certainly an
    /// orphan is left alone: another room may be waiting for it.
    pub(super) fn consider(&mut self, process: &Process) {
        let name = (process.pid, process.started);
        if self.leaders.contains(&process.pid) {
            return;
        }
        if !process.ended {
            if self.orphans.contains_key(&name) {
                return;
            }
            match process_table::environment_variable(process.pid, COMMAND_ID_VARIABLE) {
                Variable::Value(mark) => {
                    self.orphans.insert(name, launch::is_of_this_host(&mark));
                }
                Variable::Missing => {
                    self.orphans.insert(name, false);
                }
                Variable::Unreadable => {}
            }
            return;
        }
        if self.only_commands || self.orphans.remove(&name) == Some(true) || self.groups.contains(&process.group) {
            reap_unless_led(self, process.pid);
        }
    }
}

static CHILDREN: LazyLock<Mutex<Children>> = LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, Children> {
    // Every change is a single insertion or removal, so a panic elsewhere cannot have left them half done.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reap_unless_led(children: &Children, pid: i32) {
    if children.leaders.contains(&pid) {
        return;
    }
    // Errors mean that it was reaped already.
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    #[test]
    fn an_ended_orphan_that_was_never_seen_alive_is_known_by_its_group() {
        assert!(adopt_orphans());
        let parent = Command::new("sh")
            .args(["-c", "sleep 300 > /dev/null 2>&1 & echo $!"])
            .process_group(0)
            .output()
            .unwrap();
        let pid = String::from_utf8(parent.stdout).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
        let orphan = loop {
            match process_table::read_one(pid).unwrap() {
                Some(process) if process.ended => break process,
                _ => std::thread::yield_now(),
            }
        };

        let mut looks = Children::default();
        looks.consider(&orphan);
        assert_eq!(
            process_table::read_one(pid).unwrap(),
            Some(orphan),
            "it might be anybody's"
        );
        looks.groups.insert(orphan.group);
        looks.consider(&orphan);
        assert_ne!(process_table::read_one(pid).unwrap(), Some(orphan));
    }
}
