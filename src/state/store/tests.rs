use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use assert_fs::TempDir;

use super::super::event::Event;
use super::super::look::read_at;
use super::super::page::Page;
use super::super::status::PhaseStatus;
use super::super::{holder, read};
use super::*;

mod edits;
mod ending;
mod failures;
mod pace;
mod simulation;
mod together;
mod untouched;

impl Store {
    /// A store on a simulated disk, which has taken the journal over.
    fn open_on(
        disk: Arc<dyn Disk>,
        file: PathBuf,
        shown: PathBuf,
        directory: PathBuf,
        lock: Option<Lock>,
    ) -> Result<Store, StateError> {
        let mut store = Store::open_untouched_on(disk, file, shown, directory, lock)?;
        store.begin_writing()?;
        Ok(store)
    }
}

/// A folder with a state file of two phases, and the store that wrote it.
struct Run {
    home: TempDir,
    store: Store,
}

impl Run {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let store = Store::create(&home.path().join(".experiment_state"), "# a run", first()).unwrap();
        Run { home, store }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join(".experiment_state")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// The text without what marks it whole.
    fn plain(&self) -> String {
        plain(&self.text())
    }

    /// Looks at the file for as long as it takes to be sure, brings it up to date, and returns what there is to tell.
    fn look(&mut self) -> Vec<String> {
        self.store.show().unwrap();
        self.store.take_notes()
    }

    /// What a person with an editor does.
    fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from:?} is not in {text:?}");
        fs::write(self.file(), text.replacen(from, to, 1)).unwrap();
    }

    fn status(&self, phase: &str) -> Option<PhaseStatus> {
        assert_eq!(
            read(&self.file()).unwrap(),
            *self.store.state(),
            "memory and file tell the same"
        );
        self.store.state().phase(phase)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn plain(text: &str) -> String {
    let is_mark = |line: &str| line.contains("journal=") || line.trim() == "# end of state";
    text.split_inclusive('\n').filter(|line| !is_mark(line)).collect()
}

fn first() -> Event {
    Event::new("created")
        .set("metadata", "version", "3.2.0")
        .set("phases", "train", "pending")
        .set("phases", "eval", "pending")
}

fn phase(name: &str, word: &str) -> Event {
    Event::new("phase").set("phases", name, word)
}

#[test]
fn a_new_file_reads_like_the_guides() {
    let run = Run::new();
    assert_eq!(
        run.plain(),
        "# a run\n\n[metadata]\nversion=3.2.0\n\n[phases]\ntrain=pending\neval=pending\n"
    );
    assert!(
        run.text().contains("\nversion=3.2.0\njournal=j-00000000-"),
        "{}",
        run.text()
    );
    assert!(run.text().ends_with("\n# end of state\n"), "{}", run.text());
    assert_eq!(run.names(), [".experiment_state", ".experiment_state.d"]);
    assert_eq!(
        run.store.private_dir(),
        fs::canonicalize(run.home.path()).unwrap().join(".experiment_state.d")
    );
    assert_eq!(run.store.path(), run.file());
}

#[test]
fn what_is_committed_is_there_when_the_store_is_opened_again() {
    let mut run = Run::new();
    run.store
        .commit(phase("train", "completed").set("checkpoints", "checkpoint_path", "ckpt/9"))
        .unwrap();
    drop(run.store);
    let store = Store::open(&run.home.path().join(".experiment_state")).unwrap();
    assert_eq!(store.state().phase("train"), Some(PhaseStatus::Completed));
    assert_eq!(store.state().get("checkpoints", "checkpoint_path"), Some("ckpt/9"));
}

#[test]
fn every_file_of_the_bash_runner_goes_on_in_its_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bash-3.1.0");
    for entry in fs::read_dir(folder).unwrap() {
        let source = entry.unwrap().path();
        if source
            .extension()
            .is_none_or(|extension| extension != "experiment_state")
        {
            continue;
        }
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        let before = fs::read_to_string(&source).unwrap();
        fs::write(&file, &before).unwrap();
        let mut store = Store::open(&file).unwrap();
        let old = store.state().get("phases", "phase1_statistical").unwrap().to_owned();
        store
            .commit(phase("phase1_statistical", "failed").set("metadata", "last_phase_start", "7"))
            .unwrap();
        store.show().unwrap();
        let after = plain(&fs::read_to_string(&file).unwrap());
        let start = before
            .lines()
            .find(|line| line.starts_with("last_phase_start="))
            .unwrap();
        assert_eq!(
            after,
            before
                .replacen(&format!("phase1_statistical={old}"), "phase1_statistical=failed", 1)
                .replacen(start, "last_phase_start=7", 1),
            "{}",
            source.display()
        );
    }
}

#[test]
fn an_event_that_alters_nothing_is_not_written() {
    let mut run = Run::new();
    run.look();
    let before = fs::metadata(run.file()).unwrap().ino();
    run.store.commit(phase("train", "pending").remove("none", "x")).unwrap();
    assert_eq!(run.store.refresh().unwrap(), Vec::<String>::new());
    assert_eq!(fs::metadata(run.file()).unwrap().ino(), before);
}

#[test]
fn a_file_with_content_is_not_made_anew_and_an_empty_one_is() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("deep/run/.experiment_state");
    drop(Store::create(&file, "", first()).unwrap());
    let error = Store::create(&file, "", first()).unwrap_err();
    assert!(matches!(error, StateError::AlreadyExists { .. }), "{error}");
    assert!(matches!(
        Store::create(home.path(), "", first()),
        Err(StateError::IsDirectory { .. })
    ));
    fs::write(&file, "").unwrap();
    let error = Store::create(&file, "", first()).unwrap_err();
    assert!(
        matches!(error, StateError::AlreadyExists { .. }),
        "its journal is there: {error}"
    );
    let file = home.path().join(".experiment_state");
    fs::write(&file, "").unwrap();
    drop(Store::create(&file, "", first()).unwrap());
    assert_eq!(read(&file).unwrap().phases().count(), 2);
}

#[test]
fn an_empty_file_is_a_run_with_nothing_done() {
    let home = TempDir::new().unwrap();
    let file = home.path().join(".experiment_state");
    fs::write(&file, "").unwrap();
    let mut store = Store::open(&file).unwrap();
    assert_eq!(store.state().sections().count(), 0);
    store.commit(phase("train", "completed")).unwrap();
    store.show().unwrap();
    assert_eq!(
        plain(&fs::read_to_string(&file).unwrap()),
        "[phases]\ntrain=completed\n"
    );
    assert_eq!(store.take_notes(), Vec::<String>::new());
}

#[test]
fn one_run_has_one_writer_and_readers_do_not_mind() {
    let run = Run::new();
    let error = Store::open(&run.file()).unwrap_err();
    assert!(
        matches!(&error, StateError::Locked { owner, .. } if owner.pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains("in use by pid"), "{error}");
    assert_eq!(read(&run.file()).unwrap().phases().count(), 2);
    assert_eq!(holder(&run.file()).map(|owner| owner.pid), Some(std::process::id()));
    let Run { home, store } = run;
    drop(store);
    assert_eq!(holder(&home.path().join(".experiment_state")), None);
    Store::open(&home.path().join(".experiment_state")).unwrap();
}

#[test]
fn looking_makes_nothing() {
    let home = TempDir::new().unwrap();
    let file = home.path().join(".experiment_state");
    assert!(matches!(Store::open(&file), Err(StateError::NotFound { .. })));
    fs::write(&file, "[phases]\n").unwrap();
    read(&file).unwrap();
    assert_eq!(holder(&file), None);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_linked_state_file_is_worked_on_where_it_is() {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("real")).unwrap();
    fs::write(home.path().join("real/state"), "[phases]\ntrain=pending\n").unwrap();
    let link = home.path().join("link");
    symlink("real/state", &link).unwrap();
    let mut store = Store::open(&link).unwrap();
    store.commit(phase("train", "completed")).unwrap();
    store.show().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        plain(&fs::read_to_string(home.path().join("real/state")).unwrap()),
        "[phases]\ntrain=completed\n"
    );
    assert!(home.path().join("real/.state.d/lock").exists());
}

#[test]
fn a_broken_file_is_left_as_it_is_to_the_byte_and_the_second() {
    let broken: [&[u8]; 7] = [
        b"[phases]\ntraining compelted\n",
        b"[phases]\ntrain=completed\ntrain=failed\n",
        b"[phases]\ntrain=compelted\n",
        b"[phases]\ntrain=\0\0\n",
        b"[phases\ntrain=completed\n",
        b"\xff\xfe",
        b"[metadata]\nversion=4.0.0\n",
    ];
    for bytes in broken {
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        fs::write(&file, bytes).unwrap();
        let before = fs::metadata(&file).unwrap();
        let error = Store::open(&file).unwrap_err();
        assert!(error.remedy().is_some(), "{error}");
        assert_eq!(read(&file).unwrap_err().to_string(), error.to_string());
        let after = fs::metadata(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(
            (before.mtime(), before.mtime_nsec(), before.ino()),
            (after.mtime(), after.mtime_nsec(), after.ino())
        );
    }
}

#[test]
fn what_the_file_cannot_hold_is_refused_before_anything_is_written() {
    let mut run = Run::new();
    let before = run.text();
    for event in [
        phase("train", "compelted"),
        phase("a=b", "pending"),
        phase("train", "completed").set("x", "y", "two\nlines"),
        Event::new("x").set("metadata", "version", "9.0.0"),
    ] {
        let error = run.store.commit(event).unwrap_err();
        assert!(matches!(error, StateError::BadChange { .. }), "{error}");
    }
    assert_eq!(run.text(), before);
    assert_eq!(run.status("train"), Some(PhaseStatus::Pending));
}
