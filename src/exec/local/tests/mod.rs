//! Runs real processes. Nothing here depends on how fast they are: where a moment matters, a process announces it in a file.

mod kept;
mod look_up;
mod running;
mod stopping;

use std::path::Path;
use std::time::{Duration, Instant};

use assert_fs::TempDir;

use super::Local;
use super::process_table::{self, Process};
use crate::exec::{Command, ExecError, Executor as _, Exit, Program, StopSignal};

/// A directory of its own, and commands in it that write to one log.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Bench {
            dir: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new(Program::Shell(line.to_owned()), self.path().join("log"));
        command.cwd = Some(self.path().to_owned());
        command
    }

    fn argv(&self, words: &[&str]) -> Command {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Command {
            program: Program::Argv(words),
            ..self.shell("")
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The process that wrote its pid into a file.
    fn process_in(&self, file: &str) -> Process {
        let pid = std::fs::read_to_string(self.path().join(file)).unwrap();
        process_table::read_one(pid.trim().parse().unwrap())
            .unwrap()
            .unwrap_or_else(|| panic!("{file}: no such process"))
    }

    /// Waits until a process has written its pid, or anything at all, into each of these files.
    fn wait_for(&self, files: &[&str]) {
        for file in files {
            eventually(file, || {
                std::fs::read_to_string(self.path().join(file)).is_ok_and(|text| text.ends_with('\n'))
            });
        }
    }
}

fn run(command: &Command) -> Exit {
    try_run(command).unwrap()
}

fn try_run(command: &Command) -> Result<Exit, ExecError> {
    Local::new().run(command, &StopSignal::new())
}

/// Whether exactly this process still runs.
fn is_alive(process: &Process) -> bool {
    process_table::read_one(process.pid)
        .unwrap()
        .is_some_and(|now| now.started == process.started && !now.ended)
}

/// Waits for something that must come, however long a busy machine takes for it.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(process: &Process) {
    let pid = rustix::process::Pid::from_raw(process.pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
