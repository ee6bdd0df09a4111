//! The disk fails.

use std::process::Command;

use super::*;

#[test]
fn a_state_file_that_cannot_be_written_is_told_once_and_nothing_is_lost() {
    let mut run = Run::new();
    run.look();
    let private = run.store.private_dir().to_owned();
    fs::remove_file(run.file()).unwrap();
    fs::create_dir(run.file()).unwrap();
    fs::write(run.file().join("x"), "").unwrap();
    run.store.commit(phase("train", "completed")).unwrap();
    assert!(matches!(run.store.show(), Err(StateError::IsDirectory { .. })));
    drop(run.store);
    fs::remove_dir_all(run.home.path().join(".experiment_state")).unwrap();
    assert!(private.is_dir());
    let store = Store::open(&run.home.path().join(".experiment_state")).unwrap();
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Completed));
}

/// The limit counts for a whole process, so the test runs itself once more.
#[test]
fn a_transition_that_cannot_be_written_is_as_if_it_had_not_been() {
    const CHILD: &str = "JUMAR_TEST_FILE_SIZE_LIMIT";
    if let Some(folder) = std::env::var_os(CHILD) {
        return commit_with_a_file_size_limit(Path::new(&folder));
    }
    let run = Run::new();
    let before = run.plain();
    let Run { home, store } = run;
    drop(store);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "state::store::tests::failures::a_transition_that_cannot_be_written_is_as_if_it_had_not_been",
        ])
        .env(CHILD, home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
    let after = fs::read_to_string(home.path().join(".experiment_state")).unwrap();
    assert_eq!(plain(&after), before.replace("eval=pending", "eval=completed"));
}

fn commit_with_a_file_size_limit(folder: &Path) {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let mut store = Store::open(&folder.join(".experiment_state")).unwrap();
    // SAFETY: ignoring a signal runs no code of ours in a handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let limit = Some(1500);
    let limits = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::Fsize, limits).unwrap();
    let error = store
        .commit(phase("train", "completed").set("x", "y", "z".repeat(2000)))
        .unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Pending));
    store.commit(phase("eval", "completed")).unwrap();
}
