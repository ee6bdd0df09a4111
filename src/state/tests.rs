//! Laws of what reads the files that people, crashes and other programs leave, held on the corpus (`tests/corpus`),
//! on cheap mutations of it, and on worse files that a search makes of it.

mod documents;
mod merges;
mod segments;

use std::path::PathBuf;

use assert_fs::TempDir;

use super::disk::{Disk, RealDisk};
use super::recovery::is_segment;
use super::{Event, Store};

/// A run in which `a`, `b` and `c` were completed one after the other: its state file and the one segment of its journal.
pub(super) fn three_completions(home: &TempDir) -> (PathBuf, PathBuf) {
    let file = home.path().join(".experiment_state");
    let mut store = Store::create(&file, "", Event::new("created").set("phases", "a", "pending")).unwrap();
    for name in ["a", "b", "c"] {
        let completed = Event::new("completed").set("phases", name, "completed");
        store.commit(completed).unwrap();
    }
    drop(store);
    let directory = home.path().join(".experiment_state.d");
    let names = RealDisk.list(&directory).unwrap();
    let segment = names.iter().find(|name| is_segment(name));
    (file, directory.join(segment.unwrap()))
}

/// Breaks a law unless something is so.
fn hold(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
}
