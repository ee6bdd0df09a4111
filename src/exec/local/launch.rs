//! Starts the process of a command with everything set up around it.

use std::env;
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{MemfdFlags, OFlags};

use super::leader::Leader;
use super::program_file::ProgramFile;
use super::spawn::{self, Spawn};
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
    pub(super) stdin: Option<&'a File>,
    pub(super) stdout: &'a File,
    pub(super) stderr: &'a File,
}

/// Starts a program as the leader of a new process group, under an id that no other command has. Its descriptors are the three
/// given and no others of ours.
pub(super) fn launch(program: &ProgramFile, around: &Around<'_>, command_id: String) -> io::Result<Started> {
    let words = [&program.name].into_iter().chain(&program.arguments);
    let arguments = words.map(|word| CString::new(word.as_str()));
    let changes = Changes::new(around.env, &nested_id(&command_id))?;
    let cwd = around.cwd.map(|cwd| CString::new(cwd.as_os_str().as_bytes()));
    let cwd = cwd.transpose()?;
    let stdin = match around.stdin {
        Some(stdin) => stdin,
        None => nothing()?,
    };
    let spawn = Spawn {
        file: &CString::new(program.file.as_os_str().as_bytes())?,
        arguments: &arguments.collect::<Result<Vec<_>, _>>()?,
        environment: &changes.whole(),
        cwd: cwd.as_deref(),
        standard: [stdin, around.stdout, around.stderr].map(File::as_fd),
    };
    let leader = Leader::start(|| spawn::spawn(&spawn))?;
    Ok(Started { leader, command_id })
}

/// A file that has nothing in it.
fn nothing() -> io::Result<&'static File> {
    static NOTHING: OnceLock<File> = OnceLock::new();
    if let Some(file) = NOTHING.get() {
        return Ok(file);
    }
    let file = File::open("/dev/null")?;
    Ok(NOTHING.get_or_init(|| file))
}

/// This process's own environment, by names. It never changes.
static OWN_ENVIRONMENT: LazyLock<Vec<(OsString, CString)>> = LazyLock::new(|| {
    let entries = env::vars_os().filter_map(|(name, value)| {
        let entry = entry(name.as_bytes(), value.as_bytes()).ok()?;
        Some((name, entry))
    });
    entries.collect()
});

/// What a command's environment has that ours has not, and the other way round.
struct Changes<'a> {
    names: Vec<&'a str>,
    entries: Vec<CString>,
}

impl<'a> Changes<'a> {
    /// Of several changes of one variable the last counts, and of this one the mark.
    fn new(changes: &'a [(String, Option<String>)], mark: &str) -> io::Result<Self> {
        let mut names = vec![COMMAND_ID_VARIABLE];
        let mut entries = vec![entry(COMMAND_ID_VARIABLE.as_bytes(), mark.as_bytes())?];
        for (name, value) in changes.iter().rev() {
            if names.contains(&name.as_str()) {
                continue;
            }
            names.push(name);
            if let Some(value) = value {
                entries.push(entry(name.as_bytes(), value.as_bytes())?);
            }
        }
        Ok(Changes { names, entries })
    }

    /// The environment with them.
    fn whole(&self) -> Vec<&CStr> {
        let kept = OWN_ENVIRONMENT
            .iter()
            .filter(|(name, _)| !self.names.iter().any(|changed| name == changed))
            .map(|(_, entry)| entry);
        kept.chain(&self.entries).map(CString::as_c_str).collect()
    }
}

fn entry(name: &[u8], value: &[u8]) -> io::Result<CString> {
    Ok(CString::new([name, b"=", value].concat())?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_variable_counts_and_the_mark_cannot_be_changed() {
        let change = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let changes = [
            change("TWICE", Some("first")),
            change("PATH", None),
            change("TWICE", Some("last")),
            change("TAKEN_BACK", Some("x")),
            change("TAKEN_BACK", None),
            change(COMMAND_ID_VARIABLE, Some("forged")),
        ];
        let changes = Changes::new(&changes, "mark").unwrap();
        let whole = changes.whole();
        let of = |name: &str| {
            let entries = whole.iter().map(|entry| entry.to_str().unwrap());
            entries
                .filter_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
                .collect::<Vec<_>>()
        };
        assert_eq!((of("TWICE"), of(COMMAND_ID_VARIABLE)), (vec!["last"], vec!["mark"]));
        assert!(of("PATH").is_empty() && of("TAKEN_BACK").is_empty());
        assert_eq!(of("HOME"), std::env::var("HOME").into_iter().collect::<Vec<_>>());
    }
}
