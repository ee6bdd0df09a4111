//! Why a command could not be run, as opposed to how it ended.

use std::io;
use std::path::PathBuf;

/// A command could not be started, followed or taken to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no such program, or no such interpreter for a script.
    #[error("{program}: command not found")]
    NotFound {
        /// The program as it was asked for.
        program: String,
    },
    /// The file is there, but may not be executed.
    #[error("{program}: permission denied (is it executable?)")]
    Permission {
        /// The program as it was asked for.
        program: String,
    },
    /// The command names no program at all.
    #[error("an empty command cannot be run")]
    Empty,
    /// The command's working directory is missing, or cannot be entered.
    #[error("cannot work in the directory {}: {source}", cwd.display())]
    NoSuchDirectory {
        /// The working directory as it was asked for.
        cwd: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log, or the file beside it that holds captured output, could not be made or written.
    #[error("cannot write the log {}: {source}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The command wrote more to standard output than is captured; it was stopped.
    #[error("`{command}` wrote more than {} MiB to captured output; send it to a file instead", limit >> 20)]
    CaptureTooLarge {
        /// The command on one line.
        command: String,
        /// How much is captured at most, in bytes.
        limit: u64,
    },
    /// The system refused to start the program for another reason.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program as it was asked for.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A stop was requested before the command was started; nothing ran.
    #[error("`{command}` was not started: a stop was requested")]
    StopRequested {
        /// The command on one line.
        command: String,
    },
    /// The command's end could not be learned from the system.
    #[error("lost track of `{command}`: {source}")]
    Wait {
        /// The command on one line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The command was started by a keeper that was killed, and has ended since.
    #[error("nobody saw how `{command}` ended: the process that waited for it was killed")]
    Unseen {
        /// The command on one line.
        command: String,
    },
    /// The command had to be stopped but could not be: it belongs to another user, or hangs in the kernel, as on a dead disk.
    #[error("`{command}` (process {pid}) could not be ended: it is another user's, or hangs in the kernel")]
    Unkillable {
        /// The command on one line.
        command: String,
        /// Its process id.
        pid: i32,
    },
}

impl ExecError {
    /// The system's error number behind this error, when there is one: the evidence for telling a full disk from a missing
    /// file.
    pub fn errno(&self) -> Option<i32> {
        match self {
            ExecError::NotFound { .. } => Some(libc::ENOENT),
            ExecError::Permission { .. } => Some(libc::EACCES),
            ExecError::NoSuchDirectory { source, .. }
            | ExecError::Log { source, .. }
            | ExecError::Spawn { source, .. }
            | ExecError::Wait { source, .. } => source.raw_os_error(),
            ExecError::Empty
            | ExecError::CaptureTooLarge { .. }
            | ExecError::StopRequested { .. }
            | ExecError::Unseen { .. }
            | ExecError::Unkillable { .. } => None,
        }
    }
}
