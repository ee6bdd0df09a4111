//! Who holds a run: the record that stands in the lock file, for people and for those who look.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::disk;

/// The process that holds a run. What its record did not tell is empty or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The host's name.
    pub host: String,
    /// The process id, in the process's own pid namespace.
    pub pid: u32,
    /// When the process began, in clock ticks since the host booted (field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
    /// Which boot of the host that was.
    pub boot_id: String,
    /// The pid namespace in which `pid` means something.
    pub pid_namespace: String,
    /// Who started it.
    pub user: String,
    /// When it took the run, in unix seconds.
    pub since: i64,
}

impl Owner {
    /// This process.
    pub(super) fn this_process() -> Self {
        Owner {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            start_time: start_time(&disk::kernel_text("/proc/self/stat")).unwrap_or(0),
            boot_id: disk::kernel_text("/proc/sys/kernel/random/boot_id"),
            pid_namespace: disk::kernel_link("/proc/self/ns/pid"),
            user: user(),
            since: Timestamp::now().as_second(),
        }
    }

    /// Whether this process is gone: `None` when that cannot be known from here, because it is (or was) on another
    /// host or in another pid namespace.
    pub(super) fn is_gone(&self) -> Option<bool> {
        let here = Owner::this_process();
        if self.host != here.host {
            return None;
        }
        if self.boot_id != here.boot_id {
            return Some(true);
        }
        if self.pid_namespace != here.pid_namespace {
            return None;
        }
        let stat = disk::kernel_text(&format!("/proc/{}/stat", self.pid));
        Some(start_time(&stat) != Some(self.start_time))
    }

    /// Whether this is a process of another machine, whatever the names are: containers have their own.
    pub(super) fn is_on_another_machine(&self) -> bool {
        let here = Owner::this_process();
        self.host != here.host && self.boot_id != here.boot_id
    }

    /// The record's text: one `name=value` a line.
    pub(super) fn to_record(&self) -> String {
        let one_line = |text: &str| text.replace(char::is_control, " ");
        format!(
            "host={}\npid={}\nstart_time={}\nboot_id={}\npid_namespace={}\nuser={}\nsince={}\nend=\n",
            one_line(&self.host),
            self.pid,
            self.start_time,
            one_line(&self.boot_id),
            one_line(&self.pid_namespace),
            one_line(&self.user),
            self.since
        )
    }

    /// Reads a record; `None` when it is not whole, as while it is being written.
    pub(super) fn from_record(text: &str) -> Option<Self> {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| value)
        };
        value("end")?;
        Some(Owner {
            host: value("host")?.to_owned(),
            pid: value("pid")?.parse().ok()?,
            start_time: value("start_time")?.parse().ok()?,
            boot_id: value("boot_id")?.to_owned(),
            pid_namespace: value("pid_namespace")?.to_owned(),
            user: value("user")?.to_owned(),
            since: value("since")?.parse().ok()?,
        })
    }

    fn describe(&self, now: Timestamp, zone: &TimeZone) -> String {
        if self.pid == 0 {
            return "another process".to_owned();
        }
        let since = match Timestamp::from_second(self.since) {
            Ok(since) => {
                let (since, now) = (
                    since.to_zoned_datetime(zone.clone()),
                    now.to_zoned_datetime(zone.clone()),
                );
                let form = if since.date() == now.date() {
                    "%H:%M"
                } else {
                    "%Y-%m-%d %H:%M"
                };
                format!(", since {}", since.strftime(form))
            }
            Err(_) => String::new(),
        };
        format!("pid {} on {} (user {}{since})", self.pid, self.host, self.user)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(Timestamp::now(), &TimeZone::system()))
    }
}

/// Field 22. The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
fn start_time(stat: &str) -> Option<u64> {
    let behind_name = &stat[stat.rfind(')')? + 1..];
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The name of a user by number: our own, or the number.
pub(super) fn user_name(number: u32) -> String {
    if number == rustix::process::getuid().as_raw() {
        return user();
    }
    format!("user {number}")
}

pub(super) fn user() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| {
            let number = rustix::process::getuid().as_raw();
            account(number).unwrap_or_else(|| format!("id {number}"))
        })
}

/// The name of the account with this number, where the system knows one; of 0 it is always known.
fn account(number: u32) -> Option<String> {
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::zeroed();
    let mut texts = vec![0; 16 << 10];
    let mut found = std::ptr::null_mut();
    // SAFETY: the entry and the texts are ours and as large as is said; the call fills them in and keeps no pointer.
    let failed = unsafe { libc::getpwuid_r(number, entry.as_mut_ptr(), texts.as_mut_ptr(), texts.len(), &mut found) };
    let name = if failed != 0 || found.is_null() {
        None
    } else {
        // SAFETY: the call succeeded: the entry is filled in, and its name is a text that ends, in `texts`, which lives.
        let name = unsafe { std::ffi::CStr::from_ptr((*found).pw_name) };
        name.to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    name.or_else(|| (number == 0).then(|| "root".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            pid: 4711,
            host: "node7".into(),
            user: "ann".into(),
            since: 1_705_327_320,
            ..Owner::default()
        }
    }

    #[test]
    fn an_owner_is_named_with_the_time_and_on_another_day_with_the_date() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let zone = TimeZone::UTC;
        assert_eq!(
            owner().describe(at("2024-01-15T15:00:00Z"), &zone),
            "pid 4711 on node7 (user ann, since 14:02)"
        );
        assert_eq!(
            owner().describe(at("2024-01-16T14:02:00Z"), &zone),
            "pid 4711 on node7 (user ann, since 2024-01-15 14:02)"
        );
        assert_eq!(Owner::default().to_string(), "another process");
    }

    #[test]
    fn an_account_has_a_name_and_the_first_one_always() {
        assert_eq!(account(0).as_deref(), Some("root"));
        assert_eq!(account(u32::MAX - 7), None);
    }

    #[test]
    fn a_record_reads_back_and_half_a_record_does_not() {
        let owner = Owner::this_process();
        assert_ne!(owner.start_time, 0);
        assert_ne!(owner.boot_id, "");
        assert_ne!(owner.pid_namespace, "");
        let record = owner.to_record();
        assert_eq!(Owner::from_record(&record), Some(owner));
        assert_eq!(Owner::from_record(&record[..record.len() - 6]), None);
        assert_eq!(Owner::from_record(""), None);
    }

    #[test]
    fn a_program_name_with_parentheses_does_not_hide_the_start_time() {
        let stat = "1 (a) b (c)) S 0 1 1 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 424242 99 1";
        assert_eq!(start_time(stat), Some(424_242));
        assert_eq!(start_time("nonsense"), None);
    }
}
