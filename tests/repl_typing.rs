//! `jumar repl` at a terminal: what is typed and pasted, what leaves, and what a session says of itself.

mod common;

use common::terminal::Terminal;
use common::{Ended, Workplace, wait_until};

fn after_a_failure() -> Workplace {
    let place = Workplace::new();
    let home = place.path().join("home").display().to_string();
    let script = r#"
param("batch_size", 8);
phase("prepare", || { param("batch_size"); });
phase("train", #{ after: "prepare" }, || { shell("echo out of luck; exit 3"); });
"#;
    place.write("s.rhai", script);
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(1);
    place.env("HOME", &home)
}

fn piped(place: &Workplace, input: &str) -> Ended {
    place.piped(&["repl", "r"], input)
}

#[test]
fn lines_that_come_at_once_are_all_answered() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.keys("40 + 1\r50 + 2\rif true {\r60 + 3\r}\r:quit\r");
    for answer in ["41\r\n", "52\r\n", "63\r\n"] {
        terminal.expect(answer);
    }
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_line_that_goes_on_says_so() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.line("if true {");
    terminal.expect("… goes on; Ctrl-C drops it");
    terminal.line("1 }");
    terminal.expect("1\r\n");
}

#[test]
fn commands_for_the_middle_of_a_failure_are_not_offered_elsewhere() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.keys(":\t\t");
    let offered = terminal.expect("undo");
    for name in ["retry", "skip", "abort", "shell", "frame"] {
        assert!(!offered.contains(name), "{offered}");
    }
    assert!(offered.contains("explain"), "{offered}");
}

#[test]
fn ending_the_input_twice_drops_what_is_staged_and_is_no_success() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.line("phases.train = \"skipped\"");
    terminal.expect("r (1 staged)> ");
    terminal.keys("\u{4}");
    terminal.expect("(s)tay? ");
    terminal.keys("\u{4}");
    terminal.expect("1 edit is dropped");
    assert_eq!(terminal.end(), 2);
}

#[test]
fn after_a_refused_commit_the_changes_are_shown_beside_the_file_as_it_is_now() {
    let place = after_a_failure();
    let mut terminal = Terminal::start(&mut place.command(&["repl", "r"]));
    terminal.expect("r> ");
    terminal.line("phases.train = \"skipped\"");
    terminal.expect("r (1 staged)> ");
    let text = place.read("r/.experiment_state");
    place.write("r/.experiment_state", &text.replace("train=failed", "train=pending"));
    terminal.line(":commit");
    terminal.expect("you wrote skipped, it is pending now");
    terminal.line(":changes");
    terminal.expect("-train=pending");
    terminal.expect("+train=skipped");
}

#[test]
fn edits_that_cancel_each_other_out_are_not_counted_as_changes() {
    let place = after_a_failure();
    let ended = piped(&place, "state.x.y = 1\nstate.x.remove(\"y\")\n:changes\n").code(0);
    let said = "2 edits are staged, and everything stays as it is";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn the_run_is_shown_by_what_is_known_of_it() {
    let place = after_a_failure();
    let shown = piped(&place, "run\n").code(0).stdout;
    assert!(
        shown.contains("dir      r\n") && shown.contains("name     s\n"),
        "{shown}"
    );
    let json = place.jumar(&["eval", "r", "run", "--json"]).code(0).stdout;
    assert!(json.contains("\"dir\""), "{json}");
}

#[test]
fn explain_counts_what_is_staged() {
    let place = after_a_failure();
    let shown = piped(&place, ":explain\n").code(0).stdout;
    assert!(shown.contains("prepare  completed: does not run again\n"), "{shown}");
    let edits = "phases.train = \"completed\"\nparams.batch_size = 4\n:explain\n:undo\n:undo\n:explain train\n";
    let shown = piped(&place, edits).code(0).stdout;
    assert!(shown.contains("prepare  stale: parameter batch_size"), "{shown}");
    assert!(shown.contains("train: runs again: it failed: exit"), "{shown}");
    let refused = piped(&place, ":explain trian\n").code(2);
    assert!(refused.stderr.contains("train"), "{}", refused.stderr);
}

#[test]
fn in_a_run_that_is_on_the_log_is_that_of_the_running_phase_and_the_refusal_is_a_sentence() {
    let place = Workplace::new();
    let script = "phase(\"a\", || { shell(\"echo busy; touch started; while ! test -e go; do sleep 0.02; done\"); });";
    place.write("s.rhai", script);
    let home = place.path().display().to_string();
    let place = place.env("HOME", &home);
    let run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the phase has started", || place.exists("started"));
    let log = piped(&place, ":log\n").code(0).stdout;
    assert!(log.contains("busy\n"), "{log}");
    let refused = piped(&place, "state.x.y = 1\n").code(3).stderr;
    assert!(
        refused.contains(". It can be changed here when it has ended, and at once with `jumar mark`"),
        "{refused}"
    );
    place.write("go", "");
    run.wait_with_output().expect("it ends");
}
