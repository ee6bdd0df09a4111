//! What people get wrong when they write their first scripts, and what they are told.

mod common;

use common::Workplace;

/// What `check` says of a script, and its exit code.
fn checked(text: &str) -> (i32, String) {
    let place = Workplace::new();
    place.write("p.rhai", text);
    let ended = place.jumar(&["check", "p.rhai"]);
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}

/// What `run` says of a script, and its exit code.
fn ran(text: &str) -> (i32, String) {
    let place = Workplace::new();
    place.write("p.rhai", text);
    let ended = place.jumar(&["run", "p.rhai"]);
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}

#[track_caller]
fn says(told: &(i32, String), code: i32, parts: &[&str]) {
    for part in parts {
        assert!(told.1.contains(part), "this is not said: {part}\n{}", told.1);
    }
    assert_eq!(told.0, code, "{}", told.1);
}

#[test]
fn a_variable_between_double_quotes_is_warned_of_by_check_and_once_by_run() {
    let text = "let seed = 3;\nphase(\"a\", || {\n    shell(\"echo --seed ${seed} --out x\");\n});\n";
    let told = checked(text);
    let help = "write the text between backticks: `echo --seed ${seed} --out x`";
    says(
        &told,
        0,
        &["`${seed}` is filled in only between backticks", "p.rhai:3:24", help],
    );
    let told = ran(text);
    assert_eq!(
        told.1.matches("is filled in only between backticks").count(),
        1,
        "{}",
        told.1
    );
    assert!(told.1.contains("warning: p.rhai:3:24"), "{}", told.1);
}

#[test]
fn a_policy_for_a_parameter_that_nobody_declares_is_refused_while_planning() {
    let script = |declared: &str, named: &str| {
        format!(
            "import \"std/recovery\" as recovery;\non_failure(recovery::halve_on_oom(\"{named}\", 1));\nlet b = param(\"{declared}\", 8);\nphase(\"a\", || {{ shell(\"true\"); }});\n"
        )
    };
    let told = ran(&script("batch_size", "batchsize"));
    says(
        &told,
        3,
        &[
            "no parameter is called `batchsize`",
            "p.rhai:2:35",
            "did you mean `batch_size`?",
        ],
    );
    assert!(!told.1.contains("started"), "{}", told.1);
    // Declared later is declared.
    says(&ran(&script("batch_size", "batch_size")), 0, &["1/1"]);
}

#[test]
fn a_checkpoint_that_newest_did_not_find_is_refused_in_the_same_words_with_a_map() {
    for call in [
        "checkpoint(newest(\"none*\"))",
        "checkpoint(newest(\"none*\"), #{ loss: 1 })",
    ] {
        let told = ran(&format!("phase(\"a\", || {{ {call}; }});\n"));
        says(
            &told,
            1,
            &["not_found: checkpoint: there is no file to record (`newest` found none)"],
        );
    }
}

#[test]
fn what_a_grid_is_given_wrong_is_shown_at_the_line_of_the_user() {
    let head = "import \"std/sweep\" as sweep;\n";
    let told = checked(&format!("{head}sweep::grid(\"a\", #{{ lr: 0.1 }}, |p| {{ }});\n"));
    says(&told, 3, &["axis `lr` must be a list: lr: [0.1]", "p.rhai:2:8"]);
    assert!(!told.1.contains("<std/"), "{}", told.1);
    let told = checked(&format!("{head}sweep::grid(\"a\", #{{ lr: [0.1] }}, || {{ }});\n"));
    says(&told, 3, &["called with the combination: `|point|", "p.rhai:2:8"]);
    assert!(!told.1.contains("<std/"), "{}", told.1);
    let told = checked(&format!(
        "{head}let k = 1;\nsweep::grid(\"a\", #{{ lr: [0.1] }}, |p| {{ p.lr + k }});\n"
    ));
    says(&told, 0, &["1 phase"]);
}

#[test]
fn closures_with_the_wrong_parameters_are_refused_while_planning() {
    for (text, words) in [
        ("phase(\"a\", |x| x);", "the body of phase `a` has the wrong parameters"),
        (
            "on_failure(|| fail()); phase(\"a\", || 1);",
            "on_failure: the policy has the wrong parameters",
        ),
        (
            "phase(\"a\", #{ on_failure: |a, b| fail() }, || 1);",
            "`on_failure` has the wrong parameters",
        ),
        (
            "phase(\"a\", #{ complete_when: || true }, || 1);",
            "`complete_when` has the wrong parameters",
        ),
    ] {
        says(&checked(text), 3, &[words, "p.rhai:1:"]);
    }
    let good = "let k = 1; fn body() { 1 } fn policy(f) { fail() } on_failure(policy);\nphase(\"a\", || k); phase(\"b\", body); phase(\"c\", Fn(\"body\")); phase(\"d\", #{ on_failure: |f| if k > 0 { fail() } }, || k);";
    says(&checked(good), 0, &["4 phases"]);
}

#[test]
fn literals_that_can_only_fail_are_found_before_anything_runs() {
    for (text, words) in [
        (
            "phase(\"a\", || { shell(42); });",
            "shell: `command` must be a list or a text, not a whole number",
        ),
        (
            "phase(\"a\", || { metric(\"acc\", \"0.5\"); });",
            "metric: `value` must be a number, not a text",
        ),
        (
            "phase(\"a\", || { checkpoint(3); });",
            "checkpoint: `path` must be a text, not a whole number",
        ),
        (
            "let b = param(\"batch_size\", 1); phase(\"a\", || { param(\"batchsize\") });",
            "did you mean `batch_size`?",
        ),
        (
            "phase(\"ab\", || 1); phase(\"b\", || { result(\"aa\") });",
            "no phase is named `aa`",
        ),
        (
            "on_failure(|f| retry(#{ dealy: 3 })); phase(\"a\", || 1);",
            "did you mean `delay`?",
        ),
        (
            "phase(\"a\", || { step(\"x\", || 1);\n step(\"x\", || 2); });",
            "step `x` is there twice in this body (first in line 1)",
        ),
        (
            "import \"std/recovery\" as r; phase(\"a\", || { r::standart() });",
            "did you mean `r::standard`?",
        ),
    ] {
        says(&checked(text), 3, &[words]);
    }
    let told = checked("phase(\"a\", || { shell([\"python3 --version\"]); });");
    let help = "one word a list item: [\"python3\", \"--version\"]";
    says(
        &told,
        0,
        &["`python3 --version` is taken as the name of one program", help],
    );
}

#[test]
fn what_is_only_known_when_the_script_runs_is_not_judged() {
    for text in [
        "import \"std/gpu\" as gpu; const N = 1; fn train() { phase(\"a\", || { param(\"lr\"); result(\"b\") }); }",
        "let n = \"b\"; phase(n, || 1); phase(\"a\", || { result(\"b\") });",
        "let n = \"lr\"; let v = param(n, 1); phase(\"a\", || { param(\"lr\") });",
        "phase(\"a\", || { if true { step(\"x\", || 1) } else { step(\"x\", || 2) } });",
        "phase(\"a\", || { step(\"x\", || 1); }); phase(\"b\", || { step(\"x\", || 1); });",
        "let t = 3; phase(\"a\", || { metric(\"x\", t); sleep(0.01); shell([\"/my tools/x y\"]); shell([\"echo\"]); });",
        "import \"std/sweep\" as s; s::grid(\"a\", #{ x: [1] }, |p| 1); phase(\"b\", || { result(\"a_x1\") });",
    ] {
        let told = checked(text);
        says(&told, 0, &[" phase"]);
        assert!(!told.1.contains("warning"), "{}", told.1);
    }
}

#[test]
fn a_write_to_a_captured_variable_is_warned_of_once_and_at_its_place() {
    let told =
        checked("let x = 1;\nphase(\"a\", || { x += 1; });\nphase(\"b\", || { step(\"c\", || { x = 2; }); });\n");
    says(&told, 0, &["p.rhai:2:17", "p.rhai:3:32", "2 warnings"]);
    assert_eq!(told.1.matches("captured-write").count(), 2, "{}", told.1);
}

#[test]
fn what_is_missing_is_shown_where_it_is_missing() {
    let told = checked("phase(\"a\", || {\n    shell(\"x\")\n    shell(\"y\");\n});\n");
    says(
        &told,
        3,
        &["`;` is missing at the end of this line", "p.rhai:2:15", "line 2"],
    );
    let told = checked("phase(\"a\", || {\n    shell(\"x\");\n    if true {\n        shell(\"y\");\n});\n");
    says(
        &told,
        3,
        &["this `{` is never closed", "p.rhai:3:13", "`}` is needed before this"],
    );
    let told = checked("phase(\"a\", || {\n    shell(\"x\");\n\n// {\n");
    says(&told, 3, &["this `{` is never closed", "p.rhai:1:15"]);
    let told = checked("let l = [1, 2;\nlet m = 3;\n");
    says(
        &told,
        3,
        &["this `[` is never closed", "p.rhai:1:9", "the statement ends before it"],
    );
    let told = checked("let l = [1,\n    2\n    3];\n");
    says(
        &told,
        3,
        &[
            "`,` or a closing bracket is missing at the end of this line",
            "p.rhai:2:6",
        ],
    );
}

#[test]
fn words_of_other_languages_are_answered_with_those_of_rhai() {
    for (text, words) in [
        ("def f() { 1 }", "a function begins with `fn`: fn name(x) { … }"),
        ("let x = None;", "nothing is written `()`"),
        (
            "phase('a', || ());",
            "single quotes hold one character: write a text in double quotes",
        ),
        ("phase('abc', || ());", "write it in double quotes: \"abc\""),
        (
            "import \"std/recovery\" as recovery; on_failure(recovery::standard);",
            "`recovery::standard()` calls it",
        ),
        ("let batch = 1; let x = bacth;", "did you mean `batch`?"),
    ] {
        says(&checked(text), 3, &[words]);
    }
}

#[test]
fn a_property_of_nothing_is_told_of_by_name() {
    for (text, words) in [
        (
            "let best = (); best.lr",
            "`best` is nothing here: it has no property `lr`",
        ),
        ("let m = #{}; m.a.b", "`m.a` is nothing here: it has no property `b`"),
        (
            "fn f() { } f().x",
            "what stands before it is nothing here: it has no property `x`",
        ),
        (
            "let best = (); best.lr = 3;",
            "`best` is nothing here: its property `lr` cannot be set",
        ),
    ] {
        says(&checked(text), 3, &[words]);
    }
}

#[test]
fn a_dry_run_speaks_calmly_of_what_it_cannot_know() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"x\"); read_json(\"x.json\").accuracy });\nphase(\"b\", || {\n    let best = result(\"a\");\n    shell(best.lr);\n});\nphase(\"c\", || { for x in result(\"a\") { } });\nphase(\"d\", || { throw \"the disk () is full\" });\n",
    );
    let told = place.jumar(&["run", "p.rhai", "-n"]).code(0).stdout;
    for words in [
        "what follows is not known yet: it reads x.json",
        "what follows is not known yet: p.rhai:4:16 needs what the commands make",
        "what follows is not known yet: p.rhai:6:26 needs what the commands make",
        "p.rhai:7:17: the disk () is full",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("os error") && !told.contains("cannot"), "{told}");
}

#[test]
fn a_script_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    let place = Workplace::new();
    place.write("pipe.rhai", "");
    place.write("lab/exp.rhai", "");
    std::fs::create_dir(place.path().join("empty")).expect("made");
    let told = place.jumar(&["run", "piep.rhai"]).stderr;
    assert!(
        told.contains("did you mean pipe.rhai?") && !told.contains("os error"),
        "{told}"
    );
    let told = place.jumar(&["run", "lab"]).stderr;
    assert!(told.contains("name a script in it: lab/exp.rhai"), "{told}");
    let told = place.jumar(&["run", "empty"]).stderr;
    assert!(told.contains("`jumar new` writes one"), "{told}");
    place.jumar(&["run", "pipe.rhai", "--run-dir", "r"]);
    let told = place.jumar(&["run", "r"]).stderr;
    assert!(told.contains("it holds a run: jumar resume r"), "{told}");
}

#[test]
fn check_takes_parameters_as_run_does() {
    let place = Workplace::new();
    place.write("p.rhai", "for i in 0..param(\"epochs\", 1) { phase(`e${i}`, || ()); }");
    let phases = |args: &[&str]| place.jumar(args).code(0).stdout;
    assert!(phases(&["check", "p.rhai", "--epochs", "2"]).contains("2 phases"));
    assert!(phases(&["check", "p.rhai", "-p", "epochs=3"]).contains("3 phases"));
    place.write("v.toml", "epochs = 4\n");
    assert!(phases(&["check", "p.rhai", "--params", "v.toml"]).contains("4 phases"));
    let told = place.jumar(&["check", "p.rhai", "--epohcs", "2"]).code(2);
    assert!(told.stderr.contains("--epochs"), "{}", told.stderr);
}

#[test]
fn what_python_would_write_is_answered_with_how_it_is_written_here() {
    let told = checked("let seed = 3;\nphase(\"a\", || { shell(f\"echo {seed}\"); });\n");
    says(&told, 3, &["p.rhai:2:24", "between backticks: `echo ${name}`"]);
    let told = checked("phase(\"a\", || { shell(\"true\", timeout: \"3h\"); });\n");
    says(
        &told,
        3,
        &[
            "p.rhai:1:38",
            "options are one map, behind the other arguments: #{ timeout: … }",
        ],
    );
}

#[test]
fn the_result_of_a_phase_that_nobody_declares_is_refused_before_anything_runs() {
    let told = ran("phase(\"train\", || { 3 });\nphase(\"use\", #{ after: \"train\" }, || { result(\"trian\") });\n");
    says(&told, 3, &["no phase is named `trian`", "did you mean `train`?"]);
}

#[test]
fn a_misspelt_standard_module_is_told_at_its_import_and_not_where_it_is_used() {
    let text = "import \"std/recovry\" as recovery;\nparam(\"batch\", 8);\n\
        phase(\"a\", #{ on_failure: recovery::halve_on_oom(\"batch\", 1) }, || { shell(\"true\"); });\n";
    for told in [checked(text), ran(text)] {
        let words = [
            "there is no module std/recovry",
            "did you mean std/recovery?",
            "p.rhai:1:8",
        ];
        says(&told, 3, &words);
        assert!(!told.1.contains("no function is called"), "{}", told.1);
    }
}

#[test]
fn a_shell_comment_and_a_variable_from_outside_a_function_are_answered_with_what_to_write() {
    let told = checked("# my pipeline\nphase(\"a\", || {});\n");
    says(&told, 3, &["p.rhai:1:1", "a comment begins with `//`"]);
    let told =
        checked("let root = \"/data\";\nfn ls_it() { shell(\"ls \" + root); }\nphase(\"a\", || { ls_it(); });\n");
    says(
        &told,
        3,
        &[
            "no variable is called `root`",
            "a function sees only its parameters (give it `root`",
        ],
    );
    let told =
        ran("const ROOT = \"/\";\nfn ls_it() { shell(\"ls \" + global::ROOT); }\nphase(\"a\", || { ls_it(); });\n");
    says(&told, 0, &[]);
}
