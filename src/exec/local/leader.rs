//! The process that was started for a command: waiting for its end, and reaping it with what it used.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use super::{boot_clock, children, process_table};
use crate::exec::Status;
use crate::exec::logbook::ProcessName;

/// A started process that leads its own process group and has not been reaped. While it is not, neither its pid nor its
/// group can come to mean another process, so both may be signalled.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    /// Becomes readable when the process has ended. Without it (an old kernel, no descriptors left) we ask over and over.
    pidfd: Option<OwnedFd>,
    /// Whether it is a child of this process, so that its pid is ours until we reap it.
    is_child: bool,
    /// When it started, in clock ticks since boot, where that was told.
    started: Option<u64>,
}

/// How a reaped process ended and what it used, its waited-for children included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) max_rss_kib: u64,
    pub(super) user_seconds: f64,
    pub(super) system_seconds: f64,
}

impl Leader {
    /// Starts a process by `start`, which must put it into a group of its own.
    pub(super) fn start(start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Leader> {
        let before = boot_clock::tick(boot_clock::now());
        let pid = children::start_leader(start)?;
        let after = boot_clock::tick(boot_clock::now());
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        Ok(Leader {
            pid,
            pidfd,
            is_child: true,
            // Asking the process table would cost more than the rest of a start.
            started: (before == after).then_some(after),
        })
    }

    /// A process that became a child of this one because the one that had started it has ended.
    pub(super) fn taken_in(pid: Pid) -> Leader {
        children::take_in_leader(pid);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        Leader {
            pid,
            pidfd,
            is_child: true,
            started: None,
        }
    }

    /// Somebody else's child; `None` when it is gone, or its pid means another process by now. It can be waited for and ended
    /// with its tree, but how it ended is not for us to learn.
    pub(super) fn of_another(process: ProcessName) -> io::Result<Option<Leader>> {
        let Some(pid) = Pid::from_raw(process.pid) else {
            return Ok(None);
        };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Compared after the pidfd was opened: from here on it means this process and no later one.
        let now = process_table::read_one(process.pid)?;
        Ok(now
            .filter(|now| now.started == process.started && !now.ended)
            .map(|_| Leader {
                pid,
                pidfd: Some(pidfd),
                is_child: false,
                started: Some(process.started),
            }))
    }

    /// Its name for good; `None` when it is gone or the process table cannot be read.
    pub(super) fn name(&self) -> Option<ProcessName> {
        let pid = self.pid.as_raw_nonzero().get();
        let started = match self.started {
            Some(started) => started,
            // It is not reaped, so it is there.
            None => process_table::read_one(pid).ok().flatten()?.started,
        };
        Some(ProcessName { pid, started })
    }

    /// Whether it is a child of this process. The group of any other may not be signalled blindly.
    pub(super) fn is_child(&self) -> bool {
        self.is_child
    }

    /// What becomes readable when the process has ended, where there is such a thing.
    pub(super) fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended, at most for `limit`, and says whether it has. Does not reap it.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<bool> {
        match &self.pidfd {
            Some(pidfd) => {
                let mut watched = [PollFd::new(pidfd, PollFlags::IN)];
                let limit = Timespec {
                    tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
                    tv_nsec: limit.subsec_nanos().into(),
                };
                match poll(&mut watched, Some(&limit)) {
                    Ok(ready) => Ok(ready > 0),
                    // A signal, perhaps one that asks for a stop: let the caller look.
                    Err(rustix::io::Errno::INTR) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            None => self.ask_until(Instant::now() + limit),
        }
    }

    /// Reaps the process, which must have ended.
    pub(super) fn reap(self) -> io::Result<Ended> {
        let mut status = 0;
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        let pid = self.pid.as_raw_nonzero().get();
        children::reap_leader(self.pid, || {
            loop {
                // SAFETY: both pointers are to memory of ours of the right types.
                if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } == pid {
                    return Ok(());
                }
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        })?;
        // SAFETY: zeroed memory is a valid `rusage`, and the successful call has filled it in.
        let usage = unsafe { usage.assume_init() };
        Ok(Ended {
            status: if libc::WIFSIGNALED(status) {
                Status::Signal(libc::WTERMSIG(status))
            } else {
                Status::Code(libc::WEXITSTATUS(status))
            },
            max_rss_kib: usage.ru_maxrss.try_into().unwrap_or(0),
            user_seconds: seconds(usage.ru_utime),
            system_seconds: seconds(usage.ru_stime),
        })
    }

    /// `wait` for where there is no pidfd.
    fn ask_until(&self, deadline: Instant) -> io::Result<bool> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let mut pause = Duration::from_micros(100);
        loop {
            match rustix::process::waitid(WaitId::Pid(self.pid), ended) {
                Ok(Some(_)) => return Ok(true),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    #[test]
    fn a_start_time_that_was_not_looked_up_is_the_one_in_the_process_table() {
        let mut known = 0;
        for _ in 0..300 {
            let leader = Leader::start(|| {
                let child = Command::new("true").process_group(0).spawn()?;
                Ok(Pid::from_child(&child))
            })
            .unwrap();
            let row = process_table::read_one(leader.pid().as_raw_nonzero().get())
                .unwrap()
                .unwrap();
            known += usize::from(leader.started.is_some());
            assert_eq!(leader.name().unwrap().started, row.started);
            leader.reap().unwrap();
        }
        assert!(known > 0, "it was looked up each time");
    }

    #[test]
    fn the_end_is_seen_without_a_pidfd_too() {
        for keep_pidfd in [true, false] {
            let mut leader = Leader::start(|| {
                Command::new("sh")
                    .args(["-c", "read line; exit 7"])
                    .process_group(0)
                    .spawn()
                    .map(|child| Pid::from_child(&child))
            })
            .unwrap();
            if !keep_pidfd {
                leader.pidfd = None;
            }
            while !leader.wait(Duration::from_millis(20)).unwrap() {}
            assert!(leader.wait(Duration::ZERO).unwrap(), "waiting does not reap");
            assert_eq!(leader.reap().unwrap().status, Status::Code(7));
        }
    }
}
