//! A command on its way: everything is looked up and opened before it starts, and put together when it has ended.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use super::capture::{CAPTURE_LIMIT, Capture};
use super::ending::{Beginning, own_name};
use super::keeper::{Noted, Run};
use super::launch::{self, Around, Started};
use super::program_file::{self, ProgramFile};
use crate::exec::logbook::{End, Line, Start, Why};
use crate::exec::{Command, ExecError, Exit, Status};

/// A command that is ready to start.
pub(super) struct Prepared<'a> {
    pub(super) command: &'a Command,
    pub(super) id: String,
    pub(super) program: ProgramFile,
    pub(super) log: Arc<File>,
    pub(super) stdin: Option<File>,
    log_start: u64,
    capture: Option<Capture>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(command: &'a Command, kept: bool) -> Result<Self, ExecError> {
        let program = program_file::find(&command.program, command.cwd.as_deref(), &command.env)?;
        let log_error = |source| log_error(command, source);
        let log = match &command.log_file {
            Some(log) => Arc::clone(log),
            None => Arc::new(open_log(command).map_err(log_error)?),
        };
        let id = launch::new_command_id(kept);
        let capture = match (&command.note, command.capture) {
            (_, false) => None,
            (None, true) => Some(Capture::beside(&command.log)),
            (Some(note), true) => Some(Capture::kept(
                note.logbook.path().with_file_name(format!("{id}.stdout")),
            )),
        };
        Ok(Prepared {
            log_start: log.metadata().map_err(log_error)?.len(),
            capture: capture.transpose().map_err(log_error)?,
            stdin: launch::input_file(&command.stdin).map_err(|source| program_file::explain(&program, source))?,
            command,
            id,
            program,
            log,
        })
    }

    /// Where its standard output goes, when that is not its log.
    pub(super) fn captured(&self) -> Option<&File> {
        self.capture.as_ref().map(Capture::writer)
    }

    /// Where its start and its end are written down.
    pub(super) fn logbook(&self) -> Option<&File> {
        self.command.note.as_ref().map(|note| note.logbook.file())
    }

    /// Whether it wrote more than is captured.
    pub(super) fn wrote_too_much(&self) -> io::Result<bool> {
        self.capture.as_ref().map_or(Ok(false), Capture::is_too_large)
    }

    /// What a keeper has to know of it.
    pub(super) fn request(&self) -> Box<Run> {
        let noted = self.command.note.as_ref();
        Box::new(Run {
            id: self.id.clone(),
            program: self.program.clone(),
            cwd: self.command.cwd.clone(),
            env: self.command.env.clone(),
            has_input: self.stdin.is_some(),
            captured: self.capture.is_some(),
            noted: noted.map(|note| Noted {
                label: note.label.clone(),
                log: self.command.log.clone(),
                log_start: self.log_start,
                capture: self.capture.as_ref().map(|capture| capture.path().to_owned()),
            }),
        })
    }

    /// Starts it as a child of this process, and notes that.
    pub(super) fn start(&self, beginning: &Beginning) -> Result<Started, ExecError> {
        let around = Around {
            cwd: self.command.cwd.as_deref(),
            env: &self.command.env,
            stdin: self.stdin.as_ref(),
            stdout: self.captured().unwrap_or(&self.log),
            stderr: &self.log,
        };
        let started = launch::launch(&self.program, &around, self.id.clone())
            .map_err(|source| program_file::explain(&self.program, source))?;
        if let (Some(noted), Some(process)) = (self.request().noted, started.leader.name()) {
            self.note(&Line::Start(Start {
                id: self.id.clone(),
                label: noted.label,
                process,
                keeper: own_name(),
                began: beginning.since_boot(),
                log: noted.log,
                log_start: noted.log_start,
                capture: noted.capture,
            }));
        }
        Ok(started)
    }

    /// Notes its end, for when nobody else has.
    pub(super) fn note_end(&self, end: &End) {
        self.note(&Line::End {
            id: self.id.clone(),
            end: end.clone(),
        });
    }

    /// A note that cannot be made costs a later host what it says, and nobody else.
    fn note(&self, line: &Line) {
        if let Some(note) = &self.command.note {
            let _ = note.logbook.append(line);
        }
    }

    /// What the command's caller gets to know of its end.
    pub(super) fn conclude(mut self, end: End) -> Result<Exit, ExecError> {
        let (command, capture) = (self.command, self.capture.take());
        let stdout = capture
            .map(|capture| take_captured(capture, command, &self.log))
            .transpose()?;
        if stdout.is_some() && command.note.is_some() {
            self.note(&Line::Taken { id: self.id.clone() });
        }
        exit_of(command, end, self.log_start, stdout)
    }
}

/// A command's end as an [`Exit`].
pub(super) fn exit_of(command: &Command, end: End, log_start: u64, stdout: Option<String>) -> Result<Exit, ExecError> {
    if end.why == Some(Why::TooMuch) {
        return Err(too_large(command));
    }
    Ok(Exit {
        status: match (end.code, end.signal) {
            (None, Some(signal)) => Status::Signal(signal),
            (code, _) => Status::Code(code.unwrap_or(0)),
        },
        stopped: end.why.and_then(Why::stopped),
        seconds: end.seconds,
        max_rss_kib: end.max_rss_kib,
        user_seconds: end.user_seconds,
        system_seconds: end.system_seconds,
        kernel_oom_kills: end.machine_oom_kills,
        cgroup_oom_kills: end.cgroup_oom_kills,
        stdout,
        log_start,
        log_end: end.log_end,
        survivors: end.survivors,
    })
}

/// Copies captured output to the log and returns it.
pub(super) fn take_captured(capture: Capture, command: &Command, log: &File) -> Result<String, ExecError> {
    let log_error = |source| log_error(command, source);
    if capture.is_too_large().map_err(log_error)? {
        capture.copy_to(log, TOO_LARGE_SAMPLE).map_err(log_error)?;
        return Err(too_large(command));
    }
    let bytes = capture.copy_to(log, CAPTURE_LIMIT).map_err(log_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How much of captured output that was too large reaches the log, to show what it was.
const TOO_LARGE_SAMPLE: u64 = 64 << 10;

fn too_large(command: &Command) -> ExecError {
    ExecError::CaptureTooLarge {
        command: command.display(),
        limit: CAPTURE_LIMIT,
    }
}

pub(super) fn log_error(command: &Command, source: io::Error) -> ExecError {
    ExecError::Log {
        path: command.log.clone(),
        source,
    }
}

/// Opens the log for appending and makes the directories above it.
pub(super) fn open_log(command: &Command) -> io::Result<File> {
    let open = || File::options().append(true).create(true).open(&command.log);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = command.log.parent() {
                fs::create_dir_all(parent)?;
            }
            open()
        }
        opened => opened,
    }
}
