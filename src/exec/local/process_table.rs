//! What the kernel says about the processes there are: one row per process, read from `/proc`.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};

/// One process as it was when the table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// Its process id, which another process may get once this one has ended and was reaped.
    pub(super) pid: i32,
    /// Its parent.
    pub(super) parent: i32,
    /// Its process group.
    pub(super) group: i32,
    /// Its session.
    pub(super) session: i32,
    /// When it started, in clock ticks since boot. Together with the pid this names a process for good.
    pub(super) started: u64,
    /// Whether it has ended and only waits to be reaped.
    pub(super) ended: bool,
}

/// All processes that can be seen. Fails when `/proc` cannot be read, or as [`read_one`] does.
pub(super) fn read_all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        processes.extend(read_one(pid)?);
    }
    Ok(processes)
}

/// One process, or `None` when there is none of that id or it is hidden from us. Fails when this process is too short of
/// descriptors or memory to look: that must never be taken for "not there".
pub(super) fn read_one(pid: i32) -> io::Result<Option<Process>> {
    match read_row(&format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse(pid, &stat)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Err(error),
            _ => Ok(None),
        },
    }
}

/// The children of this process, ended ones included.
pub(super) fn own_children() -> io::Result<Vec<Process>> {
    let mut pids: HashSet<i32> = HashSet::new();
    let mut told = false;
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that ended meanwhile has no list any more; its children are in the list of another.
        if let Ok(children) = fs::read_to_string(task?.path().join("children")) {
            told = true;
            pids.extend(children.split_whitespace().flat_map(str::parse::<i32>));
        }
    }
    if told {
        return pids.into_iter().filter_map(|pid| read_one(pid).transpose()).collect();
    }
    // A kernel that was built without these lists.
    let own_pid = std::process::id() as i32;
    let mut processes = read_all()?;
    processes.retain(|process| process.parent == own_pid);
    Ok(processes)
}

/// What is known of a variable in the environment that a process was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    Value(String),
    Missing,
    /// Nothing can be read: the process has ended, belongs to somebody else, has an empty environment, or is becoming another
    /// program at this very moment and will show its environment soon.
    Unreadable,
}

/// Looks up a variable in the environment that a process was started with.
pub(super) fn environment_variable(pid: i32, name: &str) -> Variable {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    if environment.is_empty() {
        return Variable::Unreadable;
    }
    environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map_or(Variable::Missing, |value| {
            Variable::Value(String::from_utf8_lossy(value).into_owned())
        })
}

/// Reads a row of `/proc/PID/stat`. The command name in parentheses may itself hold blanks and parentheses.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
    let state = *fields.first()?;
    // The main thread of a process may end before the others do: that process is still alive.
    let threads = number(17)?;
    Some(Process {
        pid,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
        ended: matches!(state, "X" | "x") || (state == "Z" && threads <= 1),
    })
}

/// A row of `/proc/PID/stat`: numbers and a short name, always much shorter than this and read whole in one call.
fn read_row(path: &str) -> io::Result<Vec<u8>> {
    let mut contents = vec![0; 2048];
    let length = fs::File::open(path)?.read(&mut contents)?;
    contents.truncate(length);
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let row = b"77 (a) Z (b c) S 5 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let process = parse(77, row).unwrap();
        assert_eq!(
            (
                process.parent,
                process.group,
                process.session,
                process.started,
                process.ended
            ),
            (5, 77, 70, 4242, false)
        );
    }

    #[test]
    fn this_process_is_in_the_table_with_its_parent() {
        let me = std::process::id() as i32;
        let table = read_all().unwrap();
        let mine = table.iter().find(|process| process.pid == me).unwrap();
        assert_eq!(mine.parent, std::os::unix::process::parent_id() as i32);
        assert!(!mine.ended && mine.started > 0);
    }

    #[test]
    fn the_environment_of_a_process_is_found_by_whole_names() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("MARK", "a=b")
            .env("OTHER_MARK", "no")
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        while environment_variable(pid, "MARK") == Variable::Unreadable {
            std::thread::yield_now();
        }
        assert_eq!(environment_variable(pid, "MARK"), Variable::Value("a=b".into()));
        assert_eq!(environment_variable(pid, "MAR"), Variable::Missing);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
