//! The state pulled out from under a run by hand: what is truncated, deleted, restored or carried elsewhere ends in a
//! right state, or in a refusal that says what to do.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ended, Workplace, wait_until};

const PRIVATE: &str = "run/.experiment_state.d";
const FILE: &str = "run/.experiment_state";

/// A run of which `a` is completed and `b` waits for a file `ok`; each notes that it ran.
fn half_done() -> Workplace {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"echo a >> ran\"); });\nphase(\"b\", || { shell(\"test -e ok && echo b >> ran\"); });\n",
    );
    place.jumar(&["run", "p.rhai", "--run-dir", "run"]).code(1);
    assert_eq!(place.read("ran"), "a\n");
    place.write("ok", "");
    place
}

fn at(place: &Workplace, name: &str) -> PathBuf {
    place.path().join(name)
}

/// Resumes, and wants both phases completed and each run as often as told.
fn goes_on(place: &Workplace, ran: &str) -> Ended {
    let ended = place.jumar(&["resume", "run"]).code(0);
    assert_eq!(place.read("ran"), ran);
    let text = place.read(FILE);
    for line in ["a=completed", "b=completed"] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{text}");
    }
    ended
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.expect("cp starts").success());
}

#[test]
fn a_state_file_that_was_emptied_or_deleted_is_written_anew() {
    let place = half_done();
    fs::write(at(&place, FILE), "").expect("written");
    let ended = goes_on(&place, "a\nb\n");
    assert!(ended.stderr.contains("written anew"), "{}", ended.stderr);
    let place = half_done();
    fs::remove_file(at(&place, FILE)).expect("removed");
    // `status` names the file that is to be written anew, so that name has to do.
    let told = place.jumar(&["status", "run"]).code(0).stdout;
    assert!(told.contains(&format!("jumar resume {FILE}")), "{told}");
    place.jumar(&["status", FILE]).code(0);
    place.jumar(&["resume", FILE, "-n"]).code(0);
    goes_on(&place, "a\nb\n");
}

#[test]
fn a_state_file_in_which_a_person_must_choose_is_refused_with_both_ways_out_and_each_of_them_works() {
    let place = half_done();
    let text = place.read(FILE);
    place.write(FILE, &text.replace("a=completed\n", "a=completed\na=pending\n"));
    let looked = place.jumar(&["fsck", "run"]).code(4);
    assert!(looked.stdout.contains("`a` is set twice"), "{}", looked.stdout);
    assert!(!looked.stderr.contains("--repair"), "{}", looked.stderr);
    for told in [looked.stderr, place.jumar(&["resume", "run"]).code(4).stderr] {
        assert!(
            told.contains("keep one of the two lines") && told.contains("or remove the file"),
            "{told}"
        );
    }
    fs::remove_file(at(&place, FILE)).expect("removed");
    goes_on(&place, "a\nb\n");
}

#[test]
fn what_is_kept_of_older_journals_takes_the_room_of_what_stands_in_it() {
    let place = half_done();
    for _ in 0..3 {
        place.jumar(&["mark", "run", "a", "--as", "pending"]).code(0);
        place.jumar(&["undo", "run"]).code(0);
    }
    let files = |directory: &str| fs::read_dir(at(&place, directory)).expect("a directory").flatten();
    let journals = files(PRIVATE)
        .chain(files(&format!("{PRIVATE}/history")))
        .filter(|file| file.file_name().to_string_lossy().starts_with("j-"));
    let room: Vec<u64> = journals
        .map(|file| file.metadata().expect("a file").blocks() * 512)
        .collect();
    assert!(room.len() >= 7, "{room:?}");
    assert!(room.iter().all(|bytes| *bytes <= 64 << 10), "{room:?}");
}

#[test]
fn garbage_and_a_cut_file_are_kept_aside_and_the_run_goes_on() {
    for spoil in [
        |_: &[u8]| b"\x7fELF\0\0\xff\xfe garbage\n".to_vec(),
        |text: &[u8]| text[..text.len() * 2 / 3].to_vec(),
        |text: &[u8]| vec![0; text.len()],
    ] {
        let place = half_done();
        let spoilt = spoil(place.read(FILE).as_bytes());
        fs::write(at(&place, FILE), &spoilt).expect("written");
        for command in ["status", "explain"] {
            let told = place.jumar(&[command, "run"]).code(0).stderr;
            assert!(told.contains("this is what the journal says"), "{command}: {told}");
        }
        let ended = goes_on(&place, "a\nb\n");
        assert!(
            ended.stderr.contains("kept as") || ended.stderr.contains("set aside as"),
            "{}",
            ended.stderr
        );
        let aside = fs::read(at(&place, &format!("{FILE}.rejected-1"))).expect("it is kept");
        assert_eq!(aside, spoilt);
    }
}

#[test]
fn windows_line_ends_stay_and_change_nothing_else() {
    let place = half_done();
    let text = place.read(FILE);
    fs::write(at(&place, FILE), text.replace('\n', "\r\n")).expect("written");
    place.jumar(&["resume", "run"]).code(0);
    assert_eq!(place.read("ran"), "a\nb\n");
    let text = place.read(FILE);
    assert!(text.contains("a=completed\r\nb=completed\r\n"), "{text}");
    assert!(!text.replace("\r\n", "").contains('\n'), "{text}");
}

#[test]
fn a_text_that_stands_twice_in_the_file_is_refused_with_the_lines_of_both() {
    let place = half_done();
    let text = place.read(FILE);
    fs::write(at(&place, FILE), text.clone() + &text).expect("written");
    let ended = place.jumar(&["resume", "run"]).code(4);
    for part in ["is set twice", "keep one of the two lines"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(place.read(FILE), text.clone() + &text);
    fs::write(at(&place, FILE), text).expect("written");
    goes_on(&place, "a\nb\n");
}

#[test]
fn a_deleted_journal_is_made_anew_from_the_state_file() {
    let place = half_done();
    fs::remove_dir_all(at(&place, PRIVATE)).expect("removed");
    goes_on(&place, "a\nb\n");
}

#[test]
fn where_both_are_gone_there_is_no_run_and_nothing_is_made() {
    let place = half_done();
    fs::remove_dir_all(at(&place, PRIVATE)).expect("removed");
    fs::remove_file(at(&place, FILE)).expect("removed");
    let ended = place.jumar(&["resume", "run"]);
    assert!(ended.code != 0 && ended.code != 101, "{}", ended.stderr);
    assert!(ended.stderr.contains("run"), "{}", ended.stderr);
    assert!(!place.exists(FILE) && !place.exists(PRIVATE));
    assert_eq!(place.read("ran"), "a\n");
}

#[test]
fn what_a_backup_of_before_does_not_know_runs_again_when_both_came_back() {
    let place = half_done();
    copy(&at(&place, "run"), &at(&place, "backup"));
    goes_on(&place, "a\nb\n");
    copy(&at(&place, "backup"), &at(&place, "run"));
    goes_on(&place, "a\nb\nb\n");
}

#[test]
fn an_older_state_file_beside_a_newer_journal_takes_nothing_back() {
    let place = half_done();
    let older = place.read(FILE);
    goes_on(&place, "a\nb\n");
    fs::write(at(&place, FILE), older).expect("written");
    goes_on(&place, "a\nb\n");
}

#[test]
fn an_older_journal_beside_a_newer_state_file_takes_nothing_back() {
    let place = half_done();
    copy(&at(&place, PRIVATE), &at(&place, "backup"));
    goes_on(&place, "a\nb\n");
    copy(&at(&place, "backup"), &at(&place, PRIVATE));
    let looked = place.jumar(&["fsck", "run"]).code(4);
    assert!(
        looked.stdout.contains("which the journal does not have"),
        "{}",
        looked.stdout
    );
    let ended = goes_on(&place, "a\nb\n");
    assert!(ended.stderr.contains("what the file says counts: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("by hand"), "{}", ended.stderr);
}

#[test]
fn a_copy_of_a_run_goes_on_by_itself_and_the_original_stays_as_it_is() {
    let place = half_done();
    let before = place.read(FILE);
    copy(&at(&place, "run"), &at(&place, "twin"));
    let ended = place.jumar(&["resume", "twin"]).code(0);
    assert!(
        ended
            .stderr
            .contains("twin is a copy of run, and goes on as a run of its own"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.read(FILE), before);
    // What names it to others is its own.
    let id = |text: &str| text.lines().find(|line| line.starts_with("run_id=")).map(str::to_owned);
    assert_ne!(id(&place.read("twin/.experiment_state")), id(&before));
    goes_on(&place, "a\nb\nb\n");
}

#[test]
fn a_run_directory_that_goes_away_ends_the_run_and_what_could_not_be_saved_is_told() {
    let place = Workplace::with_script(
        "phase(\"a\", || { shell(\"touch on; until test -e go; do sleep 0.02; done\"); });
         phase(\"b\", || { shell(\"touch b\"); });",
    );
    let host = place.start(&["run", "pipeline.rhai", "--run-dir", "run"]);
    wait_until("a runs", || place.exists("on"));
    fs::rename(at(&place, "run"), at(&place, "elsewhere")).expect("renamed");
    place.write("go", "");
    let ended: Ended = host.wait_with_output().expect("it ends").into();
    let told = ended.code(4).stderr;
    assert!(told.contains("a=completed could not be saved"), "{told}");
    assert!(!place.exists("b") && !place.exists("run"), "{told}");
    // The spill is what could not be saved.
    let (_, spill) = told.rsplit_once("all of it is in ").expect("a file is named");
    let spill = Path::new(spill.trim_end().trim_end_matches(')'));
    assert!(fs::read_to_string(spill).expect("it is there").contains("a=completed"));
    fs::remove_file(spill).expect("removed");
}

#[test]
fn the_state_file_of_another_run_is_refused_and_stays() {
    let place = half_done();
    let own = place.read(FILE);
    let other = half_done();
    goes_on(&other, "a\nb\n");
    let foreign = other.read(FILE);
    fs::write(at(&place, FILE), &foreign).expect("written");
    for (command, code) in [("resume", 4), ("status", 4), ("fsck", 4)] {
        let ended = place.jumar(&[command, "run"]).code(code);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(told.contains("is the state file of another run"), "{command}: {told}");
        assert!(told.contains("put the run's own file back"), "{command}: {told}");
    }
    assert_eq!((place.read(FILE), place.read("ran")), (foreign, "a\n".to_owned()));
    fs::write(at(&place, FILE), &own).expect("written");
    goes_on(&place, "a\nb\n");

    // Who gives a run another name for others does so.
    let renamed = place.read(FILE).replace("\nrun_id=", "\nrun_id=my_");
    fs::write(at(&place, FILE), renamed).expect("written");
    goes_on(&place, "a\nb\n");
    assert!(place.read(FILE).contains("\nrun_id=my_"));
}

#[test]
fn a_run_that_was_carried_to_another_machine_goes_on_there() {
    let place = half_done();
    let lock = at(&place, PRIVATE).join("lock");
    assert_eq!(fs::read_to_string(&lock).expect("it is there"), "", "the host ended");
    copy(&at(&place, "run"), &at(&place, "moved"));
    fs::remove_dir_all(at(&place, "run")).expect("removed");
    fs::rename(at(&place, "moved"), at(&place, "run")).expect("renamed");
    goes_on(&place, "a\nb\n");
}

#[test]
fn a_run_whose_host_was_killed_on_another_machine_long_ago_goes_on_here() {
    let place = half_done();
    let lock = at(&place, PRIVATE).join("lock");
    let record =
        "host=elsewhere\npid=1\nstart_time=1\nboot_id=elsewhere\npid_namespace=pid:[1]\nuser=ann\nsince=1\nend=\n";
    fs::write(&lock, record).expect("written");
    let file = fs::File::options().write(true).open(&lock).expect("it is there");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    file.set_modified(long_ago).expect("a time");
    goes_on(&place, "a\nb\n");
}

#[test]
fn a_run_in_use_is_refused_through_another_mount_of_the_same_disk() {
    let place = Workplace::new();
    let (disk, other) = (at(&place, "disk"), at(&place, "other"));
    fs::create_dir_all(&disk).expect("made");
    fs::create_dir_all(&other).expect("made");
    let mounted = Command::new("mount").arg("--bind").arg(&disk).arg(&other).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        return common::skipped(&format!("no bind mount can be made: {mounted:?}"));
    }
    let _mount = Unmount(other);
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"touch begun; while [ ! -e go ]; do sleep 0.02; done\"); });\n",
    );
    let mut child = place.start(&["run", "p.rhai", "--run-dir", "disk/run"]);
    wait_until("the phase has begun", || place.exists("begun"));
    let refused = place.jumar(&["resume", "other/run"]).code(5);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    place.write("go", "");
    assert!(child.wait().expect("it ends").success());
    place.jumar(&["resume", "other/run"]).code(0);
}

/// Takes a mount away again.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
