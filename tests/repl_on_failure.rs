//! `--repl-on-failure`: the run stops inside the failed phase, before its policy is asked.

mod common;

use common::terminal::Terminal;
use common::{Ended, Workplace, value_in};

/// `train` fails in a function until `lr` is small or `MERCY` is set; its policy would leave it out.
const SCRIPT: &str = r#"
param("lr", 0.5, "step size");
fn attempt_with(rate) {
    let doubled = rate * 2;
    shell(`echo rate ${rate} mercy $MERCY; test ${rate} = 0.25 || test "$MERCY" = yes`);
    doubled
}
phase("train", #{ on_failure: |f| skip("the policy said so"), env: #{ FROM_PHASE: "here" } }, || {
    let steps = [1, 2];
    for step in steps {
        let seen = step * 10;
        attempt_with(param("lr"));
    }
    steps.len()
});
phase("after", #{ after: "train" }, || { });
"#;

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let home = place.path().join("home").display().to_string();
    place.env("HOME", &home).env("SHELL", "/bin/sh")
}

fn place_with(script: &str) -> Workplace {
    let place = place();
    place.write("s.rhai", script);
    place
}

fn run(place: &Workplace, input: &str) -> Ended {
    place.piped(&["run", "s.rhai", "--run-dir", "r", "--repl-on-failure"], input)
}

fn status(place: &Workplace, phase: &str) -> String {
    value_in(&place.read("r/.experiment_state"), "phases", phase).expect("it is there")
}

#[test]
fn the_variables_of_the_phase_and_of_the_function_that_failed_are_in_reach() {
    let place = place();
    let ended = run(
        &place,
        "[steps, seen, rate, doubled]\nphases.train\nattempt_with(0.25)\nrun.attempt\n:failure\n:quit\n",
    )
    .code(0);
    let shown = ended.stdout.replace('\n', " ");
    assert!(
        shown.starts_with("[[1, 2], 10, 0.5, 1.0] failed 0.5 1 train, attempt 1: exit "),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stderr
            .contains("train, attempt 1, has failed: exit: ended with status 1"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("in reach: "), "{}", ended.stderr);
    assert_eq!(status(&place, "train"), "skipped", "left to the policy");
}

/// Each level of calls has an `x` of its own.
const NESTED: &str = r#"
fn read_shard(name, index) {
    let x = "function";
    shell(`cat ${name}/${index}.csv`);
    x
}
fn load(name) {
    let x = "caller";
    for i in 3..4 { read_shard(name, i); }
    x
}
phase("prepare", || {
    let x = "phase";
    let root = "data";
    step("load", || {
        let x = "step";
        load(root)
    });
    x
});
"#;

#[test]
fn in_a_function_in_a_step_in_a_phase_every_call_can_be_looked_at() {
    let place = place();
    place.write("s.rhai", NESTED);
    let ended = run(
        &place,
        "[x, name, index, i, root]\nlet y = x\n:frame\n:frame 2\n[x, name, i]\n:frame 1\n[x, root]\n:frame 0\n[x, root, y]\n:frame 3\nx\n:quit\n",
    )
    .code(1);
    let answers: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|l| l.starts_with('[') || *l == "function")
        .collect();
    assert_eq!(
        answers,
        [
            r#"["function", "data", 3, 3, "data"]"#,
            r#"["caller", "data", 3]"#,
            r#"["step", "data"]"#,
            r#"["phase", "data", "function"]"#,
            "function",
        ],
        "{}",
        ended.stdout
    );
    for (call, at) in [("phase prepare", 15), ("step load", 17), ("load", 9), ("read_shard", 4)] {
        assert!(
            ended
                .stdout
                .lines()
                .any(|l| l.contains(&format!(" {call} ")) && l.contains(&format!("s.rhai:{at} "))),
            "{call}\n{}",
            ended.stdout
        );
    }
    assert!(
        ended
            .stderr
            .contains("in read_shard (s.rhai:4), in load (s.rhai:9), in step load"),
        "{}",
        ended.stderr
    );
    let variable = run(&self::place_with(NESTED), ":frame 0\nname\n").code(1);
    assert!(
        variable.stderr.contains("no variable is called `name`"),
        "{}",
        variable.stderr
    );
    let none = run(&self::place_with(NESTED), ":frame 4\n").code(1);
    assert!(none.stderr.contains("there is no call `4`"), "{}", none.stderr);
}

#[test]
fn after_a_timeout_commands_have_time_and_a_shell_opens() {
    let place = place_with("phase(\"slow\", #{ timeout: \"300ms\" }, || { let a = 1; shell(\"sleep 60\"); });");
    let ended = run(
        &place,
        "shell(\"sleep 0.4; echo late\", #{ capture: true }).stdout\nsleep(0.1)\n:shell\n:quit\n",
    )
    .code(1);
    assert!(ended.stderr.contains("has failed: timeout"), "{}", ended.stderr);
    assert!(ended.stdout.contains("late\n"), "{}\n{}", ended.stdout, ended.stderr);
    assert!(!ended.stderr.contains("input:1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("`exit` comes back here"), "{}", ended.stderr);
}

#[test]
fn what_is_assigned_in_the_middle_of_a_failure_is_an_event_of_the_one_who_did() {
    let place = place();
    run(&place, "state.notes.why = \"disk\"\n:quit\n").code(0);
    let told = place.jumar(&["history", "r"]).code(0).stdout;
    assert!(
        told.contains("committed in repl by ") && told.contains("[notes] why=disk"),
        "{told}"
    );
}

#[test]
fn a_retry_with_another_parameter_is_made_and_recorded() {
    let place = place();
    run(&place, ":retry lr=0.25\n").code(0);
    assert_eq!(
        (status(&place, "train"), status(&place, "after")),
        ("completed".into(), "completed".into())
    );
    let log = place.read("r/logs/train.log");
    assert!(
        log.contains("rate 0.5 mercy") && log.contains("rate 0.25 mercy"),
        "{log}"
    );
    let again = self::place();
    run(&again, ":retry MERCY=yes\n").code(0);
    assert_eq!(status(&again, "train"), "completed");
}

#[test]
fn each_failure_takes_the_lines_up_to_its_own_answer() {
    let place = place();
    let ended = run(&place, "run.attempt\n:retry\nrun.attempt\n:abort enough of it\n").code(1);
    assert!(ended.stdout.starts_with("1\n2\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("stopped: enough of it"), "{}", ended.stderr);
    assert_eq!(
        (status(&place, "train"), status(&place, "after")),
        ("failed".into(), "pending".into())
    );
}

#[test]
fn a_phase_can_be_left_out_or_given_up_by_hand() {
    let place = place();
    run(&place, ":skip not today\n").code(0);
    assert_eq!(
        (status(&place, "train"), status(&place, "after")),
        ("skipped".into(), "completed".into())
    );
    assert_eq!(place.read("r/.experiment_state").matches("not today").count(), 1);
    let place = self::place();
    run(&place, ":fail\n").code(1);
    assert_eq!(
        (status(&place, "train"), status(&place, "after")),
        ("failed".into(), "pending".into())
    );
}

#[test]
fn a_mistake_leaves_the_answer_to_the_policy_and_is_told() {
    let place = place();
    let ended = run(&place, ":retry lr=fast\n").code(0);
    assert!(
        ended.stderr.contains("parameter `lr` must be a number, not"),
        "{}",
        ended.stderr
    );
    assert_eq!(status(&place, "train"), "skipped");
    let place = self::place();
    run(&place, "").code(0);
    assert_eq!(status(&place, "train"), "skipped");
}

#[test]
fn a_mistake_of_the_script_itself_stops_there_too() {
    let place = place();
    place.write(
        "s.rhai",
        "let outside = 1; phase(\"a\", || { let n = 3; let m = [n]; m[5] });",
    );
    let ended = run(&place, "n + m[0]\n").code(1);
    assert_eq!(ended.stdout.lines().next(), Some("6"));
    let reach = ended
        .stderr
        .lines()
        .find(|l| l.starts_with("in reach: "))
        .expect("it says what");
    assert!(
        reach.contains(" m,") && !reach.contains("outside"),
        "what the phase did not capture is not its own: {reach}"
    );
}

#[test]
fn without_the_option_nothing_stops() {
    let place = place();
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(0);
    assert_eq!(status(&place, "train"), "skipped");
    place.jumar(&["run", "s.rhai", "--repl-on-failure", "-y"]).code(2);
}

#[test]
fn at_a_terminal_one_can_look_open_a_shell_and_go_on() {
    let place = place();
    let mut terminal = Terminal::start(&mut place.command(&["run", "s.rhai", "--run-dir", "r", "--repl-on-failure"]));
    terminal.expect("train failed> ");
    terminal.line("seen * 2");
    terminal.expect("20\r\n");
    terminal.line("shell(\"echo $((40 + 2)) seen\")");
    terminal.expect("  | 42 seen\r\n");
    terminal.expect("train failed> ");
    terminal.line(":failure");
    let told = terminal.expect("train failed> ");
    assert!(told.contains("| rate 0.5 mercy") && !told.contains("42 seen"), "{told}");
    terminal.line("params.lr = 0.25");
    terminal.expect("`:retry lr=…` tries again with another value");
    terminal.line("nonsense");
    terminal.expect("no variable is called `nonsense`");
    terminal.expect("train failed> ");
    terminal.line(":shell");
    terminal.expect("(jumar train 1) ");
    terminal.line("echo $FROM_PHASE-$JUMAR_ATTEMPT");
    terminal.expect("here-1");
    terminal.line("exit");
    terminal.expect("train failed> ");
    terminal.keys(":ret\tl\t");
    terminal.expect(":retry lr=");
    terminal.line("0.25");
    terminal.expect("completed");
    assert_eq!(terminal.end(), 0);
    assert_eq!(status(&place, "train"), "completed");
}

#[test]
fn what_is_run_to_look_around_is_shown_and_is_no_part_of_the_phases_log_and_record() {
    let place = place();
    let ended = run(&place, "shell(\"echo hi there\")\n:failure\n:quit\n").code(0);
    assert!(ended.stderr.contains("  | hi there\n"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("hi there"), "{}", ended.stdout);
    let state = place.read("r/.experiment_state");
    assert!(
        !place.read("r/logs/train.log").contains("hi there") && !state.contains("hi there"),
        "{state}"
    );
    let logs = place.jumar(&["logs", "r", "train"]).code(0).stdout;
    assert!(logs.contains("rate 0.5") && !logs.contains("hi there"), "{logs}");
}

#[test]
fn what_the_scripts_top_level_made_is_in_reach_in_the_middle_of_a_failure() {
    let place = place_with(
        r#"
let batch = param("batch_size", 8);
let seeds = [1, 2];
const LIMIT = 9;
let x = "outer";
phase("train", || { let x = "inner"; shell("exit 3"); });
phase("side", || { shell("exit 4"); });
let last = 5;
"#,
    );
    let ended = run(&place, "[batch, seeds, LIMIT, x, last]\n:fail\n[seeds, x]\n:fail\n").code(1);
    let shown = ended.stdout.replace('\n', " ");
    assert!(
        shown.starts_with(r#"[8, [1, 2], 9, "inner", 5] [[1, 2], "outer"]"#),
        "{shown}\n{}",
        ended.stderr
    );
}

#[test]
fn a_setting_that_does_not_fit_is_said_to_come_from_who_typed_it() {
    let ended = run(&place(), ":retry lr=x\n").code(0);
    let why = "parameter `lr` must be a number, not `x` (from `:retry`)";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
}

#[test]
fn the_variable_of_a_parameter_stands_for_it_and_what_is_typed_is_no_part_of_the_code() {
    let place = Workplace::new();
    place.write(
        "pipeline.rhai",
        "param(\"batch_size\", 8);\nphase(\"a\", || { if param(\"batch_size\") > 4 { throw \"too large\"; } });\n",
    );
    let typed = "1 + 1\nstate.phases.a = \"completed\"\n";
    let refused = place.piped(&["run", "pipeline.rhai", "--repl-on-failure", "--run-dir", "r1"], typed);
    assert!(
        refused
            .stderr
            .contains("how the phase stands is for :retry, :skip, :fail and :abort to say"),
        "{}",
        refused.stderr
    );
    let typed = "1 + 1\n:retry BATCH_SIZE=4\n";
    let ended = place.piped(&["run", "pipeline.rhai", "--repl-on-failure", "--run-dir", "r2"], typed);
    ended.code(0);
    let attempt = place.jumar(&["status", "r2", "--json"]).code(0).stdout;
    assert!(
        !attempt.contains("BATCH_SIZE"),
        "it is the parameter, and no variable: {attempt}"
    );
    let modules = std::fs::read_to_string(place.path().join("r2/.experiment_state.d/modules.json")).unwrap_or_default();
    assert!(!modules.contains("input"), "{modules}");
}

#[test]
fn what_is_shown_without_a_name_is_of_the_phase_whose_failure_it_is() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"side\", || { shell(\"echo words of side; exit 3\"); });\nphase(\"train\", || { shell(\"until grep -q 'side=failed' r/.experiment_state; do sleep 0.02; done; echo words of train; exit 4\"); });\n",
    );
    // The second failure is there before anybody asks about the first.
    let wait = r#"shell("until grep -q 'train=failed' r/.experiment_state; do sleep 0.02; done");"#;
    let typed = format!("{wait}\n:failure\n:log\n:fail\n:failure\n:log\n:fail\n");
    let ended = place.piped(
        &["run", "p.rhai", "--repl-on-failure", "--run-dir", "r", "-j", "2"],
        &typed,
    );
    let (first, second) = ended.stdout.split_once("train, attempt 1").expect("the second failure");
    assert!(
        first.contains("side, attempt 1") && first.contains("words of side"),
        "{first}"
    );
    assert!(
        second.contains("words of train") && !second.contains("words of side"),
        "{second}"
    );
}
