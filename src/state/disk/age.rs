//! How long ago a file was written, by the clock of the file system alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use super::{Disk, RealDisk};

/// Says of an open file that it was written now. On a network file system that is its server's now.
pub(in crate::state) fn touch(file: &File) -> io::Result<()> {
    let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: at(UTIME_OMIT),
        last_modification: at(UTIME_NOW),
    };
    Ok(futimens(file, &times)?)
}

/// How much older an open file is than one that is made in this directory now, which goes again.
pub(in crate::state) fn age(file: &File, directory: &Path) -> io::Result<Duration> {
    let path = directory.join(format!("now-{:08x}", RealDisk.nonce()));
    let now = OpenOptions::new().write(true).create_new(true).open(&path)?.metadata();
    fs::remove_file(&path)?;
    let (now, written) = (now?.modified()?, file.metadata()?.modified()?);
    Ok(now.duration_since(written).unwrap_or_default())
}
