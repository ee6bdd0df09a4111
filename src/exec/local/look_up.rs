//! Short commands that only look something up, whose answer is wanted and whose output belongs in no log.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;

use super::launch::{self, Around};
use super::program_file;
use super::watch::{Limits, watch};
use crate::exec::logbook::Why;
use crate::exec::{ExecError, Program, Status, StopSignal, Stopped};

/// How much a look-up may write to standard output and to standard error each, in bytes.
pub const LOOK_UP_LIMIT: u64 = 4 << 20;

/// What a look-up answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    /// How the process ended.
    pub status: Status,
    /// Why it was stopped, when it did not end by itself.
    pub stopped: Option<Stopped>,
    /// What it wrote to standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error, likewise.
    pub stderr: String,
}

impl LookUp {
    /// Whether it ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.stopped.is_none() && self.status == Status::Code(0)
    }
}

/// Runs a short command that changes nothing, and returns what it wrote. It reads nothing, writes no log and is killed with all
/// it started when `timeout` is over or a stop is requested. What it leaves in the background is not waited for.
///
/// # Errors
///
/// When it cannot be started, writes more than [`LOOK_UP_LIMIT`], a stop was requested already, or its end cannot be
/// learned. A look-up that ran and failed is not an error.
pub fn look_up(
    program: &Program,
    cwd: Option<&Path>,
    env: &[(String, Option<String>)],
    timeout: Duration,
    stop: &StopSignal,
) -> Result<LookUp, ExecError> {
    let lost_track = |source| ExecError::Wait {
        command: program.display(),
        source,
    };
    if stop.is_requested() {
        let command = program.display();
        return Err(ExecError::StopRequested { command });
    }
    let file = program_file::find(program, cwd, env)?;
    // Files in memory and not pipes: nobody has to empty them while the command runs, and a child that keeps them open in the
    // background keeps nobody waiting.
    let output = Output::new().map_err(|source| program_file::explain(&file, source))?;
    let around = Around {
        cwd,
        env,
        stdin: None,
        stdout: &output.stdout,
        stderr: &output.stderr,
    };
    let started = launch::launch(&file, &around, launch::new_command_id(false))
        .map_err(|source| program_file::explain(&file, source))?;
    let limits = Limits {
        timeout: Some(timeout),
        stop,
        wrote_too_much: &|| output.is_too_large(),
        about_to_stop: &|_| (),
        grace: Duration::ZERO,
    };
    let watched = watch(&started, &limits).map_err(lost_track)?;
    let pid = started.leader.pid().as_raw_nonzero().get();
    if watched.survivors.contains(&pid) {
        let command = program.display();
        return Err(ExecError::Unkillable { command, pid });
    }
    let ended = started.leader.reap().map_err(lost_track)?;
    if output.is_too_large().map_err(lost_track)? {
        return Err(ExecError::CaptureTooLarge {
            command: program.display(),
            limit: LOOK_UP_LIMIT,
        });
    }
    Ok(LookUp {
        status: ended.status,
        stopped: watched.why.and_then(Why::stopped),
        stdout: text_of(output.stdout).map_err(lost_track)?,
        stderr: text_of(output.stderr).map_err(lost_track)?,
    })
}

/// Where a look-up writes.
struct Output {
    stdout: File,
    stderr: File,
}

impl Output {
    fn new() -> io::Result<Self> {
        Ok(Output {
            stdout: launch::memory_file("stdout")?,
            stderr: launch::memory_file("stderr")?,
        })
    }

    fn is_too_large(&self) -> io::Result<bool> {
        let largest = self.stdout.metadata()?.len().max(self.stderr.metadata()?.len());
        Ok(largest > LOOK_UP_LIMIT)
    }
}

/// What was written, up to the limit: something left in the background may still be writing.
fn text_of(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LOOK_UP_LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
