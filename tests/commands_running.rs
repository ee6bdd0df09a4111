//! `run` and `resume` as processes: exit codes, signals, locks, several at once, and streams that cannot be written.

mod common;

use std::fs::File;
use std::process::Stdio;

use common::{Ended, Workplace, is_alive, signal, value_in, wait_until};
use serde_json::Value;

/// A phase that runs until there is a file `go`.
const WAITING: &str =
    r#"phase("p", || { shell("touch on; until test -e go; do sleep 0.02; done; echo done >> done"); });"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn a_run_that_is_all_done_names_its_directory_on_standard_output() {
    let workplace = Workplace::with_script("phase(\"p\", || { shell(\"echo text\"); });");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(ended.stdout, format!("{}\n", workplace.run()));
}

#[test]
fn the_end_of_a_run_in_json_holds_phases_failures_and_the_command_to_resume() {
    let workplace = Workplace::with_script(
        "phase(\"a\", || ());\nphase(\"b\", || { shell(\"echo why; exit 3\"); });\nphase(\"c\", #{ after: \"b\" }, || ());",
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai", "--json"]).code(1);
    let report = json(&ended.stdout);
    assert_eq!(report["exit_code"], 1);
    assert_eq!(report["complete"], false);
    assert_eq!(report["phases"][0]["status"], "completed");
    assert_eq!(report["phases"][1]["failure"]["kind"], "exit");
    assert_eq!(report["phases"][1]["failure"]["code"], 3);
    assert_eq!(report["phases"][1]["failure"]["tail"], json(r#"["why"]"#));
    assert_eq!(report["phases"][2]["blocked"], "b failed");
    assert_eq!(
        report["resume"],
        format!("jumar resume {}/.experiment_state", workplace.run())
    );
    workplace.write(
        "pipeline.rhai",
        "phase(\"a\", || ());\nphase(\"b\", || ());\nphase(\"c\", #{ after: \"b\" }, || ());",
    );
    let report = json(&workplace.jumar(&["resume", "--json"]).code(0).stdout);
    assert_eq!(report["complete"], true);
    assert_eq!(report["resume"], Value::Null);
}

#[test]
fn the_command_to_resume_is_quoted_for_the_shell_and_works_as_it_is_printed() {
    let workplace = Workplace::with_script("phase(\"p\", || { shell(\"test -e ready\"); });");
    let ended = workplace
        .jumar(&["run", "pipeline.rhai", "--run-dir", "my runs/it's $HOME"])
        .code(1);
    let line = ended
        .stderr
        .lines()
        .map(str::trim)
        .find(|l| l.starts_with("jumar resume "))
        .expect("it is printed");
    workplace.write("ready", "");
    let typed = line.replacen("jumar", env!("CARGO_BIN_EXE_jumar"), 1);
    let mut shell = std::process::Command::new("sh");
    let output = shell
        .args(["-c", &typed])
        .current_dir(workplace.path())
        .output()
        .expect("sh starts");
    Ended::from(output).code(0);
    assert!(
        workplace
            .read("my runs/it's $HOME/.experiment_state")
            .contains("p=completed")
    );
}

#[test]
fn a_run_is_named_by_its_script_by_name_or_lies_where_run_dir_says() {
    let workplace = Workplace::with_script("phase(\"p\", || ());");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    workplace.jumar(&["run", "pipeline.rhai", "--name", "mine"]).code(0);
    workplace
        .jumar(&["run", "pipeline.rhai", "--run-dir", "deep/er"])
        .code(0);
    let runs = workplace.runs();
    assert!(
        runs[0].starts_with("runs/mine_") && runs[1].starts_with("runs/pipeline_"),
        "{runs:?}"
    );
    let date = regex_lite::Regex::new(r"^runs/mine_\d{8}_\d{6}$").expect("a good pattern");
    assert!(date.is_match(&runs[0]), "{runs:?}");
    assert!(workplace.exists("deep/er/.experiment_state"));
    let ended = workplace
        .jumar(&["run", "pipeline.rhai", "--run-dir", "deep/er"])
        .code(2);
    assert!(
        ended.stderr.contains("deep/er already holds a run") && ended.stderr.contains("jumar resume deep/er"),
        "{}",
        ended.stderr
    );
}

#[test]
fn runs_that_begin_in_the_same_second_get_directories_of_their_own() {
    let workplace = Workplace::with_script("phase(\"p\", || { shell(\"echo x >> all\"); });");
    let hosts: Vec<_> = (0..5).map(|_| workplace.start(&["run", "pipeline.rhai"])).collect();
    for host in hosts {
        let output = host.wait_with_output().expect("ended");
        Ended::from(output).code(0);
    }
    assert_eq!(workplace.runs().len(), 5, "{:?}", workplace.runs());
    assert_eq!(workplace.read("all").lines().count(), 5);
    for run in workplace.runs() {
        assert!(
            workplace
                .read(&format!("{run}/.experiment_state"))
                .contains("\np=completed\n")
        );
    }
}

#[test]
fn a_second_host_on_a_live_run_is_refused_with_who_holds_it() {
    let workplace = Workplace::with_script(WAITING);
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    let before = workplace.state_while_a_command_runs(&workplace.run());
    let ended = workplace.jumar(&["resume"]).code(5);
    assert!(ended.stderr.contains(&host.id().to_string()), "{}", ended.stderr);
    let refusal = json(&workplace.jumar(&["resume", "--json"]).code(5).stdout);
    assert_eq!(refusal["error"]["kind"], "locked");
    assert_eq!(workplace.state(), before, "the refused one has written nothing");
    workplace.write("go", "");
    assert!(host.wait().expect("ended").success());
    assert_eq!(workplace.read("done"), "done\n");
    workplace.jumar(&["resume"]).code(0);
}

#[test]
fn the_first_signal_stops_gracefully_and_says_how_to_go_on() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let workplace = Workplace::with_script(
            r#"phase("p", || { shell("trap 'echo stopped > stopped; exit 1' TERM; echo $$ > on; until test -e go; do sleep 0.02; done"); });
               phase("q", || { shell("touch q"); });"#,
        );
        let host = workplace.start(&["run", "pipeline.rhai"]);
        wait_until("the phase runs", || {
            workplace.exists("on") && !workplace.read("on").is_empty()
        });
        signal(&host, name);
        let ended = Ended::from(host.wait_with_output().expect("ended")).code(code);
        assert!(ended.stderr.contains("jumar resume "), "{name}: {}", ended.stderr);
        assert_eq!(
            workplace.read("stopped"),
            "stopped\n",
            "{name}: the command was asked to end"
        );
        assert!(!is_alive(&workplace.read("on")), "{name}: no command is left behind");
        assert_eq!(workplace.value("phases", "p").as_deref(), Some("pending"), "{name}");
        assert!(!workplace.exists("q"), "{name}: nothing more is started");
        assert!(
            workplace
                .value("attempts", "p.1")
                .is_some_and(|r| r.contains("\"interrupted\"")),
            "{name}"
        );
        assert_eq!(
            workplace.value("failures", "failure_count").as_deref(),
            Some("0"),
            "{name}: a stop is no failure"
        );
        workplace.write("go", "");
        workplace.jumar(&["resume"]).code(0);
        assert!(workplace.exists("q"));
    }
}

#[test]
fn the_second_interrupt_ends_a_command_that_does_not_want_to() {
    let workplace = Workplace::with_script(
        r#"phase("p", || { shell("trap 'touch asked' TERM; echo $$ > on; while :; do sleep 0.02; done"); });"#,
    );
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || {
        workplace.exists("on") && !workplace.read("on").is_empty()
    });
    signal(&host, "INT");
    wait_until("the command is asked to end", || workplace.exists("asked"));
    assert!(
        host.try_wait().expect("asked").is_none(),
        "the first one waits for the command"
    );
    signal(&host, "INT");
    assert_eq!(host.wait().expect("ended").code(), Some(130));
    assert!(!is_alive(&workplace.read("on")));
    assert_eq!(workplace.value("phases", "p").as_deref(), Some("pending"));
}

#[test]
fn a_stop_in_json_says_so() {
    let workplace = Workplace::with_script(WAITING);
    let host = workplace.start(&["run", "pipeline.rhai", "--json"]);
    wait_until("the phase runs", || workplace.exists("on"));
    signal(&host, "INT");
    let ended = Ended::from(host.wait_with_output().expect("ended")).code(130);
    let report = json(&ended.stdout);
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["exit_code"], 130);
    assert_eq!(report["phases"][0]["status"], "pending");
}

#[test]
fn a_script_that_catches_everything_is_stopped_all_the_same() {
    for body in [
        "touch(); loop { try { sleep(600); } catch { } }",
        "touch(); loop { try { [1].map(|x| sleep(600)); } catch { } }",
        "touch(); try { [1].map(|x| sleep(600)); } catch { }",
        "try { [1].map(|x| shell(\"touch on; sleep 600\")); } catch { } 7",
        "touch(); loop { }",
    ] {
        let workplace = Workplace::with_script(&format!(
            "fn touch() {{ shell(\"touch on\"); }}\nphase(\"p\", || {{ {body} }});"
        ));
        let mut host = workplace.start(&["run", "pipeline.rhai"]);
        wait_until("the phase runs", || workplace.exists("on"));
        signal(&host, "INT");
        wait_until("the host has ended", || host.try_wait().expect("asked").is_some());
        assert_eq!(host.wait().expect("ended").code(), Some(130), "{body}");
        assert_eq!(workplace.value("phases", "p").as_deref(), Some("pending"), "{body}");
    }
}

/// Runs a pipeline of two phases with streams that cannot be written, and looks whether its work is done and recorded.
fn works_with(out: impl Into<Stdio>, err: impl Into<Stdio>, arguments: &[&str]) -> i32 {
    let workplace = Workplace::with_script(
        "phase(\"a\", || { print(\"a word\"); shell(\"echo a >> done\"); });\nphase(\"b\", #{ after: \"a\" }, || { log_warn(\"x\"); shell(\"echo b >> done\"); });",
    );
    let all: Vec<&str> = ["run", "pipeline.rhai"].iter().chain(arguments).copied().collect();
    let ended = workplace
        .command(&all)
        .stdout(out)
        .stderr(err)
        .status()
        .expect("jumar starts");
    assert_eq!(workplace.read("done"), "a\nb\n");
    for phase in ["a", "b"] {
        assert_eq!(workplace.value("phases", phase).as_deref(), Some("completed"));
    }
    ended.code().expect("no signal")
}

#[test]
fn a_full_standard_output_fails_in_words_and_a_full_standard_error_does_not_matter() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    assert_eq!(
        works_with(full(), Stdio::null(), &[]),
        4,
        "the result could not be written"
    );
    assert_eq!(works_with(full(), Stdio::null(), &["--json"]), 4);
    assert_eq!(works_with(Stdio::null(), full(), &["-v"]), 0);
    let workplace = Workplace::with_script("phase(\"p\", || ());");
    let output = workplace
        .command(&["check", "pipeline.rhai"])
        .stdout(full())
        .stderr(Stdio::piped())
        .output()
        .expect("jumar starts");
    let ended = Ended::from(output).code(4);
    assert!(
        ended.stderr.contains("cannot write to standard output") && !ended.stderr.contains("fault"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_that_went_away_changes_nothing_about_the_work() {
    let gone = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    assert_eq!(works_with(gone(), gone(), &["-v"]), 0);
    assert_eq!(works_with(gone(), gone(), &["--json"]), 0);
}

#[test]
fn streams_that_are_closed_change_nothing_about_the_work() {
    let workplace =
        Workplace::with_script("phase(\"p\", || { print(\"a word\"); shell(\"echo text; echo p >> done\"); });");
    let mut shell = std::process::Command::new("sh");
    let line = format!("exec {} run pipeline.rhai -v <&- >&- 2>&-", env!("CARGO_BIN_EXE_jumar"));
    let status = shell
        .args(["-c", &line])
        .current_dir(workplace.path())
        .status()
        .expect("sh starts");
    assert_eq!(status.code(), Some(0));
    assert_eq!(workplace.read("done"), "p\n");
    assert_eq!(workplace.value("phases", "p").as_deref(), Some("completed"));
    assert_eq!(
        workplace
            .read(&format!("{}/logs/p.log", workplace.run()))
            .matches("text\n")
            .count(),
        1
    );
    assert!(!workplace.state().contains("a word"), "no message went into the state");
}

#[test]
fn so_many_phases_run_side_by_side_each_with_a_log_of_its_own() {
    let workplace = Workplace::with_script(
        r#"
        for n in 0..3 {
            // Each waits until all three have begun.
            phase(`p${n}`, #{ timeout: "20s" }, || {
                shell(`echo only ${n}; touch on${n}; until test -e on0 -a -e on1 -a -e on2; do sleep 0.02; done`);
                state.seen[`p${n}`] = n;
                metric("n", n);
            });
        }
        phase("last", #{ after: ["p0", "p1", "p2"] }, || result("p0"));
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai", "-j", "3"]).code(0);
    let state = workplace.state();
    for n in 0..3 {
        let log = workplace.read(&format!("{}/logs/p{n}.log", workplace.run()));
        assert!(
            log.contains(&format!("only {n}\n"))
                && log.matches("only ").count() == log.matches(&format!("only {n}")).count(),
            "{log}"
        );
        assert_eq!(value_in(&state, "seen", &format!("p{n}")), Some(n.to_string()));
        assert_eq!(value_in(&state, "metrics", &format!("p{n}.n")), Some(n.to_string()));
    }
}

#[test]
fn no_more_phases_run_at_once_than_asked_for() {
    let workplace = Workplace::with_script(
        r#"for n in 0..6 {
            phase(`p${n}`, || { shell(`touch here_${n}; ls | grep -c here_ >> counts; sleep 0.03; rm here_${n}`); });
        }"#,
    );
    for jobs in ["1", "2"] {
        workplace.jumar(&["run", "pipeline.rhai", "-j", jobs]).code(0);
        let counts = workplace.read("counts");
        assert!(
            counts
                .lines()
                .all(|c| c.parse::<u32>().expect("a count") <= jobs.parse().expect("a number")),
            "{counts}"
        );
        std::fs::remove_file(workplace.path().join("counts")).expect("removed");
    }
}

#[test]
fn after_a_failure_independent_phases_go_on_unless_fail_fast_is_asked_for() {
    let script = r#"
        phase("bad", || { shell("exit 1"); });
        phase("good", || { shell("echo good >> done"); });
        phase("more", #{ after: "good" }, || { shell("echo more >> done"); });
        phase("child", #{ after: "bad" }, || ());
    "#;
    for arguments in [&[][..], &["-k"], &["-j", "2"]] {
        let workplace = Workplace::with_script(script);
        workplace
            .jumar(&[&["run", "pipeline.rhai"], arguments].concat())
            .code(1);
        assert_eq!(workplace.read("done"), "good\nmore\n", "{arguments:?}");
        assert_eq!(workplace.value("phases", "child").as_deref(), Some("pending"));
    }
    let workplace = Workplace::with_script(script);
    workplace.jumar(&["run", "pipeline.rhai", "--fail-fast"]).code(1);
    assert!(!workplace.exists("done"));
    assert_eq!(workplace.value("phases", "good").as_deref(), Some("pending"));
}

#[test]
fn phases_can_be_chosen() {
    let script = r#"
        for (name, n) in ["a", "b", "c", "d"] {
            let before = if n == 0 { [] } else { [["a", "b", "c", "d"][n - 1]] };
            phase(name, #{ after: before }, || { shell(`echo ${name} >> done`); });
        }
    "#;
    for (arguments, done) in [
        (&["--until", "b"][..], "a\nb\n"),
        (&["--phase", "a"], "a\n"),
        (&["--from", "a", "--until", "c"], "a\nb\nc\n"),
    ] {
        let workplace = Workplace::with_script(script);
        workplace
            .jumar(&[&["run", "pipeline.rhai"], arguments].concat())
            .code(0);
        assert_eq!(workplace.read("done"), done, "{arguments:?}");
        workplace.jumar(&["resume"]).code(0);
        assert_eq!(workplace.read("done"), "a\nb\nc\nd\n", "resume does the rest");
        workplace.jumar(&["resume", "--rerun", "c", "--phase", "c"]).code(0);
        assert_eq!(workplace.read("done"), "a\nb\nc\nd\nc\n");
    }
}

#[test]
fn a_script_in_the_place_of_a_command_is_run() {
    let workplace =
        Workplace::with_script("let n = param(\"n\", 1);\nphase(\"p\", || { shell(`echo ${n} > done`); });");
    workplace.jumar(&["pipeline.rhai", "--n", "7"]).code(0);
    assert_eq!(workplace.read("done"), "7\n");
}

#[test]
fn a_script_that_is_gone_or_changed_is_said_so_on_resume() {
    let workplace = Workplace::with_script("phase(\"p\", || { shell(\"test -e ready\"); });");
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    workplace.write(
        "pipeline.rhai",
        "// changed\nphase(\"p\", || { shell(\"test -e ready\"); });",
    );
    let ended = workplace.jumar(&["resume"]).code(1);
    assert!(
        ended.stderr.contains("pipeline.rhai has changed since the run began"),
        "{}",
        ended.stderr
    );
    std::fs::remove_file(workplace.path().join("pipeline.rhai")).expect("removed");
    workplace.write("ready", "");
    let ended = workplace.jumar(&["resume"]).code(0);
    assert!(
        ended
            .stderr
            .contains("the script pipeline.rhai is gone; using the copy that the run kept"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_stop_while_the_script_is_read_starts_and_leaves_nothing() {
    for text in [
        "capture(\"touch on; sleep 600\"); phase(\"p\", || { shell(\"touch ran\"); });",
        "let d = run.dir; capture(\"touch on\"); loop { }",
        "try { [1].map(|x| capture(\"touch on; sleep 600\")); } catch { } phase(\"p\", || { shell(\"touch ran\"); });",
    ] {
        let workplace = Workplace::with_script(text);
        let mut host = workplace.start(&["run", "pipeline.rhai"]);
        wait_until("the script is read", || workplace.exists("on"));
        signal(&host, "INT");
        wait_until("the host has ended", || host.try_wait().expect("asked").is_some());
        let ended = Ended::from(host.wait_with_output().expect("ended"));
        assert_eq!(ended.code, 130, "{text}: {}", ended.stderr);
        assert!(
            !workplace.exists("ran") && !workplace.exists("runs"),
            "{text}: {}",
            ended.stderr
        );
    }
}

#[test]
fn status_and_runs_say_that_a_run_is_on() {
    let workplace =
        Workplace::with_script(r#"phase("p", || { shell("touch on; until test -e go; do sleep 0.02; done"); });"#);
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    let status = json(&workplace.jumar(&["status", "--json"]).code(0).stdout);
    assert_eq!(status["running"], true);
    assert_eq!(status["phases"][0]["status"], "in_progress");
    assert!(
        workplace
            .jumar(&["status"])
            .code(0)
            .stdout
            .contains(&host.id().to_string()),
        "the process is named"
    );
    assert_eq!(
        json(&workplace.jumar(&["runs", "--json"]).stdout)[0]["status"],
        "running"
    );
    workplace.write("go", "");
    host.wait().expect("ended");
    assert_eq!(
        json(&workplace.jumar(&["runs", "--json"]).stdout)[0]["status"],
        "completed"
    );
}

#[test]
fn a_run_whose_host_was_killed_is_called_interrupted() {
    let workplace =
        Workplace::with_script(r#"phase("p", || { shell("touch on; until test -e go; do sleep 0.02; done"); });"#);
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    host.kill().expect("killed");
    host.wait().expect("ended");
    workplace.write("go", "");
    wait_until("the command has ended, and status says so", || {
        let status = workplace.jumar(&["status"]).code(0).stdout;
        status.contains("not running: jumar ended in the middle of a phase")
    });
    assert_eq!(
        json(&workplace.jumar(&["runs", "--json"]).stdout)[0]["status"],
        "interrupted"
    );
    workplace.jumar(&["resume"]).code(0);
}

#[test]
fn status_names_the_command_that_goes_on_without_its_host() {
    let workplace = Workplace::with_script(
        r#"phase("p", || { shell("touch on; until test -e go; do sleep 0.02; done; true"); });"#,
    );
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    host.kill().expect("killed");
    host.wait().expect("ended");
    let status = workplace.jumar(&["status"]).code(0).stdout;
    assert!(
        status.contains("jumar is gone; its command still runs (process "),
        "{status}"
    );
    assert!(
        status.contains("until test -e go"),
        "the command, not what it started: {status}"
    );
    assert!(!status.contains("more)"), "{status}");
    let time = status.lines().find(|l| l.starts_with("p ")).unwrap_or_default();
    assert!(
        time.contains("s  touch on"),
        "how long it has been on is told, and what runs: {status}"
    );
    let explained = workplace.jumar(&["explain"]).code(0).stdout;
    assert!(
        explained.contains("its command still runs (process ") && explained.contains("): resume takes it up"),
        "{explained}"
    );
    let runs = workplace.jumar(&["runs"]).code(0).stdout;
    assert!(
        runs.contains("interrupted") && runs.contains("its command still runs (process "),
        "{runs}"
    );
    workplace.write("go", "");
    workplace.jumar(&["resume"]).code(0);
}

#[test]
fn after_a_stop_the_phase_that_ran_is_called_interrupted_everywhere() {
    let workplace = Workplace::with_script(
        r#"phase("p", || { shell("touch on; sleep 60"); }); phase("later", #{ after: "p" }, || {});"#,
    );
    let host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    common::signal(&host, "INT");
    let ended = common::Ended::from(host.wait_with_output().expect("ended")).code(130);
    let row = |text: &str| -> String { text.lines().find(|l| l.starts_with("p ")).expect("a row").into() };
    assert!(row(&ended.stderr).ends_with("interrupted"), "{}", ended.stderr);
    let status = workplace.jumar(&["status"]).code(0).stdout;
    assert!(row(&status).ends_with("interrupted"), "{status}");
    let runs = workplace.jumar(&["runs", "--json"]).code(0).stdout;
    assert_eq!(json(&runs)[0]["status"], "interrupted");
}

#[test]
fn a_failure_that_was_recovered_from_is_not_shown_as_the_last_word_and_times_agree() {
    let workplace = Workplace::with_script(
        r#"phase("p", #{ retries: 1 }, || { shell("sleep 0.3; test -e been || { touch been; exit 1; }"); });"#,
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    let status = workplace.jumar(&["status"]).code(0).stdout;
    assert!(status.contains("recovered from: p, "), "{status}");
    assert!(!status.contains("last failure"), "{status}");
    let time = |text: &str| -> String {
        let row = text.lines().find(|l| l.starts_with("p  ")).expect("a row");
        row.split_whitespace().nth(3).expect("a time").into()
    };
    assert_eq!(time(&ended.stderr), time(&status));
}
