//! One writer a run: a lock on a file beside the state file.
//!
//! An open-file-description lock, because network file systems pass it on to their server and because closing some
//! other descriptor of the file does not drop it. The kernel releases it when its holder dies, so nothing is ever
//! stale; the file itself stays.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::disk;
use super::error::StateError;
use super::owner::Owner;

/// The lock on a run, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    /// What to tell the user when the file system has no locks.
    pub(super) warning: Option<String>,
}

impl Lock {
    /// Takes the lock of the state file that has this private directory, without waiting for it.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it, [`StateError::Io`].
    pub(super) fn take(private_directory: &Path, shown: &Path) -> Result<Self, StateError> {
        let path = lock_path(private_directory);
        let file = disk::open_lock_file(&path).map_err(disk::failure("open the lock", &path, true))?;
        let warning = match set_lock(file.as_raw_fd()) {
            Ok(()) => None,
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(StateError::Locked {
                    owner: Box::new(read_owner(&file)),
                    path: shown.to_owned(),
                });
            }
            Err(error @ (Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP)) => Some(format!(
                "the file system of {} has no locks ({}): make sure that no second program works on this run",
                shown.display(),
                io::Error::from(error)
            )),
            Err(error) => return Err(disk::failure("lock", &path, true)(error.into())),
        };
        // The record only tells others who it is; a full disk must not stop a run that could go on.
        let _ = disk::overwrite(&file, &Owner::this_process().to_record());
        Ok(Lock { _file: file, warning })
    }
}

/// Who holds the lock now, asked without taking it; `None` when nobody does.
pub(super) fn holder(private_directory: &Path) -> Option<Owner> {
    let file = disk::open_existing(&lock_path(private_directory)).ok()?;
    is_locked(file.as_raw_fd()).then(|| read_owner(&file))
}

fn lock_path(private_directory: &Path) -> PathBuf {
    private_directory.join("lock")
}

/// The record of whoever holds the lock. It may be in the middle of being written: then look again, a little.
fn read_owner(file: &File) -> Owner {
    for _ in 0..5 {
        if let Some(owner) = disk::content(file).ok().and_then(|text| Owner::from_record(&text)) {
            return owner;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Owner::default()
}

fn set_lock(descriptor: RawFd) -> Result<(), Errno> {
    control(descriptor, libc::F_OFD_SETLK, &mut whole_file())
}

fn is_locked(descriptor: RawFd) -> bool {
    let mut lock = whole_file();
    control(descriptor, libc::F_OFD_GETLK, &mut lock).is_ok() && i32::from(lock.l_type) != libc::F_UNLCK
}

fn whole_file() -> libc::flock {
    // SAFETY: `flock` is a plain C structure of integers, for which all zeros is a value. Zero start and length
    // mean the whole file, and the kernel asks for a zero pid with this kind of lock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

fn control(descriptor: RawFd, command: libc::c_int, lock: &mut libc::flock) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the caller's borrow of its file, and `lock` is a valid `flock` that the
    // kernel reads and, when asked who holds the lock, writes.
    let result = unsafe { libc::fcntl(descriptor, command, std::ptr::from_mut(lock)) };
    if result == -1 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let home = TempDir::new().unwrap();
        let state_file = home.path().join("state");
        let held = Lock::take(home.path(), &state_file).unwrap();
        match Lock::take(home.path(), &state_file) {
            Err(StateError::Locked { owner, path }) => {
                assert_eq!(
                    *owner,
                    Owner {
                        since: owner.since,
                        ..Owner::this_process()
                    }
                );
                assert_eq!(path, state_file);
            }
            other => panic!("{other:?}"),
        }
        drop(held);
        Lock::take(home.path(), &state_file).unwrap();
    }

    #[test]
    fn asking_who_holds_it_neither_takes_nor_drops_it() {
        let home = TempDir::new().unwrap();
        assert_eq!(holder(home.path()), None);
        let held = Lock::take(home.path(), Path::new("state")).unwrap();
        for _ in 0..2 {
            assert_eq!(holder(home.path()).map(|owner| owner.pid), Some(std::process::id()));
        }
        assert!(Lock::take(home.path(), Path::new("state")).is_err());
        drop(held);
        assert_eq!(holder(home.path()), None);
        assert!(home.path().join("lock").exists());
    }
}
