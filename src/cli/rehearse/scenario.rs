//! One rehearsed run: a host is started, comes to grief, and is started again.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

use super::stuck::Stuck;
use super::trouble::Trouble;
use crate::cli::args::RehearseArguments;
use crate::cli::error::CliError;
use crate::cli::exit_code;
use crate::plan::RawOption;
use crate::run::{Fault, REHEARSAL_VARIABLE, Rehearsal, STATE_FILE, attempts};
use crate::state::{read, value};

/// A host that takes longer than this with stand-ins hangs.
const LONGEST: Duration = Duration::from_secs(120);

/// What all rehearsed runs have in common.
pub(super) struct Stage {
    program: PathBuf,
    script: Option<String>,
    options: Vec<String>,
    scratch: PathBuf,
}

/// A fault, and what it is called.
pub(super) struct Scenario {
    pub fault: Fault,
    /// The step in which it strikes; empty outside of steps.
    pub step: String,
    pub trouble: Trouble,
}

/// A rehearsed run at its end.
pub(super) struct Played {
    /// Its run directory.
    pub run: PathBuf,
    /// What its stand-ins left.
    pub rehearsal: Rehearsal,
}

impl Stage {
    pub(super) fn new(
        script: Option<&str>,
        arguments: &RehearseArguments,
        raw: Vec<RawOption>,
        scratch: &Path,
    ) -> Result<Stage, CliError> {
        let program = std::env::current_exe()
            .map_err(|error| CliError::disk(format!("cannot find jumar's own program: {error}")))?;
        let mut options = Vec::new();
        for option in raw {
            match option.inline {
                Some(value) => options.push(format!("--{}={value}", option.name)),
                None => {
                    options.push(format!("--{}", option.name));
                    options.extend(option.following);
                }
            }
        }
        for (key, value) in &arguments.parameter {
            options.extend(["-p".to_string(), format!("{key}={value}")]);
        }
        Ok(Stage {
            program,
            script: script.map(String::from),
            options,
            scratch: scratch.into(),
        })
    }

    /// Runs the pipeline with stand-ins and without a fault.
    ///
    /// # Errors
    /// What is in the way when it does not get to the end.
    pub(super) fn play_straight(&self) -> Result<Played, Stuck> {
        let mut played = self.open("straight").map_err(|e| Stuck::plain(e.to_string()))?;
        let status = played.host(self, true).and_then(|mut host| wait(&mut host));
        let failed = status
            .as_ref()
            .is_ok_and(|s| s.code() == Some(i32::from(exit_code::FAILED)));
        if failed && let Some(stuck) = Stuck::of(&played.played) {
            return Err(stuck);
        }
        played.expect_success(status).map_err(Stuck::plain)?;
        Ok(played.played)
    }

    /// Runs the pipeline into a fault and takes it up again until it is done.
    ///
    /// # Errors
    /// What the host said when it could not be taken up.
    pub(super) fn play(&self, scenario: &Scenario, number: usize) -> Result<Played, String> {
        let name = format!(
            "{}.{}.{number}",
            scenario.fault.phase.replace('/', "-"),
            scenario.trouble.name()
        );
        let mut played = self.open(&name).map_err(|e| e.to_string())?;
        let first = played.meet_trouble(self, scenario).map_err(|e| e.to_string())?;
        if first.success() {
            // A policy of the script's own mended it.
            return Ok(played.played);
        }
        let status = played.host(self, false).and_then(|mut host| wait(&mut host));
        played.expect_success(status)?;
        Ok(played.played)
    }

    fn open(&self, name: &str) -> io::Result<Playing> {
        let directory = self.scratch.join(name);
        fs::create_dir_all(&directory)?;
        Ok(Playing {
            output: directory.join("output"),
            played: Played {
                run: directory.join("run"),
                rehearsal: Rehearsal::new(&directory),
            },
            directory,
        })
    }
}

/// A rehearsed run under way.
struct Playing {
    directory: PathBuf,
    output: PathBuf,
    played: Played,
}

impl Playing {
    /// Starts a host, for the first time or to take the run up.
    fn host(&mut self, stage: &Stage, first: bool) -> io::Result<Child> {
        let mut command = Command::new(&stage.program);
        if first {
            command.arg("run").args(&stage.script).args(&stage.options);
            command.arg("--run-dir").arg(&self.played.run);
        } else {
            command.arg("resume").arg(&self.played.run);
        }
        let output = File::create(&self.output)?;
        command
            .args(["-q", "-y", "--color", "never"])
            .env(REHEARSAL_VARIABLE, &self.directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A Ctrl-C is for the rehearsal as a whole: the hosts hear of it from the terminal no more.
            .process_group(0);
        command.spawn()
    }

    fn meet_trouble(&mut self, stage: &Stage, scenario: &Scenario) -> io::Result<ExitStatus> {
        self.played.rehearsal.plan(&scenario.fault)?;
        let mut host = self.host(stage, true)?;
        let signal = match scenario.trouble {
            Trouble::HostKilled | Trouble::StateTorn => Signal::KILL,
            Trouble::HostStopped => Signal::TERM,
            _ => return wait(&mut host),
        };
        let until = Instant::now() + LONGEST;
        while !self.played.rehearsal.is_reached() {
            if let Some(status) = host.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if let Some(pid) = i32::try_from(host.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal)?;
        }
        let status = wait(&mut host)?;
        self.played.rehearsal.go_on()?;
        if scenario.trouble == Trouble::StateTorn {
            let state = self.played.run.join(STATE_FILE);
            let length = fs::metadata(&state)?.len();
            File::options().write(true).open(state)?.set_len(length / 2)?;
        }
        Ok(status)
    }

    fn expect_success(&self, status: io::Result<ExitStatus>) -> Result<(), String> {
        let status = status.map_err(|error| format!("jumar could not be run: {error}"))?;
        if status.success() {
            return Ok(());
        }
        if status.code() == Some(i32::from(exit_code::FAILED))
            && let Some(failure) = self.last_failure()
        {
            return Err(failure);
        }
        let said = fs::read_to_string(&self.output).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).take(12).collect();
        Err(format!("jumar ended with {status}:\n    {}", lines.join("\n    ")))
    }

    fn last_failure(&self) -> Option<String> {
        let state = read(&self.played.run.join(STATE_FILE)).ok()?;
        let about = |key| state.get("failures", key).map(value::decode);
        let word = |key| about(key)?.as_str().map(String::from);
        let (phase, kind, error) = (
            word("last_failure")?,
            word("last_failure_kind")?,
            word("last_failure_error")?,
        );
        let attempt = attempts(&state, &phase).len();
        Some(format!("attempt {attempt} at {phase} failed: {kind}: {error}"))
    }
}

fn wait(host: &mut Child) -> io::Result<ExitStatus> {
    if let Some(status) = host.wait_timeout(LONGEST)? {
        return Ok(status);
    }
    host.kill()?;
    host.wait()?;
    Err(io::Error::other(format!("it hung for {} s", LONGEST.as_secs())))
}
