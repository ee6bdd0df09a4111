//! `jumar repl`: lines of Rhai with a run in reach; edits are staged and written as one event.

mod common;

use common::terminal::Terminal;
use common::{Ended, Workplace, value_in, wait_until};

const SCRIPT: &str = r#"
import "std/gpu" as gpu;
let batch = param("batch_size", 8, "samples per step");
/// Twice as much.
fn double(x) { 2 * x }
phase("prepare", || { shell("echo run >> ran.txt"); });
phase("train", #{ after: "prepare" }, || {
    metric("loss", 0.25);
    shell("for i in $(seq 100); do echo line $i; done; echo out of luck >&2; exit 3");
});
phase("test", #{ after: "train" }, || { });
"#;

fn after_a_failure() -> Workplace {
    let place = Workplace::new();
    let home = place.path().join("home").display().to_string();
    place.write("s.rhai", SCRIPT);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(1);
    place.env("HOME", &home)
}

fn piped(place: &Workplace, input: &str) -> Ended {
    place.piped(&["repl", "r"], input)
}

fn status(place: &Workplace, phase: &str) -> String {
    value_in(&place.read("r/.experiment_state"), "phases", phase).expect("it is there")
}

#[test]
fn lines_see_the_run_and_what_earlier_lines_left() {
    let place = after_a_failure();
    let input = "phases.train\nlet x = double(batch);\nx + 1\nfn third(y) {\n  y / 3\n}\nthird(x - 1)\ngpu::count() >= 0\n[metrics.train.loss, params.batch_size]\nstate.nothing.here\n";
    let ended = piped(&place, input).code(0);
    assert_eq!(ended.stdout, "failed\n17\n5\ntrue\n[0.25, 8]\n()\n");
    assert_eq!(place.read("ran.txt"), "run\n", "no phase was started");
}

#[test]
fn edits_are_staged_shown_as_a_diff_and_written_as_one() {
    let place = after_a_failure();
    let before = place.read("r/.experiment_state");
    let ended = piped(
        &place,
        "state.phases.train = \"completed\"\nstate.notes.why = \"by hand\"\n:changes\n:undo\n:changes\n",
    )
    .code(2);
    assert!(
        ended.stdout.contains("-train=failed\n+train=completed\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("+[notes]\n+why=by hand\n"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("+why").count(), 1, "it was taken back");
    assert!(ended.stderr.contains("1 edit is not written"), "{}", ended.stderr);
    assert_eq!(place.read("r/.experiment_state"), before);
    let ended = piped(
        &place,
        "phases.train = \"completed\"; phases.test = \"skipped\"\n:commit\nphases.test\n",
    )
    .code(0);
    assert_eq!(ended.stdout, "skipped\n");
    assert!(
        ended.stderr.contains("2 changes written; to go on: jumar resume r\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        (status(&place, "train"), status(&place, "test")),
        ("completed".into(), "skipped".into())
    );
}

#[test]
fn piped_input_stops_at_its_first_error_and_what_the_line_changed_before_it_is_not_staged() {
    let place = after_a_failure();
    let ended = piped(&place, "1 + 1\nstate.notes.a = 1; nonsense()\n2 + 2\n").code(3);
    assert_eq!(ended.stdout, "2\n");
    assert!(
        ended.stderr.contains("no function is called `nonsense`"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("stopped at line 2 of the input"),
        "{}",
        ended.stderr
    );
    assert!(!place.read("r/.experiment_state").contains("[notes]"));
    piped(&place, ":nonsense\n").code(2);
    let refused = piped(&place, "phases.train = \"compelted\"\n").code(3);
    assert!(refused.stderr.contains("no status of a phase"), "{}", refused.stderr);
}

#[test]
fn a_file_that_changed_underneath_is_merged_or_the_conflict_is_told() {
    let place = after_a_failure();
    let file = place.path().join("r/.experiment_state");
    let with = |line: &str| {
        format!(
            "phases.train = \"skipped\"\ncapture(\"sed -i {line} {}\")\n:commit\n",
            file.display()
        )
    };
    let ended = piped(&place, &with("s/test=pending/test=skipped/")).code(0);
    assert!(
        ended.stderr.contains("merged with what others changed"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        (status(&place, "train"), status(&place, "test")),
        ("skipped".into(), "skipped".into())
    );
    let place = after_a_failure();
    let file = place.path().join("r/.experiment_state");
    let with = |end: &str| {
        format!(
            "phases.train = \"skipped\"\ncapture(\"sed -i s/train=failed/train=pending/ {}\")\n{end}\n",
            file.display()
        )
    };
    let ended = piped(&place, &with(":commit")).code(4);
    assert!(
        ended
            .stderr
            .contains("[phases] train: it was failed, you wrote skipped, it is pending now"),
        "{}",
        ended.stderr
    );
    assert_eq!(status(&place, "train"), "pending");
    place.write(
        "r/.experiment_state",
        &place
            .read("r/.experiment_state")
            .replace("train=pending", "train=failed"),
    );
    piped(&place, &with(":commit!")).code(0);
    assert_eq!(status(&place, "train"), "skipped");
}

#[test]
fn the_commands_show_phases_logs_failures_and_documentation() {
    let place = after_a_failure();
    let ended = piped(
        &place,
        ":help\n:phases\n:log train 1\n:failure\n:doc double\n:doc shell\n:rerun prepare\n:commit\n",
    )
    .code(0);
    for text in [
        ":changes",
        "train    failed",
        "line 99\n",
        "out of luck\n",
        "train, attempt 1: exit\n",
        "double(x)\nTwice as much.\n",
        "shell(command: string, options: map) -> map",
    ] {
        assert!(ended.stdout.contains(text), "{text}\n---\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("line 10\n"), "only the end of a long log");
    assert_eq!(status(&place, "prepare"), "pending");
    let refused = piped(&place, ":log trian\n").code(2);
    assert!(refused.stderr.contains("did you mean `train`?"), "{}", refused.stderr);
}

#[test]
fn a_run_that_is_on_is_read_only_and_the_prompt_says_so() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"phase("a", || { shell("touch started; while ! test -e go; do sleep 0.02; done"); });"#,
    );
    let home = place.path().display().to_string();
    let place = place.env("HOME", &home);
    let run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the phase has started", || place.exists("started"));
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r (running, read-only)> ");
    terminal.line("phases.a");
    terminal.expect("in_progress\r\n");
    terminal.line("state.notes.x = 1");
    terminal.expect("the run is on, in pid ");
    place.write("go", "");
    run.wait_with_output().expect("it ends");
    // The prompt still says otherwise; the answer is of the run as it is when the line is entered.
    terminal.line("phases.a");
    terminal.expect("completed\r\n");
    // Before its prompt a terminal takes the key for itself.
    terminal.expect("r> ");
    terminal.keys("\u{4}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn at_a_terminal_names_are_completed_a_block_goes_on_and_the_history_stays() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.keys("state.phases.pre\t");
    terminal.expect("pare");
    terminal.line("");
    terminal.expect("completed\r\n");
    terminal.line("if phases.train == \"failed\" {");
    terminal.line("40 + 2");
    terminal.line("}");
    terminal.expect("42\r\n");
    terminal.line("1 +");
    terminal.expect("1 +\r\n");
    terminal.keys("\u{3}");
    terminal.expect("[?2004l");
    terminal.expect("r> ");
    terminal.line("nonsense()");
    terminal.expect("no function is called `nonsense`");
    terminal.line("state.notes.y = 1; nonsense()");
    terminal.expect("no function is called `nonsense`");
    terminal.expect("r> ");
    terminal.line("state.notes.y");
    terminal.expect("()\r\n");
    terminal.line("state.notes.x = 1");
    terminal.expect("r (1 staged)> ");
    terminal.keys("\u{4}");
    terminal.expect("1 edit is not written");
    terminal.line("d");
    assert_eq!(terminal.end(), 0);
    assert!(place.read("home/.local/share/jumar/history").contains("nonsense()"));
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.keys("\u{1b}[A\u{1b}[A\u{1b}[A\r");
    terminal.expect("no function is called `nonsense`");
    terminal.line(":quit");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn diff_prints_what_jumar_diff_prints_and_staged_edits_count() {
    let place = after_a_failure();
    place.jumar(&["run", "s.rhai", "--run-dir", "other"]).code(1);
    let outside = place.jumar(&["diff", "r", "other"]);
    let inside = piped(&place, ":diff other\n").code(0);
    assert_eq!(inside.stdout, outside.stdout);
    assert!(
        inside.stderr.contains("A is this run as it is on disk"),
        "{}",
        inside.stderr
    );
    let staged = piped(
        &place,
        "phases.train = \"completed\"\nstate.notes.why = \"by hand\"\n:diff other\n:undo\n:undo\n",
    )
    .code(0);
    let line = |name: &str| {
        staged
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .map(String::from)
    };
    assert!(
        line("train").is_some_and(|l| l.contains("completed  failed")),
        "{}",
        staged.stdout
    );
    assert!(staged.stdout.contains("why"), "{}", staged.stdout);
    assert!(
        staged
            .stderr
            .contains("A is this run with 2 staged edits that are not written yet"),
        "{}",
        staged.stderr
    );
    let then = piped(&place, ":diff @1\n").code(0);
    assert_eq!(then.stdout, place.jumar(&["diff", "r", "r@1"]).stdout);
    for wrong in [":diff\n", ":diff nobody\n", ":diff other r\n"] {
        assert_ne!(piped(&place, wrong).code, 0, "{wrong}");
    }
}

#[test]
fn every_command_is_in_the_help_and_completed_and_works_at_a_terminal() {
    let place = after_a_failure();
    place.jumar(&["run", "s.rhai", "--run-dir", "other"]).code(1);
    place.write("runs/nightly/.experiment_state", "[phases]\ntrain=completed\n");
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.line(":help");
    let help = terminal.expect("r> ");
    // What is typed, and a piece of what must come.
    for (keys, shown) in [
        (":he\t", "Anything else is Rhai"),
        (":do\t double", "Twice as much."),
        (":ph\t", "prepare  completed"),
        (":lo\t tr\t 1", "out of luck"),
        (":fai\t", "train, attempt 1: exit"),
        (":cha\t", "nothing is staged"),
        (":und\t", "nothing is staged"),
        (":com\t", "nothing is staged"),
        (":dif\t oth\t", "A is this run as it is on disk"),
        (":diff other@1", "B  running"),
        (":rer\t prep\t", "staged: [phases] prepare = pending"),
    ] {
        let name: String = keys.chars().take_while(|c| *c != '\t' && *c != ' ').collect();
        assert!(help.contains(&format!("  {name}")), "{name} is in the help:\n{help}");
        terminal.line(keys);
        terminal.expect(shown);
        terminal.expect("> ");
    }
    assert!(help.contains("  :quit"), "{help}");
    terminal.keys(":diff other@\t\t");
    terminal.expect("other@2");
    terminal.keys("\u{3}");
    terminal.expect("[?2004l");
    terminal.expect("r (1 staged)> ");
    terminal.line(":diff nigh\t");
    terminal.expect("B  completed");
    terminal.expect("r (1 staged)> ");
    terminal.line(":quit");
    terminal.expect("1 edit is not written");
    terminal.line("s");
    terminal.expect("r (1 staged)> ");
    terminal.line(":qu\t");
    terminal.expect("(s)tay? ");
    terminal.line("c");
    assert_eq!(terminal.end(), 0);
    assert_eq!(status(&place, "prepare"), "pending");
    assert!(!place.read("home/.local/share/jumar/history").lines().any(|l| l == "s"));
}

#[test]
fn the_past_can_be_asked_and_not_changed_and_the_prompt_says_so() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r@1"]));
    terminal.expect("r@1 (as it was, read-only)> ");
    terminal.line("[phases.train, double(4), params.batch_size]");
    terminal.expect("[\"pending\", 8, 8]\r\n");
    terminal.line("phases.train = \"completed\"");
    terminal.expect("the run as it was at @1 is only looked at");
    terminal.line(":rerun train");
    terminal.expect("the run as it was at @1 is only looked at");
    terminal.line(":quit");
    assert_eq!(terminal.end(), 0);
    let before = place.read("r/.experiment_state");
    let ended = place.piped(&["repl", "r@1"], ":phases\n:commit\n").code(2);
    assert!(ended.stdout.contains("train    pending"), "{}", ended.stdout);
    assert_eq!(place.read("r/.experiment_state"), before);
}

#[test]
fn a_failure_is_told_with_what_helps_and_the_command_that_goes_on() {
    let place = Workplace::with_script(
        "param(\"batch_size\", 8); phase(\"a\", #{ on_failure: |f| fail() }, || { shell(\"echo CUDA out of memory; exit 1\"); });",
    );
    place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(1);
    let ended = piped(&place, ":failure\n").code(0);
    for text in [
        "hint: memory ran out with batch_size=8",
        "  BATCH_SIZE=4 jumar resume r/.experiment_state\n",
    ] {
        assert!(ended.stdout.contains(text), "{text}\n{}", ended.stdout);
    }
}

#[test]
fn a_parameter_is_changed_by_its_name_and_shows_what_a_resume_takes() {
    let place = after_a_failure();
    let ended = piped(
        &place,
        "params.batch_size\nparams.batch_size = 4\nparams.batch_size\n:commit\nparams.batch_size\nparams\n",
    )
    .code(0);
    assert!(ended.stdout.starts_with("8\n4\n4\nbatch_size"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("staged: [params] batch_size = 4"),
        "{}",
        ended.stderr
    );
    let text = place.read("r/.experiment_state");
    assert_eq!(value_in(&text, "params", "batch_size").as_deref(), Some("4"));
    for (line, why) in [
        (
            "params.btch_size = 4",
            "no parameter is called `btch_size`; did you mean `batch_size`?",
        ),
        ("state.params.btch_size = 4", "did you mean `batch_size`?"),
        ("params.btch_size", "did you mean `batch_size`?"),
        (
            "params.batch_size = \"many\"",
            "must be a whole number, not `many` (from what is assigned here)",
        ),
    ] {
        let refused = piped(&place, line).code(3);
        assert!(refused.stderr.contains(why), "{line}: {}", refused.stderr);
    }
    assert_eq!(place.read("r/.experiment_state"), text);
}

#[test]
fn a_phase_that_nothing_is_called_is_refused_with_the_one_that_was_meant() {
    let place = after_a_failure();
    let before = place.read("r/.experiment_state");
    for line in [
        "phases.trian = \"pending\"\n:commit",
        "state.phases.trian = \"pending\"\n:commit",
        "state.phases = #{ trian: \"pending\" }\n:commit",
        "phases.trian",
    ] {
        let refused = piped(&place, line).code(3);
        let why = "no phase is called `trian`; did you mean `train`?";
        assert!(refused.stderr.contains(why), "{line}: {}", refused.stderr);
    }
    assert_eq!(place.read("r/.experiment_state"), before);
    // One that the script has and the file does not mention yet is pending.
    place.write("r/.experiment_state", &before.replace("test=pending\n", ""));
    let ended = piped(&place, "phases.test\nphases.test = \"skipped\"\n:commit\n").code(0);
    assert_eq!(ended.stdout, "pending\n");
    assert_eq!(status(&place, "test"), "skipped");
}

#[test]
fn what_phases_measured_is_shown_as_a_table() {
    let place = after_a_failure();
    let ended = piped(
        &place,
        "metrics\n#{ train: #{ loss: 0.5, seconds: 9000.0 }, test: #{ loss: 0.75, seconds: 12.0 } }\n",
    )
    .code(0);
    assert_eq!(
        ended.stdout,
        "       loss\ntrain  0.25\n       loss  seconds\ntest   0.75      12s\ntrain   0.5   2h 30m\n"
    );
}

#[test]
fn ctrl_c_ends_a_line_that_does_not_end_and_the_session_goes_on() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.line("print(\"spinning\"); loop { }");
    terminal.expect("spinning\r\n");
    terminal.interrupt();
    terminal.expect("interrupted");
    terminal.expect("r> ");
    terminal.line("6 * 7");
    terminal.expect("42\r\n");
    terminal.line(":quit");
    assert_eq!(terminal.end(), 0);
}
