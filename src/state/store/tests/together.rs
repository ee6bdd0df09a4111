//! Events that come together.

use super::super::super::disk::simulated::{Failing, SimDisk};
use super::*;

const FILE: &str = "/run/.experiment_state";
const PRIVATE: &str = "/run/.experiment_state.d";

fn disk() -> SimDisk {
    let disk = SimDisk::new(&[Path::new("/run"), Path::new(PRIVATE)]);
    disk.put(
        Path::new(FILE),
        b"[phases]\na=pending\nb=pending\nc=pending\nd=pending\n",
    );
    disk.settle();
    disk
}

fn open(disk: &SimDisk) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut store = Store::open_on(disk, FILE.into(), FILE.into(), PRIVATE.into(), None).unwrap();
    // The first few changes are shown at once, for which the journal is synced, too. Then it is some time until it is long.
    let segment = |store: &Store| store.journal.stamp().unwrap().segment;
    let first = segment(&store);
    for index in 0.. {
        store.commit(Event::new("x").set("x", "n", index.to_string())).unwrap();
        if index > 10 && segment(&store) != first {
            break;
        }
    }
    store
}

fn makers(events: impl IntoIterator<Item = Event>) -> Vec<Maker> {
    let maker = |event| Box::new(move |_: &State| event) as Maker;
    events.into_iter().map(maker).collect()
}

fn all_completed() -> Vec<Event> {
    ["a", "b", "c", "d"].map(|name| phase(name, "completed")).to_vec()
}

#[test]
fn completions_that_come_together_share_one_write_and_one_sync_and_one_by_one_each_has_its_own() {
    let disk = disk();
    let mut store = open(&disk);
    let (appends, syncs) = disk.appends_and_syncs();
    let answers = store.commit_together(makers(all_completed()));
    assert!(answers.len() == 4 && answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(disk.appends_and_syncs(), (appends + 1, syncs + 1));
    for name in ["a", "b", "c", "d"] {
        store.commit(phase(name, "failed")).unwrap();
    }
    assert_eq!(disk.appends_and_syncs(), (appends + 5, syncs + 5));
    let unsynced = |event: Event| event.unsynced();
    store.commit_together(makers(all_completed().into_iter().map(unsynced)));
    assert_eq!(disk.appends_and_syncs(), (appends + 6, syncs + 5));
}

#[test]
fn each_event_is_made_from_the_state_that_those_before_it_leave() {
    let disk = disk();
    let mut store = open(&disk);
    let count = |state: &State| state.get("failures", "count").map_or(0, |n| n.parse::<u32>().unwrap());
    let fails =
        move || Box::new(move |s: &State| Event::new("failed").set("failures", "count", (count(s) + 1).to_string()));
    store.commit_together(vec![fails(), fails(), fails()]);
    assert_eq!(count(store.state()), 3);
    drop(store);
    assert_eq!(count(open(&disk).state()), 3);
}

#[test]
fn one_that_the_file_cannot_hold_is_refused_alone() {
    let disk = disk();
    let mut store = open(&disk);
    let answers = store.commit_together(makers([
        phase("a", "completed"),
        phase("b", "compelted"),
        phase("c", "completed"),
    ]));
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    let refused = answers[1].as_ref().unwrap_err();
    assert!(matches!(refused.error, StateError::BadChange { .. }), "{refused:?}");
    let statuses: Vec<PhaseStatus> = store.state().phases().map(|(_, status)| status).collect();
    use PhaseStatus::{Completed, Pending};
    assert_eq!(statuses, [Completed, Pending, Completed, Pending]);
}

#[test]
fn on_a_disk_that_fails_each_gets_its_event_back_and_nothing_of_it_is_visible() {
    let disk = disk();
    let mut store = open(&disk);
    let before = store.state().clone();
    disk.fail(Failing {
        from: disk.operations(),
        width: usize::MAX,
        error: libc::EIO,
    });
    let answers = store.commit_together(makers(all_completed()));
    assert_eq!(*store.state(), before);
    let back: Vec<Event> = answers.into_iter().map(|answer| answer.unwrap_err().event).collect();
    assert_eq!(back, all_completed());
    disk.mend();
    let answers = store.commit_together(makers(back));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    drop(store);
    let statuses = |store: Store| {
        store
            .state()
            .phases()
            .filter(|(_, s)| *s == PhaseStatus::Completed)
            .count()
    };
    assert_eq!(statuses(open(&disk)), 4);
}
