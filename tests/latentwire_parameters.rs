//! In a LatentWire repository every parameter of the stock pipeline reaches the commands, from wherever it was set.

mod common;

use common::Workplace;
use common::stock::{Call, only};

#[test]
fn every_parameter_is_set_by_the_environment_an_option_p_and_a_file() {
    let parameters = [
        ("source_model", "a/b c", "--llama_id"),
        ("target_model", "d/e", "--qwen_id"),
        ("training_dataset", "trivia", "--dataset"),
        ("training_samples", "11", "--samples"),
        ("training_epochs", "3", "--epochs"),
        ("batch_size", "5", "--batch_size"),
        ("latent_len", "6", "--latent_len"),
        ("d_z", "7", "--d_z"),
    ];
    let check = |place: &Workplace, how: &str| {
        let calls = place.recorded();
        for (name, value, flag) in parameters {
            assert_eq!(only(&calls, "train.py").option(flag), value, "{name} by {how}");
        }
        assert_eq!(place.value("checkpoints", "final_epoch").as_deref(), Some("2"), "{how}");
    };

    let mut place = Workplace::latentwire();
    for (name, value, _) in parameters {
        place = place.env(&name.to_uppercase(), value);
    }
    place.jumar(&["run", "--phase", "training"]).code(0);
    check(&place, "environment");

    let place = Workplace::latentwire();
    let options: Vec<String> = parameters
        .iter()
        .flat_map(|(name, value, _)| [format!("--{}", name.replace('_', "-")), value.to_string()])
        .collect();
    let mut words = vec!["run", "--phase", "training"];
    words.extend(options.iter().map(String::as_str));
    place.jumar(&words).code(0);
    check(&place, "option");

    let place = Workplace::latentwire();
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value, _)| format!("{name}={value}"))
        .collect();
    let mut words = vec!["run", "--phase", "training"];
    words.extend(pairs.iter().flat_map(|pair| ["-p", pair.as_str()]));
    place.jumar(&words).code(0);
    check(&place, "-p");

    let written = |begin: &str, middle: &str, last: &str, end: &str| {
        let of = |(name, value, _): &(&str, &str, &str)| {
            let value = if value.parse::<i64>().is_ok() {
                value.to_string()
            } else {
                format!("\"{value}\"")
            };
            format!("\"{name}\"{middle}{value}")
        };
        format!(
            "{begin}{}{end}",
            parameters.iter().map(of).collect::<Vec<_>>().join(last)
        )
    };
    for (file, text) in [
        ("p.toml", written("", " = ", "\n", "\n")),
        ("p.yaml", written("", ": ", "\n", "\n")),
        ("p.json", written("{", ": ", ",", "}")),
    ] {
        let place = Workplace::latentwire();
        place.write(file, &text);
        place.jumar(&["run", "--phase", "training", "--params", file]).code(0);
        check(&place, file);
    }
}

#[test]
fn of_several_ways_to_set_a_parameter_the_nearest_wins() {
    let place = Workplace::latentwire().env("LATENT_LEN", "1");
    place.write("p.toml", "latent_len = 2\n");
    let latent_len = |words: &[&str]| {
        std::fs::remove_file(place.path().join("calls.jsonl")).ok();
        place.jumar(&[&["run", "--phase", "training"], words].concat()).code(0);
        only(&place.recorded(), "train.py").option("--latent_len").to_string()
    };
    assert_eq!(latent_len(&[]), "1");
    assert_eq!(latent_len(&["--params", "p.toml"]), "2");
    assert_eq!(latent_len(&["--params", "p.toml", "-p", "latent_len=3"]), "3");
    assert_eq!(
        latent_len(&["--params", "p.toml", "-p", "latent_len=3", "--latent-len", "4"]),
        "4"
    );
}

#[test]
fn a_value_of_the_wrong_kind_and_a_parameter_that_there_is_not_are_refused_before_anything_is_made() {
    let place = Workplace::latentwire();
    let before = place.listing();
    let wrong = place.jumar_with(&[("BATCH_SIZE", "four")], &["run"]).code(2);
    assert!(
        wrong.stderr.contains("BATCH_SIZE") && wrong.stderr.contains("four"),
        "{}",
        wrong.stderr
    );
    let unknown = place.jumar(&["run", "-p", "bach_size=4"]).code(2);
    assert!(unknown.stderr.contains("batch_size"), "{}", unknown.stderr);
    assert_eq!(place.listing(), before);
}

#[test]
fn quick_mode_has_small_parameters() {
    let place = Workplace::latentwire();
    place.jumar(&["run", "quick"]).code(0);
    let calls = place.recorded();
    let train = only(&calls, "train.py");
    for (flag, value) in [
        ("--samples", "100"),
        ("--epochs", "2"),
        ("--batch_size", "4"),
        ("--dataset", "squad"),
    ] {
        assert_eq!(train.option(flag), value, "{flag}");
    }
    let evaluations: Vec<&Call> = calls.iter().filter(|c| c.argv.iter().any(|w| w == "--seed")).collect();
    assert_eq!(evaluations.len(), 1);
    assert_eq!(evaluations[0].option("--dataset"), "squad");
    assert_eq!(evaluations[0].option("--seed"), "42");
    assert_eq!(
        evaluations[0].option("--ckpt"),
        format!("{}/checkpoint/epoch1", place.run())
    );
}

#[test]
fn seeds_and_data_sets_are_lists_in_every_spelling_and_xsum_is_not_probed() {
    for (seeds, sets) in [
        ("7 8", "sst2 xsum"),
        ("7,8", "sst2,xsum"),
        ("[7, 8]", "[\"sst2\", \"xsum\"]"),
    ] {
        let place = Workplace::latentwire().env("SEEDS", seeds).env("DATASETS", sets);
        place.jumar(&["run"]).code(0);
        let calls = place.recorded();
        let evaluations: Vec<String> = calls
            .iter()
            .filter(|c| c.argv.iter().any(|w| w == "--seed"))
            .map(|c| format!("{} {} {}", c.argv[0], c.option("--dataset"), c.option("--seed")))
            .collect();
        let expected = [
            "latentwire/eval_sst2.py sst2 7",
            "latentwire/eval_sst2.py sst2 8",
            "latentwire/eval.py xsum 7",
            "latentwire/eval.py xsum 8",
        ];
        assert_eq!(evaluations, expected, "{seeds} {sets}");
        assert_eq!(
            only(&calls, "linear_probe_baseline.py").option("--dataset"),
            "sst2",
            "{sets}"
        );
        assert_eq!(
            only(&calls, "benchmark_efficiency.py").option("--dataset"),
            "squad",
            "{sets}"
        );
    }
}

#[test]
fn dataset_narrows_every_evaluation_and_batch_size_sets_both() {
    let place = Workplace::latentwire().env("SEEDS", "42");
    place
        .jumar(&["run", "--dataset", "agnews", "--batch-size", "2"])
        .code(0);
    let calls = place.recorded();
    for program in ["eval_agnews.py", "linear_probe_baseline.py", "benchmark_efficiency.py"] {
        assert_eq!(only(&calls, program).option("--dataset"), "agnews", "{program}");
    }
    for program in ["train.py", "eval_agnews.py", "linear_probe_baseline.py"] {
        assert_eq!(only(&calls, program).option("--batch_size"), "2", "{program}");
    }
    assert_eq!(
        only(&calls, "train.py").option("--dataset"),
        "squad",
        "the training's data set is its own"
    );
}
