//! Everything that a command has started, and ending all of it without touching anything else.
//!
//! A process belongs to the tree when it descends from the command's leader, is in the process group of one that does, in the
//! session of one that does, carries the command's mark in its environment, or was seen to belong before. No process that
//! started before the leader can belong. Signals go through a pidfd, after the start time was compared, so that a pid that came to
//! mean another process is never signalled.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::children;
use super::launch::{COMMAND_ID_VARIABLE, Started};
use super::leader::Leader;
use super::process_table::{self, Process, Variable};
use crate::exec::{StopLevel, StopSignal};

/// Ends a command and everything it has started: asks, waits for `grace` or until `stop` wants it at once, then kills, and
/// returns when nothing is left. The leader has ended then, unless it is among those returned: the pids of what cannot be
/// killed, because it is another user's or hangs in the kernel.
pub(super) fn end(started: &Started, grace: Duration, stop: &StopSignal) -> io::Result<Vec<i32>> {
    let ended = end_tree(started, grace, stop);
    if ended.is_err() && started.leader.is_child() {
        // The tree cannot be seen; the group can be ended blindly.
        let _ = rustix::process::kill_process_group(started.leader.pid(), Signal::KILL);
    }
    ended
}

fn end_tree(started: &Started, grace: Duration, stop: &StopSignal) -> io::Result<Vec<i32>> {
    let mut tree = ProcessTree::of(started);
    if stop.level() < StopLevel::AtOnce && !grace.is_zero() {
        tree.ask_to_end()?;
        if tree.wait_until_gone(Instant::now() + grace, stop)? {
            return Ok(Vec::new());
        }
    }
    tree.kill()
}

/// How long a killed process may take to go before it is given up.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How often a request to stop at once is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How often new children are looked for while everything is being frozen. Each round only meets what was started during the
/// one before, by processes that are frozen now.
const FREEZE_ROUNDS: usize = 16;

struct ProcessTree<'a> {
    leader: &'a Leader,
    leader_pid: i32,
    leader_started: u64,
    command_id: &'a str,
    /// What was ever seen to belong, by pid and start time: it belongs for good.
    known: HashMap<i32, u64>,
    /// What was looked at and does not carry the mark. A process never gets it later.
    strangers: HashSet<(i32, u64)>,
    /// What belongs but may not be signalled by us.
    refused: HashSet<(i32, u64)>,
}

impl<'a> ProcessTree<'a> {
    fn of(started: &'a Started) -> Self {
        let leader_pid = started.leader.pid().as_raw_nonzero().get();
        ProcessTree {
            leader: &started.leader,
            leader_pid,
            // Unknown only where the table cannot be read: nothing is known of its age then.
            leader_started: started.leader.name().map_or(0, |name| name.started),
            command_id: &started.command_id,
            known: HashMap::new(),
            strangers: HashSet::new(),
            refused: HashSet::new(),
        }
    }

    /// Sends TERM to everything once: a program that cleans up must not be hit again by looking twice. What starts while the
    /// tree cleans up is left to do its work.
    fn ask_to_end(&mut self) -> io::Result<()> {
        let members = self.members()?;
        // The group first, in one call: a process that forks meanwhile cannot slip through.
        let whole_group = self.leader.is_child();
        if whole_group {
            let _ = rustix::process::kill_process_group(self.leader.pid(), Signal::TERM);
        }
        for member in members.iter().filter(|member| !member.ended) {
            if !whole_group || member.group != self.leader_pid {
                self.signal(member, Signal::TERM);
            }
            // A stopped process cannot act on TERM before it goes on.
            self.signal(member, Signal::CONT);
        }
        Ok(())
    }

    /// Waits until nothing is left; gives up, with false, at the deadline or when a stop is wanted at once.
    fn wait_until_gone(&mut self, deadline: Instant, stop: &StopSignal) -> io::Result<bool> {
        let mut pause = Duration::from_millis(5);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.level() == StopLevel::AtOnce {
                return Ok(false);
            }
            // While the leader lives there is no need to look at the others.
            if !self.leader.wait(left.min(LOOK_INTERVAL))? {
                continue;
            }
            let began = Instant::now();
            if self.living()?.is_empty() {
                return Ok(true);
            }
            // On a machine with very many processes, looking must not become the main occupation.
            pause = (pause * 2).min(LOOK_INTERVAL).max(began.elapsed() * 4);
            std::thread::sleep(pause.min(left));
        }
    }

    /// Kills everything: freezes it first, so that nothing can start anything while it is being killed.
    fn kill(&mut self) -> io::Result<Vec<i32>> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let mut frozen = HashSet::new();
            for _ in 0..FREEZE_ROUNDS {
                let mut living = self.living()?;
                living.retain(|member| frozen.insert((member.pid, member.started)));
                if living.is_empty() {
                    break;
                }
                for member in &living {
                    self.signal(member, Signal::STOP);
                }
            }
            for member in self.living()? {
                self.signal(&member, Signal::KILL);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK_INTERVAL);

            let living = self.living()?;
            let only_refused = living
                .iter()
                .all(|member| self.refused.contains(&(member.pid, member.started)));
            if only_refused || began.elapsed() > KILL_PATIENCE {
                return Ok(living.iter().map(|member| member.pid).collect());
            }
        }
    }

    /// The members that have not ended. Reaps those of the others that became children of ours.
    fn living(&mut self) -> io::Result<Vec<Process>> {
        let own_pid = std::process::id() as i32;
        let mut members = self.members()?;
        for member in &members {
            if member.ended && member.parent == own_pid && member.pid != self.leader_pid {
                children::reap_orphan(member.pid);
            }
        }
        members.retain(|member| !member.ended);
        Ok(members)
    }

    /// Everything that belongs to the tree now, ended members that were not reaped included.
    fn members(&mut self) -> io::Result<Vec<Process>> {
        let own_pid = std::process::id() as i32;
        let mut others = process_table::read_all()?;
        others.retain(|process| process.pid > 1 && process.pid != own_pid && process.started >= self.leader_started);
        let mut members: HashMap<i32, Process> = HashMap::new();
        // Of another's child only the start time tells it from a later process of that pid.
        let (pid, started) = (self.leader_pid, self.leader_started);
        let is_leader = |process: &Process| process.pid == pid && (started == 0 || process.started == started);
        loop {
            let before = members.len();
            others.retain(|process| {
                let belongs = is_leader(process)
                    || self.known.get(&process.pid) == Some(&process.started)
                    || members.contains_key(&process.parent)
                    || members.contains_key(&process.group)
                    || members.contains_key(&process.session);
                if belongs {
                    members.insert(process.pid, *process);
                }
                !belongs
            });
            if members.len() > before {
                continue;
            }
            // Reading environments is the dear part: only when kinship finds no more, and once for each stranger.
            others.retain(|process| {
                let belongs = !process.ended && self.carries_mark(process);
                if belongs {
                    members.insert(process.pid, *process);
                }
                !belongs
            });
            if members.len() == before {
                break;
            }
        }
        self.known
            .extend(members.values().map(|member| (member.pid, member.started)));
        Ok(members.into_values().collect())
    }

    fn carries_mark(&mut self, process: &Process) -> bool {
        let name = (process.pid, process.started);
        if self.strangers.contains(&name) {
            return false;
        }
        let carries = match process_table::environment_variable(process.pid, COMMAND_ID_VARIABLE) {
            Variable::Value(mark) => mark.split('/').any(|id| id == self.command_id),
            Variable::Missing => false,
            Variable::Unreadable => return false,
        };
        if !carries {
            self.strangers.insert(name);
        }
        carries
    }

    /// Signals exactly this process, or nothing when it has ended.
    fn signal(&mut self, member: &Process, signal: Signal) {
        let Some(pid) = Pid::from_raw(member.pid) else {
            return;
        };
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty());
        // Compared after the pidfd was opened: from here on it means this process and no later one.
        match process_table::read_one(member.pid) {
            Ok(Some(now)) if now.started == member.started => {}
            _ => return,
        }
        let sent = match pidfd {
            Ok(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
            Err(Errno::SRCH) => return,
            Err(_) => rustix::process::kill_process(pid, signal),
        };
        if sent == Err(Errno::PERM) {
            self.refused.insert((member.pid, member.started));
        }
    }
}
