//! `jumar edit [RUN]`: the state file in the user's editor, checked before it is taken.

mod common;

use common::{Ended, Workplace, value_in, wait_until};

const STATE: &str = "# mine\n[metadata]\nversion=3.2.0\n\n[phases]\nprepare=completed\ntrain=failed\n\n[notes]\nk=v\n";

/// A state file without what ties it to its journal.
fn without_stamp(text: &str) -> String {
    let own = |line: &&str| !line.starts_with("journal=") && *line != "# end of state";
    text.lines().filter(own).map(|line| format!("{line}\n")).collect()
}

/// A run in `r`, and an editor that is this shell script; `$1` is the file.
fn with_editor(editor: &str) -> Workplace {
    let place = Workplace::new();
    place.write("r/.experiment_state", STATE);
    place.write("editor.sh", editor);
    let script = place.path().join("editor.sh");
    place
        .env("VISUAL", &format!("sh {}", script.display()))
        .env("EDITOR", "false")
}

#[test]
fn what_the_editor_saved_is_taken_to_the_byte_and_what_changed_is_shown() {
    let place = with_editor(r#"sed -i 's/train=failed/# I looked\ntrain=completed/; s/^k=v$//' "$1""#);
    let ended = place.jumar(&["edit", "r"]).code(0);
    assert_eq!(
        ended.stdout,
        "[phases] train: failed → completed\n[notes] k: taken out (was v)\n"
    );
    let expected = STATE
        .replace("train=failed", "# I looked\ntrain=completed")
        .replace("k=v\n", "\n");
    assert_eq!(without_stamp(&place.read("r/.experiment_state")), expected);
}

#[test]
fn an_editor_that_changes_nothing_or_fails_leaves_the_file_alone() {
    let place = with_editor("true");
    let ended = place.jumar(&["edit", "r"]).code(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("", "no value was changed\n")
    );
    let place = with_editor(r#"echo "[broken" >> "$1"; exit 3"#);
    let ended = place.jumar(&["edit", "r"]).code(2);
    assert!(ended.stderr.contains("ended with status 3"), "{}", ended.stderr);
    assert_eq!(place.read("r/.experiment_state"), STATE);
}

#[test]
fn a_mistake_is_shown_where_it_is_and_the_editor_opens_again_on_the_same_text() {
    let place = with_editor(
        r#"if grep -q compelted "$1"; then sed -i s/compelted/completed/ "$1"; else sed -i s/train=failed/train=compelted/ "$1"; fi"#,
    );
    let ended = place.piped(&["edit", "r"], "e\n").code(0);
    assert!(ended.stderr.contains("`compelted` is not a status"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(e)dit again"), "{}", ended.stderr);
    assert_eq!(
        without_stamp(&place.read("r/.experiment_state")),
        STATE.replace("train=failed", "train=completed")
    );
}

#[test]
fn a_mistake_that_is_not_mended_changes_nothing_and_the_text_is_not_lost() {
    let place = with_editor(r#"sed -i s/train=failed/train=compelted/ "$1""#);
    let ended = place.piped(&["edit", "r"], "q\n").code(4);
    assert_eq!(place.read("r/.experiment_state"), STATE);
    let kept = ended
        .stderr
        .lines()
        .find_map(|l| l.split_once("your text is in "))
        .expect("it says where")
        .1;
    assert!(
        std::fs::read_to_string(kept)
            .expect("it is there")
            .contains("train=compelted")
    );
    std::fs::remove_file(kept).expect("it goes");
}

#[test]
fn what_somebody_else_wrote_meanwhile_stays() {
    let place = with_editor(
        r#"sed -i s/train=failed/train=completed/ "$1"; printf 'late=1\n' >> "$RUN/.experiment_state"; sed -i s/prepare=completed/prepare=pending/ "$RUN/.experiment_state""#,
    );
    let run = place.path().join("r").display().to_string();
    let place = place.env("RUN", &run);
    place.jumar(&["edit", "r"]).code(0);
    let text = place.read("r/.experiment_state");
    let value = |section: &str, key: &str| value_in(&text, section, key);
    assert_eq!(value("phases", "train").as_deref(), Some("completed"));
    assert_eq!(value("phases", "prepare").as_deref(), Some("pending"));
    assert_eq!(value("notes", "late").as_deref(), Some("1"));
}

#[test]
fn two_who_changed_the_same_key_are_told_and_the_user_decides() {
    let editor =
        r#"sed -i s/train=failed/train=completed/ "$1"; sed -i s/train=failed/train=skipped/ "$RUN/.experiment_state""#;
    for (answer, code, status) in [("q\n", 4, "skipped"), ("m\n", 0, "completed")] {
        let place = with_editor(editor);
        let run = place.path().join("r").display().to_string();
        let place = place.env("RUN", &run).env("TMPDIR", &run);
        let ended = place.piped(&["edit", "r"], answer).code(code);
        assert!(
            ended
                .stderr
                .contains("[phases] train: it was failed, you wrote completed, it is skipped now"),
            "{}",
            ended.stderr
        );
        assert_eq!(
            value_in(&place.read("r/.experiment_state"), "phases", "train").as_deref(),
            Some(status)
        );
    }
}

#[test]
fn the_running_phase_of_a_run_that_is_on_is_not_for_the_editor_but_the_others_are() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        r#"
        phase("a", || { shell("touch started; while ! test -e go; do sleep 0.02; done"); });
        phase("b", || { shell("touch b.txt"); });
        "#,
    );
    place.write("a.sh", r#"sed -i s/^a=in_progress/a=completed/ "$1""#);
    place.write("b.sh", r#"sed -i s/^b=pending/b=skipped/ "$1""#);
    let run = place.start(&["run", "s.rhai", "--run-dir", "r"]);
    wait_until("the first phase has started", || place.exists("started"));
    let temporary = place.path().display().to_string();
    let place = place.env("TMPDIR", &temporary).env("EDITOR", "sh a.sh");
    let refused = place.jumar(&["edit", "r"]).code(2);
    assert!(
        refused.stderr.contains("a is running now, in pid "),
        "{}",
        refused.stderr
    );
    let place = place.env("VISUAL", "sh b.sh");
    let taken = place.jumar(&["edit", "r"]).code(0);
    assert_eq!(taken.stderr, "the run that is on goes on with it\n");
    place.write("go", "");
    let ended: Ended = run.wait_with_output().expect("it ends").into();
    ended.code(0);
    assert!(!place.exists("b.txt"));
}

#[test]
fn a_file_that_lags_behind_its_journal_is_edited_as_the_run_stands_and_that_is_no_conflict() {
    let place = Workplace::with_script("phase(\"a\", || ()); phase(\"b\", || { throw \"bad\" });");
    place.jumar(&["run", "pipeline.rhai", "--run-dir", "r"]).code(1);
    let lagging = place.read("r/.experiment_state");
    place.jumar(&["mark", "r", "b", "--as", "pending"]).code(0);
    place.write("shown", &place.read("r/.experiment_state"));
    place.write("r/.experiment_state", &lagging);
    // While the editor is open the file catches up.
    let (shown, file) = (place.path().join("shown"), place.path().join("r/.experiment_state"));
    place.write(
        "editor.sh",
        &format!(
            "sed -i 's/^b=pending/# mine\\nb=skipped/' \"$1\"; cp {} {}",
            shown.display(),
            file.display()
        ),
    );
    let place = place.env("VISUAL", "sh editor.sh");
    let ended = place.jumar(&["edit", "r"]).code(0);
    assert_eq!(ended.stdout, "[phases] b: pending → skipped\n");
    assert!(!ended.stderr.contains("changed while"), "{}", ended.stderr);
    assert!(place.read("r/.experiment_state").contains("# mine\nb=skipped\n"));
}

#[test]
fn json_lists_each_change() {
    let place = with_editor(r#"sed -i s/train=failed/train=completed/ "$1""#);
    let ended = place.jumar(&["edit", "r", "--json"]).code(0);
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        said["changed"],
        serde_json::json!([{ "section": "phases", "key": "train", "from": "failed", "to": "completed" }])
    );
}
