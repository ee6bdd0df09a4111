//! The few things that the state needs of a file system. Nothing else in this room touches a file.
//!
//! A trait, so that the tests can put a disk in its place that loses power, fails and is written to by others.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod age;
mod real;
#[cfg(test)]
pub(super) mod simulated;

pub(super) use age::{age, touch};
pub(super) use real::{
    RealDisk, content, create_directory, kernel_link, kernel_text, open_existing, open_lock_file, overwrite,
    remove_small, resolve, write_new, write_over,
};

use super::error::StateError;

/// The largest state file that is read, in bytes.
pub(super) const SIZE_LIMIT: u64 = 64 << 20;

/// Operations on files. Paths are of files and directories in one directory and its private directory.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// The content of a regular file that is at most `limit` bytes long (else the error is `FileTooLarge`).
    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Shows what [`Disk::read`] returns a piece at a time, and keeps nothing. After an error it has not shown all.
    fn go_through(&self, file: &Path, limit: u64, show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.read(file, limit).map(|bytes| show(&bytes))
    }
    /// Does two things that only read, side by side where that is faster.
    fn do_both(&self, one: &mut (dyn FnMut() + Send), other: &mut dyn FnMut()) {
        one();
        other();
    }
    /// The names in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// What can be said of a file without reading it.
    fn mark(&self, file: &Path) -> io::Result<Mark>;
    /// Makes a directory, when it is not there.
    fn make_directory(&self, directory: &Path) -> io::Result<()>;
    /// Makes a file that is not there, for appending, with mode and owner of `like` when that is there.
    fn create(&self, file: &Path, like: Option<&Path>) -> io::Result<Box<dyn Appending>>;
    /// Makes durable which names the directory holds.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// Gives a file another name, whose file is gone then.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name, if that is free.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Swaps two files' names.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;
    /// Gives a file a second name, or copies it where there are no such things.
    fn link(&self, file: &Path, name: &Path) -> io::Result<()>;
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// A clock that only goes forward.
    fn clock(&self) -> Duration;
    fn pause(&self, time: Duration);
    /// A number that no other call returned, as far as chance allows.
    fn nonce(&self) -> u32;
}

/// A file that is being appended to. Nobody else appends to it.
pub(super) trait Appending: fmt::Debug + Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content durable. A file on which this failed is never synced again: the system may have dropped what
    /// it could not write and say nothing the second time.
    fn sync(&mut self) -> io::Result<()>;
    /// Sets space for so many more bytes aside, where the file system knows how.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Gives back what was set aside and not used. Nothing depends on it.
    fn give_back(&mut self) {}
}

/// What can be said of a file without reading it. Two that are equal mean an equal content, if some time lies between
/// the last write and the mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which file it is, under whatever name.
    pub(super) inode: (u64, u64),
    pub(super) size: u64,
    /// When content and names were changed last, each in nanoseconds.
    pub(super) changed: (i128, i128),
    pub(super) user: u32,
}

/// The directory for the program's own files beside a state file: `.experiment_state.d` for `.experiment_state`.
pub(super) fn private_directory(state_file: &Path) -> PathBuf {
    let mut name = state_file.file_name().map(OsString::from).unwrap_or_default();
    name.push(".d");
    if !name.as_encoded_bytes().starts_with(b".") {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        name = hidden;
    }
    state_file.with_file_name(name)
}

/// The first name `….rejected-<n>` beside a file that is free.
pub(super) fn rejected_name(disk: &dyn Disk, file: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let mut name = file.file_name().map(OsString::from).unwrap_or_default();
        name.push(format!(".rejected-{number}"));
        let path = file.with_file_name(name);
        match disk.mark(&path) {
            Ok(_) => number += 1,
            Err(_) => return path,
        }
    }
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

/// Makes an [`StateError::Io`] of what the system said.
pub(super) fn failure(
    doing: &'static str,
    path: &Path,
    unchanged: bool,
) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io {
        doing,
        path,
        unchanged,
        source,
    }
}

/// Why a state file could not be read, by the name that the user knows.
pub(super) fn unreadable(disk: &dyn Disk, file: &Path, shown: &Path, source: io::Error) -> StateError {
    let path = shown.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StateError::NotFound { path },
        io::ErrorKind::IsADirectory => StateError::IsDirectory { path },
        io::ErrorKind::FileTooLarge => StateError::TooLarge {
            path,
            bytes: disk.mark(file).map_or(SIZE_LIMIT + 1, |mark| mark.size),
            limit: SIZE_LIMIT,
        },
        _ => StateError::Unreadable { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_files_are_hidden_whatever_the_state_file_is_called() {
        assert_eq!(
            private_directory(Path::new("r/.experiment_state")),
            Path::new("r/.experiment_state.d")
        );
        assert_eq!(private_directory(Path::new("r/state")), Path::new("r/.state.d"));
    }

    #[test]
    fn nothing_else_in_this_room_touches_files() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state");
        let mut looked_at = 0;
        for entry in std::fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let is_ours = path.file_name().is_some_and(|name| name == "disk.rs");
            for word in [
                "fs::read",
                "fs::write",
                "fs::re",
                "fs::create",
                "fs::meta",
                "fs::hard",
                "File::open",
                "OpenOptions",
            ] {
                assert!(is_ours || !product.contains(word), "{} says {word}", path.display());
            }
            looked_at += 1;
        }
        assert!(looked_at > 10, "{looked_at}");
    }
}
