//! What can go wrong with a state file, each with what the user can do about it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::owner::Owner;

/// Why a state could not be read or written.
///
/// [`fmt::Display`] gives two lines: what is wrong, and (indented) what to do about it. [`StateError::headline`]
/// and [`StateError::remedy`] give them one by one.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no such file.
    NotFound {
        /// The state file that was asked for.
        path: PathBuf,
    },
    /// There is a state file, and nothing recorded beside it: nothing was done to it by this program.
    NoJournal {
        /// The state file.
        path: PathBuf,
    },
    /// A state file is to be made where there is one already.
    AlreadyExists {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// The path names a directory.
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    Unreadable {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any state file.
    TooLarge {
        /// The state file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A line of the file is no line of a state file.
    Syntax(Box<SyntaxError>),
    /// The file was written by a newer program.
    NewerVersion {
        /// The state file.
        path: PathBuf,
        /// What `[metadata] version` says.
        found: String,
        /// The newest format that this program knows.
        known: &'static str,
    },
    /// The file is that of one run, and the journal beside it that of another.
    OtherRun {
        /// The state file.
        path: PathBuf,
        /// The `run_id` that the file says.
        found: String,
        /// The `run_id` that the journal says.
        known: String,
    },
    /// Another process has the run in use.
    Locked {
        /// Who holds it.
        owner: Box<Owner>,
        /// The state file.
        path: PathBuf,
    },
    /// Another process may have the run in use: the file system has no locks to tell.
    MaybeLocked {
        /// Who held it last.
        owner: Box<Owner>,
        /// The state file.
        path: PathBuf,
    },
    /// An event has a name or a value that the file cannot hold.
    BadChange {
        /// The section that was to be changed.
        section: String,
        /// The key that was to be changed.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The result of a phase could not be recorded, so it must not start.
    NoRoom {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another host goes on with the run, although this one had it.
    TakenOver {
        /// The state file.
        path: PathBuf,
        /// Who has it now, as far as is known.
        owner: Box<Owner>,
    },
    /// Something happened that could not be recorded, however often it was tried.
    Unsaved {
        /// The state file.
        path: PathBuf,
        /// The lines of `[phases]` that say it.
        lines: Vec<String>,
        /// Where all of it was left instead, if that was possible.
        spill: Option<PathBuf>,
        /// Why it could not be recorded.
        source: Box<StateError>,
    },
    /// The journal does not reach back, or forward, to that event.
    NoSuchMoment {
        /// The state file.
        path: PathBuf,
        /// The first moment there is.
        first: u64,
        /// The last event there is.
        last: u64,
    },
    /// An event cannot be taken back.
    CannotUndo {
        /// The state file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Writing failed.
    Io {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// Whether the state file is certainly as it was before.
        unchanged: bool,
        /// What the system said.
        source: io::Error,
    },
}

impl StateError {
    /// What is wrong, in one line.
    pub fn headline(&self) -> String {
        match self {
            StateError::NotFound { path } => {
                format!("{}: there is no such state file", path.display())
            }
            StateError::NoJournal { path } => {
                format!(
                    "{} has no journal yet: nothing was done to it that could be recorded",
                    path.display()
                )
            }
            StateError::AlreadyExists { path } => {
                format!(
                    "{}: there is a state file already. Nothing was changed.",
                    path.display()
                )
            }
            StateError::IsDirectory { path } => {
                format!("{} is a directory, not a state file", path.display())
            }
            StateError::Unreadable { path, source } => {
                format!("{} cannot be read: {source}", path.display())
            }
            StateError::TooLarge { path, bytes, limit } => format!(
                "{} is too large for a state file: {} MiB, the limit is {} MiB",
                path.display(),
                bytes.div_ceil(1 << 20),
                limit >> 20
            ),
            StateError::Syntax(error) => error.headline(),
            StateError::NewerVersion { path, found, known } => format!(
                "{} is of version {found}, this program knows versions up to {known}. Nothing was changed.",
                path.display()
            ),
            StateError::OtherRun { path, found, known } => format!(
                "{} is the state file of another run: it says run_id={found}, its journal is of {known}. Nothing was changed.",
                path.display()
            ),
            StateError::Locked { owner, path } => {
                format!("{} is in use by {owner}. Nothing was changed.", path.display())
            }
            StateError::NoRoom { path, source } => format!(
                "{}: {source} (64 KiB are needed to be able to record a result). Nothing was started.",
                path.display()
            ),
            StateError::TakenOver { path, owner } => {
                format!(
                    "{} was taken over by {owner}. Nothing new is started here.",
                    path.display()
                )
            }
            StateError::Unsaved { lines, source, .. } => {
                let what = if lines.is_empty() {
                    "the last event".to_owned()
                } else {
                    lines.join(", ")
                };
                format!("{what} could not be saved: {}", source.headline())
            }
            StateError::NoSuchMoment { path, first, last } => {
                format!("the history of {} goes from event {first} to {last}", path.display())
            }
            StateError::CannotUndo { path, why } => {
                format!("{}: nothing is taken back: {why}", path.display())
            }
            StateError::MaybeLocked { owner, path } => format!(
                "{owner} held {}, and this file system has no locks, so it cannot be known whether it still runs. \
                 Nothing was changed.",
                path.display()
            ),
            StateError::BadChange { section, key, problem } => {
                format!("[{section}] {key:?} cannot be recorded: {problem}")
            }
            StateError::Io {
                doing,
                path,
                unchanged,
                source,
            } => {
                let end = if *unchanged { ". Nothing was changed." } else { "" };
                format!("cannot {doing} {}: {source}{end}", path.display())
            }
        }
    }

    /// What the user can do about it, when there is something to say.
    pub fn remedy(&self) -> Option<String> {
        match self {
            StateError::NotFound { .. } => Some("name a run directory or its `.experiment_state`".to_owned()),
            StateError::AlreadyExists { .. } => Some("go on with that run, or choose another run directory".to_owned()),
            StateError::IsDirectory { path } if path.ends_with(".experiment_state") => {
                Some("move the directory away, and put the state file in its place".to_owned())
            }
            StateError::IsDirectory { path } => Some(format!(
                "name the file inside it: {}",
                path.join(".experiment_state").display()
            )),
            StateError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("look at its owner and mode with `ls -l`, and make it readable for you".to_owned())
            }
            StateError::TooLarge { .. } => Some(
                "something else was written into it: look at it with `head -c 2000`, and put the state file back"
                    .to_owned(),
            ),
            StateError::Syntax(error) => Some(error.remedy.clone()),
            StateError::NewerVersion { .. } => Some("update this program, or use the one that wrote it".to_owned()),
            StateError::OtherRun { .. } => Some(
                "put the run's own file back, or remove this one: the next resume writes it anew from the journal; where the journal \
                 is the foreign one, remove the hidden directory beside the file"
                    .to_owned(),
            ),
            StateError::MaybeLocked { .. } => Some("if you are sure that it does not: --take-over".to_owned()),
            StateError::Locked { .. } => Some("wait for it to end (--wait does), or stop it".to_owned()),
            StateError::Unsaved {
                path,
                lines,
                spill,
                source,
            } => Some(if lines.is_empty() {
                source
                    .remedy()
                    .unwrap_or_else(|| "mend the disk, then resume".to_owned())
            } else {
                let spilt = spill
                    .as_ref()
                    .map(|spill| format!(" (all of it is in {})", spill.display()));
                format!(
                    "once the disk is well again, write under [phases] of {}: {}{}",
                    path.display(),
                    lines.join(", "),
                    spilt.unwrap_or_default()
                )
            }),
            StateError::NoSuchMoment { .. } | StateError::CannotUndo { .. } => {
                Some("`jumar history` lists the events with their numbers".to_owned())
            }
            StateError::TakenOver { .. } => Some("let that one go on, or stop it and resume".to_owned()),
            StateError::Io { source, .. } | StateError::NoRoom { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room on that file system, then run jumar again".to_owned())
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("make the run directory writable for you".to_owned())
                }
                _ => None,
            },
            StateError::Unreadable { source, .. } if source.kind() == io::ErrorKind::Other => {
                Some("look at what is there with `ls -l`, and put the state file in its place".to_owned())
            }
            StateError::NoJournal { .. } | StateError::Unreadable { .. } | StateError::BadChange { .. } => None,
        }
    }
}

impl StateError {
    /// Of a state file that cannot be understood beside a journal that can: its text is not all there is.
    pub(super) fn or_remove_the_file(mut self) -> StateError {
        if let StateError::Syntax(error) = &mut self {
            error.remedy.push_str(
                "; or remove the file: the next resume writes it anew from the journal, without the last edit",
            );
        }
        self
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match self.remedy() {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

/// A line of a state file that cannot be understood, with all that is needed to draw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The state file.
    pub path: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
    /// The line without its end; a very long one is cut behind the span.
    pub text: String,
    /// The part of `text` that is wrong, in bytes, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub what: String,
    /// What the user can do about it.
    pub remedy: String,
}

impl SyntaxError {
    /// The column of the span's first character, from 1, counted in characters.
    pub fn column(&self) -> usize {
        self.text
            .get(..self.span.start)
            .map_or(1, |before| before.chars().count() + 1)
    }

    fn headline(&self) -> String {
        format!("{}:{}:{}: {}", self.path.display(), self.line, self.column(), self.what)
    }
}
