//! A workplace for tests: a scratch directory, the real binary, and an environment in which only what a test sets is set.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part of this"
)]

pub mod processes;
pub mod stock;
pub mod terminal;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use assert_fs::TempDir;

/// A scratch directory in which jumar is run.
pub struct Workplace {
    directory: TempDir,
    /// What jumar and others leave in the directory for temporary files goes with the test, too.
    temporary: TempDir,
    environment: Vec<(String, String)>,
}

/// How a run of jumar ended.
pub struct Ended {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Workplace {
    /// An empty directory and an environment without the parameters of pipelines.
    pub fn new() -> Workplace {
        Workplace {
            directory: TempDir::new().expect("a temporary directory"),
            temporary: TempDir::new().expect("a temporary directory"),
            environment: vec![],
        }
    }

    /// Sets a variable for all commands that follow.
    pub fn env(mut self, name: &str, value: &str) -> Workplace {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory for temporary files that programs are told of.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes a file, making the directories above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("directories are made");
        std::fs::write(&path, text).expect("the file is written");
        path
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        let path = self.path().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether a file or directory exists.
    pub fn exists(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    /// A command line for jumar, not yet started. Standard input is empty.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_jumar"));
        command.args(arguments);
        command
    }

    /// A command line for another program, in the same directory and environment. Standard input is empty.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("TZ", "UTC").env("TMPDIR", self.temporary.path());
        // Whoever runs the tests in the background ignores interrupts, and jumar would go on ignoring them.
        // SAFETY: signal(2) may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs jumar to its end.
    pub fn jumar(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().expect("jumar starts"))
    }

    /// Runs jumar to its end with a text on its standard input.
    pub fn piped(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut jumar = command.spawn().expect("jumar starts");
        let mut keyboard = jumar.stdin.take().expect("a pipe");
        // Who has ended does not read to the end.
        let _ = keyboard.write_all(input.as_bytes());
        drop(keyboard);
        jumar.wait_with_output().expect("it ends").into()
    }

    /// Starts jumar and does not wait for it.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("jumar starts")
    }

    /// The only run directory under `runs/`, as a path below the workplace.
    pub fn run(&self) -> String {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "one run was expected: {runs:?}");
        runs.remove(0)
    }

    /// All run directories under `runs/`, by name.
    pub fn runs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join("runs")).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|e| format!("runs/{}", e.expect("an entry").file_name().to_string_lossy()))
            .collect();
        names.sort();
        names
    }

    /// The text of the only run's state file.
    pub fn state(&self) -> String {
        self.read(&format!("{}/.experiment_state", self.run()))
    }

    /// The text of a run's state file once it names the first command that runs, which is the last thing recorded until
    /// that ends; the file is a view of the journal and may lag behind it for a moment.
    pub fn state_while_a_command_runs(&self, run: &str) -> String {
        let file = format!("{run}/.experiment_state");
        wait_until("the state file names the command", || {
            self.read(&file).contains("\"command\"")
        });
        self.read(&file)
    }

    /// A value of the only run's state file.
    pub fn value(&self, section: &str, key: &str) -> Option<String> {
        value_in(&self.state(), section, key)
    }
}

/// A value in the text of a state file.
pub fn value_in(text: &str, section: &str, key: &str) -> Option<String> {
    let mut here = "";
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(name) => here = name,
            None if here == section => {
                if let Some((name, value)) = line.split_once('=')
                    && name == key
                {
                    return Some(value.to_string());
                }
            }
            None => {}
        }
    }
    None
}

/// Says that a test, or a part of it, could not be made here. Not swallowed by the test harness, as `eprintln!` would be.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Waits until something is true, at most half a minute.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_true() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Asserts the exit code, showing what was written when it is another.
    #[track_caller]
    pub fn code(self, code: i32) -> Ended {
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Standard output and error with what differs from run to run replaced: times, durations, hashes, the workplace.
    pub fn redacted(&self, workplace: &Workplace) -> String {
        let text = format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        );
        redact(&text, workplace)
    }
}

/// Replaces what differs from run to run.
pub fn redact(text: &str, workplace: &Workplace) -> String {
    let mut text = text.replace(&workplace.path().to_string_lossy().into_owned(), "[DIR]");
    for (pattern, with) in [
        (r"\d{8}_\d{6}(_\d+)?", "[DATE]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( UTC)?", "[TIME]"),
        (
            r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}",
            "[TIME]",
        ),
        (r"\b\d+\.\ds\b", "[SECS]"),
        (r"after \d+\.\d s", "after [SECS]"),
    ] {
        let pattern = regex_lite::Regex::new(pattern).expect("a good pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

/// Sends a signal, named without SIG, to a program that was started.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.expect("kill starts").success(), "SIG{name} was sent");
}

impl Workplace {
    /// A workplace with one script in it, `pipeline.rhai`.
    pub fn with_script(text: &str) -> Workplace {
        let workplace = Workplace::new();
        workplace.write("pipeline.rhai", text);
        workplace
    }

    /// The value that phases of the only run left in `[seen]`.
    #[track_caller]
    pub fn seen(&self, key: &str) -> String {
        self.value("seen", key)
            .unwrap_or_else(|| panic!("no `{key}` in\n{}", self.state()))
    }
}

/// Whether a process runs, by its id as text; one that ended and has not been waited for does not.
pub fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|s| !s.contains(") Z"))
}

impl Drop for Workplace {
    /// Ends what a test left running here: a loop that waits for a file of a directory that is gone would never end.
    fn drop(&mut self) {
        let Ok(here) = self.path().canonicalize() else { return };
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let lives_here = std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&here));
            if lives_here && process.file_name() != *std::process::id().to_string() {
                let _ = Command::new("kill").arg("-9").arg(process.file_name()).status();
            }
        }
    }
}
