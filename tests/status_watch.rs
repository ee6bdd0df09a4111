//! `jumar status --watch`, and what is said about the rest of a run.

mod common;

use std::process::Stdio;

use common::{Workplace, wait_until};

const SCRIPT: &str = "phase(\"a\", || { shell(\"touch on; until test -e off; do sleep 0.02; done\"); });\n\
    phase(\"b\", #{ after: \"a\" }, || { shell(\"true\"); });";

/// A run of the same script that took so long.
fn earlier(place: &Workplace, name: &str, a: f64, b: f64) {
    let attempt = |seconds: f64| {
        format!("{{\"outcome\":\"completed\",\"started\":\"2026-01-01T00:00:00Z\",\"seconds\":{seconds}}}")
    };
    place.write(
        &format!("runs/{name}/.experiment_state"),
        &format!(
            "[metadata]\njumar=0.1.0\nstart_time=1\nscript=s.rhai\n[phases]\na=completed\nb=completed\n[attempts]\na.1={}\nb.1={}\n",
            attempt(a),
            attempt(b)
        ),
    );
}

#[test]
fn watching_shows_each_change_and_ends_with_the_run() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let mut run = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    wait_until("the run is on", || place.exists("on"));
    let output = std::fs::File::create(place.path().join("watched")).expect("a file");
    let mut watcher = place
        .command(&["status", "--watch", "live"])
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    wait_until("it is shown", || place.read("watched").contains("in_progress"));
    assert!(
        watcher.try_wait().expect("asked").is_none(),
        "it goes on while the run does"
    );
    place.write("off", "");
    assert!(run.wait().expect("it ends").success());
    assert!(watcher.wait().expect("it ends too").success());
    let text = place.read("watched");
    assert!(!text.contains('\u{1b}'), "{text}");
    let last = &text[text.rfind("run      ").expect("a last picture")..];
    assert!(
        last.contains("not running") && last.matches("completed").count() == 2,
        "{last}"
    );
}

#[test]
fn watching_goes_on_until_a_command_that_outlived_its_jumar_has_ended() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let mut run = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    wait_until("the run is on", || place.exists("on"));
    run.kill().expect("killed");
    run.wait().expect("it has ended");
    let output = std::fs::File::create(place.path().join("watched")).expect("a file");
    let mut watcher = place
        .command(&["status", "--watch", "live"])
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    wait_until("it is shown", || {
        place.read("watched").contains("its command still runs (process ")
    });
    assert!(
        watcher.try_wait().expect("asked").is_none(),
        "it goes on while the command does"
    );
    place.write("off", "");
    assert!(watcher.wait().expect("it ends too").success());
    assert!(
        place
            .read("watched")
            .contains("not running: jumar ended in the middle of a phase")
    );
    place.jumar(&["resume", "live"]).code(0);
}

#[test]
fn the_rest_is_judged_by_earlier_runs_of_the_same_script() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    earlier(&place, "r1", 100_000.0, 3600.0);
    earlier(&place, "r2", 100_000.0, 7200.0);
    place.write(
        "runs/other/.experiment_state",
        "[metadata]\nscript=other.rhai\n[phases]\na=completed\n",
    );
    let mut run = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    wait_until("the run is on", || place.exists("on"));
    let text = place.jumar(&["status", "live"]).code(0).stdout;
    assert!(
        text.contains("rest     about 1d 5h, judged by 2 earlier runs"),
        "{text}"
    );
    let all: serde_json::Value =
        serde_json::from_str(&place.jumar(&["status", "live", "--json"]).code(0).stdout).expect("JSON");
    let seconds = all["expected_rest_seconds"].as_f64().expect("a number");
    assert!((105_000.0..=105_400.0).contains(&seconds), "{seconds}");
    place.write("off", "");
    assert!(run.wait().expect("it ends").success());
    assert!(
        !place.jumar(&["status", "live"]).code(0).stdout.contains("rest "),
        "nothing is left"
    );
}

#[test]
fn a_running_phase_says_what_it_is_at_and_whether_it_takes_longer_than_before() {
    let place = Workplace::new();
    let script = "phase(\"a\", || { step(\"shard 1\", || shell(\"touch on; until test -e off; do sleep 0.02; done\")); });\n\
        phase(\"b\", #{ after: \"a\" }, || { });";
    place.write("s.rhai", script);
    earlier(&place, "quick", 0.001, 3600.0);
    let mut run = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    wait_until("the run is on", || place.exists("on"));
    let text = place.jumar(&["status", "live"]).code(0).stdout;
    assert!(
        text.contains("longer than before; step shard 1; touch on; until"),
        "{text}"
    );
    assert!(text.contains("; when a ends cannot be said"), "{text}");
    std::fs::remove_dir_all(place.path().join("runs/quick")).expect("it is there");
    earlier(&place, "slow", 7200.0, 3600.0);
    let text = place.jumar(&["status", "live"]).code(0).stdout;
    assert!(text.contains("of about 2h 00m; step shard 1; touch on"), "{text}");
    assert!(!text.contains("cannot be said") && !text.contains("ended "), "{text}");
    place.write("off", "");
    assert!(run.wait().expect("it ends").success());
    let text = place.jumar(&["status", "live"]).code(0).stdout;
    assert!(text.contains("\nended    20") && text.contains(", after "), "{text}");
}

#[test]
fn a_run_that_is_not_on_is_shown_once() {
    let place = Workplace::new();
    earlier(&place, "r1", 1.0, 1.0);
    let text = place.jumar(&["status", "--watch"]).code(0).stdout;
    assert_eq!(text.matches("not running").count(), 1, "{text}");
    place.jumar(&["status", "--watch", "--json"]).code(2);
}

#[test]
fn of_very_many_phases_those_are_watched_that_have_something_to_tell() {
    let place = Workplace::new();
    let phases: String = (0..200)
        .map(|n| format!("p{n}={}\n", if n < 150 { "completed" } else { "pending" }))
        .collect();
    place.write("runs/r/.experiment_state", &format!("[phases]\n{phases}bad=failed\n"));
    let text = place.jumar(&["status", "--watch"]).code(0).stdout;
    assert!(
        text.contains("bad") && text.contains("and 150 phases completed, 50 pending"),
        "{text}"
    );
    assert!(!text.contains("p7 "), "{text}");
    assert!(
        place.jumar(&["status"]).code(0).stdout.contains("p7 "),
        "all are shown when nobody watches"
    );
}
