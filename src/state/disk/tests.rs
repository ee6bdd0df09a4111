use std::os::unix::fs::symlink;

use assert_fs::TempDir;

use super::*;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("it is a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn replace(file: &Path, text: &str) -> Result<(), StateError> {
    Replacement::write(file, text.as_bytes())?.install()
}

#[test]
fn a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it() {
    let home = TempDir::new().unwrap();
    let file = home.path().join(".experiment_state");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    replace(&file, "new").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(names(home.path()), [".experiment_state"]);
}

#[test]
fn a_replacement_that_is_dropped_leaves_nothing_behind() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("state");
    fs::write(&file, "old").unwrap();
    let replacement = Replacement::write(&file, b"new").unwrap();
    assert_eq!(names(home.path()), [".state.tmp", "state"]);
    drop(replacement);
    assert_eq!(names(home.path()), ["state"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
}

#[test]
fn what_a_killed_writer_left_is_taken_over() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("state");
    fs::write(home.path().join(".state.tmp"), "half a te").unwrap();
    replace(&file, "new").unwrap();
    assert_eq!(names(home.path()), ["state"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
}

#[test]
fn a_rename_that_fails_leaves_the_old_and_nothing_beside_it() {
    let home = TempDir::new().unwrap();
    let target = home.path().join("state");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("x"), "").unwrap();
    let error = replace(&target, "new").unwrap_err();
    assert!(matches!(error, StateError::Io { unchanged: true, .. }), "{error}");
    assert!(error.to_string().contains("Nothing was changed."));
    assert_eq!(names(home.path()), ["state"]);
}

#[test]
fn links_are_resolved_to_the_file_they_mean() {
    let home = TempDir::new().unwrap();
    let root = fs::canonicalize(home.path()).unwrap();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/state"), "x").unwrap();
    symlink("real/state", root.join("link")).unwrap();
    symlink("link", root.join("second")).unwrap();
    symlink("real/not_yet", root.join("dangling")).unwrap();
    symlink("circle", root.join("circle")).unwrap();
    assert_eq!(resolve(&root.join("second")).unwrap(), root.join("real/state"));
    assert_eq!(resolve(&root.join("dangling")).unwrap(), root.join("real/not_yet"));
    assert_eq!(resolve(&root.join("new")).unwrap(), root.join("new"));
    assert!(resolve(&root.join("circle")).is_err());
    assert!(resolve(&root.join("none/new")).is_err());
}

#[test]
fn a_file_kept_aside_gets_the_first_free_number() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("state");
    fs::write(&file, "broken").unwrap();
    fs::write(home.path().join("state.rejected-1"), "older").unwrap();
    assert_eq!(keep_aside(&file).unwrap(), home.path().join("state.rejected-2"));
    replace(&file, "new").unwrap();
    assert_eq!(
        fs::read_to_string(home.path().join("state.rejected-2")).unwrap(),
        "broken"
    );
    assert_eq!(
        fs::read_to_string(home.path().join("state.rejected-1")).unwrap(),
        "older"
    );
}

#[test]
fn what_is_no_readable_file_is_told_apart() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let ask = |name: &str| read(&path(name), &path(name)).unwrap_err();

    fs::write(path("file"), "x").unwrap();
    assert!(matches!(ask("none"), StateError::NotFound { .. }));
    assert!(matches!(ask("file/inside"), StateError::NotFound { .. }));
    let error = read(home.path(), home.path()).unwrap_err();
    assert!(error.to_string().ends_with("/.experiment_state"), "{error}");

    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert!(matches!(ask("pipe"), StateError::Unreadable { .. }));

    File::create(path("big")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(
        ask("big").headline(),
        format!(
            "{} is too large for a state file: 100 MiB, the limit is 64 MiB",
            path("big").display()
        )
    );
}

#[test]
fn directories_are_made_with_those_above_them() {
    let home = TempDir::new().unwrap();
    let deep = home.path().join("a/b/c");
    create_directory(&deep).unwrap();
    create_directory(&deep).unwrap();
    assert!(deep.is_dir());
    fs::write(home.path().join("file"), "").unwrap();
    assert!(create_directory(&home.path().join("file/x")).is_err());
}

#[test]
fn private_files_are_hidden_whatever_the_state_file_is_called() {
    assert_eq!(
        private_directory(Path::new("r/.experiment_state")),
        Path::new("r/.experiment_state.d")
    );
    assert_eq!(private_directory(Path::new("r/state")), Path::new("r/.state.d"));
}
