//! What the journal costs. Not part of the usual tests: `cargo test --release --test cost -- --ignored --nocapture`.
//! Nothing here asserts on time taken; the figures are for `docs/state-format.md`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jumar::state::{Event, PhaseStatus, Store, read};

/// Where to measure: `JUMAR_COST_DIR`, or a directory under the target directory.
fn place() -> PathBuf {
    let place = std::env::var_os("JUMAR_COST_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let place = place.join(format!("cost-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    place
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn tell(what: &str, count: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{what}: {seconds:.2} s, {:.3} ms each", seconds * 1000.0 / count as f64);
}

fn record(word: &str) -> String {
    format!("{{\"outcome\":\"{word}\",\"started\":\"2026-01-15T14:02:11.123Z\",\"logs\":[[\"runs/x/logs/p.log\",0]]}}")
}

/// Every phase begins unsynced and completes durably, as a run does it; against one line and one fdatasync each.
fn run(count: usize) {
    let home = place();
    let file = home.join(".experiment_state");
    let mut first = Event::new("created").set("metadata", "version", "3.2.0");
    for i in 0..count {
        first = first.set("phases", format!("phase{i}"), "pending");
    }
    let since = Instant::now();
    let mut store = Store::create(&file, "cost", first).expect("created");
    tell(&format!("{count} phases: the first event"), 1, since);
    let since = Instant::now();
    for i in 0..count {
        let name = format!("phase{i}");
        store.reserve().expect("room");
        let started = Event::new("started").set("phases", &name, "in_progress");
        let started = started.set("attempts", format!("{name}.1"), record("running"));
        store.commit(started.unsynced()).expect("recorded");
        let completed = Event::new("completed").set("phases", &name, "completed");
        let completed = completed.set("attempts", format!("{name}.1"), record("completed"));
        store.commit(completed).expect("recorded");
    }
    tell(&format!("{count} phases: start and durable completion"), count, since);
    let since = Instant::now();
    drop(store);
    tell(&format!("{count} phases: the state file at the end"), 1, since);
    bare(&home, count);
    let since = Instant::now();
    let state = read(&file).expect("read");
    tell(&format!("{count} phases: read without a lock"), 1, since);
    assert_eq!(
        state
            .phases()
            .filter(|(_, status)| *status == PhaseStatus::Completed)
            .count(),
        count
    );
    drop(state);
    let since = Instant::now();
    let mut store = Store::open(&file).expect("opened");
    tell(&format!("{count} phases: open a complete run"), 1, since);
    store
        .commit(Event::new("resumed").set("metadata", "last_resume", "1"))
        .expect("recorded");
    drop(store);
    tell(&format!("{count} phases: open, one event, close"), 1, since);
    std::fs::remove_dir_all(home).expect("removed");
}

/// The least that durability costs: one line appended and synced for each completion.
fn bare(home: &Path, count: usize) {
    let mut bare = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join("bare"))
        .expect("a file");
    let since = Instant::now();
    for i in 0..count {
        let line = format!(
            "00000000 {i} 1768517122123 completed\t[phases]phase{i}=completed\t[attempts]phase{i}.1={}\n",
            record("completed")
        );
        bare.write_all(line.as_bytes()).expect("written");
        bare.sync_data().expect("synced");
    }
    tell(&format!("{count} phases: bare append and fdatasync"), count, since);
}

#[test]
#[ignore = "takes a minute, and its result are figures"]
fn the_cost_of_a_phase_stays_the_same() {
    for count in [1_000, 100_000] {
        run(count);
    }
}
