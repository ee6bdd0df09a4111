//! The store on a disk that loses power at every operation, fails at every operation, and is written to by editors
//! and a second host between any two operations. The laws: what was acknowledged is there, nothing is invented, the
//! state file is whole, and what a person wrote is obeyed and kept.

use std::sync::Mutex;

use super::super::super::disk::simulated::{Chance, Failing, Mutant, SimDisk};
use super::*;

mod saves;

use saves::{STYLES, save_everywhere};

const RUN: &str = "/run";
const FILE: &str = "/run/.experiment_state";
const PRIVATE: &str = "/run/.experiment_state.d";
const REMARK: &str = "# a remark of mine";
const PHASES_RUN: [&str; 3] = ["a", "b", "c"];
/// What a run begins from.
const BASH: &str = "# a remark of mine\n[metadata]\nversion=3.1.0\n\n[phases]\na=pending\nb=pending\nc=pending\nother=pending\n\n\
                    [steps]\na/one=1\nb/one=1\nc/one=1\nother/one=1\n";

fn file() -> &'static Path {
    Path::new(FILE)
}

fn disk() -> SimDisk {
    let disk = SimDisk::new(&[Path::new(RUN), Path::new(PRIVATE)]);
    // To make it takes more time than all the rest.
    disk.put(&Path::new(PRIVATE).join("ballast"), b"x");
    disk.settle();
    disk
}

fn open(disk: &SimDisk) -> Result<Store, StateError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(disk, file().into(), file().into(), PRIVATE.into(), None)
}

/// What a host did, as far as it got.
#[derive(Debug, Default)]
struct Done {
    acknowledged: Vec<&'static str>,
    attempted: Vec<&'static str>,
    /// Every state that the run was in, from the last acknowledged one on.
    states: Vec<State>,
}

/// Runs the phases one after the other.
fn host(disk: &SimDisk, done: &mut Done) -> Result<(), StateError> {
    run(disk, &PHASES_RUN.map(|name| vec![name]), done)
}

/// Runs phases side by side, so that they begin together and complete together.
fn host_of_many(disk: &SimDisk, done: &mut Done) -> Result<(), StateError> {
    run(disk, &[PHASES_RUN.to_vec()], done)
}

/// Runs the phases, those of a group together; each begins by forgetting its steps, unsynced, and ends with a
/// completion.
fn run(disk: &SimDisk, groups: &[Vec<&'static str>], done: &mut Done) -> Result<(), StateError> {
    let mut store = open(disk)?;
    done.states.push(store.state().clone());
    for group in groups {
        disk.advance(Duration::from_millis(250));
        let begun = |name: &&str| {
            phase(name, "in_progress")
                .remove("steps", format!("{name}/one"))
                .unsynced()
        };
        together(&mut store, group.iter().map(begun).collect(), done)?;
        disk.advance(Duration::from_millis(250));
        done.attempted.extend(group);
        let completed = |name: &&'static str| phase(name, "completed").set("checkpoints", "checkpoint_path", *name);
        together(&mut store, group.iter().map(completed).collect(), done)?;
        done.acknowledged.extend(group);
        done.states.drain(..done.states.len() - 1);
    }
    let _ = store.show_at_the_end();
    Ok(())
}

/// Commits events together. Until they are acknowledged any number of them may be there.
fn together(store: &mut Store, events: Vec<Event>, done: &mut Done) -> Result<(), StateError> {
    let mut expected = store.state().clone();
    for event in &events {
        event.changes.iter().for_each(|change| expected.apply(change));
        done.states.push(expected.clone());
    }
    let makers = events
        .into_iter()
        .map(|event| Box::new(move |_: &State| event) as Maker);
    let answers = store.commit_together(makers.collect());
    answers
        .into_iter()
        .try_for_each(|answer| answer.map_err(|uncommitted| uncommitted.error))
}

/// Opens what is there and checks the laws.
fn check(disk: &SimDisk, done: &Done, has_remark: bool) -> Result<(), String> {
    let mut store = open(disk).map_err(|error| format!("cannot be opened: {error}"))?;
    for name in &done.acknowledged {
        if store.state().phase(name) != Some(PhaseStatus::Completed) {
            return Err(format!("LOST {name}: {:?}", store.state().phase(name)));
        }
    }
    for (name, status) in store.state().phases() {
        if status == PhaseStatus::Completed && !done.attempted.contains(&name) {
            return Err(format!("INVENTED {name}"));
        }
    }
    if !done.states.is_empty() && !done.states.contains(store.state()) {
        return Err(format!(
            "a state that never was: {:?} not in {:?}",
            store.state(),
            done.states
        ));
    }
    store.show().map_err(|error| format!("cannot be shown: {error}"))?;
    let text = disk.content(file()).unwrap_or_default();
    match page::judge(&text, file()) {
        Page::Whole(content) if content.state == *store.state() => {}
        other => return Err(format!("the state file is not whole: {other:?}")),
    }
    if has_remark && !String::from_utf8_lossy(&text).contains(REMARK) {
        return Err("the user's remark is gone".to_owned());
    }
    Ok(())
}

/// Runs the phases on a disk.
type Host = fn(&SimDisk, &mut Done) -> Result<(), StateError>;

/// A start: how the disk looks before the host comes, and whether the user's remark has to survive.
type Start = (&'static str, fn() -> SimDisk, bool);

fn fresh() -> SimDisk {
    let disk = disk();
    disk.put(file(), BASH.as_bytes());
    disk.settle();
    disk
}

/// A run that was resumed before, of which nothing is completed yet.
fn resumed() -> SimDisk {
    let disk = fresh();
    for _ in 0..2 {
        let mut store = open(&disk).unwrap();
        store
            .commit(Event::new("x").set("metadata", "version", "3.2.0"))
            .unwrap();
        drop(store);
    }
    disk.settle();
    disk
}

fn resumed_with(change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> SimDisk {
    let disk = resumed();
    let text = disk.content(file()).unwrap();
    match change(&text) {
        Some(text) => {
            disk.put(file(), &text);
        }
        None => disk.take_away(file()),
    }
    disk.settle();
    disk
}

const STARTS: [Start; 7] = [
    ("a file of the bash runner", fresh, true),
    ("a run that was resumed", resumed, true),
    ("the view removed", || resumed_with(|_| None), false),
    ("the view empty", || resumed_with(|_| Some(Vec::new())), false),
    (
        "the view cut",
        || resumed_with(|text| Some(text[..text.len() / 2].to_vec())),
        false,
    ),
    (
        "the view zeros",
        || resumed_with(|text| Some(vec![0; text.len()])),
        false,
    ),
    (
        "the view garbage",
        || resumed_with(|_| Some(b"\xff\xfehello\n".to_vec())),
        false,
    ),
];

/// Loses power before every operation of a host, and of the host after it; returns the number of disks, or the
/// first that broke a law.
fn lose_power_everywhere(host: Host, start: Start, mutant: Option<Mutant>, disks_each: usize) -> Result<usize, String> {
    let (name, make, has_remark) = start;
    let mut chance = Chance(0x5eed);
    let mut count = 0;
    for crash in 0.. {
        let disk = make();
        disk.plant(mutant);
        let from = disk.operations();
        disk.crash_at(from + crash);
        let mut done = Done::default();
        if host(&disk, &mut done).is_ok() && disk.operations() <= from + crash {
            return Ok(count);
        }
        for (index, mut after) in disk.after_power_loss(&mut chance, disks_each).into_iter().enumerate() {
            count += 1;
            if index % 8 == 0 {
                after.crash_at(1 + chance.below(30));
                let _ = open(&after).map(drop);
                after = after.after_power_loss(&mut chance, 1).remove(0);
            }
            if let Err(broken) = check(&after, &done, has_remark) {
                return Err(format!(
                    "{name}: crash before operation {crash}, disk {index}: {broken}"
                ));
            }
        }
    }
    unreachable!()
}

#[test]
fn a_loss_of_power_at_any_operation_loses_nothing_that_was_acknowledged() {
    for start in STARTS {
        let count = lose_power_everywhere(host, start, None, 8).unwrap();
        assert!(count > 400, "{}: only {count} disks", start.0);
    }
}

#[test]
fn a_loss_of_power_between_the_records_of_completions_that_come_together_loses_nothing_that_was_acknowledged() {
    for start in [STARTS[0], STARTS[1], STARTS[3]] {
        let count = lose_power_everywhere(host_of_many, start, None, 24).unwrap();
        assert!(count > 400, "{}: only {count} disks", start.0);
    }
}

#[test]
#[ignore = "some minutes: every disk that the thorough search finds"]
#[expect(clippy::print_stdout, reason = "tells how much was tried")]
fn power_errors_and_saves_lose_nothing_in_very_many_ways() {
    let mut all = 0;
    for start in STARTS {
        for host in [host as Host, host_of_many] {
            let disks = lose_power_everywhere(host, start, None, 1000).unwrap();
            let disk = start.1();
            let from = disk.operations();
            host(&disk, &mut Done::default()).unwrap();
            let points = disk.operations() - from;
            println!("{}: {points} crash points, {disks} disks, none lost", start.0);
            all += disks;
        }
    }
    println!("power: {all} disks, none lost");
    let failed = fail_everywhere(host, None, 1).unwrap() + fail_everywhere(host_of_many, None, 1).unwrap();
    println!("errors: {failed} disks, none lost");
    let saves = save_everywhere(None, &STYLES, 1).unwrap();
    println!("saves: {saves} interleavings, none lost");
}

/// Fails at every operation, once, twice and for good, and loses power some operations later.
fn fail_everywhere(host: Host, mutant: Option<Mutant>, step: usize) -> Result<usize, String> {
    let mut chance = Chance(0xe44);
    let mut count = 0;
    for error in [libc::EIO, libc::ENOSPC, libc::EROFS] {
        for width in [1, 2, usize::MAX] {
            // What error it is matters little.
            for from in (0..).step_by(if error == libc::EIO { step } else { 4 * step }) {
                let disk = resumed();
                disk.plant(mutant);
                let begin = disk.operations();
                disk.fail(Failing {
                    from: begin + from,
                    width,
                    error,
                });
                let later = chance.below(12);
                if width != usize::MAX {
                    disk.crash_at(begin + from + width + later);
                }
                let mut done = Done::default();
                let _ = host(&disk, &mut done);
                if disk.operations() < begin + from {
                    break;
                }
                done.states.clear();
                for after in disk.after_power_loss(&mut chance, 6) {
                    count += 1;
                    if let Err(broken) = check(&after, &done, true) {
                        return Err(format!("error {error} at {from}, {width} times: {broken}"));
                    }
                }
            }
        }
    }
    Ok(count)
}

#[test]
fn an_error_at_any_operation_loses_nothing_that_was_acknowledged() {
    let count = fail_everywhere(host, None, 1).unwrap();
    assert!(count > 1000, "only {count} disks");
    let count = fail_everywhere(host_of_many, None, 2).unwrap();
    assert!(count > 400, "only {count} disks");
}

#[test]
fn an_error_that_passes_stops_nobody() {
    let mut stopped = 0;
    for from in 0.. {
        let disk = resumed();
        let begin = disk.operations();
        disk.fail(Failing {
            from: begin + from,
            width: 1,
            error: libc::EIO,
        });
        let mut done = Done::default();
        match host(&disk, &mut done) {
            Ok(()) => assert_eq!(done.acknowledged, PHASES_RUN),
            // The first look refuses what it cannot read.
            Err(_) => {
                assert!(
                    done.states.is_empty(),
                    "operation {from} stopped a host that was at work"
                );
                stopped += 1;
            }
        }
        if disk.operations() < begin + from {
            break;
        }
    }
    assert!(stopped < 12, "{stopped}");
}

/// Says which law a planted fault broke; with `--nocapture` it can be read.
#[track_caller]
#[expect(clippy::print_stdout, reason = "tells how each fault was found")]
fn must_break(mutant: Mutant, verdict: Result<usize, String>) {
    match verdict {
        Ok(count) => panic!("{mutant:?} survives {count} tries"),
        Err(broken) => println!("{mutant:?}: {broken}"),
    }
}

#[test]
fn every_fault_that_is_planted_into_the_order_of_writes_breaks_a_law() {
    for mutant in [
        Mutant::NoSegmentSync,
        Mutant::NoSegmentDirectorySync,
        Mutant::NoViewSync,
        Mutant::AckBeforeSync,
        Mutant::DeleteOldFirst,
        Mutant::ViewBeforeLog,
    ] {
        must_break(mutant, lose_power_everywhere(host, STARTS[0], Some(mutant), 32));
    }
    let together = lose_power_everywhere(host_of_many, STARTS[0], Some(Mutant::AckBeforeSync), 32);
    must_break(Mutant::AckBeforeSync, together);
    must_break(Mutant::RetrySync, fail_everywhere(host, Some(Mutant::RetrySync), 1));
}

#[test]
fn two_hosts_that_no_lock_keeps_apart_lose_nothing() {
    let length = {
        let disk = resumed();
        let from = disk.operations();
        host(&disk, &mut Done::default()).unwrap();
        disk.operations() - from
    };
    let mut met = 0;
    for begin in 0..length {
        for later in [1, 3, 9, 20] {
            let disk = resumed();
            let from = disk.operations();
            let other: Arc<Mutex<Option<Store>>> = Arc::default();
            let acknowledged: Arc<Mutex<bool>> = Arc::default();
            {
                let other = Arc::clone(&other);
                disk.at(from + begin, move |disk| *other.lock().unwrap() = open(disk).ok());
            }
            {
                let (other, acknowledged) = (Arc::clone(&other), Arc::clone(&acknowledged));
                // The operations of the other host's start count, too.
                disk.at(from + begin + 25 + later, move |_| {
                    if let Some(store) = &mut *other.lock().unwrap() {
                        *acknowledged.lock().unwrap() = store.commit(phase("other", "completed")).is_ok();
                    }
                });
            }
            let mut done = Done::default();
            let _ = host(&disk, &mut done);
            disk.run_steps();
            drop(other.lock().unwrap().take());
            if *acknowledged.lock().unwrap() {
                done.acknowledged.push("other");
                met += 1;
            }
            done.attempted.push("other");
            done.states.clear();
            check(&disk, &done, true)
                .unwrap_or_else(|broken| panic!("the other came at {begin}, wrote {later} later: {broken}"));
        }
    }
    assert!(met > length, "{met}");
}

#[test]
fn a_reader_sees_what_the_next_host_will() {
    let mut chance = Chance(7);
    for crash in (0..).step_by(3) {
        let disk = resumed();
        let from = disk.operations();
        disk.crash_at(from + crash);
        if host(&disk, &mut Done::default()).is_ok() {
            break;
        }
        for after in disk.after_power_loss(&mut chance, 4) {
            let names = after.file_names();
            let read = read_at(&after, file(), file(), Path::new(PRIVATE)).unwrap().state;
            assert_eq!(after.file_names(), names, "looking makes nothing");
            assert_eq!(read, *open(&after).unwrap().state());
        }
    }
}

#[test]
fn the_journal_is_made_anew_from_the_state_file_and_the_state_file_from_the_journal() {
    let disk = resumed();
    host(&disk, &mut Done::default()).unwrap();
    let before = open(&disk).unwrap().state().clone();
    for path in disk.file_names() {
        if path.starts_with(PRIVATE) && path != Path::new(PRIVATE) {
            disk.take_away(&path);
        }
    }
    assert_eq!(*open(&disk).unwrap().state(), before);
    disk.take_away(file());
    assert_eq!(*open(&disk).unwrap().state(), before);
    assert!(disk.content(file()).is_some());
}
