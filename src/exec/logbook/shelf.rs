//! The logbooks of a run: one for each attempt that is on, which serves another one after that.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Entry, Logbook};

/// A logbook that is longer serves no other attempt, in bytes: whoever reads it has to pass over all that.
const LONGEST: u64 = 128 << 10;

/// Logbooks that nobody needs at present, and how many there ever were.
#[derive(Debug, Default)]
pub struct Shelf {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    idle: Vec<Logbook>,
    made: u64,
}

impl Shelf {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A logbook with nothing under its title, in a directory of its own under `directory`.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written.
    pub fn take(&self, directory: &Path, title: &str) -> io::Result<Logbook> {
        let idle = self.inner().idle.pop();
        if let Some(logbook) = idle
            && logbook.entitle(title).is_ok()
        {
            return Ok(logbook);
        }
        Logbook::create(&self.free_place(directory), title)
    }

    /// Those of earlier hosts keep their places.
    fn free_place(&self, directory: &Path) -> PathBuf {
        let mut inner = self.inner();
        loop {
            inner.made += 1;
            let place = directory.join(inner.made.to_string());
            if !place.exists() {
                return place;
            }
        }
    }

    /// Takes back a logbook whose attempt is over. What was still to be written under its title is passed over by those who
    /// read it under another one: they do not know the command.
    pub fn put_back(&self, logbook: Logbook) {
        // Somebody may have tidied up: what is written into a file without a name is lost.
        let is_fit = |file: Metadata| file.len() <= LONGEST && file.nlink() > 0;
        if logbook.file().metadata().is_ok_and(is_fit) {
            self.inner().idle.push(logbook);
        } else {
            logbook.discard();
        }
    }
}

/// Whether there is no logbook, or none any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Logbook {
    /// The logbook under `directory` whose last title this is, whichever host has written it, and its entries.
    ///
    /// # Errors
    ///
    /// When it is not found, and the directory or a logbook cannot be read.
    pub fn find(directory: &Path, title: &str) -> io::Result<Option<(Logbook, Vec<Entry>)>> {
        let places = match fs::read_dir(directory) {
            Ok(places) => places,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut trouble = None;
        for place in places {
            // What else lies there, or is being removed, is no reason not to find it.
            match Logbook::open(&place?.path(), title) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(None), Err)
    }
}
