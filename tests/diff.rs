//! `jumar diff`: two runs, and many, compared by meaning.

mod common;

use common::{Ended, Workplace};
use serde_json::Value;

const HEAD: &str = "[metadata]\nversion=3.2.0\njumar=0.1.0\nstart_time=1700000000\n";

/// A run that somebody wrote down: a state file under `runs/NAME`.
fn run(place: &Workplace, name: &str, sections: &str) {
    place.write(&format!("runs/{name}/.experiment_state"), &format!("{HEAD}{sections}"));
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ended.stdout))
}

fn row<'a>(all: &'a Value, group: &str, name: &str) -> Option<&'a Value> {
    let group = all["groups"].as_array()?.iter().find(|g| g["group"] == group)?;
    group["rows"].as_array()?.iter().find(|r| r["name"] == name)
}

fn attempt(outcome: &str, seconds: f64) -> String {
    format!("{{\"outcome\":\"{outcome}\",\"started\":\"2026-01-01T00:00:00Z\",\"seconds\":{seconds}}}")
}

#[test]
fn two_runs_that_did_the_same_are_the_same_whatever_they_are_called_and_when_they_ran() {
    let place = Workplace::new();
    for (name, start) in [("a", 1), ("b", 2)] {
        place.write(
            &format!("runs/{name}/.experiment_state"),
            &format!(
                "[metadata]\nversion=3.2.0\njumar=0.1.0\nstart_time={start}\nbase_output_dir=runs/{name}\nrun_id=x{start}\n\
                 [phases]\ntrain=completed\n[checkpoints]\ncheckpoint_path=runs/{name}/ckpt/epoch1\n\
                 [results]\ntrain.result={{\"out\":\"runs/{name}/out.json\",\"n\":{}}}\n",
                if name == "a" { "1" } else { "1.0" },
            ),
        );
    }
    let ended = place.jumar(&["diff", "a", "b"]).code(0);
    assert!(ended.stdout.contains("no difference"), "{}", ended.stdout);
    assert_eq!(
        json(&place.jumar(&["diff", "a", "b", "--json"]).code(0))["different"],
        false
    );
}

#[test]
fn a_metric_is_told_with_difference_percentage_and_verdict() {
    let place = Workplace::new();
    let with = |accuracy: &str, loss: &str| {
        format!(
            "[phases]\ne=completed\n[metrics]\ne.accuracy={accuracy}\ne.loss={loss}\ne.size=3\n\
             [metric_info]\ne.accuracy.better=higher\ne.loss.better=lower\n"
        )
    };
    run(&place, "a", &with("0.8", "0.5"));
    run(&place, "b", &with("0.82", "0.75"));
    let text = place.jumar(&["diff", "a", "b"]).code(1).stdout;
    let line = |name: &str| {
        text.lines()
            .find(|l| l.contains(name))
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        line("e.accuracy").as_deref(),
        Some("e.accuracy 0.8 0.82 +0.02 (+2.5 %) better")
    );
    assert_eq!(line("e.loss").as_deref(), Some("e.loss 0.5 0.75 +0.25 (+50 %) worse"));
    assert_eq!(line("e.size"), None, "{text}");
    let all = json(&place.jumar(&["diff", "a", "b", "--json"]).code(1));
    let accuracy = row(&all, "metrics", "e.accuracy").expect("the row");
    assert_eq!(accuracy["verdict"], "better");
    assert_eq!(accuracy["values"], serde_json::json!([0.8, 0.82]));
    assert!((accuracy["relative"].as_f64().expect("a number") - 0.025).abs() < 1e-9);
    assert_eq!(row(&all, "metrics", "e.loss").expect("the row")["verdict"], "worse");
}

#[test]
fn durations_within_five_percent_are_folded_away_and_do_not_count() {
    let place = Workplace::new();
    let with = |seconds: f64| {
        let attempt = attempt("completed", seconds);
        format!("[phases]\ntrain=completed\n[attempts]\ntrain.1={attempt}\n")
    };
    run(&place, "a", &with(1000.0));
    run(&place, "b", &with(1040.0));
    run(&place, "c", &with(2500.0));
    let near = place.jumar(&["diff", "a", "b"]).code(0).stdout;
    assert!(!near.contains("train"), "{near}");
    let told = place.jumar(&["diff", "a", "b", "--all"]).code(0).stdout;
    assert!(told.contains("1.04× slower"), "{told}");
    let far = place.jumar(&["diff", "a", "c"]).code(1).stdout;
    assert!(far.contains("16m 40s  41m 40s  2.5× slower"), "{far}");
    assert!(place.jumar(&["diff", "c", "a"]).code(1).stdout.contains("2.5× faster"));
}

#[test]
fn only_names_the_groups_that_count() {
    let place = Workplace::new();
    run(&place, "a", "[phases]\np=completed\n[params]\nlr=0.1\n");
    run(&place, "b", "[phases]\np=failed\n[params]\nlr=0.1\n");
    place.jumar(&["diff", "a", "b"]).code(1);
    place.jumar(&["diff", "a", "b", "--only", "params,metrics"]).code(0);
    let text = place.jumar(&["diff", "a", "b", "--only", "outcome"]).code(1).stdout;
    assert!(text.contains("completed  failed"), "{text}");
    let refused = place.jumar(&["diff", "a", "b", "--only", "nonsense"]).code(2);
    assert!(
        refused.stderr.contains("there is no group `nonsense`"),
        "{}",
        refused.stderr
    );
    let refused = place.jumar(&["diff", "a", "b", "--only", "nonsense", "--json"]).code(2);
    assert_eq!(json(&refused)["error"]["kind"], "usage");
}

#[test]
fn lists_are_compared_as_lists_and_maps_leaf_by_leaf() {
    let place = Workplace::new();
    run(
        &place,
        "a",
        "[phases]\n[params]\nseeds=[1,2]\n[results]\np.result={\"f1\":0.5,\"by\":{\"n\":1,\"m\":2}}\n",
    );
    run(
        &place,
        "b",
        "[phases]\n[params]\nseeds=[1,3]\n[results]\np.result={\"f1\":0.5,\"by\":{\"n\":1,\"m\":3}}\n",
    );
    let all = json(&place.jumar(&["diff", "a", "b", "--json"]).code(1));
    assert_eq!(
        row(&all, "parameters", "seeds").expect("the row")["values"],
        serde_json::json!([[1, 2], [1, 3]])
    );
    assert_eq!(row(&all, "results", "p.by.m").expect("the row")["difference"], 1.0);
    assert_eq!(row(&all, "results", "p.by.n"), None);
}

#[test]
fn the_scripts_own_difference_is_shown() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || {\n    shell(\"true\");\n});\n");
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/one"]).code(0);
    place.write("s.rhai", "phase(\"a\", || {\n    shell(\"true # changed\");\n});\n");
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/two"]).code(0);
    let text = place.jumar(&["diff", "one", "two"]).code(1).stdout;
    assert!(text.contains("-    shell(\"true\");"), "{text}");
    assert!(text.contains("+    shell(\"true # changed\");"), "{text}");
    assert!(text.contains("−1 +1 lines"), "{text}");
    let all = json(&place.jumar(&["diff", "one", "two", "--json"]).code(1));
    assert!(
        all["script"]
            .as_array()
            .expect("lines")
            .iter()
            .any(|l| l["kind"] == "right")
    );
}

#[test]
fn a_variable_of_the_environment_counts_unless_it_belongs_to_the_login() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    let mut first = place.command(&["run", "s.rhai", "--run-dir", "runs/one"]);
    first.env("SHLVL", "1").env("SSH_TTY", "/dev/pts/1");
    assert!(first.status().expect("it runs").success());
    let mut second = place.command(&["run", "s.rhai", "--run-dir", "runs/two"]);
    second.env("SHLVL", "2").env("SSH_TTY", "/dev/pts/2");
    assert!(second.status().expect("it runs").success());
    let alike = place
        .jumar(&["diff", "one", "two", "--only", "environment"])
        .code(0)
        .stdout;
    assert!(!alike.contains("SHLVL"), "{alike}");
    let mut third = place.command(&["run", "s.rhai", "--run-dir", "runs/three"]);
    third.env("OMP_NUM_THREADS", "4");
    assert!(third.status().expect("it runs").success());
    let text = place.jumar(&["diff", "one", "three", "--only", "env"]).code(1).stdout;
    assert!(text.contains("OMP_NUM_THREADS"), "{text}");
}

#[test]
fn files_of_the_bash_runner_are_compared_and_what_they_never_held_is_no_difference() {
    let place = Workplace::new();
    let fixture = |name: &str| {
        format!(
            "{}/tests/fixtures/bash-3.1.0/{name}.experiment_state",
            env!("CARGO_MANIFEST_DIR")
        )
    };
    let ended = place
        .jumar(&["diff", &fixture("training_failed"), &fixture("all_completed"), "--json"])
        .code(1);
    let all = json(&ended);
    assert_eq!(
        row(&all, "outcome", "training").expect("the row")["values"],
        serde_json::json!(["failed", "completed"])
    );
    assert_eq!(
        row(&all, "failures", "failures").expect("the row")["values"],
        serde_json::json!([1, 0])
    );
    assert_eq!(row(&all, "outcome", "run").expect("the row")["values"][0], "failed");
    run(&place, "own", "[phases]\ntraining=failed\n[params]\nlr=0.1\n");
    let text = place
        .jumar(&["diff", &fixture("training_failed"), "own"])
        .code(1)
        .stdout;
    assert!(text.contains("not recorded in A: "), "{text}");
    assert!(!text.contains("lr"), "{text}");
}

#[test]
fn every_line_fits_into_eighty_columns() {
    let place = Workplace::new();
    let long = "x".repeat(300);
    for (name, last) in [("a", 'y'), ("b", 'z')] {
        run(
            &place,
            name,
            &format!(
                "[phases]\n{long}=completed\n[params]\n{long}=1\nlong={long}{last}\nshort={last}\n\
                 [notes]\nwide=日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語{last}\n"
            ),
        );
    }
    let text = place.jumar(&["diff", "a", "b"]).code(1).stdout;
    for line in text.lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
    }
    assert!(
        text.contains("xxxy") && text.contains("xxxz"),
        "what differs must be seen:\n{text}"
    );
    let both = place.jumar(&["diff", "a", "b", "--side-by-side"]).code(1).stdout;
    for line in both.lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
    }
    assert!(both.contains('|'), "{both}");
}

#[test]
fn unified_shows_the_state_files_as_diff_does() {
    let place = Workplace::new();
    run(&place, "a", "[phases]\np=completed\n");
    run(&place, "b", "[phases]\np=failed\n");
    let ended = place.jumar(&["diff", "-u", "a", "b"]).code(1);
    assert!(
        ended.stdout.starts_with(
            "--- runs/a/.experiment_state\n+++ runs/b/.experiment_state\n@@ -3,4 +3,4 @@\n jumar=0.1.0\n start_time=1700000000\n [phases]\n-p=completed\n+p=failed\n"
        ),
        "{}",
        ended.stdout
    );
    assert_eq!(place.jumar(&["diff", "-u", "a", "a"]).code(0).stdout, "");
}

#[test]
fn many_runs_are_a_table_of_what_differs_with_the_best_marked() {
    let place = Workplace::new();
    for (name, lr, accuracy) in [("r1", "0.1", "0.8"), ("r2", "0.2", "0.9"), ("r3", "0.3", "0.7")] {
        run(
            &place,
            name,
            &format!(
                "[phases]\np=completed\n[params]\nlr={lr}\nsame=1\n[metrics]\np.accuracy={accuracy}\n[metric_info]\np.accuracy.better=higher\n"
            ),
        );
    }
    place.write("runs/notes/readme", "no run");
    let ended = place
        .jumar(&["diff", "runs/r1", "runs/r2", "runs/r3", "runs/notes"])
        .code(1);
    assert!(
        ended
            .stderr
            .contains("runs/notes has no .experiment_state: passed over"),
        "{}",
        ended.stderr
    );
    let words = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|l| l.trim_start().starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(words(&ended.stdout, "p.accuracy"), ["p.accuracy", "0.8", "*0.9", "0.7"]);
    assert_eq!(words(&ended.stdout, "lr"), ["lr", "0.1", "0.2", "0.3"]);
    assert!(words(&ended.stdout, "same ").is_empty(), "{}", ended.stdout);
    let sorted = place
        .jumar(&["diff", "r1", "r2", "r3", "--sort", "-accuracy"])
        .code(1)
        .stdout;
    assert_eq!(words(&sorted, "p.accuracy"), ["p.accuracy", "*0.9", "0.8", "0.7"]);
    let csv = place
        .jumar(&["diff", "r1", "r2", "r3", "--csv", "--sort", "accuracy"])
        .code(1)
        .stdout;
    assert_eq!(
        csv,
        "group,name,runs/r3,runs/r1,runs/r2\nmetrics,p.accuracy,0.7,0.8,0.9\nparameters,lr,0.3,0.1,0.2\n"
    );
    place.jumar(&["diff", "r1", "r2", "r3", "--sort", "nothing"]).code(2);
}

#[test]
fn a_table_that_is_too_wide_goes_on_below() {
    let place = Workplace::new();
    let names: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        run(
            &place,
            name,
            &format!("[phases]\np=completed\n[params]\nlr=0.{:05}1\n", 10000 + n),
        );
    }
    let mut arguments = vec!["diff"];
    arguments.extend(names.iter().map(String::as_str));
    let text = place.jumar(&arguments).code(1).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for n in 0..40 {
        assert!(
            text.contains(&format!("0.{:05}1", 10000 + n)),
            "run {n} is missing\n{text}"
        );
    }
}

#[test]
fn without_names_the_two_newest_runs_are_compared() {
    let place = Workplace::new();
    place.jumar(&["diff"]).code(2);
    for (start, lr) in [(1, "0.1"), (2, "0.2"), (3, "0.3")] {
        place.write(
            &format!("runs/r{start}/.experiment_state"),
            &format!("[metadata]\njumar=0.1.0\nstart_time={start}\n[phases]\n[params]\nlr={lr}\n"),
        );
    }
    let values = |arguments: &[&str]| {
        let all = json(&place.jumar(arguments).code(1));
        row(&all, "parameters", "lr").expect("the row")["values"].clone()
    };
    assert_eq!(values(&["diff", "--json"]), serde_json::json!([0.2, 0.3]));
    assert_eq!(values(&["diff", "r1", "--json"]), serde_json::json!([0.1, 0.3]));
}

#[test]
fn a_state_that_cannot_be_read_is_trouble_and_says_so() {
    let place = Workplace::new();
    run(&place, "a", "[phases]\np=completed\n");
    place.write("runs/b/.experiment_state", "[phases]\np=comleted\n");
    place.jumar(&["diff", "a", "b"]).code(4);
    let refused = json(&place.jumar(&["diff", "a", "b", "--json"]).code(4));
    assert_eq!(refused["error"]["kind"], "state");
    place.jumar(&["diff", "a", "nowhere"]).code(2);
}

#[test]
fn comparing_writes_nothing_and_works_while_a_run_is_on() {
    let place = Workplace::new();
    run(&place, "old", "[phases]\na=completed\n");
    place.write(
        "s.rhai",
        "phase(\"a\", || { shell(\"touch on; until test -e off; do sleep 0.02; done\"); });",
    );
    let mut child = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    common::wait_until("the run is on", || place.exists("on"));
    let before = place.state_while_a_command_runs("runs/live");
    let text = place.jumar(&["diff", "old", "live"]).code(1).stdout;
    assert!(text.contains("running"), "{text}");
    assert_eq!(place.read("runs/live/.experiment_state"), before);
    assert!(!place.exists("runs/old/.experiment_state.d"));
    place.write("off", "");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn two_points_of_one_run_are_compared() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"phase("a", || { shell("true"); }); phase("b", || { metric("loss", 0.5); });"#,
    );
    place.jumar(&["run", "p.rhai"]).code(0);
    let run = place.run();
    let ended = place.jumar(&["diff", &format!("{run}@2"), &run]).code(1);
    assert!(ended.stdout.contains(&format!("{run}@2")), "{}", ended.stdout);
    assert!(ended.stdout.contains("loss"), "{}", ended.stdout);
    place.jumar(&["diff", &format!("{run}@2"), &format!("{run}@2")]).code(0);
    place.jumar(&["diff", &format!("{run}@2"), &run, "--unified"]).code(2);
}

#[test]
fn a_variable_that_gave_a_parameter_and_the_checkpoint_that_follows_are_not_told_twice() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"let rate = param("rate", 1.0); phase("a", || { shell(`echo ${rate} > ${run.dir}/c`); checkpoint(run.dir + "/c"); metric("loss", rate / 3); });"#,
    );
    place.jumar(&["run", "p.rhai", "--run-dir", "one"]).code(0);
    let mut command = place.command(&["run", "p.rhai", "--run-dir", "two"]);
    assert!(command.env("RATE", "2.5").status().expect("it runs").success());
    let told = place.jumar(&["diff", "one", "two"]).code(1).stdout;
    assert!(
        told.contains("a.loss") && told.contains("0.333333") && told.contains("0.833333"),
        "{told}"
    );
    assert!(
        told.contains("rate") && !told.contains("RATE") && !told.contains("contents"),
        "{told}"
    );
    let json = place.jumar(&["diff", "one", "two", "--json"]).code(1).stdout;
    assert!(json.contains("0.8333333333333334"), "programs get all digits: {json}");
}

#[test]
fn what_jumar_notes_to_itself_of_two_runs_is_no_difference_of_theirs() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"let rate = param("rate", 1.0); phase("a", || { metric("loss", rate); });"#,
    );
    place.jumar(&["run", "p.rhai", "--run-dir", "one"]).code(0);
    place
        .jumar(&["run", "p.rhai", "--run-dir", "two", "--rate", "2.0"])
        .code(0);
    let told = place.jumar(&["diff", "one", "two"]).code(1).stdout;
    assert!(!told.contains("\nstate") && !told.contains("fingerprint"), "{told}");
}

#[test]
fn long_names_keep_their_values_in_columns() {
    let place = Workplace::new();
    let wide = "evaluation_probe.validation_accuracy_top5";
    let wider = "evaluation_linear_probe.validation_accuracy_top5_macro_averaged";
    for (name, value) in [("a", 0.5), ("b", 0.75)] {
        run(
            &place,
            name,
            &format!("[metrics]\nloss={value}\n{wide}={value}\n{wider}={value}\n"),
        );
    }
    let text = place.jumar(&["diff", "a", "b"]).code(1).stdout;
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("metrics")).collect();
    let column = lines[0].find('A').expect("the heading");
    assert!(
        lines[1].starts_with("  loss") && lines[1][column..].starts_with("0.5"),
        "{text}"
    );
    assert!(
        lines[2].contains(wide) && lines[2][column..].starts_with("0.5   0.75  +0.25"),
        "{text}"
    );
    assert_eq!(lines[3].trim(), wider);
    assert_eq!(lines[4].find("0.5   0.75  +0.25"), Some(column), "{text}");
}
