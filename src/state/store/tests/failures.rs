//! The disk fails.

use std::process::Command;

use super::*;

#[test]
fn a_write_that_cannot_begin_leaves_file_and_memory_as_they_were() {
    let mut run = Run::new();
    let before = run.text();
    // A directory where the new text is to be written.
    let in_the_way = run.home.path().join(".experiment_state.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let error = run.store.commit(phase("train", "completed")).unwrap_err();
    assert!(matches!(error, StateError::Io { unchanged: true, .. }), "{error}");
    assert_eq!(run.text(), before);
    assert_eq!(run.status("train"), Some(PhaseStatus::Pending));
    fs::remove_dir(in_the_way).unwrap();
    run.store.commit(phase("train", "completed")).unwrap();
    assert_eq!(run.text(), before.replacen("train=pending", "train=completed", 1));
}

#[test]
fn an_edit_is_not_lost_when_the_write_after_it_fails() {
    let mut run = Run::new();
    run.edit("eval=pending", "eval=skipped");
    let in_the_way = run.home.path().join(".experiment_state.tmp");
    fs::create_dir(&in_the_way).unwrap();
    run.store.commit(phase("train", "completed")).unwrap_err();
    assert_eq!(run.store.take_notes(), Vec::<String>::new());
    assert_eq!(run.store.state().phase("eval"), Some(PhaseStatus::Pending));
    fs::remove_dir(in_the_way).unwrap();
    run.store.commit(phase("train", "completed")).unwrap();
    assert_eq!(run.store.take_notes(), ["edited by hand: eval=skipped (was pending)"]);
    assert_eq!(run.status("train"), Some(PhaseStatus::Completed));
    assert_eq!(run.status("eval"), Some(PhaseStatus::Skipped));
}

/// The limit counts for a whole process, so the test runs itself once more.
#[test]
fn a_write_that_fails_in_the_middle_leaves_the_old_file_whole() {
    const CHILD: &str = "JUMAR_TEST_FILE_SIZE_LIMIT";
    if let Some(folder) = std::env::var_os(CHILD) {
        return commit_with_a_file_size_limit(Path::new(&folder));
    }
    let run = Run::new();
    let before = run.text();
    let Run { home, store } = run;
    drop(store);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "state::store::tests::failures::a_write_that_fails_in_the_middle_leaves_the_old_file_whole",
        ])
        .env(CHILD, home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
    assert_eq!(
        fs::read_to_string(home.path().join(".experiment_state")).unwrap(),
        before
    );
    assert!(!home.path().join(".experiment_state.tmp").exists());
}

fn commit_with_a_file_size_limit(folder: &Path) {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let mut store = Store::open(&folder.join(".experiment_state")).unwrap();
    // SAFETY: ignoring a signal runs no code of ours in a handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(1000),
            maximum: Some(1000),
        },
    )
    .unwrap();
    let error = store
        .commit(phase("train", "completed").set("x", "y", "z".repeat(2000)))
        .unwrap_err();
    assert!(error.to_string().contains("Nothing was changed."), "{error}");
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Pending));
    store.commit(phase("eval", "pending")).unwrap();
}
