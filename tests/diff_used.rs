//! What runs are compared by: the parameters that they used, metrics by short names, moments, and which runs are meant.

mod common;

use common::{Ended, Workplace};
use serde_json::{Value, json};

const TRAINING: &str = r#"
param("batch_size", 8);
param("lr", 0.5);
phase("prepare", || { log_info(`${param("batch_size")}`); });
phase("train", #{ after: "prepare", retries: 1, on_failure: |f| retry(#{ params: #{ batch_size: 4 } }) }, || {
    if param("batch_size") > 4 { throw "too large"; }
});
"#;

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ended.stdout))
}

fn row<'a>(all: &'a Value, group: &str, name: &str) -> &'a Value {
    let mut groups = all["groups"].as_array().expect("groups").iter();
    let group = groups.find(|g| g["group"] == group).expect("the group");
    let mut rows = group["rows"].as_array().expect("rows").iter();
    rows.find(|r| r["name"] == name).expect("the row")
}

#[test]
fn a_parameter_is_what_the_completing_attempts_used_and_phases_that_differ_are_named() {
    let place = Workplace::new();
    place.write("s.rhai", TRAINING);
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/retried"]).code(0);
    place
        .jumar(&["run", "s.rhai", "--run-dir", "runs/four", "-p", "batch_size=4"])
        .code(0);
    let text = place
        .jumar(&["diff", "retried", "four", "--only", "params"])
        .code(1)
        .stdout;
    assert!(text.contains("8, train: 4"), "{text}");
    let all = json_of(&place.jumar(&["diff", "retried", "four", "--json"]).code(1));
    let row = row(&all, "parameters", "batch_size");
    assert_eq!(row["values"], json!([{ "*": 8, "train": 4 }, 4]));
    let table = place.jumar(&["runs", "--columns", "batch_size"]).code(0).stdout;
    assert!(table.contains("8, train: 4"), "{table}");
    let page = place.jumar(&["report", "retried"]).code(0).stdout;
    assert!(page.contains("8, train: 4"));
    assert!(page.contains("batch_size 8 → 4"), "{page}");
}

#[test]
fn an_edit_that_no_phase_ran_with_changes_no_parameter() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "param(\"lr\", 0.5);\nphase(\"a\", || { log_info(`${param(\"lr\")}`); });",
    );
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/one"]).code(0);
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/two"]).code(0);
    let file = "runs/two/.experiment_state";
    place.write(file, &place.read(file).replace("lr=0.5", "lr=0.9"));
    place.jumar(&["diff", "one", "two", "--only", "params"]).code(0);
    // A phase that is still to run will use what is recorded now.
    place.write(file, &place.read(file).replace("\na=completed", "\na=pending"));
    place.jumar(&["diff", "one", "two", "--only", "params"]).code(1);
}

fn of_metrics(place: &Workplace, name: &str, values: [f64; 2]) {
    let [first, second] = values;
    place.write(
        &format!("runs/{name}/.experiment_state"),
        &format!(
            "[metadata]\nversion=3.2.0\njumar=0.1.0\nstart_time=1\n[phases]\neval_1=completed\neval_2=completed\n\
             [metrics]\neval_1.accuracy={first}\neval_2.accuracy={second}\n"
        ),
    );
}

#[test]
fn a_short_name_that_several_metrics_end_with_is_all_of_them_and_sorts_only_by_one_or_by_their_mean() {
    let place = Workplace::new();
    of_metrics(&place, "a", [0.9, 0.1]);
    of_metrics(&place, "b", [0.5, 0.7]);
    of_metrics(&place, "c", [0.2, 0.2]);
    let text = place.jumar(&["runs", "--columns", "accuracy"]).code(0).stdout;
    assert!(text.starts_with("run  eval_1.accuracy  eval_2.accuracy\n"), "{text}");
    for command in [["runs", "--sort"], ["diff", "--sort"]] {
        let mut words = command.to_vec();
        words.push("-accuracy");
        if command[0] == "diff" {
            words.extend(["a", "b", "c"]);
        }
        let refused = place.jumar(&words).code(2).stderr;
        assert!(refused.contains("eval_1.accuracy, eval_2.accuracy"), "{refused}");
        assert!(refused.contains("mean(accuracy)"), "{refused}");
    }
    let order = |key: &str| -> Vec<String> {
        let text = place.jumar(&["runs", "--sort", key]).code(0).stdout;
        text.lines().skip(1).map(|l| l[..1].to_string()).collect()
    };
    assert_eq!(order("-mean(accuracy)"), ["b", "a", "c"]);
    assert_eq!(order("-eval_1.accuracy"), ["a", "b", "c"]);
    let means = place
        .jumar(&["runs", "--columns", "mean(accuracy)", "--csv"])
        .code(0)
        .stdout;
    assert!(
        means.contains("runs/a,0.5\n") && means.contains("runs/b,0.6\n"),
        "{means}"
    );
}

#[test]
fn a_misspelt_name_is_answered_with_the_one_that_was_meant() {
    let place = Workplace::new();
    of_metrics(&place, "alpha", [0.9, 0.1]);
    of_metrics(&place, "beta", [0.9, 0.1]);
    for (words, meant) in [
        (["runs", "--columns", "acuracy"], "`accuracy`"),
        (["runs", "--columns", "prams"], "`params`"),
        (["runs", "--sort", "acuracy"], "`accuracy`"),
        (["diff", "--only", "metrcs"], "`metrics`"),
        (["diff", "alpha", "betta"], "`beta`"),
    ] {
        let refused = place.jumar(&words).code(2).stderr;
        assert!(
            refused.contains(&format!("did you mean {meant}?")),
            "{words:?}: {refused}"
        );
    }
    let refused = place.jumar(&["runs", "--sort", "nothing_like_it"]).code(2).stderr;
    assert!(refused.contains("eval_1.accuracy, eval_2.accuracy"), "{refused}");
}

#[test]
fn a_moment_in_which_the_run_was_on_is_called_running_and_can_be_reported() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "phase(\"a\", || { shell(\"true\"); });\nphase(\"b\", || { if !exists(\"go\") { throw \"wait\"; } });\n",
    );
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/r"]).code(1);
    let standing = |moment: &str| {
        let all = json_of(&place.jumar(&["diff", moment, "r", "--json"]));
        all["runs"][0]["status"].as_str().expect("a word").to_string()
    };
    assert_eq!(
        (standing("r@1"), standing("r@2"), standing("r@3")),
        ("running".into(), "running".into(), "running".into())
    );
    let history = place.jumar(&["history", "r", "--json"]).code(0).stdout;
    let events = history.matches("\"event\"").count();
    assert!(events > 3, "{history}");
    place.write("go", "");
    place.jumar(&["resume", "r"]).code(0);
    assert_eq!(
        standing(&format!("r@{events}")),
        "failed",
        "nobody worked on it before it was taken up"
    );
    let page = place.jumar(&["report", "r@2"]).code(0).stdout;
    assert!(page.contains("r@2") && page.contains("running"), "{page}");
    assert!(
        place
            .jumar(&["report", "r@2", "r"])
            .code(0)
            .stdout
            .contains("2 runs compared")
    );
}

#[test]
fn a_whole_name_wins_over_one_that_only_begins_like_it() {
    let place = Workplace::new();
    of_metrics(&place, "four_20260101_120000", [0.1, 0.1]);
    of_metrics(&place, "fourb_20260101_120000", [0.2, 0.2]);
    let all = json_of(&place.jumar(&["diff", "four", "fourb", "--json"]).code(1));
    assert_eq!(all["runs"][0]["name"], "four_20260101_120000");
    assert_eq!(all["runs"][1]["name"], "fourb_20260101_120000");
    assert!(
        place
            .jumar(&["diff", "fou", "fourb"])
            .code(2)
            .stderr
            .contains("could be any of")
    );
}

#[test]
fn the_newest_run_is_compared_with_the_one_before() {
    let place = Workplace::new();
    for (start, lr) in [(1, "0.1"), (2, "0.2"), (3, "0.3")] {
        place.write(
            &format!("runs/r{start}/.experiment_state"),
            &format!("[metadata]\njumar=0.1.0\nstart_time={start}\n[phases]\n[params]\nlr={lr}\n"),
        );
    }
    let all = json_of(&place.jumar(&["diff", "r3", "--json"]).code(1));
    assert_eq!(row(&all, "parameters", "lr")["values"], json!([0.2, 0.3]));
    let all = json_of(&place.jumar(&["diff", "runs/r1", "--json"]).code(1));
    assert_eq!(row(&all, "parameters", "lr")["values"], json!([0.1, 0.3]));
}
