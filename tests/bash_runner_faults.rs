//! Thirteen faults that the bash runner had: each test is one that this program does not have.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

use common::stock::PHASES;
use common::{Ended, Workplace, value_in, wait_until};

fn small() -> Workplace {
    Workplace::small().breakable()
}

/// Starts a run and waits until it is in the middle of the second phase.
fn held_up_in_phase_2(place: &Workplace) -> Child {
    place.hold_up("linear_probe");
    let child = place.start(&["run"]);
    wait_until("the linear probe runs", || place.calls("linear_probe") == 1);
    // The file is a view of the journal and may lag behind it for a moment; the command is what is recorded last.
    wait_until("the state file says so", || {
        place
            .value("attempts", "phase2_linear_probe.1")
            .is_some_and(|attempt| attempt.contains("\"command\""))
    });
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .expect("kill starts");
    assert!(status.success());
}

#[test]
fn a_failing_command_fails_its_phase_and_the_run_whatever_its_exit_status() {
    let place = small();
    for (program, status) in [
        ("evaluate", 1),
        ("linear_probe", 2),
        ("token_compression", 137),
        ("efficiency", 1),
        ("aggregate", 2),
    ] {
        place.break_program(program, status);
    }
    place.jumar(&["run"]).code(1);
    assert_eq!(
        place.standing(),
        ["completed", "failed", "failed", "failed", "failed", "failed"]
    );
    assert_eq!(
        place.bash("grep -c '=completed' runs/*/.experiment_state").stdout,
        "1\n"
    );
    let state = place.state();
    for (phase, status) in PHASES[1..].iter().zip([1, 2, 137, 1, 2]) {
        let attempt = value_in(&state, "attempts", &format!("{phase}.1")).expect("an attempt is recorded");
        assert!(attempt.contains(&format!("\"code\":{status},")), "{phase}: {attempt}");
    }
}

#[test]
fn the_recovery_instructions_are_printed_when_training_fails_and_when_an_evaluation_fails() {
    for (program, phase) in [("train", "training"), ("efficiency", "phase4_efficiency")] {
        let place = small();
        place.break_program(program, 1);
        let said = place.jumar(&["run", "--quiet"]).code(1).stderr;
        for part in [
            "FAILURE RECOVERY INSTRUCTIONS\n",
            &format!("Phase:   {phase} "),
            &format!("  | {program}: broken by the test\n"),
            &format!("\n  jumar resume {}\n", place.state_file()),
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}

#[test]
fn a_dry_run_writes_no_state_file_and_marks_nothing_as_completed() {
    let place = small();
    let before = place.listing();
    place.jumar(&["run", "--dry-run"]).code(0);
    assert_eq!(place.listing(), before);

    place.break_program("train", 1);
    place.jumar(&["run"]).code(1);
    let (before, calls) = (place.listing(), place.calls("train"));
    place.jumar(&["resume", "--dry-run"]).code(0);
    assert_eq!((place.listing(), place.calls("train")), (before, calls));
    assert_eq!(place.standing()[0], "failed");
}

#[test]
fn exported_parameters_are_used() {
    let place = small();
    place
        .bash("export BATCH_SIZE=3\nexport SEEDS=\"1 2\"\njumar run --until phase1_statistical")
        .code(0);
    let run = place.run();
    let log = place.bash(&format!("cat {run}/logs/training_*.log")).stdout;
    assert!(log.contains("batch 3 "), "{log}");
    let results = place
        .bash(&format!("cd {run}/results && ls *_seed*.json"))
        .code(0)
        .stdout;
    assert_eq!(
        results,
        "clean_seed1.json\nclean_seed2.json\nnoisy_seed1.json\nnoisy_seed2.json\n"
    );
}

#[test]
fn experiment_runs_aggregation() {
    let place = small();
    place.jumar(&["experiment"]).code(0);
    assert_eq!(place.calls("aggregate"), 1);
    assert_eq!(place.value("phases", "aggregation").as_deref(), Some("completed"));
    assert!(place.exists(&format!("{}/final_results.json", place.run())));
}

#[test]
fn a_kill_and_an_interrupt_in_the_middle_of_a_phase_are_told_of() {
    let place = small();
    let mut child = held_up_in_phase_2(&place);
    signal(&child, "-KILL");
    assert_eq!(child.wait().expect("it ended").signal(), Some(9));
    assert_eq!(
        place.value("phases", "phase2_linear_probe").as_deref(),
        Some("in_progress")
    );
    let status = place.jumar(&["status"]).code(0).stdout;
    assert!(status.contains("jumar is gone; its command still runs"), "{status}");
    place.let_go("linear_probe");
    let resumed = place.jumar(&["resume"]).code(0);
    assert!(
        resumed.stderr.contains("phase2_linear_probe was in progress"),
        "{}",
        resumed.stderr
    );
    assert_eq!(place.standing(), ["completed"; 6]);

    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let place = small();
        let child = held_up_in_phase_2(&place);
        signal(&child, name);
        let stopped = Ended::from(child.wait_with_output().expect("it ended")).code(code);
        assert!(
            stopped.stderr.contains("Stopped; what was running is pending again"),
            "{}",
            stopped.stderr
        );
        assert!(
            stopped
                .stderr
                .contains(&format!("\n  jumar resume {}\n", place.state_file())),
            "{}",
            stopped.stderr
        );
        assert_eq!(
            place.standing(),
            ["completed", "completed", "pending", "pending", "pending", "pending"]
        );
        let attempt = place
            .value("attempts", "phase2_linear_probe.1")
            .expect("the attempt stays recorded");
        assert!(attempt.contains("\"outcome\":\"interrupted\""), "{attempt}");
    }
}

#[test]
fn every_key_is_written_and_read_in_its_own_section() {
    let place = small();
    place.break_program("efficiency", 7);
    place.jumar(&["run"]).code(1);
    let error = place
        .value("failures", "last_failure_error")
        .expect("the error is kept");
    assert!(error.contains("ended with status 7"), "{error}");
    let state = place.state();
    for key in ["last_phase_start", "last_phase_complete"] {
        assert!(
            value_in(&state, "metadata", key).is_some(),
            "{key} stands in [metadata]:\n{state}"
        );
    }
    assert!(
        !state.contains("\n\n\n") && state.contains("\n\n[phases]\n"),
        "a blank line before a header:\n{state}"
    );

    // The same key in two sections.
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"phase("a", || { state.first.key = "one"; state.second.key = "two"; state.second.key = "three"; });"#,
    );
    place.jumar(&["run", "s.rhai"]).code(0);
    assert_eq!(place.value("first", "key").as_deref(), Some("one"));
    assert_eq!(place.value("second", "key").as_deref(), Some("three"));
}

#[test]
fn the_evaluation_of_a_data_set_does_not_stay_pending() {
    let place = Workplace::latentwire().env("SEEDS", "42").env("DATASETS", "sst2 trec");
    place.break_program("eval_telepathy_trec", 1);
    place.jumar(&["run"]).code(1);
    assert_eq!(place.value("datasets", "sst2_eval").as_deref(), Some("completed"));
    assert_eq!(place.value("datasets", "trec_eval").as_deref(), Some("pending"));
    place.mend_program("eval_telepathy_trec");
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.value("datasets", "sst2_eval").as_deref(), Some("completed"));
    assert_eq!(place.value("datasets", "trec_eval").as_deref(), Some("completed"));
}

#[test]
fn a_resume_of_phase_1_repeats_no_evaluation_that_had_succeeded() {
    let place = small().env("SEEDS", "42 123");
    place.break_program("bootstrap", 1);
    place.jumar(&["run"]).code(1);
    assert_eq!((place.calls("evaluate"), place.calls("bootstrap")), (4, 1));
    place.mend_program("bootstrap");
    place.jumar(&["resume"]).code(0);
    assert_eq!((place.calls("evaluate"), place.calls("bootstrap")), (4, 2));
    assert_eq!(place.attempts()[1], 2);
}

#[test]
fn the_state_file_is_whole_at_every_moment_and_no_two_runs_share_it() {
    // Several runs started at once.
    let place = small();
    let runs: Vec<Child> = (0..3).map(|_| place.start(&["run", "--phase", "training"])).collect();
    for run in runs {
        Ended::from(run.wait_with_output().expect("it ended")).code(0);
    }
    assert_eq!(place.runs().len(), 3, "{:?}", place.runs());
    for run in place.runs() {
        let state = place.read(&format!("{run}/.experiment_state"));
        assert_eq!(value_in(&state, "phases", "training").as_deref(), Some("completed"));
        assert_eq!(value_in(&state, "metadata", "base_output_dir"), Some(run));
    }

    // A second runner of the same run is refused, and changes nothing.
    let place = small();
    let child = held_up_in_phase_2(&place);
    let before = place.state();
    let refused = place.jumar(&["resume"]).code(5);
    assert!(
        refused.stderr.contains(&child.id().to_string()),
        "it says who has it: {}",
        refused.stderr
    );
    assert_eq!(place.state(), before);
    place.let_go("linear_probe");

    // Whoever reads meanwhile finds all of it.
    let mut child = child;
    let mut looks = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        let state = place.state();
        assert!(
            state.ends_with('\n') && PHASES.iter().all(|p| value_in(&state, "phases", p).is_some()),
            "{state}"
        );
        looks += 1;
    }
    assert!(looks > 0);
    assert_eq!(place.standing(), ["completed"; 6]);
}

#[test]
fn a_checkpoint_that_is_not_there_is_not_recorded() {
    let place = Workplace::latentwire();
    place.write("makes_nothing", "");
    let failed = place.jumar(&["run"]).code(1);
    assert_eq!(place.value("phases", "training").as_deref(), Some("failed"));
    assert_eq!(place.value("checkpoints", "checkpoint_path").as_deref(), Some(""));
    assert_eq!(
        place.value("failures", "last_failure_kind").as_deref(),
        Some("not_found")
    );
    assert!(
        failed.stderr.contains("checkpoint/epoch23 does not exist"),
        "{}",
        failed.stderr
    );
}

#[test]
fn logs_messages_and_results_are_kept_apart_and_no_colour_goes_into_a_pipe() {
    let place = small();
    place.break_program("efficiency", 1);
    let ended = place.jumar(&["run"]).code(1);
    assert_eq!(ended.stdout, "", "messages go to standard error");
    assert!(ended.stderr.contains("[1/6] training started\n"), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("training on 100 texts"),
        "the output of commands goes to their logs: {}",
        ended.stderr
    );
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    let logs = place.bash(&format!("cat {}/logs/*.log", place.run())).code(0).stdout;
    assert!(
        logs.contains("training on 100 texts") && logs.contains("efficiency: broken by the test"),
        "{logs}"
    );
    assert!(
        !logs.contains("[1/6]") && !logs.contains("completed in") && !logs.contains('\u{1b}'),
        "{logs}"
    );

    place.mend_program("efficiency");
    let ended = place.jumar(&["resume"]).code(0);
    assert_eq!(ended.stdout, format!("{}\n", place.run()));
}

#[test]
fn the_settings_of_phase_3_reach_its_script_as_environment() {
    let place = Workplace::latentwire();
    place.jumar(&["run", "--phase", "3"]).code(0);
    let calls = place.recorded();
    let call = calls
        .iter()
        .find(|call| call.argv[0] == "llmlingua.py")
        .expect("the script ran");
    assert_eq!(call.argv, ["llmlingua.py"], "nothing is passed as an argument");
    let folder = format!("{}/results/phase3_llmlingua", place.run());
    for (name, value) in [
        ("OUTPUT_DIR", folder.as_str()),
        ("DATASET", "squad"),
        ("SAMPLES", "200"),
    ] {
        assert_eq!(call.env.get(name).map(String::as_str), Some(value), "{name}");
    }
}
