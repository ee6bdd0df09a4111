//! A training that runs for long: its checkpoints are recorded as it writes them, a stall is noticed, preemptions are
//! borne as long as it comes further.

mod common;

use common::Workplace;

/// Writes epochs, and dies of signal 9 in the middle of its first attempt.
const KILLED_ONCE: &str = r#"
import "std/recovery" as recovery;
phase("train", #{ checkpoints: run.dir + "/ckpt/epoch*", on_failure: recovery::from_checkpoint() }, || {
    shell(`
        mkdir -p $JUMAR_RUN_DIR/ckpt
        echo "from: $JUMAR_CHECKPOINT"
        for epoch in 1 2 3; do
            echo $epoch > $JUMAR_RUN_DIR/ckpt/epoch$epoch
            sleep 0.4
            if [ $JUMAR_ATTEMPT = 1 ] && [ $epoch = 2 ]; then kill -9 $$; fi
        done`);
});
"#;

#[test]
fn a_training_that_was_killed_is_tried_again_from_the_newest_checkpoint_that_was_whole() {
    let place = Workplace::new();
    place.write("p.rhai", KILLED_ONCE);
    place.jumar(&["run", "p.rhai"]).code(0);
    let run = place.run();
    let log = place.read(&format!("{run}/logs/train.log"));
    let starts: Vec<&str> = log.lines().filter_map(|l| l.strip_prefix("from: ")).collect();
    assert_eq!(starts.len(), 2, "{log}");
    assert_eq!(starts[0], "");
    assert!(starts[1].ends_with(&format!("{run}/ckpt/epoch1")), "{}", starts[1]);
    let newest = place.value("checkpoints", "checkpoint_path");
    assert_eq!(newest.as_deref(), Some(format!("{run}/ckpt/epoch3").as_str()));
}

#[test]
fn a_checkpoint_counts_when_complete_when_says_that_it_is_whole() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("train", #{ checkpoints: run.dir + "/c/*", complete_when: |path| exists(path + "/done") }, || {
            shell(["sh", "-c", "mkdir -p $0/c/1 $0/c/2; echo 1 > $0/c/1/model; echo 2 > $0/c/2/model; touch $0/c/1/done", run.dir]);
        });
        "#,
    );
    place.jumar(&["run", "p.rhai"]).code(0);
    let recorded = place.value("checkpoints", "checkpoint_path").unwrap_or_default();
    assert_eq!(recorded, format!("{}/c/1", place.run()));
}

#[test]
fn a_faulty_complete_when_is_told_and_the_training_goes_on() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"phase("train", #{ checkpoints: "c*", complete_when: |path| 42 }, || { shell("echo x > c1"); });"#,
    );
    let ended = place.jumar(&["run", "p.rhai"]).code(0);
    assert!(
        ended
            .stderr
            .contains("complete_when of train is at fault itself, such checkpoints are not recorded: it must return true or false, not a whole number"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_runs() {
    let place = Workplace::new();
    place.write("p.rhai", r#"phase("train", #{ checkpoints: "c[" }, || { });"#);
    let ended = place.jumar(&["run", "p.rhai"]).code(3);
    assert!(ended.stderr.contains("`c[` is no pattern"), "{}", ended.stderr);
    assert!(place.runs().is_empty());
}

#[test]
fn a_command_without_output_and_checkpoints_for_too_long_has_stalled() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("silent", #{ stall: "1s" }, || { shell("echo begun; sleep 60"); });
        phase("one_call", || { shell("sleep 60", #{ stall: 1 }); });
        phase("talking", #{ stall: "1s" }, || { shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done"); });
        phase("saving", #{ stall: "2s", checkpoints: run.dir + "/c*" }, || {
            shell(["sh", "-c", "for i in 1 2 3 4 5 6 7; do echo $i > $0/c$i; sleep 0.7; done", run.dir]);
        });
        "#,
    );
    let ended = place.jumar(&["run", "p.rhai", "-j", "4"]).code(1);
    for (phase, status) in [
        ("silent", "failed"),
        ("one_call", "failed"),
        ("talking", "completed"),
        ("saving", "completed"),
    ] {
        assert_eq!(
            place.value("phases", phase).as_deref(),
            Some(status),
            "{phase}\n{}",
            ended.stderr
        );
    }
    assert!(ended.stderr.contains("stalled: stopped after"), "{}", ended.stderr);
}

#[test]
fn a_preempted_phase_goes_on_while_it_comes_further_and_stops_after_three_attempts_that_do_not() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        import "std/failures" as failures;
        failures::add("preempted", ["taken away"]);
        on_failure(|failure| if failure.kind == "preempted" { retry() });
        phase("train", || {
            for part in 0..10 {
                let number = part;
                step(`part${number}`, || { shell("echo part >> parts"); });
                if number < 6 && run.attempt == number + 1 { shell("echo taken away; exit 1"); }
            }
            shell("echo taken away; exit 1");
        });
        "#,
    );
    let ended = place.jumar(&["run", "p.rhai"]).code(1);
    assert!(
        ended
            .stderr
            .contains("train: no progress in 3 attempts, each preempted"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.read("parts").lines().count(), 10, "each part once");
    // Six that came further, the one that did the rest, and three that did nothing new.
    assert!(place.value("attempts", "train.10").is_some());
    assert!(place.value("attempts", "train.11").is_none());
}

#[test]
fn preemptions_do_not_count_against_retries() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        failure_pattern("preempted", "taken away");
        phase("train", #{ retries: 1 }, || {
            step(`part${run.attempt}`, || { });
            if run.attempt < 4 { shell("echo taken away; exit 1"); }
            if run.attempt == 4 { shell("exit 1"); }
        });
        "#,
    );
    place.jumar(&["run", "p.rhai"]).code(0);
    assert!(place.value("attempts", "train.5").is_some());
}

/// An nvidia-smi whose one GPU holds memory until a file is gone, and tells how often it was asked.
const NVIDIA_SMI: &str = r#"#!/bin/sh
case "$*" in
    *query-gpu=index*) echo 0 ;;
    *query-gpu=memory.used*)
        echo asked >> asked
        # The dead process's memory is given back a little later.
        if [ -e held ]; then if [ "$(wc -l < asked)" -ge 4 ]; then rm held; fi; echo 20000; else echo 10; fi ;;
esac
"#;

#[test]
fn before_a_retry_the_memory_of_the_gpus_has_been_given_back() {
    let place = Workplace::new();
    let smi = place.write("bin/nvidia-smi", NVIDIA_SMI);
    std::fs::set_permissions(&smi, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made executable");
    place.write(
        "p.rhai",
        r#"
        phase("train", #{ gpus: 1, retries: 1 }, || {
            shell("if [ $JUMAR_ATTEMPT = 1 ]; then touch held; exit 1; fi; if [ -e held ]; then echo too early; exit 1; fi");
        });
        "#,
    );
    let path = format!(
        "{}:{}",
        place.path().join("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let place = place.env("PATH", &path);
    place.jumar(&["run", "p.rhai"]).code(0);
    assert!(place.read("asked").lines().count() >= 4);
}

#[test]
fn the_cause_in_a_long_log_wins_over_its_echo_at_the_end() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("train", || {
            shell("echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'; for i in $(seq 100); do echo \"[rank1] NCCL error: ncclSystemError $i\"; done; exit 1");
        });
        phase("other", || {
            shell("echo 'cfg.yaml: No such file or directory, taking defaults'; seq 100; echo 'loss is nan'; exit 1");
        });
        "#,
    );
    let ended = place.jumar(&["run", "p.rhai"]).code(1);
    assert!(
        ended.stderr.contains("train failed after") && ended.stderr.contains("(oom_gpu: "),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("(exit: ended with status 1: loss is nan)"),
        "{}",
        ended.stderr
    );
}

/// A policy that halves the batch, and waits for long before the third attempt.
const HALVING: &str = r#"
let batch = param("batch_size", 16);
phase("train", #{ on_failure: |failure| {
    if failure.kind == "oom_host" {
        let half = failure.params.batch_size / 2;
        retry(#{ params: #{ batch_size: half }, delay: if half == 4 { 5 } else { 0 } })
    }
} }, || {
    shell(["python3", bundled("small") + "/train.py", "--out", run.dir + "/ckpt", "--samples", 100, "--epochs", 2, "--batch-size", param("batch_size")]);
    checkpoint(run.dir + "/ckpt/epoch1");
});
"#;

#[test]
fn a_policy_finds_the_batch_that_fits_and_a_kill_before_the_last_retry_changes_nothing() {
    let place = Workplace::new().env("SMALL_MEMORY_MB", "64");
    place.write("p.rhai", HALVING);
    let mut host = place.start(&["run", "p.rhai"]);
    common::wait_until("the third attempt is decided", || {
        let state = |run: &String| std::fs::read_to_string(place.path().join(run).join(".experiment_state"));
        let decided =
            |run: &String| state(run).is_ok_and(|text| text.contains("train.next={\"params\":{\"batch_size\":4}"));
        place.runs().iter().any(decided)
    });
    host.kill().expect("it is killed");
    host.wait().expect("it has ended");
    place.jumar(&["resume"]).code(0);
    let batch = |attempt: u32| {
        let record = place
            .value("attempts", &format!("train.{attempt}"))
            .expect("it is recorded");
        let record: serde_json::Value = serde_json::from_str(&record).expect("it is JSON");
        (
            record["params"]["batch_size"].as_i64(),
            record["kind"].as_str().map(String::from),
        )
    };
    assert_eq!(batch(1), (Some(16), Some("oom_host".into())));
    assert_eq!(batch(2), (Some(8), Some("oom_host".into())));
    assert_eq!(batch(3), (Some(4), None));
    assert!(place.value("attempts", "train.4").is_none());
}
