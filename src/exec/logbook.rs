//! The logbook of an attempt: which commands were started, and how they ended, written down by whoever is left to see it.
//!
//! When an attempt is over its logbook serves another one, under a new title: to make and remove a file for each would
//! cost more than all that is written into it. Only what follows the last title counts.
//!
//! One line of JSON each. A command's start and end are written by the process that waits for it, so that an end is on file
//! before anybody is told of it. Several processes may append, and each may be killed in the middle of a line: a line is
//! therefore written between two newlines and in one call, and what is not a whole line is passed over when reading. Nothing is
//! ever synced: what is here only counts while the machine stays up, and a killed process takes nothing of the page cache along.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::exec::Stopped;

mod shelf;

pub use shelf::Shelf;

/// Where a command's start and end are written down, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The logbook.
    pub logbook: Logbook,
    /// The caller's own name for the command.
    pub label: String,
}

/// What a logbook says of one command.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The command's id, which no other command has.
    pub id: String,
    /// The caller's name for it.
    pub label: String,
    /// Its process.
    pub process: ProcessName,
    /// The process that waited for it first.
    pub keeper: ProcessName,
    /// When it was started, in seconds since the machine was booted.
    pub began: f64,
    /// Its log.
    pub log: PathBuf,
    /// The log's length before it wrote anything, in bytes.
    pub log_start: u64,
    /// Where its standard output is kept, when that is captured.
    pub capture: Option<PathBuf>,
    /// Why somebody began to stop it.
    pub stopped: Option<Why>,
    /// How it ended; `None` while nobody has seen its end.
    pub end: Option<End>,
    /// Whether its captured output has joined the log.
    pub taken: bool,
}

/// A process, named so that no later one is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessName {
    /// Its process id.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

/// Why a command was stopped, as a logbook knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It ran longer than its timeout.
    Timeout,
    /// A stop was requested.
    Interrupted,
    /// It wrote more than is captured.
    TooMuch,
}

impl Why {
    /// The reason as an [`Exit`](crate::exec::Exit) gives it.
    pub(super) fn stopped(self) -> Option<Stopped> {
        match self {
            Why::Timeout => Some(Stopped::Timeout),
            Why::Interrupted => Some(Stopped::Interrupted),
            Why::TooMuch => None,
        }
    }
}

/// The end of a command, as it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Its exit code, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// How long it ran, in seconds.
    pub seconds: f64,
    /// Its largest resident memory, in KiB.
    pub max_rss_kib: u64,
    /// Processor time in the command, in seconds.
    pub user_seconds: f64,
    /// Processor time in the kernel for it, in seconds.
    pub system_seconds: f64,
    /// Processes that the kernel killed meanwhile for want of memory, on the whole machine.
    pub machine_oom_kills: u64,
    /// The same in its control group.
    pub cgroup_oom_kills: u64,
    /// The length of its log when it had ended, in bytes.
    pub log_end: u64,
    /// What a stop could not end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<i32>,
    /// When that was, in milliseconds since 1970.
    pub unix_ms: u64,
}

/// The beginning of a command, as a logbook keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) process: ProcessName,
    pub(super) keeper: ProcessName,
    pub(super) began: f64,
    pub(super) log: PathBuf,
    pub(super) log_start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) capture: Option<PathBuf>,
}

/// What a logbook belongs to: text of the caller's, the boot of the machine, and the directory it lies in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Title {
    text: String,
    boot: String,
    place: (u64, u64),
}

/// One line of a logbook.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What the logbook belongs to from here on.
    Title(Title),
    /// A command was started.
    Start(Start),
    /// Somebody begins to stop a command.
    Stop { id: String, why: Why },
    /// A command has ended.
    End { id: String, end: End },
    /// A command's captured output has joined the log.
    Taken { id: String },
}

/// The logbook of one attempt at something, open for writing.
#[derive(Debug, Clone)]
pub struct Logbook {
    path: PathBuf,
    file: Arc<File>,
}

impl PartialEq for Logbook {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Logbook {}

impl Logbook {
    /// A new logbook in a new directory of its own, in place of any older one. `title` says what it belongs to.
    ///
    /// # Errors
    ///
    /// When the directory or the file cannot be made.
    pub fn create(directory: &Path, title: &str) -> io::Result<Logbook> {
        match fs::create_dir(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(directory)?,
            // The commands of an older one may still be writing to it: they keep the file that they know.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(directory)?;
                fs::create_dir(directory)?;
            }
            Err(error) => return Err(error),
        }
        let path = directory.join(FILE_NAME);
        let file = Arc::new(File::options().append(true).create_new(true).open(&path)?);
        let logbook = Logbook { path, file };
        logbook.entitle(title)?;
        Ok(logbook)
    }

    /// The logbook in this directory and the entries under its last title, in the order of their starts; `None` when there is
    /// none, when that title is another one, when it was copied here, or when the machine has been booted since: what it tells
    /// of is gone then, and of what was done nobody knows how much reached the disk.
    ///
    /// # Errors
    ///
    /// When the file is there but cannot be read.
    pub fn open(directory: &Path, title: &str) -> io::Result<Option<(Logbook, Vec<Entry>)>> {
        let path = directory.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let place = place_of(directory)?;
        let Some((last, entries)) = last_chapter(&text) else {
            return Ok(None);
        };
        if last.text != title || last.boot != boot_id() || last.place != place {
            return Ok(None);
        }
        // Who may only look at the run writes nothing into it.
        let file = File::options()
            .append(true)
            .open(&path)
            .or_else(|_| File::open(&path))?;
        let file = Arc::new(file);
        Ok(Some((Logbook { path, file }, entries)))
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its file, open for appending.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Appends one line.
    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        append(&self.file, [line])
    }

    /// Says what it belongs to from here on.
    fn entitle(&self, title: &str) -> io::Result<()> {
        self.append(&Line::Title(Title {
            text: title.to_owned(),
            boot: boot_id().to_owned(),
            place: place_of(parent(&self.path))?,
        }))
    }

    /// Removes it with everything that was kept for it. Nothing happens when that is impossible: it is only litter.
    pub fn discard(&self) {
        let directory = parent(&self.path);
        // Mostly there is nothing else in it.
        if fs::remove_file(&self.path)
            .and_then(|()| fs::remove_dir(directory))
            .is_err()
        {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

const FILE_NAME: &str = "commands";

/// Appends lines.
pub(super) fn append<'a>(mut file: &File, lines: impl IntoIterator<Item = &'a Line>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(512);
    for line in lines {
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    // One call for all of it, so that lines of several writers do not mix.
    file.write_all(&bytes)
}

/// What the logbook at `path` says of one command.
pub(super) fn entry(path: &Path, id: &str) -> io::Result<Option<Entry>> {
    Ok(entries(&fs::read(path)?).into_iter().find(|entry| entry.id == id))
}

/// A logbook that is read again and again for the end of one command.
pub(super) struct EndWatch<'a> {
    file: File,
    id: &'a str,
    /// Everything before this has been read and is whole lines.
    position: u64,
}

impl<'a> EndWatch<'a> {
    pub(super) fn new(path: &Path, id: &'a str) -> io::Result<Self> {
        Ok(EndWatch {
            file: File::open(path)?,
            id,
            position: 0,
        })
    }

    /// The command's end, if it is on file by now.
    pub(super) fn look(&mut self) -> io::Result<Option<End>> {
        let length = self.file.metadata()?.len();
        let mut fresh = vec![0; usize::try_from(length.saturating_sub(self.position)).unwrap_or(0)];
        self.file.read_exact_at(&mut fresh, self.position)?;
        let Some(last_newline) = fresh.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        fresh.truncate(last_newline + 1);
        self.position += fresh.len() as u64;
        Ok(lines(&fresh).find_map(|line| match line {
            Line::End { id, end } if id == self.id => Some(end),
            _ => None,
        }))
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .filter_map(|line| serde_json::from_slice(line).ok())
}

/// The last title, and the entries after it.
fn last_chapter(text: &[u8]) -> Option<(Title, Vec<Entry>)> {
    let mut lines: Vec<Line> = lines(text).collect();
    let at = lines.iter().rposition(|line| matches!(line, Line::Title(_)))?;
    let entries = entries_of(lines.drain(at + 1..));
    match lines.pop() {
        Some(Line::Title(title)) => Some((title, entries)),
        _ => None,
    }
}

fn entries(text: &[u8]) -> Vec<Entry> {
    entries_of(lines(text))
}

fn entries_of(lines: impl Iterator<Item = Line>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        match line {
            Line::Title(_) => {}
            Line::Start(start) => entries.push(start.into()),
            Line::Stop { id, why } => change(&mut entries, &id, |entry| entry.stopped = Some(why)),
            Line::End { id, end } => change(&mut entries, &id, |entry| entry.end = Some(end)),
            Line::Taken { id } => change(&mut entries, &id, |entry| entry.taken = true),
        }
    }
    for entry in &mut entries {
        // Who began to stop it is not always who saw the end.
        if let Some(end) = &mut entry.end {
            end.why = end.why.or(entry.stopped);
        }
    }
    entries
}

fn change(entries: &mut [Entry], id: &str, change: impl FnOnce(&mut Entry)) {
    // What tells of a command is near its start, and starts are in order.
    if let Some(entry) = entries.iter_mut().rev().find(|entry| entry.id == id) {
        change(entry);
    }
}

impl From<Start> for Entry {
    fn from(start: Start) -> Self {
        Entry {
            id: start.id,
            label: start.label,
            process: start.process,
            keeper: start.keeper,
            began: start.began,
            log: start.log,
            log_start: start.log_start,
            capture: start.capture,
            stopped: None,
            end: None,
            taken: false,
        }
    }
}

/// Which directory this is, whatever it is called: a run may be moved while it runs, but a copy of it is another run.
fn place_of(directory: &Path) -> io::Result<(u64, u64)> {
    let metadata = directory.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Which boot of the machine this is; empty where the kernel does not say.
fn boot_id() -> &'static str {
    static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    });
    &BOOT_ID
}

/// Now, in milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    // A clock before 1970 is no clock.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl End {
    /// The end of a command that somebody ended and nobody saw end, after it had run for `seconds`.
    pub(super) fn of_stopped(why: Why, seconds: f64) -> End {
        End {
            code: None,
            signal: Some(libc::SIGTERM),
            why: Some(why),
            seconds,
            max_rss_kib: 0,
            user_seconds: 0.0,
            system_seconds: 0.0,
            machine_oom_kills: 0,
            cgroup_oom_kills: 0,
            log_end: u64::MAX,
            survivors: Vec::new(),
            unix_ms: unix_ms(),
        }
    }

    /// How long ago that was; nothing when the clock has been set back since.
    pub fn ago(&self) -> Duration {
        Duration::from_millis(unix_ms().saturating_sub(self.unix_ms))
    }
}

#[cfg(test)]
mod tests;
