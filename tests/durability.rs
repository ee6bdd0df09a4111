//! What jumar has told anybody is on the disk: against a real kernel that kills it and denies it room.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Ended, Workplace, wait_until};
use jumar::state::{PhaseStatus, State, read};

const PHASES: usize = 60;

/// A pipeline of phases that do next to nothing.
fn pipeline(place: &Workplace, phases: usize) {
    place.write(
        "many.rhai",
        &format!("for i in 0..{phases} {{ phase(`p${{i}}`, || {{ shell([\"true\"]); }}); }}\n"),
    );
}

fn state_file(place: &Workplace) -> std::path::PathBuf {
    place.path().join(place.run()).join(".experiment_state")
}

fn completed(state: &State) -> BTreeSet<String> {
    let done = state.phases().filter(|(_, status)| *status == PhaseStatus::Completed);
    done.map(|(name, _)| name.to_owned()).collect()
}

/// The phases that this output tells to be completed.
fn told(output: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let (name, _) = line.split_once("] ")?.1.split_once(" completed in ")?;
        Some(name.to_owned())
    };
    output.lines().filter_map(line).collect()
}

/// The names of files in the run's private directory.
fn private_names(place: &Workplace) -> Vec<String> {
    let directory = place.path().join(place.run()).join(".experiment_state.d");
    let entries = std::fs::read_dir(directory).expect("the private directory is there");
    entries
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

/// A file system of its own for one test, or a word on why there is none.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, size: &str) -> Option<Mounted> {
        std::fs::create_dir_all(at).expect("a place to mount");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Mounted(at.to_owned())),
            other => {
                skip(&format!("no tmpfs of {size} can be mounted: {other:?}"));
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let output = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .output();
        assert!(output.expect("mount starts").status.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// A test that cannot be made here says so.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

#[test]
fn a_host_that_is_killed_again_and_again_loses_nothing_that_it_told() {
    let place = Workplace::new();
    pipeline(&place, PHASES);
    let mut known = BTreeSet::new();
    for round in 0..12_u64 {
        let arguments: &[&str] = if round == 0 { &["run", "many.rhai"] } else { &["resume"] };
        let mut child = place
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("jumar starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let wanted = 1 + round as usize % 4;
        let mut heard = 0;
        for line in stderr.lines() {
            let Ok(line) = line else { break };
            known.extend(told(&line));
            heard += usize::from(line.contains(" completed in "));
            if heard == wanted {
                // Some way into the next phase, each time another.
                std::thread::sleep(Duration::from_millis(round % 5));
                child.kill().expect("it can be killed");
            }
        }
        child.wait().expect("it has ended");
        let state = read(&state_file(&place)).expect("the state can be read");
        let missing: Vec<_> = known.difference(&completed(&state)).cloned().collect();
        assert!(missing.is_empty(), "round {round}: lost {missing:?}");
    }
    assert!(known.len() >= 12, "{known:?}");
    place.jumar(&["resume"]).code(0);
    let text = place.state();
    assert_eq!(text.matches("=completed\n").count(), PHASES);
    assert!(text.ends_with("\n# end of state\n"));
    // Every host left its segment behind, and none is in the way of the next.
    let segments = private_names(&place)
        .into_iter()
        .filter(|name| name.starts_with("j-"))
        .count();
    assert_eq!(segments, 1);
}

#[test]
fn without_room_nothing_is_started_and_with_room_again_the_run_goes_on() {
    let place = Workplace::new();
    let Some(mounted) = Mounted::tmpfs(&place.path().join("full"), "64k") else {
        return;
    };
    place.write("p.rhai", "phase(\"a\", || { shell(\"echo ran >> ran\"); });\n");
    let ended = place.jumar(&["run", "p.rhai", "--run-dir", "full/run"]).code(4);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert!(ended.stderr.contains("make room"), "{}", ended.stderr);
    assert!(!place.exists("ran"));
    mounted.remount("size=4m");
    let resumed = place.jumar(&["resume", "full/run"]);
    let again = if resumed.code == 0 {
        resumed
    } else {
        place.jumar(&["run", "p.rhai", "--run-dir", "full/run2"])
    };
    again.code(0);
    assert_eq!(place.read("ran"), "ran\n");
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_was_told_and_stops_before_the_next_phase() {
    let place = Workplace::new();
    let Some(mounted) = Mounted::tmpfs(&place.path().join("small"), "1200k") else {
        return;
    };
    // Every phase has a result of 20 KiB, so it is the state that fills the disk.
    place.write(
        "p.rhai",
        "let text = \"x\"; text.pad(20000, 'x');\nfor i in 0..60 { phase(`p${i}`, || text); }\n",
    );
    let child = place.start(&["run", "p.rhai", "--run-dir", "small/run"]);
    let ended = ends_by_itself_or_is_stopped(child);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("Nothing was started") || ended.stderr.contains("cannot be saved"),
        "{}",
        ended.stderr
    );
    let done = completed(&read(&place.path().join("small/run/.experiment_state")).expect("it can be read"));
    let told = told(&ended.stderr);
    assert!(told.is_subset(&done), "lost {:?}", told.difference(&done));
    assert!(told.len() > 5 && done.len() < 60, "{done:?}");
    mounted.remount("size=16m");
    place.jumar(&["resume", "small/run"]).code(0);
}

/// Waits for the end; a host that insists on a failing disk is asked to stop.
fn ends_by_itself_or_is_stopped(mut child: std::process::Child) -> Ended {
    let pid = child.id().to_string();
    let since = Instant::now();
    let stderr = child.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<_>>());
    let mut asked = false;
    let code = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status.code().unwrap_or(-1);
        }
        if !asked && since.elapsed() > Duration::from_secs(4) {
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill starts");
            asked = true;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it neither ends nor stops");
        std::thread::sleep(Duration::from_millis(20));
    };
    Ended {
        code,
        stdout: String::new(),
        stderr: reader.join().expect("it was read").join("\n"),
    }
}

#[test]
fn a_file_size_limit_is_an_error_to_report_and_no_signal_to_die_of() {
    let place = Workplace::new();
    pipeline(&place, PHASES);
    let mut command = place.program("prlimit");
    let jumar = place.command(&["run", "many.rhai"]);
    command
        .args(["--fsize=9000", "--"])
        .arg(jumar.get_program())
        .args(jumar.get_args())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ended = ends_by_itself_or_is_stopped(match command.spawn() {
        Ok(child) => child,
        Err(error) => return skip(&format!("prlimit: {error}")),
    });
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    let told = told(&ended.stderr);
    let done = completed(&read(&state_file(&place)).expect("it can be read"));
    assert!(told.is_subset(&done), "lost {:?}", told.difference(&done));
    place.jumar(&["resume"]).code(0);
}

#[test]
fn what_cannot_be_saved_is_kept_tried_again_and_left_in_lines_to_paste() {
    let place = Workplace::new();
    let Some(mounted) = Mounted::tmpfs(&place.path().join("disk"), "2m") else {
        return;
    };
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"touch begun; while [ ! -e go ]; do sleep 0.02; done\"); });\n",
    );
    let start = || {
        place
            .command(&["run", "p.rhai", "--run-dir", "disk/run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let child = start().expect("jumar starts");
    wait_until("the phase has begun", || place.exists("begun"));
    fill(&place.path().join("disk"));
    place.write("go", "");
    let ended = ends_by_itself_or_is_stopped(child);
    // Space was set aside for the result before the phase began.
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    mounted.remount("size=4m");
    let state = read(&place.path().join("disk/run/.experiment_state")).expect("it can be read");
    assert_eq!(state.phase("a"), Some(PhaseStatus::Completed));
}

fn fill(directory: &Path) {
    let block = vec![1_u8; 4096];
    let mut file = std::fs::File::create(directory.join("filler")).expect("a file");
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
}

#[test]
fn a_read_only_directory_is_refused_before_anything_starts() {
    let place = Workplace::new();
    let Some(mounted) = Mounted::tmpfs(&place.path().join("disk"), "4m") else {
        return;
    };
    place.write("p.rhai", "phase(\"a\", || { shell(\"false\"); });\n");
    place.jumar(&["run", "p.rhai", "--run-dir", "disk/run"]).code(1);
    mounted.remount("ro");
    let ended = place.jumar(&["resume", "disk/run"]).code(4);
    assert!(ended.stderr.contains("Read-only file system"), "{}", ended.stderr);
    // Looking goes on.
    place.jumar(&["status", "disk/run"]).code(0);
    mounted.remount("rw");
}

/// Runs three phases with output and error redirected as a shell does it; all are recorded. Returns the exit code.
fn code_of_run_with(redirected: &str) -> i32 {
    let place = Workplace::new();
    pipeline(&place, 3);
    let jumar = place.command(&[]).get_program().to_string_lossy().into_owned();
    let line = format!("exec {jumar} run many.rhai {redirected}");
    let status = place.program("sh").args(["-c", &line]).status().expect("sh starts");
    let state = read(&state_file(&place)).expect("it can be read");
    assert_eq!(completed(&state).len(), 3, "{redirected}: {status}");
    assert!(place.state().ends_with("\n# end of state\n"), "{redirected}");
    let noted = private_names(&place)
        .into_iter()
        .filter(|name| name.starts_with("run-"));
    assert_eq!(noted.count(), 0, "{redirected}");
    status.code().expect("no signal ended it")
}

#[test]
fn a_terminal_that_is_gone_or_full_changes_nothing_of_the_run() {
    for redirected in [
        ">&- 2>/dev/null",
        ">/dev/null 2>&-",
        ">&- 2>&-",
        "<&- >&- 2>&-",
        ">/dev/null 2>/dev/full",
    ] {
        assert_eq!(code_of_run_with(redirected), 0, "{redirected}");
    }
    // The table of phases is a result, and whoever wanted it has not got it.
    for redirected in [">/dev/full 2>/dev/null", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"] {
        assert_eq!(code_of_run_with(redirected), 4, "{redirected}");
    }
}

#[test]
fn a_result_that_is_never_saved_ends_in_exit_code_4_and_lines_to_paste() {
    let place = Workplace::new();
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("there is no prlimit");
    }
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"touch begun; while [ ! -e go ]; do sleep 0.02; done\"); });\n",
    );
    let mut command = place.command(&["run", "p.rhai"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("jumar starts");
    wait_until("the phase has begun", || place.exists("begun"));
    // From now on this process can write nothing at all.
    let limited = Command::new("prlimit")
        .args(["--fsize=0", "--pid", &child.id().to_string()])
        .status();
    assert!(limited.expect("prlimit starts").success());
    place.write("go", "");
    let pid = child.id();
    let ended = ends_by_itself_or_is_stopped(child);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    for part in [
        "cannot be saved",
        "nothing new is started",
        "a=completed",
        "File too large",
    ] {
        assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
    }
    // The spill could not be written either under this limit, and nothing pretends that it was.
    assert!(
        !ended.stderr.contains(&format!("jumar-{pid}.spill")),
        "{}",
        ended.stderr
    );
    let state = read(&state_file(&place)).expect("it can be read");
    assert_eq!(state.phase("a"), Some(PhaseStatus::InProgress));
}

/// Stops a host whose phase has a result too large to be recorded under a limit on the size of files, but not too large
/// for the spill. The phase counts its runs in `ran`.
fn spilt() -> Option<(Workplace, String)> {
    let place = Workplace::new();
    if Command::new("prlimit").arg("--version").output().is_err() {
        skip("there is no prlimit");
        return None;
    }
    // A segment has the first result in it, the spill has not.
    let script = r#"
let text = ""; text.pad(20000, 'x');
phase("earlier", || text);
phase("a", #{ after: "earlier" }, || {
    shell("echo ran >> ran; touch begun; while [ ! -e go ]; do sleep 0.02; done");
    text
});
phase("b", #{ after: "a" }, || result("a").len());
"#;
    place.write("p.rhai", script);
    let child = place.start(&["run", "p.rhai"]);
    wait_until("the phase has begun", || place.exists("begun"));
    let pid = child.id().to_string();
    let limited = Command::new("prlimit").args(["--fsize=30000", "--pid", &pid]).status();
    assert!(limited.expect("prlimit starts").success());
    place.write("go", "");
    let ended = ends_by_itself_or_is_stopped(child);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    let spill = place.temporary().join(format!("jumar-{pid}.spill"));
    assert!(ended.stderr.contains(&*spill.to_string_lossy()), "{}", ended.stderr);
    let spill = std::fs::read_to_string(spill).expect("the spill is there");
    let state = read(&state_file(&place)).expect("it can be read");
    assert_eq!(state.phase("a"), Some(PhaseStatus::InProgress));
    Some((place, spill))
}

#[test]
fn the_lines_of_a_spill_pasted_into_the_state_file_are_as_if_they_had_been_recorded() {
    let Some((place, spill)) = spilt() else { return };
    // Each line under its section, as a person does it.
    let mut text = place.state();
    let mut section = "";
    for line in spill.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let key = line.split('=').next().expect("a key");
        let old = text
            .lines()
            .find(|l| l.starts_with(&format!("{key}=")))
            .map(str::to_owned);
        text = match old {
            Some(old) => text.replacen(&format!("{old}\n"), &format!("{line}\n"), 1),
            None if text.contains(&format!("{section}\n")) => {
                text.replacen(&format!("{section}\n"), &format!("{section}\n{line}\n"), 1)
            }
            None => text.replacen("# end of state", &format!("{section}\n{line}\n# end of state"), 1),
        };
    }
    place.write(&format!("{}/.experiment_state", place.run()), &text);
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "ran\n");
    let state = read(&state_file(&place)).expect("it can be read");
    assert_eq!(completed(&state).len(), 3);
    assert_eq!(place.value("results", "b.result").as_deref(), Some("20000"));
    assert!(
        !place
            .value("attempts", "a.1")
            .expect("it is recorded")
            .contains("running")
    );
}

#[test]
fn a_host_that_comes_after_a_spill_takes_the_command_at_its_end_and_records_the_result_itself() {
    let Some((place, _)) = spilt() else { return };
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "ran\n");
    let state = read(&state_file(&place)).expect("it can be read");
    assert_eq!(completed(&state).len(), 3);
    assert_eq!(place.value("results", "b.result").as_deref(), Some("20000"));
}
