//! A sign of life, for file systems whose locks reach no other machine.
//!
//! Some mounts keep locks to themselves (`nolock`, `local_lock`, `localflock`), and say nothing of it. So whoever holds a
//! lock touches its file every now and then, and whoever gets the lock although the file names another machine looks how
//! long ago that was. Both times are the file system's: no two machines' clocks are compared.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::disk;

/// How often the holder of a lock touches its file.
pub(super) const BEAT: Duration = Duration::from_secs(15);
/// A file that was touched less than so long ago has a holder that lives.
const FRESH: Duration = Duration::from_secs(60);

/// Touches a file until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Begins to touch `file`, as long as what stands in it is `record`.
    pub(super) fn begin(file: File, record: String, every: Duration) -> Self {
        let (stop, stopped) = channel();
        let beat = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if disk::content(&file).is_ok_and(|now| now == record) {
                    // Once is no matter: a holder counts as alive for several beats.
                    let _ = disk::touch(&file);
                }
            }
        };
        // Without the thread there are the locks, which nearly everywhere are enough.
        let thread = thread::Builder::new().name("heartbeat".into()).spawn(beat).ok();
        Heartbeat {
            stop: Some(stop),
            thread,
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It never panics, and waits for nothing but the disk.
            let _ = thread.join();
        }
    }
}

/// Whether the file was touched a short time ago. Where that cannot be known, it was not.
pub(super) fn is_fresh(file: &File, directory: &Path) -> bool {
    disk::age(file, directory).is_ok_and(|age| age < FRESH)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use assert_fs::TempDir;

    use super::*;

    fn written_an_hour_ago(home: &TempDir, text: &str) -> File {
        let path = home.path().join("lock");
        std::fs::write(&path, text).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        file
    }

    #[test]
    fn a_file_is_fresh_for_a_minute_after_it_was_touched_and_looking_leaves_nothing_behind() {
        let home = TempDir::new().unwrap();
        let file = written_an_hour_ago(&home, "x");
        assert!(!is_fresh(&file, home.path()));
        disk::touch(&file).unwrap();
        assert!(is_fresh(&file, home.path()));
        for (seconds, fresh) in [(50, true), (61, false)] {
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
                .unwrap();
            assert_eq!(is_fresh(&file, home.path()), fresh, "{seconds}");
        }
        // A clock that was set back in between.
        file.set_modified(SystemTime::now() + Duration::from_secs(3600))
            .unwrap();
        assert!(is_fresh(&file, home.path()));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_heart_beats_for_its_own_record_and_for_no_other() {
        let home = TempDir::new().unwrap();
        let file = written_an_hour_ago(&home, "mine");
        let every = Duration::from_millis(5);
        let beating = Heartbeat::begin(file.try_clone().unwrap(), "mine".into(), every);
        while !is_fresh(&file, home.path()) {
            thread::sleep(every);
        }
        drop(beating);
        let file = written_an_hour_ago(&home, "another's");
        let beating = Heartbeat::begin(file.try_clone().unwrap(), "mine".into(), every);
        thread::sleep(20 * every);
        drop(beating);
        assert!(!is_fresh(&file, home.path()));
    }
}
