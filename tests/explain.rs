//! `jumar explain` and what is stale: said, and never run again behind the user's back.

mod common;

use common::{Workplace, wait_until};

/// `train` reads a captured parameter, a parameter by name, a file, and makes one; `eval` waits for it.
const SCRIPT: &str = r#"
let batch = param("batch_size", 8, "samples per step");
let unused = param("unused", 1);
fn helper(x) { x }
phase("train", #{ inputs: "data/*.csv", outputs: "model.txt" }, || {
    shell(`echo ${batch} ${param("lr", 0.1)} >> model.txt`);
});
phase("eval", #{ after: "train" }, || { shell("cat model.txt >> eval.txt"); });
"#;

fn after_a_run() -> Workplace {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        &SCRIPT
            .replace("param(\"lr\", 0.1)", "param(\"lr\")")
            .replace("fn helper", "param(\"lr\", 0.1);\nfn helper"),
    );
    place.write("data/a.csv", "1,2\n");
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    place
}

/// What `explain` says of a phase, in JSON.
fn said(place: &Workplace, phase: &str) -> serde_json::Value {
    let ended = place.jumar(&["explain", "r", phase, "--json"]).code(0);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn causes(place: &Workplace, phase: &str) -> Vec<String> {
    let said = said(place, phase);
    let causes = said["causes"].as_array().expect("a list").iter();
    causes
        .map(|c| c["text"].as_str().expect("a text").to_string())
        .collect()
}

fn trainings(place: &Workplace) -> usize {
    place.read("model.txt").lines().count()
}

#[test]
fn a_phase_that_completed_and_has_not_changed_does_not_run_again() {
    let place = after_a_run();
    let ended = place.jumar(&["explain", "r"]).code(0);
    assert!(
        ended.stdout.contains("train  completed: does not run again\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(causes(&place, "train"), Vec::<String>::new());
}

#[test]
fn a_run_as_it_was_is_explained_as_it_stood_then() {
    let place = after_a_run();
    let ended = place.jumar(&["explain", "r@1"]).code(0);
    assert!(
        ended.stdout.contains("train  runs: it has never run\n"),
        "{}",
        ended.stdout
    );
    let ended = place.jumar(&["explain", "r@1", "train"]).code(0);
    assert!(ended.stdout.contains("status       pending\n"), "{}", ended.stdout);
}

#[test]
fn a_changed_parameter_makes_the_phases_stale_that_read_it_and_no_others() {
    let place = after_a_run().env("BATCH_SIZE", "4").env("UNUSED", "2");
    assert_eq!(causes(&place, "train"), ["parameter batch_size was 8, is 4"]);
    assert_eq!(causes(&place, "eval"), Vec::<String>::new());
    assert_eq!(said(&place, "eval")["why"], "completed, but train is stale");
    let place = after_a_run().env("LR", "0.2");
    assert_eq!(causes(&place, "train"), ["parameter lr was 0.1, is 0.2"]);
    let what_if = place
        .jumar(&["explain", "r", "train", "--json", "-p", "lr=0.1"])
        .code(0);
    assert!(what_if.stdout.contains("\"stale\": false"), "{}", what_if.stdout);
}

#[test]
fn changed_new_and_lost_files_are_named_and_a_touched_one_is_no_change() {
    let place = after_a_run();
    place.write("data/a.csv", "1,2\n");
    assert_eq!(causes(&place, "train"), Vec::<String>::new());
    place.write("data/a.csv", "1,3\n");
    place.write("data/b.csv", "");
    std::fs::remove_file(place.path().join("model.txt")).expect("it goes");
    assert_eq!(
        causes(&place, "train"),
        [
            "input data/a.csv has changed",
            "input data/b.csv is new",
            "output model.txt is gone"
        ]
    );
    std::fs::remove_file(place.path().join("data/a.csv")).expect("it goes");
    assert_eq!(causes(&place, "train")[0], "input data/a.csv is gone");
}

#[test]
fn a_changed_body_is_a_cause_and_a_comment_or_another_layout_is_none() {
    let place = after_a_run();
    let text = place.read("s.rhai");
    place.write(
        "s.rhai",
        &text
            .replace("|| {\n", "|| {\n\n  // more\n")
            .replace("fn helper(x) { x }", "fn helper(y) { y }"),
    );
    assert_eq!(causes(&place, "train"), Vec::<String>::new());
    place.write("s.rhai", &text.replace("echo ${batch}", "echo  ${batch}"));
    assert_eq!(causes(&place, "train"), ["its body in the script has changed"]);
}

#[test]
fn a_changed_function_is_named_by_the_phases_that_reach_it_also_in_a_module() {
    let place = Workplace::new();
    place.write(
        "lib.rhai",
        "fn outer(p) { inner(p.lr) } fn inner(x) { x } fn other(p) { p.size }",
    );
    let script = r#"import "lib" as lib; let p = #{ lr: param("lr", 1), size: param("size", 2) };
        phase("a", || { lib::outer(p) }); phase("b", || { lib::other(p) });"#;
    place.write("s.rhai", script);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    let text = place.read("lib.rhai");
    place.write("lib.rhai", &text.replace("(x) { x }", "(x) { x + 1 }"));
    assert_eq!(causes(&place, "a"), ["function inner, which it calls, has changed"]);
    assert_eq!(causes(&place, "b"), Vec::<String>::new());
    place.write("lib.rhai", &text);
    let place = place.env("SIZE", "3");
    assert_eq!(
        causes(&place, "a"),
        Vec::<String>::new(),
        "it reads another key of the same map"
    );
    assert_eq!(causes(&place, "b"), ["parameter size was 2, is 3"]);
}

#[test]
fn a_captured_value_that_is_no_parameter_is_compared_and_a_text_of_it_is_not_shown() {
    let place = Workplace::new();
    let script = r#"let steps = 10; let token = "s3cret"; phase("a", || { steps + token.len }); "#;
    place.write("s.rhai", script);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    assert!(!place.read("r/.experiment_state").contains("s3cret"));
    place.write("s.rhai", &script.replace("10", "20").replace("s3cret", "0ther"));
    assert_eq!(
        causes(&place, "a"),
        ["variable steps was 10, is 20", "variable token has another value"]
    );
}

#[test]
fn of_very_many_stale_phases_the_first_are_named_and_the_others_counted() {
    let place = Workplace::with_script("for i in 0..50 { phase(`p${i}`, || { 1 }); }");
    place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(0);
    place.write("pipeline.rhai", &place.read("pipeline.rhai").replace("{ 1 }", "{ 2 }"));
    let told = place.jumar(&["resume", "r"]).code(0).stderr;
    assert!(
        told.contains("p19 is stale") && !told.contains("p20 is stale"),
        "{told}"
    );
    assert!(told.contains("30 more are stale and stay completed"), "{told}");
    let told = place.jumar(&["resume", "r", "--rerun-stale"]).code(0).stderr;
    assert!(
        told.contains("p19 runs again") && !told.contains("p20 runs again"),
        "{told}"
    );
    assert!(told.contains("30 more run again"), "{told}");
}

#[test]
fn a_stale_phase_is_reported_by_resume_and_runs_only_when_that_is_asked_for() {
    let place = after_a_run().env("BATCH_SIZE", "4");
    let ended = place.jumar(&["resume", "r"]).code(0);
    assert!(
        ended
            .stderr
            .contains("train is stale (parameter batch_size was 8, is 4) and stays completed"),
        "{}",
        ended.stderr
    );
    assert_eq!(trainings(&place), 1);
    let dry = place.jumar(&["resume", "r", "-n"]).code(0).stdout;
    assert!(
        dry.contains("train: completed, and stale (parameter batch_size was 8, is 4); not run again"),
        "{dry}"
    );
    let told = place.jumar(&["explain", "r"]).code(0).stderr;
    assert!(
        told.contains("1 phase is stale, and not run again by itself: "),
        "{told}"
    );
    let dry = place.jumar(&["resume", "r", "-n", "--rerun-stale"]).code(0).stdout;
    assert!(
        dry.contains("train: runs again: parameter batch_size was 8, is 4"),
        "{dry}"
    );
    assert_eq!(trainings(&place), 1);
    let ended = place.jumar(&["resume", "r", "--rerun-stale"]).code(0);
    assert!(
        ended
            .stderr
            .contains("train runs again (parameter batch_size was 8, is 4)"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.read("model.txt"), "8 0.1\n4 0.1\n");
    assert_eq!(
        place.read("eval.txt").lines().count(),
        3,
        "what waits for it ran again, too"
    );
    place.jumar(&["resume", "r", "--rerun-stale"]).code(0);
    assert_eq!(trainings(&place), 2, "it is not stale any more");
}

#[test]
fn a_stale_phase_that_is_marked_completed_is_accepted_as_it_is() {
    let place = after_a_run();
    place.write("data/a.csv", "changed\n");
    let ended = place.jumar(&["mark", "r", "train", "--as", "completed"]).code(0);
    assert_eq!(
        ended.stdout,
        "train: stale, accepted as completed (input data/a.csv has changed)\n"
    );
    assert_eq!(causes(&place, "train"), Vec::<String>::new());
    place.write("data/a.csv", "again\n");
    assert_eq!(causes(&place, "train"), ["input data/a.csv has changed"]);
}

#[test]
fn a_phase_that_says_so_itself_runs_again_when_it_is_stale() {
    let place = Workplace::new();
    place.write("in.txt", "1");
    place.write(
        "s.rhai",
        r#"phase("a", #{ inputs: ["in.txt"], rerun: "stale" }, || { shell("echo x >> out.txt"); });"#,
    );
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    place.jumar(&["resume", "r"]).code(0);
    assert_eq!(place.read("out.txt"), "x\n");
    place.write("in.txt", "2");
    assert_eq!(said(&place, "a")["why"], "runs again: input in.txt has changed");
    place.jumar(&["resume", "r"]).code(0);
    assert_eq!(place.read("out.txt"), "x\nx\n");
}

#[test]
fn a_phase_whose_dependency_was_made_anew_is_stale_until_it_is_accepted() {
    let place = after_a_run();
    place.jumar(&["resume", "r", "--rerun", "train"]).code(0);
    assert_eq!(
        causes(&place, "eval"),
        ["train, which it waits for, has completed since"]
    );
    place.jumar(&["mark", "r", "eval", "--as", "completed"]).code(0);
    assert_eq!(causes(&place, "eval"), Vec::<String>::new());
}

#[test]
fn failed_waiting_skipped_and_new_phases_each_say_why_they_will_or_will_not_run() {
    let place = Workplace::new();
    let script = r#"
        phase("bad", || { shell("exit 3"); });
        phase("behind", #{ after: "bad" }, || { });
        phase("left", #{ on_failure: |f| skip("not today") }, || { shell("false"); });
    "#;
    place.write("s.rhai", script);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(1);
    place.write("s.rhai", &format!("{script} phase(\"fresh\", || {{ }});"));
    assert_eq!(
        said(&place, "bad")["why"],
        "runs again: it failed: exit: ended with status 3"
    );
    assert_eq!(said(&place, "behind")["why"], "runs: it has never run");
    assert_eq!(said(&place, "left")["why"], "left out (not today)");
    assert_eq!(said(&place, "fresh")["why"], "runs: it has never run");
    let detail = place.jumar(&["explain", "r", "behind"]).code(0).stdout;
    assert!(detail.contains("waits for    bad (failed)\n"), "{detail}");
}

#[test]
fn a_parameter_that_only_a_step_of_a_failed_attempt_asked_for_counts() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"param("lr", 1); phase("a", || { step("one", || param("lr")); shell("test -e go"); });"#,
    );
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(1);
    place.write("go", "");
    place.jumar(&["resume", "r"]).code(0);
    assert_eq!(causes(&place.env("LR", "2"), "a"), ["parameter lr was 1, is 2"]);
}

#[test]
fn a_phase_that_another_declared_while_it_ran_is_not_left_out() {
    let place = Workplace::new();
    place.write("s.rhai", r#"phase("a", || { phase("inner", || { }); });"#);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    let said = said(&place, "inner");
    assert_eq!((&said["status"], &said["runs"]), (&"completed".into(), &false.into()));
}

#[test]
fn explaining_writes_nothing_and_a_name_that_is_no_phase_is_answered_with_one_that_is() {
    let place = after_a_run();
    let before = place.read("r/.experiment_state");
    let ended = place.jumar(&["explain", "r", "trian"]).code(2);
    assert!(ended.stderr.contains("did you mean `train`?"), "{}", ended.stderr);
    place.jumar(&["explain", "r"]).code(0);
    assert_eq!(place.read("r/.experiment_state"), before);
    assert_eq!(trainings(&place), 1);
}

#[test]
fn a_phase_whose_command_outlived_jumar_goes_on_and_its_end_is_known() {
    let place =
        Workplace::with_script("phase(\"a\", || { shell(\"touch on; until test -e go; do sleep 0.02; done\"); });");
    let mut host = place.start(&["run", "pipeline.rhai", "--run-dir", "r"]);
    wait_until("a runs", || place.exists("on"));
    host.kill().expect("it is killed");
    host.wait().expect("it is gone");
    let why = || place.jumar(&["explain", "r", "a"]).code(0).stdout;
    assert!(why().contains("its command still runs"), "{}", why());
    place.write("go", "");
    wait_until("the end is noted", || {
        why().contains("runs: it goes on, 1 command had ended")
    });
    place.jumar(&["resume", "r"]).code(0);
    assert!(why().contains("completed"), "{}", why());
}
