//! jumar is killed at, and gets an error from, one system call after another; strace does it.
//!
//! `strace -e inject=CALL:when=N` counts each call by itself and for each thread, so the calls of a run without harm are counted
//! first. By default some of those that touch the run's directory are taken; all of them, loading the program included, with
//! `JUMAR_EVERY_CALL=all` (some minutes).

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{Workplace, skipped};
use jumar::state::{PhaseStatus, read};

/// The calls by which anything reaches a disk, in the order of how much hangs on them.
const CALLS: [&str; 12] = [
    "write",
    "fdatasync",
    "fsync",
    "renameat2",
    "rename",
    "openat",
    "unlink",
    "mkdir",
    "fallocate",
    "ftruncate",
    "read",
    "close",
];
/// What a disk answers that is broken or full.
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];
/// How many times of each call a test harms, when not all.
const TIMES_EACH: usize = 5;
/// There have to be so many in all.
const FEWEST: usize = 16;
const PHASES: [&str; 3] = ["a", "b", "c"];
/// A host that insists on a failing disk is asked to stop after this.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long it may take to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// A pipeline of which one phase is a value, one a command, and one both.
fn workplace() -> Workplace {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || 1);\nphase(\"b\", || { shell(\"echo b >> ran\"); });\n\
         phase(\"c\", || { shell(\"echo c >> ran\"); metric(\"m\", 1); });\n",
    );
    place
}

/// Runs the pipeline under strace to its end, which may be that of a signal. Returns how, and the phases that it told.
fn traced(place: &Workplace, strace: &[&str]) -> (ExitStatus, BTreeSet<String>) {
    let jumar = place.command(&["run", "p.rhai", "--run-dir", "run"]);
    let mut command = place.program("strace");
    command.args(["-f", "-qq"]).args(strace);
    command.arg(jumar.get_program()).args(jumar.get_args());
    let output = place.path().join("output");
    let stderr = File::create(&output).expect("a file");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("strace starts");
    let since = Instant::now();
    let mut asked = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        if !asked && since.elapsed() > PATIENCE {
            // strace would only let go of it.
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            for pid in fs::read_to_string(children).unwrap_or_default().split_whitespace() {
                let _ = Command::new("kill").args(["-TERM", pid]).status();
            }
            asked = true;
        }
        assert!(since.elapsed() < LIMIT, "{strace:?}: it neither ends nor stops");
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = fs::read_to_string(output).expect("its output");
    let told = text
        .lines()
        .filter_map(|line| Some(line.split_once("] ")?.1.split_once(" completed in ")?.0.to_owned()));
    (status, told.collect())
}

/// Each call with how often one thread makes it, and those of its times that touch the run's directory.
fn calls_of_a_run() -> Option<BTreeMap<&'static str, (usize, BTreeSet<usize>)>> {
    let place = workplace();
    if let Err(error) = Command::new("strace").arg("--version").output() {
        skipped(&format!("SYSTEM CALLS WERE NOT HARMED: strace: {error}"));
        return None;
    }
    let trace = format!("trace={}", CALLS.join(","));
    let (status, told) = traced(&place, &["-y", "-o", "trace", "-e", &trace]);
    if !status.success() {
        skipped(&format!(
            "SYSTEM CALLS WERE NOT HARMED: strace cannot trace here: {}",
            place.read("output")
        ));
        return None;
    }
    assert_eq!(told.len(), PHASES.len(), "{}", place.read("output"));
    let run = place.path().join("run").to_string_lossy().into_owned();
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut calls: BTreeMap<&str, (usize, BTreeSet<usize>)> = BTreeMap::new();
    for line in place.read("trace").lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        let Some(name) = CALLS.into_iter().find(|known| *known == name) else {
            continue;
        };
        let count = counts.entry((thread.to_owned(), name)).or_default();
        *count += 1;
        let (most, near) = calls.entry(name).or_default();
        *most = (*most).max(*count);
        if call.contains(&run) {
            near.insert(*count);
        }
    }
    for needed in ["write", "fdatasync", "renameat2", "openat"] {
        assert!(
            calls.get(needed).is_some_and(|(_, near)| !near.is_empty()),
            "{needed} is not seen in {calls:?}"
        );
    }
    Some(calls)
}

/// Which times of which calls are harmed.
fn chosen() -> Option<Vec<(&'static str, usize)>> {
    let calls = calls_of_a_run()?;
    if std::env::var_os("JUMAR_EVERY_CALL").is_some_and(|value| value == "all") {
        let times = calls
            .iter()
            .flat_map(|(call, (most, _))| (1..=*most).map(move |time| (*call, time)));
        return Some(times.collect());
    }
    // As many of each, as far as there are, spread over the run.
    let calls: Vec<_> = calls
        .into_iter()
        .filter(|(call, _)| !["read", "close"].contains(call))
        .collect();
    let some = calls.iter().flat_map(|(call, (_, near))| {
        // Between a write too late and the next one lies what would be lost.
        let times = if *call == "write" { 4 * TIMES_EACH } else { TIMES_EACH };
        let step = near.len().div_ceil(times).max(1);
        // Not always the first.
        near.iter().skip(step / 2).step_by(step).map(move |time| (*call, *time))
    });
    Some(some.collect())
}

/// After harm: what was told is there, is not done again, and a resume comes to the end.
fn check(place: &Workplace, told: &BTreeSet<String>) -> Result<(), String> {
    let file = place.path().join("run/.experiment_state");
    let ran = || fs::read_to_string(place.path().join("ran")).unwrap_or_default();
    let completed = || match read(&file) {
        Ok(state) => state
            .phases()
            .filter(|(_, status)| *status == PhaseStatus::Completed)
            .map(|(name, _)| name.to_owned())
            .collect(),
        Err(_) => BTreeSet::new(),
    };
    let there = completed();
    if !told.is_subset(&there) {
        return Err(format!("LOST: {told:?} were told, {there:?} are there"));
    }
    let before = ran();
    let mut ended = place.jumar(&["resume", "run"]);
    let is_none = ["run has no .experiment_state", "no run is called `run`"];
    if told.is_empty() && is_none.iter().any(|words| ended.stderr.contains(words)) {
        // It was harmed before there was a state.
        ended = place.jumar(&["run", "p.rhai", "--run-dir", "run"]);
    }
    if ended.code != 0 {
        return Err(format!("it cannot go on, exit code {}: {}", ended.code, ended.stderr));
    }
    if completed().len() != PHASES.len() {
        return Err(format!("{:?} are completed in the end", completed()));
    }
    if !place.read("run/.experiment_state").ends_with("\n# end of state\n") {
        return Err("the state file is not whole".to_owned());
    }
    let after = ran();
    for phase in told {
        if before.matches(phase.as_str()).count() != after.matches(phase.as_str()).count() {
            return Err(format!("{phase} was told and is done again"));
        }
    }
    Ok(())
}

/// Does one harm after another to a run of its own each.
fn harm(harms: Vec<(String, Vec<String>)>, mut ends_well: impl FnMut(ExitStatus) -> bool) {
    let mut broken = vec![];
    let count = harms.len();
    for (what, strace) in harms {
        let place = workplace();
        let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
        let (status, told) = traced(&place, &strace);
        let verdict = check(&place, &told);
        let verdict = verdict.and_then(|()| {
            if ends_well(status) {
                Ok(())
            } else {
                Err(format!("it ended with {status}"))
            }
        });
        if let Err(why) = verdict {
            broken.push(format!("{what}: {why}"));
        }
    }
    assert!(broken.is_empty(), "{} of {count}:\n{}", broken.len(), broken.join("\n"));
    assert!(count >= FEWEST, "only {count} harms");
    say_how_many(count);
}

#[expect(clippy::print_stdout, reason = "tells how many there were")]
fn say_how_many(count: usize) {
    println!("{count} runs were harmed, nothing was lost");
}

fn injected(call: &str, harm: &str) -> Vec<String> {
    let inject = format!("inject={call}:{harm}");
    ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn a_kill_at_any_system_call_loses_nothing_that_was_told() {
    let Some(chosen) = chosen() else { return };
    let mut killed = 0;
    let kill = |(call, time): (&str, usize)| {
        (
            format!("killed at {call} {time}"),
            injected(call, &format!("signal=KILL:when={time}")),
        )
    };
    harm(chosen.into_iter().map(kill).collect(), |status| {
        killed += usize::from(status.code().is_none());
        true
    });
    assert!(killed > FEWEST / 2, "only {killed} were killed");
}

/// It may go on, or end and say so; it may not panic.
fn an_error_is_answered(forever: &str) {
    let Some(chosen) = chosen() else { return };
    let harms = chosen.into_iter().enumerate().flat_map(|(index, (call, time))| {
        // Each error in turn: which it is matters little.
        let error = ERRORS[index % ERRORS.len()];
        let what = format!("{error} at {call} {time}{forever}");
        // Without its libraries the program does not start.
        (call != "close").then(|| (what, injected(call, &format!("error={error}:when={time}{forever}"))))
    });
    harm(harms.collect(), |status| status.code().is_some_and(|code| code != 101));
}

#[test]
fn an_error_of_any_system_call_loses_nothing_that_was_told() {
    an_error_is_answered("");
}

#[test]
fn an_error_of_any_system_call_from_then_on_loses_nothing_that_was_told() {
    an_error_is_answered("+");
}

/// Found by the kill above: the stock pipeline was run in the place of the script, which nothing named yet.
#[test]
fn a_run_of_which_nothing_was_written_down_is_none_and_can_be_begun() {
    let place = workplace();
    // Header and snapshot of nothing, as a host that was killed right behind them leaves them, and one killed within.
    let segment = "#jumar-journal 1 nonce=cd328fd2 at=0 seen= crc=3bf3e095\nbcc334d0 0 0 snapend\t[]n=0\n";
    for length in [segment.len(), segment.len() - 4] {
        place.write("run/.experiment_state.d/j-00000000-cd328fd2", &segment[..length]);
        for arguments in [&["resume", "run"][..], &["status", "run"]] {
            let ended = place.jumar(arguments).code(2);
            assert!(
                ended.stderr.contains("run has no .experiment_state"),
                "{}",
                ended.stderr
            );
        }
        place.jumar(&["run", "p.rhai", "--run-dir", "run"]).code(0);
        assert_eq!(place.read("ran"), "b\nc\n");
        fs::remove_dir_all(place.path().join("run")).expect("it is removed");
        fs::remove_file(place.path().join("ran")).expect("it is removed");
    }
}
