//! Opening a run without writing to it.

use super::super::super::disk::simulated::{Chance, Failing, SimDisk};
use super::*;

pub(super) const FILE: &str = "/run/state";
pub(super) const PRIVATE: &str = "/run/.state.d";

pub(super) fn disk_with_a_run() -> SimDisk {
    let disk = SimDisk::new(&[Path::new("/run"), Path::new(PRIVATE)]);
    let shared = Arc::new(disk.clone());
    let mut store = Store::create_on(shared, FILE.into(), FILE.into(), PRIVATE.into(), "", first(), None).unwrap();
    store.commit(phase("train", "completed")).unwrap();
    store.show().unwrap();
    drop(store);
    disk
}

pub(super) fn untouched(disk: &SimDisk) -> Store {
    Store::open_untouched_on(Arc::new(disk.clone()), FILE.into(), FILE.into(), PRIVATE.into(), None).unwrap()
}

pub(super) fn content(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let names = disk.file_names();
    names
        .into_iter()
        .map(|name| (name.clone(), disk.content(&name)))
        .collect()
}

#[test]
fn a_run_whose_files_say_what_they_should_is_left_as_it_is_until_there_is_something_to_record() {
    let disk = disk_with_a_run();
    for forget_the_note in [false, true] {
        if forget_the_note {
            disk.take_away(Path::new("/run/.state.d/shown"));
        }
        let before = content(&disk);
        drop(untouched(&disk));
        assert!(content(&disk) == before);
    }
    let mut store = untouched(&disk);
    store.commit(phase("eval", "completed")).unwrap();
    drop(store);
    let store = untouched(&disk);
    assert_eq!(store.state().phase("eval"), Some(PhaseStatus::Completed));
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Completed));
}

#[test]
fn what_a_host_that_was_killed_left_is_made_durable_before_anybody_is_told_of_it() {
    let disk = disk_with_a_run();
    let mut killed = untouched(&disk);
    killed.begin_writing().unwrap();
    killed.view.postpone(Duration::from_secs(60));
    killed.commit(phase("eval", "completed").unsynced()).unwrap();
    std::mem::forget(killed);
    let store = untouched(&disk);
    assert_eq!(store.state().phase("eval"), Some(PhaseStatus::Completed));
    std::mem::forget(store);
    for disk in disk.after_power_loss(&mut Chance(7), 100) {
        assert_eq!(untouched(&disk).state().phase("eval"), Some(PhaseStatus::Completed));
    }
}

#[test]
fn an_edit_by_hand_is_seen_although_what_stood_there_is_noted() {
    let disk = disk_with_a_run();
    assert!(disk.content(Path::new("/run/.state.d/shown")).is_some());
    let text = String::from_utf8(disk.content(Path::new(FILE)).unwrap()).unwrap();
    disk.put(
        Path::new(FILE),
        text.replace("train=completed", "train=pending").as_bytes(),
    );
    let read = read_at(&disk, Path::new(FILE), Path::new(FILE), Path::new(PRIVATE))
        .unwrap()
        .state;
    assert_eq!(read.phase("train"), Some(PhaseStatus::Pending));
    assert_eq!(untouched(&disk).state().phase("train"), Some(PhaseStatus::Pending));
}

#[test]
fn what_people_wrote_around_the_values_stays_when_a_run_that_was_only_opened_goes_on() {
    let disk = disk_with_a_run();
    let text = || String::from_utf8(disk.content(Path::new(FILE)).unwrap()).unwrap();
    let with_comment = |text: &str| text.replace("[phases]", "# seen by the others\n[phases]");
    disk.put(Path::new(FILE), with_comment(&text()).as_bytes());
    let mut store = untouched(&disk);
    store.commit(phase("first", "completed")).unwrap();
    store.show().unwrap();
    drop(store);
    assert!(disk.content(Path::new("/run/.state.d/shown")).is_some());
    let mut store = untouched(&disk);
    assert!(store.view.known().is_empty(), "the text was kept");
    store.commit(phase("eval", "completed")).unwrap();
    store.show().unwrap();
    assert!(text().contains("# seen by the others\n[phases]"), "{}", text());
    assert!(text().contains("eval=completed"));
    drop(store);
    // Somebody saves between the opening and the first event.
    let mut store = untouched(&disk);
    let edited = text()
        .replace("others", "rest")
        .replace("eval=completed", "eval=pending");
    disk.put(Path::new(FILE), edited.as_bytes());
    store.commit(phase("last", "completed")).unwrap();
    store.show().unwrap();
    assert_eq!(store.state().phase("eval"), Some(PhaseStatus::Pending));
    assert!(
        text().contains("# seen by the rest") && text().contains("last=completed"),
        "{}",
        text()
    );
}

#[test]
fn who_has_only_opened_a_run_does_not_write_after_somebody_else_has() {
    let disk = disk_with_a_run();
    let (mut one, mut other) = (untouched(&disk), untouched(&disk));
    one.begin_writing().unwrap();
    one.commit(phase("eval", "completed")).unwrap();
    assert!(matches!(other.begin_writing(), Err(StateError::TakenOver { .. })));
    drop((one, other));
    assert_eq!(untouched(&disk).state().phase("eval"), Some(PhaseStatus::Completed));
}

#[test]
fn a_run_that_could_not_be_begun_leaves_no_state_file_behind() {
    const ENOSPC: i32 = 28;
    for from in 0..40 {
        let disk = SimDisk::new(&[Path::new("/run"), Path::new(PRIVATE)]);
        disk.fail(Failing {
            from,
            width: 1,
            error: ENOSPC,
        });
        let shared = Arc::new(disk.clone());
        let created = Store::create_on(shared, FILE.into(), FILE.into(), PRIVATE.into(), "", first(), None);
        if created.is_err() {
            assert_eq!(disk.content(Path::new(FILE)), None, "error at operation {from}");
        }
    }
}
