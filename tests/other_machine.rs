//! A run that a host on another machine has, on a file system whose locks reach one machine only. The other machine is
//! its record in the lock's file.

mod common;

use std::time::{Duration, SystemTime};

use common::Workplace;

/// A run with a failed phase, and what a host on `node9` would leave in its lock.
fn place() -> Workplace {
    let place = Workplace::with_script("phase(\"a\", || { shell(\"test -e go\"); });\n");
    place.jumar(&["run", "pipeline.rhai"]).code(1);
    place.write("go", "");
    place
}

/// Leaves the record of a host on another machine, whose heart beat so many seconds ago.
fn leave_record(place: &Workplace, seconds: u64) {
    let lock = format!("{}/.experiment_state.d/lock", place.run());
    let record = "host=node9\npid=4711\nstart_time=1\nboot_id=another\npid_namespace=pid:[1]\nuser=ann\nsince=1705327320\nend=\n";
    let file = std::fs::File::options()
        .write(true)
        .open(place.write(&lock, record))
        .expect("it is there");
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .expect("a time");
}

#[test]
fn a_run_that_a_living_host_on_another_machine_has_is_refused_like_one_that_is_locked() {
    let place = place();
    leave_record(&place, 20);
    for arguments in [&["resume"][..], &["resume", "--take-over"], &["undo"]] {
        let ended = place.jumar(arguments).code(5);
        assert!(
            ended.stderr.contains("in use by pid 4711 on node9 (user ann"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("--wait"), "{}", ended.stderr);
    }
    assert_eq!(place.value("phases", "a").as_deref(), Some("failed"));
    // Looking does not mind.
    place.jumar(&["status"]).code(0);
}

#[test]
fn a_run_whose_host_on_another_machine_has_given_no_sign_of_life_for_a_minute_is_gone_on_with() {
    let place = place();
    leave_record(&place, 90);
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.value("phases", "a").as_deref(), Some("completed"));
}
