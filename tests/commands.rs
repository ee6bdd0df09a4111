//! The commands that report: status, runs, logs, check, completions, dry runs and help; their JSON and their refusals.

mod common;

use std::path::Path;
use std::time::SystemTime;

use common::{Workplace, wait_until};
use serde_json::Value;

/// Two phases: the first is tried twice and speaks, the second fails until there is a file `ready`.
const SCRIPT: &str = r#"
let batch = param("batch_size", 8, "samples per step");
phase("train", #{ retries: 1, help: "fits the weights" }, || {
    shell(`echo speaking in attempt ${run.attempt}`);
    if run.attempt == 1 { throw "first time"; }
    metric("loss", 0.5);
});
phase("eval", #{ after: "train" }, || { shell("echo evaluating; test -e ready"); });
"#;

/// A workplace with one run in it that failed in its second phase.
fn failed_run() -> Workplace {
    let workplace = Workplace::with_script(SCRIPT);
    workplace.jumar(&["run", "pipeline.rhai", "--name", "mine"]).code(1);
    workplace
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Every file and directory below a path with its age and contents.
fn tree(path: &Path) -> Vec<(String, SystemTime, Vec<u8>)> {
    let mut found = vec![];
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().expect("it is there");
        let contents = if meta.is_file() {
            std::fs::read(&path).expect("readable")
        } else {
            vec![]
        };
        found.push((path.display().to_string(), meta.modified().expect("an age"), contents));
        if meta.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .expect("readable")
                    .map(|e| e.expect("an entry").path()),
            );
        }
    }
    found.sort();
    found
}

#[test]
fn status_says_how_each_phase_stands_and_how_to_go_on() {
    let workplace = failed_run();
    let ended = workplace.jumar(&["status"]).code(0);
    let rows: Vec<Vec<&str>> = ended.stdout.lines().map(|l| l.split_whitespace().collect()).collect();
    assert!(
        rows.iter().any(|r| r.starts_with(&["train", "completed", "2"])),
        "{}",
        ended.stdout
    );
    assert!(
        rows.iter().any(|r| r.starts_with(&["eval", "failed", "1"])),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains(&format!("jumar resume {}/.experiment_state", workplace.run())),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("not running"), "{}", ended.stdout);
}

#[test]
fn status_in_json_holds_phases_attempts_and_sections() {
    let workplace = failed_run();
    let ended = workplace.jumar(&["status", "--json"]).code(0);
    let status = json(&ended.stdout);
    assert_eq!(status["running"], false);
    assert_eq!(status["run"], workplace.run().as_str());
    assert_eq!(status["phases"][0]["name"], "train");
    assert_eq!(status["phases"][0]["attempts"][0]["outcome"], "failed");
    assert_eq!(status["phases"][0]["attempts"][1]["outcome"], "completed");
    assert_eq!(status["phases"][1]["status"], "failed");
    assert_eq!(status["phases"][1]["attempts"][0]["code"], 1);
    assert_eq!(status["state"]["params"]["batch_size"], 8);
    assert_eq!(status["state"]["metrics"]["train.loss"], 0.5);
}

#[test]
fn runs_lists_every_run_oldest_first_with_how_it_stands() {
    let workplace = failed_run();
    workplace.write("ready", "");
    workplace.jumar(&["run", "pipeline.rhai", "--name", "again"]).code(0);
    workplace.write("runs/broken_20300101_000000/.experiment_state", "[phases\nx");
    let ended = workplace.jumar(&["runs"]).code(0);
    let line = |name: &str| {
        ended
            .stdout
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap_or_else(|| panic!("{}", ended.stdout))
    };
    assert!(
        line("mine_").contains("1/2") && line("mine_").contains("failed"),
        "{}",
        ended.stdout
    );
    assert!(
        line("again_").contains("2/2") && line("again_").contains("completed"),
        "{}",
        ended.stdout
    );
    assert!(line("broken_").contains("unreadable"), "{}", ended.stdout);
    let listed = json(&workplace.jumar(&["runs", "--json"]).code(0).stdout);
    let statuses: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|r| r["status"].as_str())
        .collect();
    assert_eq!(statuses, ["failed", "completed", "unreadable"]);
}

#[test]
fn without_any_run_runs_is_empty_and_status_is_a_usage_error() {
    let workplace = Workplace::new();
    assert_eq!(workplace.jumar(&["runs"]).code(0).stdout, "");
    assert_eq!(json(&workplace.jumar(&["runs", "--json"]).code(0).stdout), json("[]"));
    for command in ["status", "logs", "resume"] {
        let ended = workplace.jumar(&[command]).code(2);
        assert!(
            ended.stderr.contains("there is no run under runs/"),
            "{command}: {}",
            ended.stderr
        );
    }
}

#[test]
fn logs_shows_the_last_phase_another_phase_or_one_attempt() {
    let workplace = failed_run();
    let logs = |arguments: &[&str]| workplace.jumar(&[&["logs"], arguments].concat()).code(0).stdout;
    assert!(logs(&[]).contains("evaluating"));
    let last = logs(&["train"]);
    assert!(
        last.contains("speaking in attempt 2") && !last.contains("attempt 1"),
        "{last}"
    );
    let first = logs(&["mine", "train", "--attempt", "1"]);
    assert!(
        first.contains("speaking in attempt 1") && !first.contains("attempt 2"),
        "{first}"
    );
    assert_eq!(logs(&["train", "--files"]).lines().count(), 1);
    assert!(workplace.exists(logs(&["train", "--files"]).trim()));
}

#[test]
fn logs_of_what_is_not_there_says_what_is() {
    let workplace = failed_run();
    for (arguments, words) in [
        (
            &["mine", "trian"][..],
            "this run has no phase `trian`; did you mean `train`?",
        ),
        (&["train", "--attempt", "9"], "train has 2 attempts, not 9"),
        (&["train", "--attempt", "0"], "not 0"),
        (&["nobody"], "no run is called `nobody`"),
        (&["trian"], "did you mean the phase `train`?"),
        (&["tra"], "did you mean the phase `train`?"),
    ] {
        let ended = workplace.jumar(&[&["logs"], arguments].concat()).code(2);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn logs_follows_a_live_run_until_its_phase_has_ended() {
    let workplace = Workplace::with_script(
        r#"phase("p", || { shell("echo begun; until test -e go; do sleep 0.02; done; echo ended"); shell("echo other", #{ log: "other.log" }); });"#,
    );
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the log has begun", || {
        !workplace.runs().is_empty() && workplace.jumar(&["logs", "p"]).stdout.contains("begun\n")
    });
    let shown = workplace.path().join("shown");
    let mut follow = workplace.command(&["logs", "p", "-f"]);
    let mut follow = follow
        .stdout(std::fs::File::create(&shown).expect("made"))
        .spawn()
        .expect("jumar starts");
    wait_until("the first line is shown", || {
        workplace.read("shown").contains("begun\n")
    });
    workplace.write("go", "");
    assert!(host.wait().expect("ended").success());
    assert!(follow.wait().expect("ended").success());
    let shown = workplace.read("shown");
    assert!(
        shown.contains("begun\n") && shown.contains("ended\n") && shown.contains("other\n"),
        "{shown}"
    );
    assert_eq!(shown.matches("begun\n").count(), 1, "{shown}");
}

#[test]
fn check_finds_mistakes_before_a_run_does() {
    for (text, code) in [
        ("phase(\"a\", || { shel(\"x\"); });", "unknown-function"),
        ("phase(\"a\", || { shell(); });", "wrong-number-of-arguments"),
        ("phase(\"a\", #{ gpu: 1 }, || ());", "unknown-option"),
        ("phase(\"a\", || ()); phase(\"a\", || ());", "duplicate-phase"),
        ("fn shell(command) { 1 }\nphase(\"a\", || ());", "redefined-primitive"),
        ("fn f(state) { state }\nphase(\"a\", || ());", "shadowed-global"),
    ] {
        let workplace = Workplace::with_script(text);
        let ended = workplace.jumar(&["check", "pipeline.rhai", "--json"]).code(3);
        let findings = json(&ended.stdout)["findings"].clone();
        assert_eq!(findings[0]["code"], code, "{text}: {findings}");
        assert_eq!(findings[0]["severity"], "error");
        let drawn = workplace.jumar(&["check", "pipeline.rhai"]).code(3).stdout;
        assert!(drawn.contains(&format!("error[{code}]")), "{drawn}");
        assert!(!workplace.exists("runs"));
    }
}

#[test]
fn check_warns_of_a_captured_variable_that_a_phase_assigns_to() {
    let workplace = Workplace::with_script("let n = 0;\nphase(\"a\", || {\n    n += 1;\n});\nphase(\"b\", || n);\n");
    let found = json(&workplace.jumar(&["check", "pipeline.rhai", "--json"]).code(0).stdout);
    assert_eq!(found["findings"][0]["code"], "captured-write");
    assert_eq!(found["findings"][0]["line"], 3);
    assert_eq!(found["phases"], json(r#"["a", "b"]"#));
}

#[test]
fn check_of_a_good_script_counts_its_phases_and_parameters() {
    let workplace = Workplace::with_script(SCRIPT);
    let ended = workplace.jumar(&["check", "pipeline.rhai"]).code(0);
    assert_eq!(ended.stdout, "pipeline.rhai: 2 phases, 1 parameter\n");
    let ended = workplace.jumar(&["check"]).code(0);
    assert!(
        ended.stdout.contains("phases"),
        "the stock pipeline is good: {}",
        ended.stdout
    );
}

#[test]
fn completions_are_there_for_bash_zsh_and_fish() {
    let workplace = Workplace::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = workplace.jumar(&["completions", shell]).code(0);
        for word in ["resume", "status", "logs", "dry-run"] {
            assert!(ended.stdout.contains(word), "{shell} {word}");
        }
        workplace.write(shell, &ended.stdout);
    }
    for (shell, file) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let parsed = std::process::Command::new(shell)
            .arg("-n")
            .arg(workplace.path().join(file))
            .output();
        match parsed {
            Ok(output) => assert!(
                output.status.success(),
                "{shell}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => assert!(shell != "bash", "bash is needed: {error}"),
        }
    }
    workplace.jumar(&["completions", "cmd.exe"]).code(2);
}

#[test]
fn a_dry_run_shows_plan_parameters_and_commands_and_starts_nothing() {
    let workplace = Workplace::with_script(
        r#"
        let batch = param("batch_size", 8);
        phase("train", || { shell(["touch", `ran_${batch}`]); state.mine.x = 1; metric("loss", 1); checkpoint("ckpt"); });
        phase("eval", #{ after: "train" }, || { step("one", || { shell(`cat ${checkpoint()}`); }); sleep(600); });
        "#,
    );
    let before = tree(workplace.path());
    let ended = workplace
        .jumar(&["run", "pipeline.rhai", "-n", "--batch-size", "3"])
        .code(0);
    for words in [
        "train: runs",
        "$ touch ran_3",
        "batch_size  3",
        "[one] $ cat ckpt",
        "nothing is run or written",
    ] {
        assert!(ended.stdout.contains(words), "no `{words}` in\n{}", ended.stdout);
    }
    let shown = json(
        &workplace
            .jumar(&["run", "pipeline.rhai", "-n", "--json"])
            .code(0)
            .stdout,
    );
    assert_eq!(shown["phases"][0]["commands"][0]["command"], "touch ran_8");
    assert_eq!(shown["parameters"]["batch_size"]["source"], "default");
    assert_eq!(tree(workplace.path()), before);
}

#[test]
fn commands_that_only_look_write_nothing() {
    let workplace = failed_run();
    let before = tree(workplace.path());
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["runs"],
        &["logs"],
        &["logs", "train"],
        &["check", "pipeline.rhai"],
        &["resume", "-n"],
        &["resume", "--help"],
        &["run", "pipeline.rhai", "-n"],
        &["run", "pipeline.rhai", "--help"],
        &["run", "--help"],
        &["run", "-n"],
        &["completions", "bash"],
        &["help", "exit-codes"],
        &["--version"],
    ] {
        workplace.jumar(arguments).code(0);
        let after = tree(workplace.path());
        assert!(after == before, "{arguments:?} has written");
    }
}

#[test]
fn commands_that_only_look_work_beside_a_live_run_and_leave_it_alone() {
    let workplace =
        Workplace::with_script(r#"phase("p", || { shell("touch on; until test -e go; do sleep 0.02; done"); });"#);
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the phase runs", || workplace.exists("on"));
    let before = tree(&workplace.path().join(workplace.run()));
    for arguments in [
        &["status"][..],
        &["runs"],
        &["logs", "p"],
        &["resume", "-n"],
        &["resume", "--help"],
    ] {
        workplace.jumar(arguments).code(0);
    }
    assert!(tree(&workplace.path().join(workplace.run())) == before);
    workplace.write("go", "");
    assert!(host.wait().expect("ended").success());
}

#[test]
fn resume_finds_a_run_by_directory_state_file_name_beginning_or_nothing() {
    let workplace = failed_run();
    let run = workplace.run();
    let name = run.strip_prefix("runs/").expect("under runs/").to_string();
    let file = format!("{run}/.experiment_state");
    let absolute = workplace.path().join(&run).display().to_string();
    for (attempt, asked) in [&run, &format!("{run}/"), &file, &absolute, &name, &"mine".to_string()]
        .into_iter()
        .enumerate()
    {
        let ended = workplace.jumar(&["resume", asked]).code(1);
        assert!(
            workplace.value("attempts", &format!("eval.{}", attempt + 2)).is_some(),
            "{asked}: {}",
            ended.stderr
        );
    }
    workplace.jumar(&["run", "--resume", "mine", "pipeline.rhai"]).code(1);
    workplace.write("ready", "");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.value("phases", "eval").as_deref(), Some("completed"));
}

#[test]
fn resume_of_what_is_not_one_run_says_what_there_is() {
    let workplace = failed_run();
    workplace.jumar(&["run", "pipeline.rhai", "--name", "mind"]).code(1);
    workplace.write("runs/empty/file", "");
    for (asked, words) in [
        ("mi", "`mi` could be any of 2 runs: mi"),
        ("nobody", "no run is called `nobody`"),
        ("runs/empty", "runs/empty has no .experiment_state"),
    ] {
        let ended = workplace.jumar(&["resume", asked]).code(2);
        assert!(ended.stderr.contains(words), "{asked}: {}", ended.stderr);
    }
}

#[test]
fn who_looks_at_a_directory_that_is_no_run_is_told_of_the_runs_in_it() {
    let workplace = failed_run();
    let run = workplace.run();
    for (command, directory) in [
        ("status", "runs"),
        ("status", "."),
        ("report", "runs"),
        ("explain", "runs"),
    ] {
        let ended = workplace.jumar(&[command, directory]).code(2);
        let told = format!("it is no run itself; its runs are {run}\n");
        assert!(ended.stderr.contains(&told), "{command} {directory}: {}", ended.stderr);
    }
    workplace.write("nothing/file", "");
    let ended = workplace.jumar(&["status", "nothing"]).code(2);
    assert!(!ended.stderr.contains("touch"), "{}", ended.stderr);
    let ended = workplace.jumar(&["resume", "nothing"]).code(2);
    assert!(ended.stderr.contains("`touch` one to begin so"), "{}", ended.stderr);
}

#[test]
fn refusals_are_json_too_when_json_is_asked_for() {
    let workplace = failed_run();
    workplace.write("bad.rhai", "let x = nope();");
    workplace.write("broken/.experiment_state", "[phases\nx");
    for (arguments, kind, code) in [
        (&["resume", "nobody", "--json"][..], "usage", 2),
        (&["status", "nobody", "--json"], "usage", 2),
        (&["run", "pipeline.rhai", "--json", "--nonsense", "3"], "usage", 2),
        (&["run", "pipeline.rhai", "--json", "--batch-size", "many"], "usage", 2),
        (&["run", "bad.rhai", "--json"], "script", 3),
        (&["run", "nowhere.rhai", "--json"], "script", 3),
        (&["check", "nowhere.rhai", "--json"], "script", 3),
        (&["resume", "broken", "--json"], "state", 4),
        (&["status", "broken", "--json"], "state", 4),
    ] {
        let ended = workplace.jumar(arguments).code(code);
        let refusal = json(&ended.stdout)["error"].clone();
        assert_eq!(refusal["kind"], kind, "{arguments:?}");
        assert_eq!(refusal["code"], code, "{arguments:?}");
        assert!(
            refusal["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{arguments:?}: {refusal}"
        );
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let workplace = Workplace::with_script(SCRIPT);
    for arguments in [
        &[][..],
        &["statsu"],
        &["status", "--nonsense"],
        &["run", "pipeline.rhai", "-j", "0"],
        &["run", "pipeline.rhai", "-k", "--fail-fast"],
        &["run", "pipeline.rhai", "-q", "-v"],
        &["run", "pipeline.rhai", "--color", "purple"],
        &["run", "pipeline.rhai", "--phase", "nobody"],
        &["run", "pipeline.rhai", "--name", "a/b"],
        &["run", "pipeline.rhai", "--checkpoint", "nowhere"],
        &["run", "pipeline.rhai", "--resume", "x", "--name", "y"],
        &["run", "pipeline.rhai", "--gpus", "99"],
        &["run", "pipeline.rhai", "-j", "x"],
        &["run", "pipeline.rhai", "--from", "eval"],
    ] {
        let ended = workplace.jumar(arguments).code(2);
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
    assert!(!workplace.exists("runs"), "nothing was begun");
}

#[test]
fn a_state_that_cannot_be_read_is_exit_code_4_and_is_left_as_it_is() {
    let workplace = failed_run();
    let file = format!("{}/.experiment_state", workplace.run());
    let good = workplace.read(&file);
    for text in [
        good.replace("version=3.2.0", "version=99.0.0"),
        format!("{good}\n[phases\n"),
    ] {
        workplace.write(&file, &text);
        for command in ["resume", "status"] {
            let ended = workplace.jumar(&[command]).code(4);
            assert!(ended.stderr.contains(".experiment_state"), "{}", ended.stderr);
        }
        assert_eq!(workplace.read(&file), text);
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let ended = Workplace::new().jumar(&["help", "exit-codes"]).code(0);
    assert!(
        ended
            .stdout
            .lines()
            .all(|line| line.find("  ").is_some() && line.as_bytes()[3] == b' ')
    );
    assert!(ended.stdout.starts_with("  0  all done\n"), "{}", ended.stdout);
    for code in ["0", "1", "2", "3", "4", "5", "75", "130", "143"] {
        assert!(
            ended.stdout.lines().any(|l| l.split_whitespace().next() == Some(code)),
            "{code} in\n{}",
            ended.stdout
        );
    }
}

#[test]
fn quiet_says_only_what_failed_and_verbose_shows_the_output_of_commands() {
    let workplace =
        Workplace::with_script("phase(\"p\", || { shell(\"echo from the command\"); log_info(\"a remark\"); });");
    let quiet = workplace.jumar(&["run", "pipeline.rhai", "-q"]).code(0);
    assert_eq!(quiet.stderr, "");
    assert!(
        quiet.stdout.starts_with("runs/pipeline_"),
        "a result is no chatter: {}",
        quiet.stdout
    );
    let plain = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert!(
        !plain.stderr.contains("from the command\n") && plain.stderr.contains("a remark"),
        "{}",
        plain.stderr
    );
    let verbose = workplace.jumar(&["run", "pipeline.rhai", "-v"]).code(0);
    assert!(verbose.stderr.contains("from the command\n"), "{}", verbose.stderr);
    let failing = failed_run().jumar(&["resume", "-q"]).code(1);
    assert!(
        failing.stderr.contains("FAILURE RECOVERY INSTRUCTIONS"),
        "{}",
        failing.stderr
    );
}

#[test]
fn colours_follow_the_option_and_the_environment() {
    let workplace = failed_run();
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = workplace.command(arguments);
        let output = command.envs(variables.iter().copied()).output().expect("jumar starts");
        common::Ended::from(output).stdout.contains('\x1b')
    };
    assert!(!colored(&["status"], &[]), "a pipe is not coloured");
    assert!(colored(&["status", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(colored(&["status"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["status"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!colored(&["status", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(
        !colored(&["status", "--json", "--color", "always"], &[]),
        "JSON is never coloured"
    );
}

#[test]
fn of_runs_that_began_in_the_same_second_the_one_that_was_made_last_is_the_newest() {
    let workplace = Workplace::with_script("phase(\"p\", || ());");
    for name in ["b", "c", "a"] {
        workplace.jumar(&["run", "pipeline.rhai", "--run-dir", &format!("runs/{name}")]);
    }
    for run in workplace.runs() {
        let file = format!("{run}/.experiment_state");
        let started = regex_lite::Regex::new(r"(?m)^start_time=\d+$").expect("a good pattern");
        workplace.write(&file, &started.replace(&workplace.read(&file), "start_time=1700000000"));
    }
    let listed = json(&workplace.jumar(&["runs", "--json"]).code(0).stdout);
    let order: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|r| r["run"].as_str())
        .collect();
    assert_eq!(order, ["runs/b", "runs/c", "runs/a"]);
    assert_eq!(
        json(&workplace.jumar(&["status", "--json"]).code(0).stdout)["run"],
        "runs/a"
    );
}

#[test]
fn what_is_asked_for_in_the_wrong_place_is_answered_with_the_right_one() {
    let workplace = failed_run();
    workplace.jumar(&["resume", "pipeline.rhai"]).code(2);
    let before = workplace.runs();
    for (arguments, words) in [
        (&["resume", "pipeline.rhai"][..], "`jumar run pipeline.rhai` starts it"),
        (&["status", "pipeline.rhai"], "pipeline.rhai is a script, not a run"),
        (&["run", "pipeline.rhai", "quick"], "`--mode quick`"),
        (&["run", "pipeline.rhai", "-j", "x"], "write how many"),
        (
            &["run", "pipeline.rhai", "--from", "eval"],
            "eval waits for train, which a new run has not done",
        ),
        (
            &["run", "pipeline.rhai", "--from", "eval"],
            "`jumar resume RUN --from eval`",
        ),
    ] {
        let ended = workplace.jumar(arguments).code(2);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(workplace.runs(), before, "nothing was made");
}

#[test]
fn logs_takes_the_number_of_a_phase_and_a_phase_alone_says_what_has_not_run() {
    let workplace = Workplace::with_script(
        r#"phase("first", || {}); phase("second", #{ after: "first", number: 7 }, || { shell("echo seven"); });"#,
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai", "--phase", "7"]).code(0);
    let said = "second runs alone: first has not completed in this run";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(workplace.jumar(&["logs", "7"]).code(0).stdout.contains("seven"));
    let ended = workplace
        .jumar(&["run", "pipeline.rhai", "--phase", "7", "--phase", "first"])
        .code(0);
    assert!(!ended.stderr.contains("alone"), "{}", ended.stderr);
}

#[test]
fn the_advice_after_a_failure_is_the_same_everywhere_and_does_not_undo_what_was_edited_since() {
    let place = Workplace::with_script(
        "param(\"batch_size\", 8); phase(\"a\", #{ on_failure: |f| fail() }, || { shell(\"echo CUDA out of memory; exit 1\"); });",
    );
    let ended = place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(1);
    let (hint, command) = (
        "hint: memory ran out with batch_size=8",
        "BATCH_SIZE=4 jumar resume r/.experiment_state\n",
    );
    assert!(
        ended.stderr.contains(hint) && ended.stderr.contains(command),
        "{}",
        ended.stderr
    );
    let status = place.jumar(&["status", "r"]).code(0).stdout;
    assert!(status.contains(hint) && status.contains(command), "{status}");
    let failure = place.piped(&["repl", "r"], ":failure\n").code(0).stdout;
    assert!(failure.contains(hint) && failure.contains(command), "{failure}");
    let other = place
        .piped(&["repl", "r"], "state.notes.why = \"x\"\n:commit\n")
        .code(0);
    assert!(
        other.stderr.contains("to go on: BATCH_SIZE=4 jumar resume r\n"),
        "{}",
        other.stderr
    );

    let edited = place
        .piped(&["repl", "r"], "state.params.batch_size = 2\n:commit\n:failure\n")
        .code(0);
    assert!(
        edited.stderr.contains("to go on: jumar resume r\n"),
        "{}",
        edited.stderr
    );
    let status = place.jumar(&["status", "r"]).code(0).stdout;
    for text in [&edited.stdout, &status] {
        assert!(text.contains("jumar resume r/.experiment_state\n"), "{text}");
        assert!(!text.contains("BATCH_SIZE=4") && !text.contains("hint:"), "{text}");
    }
}
