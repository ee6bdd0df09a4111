//! What a run leaves behind when it ends.

use super::untouched::{PRIVATE, content, disk_with_a_run, untouched};
use super::*;

#[test]
fn a_run_that_ends_leaves_a_journal_of_its_state_alone_and_one_that_was_only_looked_at_its_journal_as_it_was() {
    let disk = disk_with_a_run();
    let is_state_alone = |store: &Store| {
        let segment = Path::new(PRIVATE).join(store.journal.stamp().unwrap().segment);
        let text = String::from_utf8(disk.content(&segment).unwrap()).unwrap();
        text.lines().last().is_some_and(|line| line.contains(" snapend\t"))
    };
    let mut store = untouched(&disk);
    store.commit(phase("eval", "completed")).unwrap();
    assert!(!is_state_alone(&store));
    store.show_at_the_end().unwrap();
    assert!(is_state_alone(&store));
    drop(store);
    let before = content(&disk);
    let mut store = untouched(&disk);
    assert_eq!(store.state().phase("eval"), Some(PhaseStatus::Completed));
    store.show_at_the_end().unwrap();
    drop(store);
    assert!(content(&disk) == before);
}

#[test]
fn a_host_whose_run_another_one_has_taken_over_does_not_begin_its_journal_anew_at_the_end() {
    let disk = disk_with_a_run();
    let segments = || {
        let names = disk.file_names().into_iter();
        let is_segment = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.parent() == Some(Path::new(PRIVATE)) && name.starts_with("j-")
        };
        names.filter(is_segment).collect::<Vec<_>>()
    };
    let mut one = untouched(&disk);
    one.commit(phase("eval", "completed")).unwrap();
    let mut other = untouched(&disk);
    other.begin_writing().unwrap();
    let of_the_other = segments();
    assert_eq!(of_the_other.len(), 1);
    let _ = one.show_at_the_end();
    drop(one);
    assert_eq!(segments(), of_the_other);
    other.commit(phase("train", "pending")).unwrap();
    drop(other);
    let store = untouched(&disk);
    assert_eq!(store.state().phase("eval"), Some(PhaseStatus::Completed));
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Pending));
}
