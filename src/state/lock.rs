//! One writer a run: a lock on a file beside the state file.
//!
//! An open-file-description lock, because network file systems pass it on to their server and because closing some
//! other descriptor of the file does not drop it. The kernel releases it when its holder dies, so nothing is ever
//! stale; the file itself stays. Where a file system has no locks, a file that names its owner has to do: it is taken
//! over when the owner can be seen to be gone, and else only when the user says so. What keeps the state whole should
//! all of this fail is the journal, in which two writers never share a file.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::disk;
use super::error::StateError;
use super::heartbeat::{self, Heartbeat};
use super::owner::Owner;

/// The lock on a run, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// What stands in the lock's file while this has it.
    record: String,
    heartbeat: Option<Heartbeat>,
    /// The file that names the owner, where there are no locks.
    owner_file: Option<PathBuf>,
    /// What to tell the user when the file system has no locks.
    pub(super) warning: Option<String>,
}

/// What to do about an owner of whom nobody can know whether it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Leave the run alone.
    Respect,
    /// Take the run over: the user is sure that the other one is gone.
    TakeOver,
}

impl Lock {
    /// Takes the lock of the state file that has this private directory, without waiting for it.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it, [`StateError::MaybeLocked`] when that cannot be known and
    /// is not to be neglected, [`StateError::Io`].
    pub(super) fn take(private_directory: &Path, shown: &Path, doubt: Doubt) -> Result<Self, StateError> {
        let path = lock_path(private_directory);
        let file = disk::open_lock_file(&path).map_err(disk::failure("open the lock", &path, true))?;
        match set_lock(file.as_raw_fd()) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(StateError::Locked {
                    owner: Box::new(read_owner(&file)),
                    path: shown.to_owned(),
                });
            }
            Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return Self::take_by_name(file, private_directory, shown, doubt);
            }
            Err(error) => return Err(disk::failure("lock", &path, true)(error.into())),
        }
        if let Some(owner) = living_elsewhere(&file, private_directory) {
            return Err(StateError::Locked {
                owner: Box::new(owner),
                path: shown.to_owned(),
            });
        }
        let record = Owner::this_process().to_record();
        // The record only tells others who it is; a full disk must not stop a run that could go on.
        let _ = disk::overwrite(&file, &record);
        let beating = file.try_clone().ok();
        Ok(Lock {
            file,
            heartbeat: beating.map(|file| Heartbeat::begin(file, record.clone(), heartbeat::BEAT)),
            record,
            owner_file: None,
            warning: None,
        })
    }

    /// The lock of a file system that has none: a file with the owner's name, which only one can make.
    fn take_by_name(file: File, private_directory: &Path, shown: &Path, doubt: Doubt) -> Result<Self, StateError> {
        let path = owner_path(private_directory);
        let record = Owner::this_process().to_record();
        let fail = |error| disk::failure("take the run by", &path, true)(error);
        let taken = disk::write_new(&path, &record).map_err(fail)?;
        if !taken {
            let owner = owner_in(&path).unwrap_or_default();
            let (owner, path) = (Box::new(owner), shown.to_owned());
            match owner.is_gone() {
                Some(true) => {}
                Some(false) => return Err(StateError::Locked { owner, path }),
                None if doubt == Doubt::TakeOver => {}
                None => return Err(StateError::MaybeLocked { owner, path }),
            }
            disk::write_over(&owner_path(private_directory), &record).map_err(fail)?;
            // Of two that do this at once the last one has it.
            if owner_in(&owner_path(private_directory)).is_some_and(|now| now.to_record() != record) {
                let owner = Box::new(owner_in(&owner_path(private_directory)).unwrap_or_default());
                return Err(StateError::Locked { owner, path });
            }
        }
        let warning = format!(
            "the file system of {} has no locks: make sure that nobody on another host works on this run",
            shown.display()
        );
        Ok(Lock {
            file,
            record,
            heartbeat: None,
            owner_file: Some(path),
            warning: Some(warning),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let beat = self.heartbeat.take().is_some();
        if beat && disk::content(&self.file).is_ok_and(|now| now == self.record) {
            // Nobody on another machine is to wait for a heart that has stopped.
            let _ = disk::overwrite(&self.file, "");
        }
        if let Some(path) = &self.owner_file {
            // If it stays, the next one finds that its owner is gone.
            let _ = disk::remove_small(path);
        }
    }
}

/// Removes what an owner that is gone left behind where there are no locks. Returns whether there was anything.
///
/// # Errors
/// [`StateError::Locked`] when the owner is there, [`StateError::MaybeLocked`] when that cannot be known,
/// [`StateError::Io`].
pub(super) fn release(private_directory: &Path, shown: &Path) -> Result<bool, StateError> {
    let path = shown.to_owned();
    if let Some(owner) = holder(private_directory) {
        let owner = Box::new(owner);
        return Err(match owner.is_gone() {
            None if owner_in(&owner_path(private_directory)).is_some() => StateError::MaybeLocked { owner, path },
            _ => StateError::Locked { owner, path },
        });
    }
    let left = owner_path(private_directory);
    match disk::remove_small(&left) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk::failure("remove", &left, true)(error)),
    }
}

/// Who holds the lock now, asked without taking it; `None` when nobody does.
pub(super) fn holder(private_directory: &Path) -> Option<Owner> {
    if let Some(owner) = owner_in(&owner_path(private_directory)).filter(|owner| owner.is_gone() != Some(true)) {
        return Some(owner);
    }
    let file = disk::open_existing(&lock_path(private_directory)).ok()?;
    is_locked(file.as_raw_fd()).then(|| read_owner(&file))
}

/// Who has the run on another machine, where the lock that has just been taken reaches only this one: the record is
/// another machine's, and was touched a short time ago.
fn living_elsewhere(file: &File, private_directory: &Path) -> Option<Owner> {
    let owner = Owner::from_record(&disk::content(file).ok()?)?;
    (owner.is_on_another_machine() && heartbeat::is_fresh(file, private_directory)).then_some(owner)
}

fn owner_path(private_directory: &Path) -> PathBuf {
    private_directory.join("owner")
}

fn owner_in(path: &Path) -> Option<Owner> {
    let file = disk::open_existing(path).ok()?;
    Owner::from_record(&disk::content(&file).ok()?)
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
        let held = Lock::take(home.path(), &state_file, Doubt::Respect).unwrap();
        match Lock::take(home.path(), &state_file, Doubt::Respect) {
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
        Lock::take(home.path(), &state_file, Doubt::Respect).unwrap();
    }

    #[test]
    fn asking_who_holds_it_neither_takes_nor_drops_it() {
        let home = TempDir::new().unwrap();
        assert_eq!(holder(home.path()), None);
        let held = Lock::take(home.path(), Path::new("state"), Doubt::Respect).unwrap();
        for _ in 0..2 {
            assert_eq!(holder(home.path()).map(|owner| owner.pid), Some(std::process::id()));
        }
        assert!(Lock::take(home.path(), Path::new("state"), Doubt::Respect).is_err());
        drop(held);
        assert_eq!(holder(home.path()), None);
        assert!(home.path().join("lock").exists());
    }

    fn by_name(home: &TempDir, doubt: Doubt) -> Result<Lock, StateError> {
        let file = disk::open_lock_file(&lock_path(home.path())).unwrap();
        Lock::take_by_name(file, home.path(), Path::new("state"), doubt)
    }

    fn leave_owner(home: &TempDir, change: impl FnOnce(&mut Owner)) {
        let mut owner = Owner::this_process();
        change(&mut owner);
        std::fs::write(owner_path(home.path()), owner.to_record()).unwrap();
    }

    /// Leaves the record of an owner on another machine in the lock's file, touched so many seconds ago.
    fn leave_record(home: &TempDir, seconds: u64, change: impl FnOnce(&mut Owner)) {
        let mut owner = Owner::this_process();
        change(&mut owner);
        let path = lock_path(home.path());
        std::fs::write(&path, owner.to_record()).unwrap();
        let at = std::time::SystemTime::now() - Duration::from_secs(seconds);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(at)
            .unwrap();
    }

    fn take(home: &TempDir, doubt: Doubt) -> Result<Lock, StateError> {
        Lock::take(home.path(), Path::new("state"), doubt)
    }

    fn elsewhere(owner: &mut Owner) {
        (owner.host, owner.boot_id) = ("node9".into(), "another".into());
    }

    #[test]
    fn where_locks_reach_one_machine_only_an_owner_on_another_is_respected_as_long_as_its_heart_beats() {
        let home = TempDir::new().unwrap();
        leave_record(&home, 30, elsewhere);
        for doubt in [Doubt::Respect, Doubt::TakeOver] {
            match take(&home, doubt) {
                Err(StateError::Locked { owner, .. }) => assert_eq!(owner.host, "node9"),
                other => panic!("{other:?}"),
            }
        }
        leave_record(&home, 61, elsewhere);
        let lock = take(&home, Doubt::Respect).unwrap();
        assert!(lock.heartbeat.is_some());
    }

    #[test]
    fn a_record_of_this_machine_is_no_obstacle_to_one_who_got_the_lock() {
        let here: [fn(&mut Owner); 3] = [
            |owner| owner.pid = 999_999_999,
            // After the machine was started again.
            |owner| owner.boot_id = "before".into(),
            // In a container.
            |owner| owner.host = "another name of it".into(),
        ];
        for change in here {
            let home = TempDir::new().unwrap();
            leave_record(&home, 0, change);
            take(&home, Doubt::Respect).unwrap();
        }
    }

    #[test]
    fn a_lock_that_is_given_back_leaves_no_record_that_another_machine_would_wait_for() {
        let home = TempDir::new().unwrap();
        let lock = take(&home, Doubt::Respect).unwrap();
        drop(lock);
        assert_eq!(std::fs::read_to_string(lock_path(home.path())).unwrap(), "");
        let lock = take(&home, Doubt::Respect).unwrap();
        leave_record(&home, 0, elsewhere);
        drop(lock);
        // Another machine has it now.
        assert!(matches!(take(&home, Doubt::Respect), Err(StateError::Locked { .. })));
    }

    #[test]
    fn without_locks_an_owner_that_lives_is_respected_and_goes_with_its_lock() {
        let home = TempDir::new().unwrap();
        let held = by_name(&home, Doubt::Respect).unwrap();
        assert!(held.warning.is_some());
        assert!(matches!(
            by_name(&home, Doubt::TakeOver),
            Err(StateError::Locked { .. })
        ));
        assert!(matches!(
            release(home.path(), Path::new("state")),
            Err(StateError::Locked { .. })
        ));
        assert_eq!(holder(home.path()).map(|owner| owner.pid), Some(std::process::id()));
        drop(held);
        assert_eq!(holder(home.path()), None);
        by_name(&home, Doubt::Respect).unwrap();
    }

    #[test]
    fn without_locks_an_owner_that_is_gone_is_no_obstacle() {
        let gone: [fn(&mut Owner); 3] = [
            |owner| owner.boot_id = "before".into(),
            |owner| owner.start_time += 1,
            |owner| owner.pid = 999_999_999,
        ];
        for change in gone {
            let home = TempDir::new().unwrap();
            leave_owner(&home, change);
            assert_eq!(holder(home.path()), None);
            by_name(&home, Doubt::Respect).unwrap();
            leave_owner(&home, change);
            assert!(release(home.path(), Path::new("state")).unwrap());
            assert!(!release(home.path(), Path::new("state")).unwrap());
        }
    }

    #[test]
    fn without_locks_an_owner_on_another_host_goes_only_when_the_user_is_sure() {
        let elsewhere: [fn(&mut Owner); 2] = [
            |owner| owner.host = "node9".into(),
            |owner| owner.pid_namespace = "pid:[1]".into(),
        ];
        for change in elsewhere {
            let home = TempDir::new().unwrap();
            leave_owner(&home, change);
            let error = by_name(&home, Doubt::Respect).unwrap_err();
            assert!(matches!(error, StateError::MaybeLocked { .. }), "{error}");
            assert!(error.to_string().contains("--take-over"), "{error}");
            assert!(release(home.path(), Path::new("state")).is_err());
            by_name(&home, Doubt::TakeOver).unwrap();
        }
    }
}
