//! `jumar mark`: a person says how phases stand.

mod common;

use common::{Workplace, value_in, wait_until};

const STATE: &str = "# mine\n[metadata]\nversion=3.2.0\n[phases]\nprepare=completed\ntrain=failed\neval_1=pending\neval_2=pending\n[notes]\nk=v\n";

fn run_with(state: &str) -> Workplace {
    let place = Workplace::new();
    place.write("r/.experiment_state", state);
    place
}

#[test]
fn a_phase_is_marked_and_everything_else_in_the_file_stays() {
    let place = run_with(STATE);
    let ended = place.jumar(&["mark", "r", "train", "--as", "completed"]).code(0);
    assert_eq!(ended.stdout, "train: failed → completed\n");
    // All but the stamp that ties the file to its journal.
    let text = place.read("r/.experiment_state");
    let own = |line: &&str| !line.starts_with("journal=") && *line != "# end of state";
    let others: Vec<&str> = text.lines().filter(own).collect();
    let expected = STATE.replace("train=failed", "train=completed");
    assert_eq!(others, expected.lines().collect::<Vec<_>>());
}

#[test]
fn a_pattern_marks_all_that_it_matches_and_nothing_else() {
    let place = run_with(STATE);
    place
        .jumar(&["mark", "r", "eval_*", "prepare", "--as", "skipped"])
        .code(0);
    let text = place.read("r/.experiment_state");
    for (phase, status) in [
        ("prepare", "skipped"),
        ("eval_1", "skipped"),
        ("eval_2", "skipped"),
        ("train", "failed"),
    ] {
        assert_eq!(value_in(&text, "phases", phase).as_deref(), Some(status), "{phase}");
    }
}

#[test]
fn json_says_what_changed_and_what_stood_so_already() {
    let place = run_with(STATE);
    let ended = place
        .jumar(&["mark", "r", "train", "prepare", "--as", "completed", "--json"])
        .code(0);
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        said["changed"],
        serde_json::json!([{ "phase": "train", "from": "failed", "to": "completed" }])
    );
    assert_eq!(said["unchanged"], serde_json::json!(["prepare"]));
}

#[test]
fn a_name_that_is_no_phase_is_answered_with_the_one_that_was_meant_and_nothing_is_written() {
    let place = run_with(STATE);
    let ended = place
        .jumar(&["mark", "r", "train", "eval_3", "--as", "completed"])
        .code(2);
    assert!(
        ended.stderr.contains("no phase `eval_3`; did you mean `eval_"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("prepare, train, eval_1, eval_2"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.read("r/.experiment_state"), STATE);
    let refused = place
        .jumar(&["mark", "r", "evl_*", "--as", "completed", "--json"])
        .code(2);
    let said: serde_json::Value = serde_json::from_str(&refused.stdout).expect("refusals are JSON, too");
    assert_eq!(said["error"]["message"], "no phase of this run matches `evl_*`");
}

#[test]
fn a_phase_that_only_the_script_knows_can_be_marked_in_an_empty_file() {
    let place = run_with("");
    let ended = place.jumar(&["mark", "r", "training", "--as", "completed"]).code(0);
    assert_eq!(ended.stdout, "training: not there → completed\n");
    assert_eq!(
        value_in(&place.read("r/.experiment_state"), "phases", "training").as_deref(),
        Some("completed")
    );
}

#[test]
fn nobody_can_say_that_a_phase_is_in_progress() {
    let place = run_with(STATE);
    place.jumar(&["mark", "r", "train", "--as", "in_progress"]).code(2);
    assert_eq!(place.read("r/.experiment_state"), STATE);
}

#[test]
fn a_completed_phase_that_is_marked_pending_runs_again_on_resume() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"phase("a", || { shell("echo once >> a.txt"); }); phase("b", || { shell("echo once >> b.txt"); });"#,
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    place.jumar(&["mark", &place.run(), "a", "--as", "pending"]).code(0);
    place.jumar(&["resume"]).code(0);
    assert_eq!(
        (place.read("a.txt").as_str(), place.read("b.txt").as_str()),
        ("once\nonce\n", "once\n")
    );
}

#[test]
fn a_phase_of_a_run_that_is_on_can_be_marked_but_not_the_one_that_is_running() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"
        phase("a", || { shell("touch started; while ! test -e go; do sleep 0.02; done"); });
        phase("b", || { shell("touch b.txt"); });
        phase("c", || { shell("touch c.txt"); });
        phase("d", || {});
        "#,
    );
    let run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the first phase has started", || place.exists("started"));
    let refused = place.jumar(&["mark", "r", "a", "b", "--as", "completed"]).code(2);
    assert!(
        refused.stderr.contains("a is running now, in pid "),
        "{}",
        refused.stderr
    );
    let marked = place.jumar(&["mark", "r", "b", "--as", "skipped"]).code(0);
    assert_eq!(marked.stdout, "b: pending → skipped\n");
    place.jumar(&["mark", "r", "d", "--as", "completed"]).code(0);
    place.write("go", "");
    let ended: common::Ended = run.wait_with_output().expect("it ends").into();
    let told = ended.code(0).stderr;
    assert!(told.contains("edited by hand: d=completed (was pending)"), "{told}");
    // What it was made from goes with its status, and is nobody's edit.
    let history = place.jumar(&["history", "r"]).code(0).stdout;
    assert!(history.contains("d=completed (was pending)"), "{history}");
    assert!(
        !told.contains("fingerprint") && !history.contains("fingerprint"),
        "{told}{history}"
    );
    assert!(!place.exists("b.txt") && place.exists("c.txt"));
    assert_eq!(
        value_in(&place.read("r/.experiment_state"), "phases", "b").as_deref(),
        Some("skipped")
    );
}

#[test]
fn a_phase_whose_command_outlived_its_jumar_is_not_marked() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"phase("a", || { shell("touch started; while ! test -e go; do sleep 0.02; done"); });"#,
    );
    let mut run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the phase has started", || place.exists("started"));
    run.kill().expect("it is killed");
    run.wait().expect("it is gone");
    let refused = place.jumar(&["mark", "r", "a", "--as", "pending"]);
    place.write("go", "");
    let refused = refused.code(2);
    assert!(refused.stderr.contains("still runs"), "{}", refused.stderr);
    assert_eq!(
        value_in(&place.read("r/.experiment_state"), "phases", "a").as_deref(),
        Some("in_progress")
    );
}

#[test]
fn the_past_is_not_marked_edited_or_undone() {
    let place = run_with(STATE);
    place.jumar(&["mark", "r", "train", "--as", "pending"]).code(0);
    for command in [
        &["mark", "r@1", "train", "--as", "failed"][..],
        &["edit", "r@1"],
        &["undo", "r@-1"],
    ] {
        let refused = place.jumar(command).code(2);
        assert!(refused.stderr.contains("is only looked at"), "{}", refused.stderr);
    }
}

#[test]
fn a_mark_is_an_event_that_says_who_and_undo_takes_it_back() {
    let place = Workplace::with_script("phase(\"a\", || ()); phase(\"b\", || ());");
    place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(0);
    place.jumar(&["mark", "r", "a", "--as", "pending"]).code(0);
    let told = place.jumar(&["history", "r"]).code(0).stdout;
    assert!(
        told.contains("marked by ") && told.contains("a=pending (was completed)"),
        "{told}"
    );
    place.jumar(&["undo", "r"]).code(0);
    let state = place.read("r/.experiment_state");
    assert_eq!(value_in(&state, "phases", "a").as_deref(), Some("completed"));
}

#[test]
fn who_writes_the_status_without_as_is_shown_the_command_that_was_meant() {
    let place = run_with(STATE);
    let before = place.read("r/.experiment_state");
    for (arguments, meant) in [
        (
            &["mark", "r", "train", "completed"][..],
            "`jumar mark r train --as completed`",
        ),
        (&["mark", "r", "'eval_*'"], "--as pending`"),
    ] {
        let told = place.jumar(arguments).code(2).stderr;
        assert!(told.contains("`--as pending`") && told.contains(meant), "{told}");
    }
    assert_eq!(place.read("r/.experiment_state"), before);
}
