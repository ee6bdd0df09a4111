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
