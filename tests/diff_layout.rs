//! How `jumar diff` shows what it finds: what is equal, what is long, what is best, and what says nothing.

mod common;

use common::Workplace;
use serde_json::{Value, json};

const HEAD: &str = "[metadata]\nversion=3.2.0\njumar=0.1.0\nstart_time=1700000000\n";

fn run(place: &Workplace, name: &str, sections: &str) {
    place.write(&format!("runs/{name}/.experiment_state"), &format!("{HEAD}{sections}"));
}

fn attempt(seconds: f64) -> String {
    format!("{{\"outcome\":\"completed\",\"started\":\"2026-01-01T00:00:00Z\",\"seconds\":{seconds}}}")
}

#[test]
fn durations_count_only_where_both_the_ratio_and_the_difference_are_large() {
    let place = Workplace::new();
    for (name, seconds) in [
        ("short", 0.3),
        ("longer", 0.9),
        ("minute", 60.0),
        ("same", 62.0),
        ("slow", 70.0),
    ] {
        let attempt = attempt(seconds);
        run(
            &place,
            name,
            &format!("[phases]\na=completed\n[attempts]\na.1={attempt}\n"),
        );
    }
    place.jumar(&["diff", "runs/short", "runs/longer"]).code(0);
    place.jumar(&["diff", "runs/minute", "runs/same"]).code(0);
    place.jumar(&["diff", "runs/minute", "runs/slow"]).code(1);
}

#[test]
fn runs_that_are_equal_share_the_star() {
    let place = Workplace::new();
    for (name, accuracy, seconds) in [("a", 0.9, 100.0), ("b", 0.9, 102.0), ("c", 0.8, 200.0)] {
        run(
            &place,
            name,
            &format!(
                "[phases]\ne=completed\n[metrics]\ne.accuracy={accuracy}\n[metric_info]\ne.accuracy.better=higher\n[attempts]\ne.1={}\n",
                attempt(seconds)
            ),
        );
    }
    let text = place.jumar(&["diff", "a", "b", "c"]).code(1).stdout;
    let line = |name: &str| text.lines().find(|l| l.contains(name)).expect("the row").to_string();
    assert_eq!(
        line("e.accuracy").split_whitespace().skip(1).collect::<Vec<_>>(),
        ["*0.9", "*0.9", "0.8"]
    );
    assert_eq!(
        line("all phases").matches('*').count(),
        2,
        "two seconds of a hundred are noise: {text}"
    );
    let all: Value =
        serde_json::from_str(&place.jumar(&["diff", "a", "b", "c", "--json"]).code(1).stdout).expect("JSON");
    let metrics = all["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .find(|g| g["group"] == "metrics")
        .expect("metrics");
    assert_eq!(
        (&metrics["rows"][0]["best"], &metrics["rows"][0]["all_best"]),
        (&Value::Null, &json!([0, 1]))
    );
}

fn of_long_names(place: &Workplace, name: &str, value: f64) {
    let lines: Vec<String> = ["squad_exact_match", "squad_f1", "hotpot_exact_match"]
        .iter()
        .map(|metric| format!("evaluation_of_the_large_model_on_everything.{metric}={value}"))
        .collect();
    run(
        place,
        name,
        &format!("[phases]\ne=completed\n[metrics]\n{}\n", lines.join("\n")),
    );
}

#[test]
fn long_names_of_many_runs_stay_distinct_and_what_all_begin_with_is_said_once() {
    let place = Workplace::new();
    for (name, value) in [("a", 0.1), ("b", 0.2), ("c", 0.3)] {
        of_long_names(&place, name, value);
    }
    let text = place.jumar(&["diff", "a", "b", "c"]).code(1).stdout;
    for name in ["squad_exact_match", "squad_f1", "hotpot_exact_match"] {
        assert_eq!(text.matches(name).count(), 1, "{text}");
    }
    let mut wide = place.command(&["diff", "a", "b", "c"]);
    let wide = String::from_utf8(wide.env("COLUMNS", "200").output().expect("it runs").stdout).expect("text");
    assert!(
        wide.contains("evaluation_of_the_large_model_on_everything.squad_f1"),
        "{wide}"
    );
    let mut narrow = place.command(&["diff", "a", "b", "c"]);
    let narrow = String::from_utf8(narrow.env("COLUMNS", "50").output().expect("it runs").stdout).expect("text");
    let long: Vec<&str> = narrow
        .lines()
        .filter(|line| line.chars().count() > 50 && !line.contains("metrics of"))
        .collect();
    assert_eq!(long, Vec::<&str>::new());
}

#[test]
fn what_is_equal_is_not_marked_as_a_difference_and_of_paths_the_entries_that_differ_are_shown() {
    let place = Workplace::new();
    let dirs = |own: &str| {
        let many: Vec<String> = (0..9).map(|n| format!("/opt/tools/number{n}/bin")).collect();
        format!("{}:{own}:/usr/bin", many.join(":"))
    };
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    for (name, own) in [("one", "/a/venv/bin"), ("two", "/b/venv/bin")] {
        let mut command = place.command(&["run", "s.rhai", "--run-dir", &format!("runs/{name}")]);
        command.env("SOME_PATH", dirs(own)).env("EQUAL", "x".repeat(90));
        assert!(command.status().expect("it runs").success());
    }
    let text = place.jumar(&["diff", "one", "two"]).code(1).stdout;
    assert!(
        text.contains("- /a/venv/bin\n") && text.contains("+ /b/venv/bin\n"),
        "{text}"
    );
    assert!(!text.contains("number3"), "{text}");
    let all = place.jumar(&["diff", "one", "two", "--all"]).code(1).stdout;
    let equal: Vec<&str> = all.lines().filter(|line| line.contains("xxxxxxxx")).collect();
    assert_eq!(equal.len(), 1, "{all}");
    assert!(equal[0].trim_start().starts_with('x'), "{all}");
}

#[test]
fn a_heading_never_touches_its_columns() {
    let place = Workplace::new();
    run(&place, "a", "[phases]\na=completed\n[params]\nlr=1\n");
    run(&place, "b", "[phases]\na=completed\n[params]\nlr=2\n");
    let text = place.jumar(&["diff", "a", "b"]).code(1).stdout;
    assert!(text.contains("parameters  A  B\n  lr        1  2"), "{text}");
}

#[test]
fn quietly_only_the_exit_code_tells() {
    let place = Workplace::new();
    for (name, lr) in [("a", "1"), ("b", "2"), ("c", "1")] {
        run(&place, name, &format!("[phases]\na=completed\n[params]\nlr={lr}\n"));
    }
    assert_eq!(place.jumar(&["diff", "-q", "a", "b"]).code(1).stdout, "");
    assert_eq!(place.jumar(&["diff", "-q", "a", "c"]).code(0).stdout, "");
    assert_eq!(place.jumar(&["diff", "-q", "a", "b", "c"]).code(1).stdout, "");
    assert_eq!(place.jumar(&["diff", "-q", "a", "b", "--unified"]).code(1).stdout, "");
}

#[test]
fn one_wide_value_does_not_push_the_others_out_of_their_columns() {
    let place = Workplace::new();
    for (name, path, epoch) in [("a", "some/where/epoch23/x", 23), ("b", "some/where/epoch1/yz", 1)] {
        run(
            &place,
            name,
            &format!(
                "[phases]\na=completed\n[params]\na_name_of_thirty_two_characters_x={epoch}\n[own]\nwidest=\"{path}abcd\"\nepoch={epoch}\n"
            ),
        );
    }
    let text = place.jumar(&["diff", "a", "b"]).code(1).stdout;
    let line = text.lines().find(|line| line.contains("own.epoch")).expect("the row");
    assert_eq!(
        line.split_whitespace().take(3).collect::<Vec<_>>(),
        ["own.epoch", "23", "1"],
        "{text}"
    );
}
