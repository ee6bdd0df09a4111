//! `history`, `RUN@N`, `undo`, `fsck`, `unlock` and `--wait`, from outside.

mod common;

use common::{Workplace, wait_until};
use serde_json::Value;

/// A run of two phases, of which the first was set back by hand afterwards.
fn edited_run() -> Workplace {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"echo a >> ran\"); });\nphase(\"b\", || { shell(\"true\"); });\n",
    );
    place.jumar(&["run", "p.rhai"]).code(0);
    edit(&place, "a=completed", "a=pending");
    place
}

fn edit(place: &Workplace, from: &str, to: &str) {
    let text = place.state();
    assert!(text.contains(from), "{text}");
    place.write(&format!("{}/.experiment_state", place.run()), &text.replace(from, to));
}

fn events(place: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let ended = place.jumar(&[&["history", "--json"], arguments].concat()).code(0);
    serde_json::from_str(&ended.stdout).expect("a list")
}

fn what(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|e| e["what"].as_str().expect("a word").to_owned())
        .collect()
}

#[test]
fn history_tells_what_happened_and_who_edited_what() {
    let place = edited_run();
    // The edit is taken in by whoever opens the run next.
    place.jumar(&["undo"]).code(0);
    let all = events(&place, &[]);
    let words = what(&all);
    assert_eq!(words[0], "created");
    assert!(words.contains(&"completed".to_owned()), "{words:?}");
    let edited = all
        .iter()
        .find(|e| e["what"].as_str().is_some_and(|w| w.starts_with("edited outside by ")))
        .expect("an edit");
    assert_eq!(edited["changes"][0]["before"], "completed");
    assert_eq!(edited["changes"][0]["after"], "pending");
    assert!(words.last().expect("an event").starts_with("undid "), "{words:?}");
    let of_b = events(&place, &["--phase", "b"]);
    assert!(!of_b.is_empty() && of_b.len() < all.len());
    assert_eq!(events(&place, &["--since", "1h"]).len(), all.len());
    assert_eq!(events(&place, &["--since", "2100-01-01T00:00"]).len(), 0);
    let table = place.jumar(&["history"]).code(0).stdout;
    assert!(table.contains("a=pending (was completed)"), "{table}");
}

/// The events that a person caused: how, and in words.
fn by_hand(place: &Workplace) -> Vec<(String, String)> {
    let of = |event: &Value| {
        let way = event["by_hand"].as_str()?;
        Some((way.to_owned(), event["what"].as_str()?.to_owned()))
    };
    events(place, &[]).iter().filter_map(of).collect()
}

#[test]
fn each_way_of_editing_says_so_in_the_history_and_undo_takes_it_back() {
    let place = edited_run();
    place.write("editor.sh", "sed -i s/^b=completed/b=skipped/ \"$1\"");
    let place = place.env("EDITOR", "sh editor.sh").env("USER", "ann");
    place.jumar(&["edit"]).code(0);
    place.jumar(&["mark", &place.run(), "a", "--as", "failed"]).code(0);
    place.piped(&["repl"], "phases.b = \"pending\"\n:commit\n").code(0);
    let told = by_hand(&place);
    let ways: Vec<&str> = told.iter().map(|(way, _)| way.as_str()).collect();
    assert_eq!(ways, ["outside", "edit", "mark", "repl"], "{told:?}");
    for ((_, what), words) in told.iter().zip([
        "edited outside by ",
        "edited with edit by ann",
        "marked by ann",
        "committed in repl by ann",
    ]) {
        assert!(what.starts_with(words), "{what}");
    }
    for (phase, status) in [
        ("b", "skipped"),
        ("a", "pending"),
        ("b", "completed"),
        ("a", "completed"),
    ] {
        place.jumar(&["undo"]).code(0);
        assert_eq!(place.value("phases", phase).as_deref(), Some(status));
    }
}

#[test]
fn what_a_command_edits_beside_a_run_that_is_on_says_which_one_and_a_save_by_others_stays_outside() {
    let place = Workplace::with_script(
        "phase(\"a\", || { shell(\"touch begun; while [ ! -e go ]; do sleep 0.02; done\"); });
         for n in [\"b\", \"c\", \"d\"] { phase(n, || { shell(\"true\"); }); }",
    );
    place.write("editor.sh", "sed -i s/^c=pending/c=skipped/ \"$1\"");
    let place = place.env("EDITOR", "sh editor.sh").env("USER", "ann");
    let host = place.start(&["run", "pipeline.rhai"]);
    wait_until("the phase has begun", || place.exists("begun"));
    place.jumar(&["mark", &place.run(), "b", "--as", "skipped"]).code(0);
    place.jumar(&["edit"]).code(0);
    edit(&place, "d=pending", "d=skipped");
    place.write("go", "");
    assert!(host.wait_with_output().expect("it ends").status.success());
    let all = events(&place, &[]);
    for (phase, words) in [
        ("b", "marked by ann"),
        ("c", "edited with edit by ann"),
        ("d", "edited outside by "),
    ] {
        let of =
            |e: &&Value| e["changes"].to_string().contains(&format!("\"key\":\"{phase}\"")) && e["by_hand"].is_string();
        let event = all
            .iter()
            .find(of)
            .unwrap_or_else(|| panic!("no event of {phase}: {all:?}"));
        assert!(event["what"].to_string().contains(words), "{phase}: {event}");
    }
}

#[test]
fn an_edit_is_taken_back_by_undo_and_the_phase_does_not_run_again() {
    let place = edited_run();
    let ended = place.jumar(&["undo"]).code(0);
    assert_eq!(ended.stdout, "a=completed (was pending)\n");
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "a\n");
    let again = place.jumar(&["undo"]).code(4);
    assert!(
        again
            .stderr
            .contains("nothing is taken back: no change by hand stands\n")
            && !again.stderr.contains("hanged"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_run_can_be_read_as_it_was_after_any_event() {
    let place = edited_run();
    let last = events(&place, &[]).last().expect("an event")["event"]
        .as_u64()
        .expect("a number");
    let status_at = |moment: &str| {
        let ended = place
            .jumar(&["status", "--json", &format!("{}@{moment}", place.run())])
            .code(0);
        let json: Value = serde_json::from_str(&ended.stdout).expect("an object");
        json["phases"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|p| p["status"].as_str().expect("a word").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(status_at("1"), ["pending", "pending"]);
    assert_eq!(status_at(&last.to_string()), ["completed", "completed"]);
    assert_eq!(status_at(&format!("-{}", last - 1)), ["pending", "pending"]);
    let ended = place.jumar(&["status", &format!("{}@999", place.run())]).code(4);
    assert!(
        ended.stderr.contains(&format!("from event 0 to {last}")),
        "{}",
        ended.stderr
    );
}

#[test]
fn of_the_past_status_says_how_it_was_and_what_cannot_be_asked_of_it_is_refused_in_words() {
    let place = Workplace::with_script("phase(\"a\", || { shell(\"exit 3\"); }); phase(\"b\", || {});");
    place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(1);
    let all: Vec<Value> =
        serde_json::from_str(&place.jumar(&["history", "r", "--json"]).code(0).stdout).expect("a list");
    let begun = all
        .iter()
        .find(|e| e["changes"].to_string().contains("in_progress"))
        .expect("it began");
    let at = format!("@{}", begun["event"]);
    let shown = place.jumar(&["status", &format!("r{at}")]).code(0).stdout;
    assert!(shown.contains(&format!("then     running then, at {at}\n")), "{shown}");
    assert!(!shown.contains("jumar resume") && !shown.contains("now "), "{shown}");
    let shown = place.jumar(&["status", "r@1"]).code(0).stdout;
    assert!(shown.contains("no phase was running then"), "{shown}");
    for (command, why) in [
        (&["history"][..], "history lists all events: leave out the @1"),
        (&["logs"], "logs are shown as they are now: leave out the @1"),
        (&["resume"], "a run goes on from where it is: leave out the @1"),
        (&["undo"], "leave the @1 out to change it"),
    ] {
        let refused = place.jumar(&[command, &["r@1"]].concat()).code(2);
        let said = refused.stderr + &refused.stdout;
        assert!(said.contains(why), "{command:?}: {said}");
    }
}

#[test]
fn a_file_that_jumar_has_done_nothing_to_has_no_history_and_that_is_no_error() {
    let place = Workplace::new();
    place.write(
        "b.experiment_state",
        include_str!("fixtures/bash-3.1.0/training_failed.experiment_state"),
    );
    let ended = place.jumar(&["history", "b.experiment_state"]).code(0);
    assert_eq!(ended.stderr, "it has no journal yet: nothing that jumar did to it\n");
    assert_eq!(
        place
            .jumar(&["history", "b.experiment_state", "--json"])
            .code(0)
            .stdout
            .trim(),
        "[]"
    );
    let ended = place.jumar(&["status", "b.experiment_state@1"]).code(4);
    assert!(ended.stderr.contains("has no journal yet"), "{}", ended.stderr);
    place.jumar(&["history", "nothing.experiment_state"]).code(2);
}

#[test]
fn fsck_finds_what_is_wrong_changes_nothing_and_mends_it_when_asked() {
    let place = edited_run();
    place.jumar(&["resume"]).code(0);
    place.jumar(&["fsck"]).code(0);
    let file = format!("{}/.experiment_state", place.run());
    let text = place.read(&file);
    place.write(&file, &text[..text.len() / 3]);
    let found = place.jumar(&["fsck", "--json"]).code(4);
    assert!(found.stdout.contains("# end of state"), "{}", found.stdout);
    assert_eq!(place.read(&file), text[..text.len() / 3]);
    place.jumar(&["fsck", "--repair"]).code(0);
    assert!(place.read(&file).contains("a=completed\nb=completed\n"));
    place.jumar(&["fsck"]).code(0);
}

#[test]
fn a_run_in_use_is_refused_waited_for_and_not_unlocked() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"touch begun; while [ ! -e go ]; do sleep 0.02; done\"); });\nphase(\"b\", || { shell(\"echo b >> ran\"); });\n",
    );
    let host = place.start(&["run", "p.rhai"]);
    wait_until("the phase has begun", || place.exists("begun"));
    for arguments in [&["resume"][..], &["unlock"], &["undo"], &["fsck", "--repair"]] {
        let ended = place.jumar(arguments).code(5);
        assert!(ended.stderr.contains("in use by pid"), "{}", ended.stderr);
    }
    // Whoever only looks is not refused.
    place.jumar(&["status"]).code(0);
    place.jumar(&["history"]).code(0);
    let waiting = place.start(&["resume", "--wait"]);
    place.write("go", "");
    for child in [host, waiting] {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(place.read("ran"), "b\n");
    let ended = place.jumar(&["unlock"]).code(0);
    assert!(ended.stderr.contains("nothing to unlock"), "{}", ended.stderr);
}

#[test]
fn what_a_run_recorded_is_told_and_not_only_that_it_did() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        param("batch_size", 16);
        phase("train", #{ on_failure: |f| if f.attempt == 1 { retry(#{ params: #{ batch_size: 8 }, delay: 0.1 }) } }, || {
            if param("batch_size") == 16 { throw "too much"; }
            step("clean", || { shell("mkdir -p ckpt; echo x > ckpt/epoch3"); });
            checkpoint("ckpt/epoch3");
            metric("accuracy", 0.9);
            state.best.seed = 42;
        });
        phase("bad", #{ on_failure: |f| abort("cluster is down") }, || { throw "no"; });
        "#,
    );
    place.jumar(&["run", "p.rhai"]).code(1);
    let table = place.jumar(&["history"]).code(0);
    for (what, about) in [
        ("retry", "train with batch_size=8 after 0.1 s"),
        ("started", "attempt 2 with batch_size=8"),
        ("step", "train/clean"),
        ("checkpoint", "ckpt/epoch3 of train"),
        ("metric", "train.accuracy = 0.9"),
        ("set", "[best] seed=42"),
        ("failed", "script: "),
        ("aborted", "bad: cluster is down"),
    ] {
        let told = |line: &str| line.contains(&format!(" {what} ")) && line.contains(about);
        assert!(table.stdout.lines().any(told), "{what} {about}\n{}", table.stdout);
    }
    assert!(
        !table.stdout.contains("noted") && table.stderr.contains("`--all` shows them"),
        "{}",
        table.stdout
    );
    let all = place.jumar(&["history", "--all"]).code(0);
    assert!(all.stdout.contains("noted") && all.stderr.is_empty(), "{}", all.stdout);
}

#[test]
fn each_resume_with_work_is_an_event_also_two_in_one_second_and_an_undo_names_its_user() {
    let place = edited_run();
    for _ in 0..3 {
        place.jumar(&["resume", "--rerun", "b"]).code(0);
        // With nothing left to do.
        place.jumar(&["resume"]).code(0);
    }
    let resumed = what(&events(&place, &[]))
        .iter()
        .filter(|what| *what == "resumed")
        .count();
    assert_eq!(resumed, 3);
    assert_eq!(place.value("metadata", "resume_count").as_deref(), Some("3"));
    let name = String::from_utf8(place.program("id").arg("-un").output().expect("id starts").stdout).expect("text");
    place.jumar(&["mark", &place.run(), "b", "--as", "pending"]).code(0);
    let undone = place.jumar(&["undo"]).code(0).stderr;
    assert!(undone.contains(&format!("(marked by {})", name.trim())), "{undone}");
}
