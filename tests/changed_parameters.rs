//! A run that goes on with other parameters than it began with.

mod common;

use common::Workplace;
use serde_json::{Value, json};

fn results(place: &Workplace, file: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{}/{file}", place.run()))).expect("results are JSON")
}

/// Changes the state file of the only run as a user does.
fn edit(place: &Workplace, commands: &str) {
    place
        .bash(&format!("sed -i '{commands}' {}", place.state_file()))
        .code(0);
}

#[test]
fn statistics_and_combined_results_hold_the_seeds_and_data_sets_that_were_asked_for_last_and_no_others() {
    let place = Workplace::small();
    place.jumar(&["run", "-q"]).code(0);
    let asked = [("SEEDS", "5"), ("DATASETS", "clean")];
    place
        .jumar_with(&asked, &["resume", "-q", "--rerun", "phase1_statistical"])
        .code(0);

    let summary = results(&place, "results/statistical_summary.json");
    assert_eq!(summary["datasets"]["clean"]["seeds"], json!([5]));
    assert_eq!(summary["datasets"]["noisy"], Value::Null, "{summary}");
    let combined = results(&place, "final_results.json");
    assert_eq!(combined["datasets"]["clean"]["model"]["seeds"], json!([5]));
    assert_eq!(combined["datasets"]["noisy"], Value::Null, "{combined}");
    assert_eq!(combined["incomplete"], json!([]), "{combined}");
}

#[test]
fn seeds_that_were_changed_by_hand_are_the_only_ones_in_the_statistics() {
    let place = Workplace::new();
    place.jumar(&["run", "quick", "-q"]).code(0);
    edit(
        &place,
        "s/^seeds=.*/seeds=[7]/; s/^phase1_statistical=.*/phase1_statistical=pending/",
    );
    place.jumar(&["resume", "-q"]).code(0);
    let summary = results(&place, "results/statistical_summary.json");
    assert_eq!(summary["datasets"]["clean"]["seeds"], json!([7]));
}

#[test]
fn in_latentwire_results_of_other_seeds_are_set_aside_before_the_statistics_and_come_back_with_their_seed() {
    let place = Workplace::latentwire().env("DATASETS", "sst2").env("SEEDS", "42 123");
    place.jumar(&["run", "-q"]).code(0);
    let run = place.run();
    let there = |name: &str| place.exists(&format!("{run}/{name}"));
    place
        .jumar_with(
            &[("SEEDS", "123 5")],
            &["resume", "-q", "--rerun", "phase1_statistical"],
        )
        .code(0);
    assert!(there("results/sst2_seed5.json") && there("results/sst2_seed123.json"));
    assert!(!there("results/sst2_seed42.json"), "the statistics read this directory");
    assert!(there("superseded/sst2_seed42.json"), "nothing is lost");

    place
        .jumar_with(&[("SEEDS", "42")], &["resume", "-q", "--rerun", "phase1_statistical"])
        .code(0);
    assert!(there("results/sst2_seed42.json"));
    assert!(!there("superseded/sst2_seed42.json"));
    assert!(there("superseded/sst2_seed123.json") && there("superseded/sst2_seed5.json"));
}

const TWO_PHASES: &str = r#"
import "std/recovery" as recovery;
let batch = param("batch_size", 8);
let seeds = param("seeds", [42]);
phase("train", #{ on_failure: recovery::halve_on_oom("batch_size", 1) }, || {
    if param("batch_size") > 4 {
        shell("echo 'CUDA out of memory'; exit 1");
    }
});
phase("eval", #{ after: "train" }, || { state.seen.seeds = seeds; });
"#;

/// A parameter that an attempt ran with.
fn ran_with(place: &Workplace, attempt: &str, parameter: &str) -> Value {
    let record = place.value("attempts", attempt).expect("the attempt is recorded");
    serde_json::from_str::<Value>(&record).expect("a record is JSON")["params"][parameter].clone()
}

#[test]
fn each_attempt_records_the_parameters_it_ran_with_also_those_that_a_policy_changed() {
    let place = Workplace::with_script(TWO_PHASES);
    place.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(ran_with(&place, "train.1", "batch_size"), 8);
    assert_eq!(ran_with(&place, "train.2", "batch_size"), 4, "the policy halved it");
    assert_eq!(ran_with(&place, "eval.1", "batch_size"), 8);
    assert_eq!(place.value("params", "batch_size").as_deref(), Some("8"));

    place
        .jumar_with(&[("SEEDS", "7 8")], &["resume", "--rerun", "eval"])
        .code(0);
    assert_eq!(place.seen("seeds"), "[7,8]");
    assert_eq!(ran_with(&place, "eval.1", "seeds"), json!([42]));
    assert_eq!(ran_with(&place, "eval.2", "seeds"), json!([7, 8]));
    assert_eq!(place.value("params", "seeds").as_deref(), Some("[7,8]"));
}

#[test]
fn a_changed_parameter_with_which_no_phase_ran_is_not_recorded_and_that_is_said() {
    let place = Workplace::with_script(TWO_PHASES);
    place.jumar(&["run", "pipeline.rhai"]).code(0);
    let ended = place.jumar_with(&[("SEEDS", "7 8")], &["resume"]).code(0);
    assert_eq!(place.value("params", "seeds").as_deref(), Some("[42]"));
    let said = "no phase ran with seeds=[7,8]: it stays [42] in this run; `--rerun PHASE` runs a phase again with it";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let ended = place.jumar(&["resume"]).code(0);
    assert!(!ended.stderr.contains("seeds"), "{}", ended.stderr);
}

#[test]
fn a_parameter_that_a_person_changes_counts_more_than_what_a_policy_had_come_to() {
    let place = Workplace::with_script(
        r#"
        import "std/recovery" as recovery;
        let batch = param("batch_size", 8);
        phase("train", #{ on_failure: recovery::halve_on_oom("batch_size", 4) }, || {
            if param("batch_size") > 2 {
                shell("echo 'CUDA out of memory'; exit 1");
            }
        });
        "#,
    );
    let ended = place.jumar(&["run", "pipeline.rhai"]).code(1);
    assert_eq!(ran_with(&place, "train.2", "batch_size"), 4);
    let command = format!("BATCH_SIZE=2 jumar resume {}", place.state_file());
    assert!(ended.stderr.contains(&format!("\n  {command}\n")), "{}", ended.stderr);
    place.bash(&command).code(0);
    assert_eq!(ran_with(&place, "train.3", "batch_size"), 2);
}
