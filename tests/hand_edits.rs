//! The state file is edited by real editors while a real host writes it.

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{Workplace, skipped, value_in, wait_until};

/// A host at work on many short phases, until it is told to end.
struct Running {
    place: Workplace,
    child: std::process::Child,
}

impl Running {
    fn start() -> Running {
        let place = Workplace::new();
        // A phase of its own for each edit, and ones that keep the host busy.
        place.write(
            "p.rhai",
            "for i in 0..400 { phase(`busy${i}`, || { shell(\"[ -e stop ] || sleep 0.1\"); }); }\n\
             for i in 0..8 { phase(`spare${i}`, || { shell(\"true\"); }); }\n",
        );
        let child = place
            .command(&["run", "p.rhai"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.expect("jumar starts");
        wait_until("the run is on", || !place.runs().is_empty() && completions(&place) > 2);
        Running { place, child }
    }

    fn file(&self) -> PathBuf {
        self.place.path().join(self.place.run()).join(".experiment_state")
    }

    /// Waits until the host has taken an edit in and written it anew.
    fn wait_for(&self, line: &str) {
        let completed = completions(&self.place);
        wait_until("the host has gone on", || completions(&self.place) > completed + 2);
        wait_until(line, || text(&self.place).contains(line));
    }

    fn end(mut self) -> Workplace {
        self.place.write("stop", "");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
        self.place
    }
}

/// The state file's text; an editor may have taken it away for a moment.
fn text(place: &Workplace) -> String {
    let run = place.runs().pop().unwrap_or_default();
    std::fs::read_to_string(place.path().join(run).join(".experiment_state")).unwrap_or_default()
}

fn completions(place: &Workplace) -> usize {
    text(place).matches("=completed\n").count()
}

/// Edits the file again and again with a command that gets the file, a phase and a remark, and checks that all is kept.
fn edit_with(name: &str, mut edit: impl FnMut(&PathBuf, &str, &str) -> Command) {
    edits_are_kept(name, |file, phase, remark| {
        let mut command = edit(file, phase, remark);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // An editor that sees the file change under its hands refuses to save, and a person tries again.
        let mut tries = 0;
        loop {
            match command.output() {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => assert!(tries < 20, "{output:?}"),
                Err(error) => return Err(format!("{name}: {error}")),
            }
            tries += 1;
        }
    });
}

/// Puts a remark over a phase that it marks as skipped, several times; an error is why that cannot be tried here.
fn edits_are_kept(name: &str, mut save: impl FnMut(&PathBuf, &str, &str) -> Result<(), String>) {
    let running = Running::start();
    for i in 0..4 {
        let (phase, remark) = (format!("spare{i}"), format!("remark {i} by {name}"));
        if let Err(why) = save(&running.file(), &phase, &remark) {
            return skipped(&why);
        }
        running.wait_for(&format!("# {remark}"));
    }
    let place = running.end();
    let text = text(&place);
    for i in 0..4 {
        assert!(
            text.contains(&format!("# remark {i} by {name}\nspare{i}=skipped\n")),
            "{text}"
        );
    }
    for i in 0..400 {
        assert_eq!(
            value_in(&text, "phases", &format!("busy{i}")).as_deref(),
            Some("completed")
        );
    }
    assert_eq!(value_in(&text, "phases", "spare7").as_deref(), Some("completed"));
    assert!(
        !place
            .path()
            .join(place.run())
            .join(".experiment_state.rejected-1")
            .exists()
    );
}

fn vim(mode: &'static [&'static str]) -> impl FnMut(&PathBuf, &str, &str) -> Command {
    move |file, phase, remark| {
        // When the file has changed since it was read, vim asks whether to write it all the same. Where nobody answers it ends
        // with status 0 and has not written: what comes after the writing says that it was done.
        let saved = file.with_extension("saved");
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"rm -f "$0"; "$@" && test -e "$0" && rm "$0""#])
            .arg(&saved);
        command.arg("vim").args(mode).args(["-u", "NONE", "-es", "-c"]);
        command.arg(format!("%s/^{phase}=pending$/# {remark}\\r{phase}=skipped/"));
        command.args(["-c", "w!", "-c", &format!("call writefile([], '{}')", saved.display())]);
        command.args(["-c", "q!"]).arg(file);
        command
    }
}

#[test]
fn vim_saving_in_place_is_obeyed() {
    edit_with("vim", vim(&["--cmd", "set backupcopy=yes"]));
}

#[test]
fn vim_saving_by_renaming_is_obeyed() {
    edit_with("vim -N", vim(&["-N", "--cmd", "set backupcopy=no backup backupskip="]));
}

#[test]
fn sed_in_place_is_obeyed() {
    edit_with("sed", |file, phase, remark| {
        let mut command = Command::new("sed");
        command
            .arg("-i")
            .arg(format!("s/^{phase}=pending$/# {remark}\\n{phase}=skipped/"))
            .arg(file);
        command
    });
}

#[test]
fn python_writing_the_file_anew_is_obeyed() {
    edit_with("python", |file, phase, remark| {
        let mut command = Command::new("python3");
        let program = "import sys; f, p, r = sys.argv[1:]; t = open(f).read(); \
                       t = t.replace(p + '=pending', '# ' + r + '\\n' + p + '=skipped'); open(f, 'w').write(t)";
        command.args(["-c", program]).arg(file).args([phase, remark]);
        command
    });
}

/// VS Code empties the file by its name, opens it without truncating, writes and syncs.
#[test]
fn an_editor_that_empties_the_file_first_and_then_writes_over_it_is_obeyed() {
    edit_with("code", |file, phase, remark| {
        let mut command = Command::new("python3");
        let program = "import os, sys, time; f, p, r = sys.argv[1:]; t = open(f).read(); \
                       t = t.replace(p + '=pending', '# ' + r + '\\n' + p + '=skipped'); os.truncate(f, 0); time.sleep(0.05); \
                       h = open(f, 'r+'); h.write(t); h.flush(); os.fdatasync(h.fileno())";
        command.args(["-c", program]).arg(file).args([phase, remark]);
        command
    });
}

#[test]
fn nano_is_obeyed() {
    edits_are_kept("nano", |file, phase, remark| {
        if Command::new("nano").arg("--version").output().is_err() {
            return Err("there is no nano on this machine".to_owned());
        }
        let mut command = Command::new("nano");
        command.arg("--ignorercfiles").arg(file).env("TERM", "vt100");
        let mut nano = Terminal::start(&mut command);
        nano.expect("GNU nano");
        let (find, cut, write_out) = ("\x17", "\x0b", "\x0f");
        nano.keys(&format!(
            "{find}{phase}=pending\r{cut}# {remark}\r{phase}=skipped\r{write_out}\r"
        ));
        let is_saved = || std::fs::read_to_string(file).is_ok_and(|text| text.contains(remark));
        // It sees that the file has changed since and asks whether to save all the same; a person says yes.
        for _ in 0..40 {
            if is_saved() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        nano.keys("y");
        wait_until("nano has saved", is_saved);
        Ok(())
    });
}

#[test]
fn the_guides_recipes_work_while_the_run_is_on() {
    let running = Running::start();
    let grep = |what: &str| {
        let output = Command::new("grep")
            .arg(what)
            .arg(running.file())
            .output()
            .expect("grep starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(grep("=completed").contains("busy0=completed\n"));
    assert_eq!(grep("=failed"), "");
    wait_until("a phase in progress is seen", || {
        grep("=in_progress").starts_with("busy")
    });
    assert_eq!(grep("^busy0="), "busy0=completed\n");
    running.end();
}

#[test]
fn a_phase_set_back_between_two_runs_runs_again() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"echo a >> ran\"); });\nphase(\"b\", || { shell(\"echo b >> ran\"); });\n",
    );
    place.jumar(&["run", "p.rhai"]).code(0);
    let file = place.path().join(place.run()).join(".experiment_state");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("a=completed", "a=pending")).expect("it is written");
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "a\nb\na\n");
    std::fs::write(&file, place.state() + "b=pending\n").expect("it is written");
    // Added at the end, so it belongs to the last section there; the phase stays as it is.
    place.jumar(&["resume"]).code(0);
    assert_eq!(place.read("ran"), "a\nb\na\n");
}

#[test]
fn a_phase_that_has_ended_and_is_set_back_while_the_run_is_on_runs_again_before_the_run_ends() {
    for jobs in ["1", "2"] {
        let place = Workplace::with_script(
            "phase(\"a\", || { shell(\"echo a >> ran\"); });
             phase(\"b\", #{ after: \"a\" }, || { shell(\"touch on; until test -e go; do sleep 0.02; done; echo b >> ran\"); });",
        );
        let mut host = place.start(&["run", "pipeline.rhai", "-j", jobs]);
        wait_until("b runs", || place.exists("on"));
        let text = place.state_while_a_command_runs(&place.run());
        let file = format!("{}/.experiment_state", place.run());
        place.write(&file, &text.replace("a=completed", "a=pending"));
        place.write("go", "");
        assert!(host.wait().expect("it ends").success());
        assert_eq!(place.read("ran"), "a\nb\na\n", "-j {jobs}");
        assert_eq!(place.value("phases", "a").as_deref(), Some("completed"));
    }
}

#[test]
fn what_somebody_says_of_phases_while_the_run_is_on_lets_those_run_that_wait_for_them() {
    for (jobs, edit, ran) in [
        ("1", ("flaky=failed", "flaky=completed"), "slow\neval\nlast\n"),
        ("2", ("flaky=failed", "flaky=skipped"), "slow\neval\nlast\n"),
        ("1", ("eval=pending", "eval=skipped"), "slow\nlast\n"),
    ] {
        let place = Workplace::with_script(
            "phase(\"flaky\", || { shell(\"exit 3\"); });
             phase(\"slow\", || { shell(\"touch on; until test -e go; do sleep 0.02; done; echo slow >> ran\"); });
             phase(\"eval\", #{ after: [\"flaky\", \"slow\"] }, || { shell(\"echo eval >> ran\"); });
             phase(\"last\", #{ after: \"eval\", after_any: \"flaky\" }, || { shell(\"echo last >> ran\"); });",
        );
        let host = place.start(&["run", "pipeline.rhai", "-j", jobs]);
        wait_until("slow runs", || place.exists("on"));
        let file = format!("{}/.experiment_state", place.run());
        wait_until("what is edited is shown", || place.read(&file).contains(edit.0));
        let text = place.state_while_a_command_runs(&place.run());
        place.write(&file, &text.replace(edit.0, edit.1));
        place.write("go", "");
        let ended: common::Ended = host.wait_with_output().expect("it ends").into();
        assert_eq!(place.read("ran"), ran, "{edit:?} {}", ended.stderr);
        let is_done = edit.0.starts_with("flaky");
        let ended = ended.code(if is_done { 0 } else { 1 });
        assert_eq!(ended.stderr.contains("FAILURE RECOVERY"), !is_done, "{}", ended.stderr);
    }
}

#[test]
fn an_edit_is_taken_in_while_a_phase_runs_and_not_only_when_it_ends() {
    let place = Workplace::with_script(
        "phase(\"slow\", || { shell(\"touch on; until test -e go; do sleep 0.02; done\"); });
         phase(\"b\", || { shell(\"echo b >> ran\"); });",
    );
    let host = place.start(&["run", "pipeline.rhai"]);
    wait_until("slow runs", || place.exists("on"));
    let text = place.state_while_a_command_runs(&place.run());
    let file = format!("{}/.experiment_state", place.run());
    place.write(&file, &text.replace("b=pending", "b=skipped"));
    wait_until("it is journaled", || {
        place
            .jumar(&["history"])
            .code(0)
            .stdout
            .contains("b=skipped (was pending)")
    });
    place.write("go", "");
    let ended: common::Ended = host.wait_with_output().expect("it ends").into();
    let told = ended.code(0).stderr;
    assert_eq!(told.matches("edited by hand: b=skipped").count(), 1, "{told}");
    assert!(!place.exists("ran"), "{told}");
}

#[test]
fn a_state_file_that_was_cut_is_kept_aside_and_made_anew() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"echo a >> ran\"); });\nphase(\"b\", || { shell(\"exit 1\"); });\n",
    );
    place.jumar(&["run", "p.rhai"]).code(1);
    let file = place.path().join(place.run()).join(".experiment_state");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, &text[..text.len() / 2]).expect("it is written");
    // Whoever only looks sees the truth and changes nothing.
    let looked = place.jumar(&["status", "--json"]).code(0);
    assert!(looked.stdout.contains("completed"), "{}", looked.stdout);
    let ended = place.jumar(&["resume"]).code(1);
    assert!(ended.stderr.contains("rejected-1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("# end of state"), "{}", ended.stderr);
    assert_eq!(place.read("ran"), "a\n");
    assert!(place.state().contains("a=completed\nb=failed\n"));
    std::fs::remove_file(&file).expect("it is removed");
    let looked = place.jumar(&["status", &place.run()]).code(0);
    assert!(looked.stdout.contains("completed"), "{}", looked.stdout);
    place.jumar(&["resume", &place.run()]).code(1);
    assert_eq!(place.read("ran"), "a\n");
}

#[test]
fn a_misspelt_phase_is_warned_of_with_the_one_that_was_meant() {
    let place = Workplace::with_script(
        r#"phase("prepare", || {}); phase("training", || {}); phase("more", || { phase("trained_2", || {}); });"#,
    );
    place.jumar(&["run", "pipeline.rhai", "-q"]).code(0);
    let ended = place.jumar(&["resume"]).code(0);
    assert!(!ended.stderr.contains("no phase is called"), "{}", ended.stderr);
    let file = format!("{}/.experiment_state", place.run());
    place.write(&file, &place.read(&file).replace("\ntraining=", "\ntrainig="));
    for arguments in [&["resume", "-n"][..], &["resume"]] {
        let ended = place.jumar(arguments).code(0);
        let said = "the state file has `trainig`, and no phase is called that; did you mean `training`?";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn phases_that_a_script_has_renamed_are_not_taken_for_misspelt() {
    let place = Workplace::with_script("for i in 0..150 { phase(`step_${i}`, || {}); }");
    place.jumar(&["run", "pipeline.rhai", "-q"]).code(0);
    place.write("pipeline.rhai", &place.read("pipeline.rhai").replace("step_", "stage_"));
    let ended = place.jumar(&["resume", "-n"]).code(0);
    assert!(!ended.stderr.contains("did you mean"), "{}", ended.stderr);
}

#[test]
fn a_command_that_outlived_jumar_is_waited_for_however_its_phase_was_marked_since() {
    let place = Workplace::with_script(
        "phase(\"a\", || { shell(\"touch on; until test -e go; do sleep 0.02; done; echo a >> ran\"); });
         phase(\"b\", #{ after: \"a\" }, || { shell(\"echo b >> ran\"); });",
    );
    let mut host = place.start(&["run", "pipeline.rhai"]);
    wait_until("a runs", || place.exists("on"));
    host.kill().expect("it is killed");
    host.wait().expect("it is gone");
    let file = format!("{}/.experiment_state", place.run());
    place.write(&file, &place.read(&file).replace("a=in_progress", "a=completed"));
    let status = place.jumar(&["status"]).code(0).stdout;
    assert!(status.contains("its command still runs"), "{status}");
    let host = place.start(&["resume"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    place.write("go", "");
    let ended: common::Ended = host.wait_with_output().expect("it ends").into();
    let ended = ended.code(0);
    assert!(ended.stderr.contains("waiting for process"), "{}", ended.stderr);
    assert_eq!(place.read("ran"), "a\nb\n");
}
