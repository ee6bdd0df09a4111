//! Somebody writes into the file while the run is on.

use super::*;

#[test]
fn an_edit_during_the_run_is_obeyed_and_told_once() {
    let mut run = Run::new();
    run.store.commit(phase("train", "completed")).unwrap();
    run.look();
    run.edit("train=completed", "# once more, please\ntrain = pending");
    assert_eq!(
        run.store.refresh().unwrap(),
        ["edited by hand: train=pending (was completed)"]
    );
    assert_eq!(run.store.refresh().unwrap(), Vec::<String>::new());
    assert_eq!(run.status("train"), Some(PhaseStatus::Pending));
    run.store.commit(phase("train", "completed")).unwrap();
    run.look();
    assert!(
        run.text().contains("# once more, please\ntrain = completed\n"),
        "{}",
        run.text()
    );
}

#[test]
fn an_edit_and_an_event_at_once_are_both_kept() {
    let mut run = Run::new();
    run.edit("eval=pending", "eval=skipped\n\n[mine]\nnote=keep me");
    run.store.commit(phase("train", "completed")).unwrap();
    assert_eq!(
        run.look(),
        [
            "edited by hand: eval=skipped (was pending)",
            "edited by hand: [mine] note=keep me (was not there)"
        ]
    );
    assert_eq!(run.status("train"), Some(PhaseStatus::Completed));
    assert_eq!(run.status("eval"), Some(PhaseStatus::Skipped));
    assert!(run.plain().ends_with("eval=skipped\n\n[mine]\nnote=keep me\n"));
}

#[test]
fn a_phase_that_completes_while_it_is_edited_stays_completed() {
    let mut run = Run::new();
    run.edit("train=pending", "train=failed");
    run.store.commit(phase("train", "completed")).unwrap();
    assert!(run.look()[0].contains("kept completed"));
    assert_eq!(run.status("train"), Some(PhaseStatus::Completed));
}

#[test]
fn an_edit_of_the_same_length_is_seen() {
    let mut run = Run::new();
    run.edit("train=pending", "train=skipped");
    run.store.commit(phase("eval", "completed")).unwrap();
    run.look();
    assert_eq!(run.status("train"), Some(PhaseStatus::Skipped));
}

#[test]
fn a_file_broken_during_the_run_is_kept_aside_and_written_anew() {
    let mut run = Run::new();
    run.edit("train=pending", "train=compelted");
    let broken = run.text();
    run.store.commit(phase("eval", "completed")).unwrap();
    let notes = run.look().join("\n");
    assert_eq!(
        fs::read_to_string(run.home.path().join(".experiment_state.rejected-1")).unwrap(),
        broken
    );
    for part in [
        "experiment_state:8:7: `compelted` is not a status",
        "did you mean `completed`",
        "warning: ",
        "the whole edit was set aside as",
        "rejected-1",
    ] {
        assert!(notes.contains(part), "{part:?} is not in {notes}");
    }
    assert_eq!(run.status("train"), Some(PhaseStatus::Pending));
    assert_eq!(run.status("eval"), Some(PhaseStatus::Completed));
    assert_eq!(
        run.names(),
        [
            ".experiment_state",
            ".experiment_state.d",
            ".experiment_state.rejected-1"
        ]
    );
}

#[test]
fn a_file_that_vanished_or_was_emptied_is_written_anew() {
    let mut run = Run::new();
    run.store.commit(phase("train", "completed")).unwrap();
    run.look();
    let before = run.text();
    fs::remove_file(run.file()).unwrap();
    assert!(run.look()[0].contains("written anew"));
    assert_eq!(run.text(), before);
    fs::write(run.file(), "").unwrap();
    run.store.commit(phase("eval", "completed")).unwrap();
    assert!(run.look()[0].contains("written anew"));
    assert_eq!(run.status("train"), Some(PhaseStatus::Completed));
    assert_eq!(run.status("eval"), Some(PhaseStatus::Completed));
}

#[test]
fn a_file_cut_short_does_not_count_as_an_edit() {
    let mut run = Run::new();
    run.store
        .commit(phase("train", "completed").set("results", "accuracy", "0.875"))
        .unwrap();
    run.look();
    let text = run.text();
    // Cut in the middle of a key, of a status, of a version.
    for end in ["accu", "eval=pen", "version=3."] {
        let cut = text.find(end).unwrap() + end.len();
        fs::write(run.file(), &text[..cut]).unwrap();
        assert!(run.look()[0].contains("rejected-"), "{end}");
        assert_eq!(run.text(), text, "{end}");
    }
}

#[test]
fn an_editor_that_leaves_out_the_last_line_end_is_understood() {
    let mut run = Run::new();
    let text = run.text().replacen("train=pending", "train=completed", 1);
    fs::write(run.file(), text.trim_end()).unwrap();
    assert_eq!(
        run.store.refresh().unwrap(),
        ["edited by hand: train=completed (was pending)"]
    );
    assert_eq!(run.status("train"), Some(PhaseStatus::Completed));
}

#[test]
fn a_line_that_is_taken_out_is_gone() {
    let mut run = Run::new();
    run.edit("train=pending\n", "");
    assert_eq!(run.store.refresh().unwrap(), ["removed by hand: train (was pending)"]);
    assert_eq!(run.status("train"), None);
}
