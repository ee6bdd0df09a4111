//! `jumar shell RUN PHASE`: the user's shell where a phase's command failed.

mod common;

use common::Workplace;
use common::terminal::Terminal;

const SCRIPT: &str = r#"
env.FROM_TOP = "top";
phase("bad", #{ cwd: "sub", env: #{ FROM_PHASE: "phase", HF_TOKEN: "s3cret" } }, || {
    env.FROM_BODY = "body";
    shell("exit 3", #{ env: #{ FROM_CALL: "a b" } });
});
phase("good", #{ env: #{ FROM_PHASE: "other" } }, || { shell("true"); });
"#;

fn after_a_failure() -> Workplace {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    place.write("sub/here", "");
    place.jumar(&["run", "s.rhai", "--run-dir", "r"]).code(1);
    place.env("SHELL", "/bin/sh")
}

#[test]
fn the_shell_has_the_directory_and_the_environment_of_the_command_that_failed() {
    let place = after_a_failure();
    let input = "basename \"$PWD\"; echo $FROM_TOP, $FROM_PHASE, $FROM_BODY, $FROM_CALL, $JUMAR_PHASE $JUMAR_ATTEMPT, [$HF_TOKEN]; exit 7";
    let ended = place.piped(&["shell", "r", "bad"], input).code(7);
    assert_eq!(ended.stdout, "sub\ntop, phase, body, a b, bad 1, []\n");
    assert!(ended.stderr.contains("bad, attempt 1, in "), "{}", ended.stderr);
    assert!(ended.stderr.contains("its last command: exit 3"), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("not recorded, because they may be secrets: HF_TOKEN"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_secret_does_not_reach_the_state_file() {
    let place = after_a_failure();
    assert!(!place.read("r/.experiment_state").contains("s3cret"));
}

#[test]
fn a_phase_without_a_failed_command_has_what_its_next_attempt_would_have() {
    let place = after_a_failure();
    let ended = place
        .piped(&["shell", "r", "good"], "echo $FROM_TOP, $FROM_PHASE, $JUMAR_PHASE")
        .code(0);
    assert_eq!(ended.stdout, "top, other, good\n");
}

#[test]
fn a_run_as_it_was_opens_what_its_phase_would_have_had_then() {
    let place = after_a_failure();
    let ended = place
        .piped(&["shell", "r@1", "bad"], "echo $FROM_PHASE, [$FROM_CALL]")
        .code(0);
    assert_eq!(ended.stdout, "phase, []\n");
}

#[test]
fn a_phase_or_an_attempt_that_is_not_there_is_answered_with_what_is() {
    let place = after_a_failure();
    let ended = place.piped(&["shell", "r", "bda"], "").code(2);
    assert!(
        ended.stderr.contains("no phase `bda`; did you mean `bad`?"),
        "{}",
        ended.stderr
    );
    let ended = place.piped(&["shell", "r", "bad", "--attempt", "2"], "").code(2);
    assert!(ended.stderr.contains("bad has 1 attempts, not 2"), "{}", ended.stderr);
}

#[test]
fn at_a_terminal_the_prompt_says_where_one_is() {
    for shell in ["/bin/sh", "/bin/bash"] {
        if !std::path::Path::new(shell).exists() {
            continue;
        }
        let home = Workplace::new();
        home.write(".bashrc", "PS1='mine> '\n");
        let place = after_a_failure()
            .env("SHELL", shell)
            .env("HOME", &home.path().display().to_string());
        let mut terminal = Terminal::start(&mut place.command(&["shell", "r", "bad"]));
        terminal.expect("(jumar bad 1) ");
        terminal.line("echo $((40 + 2))$FROM_CALL");
        terminal.expect("42a b");
        terminal.line("exit 5");
        assert_eq!(terminal.end(), 5, "{shell}");
    }
}
