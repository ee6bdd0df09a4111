//! The only file of this room that touches the disk.
//!
//! A state file is replaced whole: written beside it, synced, renamed over it, and the directory synced. So there
//! is at every moment either the old text or the new one, whatever dies.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::StateError;

/// The largest state file that is read, in bytes.
pub(super) const SIZE_LIMIT: u64 = 64 << 20;

/// Reads a file that is at most [`SIZE_LIMIT`] long.
///
/// # Errors
/// Those of [`size`], all naming `shown`, the path as the user knows it.
pub(super) fn read(file: &Path, shown: &Path) -> Result<Vec<u8>, StateError> {
    let size = size(file, shown)?;
    // Should a pipe have come in its place meanwhile, opening it must not wait for a writer.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(file)
        .map_err(|e| unreadable(e, shown))?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    opened
        .take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(e, shown))?;
    let read = bytes.len() as u64;
    if read > SIZE_LIMIT {
        return Err(StateError::TooLarge {
            path: shown.to_owned(),
            bytes: read,
            limit: SIZE_LIMIT,
        });
    }
    Ok(bytes)
}

/// How long a file is, in bytes, when it is one that could be read.
///
/// # Errors
/// [`StateError::NotFound`], [`StateError::IsDirectory`], [`StateError::TooLarge`] and [`StateError::Unreadable`].
pub(super) fn size(file: &Path, shown: &Path) -> Result<u64, StateError> {
    let metadata = fs::metadata(file).map_err(|error| unreadable(error, shown))?;
    if metadata.is_dir() {
        return Err(StateError::IsDirectory { path: shown.to_owned() });
    }
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file"), shown));
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(StateError::TooLarge {
            path: shown.to_owned(),
            bytes: metadata.len(),
            limit: SIZE_LIMIT,
        });
    }
    Ok(metadata.len())
}

fn unreadable(source: io::Error, shown: &Path) -> StateError {
    let path = shown.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StateError::NotFound { path },
        _ => StateError::Unreadable { path, source },
    }
}

/// The file that a path means, with no symbolic link left in it; the file itself need not be there.
///
/// # Errors
/// When its directory is not there or the links go in a circle.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => return known,
        }
        let (Some(name), parent) = (path.file_name(), parent(&path)) else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        match fs::read_link(&path) {
            Ok(link) => path = parent.join(link),
            Err(_) => return Ok(fs::canonicalize(parent)?.join(name)),
        }
    }
    Err(Errno::LOOP.into())
}

/// Makes a directory and those above it that are not there, and makes their names durable.
///
/// # Errors
/// [`StateError::Io`].
pub(super) fn create_directory(directory: &Path) -> Result<(), StateError> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = parent(directory);
    create_directory(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(failure("make the directory", directory, true)(error)),
        Ok(()) => sync_directory(above).map_err(failure("make durable the new entry of", above, true)),
    }
}

/// A text that is written and synced beside a file, ready to take its place. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Replacement {
    target: PathBuf,
    written: Option<PathBuf>,
}

impl Replacement {
    /// Writes the text, with mode and owner of the file that is there.
    ///
    /// Only one process may do so for a file at a time: the name beside it is always the same, so that what a
    /// killed process left there is overwritten by the next one.
    ///
    /// # Errors
    /// [`StateError::Io`]; the file is as it was.
    pub(super) fn write(target: &Path, bytes: &[u8]) -> Result<Self, StateError> {
        Replacement::write_beside(target, "tmp", bytes)
    }

    /// The same under a name that the caller chooses.
    ///
    /// # Errors
    /// As [`Replacement::write`].
    pub(super) fn write_beside(target: &Path, name: &str, bytes: &[u8]) -> Result<Self, StateError> {
        let beside = hidden_sibling(target, name);
        let model = fs::metadata(target).ok();
        let mode = if model.is_some() { 0o600 } else { 0o666 };
        let create = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside);
        let mut file = create()
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => fs::remove_file(&beside).and_then(|()| create()),
                _ => Err(error),
            })
            .map_err(failure("create", &beside, true))?;
        let replacement = Replacement {
            target: target.to_owned(),
            written: Some(beside.clone()),
        };
        file.write_all(bytes)
            .and_then(|()| model.map_or(Ok(()), |model| take_over_owner(&file, &model)))
            .and_then(|()| file.sync_data())
            .map_err(failure("write", &beside, true))?;
        Ok(replacement)
    }

    /// Takes the place of the file, whatever is there.
    ///
    /// # Errors
    /// [`StateError::Io`]. Where it says `unchanged: false`, the new text is in place but may not survive a loss
    /// of power.
    pub(super) fn install(mut self) -> Result<(), StateError> {
        if let Some(beside) = self.written.take() {
            fs::rename(&beside, &self.target).map_err(|error| {
                self.written = Some(beside);
                failure("replace", &self.target, true)(error)
            })?;
        }
        sync_directory(parent(&self.target)).map_err(failure("make durable the new text of", &self.target, false))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(beside) = &self.written {
            // There is nobody to tell, and the next writer takes the name over.
            let _ = fs::remove_file(beside);
        }
    }
}

/// Gives a file a second name `….rejected-<n>` with the first `n` that is free, so that replacing the file does not
/// lose its content. Returns that name.
///
/// # Errors
/// [`StateError::Io`]; the file is as it was.
pub(super) fn keep_aside(file: &Path) -> Result<PathBuf, StateError> {
    for number in 1..=u32::MAX {
        let aside = sibling(file, &format!("rejected-{number}"));
        if aside.symlink_metadata().is_ok() {
            continue;
        }
        // Not every file system has hard links.
        let kept = fs::hard_link(file, &aside).or_else(|_| fs::copy(file, &aside).map(|_| ()));
        return kept.map(|()| aside).map_err(failure("keep aside", file, true));
    }
    Err(failure("keep aside", file, true)(Errno::EXIST.into()))
}

/// The directory for the program's own files beside a state file: `.experiment_state.d` for `.experiment_state`.
pub(super) fn private_directory(state_file: &Path) -> PathBuf {
    hidden_sibling(state_file, "d")
}

/// Opens a file for reading and writing; it is made when it is not there and never emptied.
pub(super) fn open_lock_file(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .open(file)
}

/// Opens a file for reading only, if it is there.
pub(super) fn open_existing(file: &Path) -> io::Result<File> {
    File::open(file)
}

/// Puts a text in the place of an open file's content.
pub(super) fn overwrite(mut file: &File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// The content of an open small file.
pub(super) fn content(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.take(64 << 10).read_to_string(&mut text)?;
    Ok(text)
}

/// A one-line file of the kernel, without its line end; empty when there is none.
pub(super) fn kernel_text(file: &str) -> String {
    fs::read_to_string(file)
        .map(|text| text.trim_end().to_owned())
        .unwrap_or_default()
}

/// Where a link of the kernel points to; empty when there is none.
pub(super) fn kernel_link(link: &str) -> String {
    fs::read_link(link)
        .map(|target| target.to_string_lossy().into_owned())
        .unwrap_or_default()
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

fn take_over_owner(file: &File, model: &Metadata) -> io::Result<()> {
    // Who may not give a file away cannot keep another's ownership; the content matters more.
    let _ = std::os::unix::fs::fchown(file, Some(model.uid()), Some(model.gid()));
    file.set_permissions(fs::Permissions::from_mode(model.mode() & 0o7777))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems have no such operation; they give what they can.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::OPNOTSUPP)) => Ok(()),
        other => other,
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

fn sibling(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().map(OsString::from).unwrap_or_default();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

fn hidden_sibling(file: &Path, ending: &str) -> PathBuf {
    let sibling = sibling(file, ending);
    match sibling.file_name() {
        Some(name) if !name.as_encoded_bytes().starts_with(b".") => {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            sibling.with_file_name(hidden)
        }
        _ => sibling,
    }
}

#[cfg(test)]
mod tests;
