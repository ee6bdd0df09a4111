//! Checkpoints that were saved when jumar could not look, or was about to stop.

mod common;

use common::processes::{keepers_in, kill, processes};
use common::{Workplace, signal, wait_until};

/// Writes an epoch again and again, and says where it began.
const TRAINING: &str = r#"
from=${JUMAR_CHECKPOINT##*epoch}
echo "from: $from"
mkdir -p $JUMAR_RUN_DIR/ckpt
for epoch in 1 2 3 4 5 6 7 8 9; do
    [ $epoch -gt ${from:-0} ] || continue
    echo "$epoch whole" > $JUMAR_RUN_DIR/ckpt/epoch$epoch
    while test -e hold && [ $epoch = $(cat hold) ]; do sleep 0.02; done
done
"#;

fn training(options: &str) -> Workplace {
    let place = Workplace::new();
    place.write("train.sh", TRAINING);
    place.write(
        "p.rhai",
        &format!(
            r#"phase("train", #{{ checkpoints: run.dir + "/ckpt/epoch*"{options} }}, || {{ shell(["bash", "train.sh"]); }});"#
        ),
    );
    place
}

/// Where each start of the training began, as it says itself.
fn starts(place: &Workplace) -> Vec<String> {
    let log = place.read(&format!("{}/logs/train.log", place.run()));
    log.lines()
        .filter_map(|line| line.strip_prefix("from: "))
        .map(String::from)
        .collect()
}

/// The training goes on without jumar from epoch 1 to epoch 5, and then everything is lost.
fn lose_all_but_the_files(place: &Workplace) {
    place.write("hold", "1");
    let mut host = place.start(&["run", "p.rhai"]);
    let written = |epoch: u32| place.exists(&format!("{}/ckpt/epoch{epoch}", place.run()));
    wait_until("the first epoch", || !place.runs().is_empty() && written(1));
    kill(&mut host);
    place.write("hold", "5");
    wait_until("the fifth epoch", || written(5));
    keepers_in(place).iter().for_each(|keeper| keeper.kill());
    let home = place.path().canonicalize().expect("the workplace");
    processes()
        .iter()
        .filter(|p| p.cwd == home && p.arguments.starts_with("bash train.sh"))
        .for_each(|p| p.kill());
    std::fs::remove_file(place.path().join("hold")).expect("removed");
}

#[test]
fn what_was_written_after_jumar_had_gone_is_gone_on_from() {
    let place = training("");
    lose_all_but_the_files(&place);
    place.jumar(&["resume"]).code(0);
    // Nobody knows whether the fifth is whole: its writer was killed.
    assert_eq!(starts(&place), ["", "4"]);
}

#[test]
fn where_complete_when_vouches_for_the_last_one_it_is_gone_on_from() {
    let place = training(r#", complete_when: |path| read_text(path).contains("whole")"#);
    lose_all_but_the_files(&place);
    place.jumar(&["resume"]).code(0);
    assert_eq!(starts(&place), ["", "5"]);
}

#[test]
fn what_an_earlier_run_left_in_the_same_place_is_not_gone_on_from() {
    let place = Workplace::new();
    place.write("train.sh", TRAINING);
    place.write(
        "p.rhai",
        r#"phase("train", #{ checkpoints: "ckpt/epoch*", retries: 1 }, || { shell("JUMAR_RUN_DIR=. bash train.sh; test $JUMAR_ATTEMPT = 2"); });"#,
    );
    for epoch in [1, 2, 3] {
        place.write(&format!("ckpt/epoch{epoch}"), "whole, of another experiment");
    }
    std::thread::sleep(std::time::Duration::from_millis(3200));
    place.write("hold", "none");
    place.jumar(&["run", "p.rhai"]).code(0);
    let first = starts(&place).remove(0);
    assert_eq!(first, "");
}

/// Saves when it is asked to end, and says by its status that it did.
const SAVES_WHEN_ASKED: &str = r#"
echo "from: ${JUMAR_CHECKPOINT##*epoch}"
mkdir -p $JUMAR_RUN_DIR/ckpt
trap 'echo "7 whole" > $JUMAR_RUN_DIR/ckpt/epoch7; exit 143' TERM
echo "1 whole" > $JUMAR_RUN_DIR/ckpt/epoch1
touch ready
while test -e hold; do sleep 0.02; done
"#;

fn stop_while_it_trains(options: &str) -> (Workplace, String) {
    let place = training(options);
    place.write("train.sh", SAVES_WHEN_ASKED);
    place.write("hold", "");
    let host = place.start(&["run", "p.rhai"]);
    wait_until("the training runs", || place.exists("ready"));
    signal(&host, "TERM");
    let ended = common::Ended::from(host.wait_with_output().expect("it ends"));
    let said = ended.code(143).stderr;
    std::fs::remove_file(place.path().join("hold")).expect("removed");
    (place, said)
}

#[test]
fn a_checkpoint_that_was_saved_on_the_way_out_is_gone_on_from() {
    let (place, _) = stop_while_it_trains("");
    place.jumar(&["resume"]).code(0);
    assert_eq!(starts(&place), ["", "7"]);
}

#[test]
fn a_stop_does_not_keep_complete_when_from_its_word() {
    let (place, said) = stop_while_it_trains(
        r#", complete_when: |path| { let n = 0; for i in 0..2000 { n += 1; } read_text(path).contains("whole") }"#,
    );
    assert!(!said.contains("at fault"), "{said}");
    place.jumar(&["resume"]).code(0);
    assert_eq!(starts(&place), ["", "7"]);
}

#[test]
fn falling_back_from_a_broken_checkpoint_is_told_also_where_only_the_environment_names_it() {
    let place = training("");
    place.write("train.sh", &format!("{TRAINING}\n[ $JUMAR_ATTEMPT != 1 ] || exit 1"));
    place.jumar(&["run", "p.rhai"]).code(1);
    let run = place.run();
    place.write(&format!("{run}/ckpt/epoch8"), "8");
    place.write(&format!("{run}/ckpt/epoch9"), "9");
    let said = place.jumar(&["resume"]).code(0).stderr;
    let told = format!(
        "checkpoint {run}/ckpt/epoch8 has changed since it was recorded (8 bytes then, 1 bytes now); falling back to {run}/ckpt/epoch7"
    );
    assert!(said.contains(&told), "{said}");
}
