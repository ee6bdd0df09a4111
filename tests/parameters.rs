//! Parameters: where a value may come from, which wins, and what is said when it does not fit.

mod common;

use common::Workplace;

/// A pipeline that writes each parameter down as it sees it.
const SCRIPT: &str = r#"
let batch = param("batch_size", 8, "samples per step");
let rate = param("learning_rate", 0.5);
let name = param("model", "small", "which model");
let seeds = param("seeds", [42, 123]);
let words = param("datasets", ["sst2"]);
let fast = param("fast", false);
let extra = param("extra", #{ a: 1 });
phase("show", #{ help: "writes them down" }, || {
    for key in ["batch_size", "learning_rate", "model", "seeds", "datasets", "fast", "extra"] {
        state.seen[key] = param(key);
        state.source[key] = param_source(key);
    }
    shell("test ! -e stop");
});
"#;

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    workplace.write("pipeline.rhai", SCRIPT);
    workplace
}

/// Runs the pipeline and gives back what it saw of a parameter, with where that came from.
fn seen_with(workplace: &Workplace, arguments: &[&str], key: &str) -> (String, String) {
    let all: Vec<&str> = ["run", "pipeline.rhai", "--run-dir", "r"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    workplace.jumar(&all).code(0);
    let text = workplace.read("r/.experiment_state");
    std::fs::remove_dir_all(workplace.path().join("r")).expect("removed");
    let value = |section| common::value_in(&text, section, key).unwrap_or_else(|| panic!("no {key} in\n{text}"));
    (value("seen"), value("source"))
}

fn seen(workplace: &Workplace, arguments: &[&str], key: &str) -> String {
    seen_with(workplace, arguments, key).0
}

/// Runs the pipeline with a mistake on the command line; gives back what was said.
fn refused(arguments: &[&str]) -> String {
    let workplace = workplace();
    let all: Vec<&str> = ["run", "pipeline.rhai"].iter().chain(arguments).copied().collect();
    let ended = workplace.jumar(&all);
    assert_eq!(ended.code, 2, "{arguments:?} gave {}: {}", ended.code, ended.stderr);
    assert!(!workplace.exists("runs"), "{arguments:?}: nothing may be left behind");
    ended.stderr
}

#[test]
fn the_command_line_wins_over_a_pair_a_file_the_environment_the_record_and_the_default() {
    let workplace = workplace().env("BATCH_SIZE", "4");
    workplace.write("p.toml", "batch_size = 3\n");
    let all = ["--params", "p.toml", "-p", "batch_size=2", "--batch-size", "1"];
    for (arguments, value, source) in [
        (&all[..], "1", "option"),
        (&all[..4], "2", "-p"),
        (&all[..2], "3", "file p.toml"),
        (&[][..], "4", "environment BATCH_SIZE"),
    ] {
        assert_eq!(
            seen_with(&workplace, arguments, "batch_size"),
            (value.into(), source.into()),
            "{arguments:?}"
        );
    }
    let plain = self::workplace();
    assert_eq!(seen_with(&plain, &[], "batch_size"), ("8".into(), "default".into()));
}

#[test]
fn a_resumed_run_keeps_what_it_recorded_unless_it_is_told_otherwise() {
    let workplace = workplace();
    workplace.write("stop", "");
    workplace
        .jumar(&[
            "run",
            "pipeline.rhai",
            "--batch-size",
            "5",
            "-p",
            "model=large",
            "--seeds",
            "7",
        ])
        .code(1);
    let ended = workplace.jumar(&["resume"]).code(1);
    assert_eq!(workplace.value("seen", "batch_size").as_deref(), Some("5"));
    assert_eq!(workplace.value("source", "batch_size").as_deref(), Some("recorded"));
    assert_eq!(workplace.value("seen", "model").as_deref(), Some("large"));
    assert_eq!(workplace.value("seen", "seeds").as_deref(), Some("[7]"));
    assert_eq!(
        workplace.value("param_sources", "batch_size.from").as_deref(),
        Some("option"),
        "the source is kept"
    );
    assert!(
        !ended.stderr.contains("in this run"),
        "nothing changed: {}",
        ended.stderr
    );

    let mut resume = workplace.command(&["resume"]);
    let ended = common::Ended::from(resume.env("BATCH_SIZE", "2").output().expect("jumar starts")).code(1);
    assert!(
        ended
            .stderr
            .contains("batch_size is 2 (environment BATCH_SIZE); it was 5 in this run"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.value("params", "batch_size").as_deref(), Some("2"));

    std::fs::remove_file(workplace.path().join("stop")).expect("removed");
    workplace.jumar(&["resume", "--batch-size=9"]).code(0);
    assert_eq!(workplace.value("seen", "batch_size").as_deref(), Some("9"));
    assert_eq!(workplace.value("seen", "model").as_deref(), Some("large"));
}

#[test]
fn a_changed_default_does_not_change_a_run_that_has_begun() {
    let workplace = workplace();
    workplace.write("stop", "");
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    workplace.write(
        "pipeline.rhai",
        &SCRIPT.replace("\"batch_size\", 8", "\"batch_size\", 16"),
    );
    std::fs::remove_file(workplace.path().join("stop")).expect("removed");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.value("seen", "batch_size").as_deref(), Some("8"));
}

#[test]
fn a_file_of_parameters_may_be_toml_yaml_or_json() {
    let workplace = workplace();
    workplace.write(
        "p.toml",
        "batch-size = 3\nlearning_rate = 2\nmodel = \"large\"\nseeds = [1, 2]\nfast = true\n[extra]\nb = 2\n",
    );
    workplace.write(
        "p.yaml",
        "batch_size: 3\nlearning_rate: 2\nmodel: large\nseeds: [1, 2]\nfast: true\nextra:\n  b: 2\n",
    );
    workplace.write(
        "p.json",
        r#"{"batch_size": 3, "learning_rate": 2, "model": "large", "seeds": [1, 2], "fast": true, "extra": {"b": 2}}"#,
    );
    for file in ["p.toml", "p.yaml", "p.json"] {
        for (key, value) in [
            ("batch_size", "3"),
            ("learning_rate", "2.0"),
            ("model", "large"),
            ("seeds", "[1,2]"),
            ("fast", "true"),
            ("extra", "{\"b\":2}"),
        ] {
            assert_eq!(seen(&workplace, &["--params", file], key), value, "{file} {key}");
        }
    }
}

#[test]
fn a_file_of_parameters_that_is_wrong_is_named_with_what_is_wrong() {
    let said = refused(&["--params", "nowhere.toml"]);
    assert!(said.contains("cannot read nowhere.toml"), "{said}");
    for (file, text, why) in [
        ("p.toml", "batch_size = ", "p.toml"),
        ("p.json", "{\"batch_size\": }", "line 1 column 16"),
        ("p.yaml", "batch_size: [1", "p.yaml"),
        ("p.json", "[1]", "it must be a map of names and values"),
        (
            "p.txt",
            "batch_size=1",
            "its name must end in .toml, .yaml, .json or .ini",
        ),
        (
            "p.toml",
            "batch_size = \"many\"",
            "must be a whole number, not `many` (from p.toml)",
        ),
    ] {
        let workplace = workplace();
        workplace.write(file, text);
        let ended = workplace.jumar(&["run", "pipeline.rhai", "--params", file]);
        assert_eq!(ended.code, 2, "{file}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{file} {text}: {}", ended.stderr);
        assert!(!workplace.exists("runs"));
    }
}

#[test]
fn a_key_in_the_file_that_no_parameter_has_is_warned_of() {
    let workplace = workplace();
    workplace.write("p.toml", "batchsize = 3\n");
    let ended = workplace.jumar(&["run", "pipeline.rhai", "--params", "p.toml"]).code(0);
    assert!(
        ended
            .stderr
            .contains("the script has no parameter `batchsize`; did you mean `batch_size`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_list_may_be_spelt_in_three_ways() {
    let workplace = workplace();
    for text in ["42 7", "42,7", "[42, 7]", " 42 , 7 "] {
        assert_eq!(seen(&workplace, &["--seeds", text], "seeds"), "[42,7]", "{text:?}");
        assert_eq!(
            seen(&workplace, &["-p", &format!("seeds={text}")], "seeds"),
            "[42,7]",
            "{text:?}"
        );
    }
    assert_eq!(seen(&workplace, &["--seeds", "9"], "seeds"), "[9]");
    assert_eq!(
        seen(&workplace, &["--datasets", "sst2,trec"], "datasets"),
        r#"["sst2","trec"]"#
    );
    assert_eq!(
        seen(&workplace, &["--datasets", "7"], "datasets"),
        r#"["7"]"#,
        "the type is that of the default's elements"
    );
    let workplace = workplace.env("SEEDS", "1 2 3");
    assert_eq!(seen(&workplace, &[], "seeds"), "[1,2,3]");
}

#[test]
fn values_have_the_type_of_the_default() {
    let workplace = workplace();
    for (option, value, key, expected) in [
        ("--learning-rate", "1e-4", "learning_rate", "0.0001"),
        ("--learning-rate", "3", "learning_rate", "3.0"),
        ("--model", "7", "model", "\"7\""),
        ("--model", "", "model", ""),
        ("--batch-size", "-1", "batch_size", "-1"),
        ("--fast", "yes", "fast", "true"),
        ("--fast", "0", "fast", "false"),
        ("--extra", "{\"x\": [1]}", "extra", "{\"x\":[1]}"),
    ] {
        assert_eq!(seen(&workplace, &[option, value], key), expected, "{option} {value}");
        assert_eq!(
            seen(&workplace, &[&format!("{option}={value}")], key),
            expected,
            "{option}={value}"
        );
    }
    assert_eq!(seen(&workplace, &["--fast"], "fast"), "true", "a switch needs no value");
    assert_eq!(seen(&workplace, &["--fast", "--batch-size", "2"], "batch_size"), "2");
    assert_eq!(
        seen(&workplace, &["--batch_size", "2"], "batch_size"),
        "2",
        "the name as in the script"
    );
}

#[test]
fn a_value_of_a_wrong_type_says_what_it_must_be_and_where_it_came_from() {
    for (arguments, expected) in [
        (
            &["--batch-size", "many"][..],
            "parameter `batch_size` must be a whole number, not `many` (from --batch-size)",
        ),
        (&["--batch-size", "2.5"], "must be a whole number, not `2.5`"),
        (&["--batch-size", ""], "must be a whole number, not ``"),
        (
            &["-p", "learning_rate=fast"],
            "parameter `learning_rate` must be a number, not `fast` (from -p)",
        ),
        (&["--learning-rate", "nan"], "must be a number, not `nan`"),
        (&["-p", "fast=maybe"], "parameter `fast` must be"),
        (&["--seeds", "1 x"], "or [42, 123]), not `1 x` (from --seeds)"),
        (&["--batch-size"], "`--batch-size` needs a value: a whole number"),
        (&["-p", "batch_size"], "write KEY=VALUE, not `batch_size`"),
    ] {
        let said = refused(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let workplace = workplace().env("BATCH_SIZE", "many");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]);
    assert!(
        ended.stderr.contains("(from the environment variable BATCH_SIZE)"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_unknown_option_is_answered_with_the_one_that_was_meant() {
    for (arguments, expected) in [
        (&["--batchsize", "4"][..], "did you mean `--batch-size`?"),
        (&["-p", "batchsize=4"], "did you mean `batch_size`?"),
        (&["--phas", "show"], "did you mean `--phase`?"),
        (
            &["--wholly-unlike", "4"],
            "`--wholly-unlike` is no option of jumar and no parameter of the script",
        ),
        (
            &["--fast", "oops"],
            "`oops` is no option of jumar and no parameter of the script",
        ),
        (&["-z"], "-z"),
    ] {
        let said = refused(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn an_empty_variable_of_the_environment_counts_as_none() {
    let workplace = workplace().env("BATCH_SIZE", "");
    assert_eq!(seen(&workplace, &[], "batch_size"), "8");
}

#[test]
fn the_last_of_an_option_that_is_given_twice_counts() {
    let workplace = workplace();
    assert_eq!(
        seen(&workplace, &["--batch-size", "1", "--batch-size", "2"], "batch_size"),
        "2"
    );
    assert_eq!(
        seen(&workplace, &["-p", "batch_size=1", "-p", "batch-size=2"], "batch_size"),
        "2"
    );
}

#[test]
fn help_lists_parameters_with_defaults_and_help_and_the_phases() {
    let workplace = workplace();
    let ended = workplace.jumar(&["run", "pipeline.rhai", "--help"]).code(0);
    let rows: Vec<String> = ended
        .stdout
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for row in [
        "--batch-size 8 samples per step",
        "--learning-rate 0.5",
        "--model small which model",
        "--seeds 42,123",
        "--fast false",
        "show writes them down",
    ] {
        assert!(rows.iter().any(|r| r == row), "no `{row}` in\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("--dry-run"), "jumar's own options, too");
    assert!(!workplace.exists("runs"), "help writes nothing");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_dry_run_shows_the_parameters_with_where_they_come_from() {
    let workplace = workplace();
    let ended = workplace
        .jumar(&["run", "pipeline.rhai", "-n", "--batch-size", "3"])
        .code(0);
    let all = ended.stdout + &ended.stderr;
    let line = all
        .lines()
        .find(|l| l.contains("batch_size"))
        .unwrap_or_else(|| panic!("{all}"));
    assert!(line.contains('3') && line.contains("option"), "{line}");
    assert!(!workplace.exists("runs"));
}

#[test]
fn a_parameter_that_cannot_be_one_is_refused() {
    for (text, why) in [
        ("param(\"Batch\", 1);", "use lower-case letters"),
        ("param(\"path\", \"x\");", "the shell's own variable PATH"),
        (
            "param(\"a\", 1); param(\"a\", 2);",
            "is declared twice, with the defaults 1 and 2",
        ),
        ("param(\"a\", || 1);", "cannot be a function"),
        (
            "let n = \"never\"; let x = param(n);",
            "parameter `never` has not been declared",
        ),
    ] {
        let workplace = Workplace::new();
        workplace.write("pipeline.rhai", &format!("{text}\nphase(\"p\", || ());"));
        let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(3);
        assert!(ended.stderr.contains(why), "{text}: {}", ended.stderr);
    }
}

#[test]
fn a_parameter_declared_in_a_module_is_an_option_too() {
    let workplace = Workplace::new();
    workplace.write(
        "pipeline.rhai",
        "import \"lib\" as lib;\nphase(\"p\", || { state.seen.depth = lib::depth(); });",
    );
    workplace.write("lib.rhai", "param(\"depth\", 3);\nfn depth() { param(\"depth\") }");
    workplace.jumar(&["run", "pipeline.rhai", "--depth", "5"]).code(0);
    assert_eq!(workplace.value("seen", "depth").as_deref(), Some("5"));
}

#[test]
fn parameters_are_written_down_with_where_they_came_from() {
    let workplace = workplace();
    workplace.jumar(&["run", "pipeline.rhai", "--batch-size", "3"]).code(0);
    assert_eq!(workplace.value("params", "batch_size").as_deref(), Some("3"));
    assert_eq!(workplace.value("params", "model").as_deref(), Some("small"));
    assert_eq!(
        workplace.value("param_sources", "batch_size.from").as_deref(),
        Some("option")
    );
    assert_eq!(workplace.value("param_sources", "model.from"), None);
}

#[test]
fn a_recorded_value_that_somebody_edited_into_nonsense_is_named_with_its_place() {
    let workplace = workplace();
    workplace.write("stop", "");
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    let file = format!("{}/.experiment_state", workplace.run());
    workplace.write(
        &file,
        &workplace.read(&file).replace("\nbatch_size=8", "\nbatch_size=lots"),
    );
    let ended = workplace.jumar(&["resume"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("must be a whole number, not `lots` (from the state file's [params])"),
        "{}",
        ended.stderr
    );
}
