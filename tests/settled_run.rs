//! Taking a run up again in which nothing is left to do.

mod common;

use common::Workplace;

const SCRIPT: &str = r#"phase("a", || { shell("echo a >> ran"); });
phase("b", #{ after: "a" }, || { shell("echo b >> ran"); });
"#;

fn complete_run() -> Workplace {
    let place = Workplace::with_script(SCRIPT);
    place.jumar(&["run", "pipeline.rhai"]).code(0);
    place
}

/// The state file, the journal and its history, with their contents.
fn files(place: &Workplace) -> Vec<(String, Vec<u8>)> {
    let run = place.path().join(place.run());
    let private = run.join(".experiment_state.d");
    let names = |directory: &std::path::Path| -> Vec<_> {
        let entries = std::fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let all = [names(&run), names(&private), names(&private.join("history"))].concat();
    let mut files: Vec<_> = all
        .into_iter()
        // The lock says who had it last.
        .filter(|path| path.is_file() && !path.ends_with("lock") && !path.ends_with("owner"))
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("readable")))
        .collect();
    files.sort();
    files
}

#[test]
fn a_resume_of_a_complete_run_says_so_and_changes_nothing() {
    let place = complete_run();
    let before = files(&place);
    for _ in 0..2 {
        let ended = place.jumar(&["resume"]).code(0);
        assert_eq!(ended.stdout.trim(), place.run());
        assert!(ended.stderr.contains("completed"), "{}", ended.stderr);
    }
    assert!(files(&place) == before);
    assert_eq!(place.read("ran"), "a\nb\n");
    // Nothing that is asked for is left to do, although the run is not complete.
    place.jumar(&["mark", &place.run(), "b", "--as", "pending"]).code(0);
    let before = files(&place);
    place.jumar(&["resume", "--phase", "a"]).code(0);
    assert!(files(&place) == before);
}

#[test]
fn what_has_changed_since_is_recorded_by_the_next_resume_all_the_same() {
    let place = complete_run();
    place.write("pipeline.rhai", &format!("{SCRIPT}phase(\"c\", || {{}});\n"));
    let recorded = place.value("metadata", "script_hash");
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.value("phases", "c").as_deref(), Some("completed"));
    assert_ne!(place.value("metadata", "script_hash"), recorded);
    place.jumar(&["mark", &place.run(), "b", "--as", "pending"]).code(0);
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "a\nb\nb\n");
    assert_eq!(place.value("metadata", "resume_count").as_deref(), Some("2"));
}
