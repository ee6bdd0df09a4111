//! Whether two runs ran the same code: scripts, what they import, and what their commands run.

mod common;

use common::Workplace;
use serde_json::Value;

const MAIN: &str = "import \"small\" as small;\nphase(\"a\", || { small::work(); });\n";

fn small(words: &str) -> String {
    format!("fn work() {{\n    shell(\"{words}\");\n}}\n")
}

#[test]
fn an_edited_module_is_shown_line_by_line_under_its_name() {
    let place = Workplace::new();
    for (folder, words) in [("v1", "true"), ("v2", "true # edited"), ("v3", "true")] {
        place.write(&format!("{folder}/main.rhai"), MAIN);
        place.write(&format!("{folder}/small.rhai"), &small(words));
        let (script, run) = (format!("{folder}/main.rhai"), format!("runs/of_{folder}"));
        place.jumar(&["run", &script, "--run-dir", &run]).code(0);
    }
    let text = place
        .jumar(&["diff", "of_v1", "of_v2", "--only", "code"])
        .code(1)
        .stdout;
    assert!(text.contains("module small.rhai"), "{text}");
    assert!(text.contains("-    shell(\"true\");"), "{text}");
    assert!(text.contains("+    shell(\"true # edited\");"), "{text}");
    let all: Value =
        serde_json::from_str(&place.jumar(&["diff", "of_v1", "of_v2", "--json"]).code(1).stdout).expect("JSON");
    assert_eq!(all["texts"][0]["fact"], "module small.rhai");
    assert_eq!(all["script"], Value::Null);
    let same = place
        .jumar(&["diff", "of_v1", "of_v3", "--only", "code"])
        .code(1)
        .stdout;
    assert!(
        !same.contains("module small.rhai"),
        "only the script's path differs: {same}"
    );
    let beside = place
        .jumar(&["diff", "of_v1", "of_v2", "-y", "--only", "code"])
        .code(1)
        .stdout;
    assert!(beside.contains("true # edited"), "{beside}");
}

#[test]
fn a_module_that_a_phase_imports_is_recorded_and_stays_when_the_run_is_taken_up() {
    let place = Workplace::new();
    place.write("small.rhai", &small("true"));
    place.write(
        "s.rhai",
        "phase(\"a\", || { import \"small\" as small; small::work(); });\nphase(\"b\", || { if !exists(\"go\") { throw \"wait\"; } });\n",
    );
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/r"]).code(1);
    place.write("go", "");
    place.jumar(&["resume", "r"]).code(0);
    let kept = place.read("runs/r/.experiment_state.d/modules.json");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    let names = kept.as_array().expect("a list").iter();
    let own = names.filter(|module| module["name"] == "small.rhai");
    assert_eq!(
        own.map(|module| &module["text"]).collect::<Vec<_>>(),
        [&Value::from(small("true"))]
    );
}

fn git(place: &Workplace, words: &[&str]) {
    let mut command = place.program("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(words);
    assert!(command.output().expect("git runs").status.success(), "{words:?}");
}

#[test]
fn uncommitted_changes_are_shown_line_by_line() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.write("train.py", "rate = 1\n");
    git(&place, &["init", "-q", "-b", "trunk"]);
    git(&place, &["add", "."]);
    git(&place, &["commit", "-q", "-m", "one"]);
    for (run, text) in [
        ("runs/clean", "rate = 1\n"),
        ("runs/two", "rate = 2\n"),
        ("runs/three", "rate = 3\n"),
    ] {
        place.write("train.py", text);
        place.jumar(&["run", "s.rhai", "--run-dir", run]).code(0);
    }
    let text = place.jumar(&["diff", "two", "three", "--only", "code"]).code(1).stdout;
    assert!(text.contains("-+rate = 2"), "{text}");
    assert!(text.contains("++rate = 3"), "{text}");
    let text = place.jumar(&["diff", "clean", "two", "--only", "code"]).code(1).stdout;
    assert!(text.contains("++rate = 2"), "{text}");
    assert!(!text.contains("code outside the scripts"), "{text}");
}

#[test]
fn changes_that_are_very_long_are_told_by_hash_and_count() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.write("data", "");
    git(&place, &["init", "-q", "-b", "trunk"]);
    git(&place, &["add", "."]);
    git(&place, &["commit", "-q", "-m", "one"]);
    for (run, line) in [("runs/one", "a line\n"), ("runs/two", "another\n")] {
        place.write("data", &line.repeat(50_000));
        place.jumar(&["run", "s.rhai", "--run-dir", run]).code(0);
    }
    let text = place.jumar(&["diff", "one", "two", "--only", "code"]).code(1).stdout;
    assert!(text.contains("changes' text"), "{text}");
    assert!(!text.contains("+another"), "{text}");
}

#[test]
fn without_git_it_is_said_that_programs_were_not_recorded_and_inputs_record_them() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"sh work.sh\"); });");
    place.write(
        "with.rhai",
        "phase(\"a\", #{ inputs: [\"work.sh\"] }, || { shell(\"sh work.sh\"); });",
    );
    for (text, runs) in [
        ("true", ["runs/one", "runs/one_with"]),
        ("true # other", ["runs/two", "runs/two_with"]),
    ] {
        place.write("work.sh", text);
        place.jumar(&["run", "s.rhai", "--run-dir", runs[0]]).code(0);
        place.jumar(&["run", "with.rhai", "--run-dir", runs[1]]).code(0);
    }
    let blind = place.jumar(&["diff", "runs/one", "runs/two"]).code(0).stdout;
    let blind = blind.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(blind.contains("not recorded: the code outside the scripts"), "{blind}");
    assert!(blind.contains("git") && blind.contains("`inputs`"), "{blind}");
    let seen = place.jumar(&["diff", "one_with", "two_with"]).code(1).stdout;
    assert!(seen.contains("a reads work.sh"), "{seen}");
    assert!(!seen.contains("code outside the scripts"), "{seen}");
}
