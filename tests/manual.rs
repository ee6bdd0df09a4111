//! `new`, `docs` and `definitions`: what helps to write a script.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::Workplace;

#[test]
fn a_new_pipeline_passes_check_runs_and_survives_a_rehearsal() {
    let place = Workplace::new();
    assert_eq!(place.jumar(&["new"]).code(0).stdout, "pipeline.rhai\n");
    let checked = place.jumar(&["check", "pipeline.rhai"]).code(0).stdout;
    assert_eq!(checked, "pipeline.rhai: 5 phases, 2 parameters\n");
    let ran = place
        .jumar(&["run", "pipeline.rhai", "--seeds", "3 4 5", "-j", "2"])
        .code(0);
    assert!(ran.stderr.contains("best accuracy: 0.5"), "{}", ran.stderr);
    let rehearsed = place.jumar(&["rehearse", "pipeline.rhai"]).code(0).stdout;
    assert!(rehearsed.contains("all 28 survived"), "{rehearsed}");
}

#[test]
fn a_new_pipeline_is_a_program_that_names_itself_and_overwrites_nothing() {
    let place = Workplace::new();
    assert_eq!(place.jumar(&["new", "my lab"]).code(0).stdout, "'my lab.rhai'\n");
    let text = place.read("my lab.rhai");
    assert!(text.contains("//!     jumar run 'my lab.rhai' "), "{text}");
    let mode = std::fs::metadata(place.path().join("my lab.rhai"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o100, 0o100);
    place.write("mine.rhai", "// mine\n");
    let refused = place.jumar(&["new", "mine.rhai"]).code(2).stderr;
    assert!(refused.contains("mine.rhai is there already"), "{refused}");
    assert_eq!(place.read("mine.rhai"), "// mine\n");
    std::fs::create_dir(place.path().join("lab")).expect("made");
    assert_eq!(place.jumar(&["new", "lab"]).code(0).stdout, "lab/pipeline.rhai\n");
    place.jumar(&["new", "nowhere/at/all.rhai"]).code(4);
}

#[test]
fn docs_list_what_there_is_and_tell_of_one() {
    let place = Workplace::new();
    let all = place.jumar(&["docs"]).code(0).stdout;
    for name in [
        "shell",
        "state",
        "run",
        "recovery::standard",
        "sweep::grid",
        "import \"std/gpu\" as …",
    ] {
        assert!(
            all.lines().any(|l| l == name || l.starts_with(&format!("{name} "))),
            "{name}\n{all}"
        );
    }
    let shell = place.jumar(&["docs", "shell"]).code(0).stdout;
    assert!(shell.starts_with("shell(command: array) -> map\n"), "{shell}");
    assert!(shell.contains("    Runs a command inside a phase"), "{shell}");
    assert_eq!(place.jumar(&["docs", "shell()"]).code(0).stdout, shell);
    let standard = place.jumar(&["docs", "recovery::standard"]).code(0).stdout;
    assert!(
        standard.starts_with("import \"std/recovery\" as recovery;\nrecovery::standard()\n"),
        "{standard}"
    );
    assert_eq!(place.jumar(&["docs", "standard"]).code(0).stdout, standard);
    let module = place.jumar(&["docs", "std/recovery"]).code(0).stdout;
    assert!(
        module.contains("Recovery policies.") && module.contains(standard.trim_end()),
        "{module}"
    );
    assert_eq!(place.jumar(&["docs", "recovery"]).code(0).stdout, module);
}

#[test]
fn docs_of_what_is_not_there_say_what_may_have_been_meant() {
    let place = Workplace::new();
    for (wrong, right) in [
        ("shel", "shell"),
        ("recovery::standart", "recovery::standard"),
        ("std/recovry", "std/recovery"),
    ] {
        let told = place.jumar(&["docs", wrong]).code(2).stderr;
        assert!(told.contains(&format!("did you mean `{right}`?")), "{told}");
    }
}

#[test]
fn docs_are_json_when_asked() {
    let place = Workplace::new();
    let told = place.jumar(&["docs", "metric", "--json"]).code(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!(told[0]["name"], "metric");
    assert_eq!(told[0]["signatures"][0], "metric(name: string, value: number)");
    let told = place.jumar(&["docs", "--json"]).code(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
    assert!(told.as_array().expect("a list").len() > 40);
}

#[test]
fn definitions_are_written_for_editors_and_named() {
    let place = Workplace::new();
    let told = place.jumar(&["definitions", "d"]).code(0).stdout;
    for name in ["d/__static__.d.rhai", "d/jumar.d.rhai", "d/std/recovery.d.rhai"] {
        assert!(told.lines().any(|l| l == name), "{told}");
        assert!(place.read(name).starts_with("module "), "{name}");
    }
    assert!(
        place
            .read("d/jumar.d.rhai")
            .contains("/// Runs a command inside a phase")
    );
    place.write("file", "");
    place.jumar(&["definitions", "file"]).code(4);
}
