//! What happens to a phase that failed: kinds from real failures, policies, and decisions that survive the host.

mod common;

use std::io::BufRead as _;
use std::os::unix::process::ExitStatusExt;

use common::{Ended, Workplace, wait_until};

fn run(workplace: &Workplace, code: i32) -> Ended {
    workplace.jumar(&["run", "pipeline.rhai"]).code(code)
}

/// How a phase stands in the only run.
fn status(workplace: &Workplace, phase: &str) -> String {
    workplace
        .value("phases", phase)
        .unwrap_or_else(|| panic!("no phase {phase}"))
}

/// The kind that is recorded of a body that fails.
fn kind_of(body: &str) -> String {
    let workplace = Workplace::with_script(&format!("phase(\"p\", #{{ timeout: \"20s\" }}, || {{ {body} }});"));
    run(&workplace, 1);
    workplace.value("failures", "last_failure_kind").expect("a kind")
}

#[test]
fn the_kind_of_a_failure_is_told_from_what_really_happened() {
    for (body, kind) in [
        (r#"shell("exit 3")"#, "exit"),
        (r#"shell("kill -SEGV $$")"#, "signal"),
        (r#"shell("sleep 60", #{ timeout: "100ms" })"#, "timeout"),
        (r#"shell("no_such_program_here")"#, "not_found"),
        (r#"shell(["no_such_program_here"])"#, "not_found"),
        (r#"shell(["./not_executable"])"#, "not_found"),
        (
            r#"shell("echo > not_executable"); shell(["./not_executable"])"#,
            "permission",
        ),
        (r#"shell("echo > not_executable; ./not_executable")"#, "permission"),
        (r#"shell("true", #{ cwd: "nowhere" })"#, "not_found"),
        (r#"throw "a word""#, "script"),
        (r#"1 / (1 - 1)"#, "script"),
        (r#"throw #{ kind: "licence", message: "none left" }"#, "licence"),
        (r#"read_text("nowhere")"#, "not_found"),
        (r#"checkpoint("nowhere")"#, "not_found"),
    ] {
        assert_eq!(kind_of(body), kind, "{body}");
    }
}

#[test]
fn a_failing_python_program_is_told_by_its_traceback() {
    if which("python3").is_none() {
        return;
    }
    for (program, kind) in [
        ("raise MemoryError()", "oom_host"),
        ("x = bytearray(1 << 62)", "oom_host"),
        ("import no_such_module_here", "not_found"),
        ("open('/nowhere/file')", "not_found"),
        ("raise PermissionError(13, 'Permission denied')", "permission"),
        ("raise OSError(28, 'No space left on device')", "disk_full"),
        ("open('/dev/full', 'w').write('x' * 100000)", "disk_full"),
        ("raise ValueError('bad')", "exit"),
        ("import os; os.abort()", "signal"),
    ] {
        assert_eq!(
            kind_of(&format!("shell([\"python3\", \"-c\", {program:?}])")),
            kind,
            "{program}"
        );
    }
}

/// The path of a program, if there is one.
fn which(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|d| d.join(program))
        .find(|p| p.is_file())
}

#[test]
fn a_failure_is_told_by_the_words_that_frameworks_and_schedulers_use() {
    for (text, kind) in [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
            "oom_gpu",
        ),
        ("RuntimeError: CUDA error: out of memory", "oom_gpu"),
        ("RuntimeError: HIP out of memory. Tried to allocate 2 GiB", "oom_gpu"),
        (
            "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes",
            "oom_gpu",
        ),
        (
            "slurmstepd: error: Detected 1 oom_kill event in StepId=1.batch. Some of the step tasks have been OUT_OF_MEMORY",
            "oom_host",
        ),
        (
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.",
            "oom_host",
        ),
        (
            "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO PREEMPTION ***",
            "preempted",
        ),
        (
            "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO NODE FAILURE ***",
            "node_failure",
        ),
        (
            "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:1269, unhandled system error",
            "nccl",
        ),
        (
            "[rank0]: Watchdog caught collective operation timeout in ProcessGroupNCCL: Timeout(ms)=600000",
            "nccl",
        ),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk_full"),
        ("everything is fine", "exit"),
    ] {
        assert_eq!(
            kind_of(&format!("shell(\"echo {}; exit 1\")", shell_word(text))),
            kind,
            "{text}"
        );
    }
}

/// A text as one word of a shell command inside a Rhai text.
fn shell_word(text: &str) -> String {
    format!("'{text}'")
}

#[test]
fn the_cause_wins_over_its_echo_in_the_same_log() {
    let body =
        r#"shell("echo 'CUDA out of memory'; echo 'NCCL WARN connection failed'; echo 'Permission denied'; exit 1")"#;
    assert_eq!(kind_of(body), "oom_gpu");
}

#[test]
fn words_in_the_log_of_an_earlier_command_do_not_count() {
    let body = r#"shell("echo CUDA out of memory"); shell("exit 3")"#;
    assert_eq!(kind_of(body), "exit");
}

#[test]
fn patterns_of_the_users_own_come_first() {
    let workplace = Workplace::with_script(
        r#"
        import "std/failures" as failures;
        failures::add("licence", ["no licence (left|available)", "CUDA out of memory: licence"]);
        phase("a", || { shell("echo there is no licence left; exit 1"); });
        phase("b", || { shell("echo CUDA out of memory: licence; exit 1"); });
        phase("c", || { shell("echo CUDA out of memory; exit 1"); });
        on_failure(|f| { state.seen[f.phase] = f.kind; fail() });
        "#,
    );
    run(&workplace, 1);
    for (phase, kind) in [("a", "licence"), ("b", "licence"), ("c", "oom_gpu")] {
        assert_eq!(workplace.seen(phase), kind);
    }
    let workplace = Workplace::with_script(
        "import \"std/failures\" as failures; failures::add(\"x\", [\"(\"]); phase(\"a\", || ());",
    );
    let ended = run(&workplace, 3);
    assert!(
        ended.stderr.contains("`(` is no regular expression"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_policy_is_told_everything_about_the_failure() {
    let workplace = Workplace::with_script(
        r#"
        let batch = param("batch_size", 8);
        on_failure(|f| {
            for key in ["phase", "step", "kind", "code", "message", "command", "attempt", "env"] { state.seen[key] = f[key]; }
            state.seen.signal = f.signal == ();
            state.seen.tail = f.tail;
            state.seen.log = read_text(f.log).contains("last words");
            state.seen.batch = f.params.batch_size;
            state.seen.seconds = f.seconds > 0.0;
            state.seen.max_rss = f.max_rss > 0;
            fail()
        });
        phase("p", || { step("inner", || { shell("echo first; echo last words; exit 3"); }); });
        "#,
    );
    run(&workplace, 1);
    for (key, value) in [
        ("phase", "p"),
        ("step", "inner"),
        ("kind", "exit"),
        ("code", "3"),
        ("attempt", "1"),
        ("env", "{}"),
        ("tail", r#"["first","last words"]"#),
        ("signal", "true"),
        ("log", "true"),
        ("batch", "8"),
        ("seconds", "true"),
        ("max_rss", "true"),
    ] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
    assert!(workplace.seen("command").contains("exit 3"));
    assert!(workplace.seen("message").contains('3'), "{}", workplace.seen("message"));
}

#[test]
fn the_phases_own_policy_is_asked_first_and_the_pipelines_when_it_has_no_opinion() {
    let workplace = Workplace::with_script(
        r#"
        on_failure(|f| { state.seen[f.phase] = "pipeline"; skip("by the pipeline") });
        phase("own", #{ on_failure: |f| skip("by itself") }, || { throw "x"; });
        phase("none", #{ on_failure: |f| { state.asked[f.phase] = 1; } }, || { throw "x"; });
        phase("plain", || { throw "x"; });
        "#,
    );
    run(&workplace, 0);
    assert_eq!(workplace.value("seen", "own"), None);
    assert_eq!(workplace.value("results", "own.skipped").as_deref(), Some("by itself"));
    assert_eq!(workplace.value("asked", "none").as_deref(), Some("1"));
    assert_eq!(workplace.seen("none"), "pipeline");
    assert_eq!(workplace.seen("plain"), "pipeline");
}

#[test]
fn a_retry_changes_parameters_and_environment_of_the_next_attempts() {
    let workplace = Workplace::with_script(
        r#"
        param("batch_size", 8);
        env.MODE = "fast";
        phase("p", #{ on_failure: |f| {
            if f.attempt == 1 { return retry(#{ params: #{ batch_size: f.params.batch_size / 2 }, env: #{ MODE: "safe", EXTRA: 1 } }); }
            if f.attempt == 2 { return retry(#{ env: #{ EXTRA: () } }); }
        } }, || {
            shell(["sh", "-c", "echo $0 $MODE ${EXTRA-none} >> tries", param("batch_size")]);
            if run.attempt < 3 { throw "again"; }
        });
        phase("q", #{ after: "p" }, || { shell(["sh", "-c", "echo $0 $MODE ${EXTRA-none} >> tries", param("batch_size")]); });
        "#,
    );
    run(&workplace, 0);
    assert_eq!(
        workplace.read("tries"),
        "8 fast none\n4 safe 1\n4 safe none\n8 fast none\n",
        "other phases keep theirs"
    );
    assert_eq!(workplace.value("params", "batch_size").as_deref(), Some("8"));
    assert_eq!(
        workplace.value("overrides", "p.next"),
        None,
        "a completed phase needs them no more"
    );
}

#[test]
fn a_retry_says_with_what_and_after_how_long_and_a_limit_that_was_passed_how_long_it_was() {
    let workplace = Workplace::with_script(
        r#"
        param("batch_size", 16);
        phase("p", #{ on_failure: |f| if f.attempt == 1 { retry(#{ params: #{ batch_size: 8 }, delay: 0.5 }) } }, || {
            shell("sleep 60", #{ timeout: "0.2s" });
        });
        phase("q", #{ timeout: "0.3s" }, || { shell("sleep 60", #{ timeout: "1h" }); });
        phase("r", #{ stall: "0.4s" }, || { shell("sleep 60"); });
        "#,
    );
    let ended = run(&workplace, 1);
    for words in [
        "trying again with batch_size=8 after 0.5 s",
        "its limit of 0.2 s was over",
        "its phase's limit of 0.3 s was over",
        "no output and no new checkpoint for 0.4 s",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn skip_leaves_the_phase_out_and_goes_on_with_what_waits_for_it() {
    let workplace = Workplace::with_script(
        r#"
        phase("optional", #{ on_failure: |f| skip("not worth it") }, || { shell("exit 1"); });
        phase("next", #{ after: "optional" }, || { state.seen.result = result("optional") == (); });
        "#,
    );
    let ended = run(&workplace, 0);
    assert!(ended.stderr.contains("not worth it"), "{}", ended.stderr);
    assert_eq!(status(&workplace, "optional"), "skipped");
    assert_eq!(status(&workplace, "next"), "completed");
    assert_eq!(workplace.seen("result"), "true");
}

#[test]
fn fail_lets_independent_phases_go_on_and_abort_does_not() {
    for (decision, other) in [("fail()", "completed"), ("abort(\"the disk is full\")", "pending")] {
        let workplace = Workplace::with_script(&format!(
            r#"
            on_failure(|f| {decision});
            phase("bad", #{{ retries: 5 }}, || {{ shell("echo x >> tries; exit 1"); }});
            phase("after", #{{ after: "bad" }}, || ());
            phase("other", || ());
            "#
        ));
        let ended = run(&workplace, 1);
        assert_eq!(workplace.read("tries"), "x\n", "a policy's word is above `retries`");
        assert_eq!(status(&workplace, "bad"), "failed");
        assert_eq!(status(&workplace, "after"), "pending");
        assert_eq!(status(&workplace, "other"), other, "{decision}");
        assert_eq!(ended.stderr.contains("\nstopped: the disk is full"), other == "pending");
        let later = workplace.jumar(&["status"]).code(0).stdout;
        assert_eq!(
            later.contains("\nstopped by the policy of bad: the disk is full"),
            other == "pending",
            "{later}"
        );
    }
}

#[test]
fn retries_count_when_no_policy_has_an_opinion() {
    let workplace = Workplace::with_script(
        r#"
        on_failure(|f| { state.seen.asked = f.attempt; });
        phase("p", #{ retries: 1 }, || { shell("echo x >> tries; exit 1"); });
        "#,
    );
    run(&workplace, 1);
    assert_eq!(workplace.read("tries"), "x\nx\n");
    assert_eq!(workplace.seen("asked"), "2");
}

#[test]
fn a_policy_that_is_at_fault_itself_is_named_and_the_failure_stands() {
    for (policy, why) in [
        ("|f| parse_int(f.kind)", "Error parsing integer number"),
        (
            "|f| 7",
            "it must return retry(), skip(why), fail(), abort(why) or nothing, not",
        ),
        (
            "|f| { let options = #{ dely: 1 }; retry(options) }",
            "did you mean `delay`?",
        ),
        ("|f| retry(#{ params: #{ bach: 1 } })", "`bach`"),
        ("|f| retry(#{ params: #{ batch: \"many\" } })", "must be a whole number"),
        ("|f| throw f", "the recovery policy of p is at fault itself"),
    ] {
        let workplace = Workplace::with_script(&format!(
            "param(\"batch\", 8);\nphase(\"p\", #{{ on_failure: {policy} }}, || {{ shell(\"echo x >> tries; exit 9\"); }});\nphase(\"q\", || ());"
        ));
        let ended = run(&workplace, 1);
        assert!(ended.stderr.contains(why), "{policy}: {}", ended.stderr);
        assert_eq!(workplace.read("tries"), "x\n");
        assert_eq!(status(&workplace, "p"), "failed");
        assert_eq!(status(&workplace, "q"), "completed");
        assert_eq!(
            workplace.value("failures", "last_failure_kind").as_deref(),
            Some("exit"),
            "{policy}"
        );
    }
}

#[test]
fn a_policy_that_always_says_retry_comes_to_an_end() {
    let workplace = Workplace::with_script("on_failure(|f| retry());\nphase(\"p\", || { throw \"never\"; });");
    let ended = run(&workplace, 1);
    assert!(ended.stderr.contains("it is not tried again"), "{}", ended.stderr);
    assert_eq!(status(&workplace, "p"), "failed");
}

#[test]
fn on_failure_inside_a_phase_is_refused() {
    let workplace = Workplace::with_script("phase(\"p\", || { on_failure(|f| fail()); });");
    let ended = run(&workplace, 1);
    assert!(
        ended.stderr.contains("on_failure() belongs at the top level"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_host_that_is_killed_while_it_waits_to_retry_has_already_decided() {
    let workplace = Workplace::with_script(
        r#"
        param("batch_size", 8);
        phase("p", #{ on_failure: |f| if f.attempt == 1 {
            retry(#{ delay: "1h", params: #{ batch_size: 4 }, env: #{ MODE: "safe" } })
        } else { fail() } }, || {
            shell(["sh", "-c", "echo $0 ${MODE-none} >> tries", param("batch_size")]);
            if param("batch_size") == 8 { throw "too much"; }
        });
        "#,
    );
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the retry is decided", || {
        workplace.runs().len() == 1
            && workplace.exists(&format!("{}/.experiment_state", workplace.run()))
            && workplace.value("overrides", "p.next").is_some()
    });
    assert_eq!(
        status(&workplace, "p"),
        "pending",
        "a retry that is decided is no failed phase"
    );
    host.kill().expect("killed");
    assert_eq!(host.wait().expect("ended").signal(), Some(9));
    let later = "it is to be tried again with batch_size=4, MODE=safe at ";
    for command in ["status", "explain"] {
        let said = workplace.jumar(&[command]).code(0).stdout;
        assert!(said.contains(later), "{said}");
    }
    let json = workplace.jumar(&["status", "--json"]).code(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["phases"][0]["next"]["params"]["batch_size"], 4);
    assert!(json["phases"][0]["next"]["not_before"].is_string(), "{json}");
    // What is left of the hour is waited for, until somebody does not want to.
    let mut host = workplace.start(&["resume"]);
    let said = std::io::BufReader::new(host.stderr.take().expect("a pipe"));
    let waits = said
        .lines()
        .map(|l| l.expect("a line"))
        .find(|line| line.starts_with("p failed before"));
    let waits = waits.expect("it says that it waits");
    assert!(
        waits.starts_with("p failed before: trying again with batch_size=4, MODE=safe after "),
        "{waits}"
    );
    common::signal(&host, "INT");
    assert_eq!(host.wait().expect("ended").code(), Some(130));
    assert_eq!(workplace.read("tries"), "8 none\n");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("tries"), "8 none\n4 safe\n");
    let run = workplace.run();
    for command in [vec!["status"], vec!["explain", &run, "p"]] {
        let said = workplace.jumar(&command).code(0).stdout;
        assert!(said.contains("with batch_size=4, MODE=safe"), "{said}");
    }
    assert_eq!(status(&workplace, "p"), "completed");
    assert_eq!(workplace.value("overrides", "p.next"), None);
}

#[test]
fn a_stop_ends_the_wait_for_a_retry_and_resume_makes_it() {
    let workplace = Workplace::with_script(
        r#"
        phase("p", #{ on_failure: |f| retry(#{ delay: 3600, env: #{ MODE: "safe" } }) }, || {
            shell("echo ${MODE-none} >> tries; test -n \"$MODE\"");
        });
        "#,
    );
    let mut host = workplace.start(&["run", "pipeline.rhai"]);
    wait_until("the retry is decided", || {
        workplace.runs().len() == 1
            && workplace.exists(&format!("{}/.experiment_state", workplace.run()))
            && workplace.value("overrides", "p.next").is_some()
    });
    common::signal(&host, "INT");
    assert_eq!(host.wait().expect("ended").code(), Some(130));
    assert_eq!(status(&workplace, "p"), "pending");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("tries"), "none\nsafe\n");
}

#[test]
fn halve_on_oom_halves_down_to_the_least_and_then_gives_up() {
    let workplace = Workplace::with_script(
        r#"
        import "std/recovery" as recovery;
        param("batch_size", 8);
        phase("p", #{ on_failure: recovery::halve_on_oom("batch_size", 3) }, || {
            shell(["sh", "-c", "echo $0 >> tries; echo CUDA out of memory; exit 1", param("batch_size")]);
        });
        phase("other", #{ on_failure: recovery::halve_on_oom("batch_size", 1) }, || { shell("echo x >> others; exit 1"); });
        "#,
    );
    let ended = run(&workplace, 1);
    assert_eq!(workplace.read("tries"), "8\n4\n3\n");
    assert_eq!(workplace.read("others"), "x\n", "other kinds are left alone");
    assert_eq!(status(&workplace, "p"), "failed");
    assert!(ended.stderr.contains("batch_size=4"), "{}", ended.stderr);
}

#[test]
fn backoff_tries_its_kinds_again_as_often_as_it_says() {
    let workplace = Workplace::with_script(
        r#"
        import "std/recovery" as recovery;
        on_failure(recovery::backoff(["exit"], 2, "10ms"));
        phase("p", || { shell("echo p >> tries; exit 1"); });
        phase("q", || { shell("echo q >> tries"); throw "script"; });
        "#,
    );
    run(&workplace, 1);
    assert_eq!(workplace.read("tries"), "p\np\np\nq\n");
}

#[test]
fn first_of_follows_the_first_policy_with_an_opinion() {
    let workplace = Workplace::with_script(
        r#"
        import "std/recovery" as recovery;
        let asked = |f| { state.seen.asked = f.kind; };
        on_failure(recovery::first_of([recovery::standard(), asked, |f| skip("third"), |f| skip("fourth")]));
        phase("p", || { shell("exit 1"); });
        "#,
    );
    run(&workplace, 0);
    assert_eq!(workplace.seen("asked"), "exit");
    assert_eq!(workplace.value("results", "p.skipped").as_deref(), Some("third"));
}

#[test]
fn the_standard_policy_stops_everything_when_the_disk_is_full_and_leaves_other_failures_alone() {
    let workplace = Workplace::with_script(
        r#"
        import "std/recovery" as recovery;
        on_failure(recovery::standard());
        phase("plain", || { shell("echo x >> tries; exit 1"); });
        phase("full", || { shell("echo No space left on device; exit 1"); });
        phase("other", || ());
        "#,
    );
    let ended = run(&workplace, 1);
    assert_eq!(workplace.read("tries"), "x\n");
    assert_eq!(status(&workplace, "other"), "pending");
    assert!(ended.stderr.contains("the disk is full"), "{}", ended.stderr);
}

#[test]
fn the_advice_for_memory_names_the_batch_size_to_try() {
    let workplace = Workplace::with_script(
        "param(\"batch_size\", 8);\nphase(\"p\", || { shell(\"echo CUDA out of memory; exit 1\"); });",
    );
    let ended = run(&workplace, 1);
    assert!(ended.stderr.contains("BATCH_SIZE=4"), "{}", ended.stderr);
}

#[test]
fn a_retry_with_more_gpus_than_there_are_gives_up_in_words() {
    let workplace = Workplace::with_script(
        "phase(\"p\", #{ gpus: 1, on_failure: |f| retry(#{ gpus: 3 }) }, || { shell(\"echo x >> tries; exit 1\"); });",
    )
    .env("CUDA_VISIBLE_DEVICES", "0,1");
    let ended = run(&workplace, 1);
    assert!(
        ended.stderr.contains("cannot be tried again with 3 GPUs"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.read("tries"), "x\n");
}

#[test]
fn a_retry_may_take_another_number_of_gpus() {
    let workplace = Workplace::with_script(
        r#"phase("p", #{ gpus: 2, on_failure: |f| retry(#{ gpus: if f.attempt == 1 { 1 } else { 2 } }) }, || {
            shell("echo $CUDA_VISIBLE_DEVICES >> tries");
            if run.attempt < 3 { throw "again"; }
        });"#,
    )
    .env("CUDA_VISIBLE_DEVICES", "0,1");
    run(&workplace, 0);
    assert_eq!(workplace.read("tries"), "0,1\n0\n0,1\n");
}

#[test]
fn a_signal_is_called_by_its_name_and_the_last_line_of_output_is_not_taken_for_the_cause() {
    let workplace = Workplace::with_script(r#"phase("p", || { shell("echo tick 1; kill -TERM $$; sleep 9"); });"#);
    let ended = run(&workplace, 1);
    assert!(ended.stderr.contains("signal: ended by SIGTERM)"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("SIGTERM: tick"), "{}", ended.stderr);
}

#[test]
fn a_retry_with_a_parameter_that_the_body_does_not_ask_for_is_warned_of() {
    let script = |used: &str| {
        format!(
            r#"
            let batch = param("batch", 4);
            phase("a", #{{ on_failure: |failure| if failure.attempt == 1 {{ retry(#{{ params: #{{ batch: 2 }} }}) }} }}, || {{
                shell(`test ${{{used}}} -le 2`);
            }});
            "#
        )
    };
    let warning = "a is tried again with batch=2, but its body has not asked for param(\"batch\")";
    let place = Workplace::with_script(&script("batch"));
    let said = place.jumar(&["run", "pipeline.rhai"]).code(1).stderr;
    assert!(said.contains(warning), "{said}");
    let status = place.jumar(&["status"]).code(0).stdout;
    assert!(
        !status.contains("batch=2"),
        "what was not used is not told as used: {status}"
    );
    let place = Workplace::with_script(&script("param(\"batch\")"));
    let said = place.jumar(&["run", "pipeline.rhai"]).code(0).stderr;
    assert!(!said.contains("has not asked"), "{said}");
}

#[test]
fn a_policy_that_was_at_fault_is_on_record_the_next_morning() {
    let place = Workplace::with_script(r#"phase("a", #{ on_failure: |failure| 42 }, || { shell("false"); });"#);
    place.jumar(&["run", "pipeline.rhai"]).code(1);
    let history = place.jumar(&["history"]).code(0).stdout;
    assert!(
        history.contains("the recovery policy of a is at fault itself"),
        "{history}"
    );
    let explained = place.jumar(&["explain", &place.run(), "a"]).code(0).stdout;
    assert!(
        explained.contains("the recovery policy of a is at fault itself"),
        "{explained}"
    );
    assert!(
        explained.contains("exit"),
        "the failure is still what it was: {explained}"
    );
}
