//! What a run records of where it comes from.

mod common;

use std::process::Command;

use common::Workplace;
use serde_json::Value;

fn record(place: &Workplace, file: &str) -> String {
    place.read(&format!("{}/.experiment_state.d/{file}", place.run()))
}

fn starts(place: &Workplace) -> Vec<Value> {
    serde_json::from_str(&record(place, "provenance.json")).expect("a list")
}

fn activity(place: &Workplace) -> Vec<Value> {
    let text = record(place, "activity.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// A program of the workplace's own, found before all others.
fn program(place: &Workplace, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = place.write(&format!("bin/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
}

fn with_own_programs(place: Workplace) -> Workplace {
    let path = format!(
        "{}/bin:{}",
        place.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    place.env("PATH", &path)
}

fn git(place: &Workplace, words: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(words);
    assert!(
        command
            .current_dir(place.path())
            .output()
            .expect("git runs")
            .status
            .success(),
        "{words:?}"
    );
}

#[test]
fn a_run_records_machine_and_environment_and_masks_secrets() {
    let place = Workplace::new()
        .env("HF_TOKEN", "hunter2")
        .env("MY_API_KEY", "hunter2")
        .env("PLAIN", "seen");
    place.write(
        "s.rhai",
        "env.ADDED = \"by the script\"; phase(\"a\", || { shell(\"true\"); });",
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    let starts = starts(&place);
    assert_eq!(starts.len(), 1);
    let environment = &starts[0]["environment"];
    assert_eq!(environment["PLAIN"], "seen");
    assert_eq!(environment["ADDED"], "by the script");
    assert_eq!(environment["HF_TOKEN"], "(masked)");
    assert_eq!(environment["MY_API_KEY"], "(masked)");
    assert!(!record(&place, "provenance.json").contains("hunter2"));
    assert!(starts[0]["machine"]["cpus"].as_u64().expect("a number") >= 1);
    assert!(!starts[0]["machine"]["host"].as_str().expect("a text").is_empty());
    assert!(starts[0].get("python").is_none(), "the script uses no Python");
}

#[test]
fn the_git_commit_is_recorded_with_what_was_changed_since() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.write("train.py", "print(1)\n");
    git(&place, &["init", "-q", "-b", "trunk"]);
    git(&place, &["add", "."]);
    git(&place, &["commit", "-q", "-m", "one"]);
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/clean"]).code(0);
    place.write("train.py", "print(2)\n");
    place.write("untracked", "x");
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/dirty"]).code(0);
    let read = |run: &str| -> Value {
        serde_json::from_str(&place.read(&format!("runs/{run}/.experiment_state.d/provenance.json"))).expect("JSON")
    };
    let (clean, dirty) = (&read("clean")[0]["git"], &read("dirty")[0]["git"]);
    assert_eq!(clean["commit"].as_str().expect("a commit").len(), 40);
    assert_eq!((&clean["branch"], &clean["dirty"]), (&"trunk".into(), &false.into()));
    assert_eq!(dirty["commit"], clean["commit"]);
    assert_eq!(dirty["changes"], serde_json::json!(["M train.py"]));
    assert_eq!(dirty["summary"], "1 file changed, 1 insertion(+), 1 deletion(-)");
    assert_ne!(dirty["diff_hash"], "");
}

#[test]
fn packages_are_listed_without_importing_anything() {
    let place = Workplace::new();
    place.write("site/snare/__init__.py", "open('imported', 'w')\n");
    place.write(
        "site/Snare-1.2.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: Snare\nVersion: 1.2\n",
    );
    place.write("json.py", "open('imported', 'w')\n");
    let place = {
        let site = place.path().join("site").to_string_lossy().into_owned();
        place.env("PYTHONPATH", &site)
    };
    place.write("s.rhai", "phase(\"a\", || { shell(\"python3 -c 'pass'\"); });");
    place.jumar(&["run", "s.rhai"]).code(0);
    let python = &starts(&place)[0]["python"];
    assert_eq!(python["packages"]["Snare"], "1.2");
    assert!(python["version"].as_str().expect("a version").starts_with('3'));
    assert!(!place.exists("imported"), "nothing of the user's may be run");
}

#[test]
fn gpus_and_driver_are_those_of_nvidia_smi() {
    let place = with_own_programs(Workplace::new());
    program(
        &place,
        "nvidia-smi",
        "#!/bin/sh\necho '0, NVIDIA H100 80GB HBM3, 81559, 550.54.15'\necho '1, NVIDIA A100, 40960, 550.54.15'\n",
    );
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.jumar(&["run", "s.rhai"]).code(0);
    let start = &starts(&place)[0];
    assert_eq!(start["driver"], "550.54.15");
    assert_eq!(start["gpus"][0]["name"], "NVIDIA H100 80GB HBM3");
    assert_eq!(start["gpus"][1]["memory_mib"], 40960);
}

#[test]
fn a_tool_that_hangs_neither_delays_the_start_nor_fails_the_run() {
    let place = with_own_programs(Workplace::new());
    program(
        &place,
        "nvidia-smi",
        "#!/bin/sh\ntouch asked; until test -e phase_ran; do sleep 0.05; done; sleep 600\n",
    );
    place.write(
        "s.rhai",
        "phase(\"a\", || { shell(\"until test -e asked; do sleep 0.05; done; touch phase_ran\"); });",
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    let starts = starts(&place);
    assert_eq!(starts[0]["gpus"], serde_json::json!([]));
}

#[test]
fn a_resume_adds_a_start_and_keeps_the_first() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"test -e there\"); });");
    place.jumar(&["run", "s.rhai"]).code(1);
    place.write("there", "");
    place.jumar(&["resume"]).code(0);
    let starts = starts(&place);
    assert_eq!(starts.len(), 2);
    assert!(starts[0]["at"].as_str() < starts[1]["at"].as_str());
}

#[test]
fn a_record_that_cannot_be_written_fails_no_run() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.write("runs/r/.experiment_state.d/provenance.json/in_the_way", "");
    place.write("runs/r/.experiment_state.d/activity.jsonl/in_the_way", "");
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/r"]).code(0);
}

#[test]
fn each_command_and_step_is_recorded_with_its_cost() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "phase(\"a\", #{ retries: 1 }, || {
            step(\"one\", || { shell(\"true\"); });
            shell([\"sh\", \"-c\", \"i=0; while test $i -lt 200000; do i=$((i+1)); done\"]);
            shell(\"test -e second || { touch second; exit 3; }\");
        });",
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    let all = activity(&place);
    let shown: Vec<String> = all
        .iter()
        .map(|a| {
            let part = |name: &str| a.get(name).map(|v| format!(" {v}")).unwrap_or_default();
            format!(
                "{}{}{}{}",
                a["what"].as_str().expect("a word"),
                part("attempt"),
                part("step"),
                part("code")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "command 1 \"one\" 0",
            "step 1 \"one\"",
            "command 1 0",
            "command 1 3",
            "command 2 0",
            "command 2 0"
        ]
    );
    assert!(all[2]["cpu"].as_f64() > Some(0.01), "{}", all[2]);
    assert!(all[2]["max_rss"].as_u64() > Some(100), "{}", all[2]);
    let first: Value = serde_json::from_str(&place.value("attempts", "a.1").expect("an attempt")).expect("JSON");
    assert!(first["cpu"].as_f64() > Some(0.01), "{first}");
}

#[test]
fn a_metric_says_which_way_is_better() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "phase(\"a\", || { metric(\"loss\", 0.5, #{ better: \"lower\" }); metric(\"size\", 3); });",
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    assert_eq!(place.value("metric_info", "a.loss.better").as_deref(), Some("lower"));
    assert_eq!(place.value("metrics", "a.loss").as_deref(), Some("0.5"));
    assert_eq!(place.value("metric_info", "a.size.better"), None);
    place.write(
        "t.rhai",
        "phase(\"a\", || { metric(\"loss\", 0.5, #{ better: \"less\" }); });",
    );
    let ended = place.jumar(&["run", "t.rhai"]).code(1);
    assert!(
        ended
            .stderr
            .contains("`better` must be \"higher\" or \"lower\", not \"less\""),
        "{}",
        ended.stderr
    );
}
