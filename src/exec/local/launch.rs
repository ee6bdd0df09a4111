//! Starts the process of a command with everything set up around it.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{MemfdFlags, OFlags};

use super::leader::Leader;
use super::program_file::{self, ProgramFile};
use crate::exec::{ExecError, Stdin};

/// The environment variable by which everything that a command starts can be recognized. Its value is the ids of the command
/// and, before it, of the commands that the host itself runs inside, joined by slashes.
pub(super) const COMMAND_ID_VARIABLE: &str = "JUMAR_COMMAND_ID";

/// A command that runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) leader: Leader,
    /// Its own part of [`COMMAND_ID_VARIABLE`].
    pub(super) command_id: String,
}

/// What is set up around a program.
pub(super) struct Around<'a> {
    pub(super) cwd: Option<&'a Path>,
    pub(super) env: &'a [(String, Option<String>)],
    pub(super) stdin: &'a Stdin,
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// Starts a program as the leader of a new process group. Its descriptors are the three given and no others of ours.
pub(super) fn launch(program: &ProgramFile, around: Around<'_>) -> Result<Started, ExecError> {
    let command_id = new_command_id();
    let mut command = process::Command::new(&program.file);
    command
        .arg0(&program.name)
        .args(&program.arguments)
        .process_group(0)
        .stdout(around.stdout)
        .stderr(around.stderr);
    if let Some(cwd) = around.cwd {
        command.current_dir(cwd);
    }
    for (name, value) in around.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env(COMMAND_ID_VARIABLE, nested_id(&command_id));
    match around.stdin {
        Stdin::Null => command.stdin(Stdio::null()),
        Stdin::Text(text) => match file_of_text(text) {
            Ok(file) => command.stdin(file),
            Err(source) => {
                let program = program.name.clone();
                return Err(ExecError::Spawn { program, source });
            }
        },
    };
    let leader = Leader::start(|| command.spawn()).map_err(|source| program_file::explain(program, source))?;
    Ok(Started { leader, command_id })
}

/// A file in memory that holds a text and stands at its beginning: unlike a pipe it needs nobody to feed it, so a command that
/// does not read its input blocks nobody.
fn file_of_text(text: &str) -> io::Result<File> {
    let mut file = memory_file("stdin")?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// An empty file without a place on any disk, always written at its end.
pub(super) fn memory_file(name: &str) -> io::Result<File> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file.into())
}

/// Whether a value of [`COMMAND_ID_VARIABLE`] tells of a command that this process started.
pub(super) fn is_of_this_host(mark: &str) -> bool {
    mark.split('/').any(|id| id.starts_with(HOST_ID.as_str()))
}

/// What the ids of all commands of this process begin with, and no others.
static HOST_ID: LazyLock<String> = LazyLock::new(|| {
    // A clock before 1970 only makes the id less unique.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:x}.{}.", now.unwrap_or_default().as_nanos(), process::id())
});

/// An id that no other command has, of this host or another one.
fn new_command_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}{}", *HOST_ID, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The id below those of the commands that this host runs inside, so that stopping one of those finds what we started.
fn nested_id(command_id: &str) -> String {
    match std::env::var(COMMAND_ID_VARIABLE) {
        Ok(outer) if !outer.is_empty() => format!("{outer}/{command_id}"),
        _ => command_id.to_owned(),
    }
}
