//! A state file that cannot be understood is refused with its line and a remedy, and is left as it is, byte for byte.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{Ended, Workplace, redact, skipped};

const RUN: &str = "runs/broken_20260101_120000";

/// The commands that would read the file, and write it if they could.
const COMMANDS: [&[&str]; 3] = [&["status", RUN], &["resume", RUN], &["run", "--resume", RUN]];

/// A workplace with a run whose state file has this text.
fn with_state(text: &[u8]) -> Workplace {
    let place = Workplace::new();
    let file = place.write(&format!("{RUN}/.experiment_state"), "");
    fs::write(file, text).expect("the state file is written");
    place
}

/// What all three commands say, which is the same; nothing may be made or changed.
fn refusal(place: &Workplace) -> String {
    let before = place.listing();
    let said = COMMANDS.map(|command| {
        let Ended { stdout, stderr, .. } = place.jumar(command).code(4);
        assert_eq!(stdout, "", "{command:?}");
        assert_eq!(place.listing(), before, "{command:?} leaves everything as it is");
        redact(&stderr, place)
    });
    assert_eq!((&said[0], &said[0]), (&said[1], &said[2]), "all commands say the same");
    let [said, ..] = said;
    said
}

fn refusal_of(text: &str) -> String {
    refusal(&with_state(text.as_bytes()))
}

#[test]
fn a_line_that_is_no_assignment_is_shown_with_its_number() {
    insta::assert_snapshot!(refusal_of(
        "[metadata]\nversion=3.2.0\n\n[phases]\ntraining completed\naggregation=pending\n"
    ));
}

#[test]
fn a_header_that_is_not_closed_is_shown_with_its_number() {
    insta::assert_snapshot!(refusal_of("# mine\n[phases\ntraining=completed\n"));
}

#[test]
fn a_key_that_stands_twice_is_shown_with_both_its_lines() {
    insta::assert_snapshot!(refusal_of(
        "[phases]\ntraining=completed\naggregation=pending\ntraining=pending\n"
    ));
}

#[test]
fn a_word_that_is_no_status_is_shown_with_the_one_that_was_meant() {
    insta::assert_snapshot!(refusal_of(
        "[phases]\ntraining=completed\nphase1_statistical=compelted\n"
    ));
}

#[test]
fn a_word_that_is_like_no_status_is_shown_with_all_of_them() {
    insta::assert_snapshot!(refusal_of("[phases]\ntraining=42\n"));
}

#[test]
fn nul_bytes_are_told_of_by_line() {
    insta::assert_snapshot!(refusal_of("[phases]\ntraining=completed\n\0\0\0\0\0\0\0\0"));
}

#[test]
fn text_that_is_no_utf8_is_told_of_by_line() {
    insta::assert_snapshot!(refusal(&with_state(b"[phases]\n# M\xfcller\ntraining=completed\n")));
}

#[test]
fn a_version_that_is_newer_is_refused_by_name() {
    let said = refusal_of("[metadata]\nversion=3.3.0\n[phases]\ntraining=paused\n");
    assert!(said.contains("3.3.0"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn a_version_that_is_none_is_shown_with_its_line() {
    insta::assert_snapshot!(refusal_of("[metadata]\nversion=latest\n[phases]\ntraining=pending\n"));
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_by_its_size() {
    let place = with_state(b"[phases]\ntraining=completed\n");
    let file = File::options()
        .write(true)
        .open(place.path().join(RUN).join(".experiment_state"))
        .expect("it opens");
    file.set_len(100 << 20).expect("it grows");
    insta::assert_snapshot!(refusal(&place));
}

#[test]
fn a_directory_in_the_place_of_the_file_is_refused_however_it_is_named() {
    let place = Workplace::new();
    place.write(&format!("{RUN}/.experiment_state/file"), "");
    insta::assert_snapshot!(refusal(&place));
    let named = place.jumar(&["status", &format!("{RUN}/.experiment_state")]).code(4);
    assert_eq!(redact(&named.stderr, &place), refusal(&place));
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_refused_without_waiting_for_a_writer() {
    let place = Workplace::new();
    let file = place.path().join(RUN).join(".experiment_state");
    fs::create_dir_all(file.parent().expect("it has a directory")).expect("the directory is made");
    assert!(
        Command::new("mkfifo")
            .arg(&file)
            .status()
            .expect("mkfifo starts")
            .success()
    );
    insta::assert_snapshot!(refusal(&place));
}

#[test]
fn a_file_that_may_not_be_read_is_refused_with_what_to_look_at() {
    let place = with_state(b"[phases]\ntraining=completed\n");
    let file = place.path().join(RUN).join(".experiment_state");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("the mode is set");
    // Root may read every file: then another user asks.
    let other = File::open(&file).is_ok().then_some(65534);
    for directory in [place.path(), &place.path().join("runs"), &place.path().join(RUN)] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("the mode is set");
    }
    for command in COMMANDS {
        let mut command = place.command(command);
        if let Some(user) = other {
            command.uid(user).gid(user);
        }
        let Ok(output) = command.output() else {
            skipped("this user may read every file, and no other user may start the program");
            return;
        };
        let said = Ended::from(output).code(4).stderr;
        let expected = format!(
            "error: {RUN}/.experiment_state cannot be read: Permission denied (os error 13)\nhint: look at its owner"
        );
        assert!(said.starts_with(&expected), "{said}");
    }
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0);
}

#[test]
fn a_refusal_is_json_where_json_is_asked_for() {
    let place = with_state(b"[phases]\ntraining=compelted\n");
    for command in COMMANDS {
        let ended = place.jumar(&[command, &["--json"]].concat()).code(4);
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON on standard output");
        assert_eq!(answer["error"]["code"], 4, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains(".experiment_state:2:10: `compelted` is not a status"),
            "{message}"
        );
        assert!(
            answer["error"]["hints"][0]
                .as_str()
                .is_some_and(|hint| hint.contains("`completed`")),
            "{answer}"
        );
    }
}

#[test]
fn a_broken_file_is_no_hindrance_for_other_runs() {
    let place = with_state(b"\0\0\0");
    place.write("s.rhai", r#"phase("a", || {});"#);
    place.jumar(&["run", "s.rhai"]).code(0);
    let listed = place.jumar(&["runs"]).code(0);
    assert!(listed.stdout.contains("s_"), "{}", listed.stdout);
}
