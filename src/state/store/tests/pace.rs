//! How often the state file is replaced, by a clock that moves only when it is told to.

use super::super::super::disk::simulated::SimDisk;
use super::*;

const FILE: &str = "/run/.experiment_state";
const PRIVATE: &str = "/run/.experiment_state.d";

fn open(disk: &SimDisk) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(disk, FILE.into(), FILE.into(), PRIVATE.into(), None).unwrap()
}

/// Sets a phase back and forth, a moment apart, and counts how often the file became another.
fn replacements(disk: &SimDisk, store: &mut Store, commits: usize, apart: Duration) -> usize {
    let mut count = 0;
    let mut shown = disk.content(Path::new(FILE));
    for index in 0..commits {
        disk.advance(apart);
        store
            .commit(phase("a", ["pending", "failed"][index % 2]).set("steps", "n", index.to_string()))
            .unwrap();
        let now = disk.content(Path::new(FILE));
        count += usize::from(now != shown);
        shown = now;
    }
    count
}

#[test]
fn the_first_changes_are_shown_at_once_and_from_then_on_five_a_second_however_fast_the_disk_is() {
    let disk = SimDisk::new(&[Path::new("/run"), Path::new(PRIVATE)]);
    disk.put(Path::new(FILE), b"[phases]\na=pending\n");
    disk.settle();
    let mut store = open(&disk);
    assert_eq!(replacements(&disk, &mut store, 5, Duration::from_millis(1)), 5);
    replacements(&disk, &mut store, 20, Duration::from_millis(1));
    // Two seconds in which something happens every millisecond.
    let count = replacements(&disk, &mut store, 2_000, Duration::from_millis(1));
    assert!((9..=11).contains(&count), "{count}");
}
