//! `jumar eval RUN EXPR`: one value of a run, and nothing else touched.

mod common;

use common::{Workplace, wait_until};

const SCRIPT: &str = r#"
import "std/gpu" as gpu;
let batch = param("batch_size", 8, "samples per step");
fn double(x) { 2 * x }
phase("train", || { shell("echo run >> ran.txt"); metric("accuracy", 0.5); #{ loss: 1.25, tags: ["a", "b"] } });
phase("train.more", #{ after: "train" }, || { metric("accuracy", 0.75); state.notes.seen = "yes"; });
"#;

fn after_a_run() -> Workplace {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    place
        .jumar(&["run", "s.rhai", "--run-dir", "r", "--batch-size", "4"])
        .code(0);
    place
}

/// Every file of the run directory, with its content and the time it was written.
fn everything(place: &Workplace) -> Vec<(String, String, std::time::SystemTime)> {
    let mut found = vec![];
    let mut open = vec![place.path().join("r")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read(&path).expect("a file");
            let written = path.metadata().and_then(|m| m.modified()).expect("a time");
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&text).into_owned(),
                written,
            ));
        }
    }
    found.sort();
    found
}

#[test]
fn state_phases_parameters_metrics_results_and_functions_are_in_reach() {
    let place = after_a_run();
    for (expression, value) in [
        ("state.phases.train", "completed"),
        ("phases.train", "completed"),
        ("params.batch_size", "4"),
        ("batch", "4"),
        ("param(\"batch_size\")", "4"),
        ("double(21)", "42"),
        ("metrics.train.accuracy", "0.5"),
        ("metrics[\"train.more\"].accuracy", "0.75"),
        ("results.train.loss", "1.25"),
        ("result(\"train\").tags[1]", "b"),
        ("state.notes.seen", "yes"),
        ("run.dir", "r"),
        ("gpu::count() >= 0", "true"),
        ("let a = 1; a + double(1)", "3"),
        ("state.nothing.here", "()"),
        ("-1", "-1"),
    ] {
        let ended = place.jumar(&["eval", "r", expression]).code(0);
        assert_eq!(ended.stdout, format!("{value}\n"), "{expression}");
        assert_eq!(ended.stderr, "", "{expression}");
    }
}

#[test]
fn a_run_can_be_asked_about_how_it_was() {
    let place = after_a_run();
    for (run, expression, value) in [
        ("r@0", "phases.train", "pending"),
        ("r@1", "phases.train", "pending"),
        ("r@1", "metrics.len()", "0"),
        ("r@1", "double(batch)", "8"),
        ("r@-0", "phases.train", "completed"),
    ] {
        let ended = place.jumar(&["eval", run, expression]).code(0);
        assert_eq!(ended.stdout, format!("{value}\n"), "{run} {expression}");
    }
    let refused = place.jumar(&["eval", "r@999", "1"]).code(4);
    assert!(refused.stderr.contains("from event 0 to "), "{}", refused.stderr);
}

#[test]
fn a_section_is_shown_as_two_columns_and_as_json_it_is_a_map() {
    let place = after_a_run();
    let ended = place.jumar(&["eval", "r", "state.phases"]).code(0);
    assert_eq!(ended.stdout, "train       completed\ntrain.more  completed\n");
    let ended = place.jumar(&["eval", "r", "results.train", "--json"]).code(0);
    let value: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(value, serde_json::json!({ "loss": 1.25, "tags": ["a", "b"] }));
    let ended = place.jumar(&["eval", "r", "state", "--json"]).code(0);
    let value: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(value["phases"]["train"], "completed");
}

#[test]
fn looking_writes_nothing_and_runs_no_phase() {
    let place = after_a_run();
    let before = everything(&place);
    place.jumar(&["eval", "r", "state.phases"]).code(0);
    let refused = place.jumar(&["eval", "r", "state.phases.train = \"pending\""]).code(3);
    assert!(refused.stderr.contains("eval only reads"), "{}", refused.stderr);
    assert!(everything(&place) == before);
    assert_eq!(place.read("ran.txt"), "run\n");
}

#[test]
fn a_phase_or_a_parameter_that_is_not_there_is_a_mistake_and_not_nothing() {
    let place = after_a_run();
    for (asked, why) in [
        ("phases.trian", "no phase is called `trian`; did you mean `train`?"),
        (
            "params.btch_size",
            "no parameter is called `btch_size`; did you mean `batch_size`?",
        ),
    ] {
        let refused = place.jumar(&["eval", "r", asked]).code(3);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert_eq!(
        place.jumar(&["eval", "r", "\"trian\" in phases"]).code(0).stdout,
        "false\n"
    );
    let json = place.jumar(&["eval", "r", "[params, phases]", "--json"]).code(0).stdout;
    assert!(json.contains("\"batch_size\"") && json.contains("\"train\""), "{json}");
}

#[test]
fn without_a_run_the_newest_is_asked_and_marked_and_a_run_alone_is_asked_back() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "param(\"lr\", 0.5); phase(\"train\", || { param(\"lr\"); shell(\"exit 3\"); });",
    );
    for name in ["old", "new"] {
        place
            .jumar(&["run", "s.rhai", "--run-dir", &format!("runs/{name}")])
            .code(1);
    }
    assert_eq!(place.jumar(&["eval", "run.dir"]).code(0).stdout, "runs/new\n");
    assert_eq!(
        place.jumar(&["eval", "old", "run.dir", "--json"]).code(0).stdout,
        "\"runs/old\"\n"
    );
    let refused = place.jumar(&["eval", "old"]).code(2).stderr;
    assert!(refused.contains("what is to be asked of the run old?"), "{refused}");
    let marked = place.jumar(&["mark", "train", "--as", "skipped"]).code(0);
    assert_eq!(marked.stdout, "train: failed → skipped\n");
    assert_eq!(marked.stderr, "in the newest run, runs/new\n");
    assert_eq!(place.jumar(&["eval", "old", "phases.train"]).code(0).stdout, "failed\n");
    for (asked, why) in [
        (
            &["mark", "trian", "--as", "failed"][..],
            "no phase `trian`; did you mean `train`?",
        ),
        (&["mark", "old", "--as", "failed"], "which phase of the run old?"),
        (
            &["mark", "odl", "train", "--as", "failed"],
            "no run is called `odl`; did you mean `old`?",
        ),
        (&["shell", "old"], "which phase of the run old?"),
        (
            &["eval", "metrics.train.loss"],
            "`metrics` shows what was recorded, by phase",
        ),
    ] {
        let refused = place.jumar(asked);
        assert!(
            refused.code != 0 && refused.stderr.contains(why),
            "{asked:?}: {}",
            refused.stderr
        );
    }
    // A phase's whole name counts more than the beginning of a run's.
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/training"]).code(1);
    let explained = place.jumar(&["explain", "train"]).code(0).stdout;
    assert!(explained.starts_with("train: runs again"), "{explained}");
    let explained = place.jumar(&["explain", "old", "train"]).code(0).stdout;
    assert!(explained.contains("reads        lr=0.5\n"), "{explained}");
}

#[test]
fn a_mistake_is_drawn_where_it_is() {
    let place = after_a_run();
    let ended = place.jumar(&["eval", "r", "dobule(1)"]).code(3);
    assert!(ended.stderr.contains("did you mean `double`?"), "{}", ended.stderr);
    assert!(ended.stderr.contains("input:1:1"), "{}", ended.stderr);
    let ended = place.jumar(&["eval", "r", "1 +", "--json"]).code(3);
    let value: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(value["error"]["kind"], "script");
}

#[test]
fn a_run_whose_script_is_broken_can_still_be_asked_about_its_state() {
    let place = after_a_run();
    place.write("s.rhai", "phase(\"train\", || { ");
    let ended = place
        .jumar(&["eval", "r", "[phases.train, params.batch_size, metrics.train.accuracy]"])
        .code(0);
    assert_eq!(ended.stdout, "[\"completed\", 4, 0.5]\n");
    assert!(
        ended.stderr.contains("the script cannot be planned"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_run_that_is_on_can_be_asked_while_it_holds_its_lock() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"phase("a", || { shell("touch started; while ! test -e go; do sleep 0.02; done"); });"#,
    );
    let run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the phase has started", || place.exists("started"));
    let ended = place.jumar(&["eval", "r", "phases.a"]);
    place.write("go", "");
    run.wait_with_output().expect("it ends");
    assert_eq!(ended.code(0).stdout, "in_progress\n");
}

#[test]
fn a_file_of_the_bash_runner_can_be_asked() {
    let place = Workplace::new();
    place.write(
        "old/.experiment_state",
        "[metadata]\nversion=3.1.0\n\n[phases]\ntraining=completed\nphase1_statistical=failed\n",
    );
    let ended = place
        .jumar(&["eval", "old", "phases.keys().filter(|p| phases[p] == \"failed\")"])
        .code(0);
    assert_eq!(ended.stdout, "[\"phase1_statistical\"]\n");
}
