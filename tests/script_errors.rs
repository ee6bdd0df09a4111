//! What is said about scripts that are wrong. Each snapshot is the whole of what the user sees.

mod common;

use common::Workplace;

/// Runs a script and gives back its exit code and everything that was written.
fn said(text: &str) -> String {
    said_with(text, &[])
}

fn said_with(text: &str, modules: &[(&str, &str)]) -> String {
    let workplace = Workplace::new();
    workplace.write("exp.rhai", text);
    for (name, text) in modules {
        workplace.write(name, text);
    }
    workplace.jumar(&["run", "exp.rhai"]).redacted(&workplace)
}

/// The column, counted in cells of a terminal, of a word in the quoted line, and that of the first caret below it.
fn columns(drawn: &str, word: &str) -> (usize, usize) {
    let lines: Vec<&str> = drawn.lines().collect();
    let at = lines
        .iter()
        .position(|l| l.contains(word) && l.contains(" | "))
        .expect("the line is quoted");
    let carets = lines[at + 1];
    let width = |text: &str| -> usize { text.chars().map(|c| if c as u32 > 0x2e7f { 2 } else { 1 }).sum() };
    let before =
        |line: &str, part: &str| width(&line[..line.find(part).unwrap_or_else(|| panic!("no {part} in\n{drawn}"))]);
    (before(lines[at], word), before(carets, "^"))
}

#[test]
fn a_syntax_error_is_shown_at_its_place() {
    insta::assert_snapshot!(said("let a = 1;\nphase(\"train\", || {\n    shell(\"true\"\n});\n"));
}

#[test]
fn a_text_that_is_not_ended_is_shown_at_its_place() {
    insta::assert_snapshot!(said("phase(\"train, || {});\n"));
}

#[test]
fn a_mistyped_function_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(said("phase(\"train\", || {\n    shel(\"true\");\n});\n"));
}

#[test]
fn a_mistyped_function_at_the_top_level_starts_nothing() {
    insta::assert_snapshot!(said(
        "let x = parm(\"batch\", 8);\nphase(\"train\", || { shell(\"true\"); });\n"
    ));
}

#[test]
fn an_unknown_variable_is_named() {
    insta::assert_snapshot!(said(
        "let batch = 8;\nphase(\"train\", || {\n    shell([\"echo\", bacth]);\n});\n"
    ));
}

#[test]
fn a_module_that_was_not_imported_is_answered_with_the_import() {
    insta::assert_snapshot!(said("gpu::setup();\n"));
}

#[test]
fn a_mistyped_option_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(said(
        "phase(\"a\", || ());\nphase(\"train\", #{ afterr: \"a\" }, || ());\n"
    ));
}

#[test]
fn an_option_that_resembles_nothing_is_answered_with_the_list() {
    insta::assert_snapshot!(said(
        "phase(\"train\", || { shell(\"true\", #{ colour: \"red\" }); });\n"
    ));
}

#[test]
fn an_option_of_a_wrong_type_says_what_it_must_be() {
    insta::assert_snapshot!(said("phase(\"train\", #{ gpus: \"two\" }, || ());\n"));
}

#[test]
fn a_timeout_that_is_no_duration_says_how_to_write_one() {
    insta::assert_snapshot!(said("phase(\"train\", #{ timeout: \"soon\" }, || ());\n"));
}

#[test]
fn a_call_with_a_wrong_type_lists_what_can_be_called() {
    insta::assert_snapshot!(said("let name = 7;\nphase(name, || ());\n"));
}

#[test]
fn shell_at_the_top_level_is_refused() {
    insta::assert_snapshot!(said(
        "let head = shell(\"git rev-parse HEAD\");\nphase(\"train\", || ());\n"
    ));
}

#[test]
fn a_phase_declared_twice_is_shown_at_the_second_place() {
    insta::assert_snapshot!(said(
        "phase(\"train\", || ());\nphase(\"eval\", || ());\nphase(\"train\", || ());\n"
    ));
}

#[test]
fn an_unknown_dependency_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(said(
        "phase(\"train\", || ());\nphase(\"eval\", #{ after: \"trian\" }, || ());\n"
    ));
}

#[test]
fn phases_that_wait_for_each_other_are_named_in_a_circle() {
    insta::assert_snapshot!(said(
        "phase(\"a\", #{ after: \"c\" }, || ());\nphase(\"b\", #{ after: \"a\" }, || ());\nphase(\"c\", #{ after: \"b\" }, || ());\n"
    ));
}

#[test]
fn a_phase_that_waits_for_itself_is_named() {
    insta::assert_snapshot!(said("phase(\"a\", #{ after: \"a\" }, || ());\n"));
}

#[test]
fn a_phase_name_that_would_break_the_state_file_is_refused() {
    insta::assert_snapshot!(said("phase(\"a=b\", || ());\n"));
}

#[test]
fn a_module_that_is_not_there_is_named_with_the_place_that_was_looked_at() {
    insta::assert_snapshot!(said("import \"lib/helper\" as helper;\nphase(\"a\", || ());\n"));
}

#[test]
fn a_mistyped_standard_module_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(said("import \"std/recovry\" as recovery;\nphase(\"a\", || ());\n"));
}

#[test]
fn a_syntax_error_in_a_module_is_shown_in_the_module_and_at_the_import() {
    insta::assert_snapshot!(said_with(
        "import \"lib/helper\" as helper;\nphase(\"a\", || ());\n",
        &[("lib/helper.rhai", "fn good() { 1 }\nfn bad( { 2 }\n")]
    ));
}

#[test]
fn an_error_in_a_module_function_is_shown_with_the_calls_that_led_to_it() {
    insta::assert_snapshot!(said_with(
        "import \"lib/helper\" as helper;\nlet x = helper::outer([1]);\nphase(\"a\", || ());\n",
        &[(
            "lib/helper.rhai",
            "fn inner(list) {\n    list[7]\n}\n\nfn outer(list) {\n    inner(list) + 1\n}\n"
        )]
    ));
}

#[test]
fn an_error_in_a_module_closure_inside_a_phase_is_shown_in_the_module() {
    insta::assert_snapshot!(said_with(
        "import \"lib/helper\" as helper;\nlet work = helper::maker();\nphase(\"a\", || {\n    work.call([1]);\n});\n",
        &[("lib/helper.rhai", "fn maker() {\n    |list| list[7]\n}\n")]
    ));
}

#[test]
fn modules_that_import_each_other_are_named_in_a_circle() {
    insta::assert_snapshot!(said_with(
        "import \"a\" as a;\n",
        &[
            ("a.rhai", "import \"b\" as b;\nfn f() { 1 }\n"),
            ("b.rhai", "import \"a\" as a;\nfn g() { 1 }\n")
        ]
    ));
}

#[test]
fn a_caret_stands_under_the_word_after_letters_with_accents() {
    let drawn = said("let s = \"größe naïve\"; parse_int(s);\nphase(\"a\", || ());\n");
    let (word, caret) = columns(&drawn, "parse_int(s)");
    assert_eq!(word, caret, "\n{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn a_caret_stands_under_the_word_after_wide_letters() {
    let drawn = said("let s = \"数据集\"; parse_int(s);\nphase(\"a\", || ());\n");
    let (word, caret) = columns(&drawn, "parse_int(s)");
    assert_eq!(word, caret, "\n{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn a_caret_stands_under_the_word_after_tabs() {
    let drawn = said("phase(\"a\", || {\n\t\tlet x = \"y\";\tparse_int(x);\n});\n");
    let (word, caret) = columns(&drawn, "parse_int(x)");
    assert_eq!(word, caret, "\n{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn an_error_in_a_script_with_windows_line_ends_is_shown_on_its_line() {
    insta::assert_snapshot!(said(
        "let a = \"x\";\r\nlet b = parse_int(a);\r\nphase(\"a\", || ());\r\n"
    ));
}

#[test]
fn a_function_that_calls_itself_for_ever_ends_in_an_error() {
    insta::assert_snapshot!(said("fn f(n) {\n    f(n + 1)\n}\nphase(\"a\", || { f(0) });\n"));
}

#[test]
fn a_top_level_that_calls_itself_for_ever_ends_in_an_error() {
    insta::assert_snapshot!(said("fn f(n) {\n    f(n + 1)\n}\nf(0);\nphase(\"a\", || ());\n"));
}

#[test]
fn what_a_script_throws_is_shown_as_it_was_thrown() {
    insta::assert_snapshot!(said(
        "phase(\"a\", || {\n    throw \"the data set has 3 rows, not 4\";\n});\n"
    ));
}

#[test]
fn an_arithmetic_error_is_shown_at_its_place() {
    insta::assert_snapshot!(said("phase(\"a\", || {\n    let n = 0;\n    1 / n\n});\n"));
}

#[test]
fn what_cannot_be_kept_in_the_state_is_named_with_its_path() {
    insta::assert_snapshot!(said(
        "phase(\"a\", || {\n    state.mine.config = #{ list: [1, || 2] };\n});\n"
    ));
}

#[test]
fn a_script_that_is_not_there_is_named() {
    let workplace = Workplace::new();
    insta::assert_snapshot!(workplace.jumar(&["run", "nowhere.rhai"]).redacted(&workplace));
}

#[test]
fn a_directory_is_no_script() {
    let workplace = Workplace::new();
    workplace.write("folder/file", "");
    insta::assert_snapshot!(workplace.jumar(&["run", "folder"]).redacted(&workplace));
}

#[test]
fn a_script_that_is_no_text_is_refused() {
    let workplace = Workplace::new();
    std::fs::write(workplace.path().join("exp.rhai"), b"let a = 1;\n\xff\xfe").expect("written");
    insta::assert_snapshot!(workplace.jumar(&["run", "exp.rhai"]).redacted(&workplace));
}

#[test]
fn an_empty_script_runs_nothing_and_says_so() {
    insta::assert_snapshot!(said(""));
}

#[test]
fn a_script_without_phases_runs_nothing_and_says_so() {
    insta::assert_snapshot!(said("// only a comment\nlet x = 1;\n"));
}

#[test]
fn an_option_of_a_later_version_is_called_that() {
    let mut all = String::new();
    for option in ["needs: 1", "slurm: #{}", "executor: \"slurm\""] {
        let ended = said(&format!("phase(\"a\", #{{ {option} }}, || ());\n"));
        assert!(ended.starts_with("exit code: 3"), "{ended}");
        all += ended.lines().find(|l| l.contains("error")).expect("an error");
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_mistyped_mode_of_the_stock_pipeline_is_answered_with_the_one_that_was_meant() {
    let workplace = Workplace::new();
    insta::assert_snapshot!(workplace.jumar(&["run", "qiuck"]).redacted(&workplace));
}

#[test]
fn an_error_inside_a_phase_shows_the_script_and_how_to_go_on() {
    insta::assert_snapshot!(said(
        "fn load(path) {\n    read_json(path).accuracy\n}\n\nphase(\"eval\", || {\n    metric(\"accuracy\", load(\"missing.json\"));\n});\n"
    ));
}

#[test]
fn a_metric_that_is_no_number_is_refused() {
    insta::assert_snapshot!(said(
        "phase(\"eval\", || {\n    let high = \"high\";\n    metric(\"accuracy\", high);\n});\n"
    ));
}

#[test]
fn exit_inside_a_phase_fails_it_in_words() {
    let drawn = said("phase(\"a\", || {\n    exit();\n});\n");
    assert!(drawn.contains("exit() would end the whole script"), "{drawn}");
    assert!(drawn.contains("`return` leaves a phase"), "{drawn}");
}

#[test]
fn a_closure_with_a_wrong_number_of_parameters_is_not_named_by_its_inner_name() {
    for text in [
        "phase(\"a\", |x| x);",
        "phase(\"a\", || { step(\"b\", |x| x); });",
        "on_failure(|| fail()); phase(\"a\", || { throw 1; });",
    ] {
        let drawn = said(text);
        assert!(drawn.contains("has the wrong parameters: it is called with"), "{drawn}");
        assert!(!drawn.contains("anon$"), "{drawn}");
    }
}

#[test]
fn a_phase_in_both_arms_of_an_if_is_declared_once() {
    let ended = said("if 1 > 2 { phase(\"a\", || ()); } else { phase(\"a\", || ()); }\n");
    assert!(ended.starts_with("exit code: 0"), "{ended}");
}

#[test]
fn a_phase_whose_script_is_wrong_says_that_a_resume_takes_the_corrected_one() {
    let workplace = Workplace::with_script("phase(\"p\", || { let x = [1]; x[5] });");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    let said = "hint: correct the script first; resume takes the changed one";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}
