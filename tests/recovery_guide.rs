//! The bash runner's recovery guide, command by command: `bash RUN_ALL.sh` is `jumar`, all else is typed as it stands there.

mod common;

use common::stock::PHASES;
use common::{Ended, Workplace, skipped, value_in};
use serde_json::Value;

/// What the guide says to type.
const RESUME: &str = "jumar experiment --resume runs/latentwire_unified_*/.experiment_state";
const STATE: &str = "runs/latentwire_unified_*/.experiment_state";

/// The guide's run: the small experiment under its name, with a python3 that can be made to fail.
fn guide() -> Workplace {
    Workplace::small().env("EXP_NAME", "latentwire_unified").breakable()
}

/// A run in which phase 3 fails; what breaks it is mended afterwards.
fn failed_in_phase_3() -> (Workplace, Ended) {
    let place = guide();
    place.break_program("token_compression", 3);
    let failed = place.bash("jumar experiment").code(1);
    place.mend_program("token_compression");
    (place, failed)
}

/// Edits the state file as the guide says, with vi where there is one, and with sed.
fn edits(from: &str, to: &str) -> Vec<(&'static str, String)> {
    let mut edits = vec![("sed", format!("sed -i 's/^{from}$/{to}/' {STATE}"))];
    if which::which("vi").is_ok() {
        edits.push(("vi", format!("vi -es -c '%s/^{from}$/{to}/' -c 'wq' {STATE}")));
    } else {
        skipped("there is no vi on this machine, the edits are made with sed only");
    }
    edits
}

#[test]
fn normal_execution_tracks_the_state_automatically_and_a_specific_phase_runs_alone() {
    let place = guide();
    place.bash("jumar experiment").code(0);
    assert!(place.run().starts_with("runs/latentwire_unified_"));
    assert_eq!(place.standing(), ["completed"; 6]);

    let place = guide();
    place.bash("jumar experiment --phase 1").code(0);
    assert_eq!(
        place.standing(),
        ["pending", "completed", "pending", "pending", "pending", "pending"]
    );
}

#[test]
fn the_state_can_be_looked_at_with_cat_and_grep() {
    let (place, _) = failed_in_phase_3();
    let cat = place.bash(&format!("cat {STATE}")).code(0).stdout;
    let sections: Vec<&str> = cat.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(
        &sections[..4],
        ["[metadata]", "[phases]", "[checkpoints]", "[failures]"],
        "{cat}"
    );
    for (section, key) in [
        ("metadata", "version"),
        ("metadata", "start_time"),
        ("metadata", "base_output_dir"),
        ("checkpoints", "checkpoint_path"),
        ("checkpoints", "final_epoch"),
        ("failures", "failure_count"),
        ("failures", "last_failure"),
        ("failures", "last_failure_time"),
    ] {
        assert!(
            value_in(&cat, section, key).is_some_and(|value| !value.is_empty()),
            "[{section}] {key}:\n{cat}"
        );
    }

    let completed = place.bash(&format!("grep \"=completed\" {STATE}")).code(0).stdout;
    let expected = "training=completed\nphase1_statistical=completed\nphase2_linear_probe=completed\n\
                    phase4_efficiency=completed\naggregation=completed\n";
    assert_eq!(completed, expected);
    let failed = place.bash(&format!("grep \"=failed\" {STATE}")).code(0).stdout;
    assert_eq!(failed, "phase3_baselines=failed\n");
}

#[test]
fn a_failure_shows_the_guides_instructions_and_running_the_displayed_command_goes_on() {
    let (place, failed) = failed_in_phase_3();
    assert_eq!(
        place.attempts(),
        [1; 6],
        "the other phases are independent of the one that failed"
    );
    let (_, banner) = failed
        .stderr
        .split_once("FAILURE RECOVERY INSTRUCTIONS\n")
        .expect("the guide's heading");
    for line in [
        "The experiment has failed but state has been saved.",
        "To resume from where it failed, run:",
        "This will:",
        "  1. Skip already completed phases",
        "  2. Re-attempt the failed phase",
        "  3. Continue with remaining phases",
    ] {
        assert!(banner.lines().any(|l| l == line), "{line}\n{banner}");
    }
    let displayed = banner
        .lines()
        .find(|line| line.starts_with("  jumar resume "))
        .expect("a command");
    place.bash(displayed).code(0);
    assert_eq!(place.standing(), ["completed"; 6]);
    assert_eq!(place.attempts()[..5], [1, 1, 1, 2, 1]);
}

#[test]
fn a_completed_phase_that_is_edited_to_pending_runs_again() {
    let place = guide();
    place.bash("jumar experiment").code(0);
    place.bash(&format!("sed -i '1a # mine' {STATE}")).code(0);
    for (before, (editor, edit)) in edits("phase1_statistical=completed", "phase1_statistical=pending")
        .into_iter()
        .enumerate()
    {
        place.bash(&edit).code(0);
        assert_eq!(place.standing()[1], "pending", "{editor}");
        place.bash(RESUME).code(0);
        assert_eq!(place.standing(), ["completed"; 6], "{editor}");
        assert_eq!(place.attempts()[..5], [1, before + 2, 1, 1, 1], "{editor}");
        assert_eq!(place.state().lines().nth(1), Some("# mine"), "{editor}: comments stay");
    }
}

#[test]
fn a_failed_phase_that_is_edited_to_completed_is_skipped() {
    for (editor, edit) in edits("phase3_baselines=failed", "phase3_baselines=completed") {
        let place = guide();
        place.break_program("token_compression", 3);
        place.bash("jumar experiment").code(1);
        place.bash(&edit).code(0);
        // What breaks it is still there: only because it is not tried can this succeed.
        place.bash(RESUME).code(0);
        assert_eq!(place.standing(), ["completed"; 6], "{editor}");
        assert_eq!(place.attempts()[..5], [1, 1, 1, 1, 1], "{editor}");
    }
}

#[test]
fn evaluation_starts_fresh_from_an_existing_checkpoint_without_training() {
    let place = guide();
    place.bash("jumar experiment --phase training").code(0);
    place
        .bash("jumar experiment --run-dir fresh --checkpoint runs/latentwire_unified_*/checkpoint/epoch1")
        .code(0);
    let state = place.read("fresh/.experiment_state");
    assert!(
        PHASES
            .iter()
            .all(|phase| value_in(&state, "phases", phase).as_deref() == Some("completed")),
        "{state}"
    );
    assert!(!place.exists("fresh/checkpoint"), "nothing was trained");
    let used = value_in(&state, "checkpoints", "checkpoint_path").expect("a checkpoint is recorded");
    assert_eq!(used, format!("{}/checkpoint/epoch1", place.run()));
}

#[test]
fn if_training_fails_no_other_phase_runs() {
    let place = guide();
    place.break_program("train", 3);
    place.bash("jumar experiment").code(1);
    assert_eq!(
        place.standing(),
        ["failed", "pending", "pending", "pending", "pending", "pending"]
    );
    assert_eq!(place.attempts(), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn scenario_1_out_of_memory_during_training_goes_on_with_a_smaller_batch() {
    let place = guide().env("SMALL_MEMORY_MB", "64");
    place.bash("jumar experiment").code(1);
    assert_eq!(
        place.value("failures", "last_failure_kind").as_deref(),
        Some("oom_host")
    );
    place.bash(&format!("export BATCH_SIZE=4\n{RESUME}")).code(0);
    assert_eq!(place.standing(), ["completed"; 6]);
    assert_eq!(place.value("params", "batch_size").as_deref(), Some("4"));
    let log = format!("tail -n +1 {}/logs/training_*.log", place.run());
    let log = place.bash(&log).stdout;
    assert!(
        log.contains("batch 8 ") && log.contains("batch 4 "),
        "the training really used it: {log}"
    );
}

#[test]
fn scenario_2_a_resume_skips_phases_1_and_2_and_tries_phase_3_again() {
    let (place, _) = failed_in_phase_3();
    let results = |place: &Workplace| -> Value {
        let text = place.read(&format!("{}/final_results.json", place.run()));
        serde_json::from_str(&text).expect("results are JSON")
    };
    assert_eq!(
        results(&place)["datasets"]["clean"].get("compression"),
        None,
        "the results that existed were combined"
    );
    place.bash(RESUME).code(0);
    assert_eq!(place.attempts(), [1, 1, 1, 2, 1, 2]);
    assert!(
        results(&place)["datasets"]["clean"]["compression"]["accuracy"].is_f64(),
        "and are combined anew"
    );
}

#[test]
fn scenario_3_phase_1_runs_again_with_different_seeds() {
    let place = guide();
    place.bash("jumar experiment").code(0);
    let (_, edit) = edits("phase1_statistical=completed", "phase1_statistical=pending")
        .pop()
        .expect("an editor");
    place.bash(&edit).code(0);
    place
        .bash(&format!("export SEEDS=\"42 123 456 789 1337\"\n{RESUME}"))
        .code(0);
    assert_eq!(place.attempts()[..5], [1, 2, 1, 1, 1], "only phase 1 ran again");
    let results = place.read(&format!("{}/final_results.json", place.run()));
    let results: Value = serde_json::from_str(&results).expect("results are JSON");
    let seeds = &results["datasets"]["clean"]["model"]["seeds"];
    assert_eq!(
        seeds,
        &serde_json::json!([42, 123, 456, 789, 1337]),
        "the combined results have all seeds"
    );
    assert_eq!(place.value("params", "seeds").as_deref(), Some("[42,123,456,789,1337]"));
}

#[test]
fn a_state_file_that_was_touched_by_hand_is_a_run_with_everything_pending() {
    let place = guide();
    place
        .bash("mkdir -p runs/test_recovery\ntouch runs/test_recovery/.experiment_state")
        .code(0);
    place.jumar(&["status", "runs/test_recovery"]).code(0);
    place
        .bash("jumar experiment --resume runs/test_recovery/.experiment_state")
        .code(0);
    assert_eq!(place.run(), "runs/test_recovery", "no second run directory was made");
    assert_eq!(place.standing(), ["completed"; 6]);
    assert_eq!(
        place.value("metadata", "base_output_dir").as_deref(),
        Some("runs/test_recovery")
    );
    assert_eq!(place.value("metadata", "version").as_deref(), Some("3.2.0"));
    assert_eq!(place.value("metadata", "name").as_deref(), Some("test_recovery"));
    for key in ["start_time", "run_id", "working_directory", "script"] {
        assert!(
            place.value("metadata", key).is_some_and(|value| !value.is_empty()),
            "{key}:\n{}",
            place.state()
        );
    }
    for (key, value) in [("failure_count", "0"), ("last_failure", ""), ("last_failure_time", "")] {
        assert_eq!(place.value("failures", key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn a_run_directory_that_was_moved_is_resumed_where_it_is() {
    for (how, command) in [("moved", "mv"), ("copied", "cp -r")] {
        let place = guide();
        place.break_program("token_compression", 3);
        place.bash("jumar experiment --run-dir old").code(1);
        place.mend_program("token_compression");
        place.bash(&format!("mkdir runs && {command} old runs/new")).code(0);
        let before = place.listing();
        let shown = place
            .bash("jumar experiment --resume runs/new/.experiment_state -n")
            .code(0)
            .stdout;
        assert!(shown.contains("--ckpt runs/new/checkpoint/epoch1"), "{how}: {shown}");
        assert_eq!(place.listing(), before, "{how}: a dry run writes nothing");

        place
            .bash("jumar experiment --resume runs/new/.experiment_state")
            .code(0);
        assert_eq!(place.standing(), ["completed"; 6], "{how}");
        assert_eq!(place.attempts(), [1, 1, 1, 2, 1, 2], "{how}");
        assert_eq!(
            place.value("metadata", "base_output_dir").as_deref(),
            Some("runs/new"),
            "{how}"
        );
        let checkpoint = place.value("checkpoints", "checkpoint_path");
        assert_eq!(checkpoint.as_deref(), Some("runs/new/checkpoint/epoch1"), "{how}");
        assert!(place.exists("runs/new/results/phase3_compression/clean.json"), "{how}");
        assert_eq!(
            place.exists("old"),
            how == "copied",
            "{how}: nothing is written where it was"
        );
        assert!(!place.exists("old/results/phase3_compression"), "{how}");
    }
}

#[test]
fn a_dry_run_verifies_what_a_resume_will_do() {
    let (place, _) = failed_in_phase_3();
    let before = place.listing();
    let shown = place.bash(&format!("{RESUME} --dry-run")).code(0).stdout;
    assert!(
        shown.contains("phase1_statistical (1): completed; not run again"),
        "{shown}"
    );
    assert!(
        shown.contains("phase3_baselines (3): runs again (it failed)"),
        "{shown}"
    );
    assert!(
        shown.contains("aggregation: runs again\n"),
        "it combines what phase 3 makes anew: {shown}"
    );
    assert_eq!(place.listing(), before);
}

#[test]
fn a_state_file_that_is_not_there_is_named() {
    let place = guide();
    let refused = place.bash("jumar experiment --resume runs/nowhere/.experiment_state");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("no run is called `runs/nowhere/.experiment_state`"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_pattern_that_matches_several_runs_is_answered_with_what_to_do() {
    let place = guide();
    for name in ["latentwire_unified_1", "latentwire_unified_2"] {
        place.write(&format!("runs/{name}/.experiment_state"), "");
    }
    let before = place.listing();
    for command in [RESUME, "jumar resume runs/latentwire_unified_*/.experiment_state"] {
        let refused = place.bash(command).code(2).stderr;
        assert!(
            refused.contains("the pattern matches several runs: name one of them"),
            "{refused}"
        );
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn a_resume_from_elsewhere_goes_on_where_the_run_began_and_takes_paths_from_where_it_was_typed() {
    let place = guide();
    place
        .bash("jumar experiment --phase training --run-dir runs/one")
        .code(0);
    place
        .bash("mkdir elsewhere && cp -r runs/one/checkpoint/epoch0 elsewhere/given")
        .code(0);
    place.write("elsewhere/p.toml", "eval_batch_size = 3\n");
    place
        .bash("cd elsewhere && jumar resume ../runs/one --checkpoint given --params p.toml")
        .code(0);
    assert_eq!(place.standing(), ["completed"; 6]);
    assert_eq!(place.value("params", "eval_batch_size").as_deref(), Some("3"));
    let used = place
        .value("checkpoints", "checkpoint_path")
        .expect("a checkpoint is recorded");
    assert!(used.ends_with("/elsewhere/given"), "{used}");
    assert!(
        !place.exists("elsewhere/runs"),
        "nothing was written where it was typed"
    );
}

#[test]
fn a_resume_from_elsewhere_names_paths_that_can_be_typed_there() {
    let place = Workplace::with_script(r#"phase("p", || { shell("exit 3"); });"#);
    place.jumar(&["run", "pipeline.rhai"]).code(1);
    let run = place.run();
    let ended = place
        .bash(&format!("mkdir elsewhere && cd elsewhere && jumar resume ../{run}"))
        .code(1);
    let here = place.path().canonicalize().expect("a path").display().to_string();
    for words in [
        format!("resuming {here}/{run}\n"),
        format!("Log:     {here}/{run}/logs/p.log\n"),
        format!("jumar resume {here}/{run}/.experiment_state\n"),
    ] {
        assert!(ended.stderr.contains(&words), "{words} in {}", ended.stderr);
    }
}
