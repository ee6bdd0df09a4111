//! The stock pipeline as it comes: `jumar run` in an empty directory, its modes, its options, and its failure.

mod common;

use common::Workplace;
use common::stock::PHASES;
use serde_json::Value;

/// How the phases stand when all is done.
const ALL_COMPLETED: [&str; 6] = ["completed"; 6];

/// The results of the only run without what is measured and not computed.
fn results(place: &Workplace) -> Value {
    let mut results: Value =
        serde_json::from_str(&place.read(&format!("{}/final_results.json", place.run()))).expect("results are JSON");
    for (_, set) in results["datasets"].as_object_mut().expect("data sets") {
        set.as_object_mut()
            .expect("a data set")
            .remove("efficiency")
            .expect("efficiency was measured");
    }
    results
}

/// The plan that a dry run reports.
fn plan(place: &Workplace, environment: &[(&str, &str)], arguments: &[&str]) -> Value {
    let arguments = [arguments, &["-n", "--json"]].concat();
    let ended = place.jumar_with(environment, &arguments).code(0);
    serde_json::from_str(&ended.stdout).expect("a plan is JSON")
}

/// The value of a parameter in a plan.
fn value<'a>(plan: &'a Value, name: &str) -> &'a Value {
    &plan["parameters"][name]["value"]
}

#[test]
fn in_an_empty_directory_all_six_phases_complete_and_leave_results_and_tables() {
    let place = Workplace::new();
    let ended = place.jumar(&["run"]).code(0);
    let run = place.run();
    assert_eq!(
        ended.stdout,
        format!("{run}\n"),
        "standard output is the run directory, nothing else"
    );

    let grepped = place
        .bash("grep -c '=completed' runs/small_*/.experiment_state")
        .code(0);
    assert_eq!(grepped.stdout, "6\n");
    assert_eq!(place.standing(), ALL_COMPLETED);
    assert_eq!(place.attempts(), [1; 6]);
    let expected = format!("{run}/checkpoint/epoch23");
    assert_eq!(place.value("checkpoints", "checkpoint_path"), Some(expected));
    assert_eq!(place.value("checkpoints", "final_epoch").as_deref(), Some("23"));
    assert_eq!(place.value("failures", "failure_count").as_deref(), Some("0"));

    let results = results(&place);
    for set in ["clean", "noisy", "short", "shifted"] {
        let model = &results["datasets"][set]["model"];
        let (accuracy, majority) = (model["accuracy"].as_f64(), model["majority_accuracy"].as_f64());
        assert!(
            accuracy > majority,
            "{set}: a trained model beats the most frequent answer: {model}"
        );
        assert_eq!(model["seeds"], serde_json::json!([42, 123, 456]));
        for table in ["final_results.md", "final_results.tex"] {
            assert!(
                place.read(&format!("{run}/{table}")).contains(set),
                "{table} has a row for {set}"
            );
        }
    }
    for log in [
        "eval_clean_seed42.log",
        "eval_shifted_seed456.log",
        "phase2_linear_probe.log",
        "aggregation.log",
    ] {
        assert!(!place.read(&format!("{run}/logs/{log}")).is_empty(), "{log}");
    }
    assert!(!ended.stderr.contains('\u{1b}'), "no colour codes on a pipe");

    place.jumar(&["resume"]).code(0);
    assert_eq!(place.attempts(), [1; 6], "nothing that is completed runs again");
}

#[test]
fn the_numbers_are_those_of_the_seed() {
    let with = |environment: &[(&str, &str)]| {
        let place = Workplace::small();
        place.jumar_with(environment, &["run"]).code(0);
        results(&place)
    };
    let first = with(&[]);
    assert_eq!(first, with(&[]), "the same seeds give the same numbers");
    assert_ne!(first, with(&[("SEEDS", "43")]), "another evaluation seed gives others");
    assert_ne!(
        first,
        with(&[("TRAIN_SEED", "43")]),
        "another training seed gives others"
    );
}

#[test]
fn quick_is_the_whole_pipeline_with_small_parameters() {
    let place = Workplace::new();
    place.jumar(&["run", "quick"]).code(0);
    assert_eq!(place.standing(), ALL_COMPLETED);
    for (name, value) in [
        ("mode", "quick"),
        ("training_samples", "100"),
        ("training_epochs", "2"),
        ("seeds", "[42]"),
        ("batch_size", "4"),
    ] {
        assert_eq!(place.value("params", name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(place.value("params", "datasets").as_deref(), Some("[\"clean\"]"));
}

#[test]
fn train_trains_and_eval_does_the_rest_with_the_checkpoint_it_is_given() {
    let place = Workplace::small();
    place.jumar(&["run", "train", "--run-dir", "runs/trained"]).code(0);
    assert_eq!(place.standing(), ["completed", "-", "-", "-", "-", "-"]);

    let checkpoint = "runs/trained/checkpoint/epoch0";
    let ended = place
        .jumar(&["run", "eval", "--run-dir", "evaluated", "--checkpoint", checkpoint])
        .code(0);
    assert!(!ended.stderr.contains("training"), "{}", ended.stderr);
    let state = place.read("evaluated/.experiment_state");
    let of = |section: &str, key: &str| common::value_in(&state, section, key);
    assert_eq!(of("phases", "training"), None);
    assert!(
        PHASES[1..]
            .iter()
            .all(|phase| of("phases", phase).as_deref() == Some("completed")),
        "{state}"
    );
    assert_eq!(of("checkpoints", "checkpoint_path").as_deref(), Some(checkpoint));
    let result = place.read("evaluated/results/clean_seed42.json");
    let result: Value = serde_json::from_str(&result).expect("a result is JSON");
    assert_eq!(result["epoch"], 0, "the given checkpoint was evaluated, not another");
}

#[test]
fn finalize_and_experiment_plan_all_six_phases_and_an_unknown_mode_is_refused_by_name() {
    let place = Workplace::small();
    for words in [
        vec!["run", "finalize"],
        vec!["run", "experiment"],
        vec!["experiment"],
        vec!["run", "--mode", "finalize"],
    ] {
        let plan = plan(&place, &[], &words);
        let phases = plan["phases"].as_array().expect("phases");
        let names: Vec<&str> = phases.iter().filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(names, PHASES, "{words:?}");
        assert!(phases.iter().all(|p| p["runs"] == true), "{words:?}");
    }
    let refused = place.jumar(&["run", "finalise"]).code(2);
    assert!(
        refused.stderr.contains("did you mean `finalize`?"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_phase_is_run_alone_by_number_and_by_name() {
    for (asked, ran) in [
        ("3", "phase3_baselines"),
        ("phase3_baselines", "phase3_baselines"),
        ("training", "training"),
    ] {
        let place = Workplace::small();
        place.jumar(&["run", "--phase", asked]).code(0);
        for (phase, standing) in PHASES.iter().zip(place.standing()) {
            assert_eq!(
                standing,
                if *phase == ran { "completed" } else { "pending" },
                "--phase {asked}: {phase}"
            );
        }
    }
    let place = Workplace::small();
    let refused = place.jumar(&["run", "--phase", "7"]).code(2);
    assert!(refused.stderr.contains("phase4_efficiency (4)"), "{}", refused.stderr);
    assert!(
        place.runs().is_empty(),
        "nothing was made for a phase that does not exist"
    );
}

#[test]
fn dataset_narrows_the_evaluations_and_batch_size_sets_both_batch_sizes() {
    let place = Workplace::new();
    let narrowed = plan(&place, &[], &["run", "--dataset", "noisy"]);
    for phase in narrowed["phases"].as_array().expect("phases") {
        let commands: Vec<&str> = phase["commands"]
            .as_array()
            .expect("commands")
            .iter()
            .filter_map(|c| c["command"].as_str())
            .collect();
        let of_sets = commands.iter().filter(|c| c.contains("--dataset "));
        assert!(of_sets.clone().all(|c| c.contains("--dataset noisy ")), "{commands:?}");
    }
    let both = plan(&place, &[], &["run", "--batch-size", "2"]);
    assert_eq!(
        (value(&both, "batch_size"), value(&both, "eval_batch_size")),
        (&2.into(), &2.into())
    );
    let each = plan(&place, &[], &["run", "--batch-size", "2", "--eval-batch-size", "5"]);
    assert_eq!(
        (value(&each, "batch_size"), value(&each, "eval_batch_size")),
        (&2.into(), &5.into())
    );
    let exported = plan(&place, &[("BATCH_SIZE", "2")], &["run"]);
    assert_eq!(
        (value(&exported, "batch_size"), value(&exported, "eval_batch_size")),
        (&2.into(), &16.into())
    );
}

#[test]
fn a_given_checkpoint_takes_the_place_of_the_training_and_serves_a_phase_that_runs_alone() {
    let place = Workplace::small();
    place.jumar(&["run", "train", "--run-dir", "trained"]).code(0);
    let checkpoint = "trained/checkpoint/epoch0";

    place.jumar(&["run", "--checkpoint", checkpoint]).code(0);
    assert_eq!(place.standing(), ALL_COMPLETED);
    assert!(
        !place.exists(&format!("{}/checkpoint", place.run())),
        "nothing was trained"
    );
    assert_eq!(
        place.value("checkpoints", "checkpoint_path").as_deref(),
        Some(checkpoint)
    );

    place
        .jumar(&["run", "--phase", "3", "--run-dir", "alone", "--checkpoint", checkpoint])
        .code(0);
    assert!(
        !place.exists("alone/checkpoint"),
        "nothing was trained for the phase either"
    );

    let before = place.listing();
    let missing = place.jumar(&["run", "--checkpoint", "nowhere"]).code(2);
    assert!(
        missing
            .stderr
            .contains("--checkpoint: checkpoint nowhere does not exist"),
        "{}",
        missing.stderr
    );
    assert_eq!(place.listing(), before);
    place.write("empty/model.json", "");
    let empty = place.jumar(&["run", "--checkpoint", "empty"]).code(2);
    assert!(
        empty.stderr.contains("--checkpoint: checkpoint empty is empty"),
        "{}",
        empty.stderr
    );
}

#[test]
fn skip_train_takes_the_checkpoint_that_is_there_and_fails_where_there_is_none() {
    let place = Workplace::small();
    let failed = place.jumar(&["run", "--skip-train", "--run-dir", "bare"]).code(1);
    assert!(
        failed.stderr.contains("no checkpoint has been recorded"),
        "{}",
        failed.stderr
    );
    assert!(failed.stderr.contains("--checkpoint PATH"), "{}", failed.stderr);

    place.jumar(&["run"]).code(0);
    place
        .bash("sed -i 's/^training=completed/training=pending/' runs/small_*/.experiment_state")
        .code(0);
    let resumed = place.jumar(&["run", "--resume", &place.run(), "--skip-train"]).code(0);
    assert!(resumed.stderr.contains("training: left out"), "{}", resumed.stderr);
    assert_eq!(place.standing(), ALL_COMPLETED);
    let epochs = format!("ls {}/logs/training_*", place.run());
    assert_eq!(
        place.bash(&epochs).code(0).stdout.lines().count(),
        1,
        "it was trained once"
    );
}

#[test]
fn a_dry_run_writes_nothing_and_shows_plan_parameters_and_commands() {
    let place = Workplace::small();
    let before = place.listing();
    let shown = place
        .jumar_with(&[("BATCH_SIZE", "4")], &["run", "-n", "--seeds", "7,8", "-p", "d_z=4"])
        .code(0)
        .stdout;
    assert_eq!(place.listing(), before, "nothing was written");
    let line = |start: &str| {
        let found = shown.lines().find(|line| line.trim_start().starts_with(start));
        found
            .unwrap_or_else(|| panic!("no line begins with {start}:\n{shown}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("batch_size "), "batch_size 4 environment BATCH_SIZE");
    assert_eq!(line("seeds "), "seeds [7,8] option");
    assert_eq!(line("d_z "), "d_z 4 -p");
    assert_eq!(line("latent_len "), "latent_len 8 default");
    for phase in PHASES {
        let planned = |line: &str| line.starts_with(&format!("  {phase}")) && line.ends_with(": runs");
        assert!(shown.lines().any(planned), "{phase} runs:\n{shown}");
    }
    for program in [
        "train",
        "evaluate",
        "bootstrap",
        "linear_probe",
        "token_compression",
        "token_budget",
        "efficiency",
        "aggregate",
    ] {
        assert!(
            shown.contains(&format!("/small/{program}.py --")),
            "the command of {program}:\n{shown}"
        );
    }
    assert!(shown.contains("[eval_noisy_seed8] $ python3"), "{shown}");

    place.jumar(&["run", "--until", "phase1_statistical"]).code(0);
    let before = place.listing();
    let shown = place.jumar(&["resume", "-n"]).code(0).stdout;
    assert!(shown.contains("training: completed; not run again"), "{shown}");
    assert!(shown.contains("phase2_linear_probe (2): runs"), "{shown}");
    assert_eq!(place.listing(), before, "the dry run of a resume writes nothing either");
}

#[test]
fn a_training_that_runs_out_of_memory_fails_honestly_and_goes_on_with_a_smaller_batch() {
    let place = Workplace::new()
        .env("TRAINING_EPOCHS", "2")
        .env("DATASETS", "clean")
        .env("BOOTSTRAP_SAMPLES", "100");
    let place = place.env("SMALL_MEMORY_MB", "64").env("SEEDS", "42");
    let failed = place.jumar(&["run"]).code(1);
    let (run, state_file) = (place.run(), place.state_file());

    assert_eq!(
        place.standing(),
        ["failed", "pending", "pending", "pending", "pending", "pending"]
    );
    assert_eq!(place.attempts(), [1, 0, 0, 0, 0, 0]);
    for (key, value) in [
        ("failure_count", "1"),
        ("last_failure", "training"),
        ("last_failure_kind", "oom_host"),
    ] {
        assert_eq!(place.value("failures", key).as_deref(), Some(value), "{key}");
    }
    assert!(
        place
            .value("failures", "last_failure_error")
            .is_some_and(|error| error.contains("MemoryError"))
    );
    assert!(
        place
            .value("failures", "last_failure_time")
            .is_some_and(|time| !time.is_empty())
    );

    // The guide's words.
    let heading = "FAILURE RECOVERY INSTRUCTIONS\n========================================\n\
                   The experiment has failed but state has been saved.\n";
    let steps = "This will:\n  1. Skip already completed phases\n  2. Re-attempt the failed phase\n  \
                 3. Continue with remaining phases\n";
    assert!(failed.stderr.contains(heading), "{}", failed.stderr);
    assert!(failed.stderr.ends_with(steps), "{}", failed.stderr);
    assert!(failed.stderr.contains("Kind:    oom_host: "), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("  | MemoryError\n"),
        "the log's last line is shown: {}",
        failed.stderr
    );
    assert!(
        place
            .bash(&format!("tail -n 1 {run}/logs/training_*.log"))
            .stdout
            .starts_with("MemoryError")
    );
    for phase in &PHASES[1..5] {
        let row = failed
            .stderr
            .lines()
            .find(|line| line.starts_with(phase))
            .expect("a row in the summary");
        assert!(row.contains("pending") && row.ends_with("training failed"), "{row}");
    }

    let (_, after) = failed
        .stderr
        .split_once("To resume from where it failed, run:\n  ")
        .expect("a command to resume");
    let command = after.lines().next().expect("a line");
    assert_eq!(command, format!("BATCH_SIZE=4 jumar resume {state_file}"));
    let status = place.jumar(&["status"]).code(0).stdout;
    assert!(status.ends_with(&format!("to go on: {command}\n")), "{status}");
    assert!(status.contains("hint: memory ran out with batch_size=8"), "{status}");
    place.jumar(&["resume"]).code(1);
    assert_eq!(place.attempts(), [2, 0, 0, 0, 0, 0], "as it is, it fails again");
    assert_eq!(place.value("failures", "failure_count").as_deref(), Some("2"));

    place.bash(command).code(0);
    assert_eq!(place.standing(), ALL_COMPLETED);
    assert_eq!(place.attempts(), [3, 1, 1, 1, 1, 1]);
    assert_eq!(place.value("params", "batch_size").as_deref(), Some("4"));
}

#[test]
fn evaluations_side_by_side_without_a_checkpoint_wait_for_one_training() {
    let place = Workplace::small().breakable();
    place.jumar(&["run", "-q", "-j", "4", "eval"]).code(0);
    assert_eq!(place.calls("train"), 1);
    assert_eq!(place.value("phases", "training_alone").as_deref(), Some("completed"));
    // What was trained belongs to the run: a resume neither trains again nor loses the phase.
    let resumed = place.jumar(&["resume", "--rerun", "phase2_linear_probe"]).code(0);
    assert_eq!(place.calls("train"), 1);
    assert!(resumed.stderr.contains("training_alone"), "{}", resumed.stderr);
}

#[test]
fn of_phases_that_are_asked_for_side_by_side_without_a_training_one_trains_and_the_others_wait() {
    let place = Workplace::small();
    place
        .jumar(&["run", "-q", "-j", "2", "--phase", "2", "--phase", "3"])
        .code(0);
    let logs = place.bash("cat runs/*/logs/*training_alone*").code(0).stdout;
    assert_eq!(logs.matches("training on").count(), 1, "{logs}");
}

#[test]
fn a_damaged_checkpoint_is_said_with_the_command_that_makes_it_again_and_without_a_line_of_the_stock_script() {
    let place = Workplace::small();
    place.jumar(&["run", "-q"]).code(0);
    let model = format!("{}/checkpoint/epoch1/model.json", place.run());
    place.write(&model, &(place.read(&model) + "junk\n"));
    let ended = place.jumar(&["resume", "--phase", "3", "--rerun", "3"]).code(1);
    let said = "`jumar resume --rerun training` makes it again";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(!ended.stderr.contains("<stock>"), "{}", ended.stderr);
}

#[test]
fn values_that_make_no_sense_are_refused_before_anything_starts_and_without_a_line_of_the_script() {
    let place = Workplace::new();
    for (arguments, words) in [
        (&["--batch-size", "0"][..], "error: batch_size is at least 1, not 0"),
        (
            &["--training-epochs", "-1"],
            "error: training_epochs is at least 1, not -1",
        ),
        (
            &["--datasets", "clean,nosy"],
            "error: no data set is called \"nosy\"; there are",
        ),
        (&["--dataset", "sst2"], "error: no data set is called \"sst2\""),
        (&["--seeds", "[]"], "error: seeds is empty"),
        (&["--mode", "fast"], "error: mode is one of"),
    ] {
        let ended = place.jumar(&[&["run"], arguments].concat()).code(2);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("<stock>"), "{}", ended.stderr);
    }
    assert!(place.runs().is_empty());
}
