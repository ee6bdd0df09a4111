use proptest::prelude::*;

use super::super::event::Event;
use super::super::value::encode;
use super::*;

fn parse(text: &str) -> Document {
    Document::parse(text).expect("the text is a state file")
}

fn after(text: &str, event: Event) -> String {
    let mut document = parse(text);
    for change in &event.changes {
        document.apply(change);
    }
    document.to_string()
}

fn event() -> Event {
    Event::new("test")
}

#[test]
fn every_file_of_the_bash_runner_comes_back_to_the_byte() {
    for (name, text) in bash_files() {
        let document = parse(&text);
        assert_eq!(document.to_string(), text, "{name}");
        assert_eq!(document.get("metadata", "version"), Some("3.1.0"), "{name}");
        assert_eq!(document.state().phases().count(), 6, "{name}");
    }
}

#[test]
fn a_key_that_stands_right_above_the_next_header_is_changed_in_place() {
    let (_, text) = bash_files().swap_remove(0);
    let changed = after(&text, event().set("metadata", "last_phase_start", "7"));
    let old = text
        .lines()
        .find(|line| line.starts_with("last_phase_start="))
        .expect("it is there");
    assert_eq!(changed, text.replacen(old, "last_phase_start=7", 1));
}

#[test]
fn an_empty_value_in_the_last_section_is_filled_in() {
    let (_, text) = bash_files().swap_remove(0);
    let changed = after(&text, event().set("failures", "last_failure", "training"));
    assert_eq!(changed, text.replacen("last_failure=\n", "last_failure=training\n", 1));
}

#[test]
fn a_comment_survives_every_rewrite() {
    let text = "; top\n\n[a]\n# about x\nx=1   \n  ; end\n\n\n# about b\n[b]\ny = 2\n\n";
    let changed = after(
        text,
        event()
            .set("a", "x", "3")
            .set("a", "new", "4")
            .set("b", "y", "5")
            .set("c", "z", "6"),
    );
    assert_eq!(
        changed,
        "; top\n\n[a]\n# about x\nx=3   \n  ; end\nnew=4\n\n\n# about b\n[b]\ny = 5\n\n[c]\nz=6\n"
    );
}

#[test]
fn a_new_key_ends_the_last_line_of_a_file_that_does_not_end_in_a_line_end() {
    assert_eq!(after("[a]\nx=1", event().set("a", "y", "2")), "[a]\nx=1\ny=2\n");
    assert_eq!(after("[a]", event().set("a", "y", "2")), "[a]\ny=2\n");
    assert_eq!(after("[a]", event().set("b", "y", "2")), "[a]\n\n[b]\ny=2\n");
    assert_eq!(after("# c", event().set("b", "y", "2")), "# c\n\n[b]\ny=2\n");
    assert_eq!(after("[a]\nx=1", event().set("a", "x", "2")), "[a]\nx=2");
}

#[test]
fn windows_line_ends_and_the_byte_order_mark_stay() {
    let text = "\u{feff}[a]\r\nx=1\r\n";
    assert_eq!(
        after(text, event().set("a", "x", "2").set("b", "y", "3")),
        "\u{feff}[a]\r\nx=2\r\n\r\n[b]\r\ny=3\r\n"
    );
}

#[test]
fn an_empty_file_is_a_state_without_sections() {
    for text in ["", "\n", "# nothing yet\n", "\u{feff}"] {
        assert_eq!(parse(text).state().sections().count(), 0, "{text:?}");
    }
    assert_eq!(after("", event().set("a", "x", "1")), "[a]\nx=1\n");
}

#[test]
fn a_repeated_header_joins_its_sections() {
    let document = parse("[a]\nx=1\n[b]\ny=2\n[a]\nz=3\n");
    assert_eq!(
        document.state().section("a").collect::<Vec<_>>(),
        [("x", "1"), ("z", "3")]
    );
    assert_eq!(document.state().sections().collect::<Vec<_>>(), ["a", "b"]);
    let changed = after("[a]\nx=1\n[b]\ny=2\n[a]\nz=3\n", event().set("a", "new", "4"));
    assert_eq!(changed, "[a]\nx=1\n[b]\ny=2\n[a]\nz=3\nnew=4\n");
}

#[test]
fn a_repeated_key_names_both_lines() {
    let fault = Document::parse("[a]\nx=1\n# c\n[b]\nx=1\n[a]\n  x = 2\n").unwrap_err();
    assert_eq!((fault.line, &fault.text[fault.span.clone()]), (7, "x"));
    assert_eq!(fault.what, "`x` is set twice in [a], the first time in line 2");
}

#[test]
fn keys_before_any_section_are_kept_and_can_be_set() {
    let text = "top=1\n\n[a]\nx=2\n";
    assert_eq!(parse(text).get("", "top"), Some("1"));
    assert_eq!(after(text, event().set("", "more", "3")), "top=1\nmore=3\n\n[a]\nx=2\n");
}

#[test]
fn a_removed_line_leaves_no_trace_and_the_numbers_of_the_others() {
    let mut document = parse("[a]\nx=1\ny=2\n\n[phases]\nt=3\n");
    document.apply(&event().remove("a", "x").changes[0]);
    assert_eq!(document.to_string(), "[a]\ny=2\n\n[phases]\nt=3\n");
    let fault = document.fault_in_value("phases", "t", String::new(), String::new());
    assert_eq!((fault.line, fault.text.as_str(), fault.span), (5, "t=3", 2..3));
}

#[test]
fn comments_for_a_new_file_are_made_comments() {
    let document = Document::with_comments("# one\ntwo\n\n; three");
    assert_eq!(document.to_string(), "# one\n# two\n\n; three\n");
    assert_eq!(document.state(), State::default());
}

#[test]
fn a_hundred_thousand_keys_are_no_burden() {
    let mut document = parse("[phases]\n\n# the end\n[z]\n");
    for round in 0..2 {
        for number in 0..100_000 {
            document.set(
                "phases",
                &format!("p{number}"),
                if round == 0 { "pending" } else { "completed" },
            );
        }
    }
    let text = document.to_string();
    assert_eq!(text.matches("=completed\n").count(), 100_000);
    assert!(text.ends_with("p99999=completed\n\n# the end\n[z]\n"));
}

fn bash_files() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bash-3.1.0");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("a fixture").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "experiment_state")
        })
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(path).expect("a text"),
            )
        })
        .collect();
    assert_eq!(files.len(), 5);
    files.sort();
    files
}

/// Lines of files that people might have, good and bad.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ \t]{0,2}[a-e][ \t]{0,2}=[ \t]{0,2}[a-z=#\"\\\\é \r]{0,6}",
        2 => "[ \t]{0,2}\\[ ?[pqr] ?\\][ \t]{0,2}",
        1 => "[ \t]{0,2}[#;][ -~é\t]{0,8}",
        1 => "[ \t]{0,3}",
        1 => "[ -~é\t\r\u{feff}]{0,6}",
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    let end = prop_oneof![4 => Just("\n"), 1 => Just("\r\n")];
    let lines = prop::collection::vec((any_line(), end), 0..12);
    (any::<bool>(), lines, any::<bool>()).prop_map(|(mark, lines, ended)| {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (line, end) in &lines {
            text.push_str(line);
            text.push_str(end);
        }
        if !ended {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text
    })
}

fn any_change() -> impl Strategy<Value = Change> {
    let section = prop_oneof!["[pqrs]", Just(String::new())];
    let value = prop::option::weighted(0.8, "([!-~é]([ -~é]{0,6}[!-~é])?)?");
    (section, "[a-g]", value).prop_map(|(section, key, value)| Change { section, key, value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2000)))]

    #[test]
    fn whatever_parses_comes_back_to_the_byte(text in any_text()) {
        if let Ok(document) = Document::parse(&text) {
            prop_assert_eq!(document.to_string(), text);
        }
    }

    #[test]
    fn a_fault_points_into_its_line(text in any_text()) {
        if let Err(fault) = Document::parse(&text) {
            let line = text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n').nth(fault.line - 1);
            prop_assert_eq!(line.map(|line| line.strip_suffix('\r').unwrap_or(line)), Some(&fault.text[..]));
            prop_assert!(fault.text.get(fault.span).is_some_and(|part| !part.is_empty()));
        }
    }

    #[test]
    fn a_change_is_read_back_and_touches_no_other_byte(text in any_text(), change in any_change()) {
        let Ok(mut document) = Document::parse(&text) else { return Ok(()) };
        let old = document.get(&change.section, &change.key).map(str::to_owned);
        document.apply(&change);
        prop_assert_eq!(document.get(&change.section, &change.key), change.value.as_deref());
        let changed = document.to_string();
        let read = Document::parse(&changed).map_err(|fault| TestCaseError::fail(format!("{fault:?} in {changed:?}")))?;
        prop_assert_eq!(read.get(&change.section, &change.key), change.value.as_deref());

        let unmarked = |text: &str| text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let (before, now) = (unmarked(&text), unmarked(&changed));
        let before: Vec<&str> = before.split_inclusive('\n').collect();
        let now: Vec<&str> = now.split_inclusive('\n').collect();
        match (old, &change.value) {
            (Some(old), Some(new)) => {
                let different: Vec<_> = before.iter().zip(&now).filter(|(a, b)| a != b).collect();
                prop_assert_eq!(before.len(), now.len());
                prop_assert!(different.len() <= usize::from(&old != new));
                for (a, b) in different {
                    prop_assert_eq!(a.len() + new.len(), b.len() + old.len());
                    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
                    let shared_end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
                    prop_assert!(start + old.len() + shared_end >= a.len());
                }
            }
            (Some(_), None) => prop_assert_eq!(before.len(), now.len() + 1),
            (None, None) => prop_assert_eq!(changed, text),
            (None, Some(_)) => {
                // All lines that were there are still there, in order; at most the last one got its line end.
                let mut rest = now.iter();
                for line in &before {
                    let line = line.trim_end_matches(['\r', '\n']);
                    prop_assert!(rest.any(|other| other.trim_end_matches(['\r', '\n']) == line), "{:?}", changed);
                }
                prop_assert!(now.len() <= before.len() + 3);
            }
        }
    }

    #[test]
    fn the_document_and_the_state_go_the_same_way(
        text in any_text(), changes in prop::collection::vec(any_change(), 0..12)
    ) {
        let Ok(mut document) = Document::parse(&text) else { return Ok(()) };
        let mut state = document.state();
        for change in &changes {
            document.apply(change);
            state.apply(change);
        }
        let read = parse(&document.to_string()).state();
        prop_assert_eq!(&read, &document.state());
        prop_assert_eq!(&read, &state);
        for section in state.sections() {
            prop_assert_eq!(read.section(section).collect::<Vec<_>>(), state.section(section).collect::<Vec<_>>());
        }
    }

    /// There is no `:` in the keys because rust-ini takes it for an equals sign.
    #[test]
    fn another_ini_reader_reads_what_is_written(
        comments in "(# [ -~]{0,6}\n){0,2}",
        values in prop::collection::vec(("[pqrs]?", "[a-g]", prop::option::of(any::<String>())), 0..20)
    ) {
        let mut document = Document::with_comments(&comments);
        for (section, key, value) in values {
            let value = value.map(|text| encode(&text.into()));
            document.apply(&Change { section, key, value });
        }
        let options = ini::ParseOption { enabled_quote: false, enabled_escape: false, ..Default::default() };
        let theirs = ini::Ini::load_from_str_opt(&document.to_string(), options)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let ours = document.state();
        let mut found = 0;
        for (section, keys) in &theirs {
            for (key, value) in keys {
                prop_assert_eq!(ours.get(section.unwrap_or(""), key), Some(value));
                found += 1;
            }
        }
        prop_assert_eq!(found, ours.sections().map(|section| ours.section(section).count()).sum::<usize>());
    }
}
