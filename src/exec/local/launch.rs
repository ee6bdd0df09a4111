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
use super::program_file::ProgramFile;
use crate::exec::Stdin;

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
    /// What it reads; nothing when `None`.
    pub(super) stdin: Option<File>,
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// Starts a program as the leader of a new process group, under an id that no other command has. Its descriptors are the three
/// given and no others of ours.
pub(super) fn launch(program: &ProgramFile, around: Around<'_>, command_id: String) -> io::Result<Started> {
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
        Some(file) => command.stdin(file),
        None => command.stdin(Stdio::null()),
    };
    let leader = Leader::start(|| command.spawn())?;
    Ok(Started { leader, command_id })
}

/// What a command reads as its standard input, as a file; `None` when that is nothing.
pub(super) fn input_file(stdin: &Stdin) -> io::Result<Option<File>> {
    match stdin {
        Stdin::Null => Ok(None),
        Stdin::Text(text) => file_of_text(text).map(Some),
    }
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

/// Whether a value of [`COMMAND_ID_VARIABLE`] names no more commands than this process itself runs inside.
pub(super) fn is_only_outer(mark: &str) -> bool {
    std::env::var(COMMAND_ID_VARIABLE).is_ok_and(|outer| outer == mark)
}

/// What the ids of all commands of this process begin with, and no others.
static HOST_ID: LazyLock<String> = LazyLock::new(|| {
    // A clock before 1970 only makes the id less unique.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:x}.{}.", now.unwrap_or_default().as_nanos(), process::id())
});

/// An id that no other command has, of this host or another one. A command that a keeper starts is no child of this process and
/// is not known by [`is_of_this_host`].
pub(super) fn new_command_id(kept: bool) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let host_id = HOST_ID.as_str();
    if kept {
        format!("k{host_id}{count}")
    } else {
        format!("{host_id}{count}")
    }
}

/// The id below those of the commands that this host runs inside, so that stopping one of those finds what we started.
fn nested_id(command_id: &str) -> String {
    match std::env::var(COMMAND_ID_VARIABLE) {
        Ok(outer) if !outer.is_empty() => format!("{outer}/{command_id}"),
        _ => command_id.to_owned(),
    }
}
