//! `shell` and `capture`: how a command is run, what it is given, and what comes back.

mod common;

use common::{Ended, Workplace, is_alive};

/// Runs a script of which every phase must complete.
fn completed(text: &str) -> Workplace {
    let workplace = Workplace::with_script(text);
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    workplace
}

/// Runs a script of which a phase must fail.
fn failed(text: &str) -> (Workplace, Ended) {
    let workplace = Workplace::with_script(text);
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    (workplace, ended)
}

/// A log of the only run.
fn log(workplace: &Workplace, name: &str) -> String {
    workplace.read(&format!("{}/logs/{name}", workplace.run()))
}

#[test]
fn a_text_is_run_by_a_shell_that_stops_at_the_first_error_also_inside_a_pipe() {
    for command in ["false | true", "false; touch after", "touch_nothing_there; touch after"] {
        let (workplace, _) = failed(&format!("phase(\"p\", || {{ shell(\"{command}\"); }});"));
        assert!(!workplace.exists("after"), "{command}");
    }
}

#[test]
fn a_text_is_run_by_sh_where_there_is_no_bash() {
    let workplace = Workplace::with_script(
        "phase(\"p\", || { state.seen.out = shell(\"echo ${BASH_VERSION:-none}\", #{ capture: true }).stdout; });",
    );
    std::fs::create_dir(workplace.path().join("bin")).expect("made");
    let sh = ["/bin/dash", "/bin/sh"]
        .into_iter()
        .find(|p| std::path::Path::new(p).exists())
        .expect("a shell");
    std::os::unix::fs::symlink(sh, workplace.path().join("bin/sh")).expect("linked");
    let mut command = workplace.command(&["run", "pipeline.rhai"]);
    command.env("PATH", workplace.path().join("bin"));
    Ended::from(command.output().expect("jumar starts")).code(0);
    if sh == "/bin/dash" {
        assert_eq!(workplace.seen("out"), "\"none\\n\"");
    }
}

#[test]
fn a_list_is_run_as_it_is_nothing_quoted_split_or_expanded() {
    let workplace = completed(
        r#"phase("p", || {
            state.seen.out = shell(["printf", "<%s>", "a  b", "$HOME", "*", "", "it's", 7, 2.5, true], #{ capture: true }).stdout;
        });"#,
    );
    assert_eq!(workplace.seen("out"), "<a  b><$HOME><*><><it's><7><2.5><true>");
}

#[test]
fn a_word_of_a_list_that_is_no_scalar_is_refused_by_its_place() {
    let (_, ended) = failed("phase(\"p\", || { shell([\"echo\", [1]]); });");
    assert!(
        ended
            .stderr
            .contains("word 2 of the command must be a text or a number, not a list"),
        "{}",
        ended.stderr
    );
}

#[test]
fn shell_returns_what_the_command_did() {
    let workplace = completed(
        r#"phase("p", || {
            let r = shell("echo out; echo err >&2", #{ capture: true });
            state.seen.code = r.code;
            state.seen.signal = r.signal == ();
            state.seen.out = r.stdout;
            state.seen.seconds = type_of(r.seconds) == "f64" && r.seconds >= 0.0;
            state.seen.max_rss = r.max_rss > 0;
            state.seen.log = r.log == run.dir + "/logs/p.log";
            state.seen.kind = r.kind == ();
        });"#,
    );
    assert_eq!(workplace.seen("code"), "0");
    assert_eq!(workplace.seen("out"), "\"out\\n\"");
    for key in ["signal", "seconds", "max_rss", "log", "kind"] {
        assert_eq!(workplace.seen(key), "true", "{key}");
    }
    let log = log(&workplace, "p.log");
    assert!(
        log.contains("out\n") && log.contains("err\n"),
        "both streams are in the log: {log}"
    );
}

#[test]
fn with_check_false_a_failure_is_returned_instead_of_thrown() {
    let workplace = completed(
        r#"phase("p", || {
            let r = shell("exit 7", #{ check: false });
            state.seen.exit = `${r.code} ${r.kind}`;
            let r = shell("kill -KILL $$", #{ check: false });
            state.seen.signal = `${r.signal} ${r.kind} ${r.code == ()}`;
            let r = shell(["no-such-program-here"], #{ check: false });
            state.seen.missing = r.kind;
        });"#,
    );
    assert_eq!(workplace.seen("exit"), "7 exit");
    assert_eq!(workplace.seen("signal"), "9 signal true");
    assert_eq!(workplace.seen("missing"), "not_found");
}

#[test]
fn a_failure_can_be_caught_and_looked_into() {
    let workplace = completed(
        r#"phase("p", || {
            try {
                step("inner", || { shell("echo first; echo last; exit 3"); });
            } catch (f) {
                state.seen.kind = f.kind;
                state.seen.code = f.code;
                state.seen.last = f.tail[f.tail.len() - 1];
                state.seen.command = f.command.contains("exit 3");
                state.seen.step = f.step;
                state.seen.phase = f.phase;
                state.seen.attempt = f.attempt;
            }
        });"#,
    );
    for (key, value) in [
        ("kind", "exit"),
        ("code", "3"),
        ("last", "last"),
        ("command", "true"),
        ("step", "inner"),
        ("phase", "p"),
        ("attempt", "1"),
    ] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
}

#[test]
fn a_command_reads_the_text_of_stdin_and_otherwise_nothing() {
    let workplace = completed(
        r#"phase("p", || {
            state.seen.given = shell("cat", #{ stdin: "a\nb", capture: true }).stdout;
            state.seen.nothing = shell("cat; echo end", #{ capture: true }).stdout;
        });"#,
    );
    assert_eq!(workplace.seen("given"), "\"a\\nb\"");
    assert_eq!(workplace.seen("nothing"), "\"end\\n\"");
}

#[test]
fn a_long_text_of_stdin_reaches_a_command_that_writes_as_much() {
    let workplace = completed(
        r#"phase("p", || {
            let text = "0123456789abcdef";
            for n in 0..15 { text += text; }
            state.seen.bytes = shell("cat", #{ stdin: text, capture: true }).stdout.len();
        });"#,
    );
    assert_eq!(workplace.seen("bytes"), (16 << 15).to_string());
}

#[test]
fn variables_come_from_env_then_the_phase_then_the_call_and_unit_removes_one() {
    let workplace = Workplace::with_script(
        r#"
        env.A = "script"; env.B = "script"; env.C = "script"; env.D = ();
        let show = "echo ${A-unset} ${B-unset} ${C-unset} ${D-unset} ${E-unset}";
        phase("first", #{ env: #{ B: "phase", C: "phase", E: 5 } }, || {
            env.E = 6;
            state.seen.first = shell(show, #{ capture: true, env: #{ C: "call", B: () } }).stdout;
            state.seen.read = `${env.A} ${env.B} ${env.E} ${"D" in env} ${env.NOWHERE == ()}`;
        });
        phase("second", #{ after: "first" }, || { state.seen.second = shell(show, #{ capture: true }).stdout; });
        "#,
    )
    .env("A", "outside")
    .env("D", "outside");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("first"), "\"script unset call unset 6\\n\"");
    assert_eq!(workplace.seen("read"), "script phase 6 false true");
    assert_eq!(workplace.seen("second"), "\"script script script unset unset\\n\"");
}

#[test]
fn a_command_is_told_which_run_phase_attempt_and_checkpoint_it_is_of() {
    let workplace = completed(
        r#"
        phase("make", || { shell("echo weights > model"); checkpoint("model"); });
        phase("use it", #{ after: "make", retries: 1 }, || {
            shell(`echo "$JUMAR_PHASE|$JUMAR_ATTEMPT|$JUMAR_CHECKPOINT|$JUMAR_RUN_DIR|$WANDB_RUN_ID|$WANDB_RESUME" >> told`);
            if run.attempt == 1 { throw "again"; }
        });
        "#,
    );
    let told = workplace.read("told");
    let lines: Vec<Vec<&str>> = told.lines().map(|l| l.split('|').collect()).collect();
    let at = workplace.path().canonicalize().expect("it is there");
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(line[0], "use it");
        assert_eq!(line[1], (place + 1).to_string());
        assert_eq!(
            std::path::Path::new(line[2]).canonicalize().expect("absolute"),
            at.join("model")
        );
        assert_eq!(
            std::path::Path::new(line[3]).canonicalize().expect("absolute"),
            at.join(workplace.run())
        );
        assert_eq!(line[5], "allow");
    }
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0][4], lines[1][4], "the tracker's name stays over attempts");
    assert!(lines[0][4].len() > 4, "{told}");
}

#[test]
fn cwd_is_the_calls_or_the_phases_and_paths_are_taken_from_it() {
    let workplace = Workplace::with_script(
        r#"
        phase("p", #{ cwd: "inner" }, || {
            state.seen.phase = shell("basename $PWD", #{ capture: true }).stdout;
            state.seen.of_call = shell("basename $PWD", #{ capture: true, cwd: "other" }).stdout;
            state.seen.exists = exists("data.txt");
            state.seen.read = read_text("data.txt");
            state.seen.glob = glob("*.txt");
            state.seen.newest = newest("*.txt");
            state.seen.run_dir = shell(["test", "-d", run.dir], #{ check: false }).code;
            checkpoint("data.txt");
        });
        phase("q", #{ after: "p" }, || { state.seen.checkpoint = read_text(checkpoint()); });
        phase("r", #{ after: "p", cwd: "other" }, || { state.seen.elsewhere = read_text(checkpoint()); });
        "#,
    );
    workplace.write("inner/data.txt", "inside");
    workplace.write("other/data.txt", "outside");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("phase"), "\"inner\\n\"");
    assert_eq!(workplace.seen("of_call"), "\"other\\n\"");
    assert_eq!(workplace.seen("exists"), "true");
    assert_eq!(workplace.seen("read"), "inside");
    assert_eq!(workplace.seen("glob"), "[\"data.txt\"]");
    assert_eq!(workplace.seen("newest"), "data.txt");
    assert_eq!(workplace.seen("run_dir"), "0");
    assert_eq!(workplace.seen("checkpoint"), "inside");
    assert_eq!(workplace.seen("elsewhere"), "inside");
}

#[test]
fn a_working_directory_that_is_not_there_is_named() {
    let (_, ended) = failed("phase(\"p\", #{ cwd: \"nowhere\" }, || { shell(\"true\"); });");
    assert!(
        ended.stderr.contains("not_found") && ended.stderr.contains("nowhere"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_timeout_of_a_command_ends_its_whole_tree() {
    let workplace = completed(
        r#"phase("p", || {
            let r = shell("(sleep 600; touch after) & echo $! > child; wait", #{ timeout: "300ms", check: false });
            state.seen.kind = r.kind;
        });"#,
    );
    assert_eq!(workplace.seen("kind"), "timeout");
    let child = workplace.read("child");
    common::wait_until("the grandchild is gone", || !is_alive(&child));
}

#[test]
fn the_timeout_of_a_phase_ends_commands_sleep_and_a_script_that_spins() {
    for body in [
        "shell(\"sleep 600\")",
        "sleep(600)",
        "loop { }",
        "try { sleep(600) } catch { loop { } }",
    ] {
        let (workplace, ended) = failed(&format!("phase(\"p\", #{{ timeout: \"300ms\" }}, || {{ {body} }});"));
        assert_eq!(
            workplace.value("failures", "last_failure_kind").as_deref(),
            Some("timeout"),
            "{body}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_log_with_a_bare_name_lies_with_the_runs_logs_and_one_with_a_path_where_it_says() {
    let workplace = completed(
        r#"phase("p", || {
            shell("echo one", #{ log: "mine.log" });
            shell("echo two", #{ log: "deep/yours.log" });
            state.seen.log = shell("echo three").log.ends_with("/logs/p.log");
        });"#,
    );
    assert!(log(&workplace, "mine.log").contains("one\n"));
    assert!(workplace.read("deep/yours.log").contains("two\n"));
    assert_eq!(workplace.seen("log"), "true");
}

#[test]
fn capture_looks_something_up_while_planning_and_trims_it() {
    let workplace = completed(
        r#"
        let word = capture("echo; echo '  a b  '; echo");
        let list = capture(["echo", "$HOME"], #{ env: #{ X: "1" } });
        let none = capture("exit 3", #{ check: false });
        phase("p", || { state.seen.word = word; state.seen.list = list; state.seen.none = none == ""; });
        "#,
    );
    assert_eq!(workplace.seen("word"), "a b");
    assert_eq!(workplace.seen("list"), "$HOME");
    assert_eq!(workplace.seen("none"), "true");
}

#[test]
fn a_look_up_that_fails_while_planning_is_an_error_with_what_it_said() {
    let workplace = Workplace::with_script("let x = capture(\"echo why >&2; exit 3\");\nphase(\"p\", || ());");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(3);
    assert!(ended.stderr.contains("ended with status 3: why"), "{}", ended.stderr);
}

#[test]
fn phases_whose_names_resemble_each_other_have_logs_of_their_own() {
    let workplace = completed(
        r#"
        let long = "x";
        for n in 0..9 { long += long; }
        for name in ["a b", "a_b", "a/b", "größe", long + "1", long + "2"] {
            phase(name, || { shell(["echo", name]); });
        }
        "#,
    );
    let logs = std::fs::read_dir(workplace.path().join(workplace.run()).join("logs")).expect("there are logs");
    let names: Vec<String> = logs
        .map(|l| l.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for plain in ["a_b.log", "größe.log"] {
        assert!(names.iter().any(|n| n == plain), "{names:?}");
    }
    assert_eq!(
        workplace.jumar(&["logs", "a b"]).code(0).stdout.lines().last(),
        Some("a b")
    );
}
