//! What is measured around a command, from its start to its end.

use std::fs::File;
use std::io;
use std::sync::LazyLock;

use super::launch::Started;
use super::oom::{OomCounters, OomKills};
use super::watch::Watched;
use super::{boot_clock, process_table};
use crate::exec::Status;
use crate::exec::logbook::{End, ProcessName, unix_ms};

/// The start of a command, as far as its end has to be compared with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    since_boot: f64,
    /// What the kernel's counters stood at, where they were looked at.
    kills: Option<OomKills>,
}

impl Beginning {
    /// A command begins now.
    pub(super) fn now() -> Self {
        Beginning {
            since_boot: boot_clock::now().as_secs_f64(),
            kills: None,
        }
    }

    /// A command that began at this time, in seconds since boot. What the kernel killed before now is not known.
    pub(super) fn at(since_boot: f64) -> Self {
        Beginning {
            since_boot,
            kills: None,
        }
    }

    /// The same with what the kernel's counters stand at.
    pub(super) fn with_kills(self, counters: &OomCounters) -> Self {
        Beginning {
            kills: Some(counters.read_lately()),
            ..self
        }
    }

    /// When it was, in seconds since boot.
    pub(super) fn since_boot(&self) -> f64 {
        self.since_boot
    }

    /// When it was, as the process table counts: in clock ticks since boot.
    pub(super) fn ticks(&self) -> u64 {
        (self.since_boot * rustix::param::clock_ticks_per_second() as f64) as u64
    }

    /// How long ago it was, in seconds, suspended time included.
    pub(super) fn seconds(&self) -> f64 {
        boot_clock::now().as_secs_f64() - self.since_boot
    }

    /// Reaps the leader, which must have ended, and sums up.
    pub(super) fn end(
        &self,
        started: Started,
        watched: Watched,
        log: &File,
        counters: &OomCounters,
    ) -> io::Result<End> {
        let seconds = self.seconds();
        let ended = started.leader.reap()?;
        let (code, signal) = match ended.status {
            Status::Code(code) => (Some(code), None),
            Status::Signal(signal) => (None, Some(signal)),
        };
        // Only evidence of a failure: reading the counters costs more than all the rest.
        let kills = match self.kills {
            Some(before) if ended.status != Status::Code(0) => counters.read().since(before),
            _ => OomKills::default(),
        };
        Ok(End {
            code,
            signal,
            why: watched.why,
            seconds,
            max_rss_kib: ended.max_rss_kib,
            user_seconds: ended.user_seconds,
            system_seconds: ended.system_seconds,
            machine_oom_kills: kills.machine,
            cgroup_oom_kills: kills.cgroup,
            log_end: log.metadata()?.len(),
            survivors: watched.survivors,
            unix_ms: unix_ms(),
        })
    }
}

/// This process.
pub(super) fn own_name() -> ProcessName {
    static OWN: LazyLock<ProcessName> = LazyLock::new(|| {
        let pid = std::process::id() as i32;
        // Where the table cannot be read nobody else can look there either.
        let row = process_table::read_one(pid).ok().flatten();
        ProcessName {
            pid,
            started: row.map_or(0, |row| row.started),
        }
    });
    *OWN
}
