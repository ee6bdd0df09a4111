//! The kernel's own count of processes it killed for want of memory: evidence that an exit status alone does not give.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the kernel counts, held open. A command's children share the host's control group, so its counter covers them.
#[derive(Debug)]
pub(super) struct OomCounters {
    machine: Option<File>,
    cgroup: Option<File>,
    latest: Mutex<Option<(Instant, OomKills)>>,
}

/// How old a reading may be that is taken for the start of a command: reading them costs more than handing a command over.
const FRESH: Duration = Duration::from_secs(1);

/// What the counters stood at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OomKills {
    /// On the whole machine.
    pub(super) machine: u64,
    /// In the control group of this process.
    pub(super) cgroup: u64,
}

impl OomCounters {
    /// Opens those that this system lets us read.
    pub(super) fn open() -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        OomCounters {
            machine: File::open("/proc/vmstat").ok(),
            cgroup: cgroup_files(&membership)
                .into_iter()
                .find_map(|path| File::open(path).ok()),
            latest: Mutex::default(),
        }
    }

    /// What they stood at a moment ago; 0 for one that cannot be read.
    pub(super) fn read_lately(&self) -> OomKills {
        match *self.latest() {
            Some((when, kills)) if when.elapsed() < FRESH => return kills,
            _ => {}
        }
        self.read()
    }

    /// What they stand at now; 0 for one that cannot be read.
    pub(super) fn read(&self) -> OomKills {
        let kills = OomKills {
            machine: self.machine.as_ref().map_or(0, read_count),
            cgroup: self.cgroup.as_ref().map_or(0, read_count),
        };
        *self.latest() = Some((Instant::now(), kills));
        kills
    }

    fn latest(&self) -> MutexGuard<'_, Option<(Instant, OomKills)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OomKills {
    /// How much they grew since `earlier`.
    pub(super) fn since(self, earlier: OomKills) -> OomKills {
        let cgroup = self.cgroup.saturating_sub(earlier.cgroup);
        OomKills {
            machine: self.machine.saturating_sub(earlier.machine).max(cgroup),
            cgroup,
        }
    }
}

/// Where the counter of the control group may be that `/proc/self/cgroup` tells of, likeliest first. In a container the
/// hierarchy is often mounted so that the own group is its root.
fn cgroup_files(membership: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let group = group.trim_start_matches('/');
        if controllers.is_empty() {
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                files.push(PathBuf::from(root).join(group).join("memory.events"));
                files.push(PathBuf::from(root).join("memory.events"));
            }
        } else if controllers.split(',').any(|controller| controller == "memory") {
            let root = PathBuf::from("/sys/fs/cgroup/memory");
            files.push(root.join(group).join("memory.oom_control"));
            files.push(root.join("memory.oom_control"));
        }
    }
    files
}

/// The number behind `oom_kill` in a kernel file of `name value` lines.
fn read_count(file: &File) -> u64 {
    let mut contents = [0; 16 << 10];
    let length = file.read_at(&mut contents, 0).unwrap_or(0);
    std::str::from_utf8(&contents[..length]).map_or(0, count_in)
}

fn count_in(contents: &str) -> u64 {
    contents
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .find_map(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kill_counter_is_read() {
        assert_eq!(count_in("oom 9\noom_kill 3\noom_group_kill 7\n"), 3);
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), 12);
        assert_eq!(count_in("nr_free_pages 5\n"), 0);
    }

    #[test]
    fn the_counter_is_looked_for_in_the_own_group_first_in_both_versions() {
        let files = cgroup_files("4:cpu,memory:/jobs/7\n2:cpuset:/\n0::/user.slice/run\n");
        assert_eq!(
            files[0].to_str(),
            Some("/sys/fs/cgroup/memory/jobs/7/memory.oom_control")
        );
        assert_eq!(files[2].to_str(), Some("/sys/fs/cgroup/user.slice/run/memory.events"));
        assert!(!files.iter().any(|file| file.to_string_lossy().contains("cpuset")));
    }

    #[test]
    fn a_kill_in_the_own_group_counts_even_where_the_machine_has_no_counter() {
        let before = OomKills { machine: 0, cgroup: 4 };
        let after = OomKills { machine: 0, cgroup: 6 };
        assert_eq!(after.since(before), OomKills { machine: 2, cgroup: 2 });
    }
}
