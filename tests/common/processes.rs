//! The processes of a run, looked at and killed from outside.

use std::path::Path;
use std::process::Child;

use super::Workplace;

/// Kills a jumar as `kill -9` does.
pub fn kill(host: &mut Child) {
    host.kill().expect("the host is killed");
    host.wait().expect("the host is gone");
}

/// A process of this machine.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub started: u64,
    pub session: i32,
    pub arguments: String,
    pub cwd: std::path::PathBuf,
}

impl Process {
    pub fn read(pid: i32) -> Option<Process> {
        let root = format!("/proc/{pid}");
        let stat = std::fs::read_to_string(format!("{root}/stat")).ok()?;
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let arguments = std::fs::read(format!("{root}/cmdline")).ok()?;
        (fields[0] != "Z").then(|| Process {
            pid,
            started: fields[19].parse().unwrap_or(0),
            session: fields[3].parse().unwrap_or(0),
            arguments: String::from_utf8_lossy(&arguments).replace('\0', " "),
            cwd: std::fs::read_link(Path::new(&root).join("cwd")).unwrap_or_default(),
        })
    }

    pub fn name(&self) -> (i32, u64) {
        (self.pid, self.started)
    }

    pub fn is_alive(&self) -> bool {
        Process::read(self.pid).is_some_and(|now| now.name() == self.name())
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("the process is signalled");
    }

    pub fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    pub fn kill_if_alive(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid).expect("a process id");
        // It may have gone with its host.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }

    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }
}

/// All processes of this machine.
pub fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

/// The keepers of runs in this workplace.
pub fn keepers_in(workplace: &Workplace) -> Vec<Process> {
    let place = workplace.path().canonicalize().expect("the workplace");
    let mut found = processes();
    found.retain(|p| p.arguments.starts_with("jumar keeper: ") && p.cwd == place);
    found
}
