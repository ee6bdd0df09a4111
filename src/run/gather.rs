//! Gathering a run's provenance while its first phase runs.
//!
//! Asking git, Python and nvidia-smi takes up to seconds; nobody waits for the answers before the run begins. A thread
//! asks, writes what it knows after each answer, and gives up when the run is stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use std::collections::BTreeMap;

use super::attempt_record::now;
use super::provenance::{Git, Gpu, Machine, Provenance, Python, keep_changes, masked, read, write};
use super::{STATE_FILE, Session};
use crate::exec::{Program, StopSignal, look_up};
use crate::state::private_directory;

/// The most time that one question may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);
/// How long the end of a run waits for answers that are still out.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// Names of changed files that are kept.
const CHANGES_KEPT: usize = 100;

/// Lists what is installed without importing any of it. The first line keeps a `json.py` in the working directory out.
const PYTHON_QUESTION: &str = "\
import sys
if sys.path and sys.path[0] == '': del sys.path[0]
import json, importlib.metadata as metadata
found = {}
for distribution in metadata.distributions():
    name = distribution.metadata['Name']
    if name: found.setdefault(name, distribution.version)
packages = {name: found[name] for name in sorted(found, key=str.lower)}
version = '.'.join(map(str, sys.version_info[:3]))
print(json.dumps({'version': version, 'executable': sys.executable, 'packages': packages}))
";

/// A thread that gathers. [`Gathering::finish`] ends it.
pub struct Gathering {
    thread: Option<JoinHandle<()>>,
    done: Receiver<()>,
    stop: StopSignal,
}

impl Gathering {
    /// Begins to gather for a run that has just begun or been resumed. `script` is its text: only one that mentions Python
    /// has Python looked at. What cannot be learnt is left out; nothing fails.
    pub fn start(session: &Arc<Session>, script: &str) -> Gathering {
        let (sender, done) = mpsc::channel();
        let stop = session.stop.child();
        let thread = session.directory.path().ok().and_then(|directory| {
            let gatherer = Gatherer {
                directory: private_directory(&directory.join(STATE_FILE)),
                changes: session
                    .environment()
                    .iter()
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect(),
                uses_python: script.contains("python"),
                stop: stop.clone(),
            };
            let work = move || {
                gatherer.gather();
                let _ = sender.send(());
            };
            thread::Builder::new().name("provenance".into()).spawn(work).ok()
        });
        Gathering { thread, done, stop }
    }

    /// Waits for answers that are still out, but not for long.
    pub fn finish(self) {
        if self.done.recv_timeout(LONGEST_WAIT).is_err() {
            self.stop.request();
            self.stop.request();
        }
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

struct Gatherer {
    directory: PathBuf,
    changes: Vec<(String, Option<String>)>,
    uses_python: bool,
    stop: StopSignal,
}

impl Gatherer {
    fn gather(&self) {
        let earlier = read(&self.directory);
        let mut known = Provenance {
            at: now(),
            jumar: env!("CARGO_PKG_VERSION").into(),
            working_directory: std::env::current_dir()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            machine: machine(),
            environment: self.environment(),
            ..Provenance::default()
        };
        let keep = |known: &Provenance| {
            let _ = write(&self.directory, &earlier, known);
        };
        keep(&known);
        known.git = self.git();
        (known.driver, known.gpus) = self.gpus();
        keep(&known);
        if self.uses_python {
            known.python = self.python();
            keep(&known);
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = std::env::vars_os()
            .map(|(n, v)| (n.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()))
            .collect();
        for (name, value) in &self.changes {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        all.into_iter()
            .map(|(name, value)| {
                let value = masked(&name, &value);
                (name, value)
            })
            .collect()
    }

    fn ask(&self, words: &[&str], more: &[(&str, &str)]) -> Option<String> {
        let program = Program::Argv(words.iter().map(|w| (*w).to_string()).collect());
        let mut environment = self.changes.clone();
        environment.extend(more.iter().map(|(n, v)| ((*n).to_string(), Some((*v).to_string()))));
        let answer = look_up(&program, None, &environment, LONGEST_ANSWER, &self.stop).ok()?;
        answer.success().then_some(answer.stdout)
    }

    /// Without locks: a look at a repository must not be in the way of somebody who works in it.
    fn ask_git(&self, words: &[&str]) -> Option<String> {
        let mut all = vec!["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"];
        all.extend(words);
        self.ask(&all, &[("GIT_OPTIONAL_LOCKS", "0"), ("LC_ALL", "C")])
    }

    fn git(&self) -> Option<Git> {
        let commit = self.ask_git(&["rev-parse", "HEAD"])?.trim().to_string();
        let branch = self
            .ask_git(&["symbolic-ref", "--short", "-q", "HEAD"])
            .unwrap_or_default();
        let status = self
            .ask_git(&["status", "--porcelain", "--untracked-files=no"])
            .unwrap_or_default();
        let mut git = Git {
            commit,
            branch: branch.trim().into(),
            dirty: !status.trim().is_empty(),
            changes: status
                .lines()
                .take(CHANGES_KEPT)
                .map(|l| l.trim().to_string())
                .collect(),
            ..Git::default()
        };
        if git.dirty {
            let summary = self
                .ask_git(&["diff", "HEAD", "--shortstat", "--no-ext-diff"])
                .unwrap_or_default();
            git.summary = summary.trim().into();
            let text = self.ask_git(&["diff", "HEAD", "--no-ext-diff", "--no-textconv"]);
            if let Some(text) = text {
                git.diff_hash = blake3::hash(text.as_bytes()).to_hex()[..16].to_string();
                keep_changes(&self.directory, &git.diff_hash, &text);
            }
        }
        Some(git)
    }

    fn gpus(&self) -> (Option<String>, Vec<Gpu>) {
        let question = "--query-gpu=index,name,memory.total,driver_version";
        let answer = self
            .ask(&["nvidia-smi", question, "--format=csv,noheader,nounits"], &[])
            .unwrap_or_default();
        let mut driver = None;
        let read = |line: &str| {
            let mut fields = line.split(',').map(|f| f.trim().to_string());
            let gpu = Gpu {
                index: fields.next()?,
                name: fields.next()?,
                memory_mib: fields.next()?.parse().unwrap_or(0),
            };
            driver = fields.next().or(driver.take());
            Some(gpu)
        };
        let gpus = answer.lines().filter_map(read).collect();
        (driver, gpus)
    }

    fn python(&self) -> Option<Python> {
        let answer = self.ask(&["python3", "-B", "-c", PYTHON_QUESTION], &[])?;
        serde_json::from_str(answer.lines().last()?).ok()
    }
}

fn machine() -> Machine {
    let kernel = rustix::system::uname();
    let text = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    let after = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|l| l.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let memory = after("/proc/meminfo", "MemTotal").unwrap_or_default();
    Machine {
        host: text(kernel.nodename()),
        system: format!("{} {}", text(kernel.sysname()), text(kernel.release())),
        architecture: text(kernel.machine()),
        processor: after("/proc/cpuinfo", "model name").unwrap_or_default(),
        cpus: thread::available_parallelism().map_or(0, usize::from),
        memory_kib: memory
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0),
    }
}
