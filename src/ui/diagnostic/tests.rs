use proptest::prelude::*;

use super::*;

fn label(text: &str, part: &str, words: &str, primary: bool) -> Label {
    let start = text.find(part).expect("the part is in the text");
    Label {
        span: start..start + part.len(),
        text: words.to_owned(),
        primary,
    }
}

fn diagnostic(text: &str, labels: Vec<Label>) -> Diagnostic {
    let source = Excerpt {
        path: "exp.rhai".to_owned(),
        text: text.to_owned(),
        labels,
    };
    Diagnostic {
        level: Level::Error,
        code: None,
        title: "variable `dta` is not known".to_owned(),
        sources: vec![source],
        notes: Vec::new(),
        helps: Vec::new(),
    }
}

fn plain(diagnostic: &Diagnostic) -> String {
    render(diagnostic, false, None)
}

fn at(text: &str, span: Range<usize>) -> String {
    plain(&diagnostic(
        text,
        vec![Label {
            span,
            text: "here".to_owned(),
            primary: true,
        }],
    ))
}

#[test]
fn an_error_is_drawn_under_its_word() {
    let text = "let data = 1;\nprint(dta);\n";
    let mut diagnostic = diagnostic(text, vec![label(text, "dta", "not declared", true)]);
    diagnostic.code = Some("script".to_owned());
    diagnostic
        .notes
        .push("a phase sees only what was declared before it".to_owned());
    diagnostic.helps.push("did you mean `data`?".to_owned());
    insta::assert_snapshot!(plain(&diagnostic), @"
    error[script]: variable `dta` is not known
     --> exp.rhai:2:7
      |
    2 | print(dta);
      |       ^^^ not declared
      |
      = note: a phase sees only what was declared before it
      = help: did you mean `data`?
    ");
}

#[test]
fn the_caret_stands_right_after_letters_of_several_bytes() {
    let text = "let s = \"größe 日本\"; dta";
    insta::assert_snapshot!(plain(&diagnostic(text, vec![label(text, "dta", "", true)])), @r#"
    error: variable `dta` is not known
     --> exp.rhai:1:21
      |
    1 | let s = "größe 日本"; dta
      |                       ^^^
    "#);
}

#[test]
fn the_caret_stands_right_after_a_tab() {
    let text = "if x {\n\tlet a =\tdta;\n}\n";
    insta::assert_snapshot!(plain(&diagnostic(text, vec![label(text, "dta", "", true)])), @"
    error: variable `dta` is not known
     --> exp.rhai:2:10
      |
    2 |     let a =    dta;
      |                ^^^
    ");
}

#[test]
fn windows_line_ends_leave_no_trace() {
    let text = "let a = 1;\r\nprint(dta);\r\nprint(a);\r\n";
    insta::assert_snapshot!(plain(&diagnostic(text, vec![label(text, "dta", "", true)])), @"
    error: variable `dta` is not known
     --> exp.rhai:2:7
      |
    2 | print(dta);
      |       ^^^
    ");
}

#[test]
fn two_labels_tell_cause_and_place() {
    let text = "fn prepare(dir) {\n    shell(\"tar xf \" + dir);\n}\n\nphase(\"prep\", || {\n    prepare(1);\n});\n";
    let labels = vec![
        label(text, "shell", "ended with status 2", true),
        label(text, "prepare(1)", "in this call to `prepare`", false),
    ];
    insta::assert_snapshot!(plain(&diagnostic(text, labels)), @r#"
    error: variable `dta` is not known
     --> exp.rhai:2:5
      |
    2 |     shell("tar xf " + dir);
      |     ^^^^^ ended with status 2
    ...
    6 |     prepare(1);
      |     ---------- in this call to `prepare`
    "#);
}

#[test]
fn places_in_two_files_are_both_shown() {
    let text = "import \"lib\" as lib;\nlib::go();\n";
    let library = "fn go() {\n    dta\n}\n";
    let mut diagnostic = diagnostic(library, vec![label(library, "dta", "here", true)]);
    diagnostic.sources[0].path = "lib.rhai".to_owned();
    diagnostic.sources.push(Excerpt {
        path: "exp.rhai".to_owned(),
        text: text.to_owned(),
        labels: vec![label(text, "lib::go", "called here", false)],
    });
    insta::assert_snapshot!(plain(&diagnostic), @"
    error: variable `dta` is not known
     --> lib.rhai:2:5
      |
    2 |     dta
      |     ^^^ here
      |
     ::: exp.rhai:2:1
      |
    2 | lib::go();
      | ------- called here
    ");
}

#[test]
fn a_finding_without_a_place_is_a_title_with_its_notes() {
    let mut diagnostic = diagnostic("", Vec::new());
    diagnostic.level = Level::Warning;
    insta::assert_snapshot!(plain(&diagnostic), @"
    warning: variable `dta` is not known
    --> exp.rhai
    ");
    diagnostic.sources.clear();
    insta::assert_snapshot!(plain(&diagnostic), @"warning: variable `dta` is not known");
    diagnostic.helps.push("declare it".to_owned());
    diagnostic.level = Level::Note;
    insta::assert_snapshot!(plain(&diagnostic), @"
    note: variable `dta` is not known
     |
     = help: declare it
    ");
}

#[test]
fn a_span_beyond_the_text_points_behind_its_last_character() {
    let expected = at("let a = (", 9..9);
    insta::assert_snapshot!(expected, @"
    error: variable `dta` is not known
     --> exp.rhai:1:10
      |
    1 | let a = (
      |          ^ here
    ");
    assert_eq!(at("let a = (", 500..900), expected);
    assert_eq!(at("let a = (", usize::MAX..usize::MAX), expected);
    assert_eq!(at("let a = (\n", 500..900), expected);
    assert_eq!(at("let a = (\r\n\r\n", 11..12), expected);
}

#[test]
fn an_empty_file_can_be_pointed_at() {
    insta::assert_snapshot!(at("", 0..0), @"
    error: variable `dta` is not known
     --> exp.rhai:1:1
      |
    1 |
      | ^ here
    ");
    assert_eq!(at("", 3..9), at("", 0..0));
    assert_eq!(at("\n\n", 1..2), at("", 0..0));
}

#[test]
fn a_span_inside_a_character_covers_the_whole_character() {
    assert_eq!(at("größe", 3..4), at("größe", 2..4));
}

#[test]
fn a_span_over_several_lines_is_drawn_beside_them() {
    let text = "phase(\"a\", || {\n    x;\n});\n";
    insta::assert_snapshot!(at(text, 0..text.len() - 1), @r#"
    error: variable `dta` is not known
     --> exp.rhai:1:1
      |
    1 | / phase("a", || {
    2 | |     x;
    3 | | });
      | |___^ here
    "#);
}

#[test]
fn nothing_in_a_diagnostic_can_act_on_the_terminal() {
    let text = "a\u{1b}[2J\u{9b}2J\u{202e}\u{7}dta";
    let mut diagnostic = diagnostic(text, vec![label(text, "dta", "x\u{1b}[2J\ny", true)]);
    diagnostic.title = "t\u{1b}[2J\u{9b}".to_owned();
    diagnostic.code = Some("c\u{1b}".to_owned());
    diagnostic.sources[0].path = "p\u{1b}\n".to_owned();
    diagnostic.notes.push("n\u{1b}".to_owned());
    diagnostic.helps.push("h\u{1b}".to_owned());
    let drawn = plain(&diagnostic);
    assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "{drawn:?}");
    assert!(!drawn.contains('\u{202e}'), "{drawn:?}");
}

#[test]
fn a_long_line_is_trimmed_around_what_is_marked() {
    let text = format!("{}dta{}", "a".repeat(300), "b".repeat(300));
    let drawn = render(&diagnostic(&text, vec![label(&text, "dta", "", true)]), false, Some(80));
    assert!(drawn.contains("dta"), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
}

#[test]
fn colours_say_nothing_that_the_signs_do_not() {
    let text = "print(dta);\n";
    let diagnostic = diagnostic(text, vec![label(text, "dta", "not declared", true)]);
    let colored = render(&diagnostic, true, None);
    assert!(colored.contains('\u{1b}'));
    let stripped = anstream::adapter::strip_str(&colored).to_string();
    let stripped: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(stripped, plain(&diagnostic).lines().collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn no_text_and_no_span_can_make_it_panic(
        text in "[a-c \t\r\nö日\u{1b}\u{9b}\u{200d}]{0,40}",
        spans in proptest::collection::vec((0_usize..60, 0_usize..60, any::<bool>()), 0..4),
        width in proptest::option::of(0_usize..120),
        colored in any::<bool>(),
    ) {
        let labels = spans.into_iter().map(|(start, end, primary)| Label {
            span: start..end,
            text: "here".to_owned(),
            primary,
        });
        let drawn = render(&diagnostic(&text, labels.collect()), colored, width);
        prop_assert!(drawn.starts_with("error") || colored);
    }
}
