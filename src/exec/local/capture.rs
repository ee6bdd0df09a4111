//! Keeps a command's standard output apart from its log until the command has ended.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a command's standard output is captured at most, in bytes.
pub const CAPTURE_LIMIT: u64 = 64 << 20;

/// A private file that a command's standard output goes to.
#[derive(Debug)]
pub(super) struct Capture {
    path: PathBuf,
    file: File,
    /// Whether it goes when this value does.
    passing: bool,
}

impl Capture {
    /// Makes a file that goes when the value does. It lies beside the log and not in a temporary directory, because there is
    /// room for output.
    pub(super) fn beside(log: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = std::ffi::OsString::from(".");
        name.push(log.file_name().unwrap_or_default());
        name.push(format!(".{}.{count}.stdout", process::id()));
        let path = log.with_file_name(name);
        // A file of that name can only be left over from a host with our pid that was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Capture::create(path, true)
    }

    /// Makes a file that stays.
    pub(super) fn kept(path: PathBuf) -> io::Result<Self> {
        Capture::create(path, false)
    }

    fn create(path: PathBuf, passing: bool) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Capture { path, file, passing })
    }

    /// A file that was kept.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let passing = false;
        Ok(Capture { path, file, passing })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for the command to write to.
    pub(super) fn writer(&self) -> &File {
        &self.file
    }

    /// Whether more was written than is captured.
    pub(super) fn is_too_large(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() > CAPTURE_LIMIT)
    }

    /// Whether more was written to the file at `path` than is captured.
    pub(super) fn too_large_at(path: &Path) -> io::Result<bool> {
        Ok(path.metadata()?.len() > CAPTURE_LIMIT)
    }

    /// What was written, as text.
    pub(super) fn read(mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        (&mut self.file).take(CAPTURE_LIMIT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Appends what was written to the log, the first `limit` bytes of it, and returns that.
    pub(super) fn copy_to(mut self, mut log: &File, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        (&mut self.file).take(limit).read_to_end(&mut bytes)?;
        log.write_all(&bytes)?;
        Ok(bytes)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.passing {
            // Nothing depends on it being gone, and there is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}
