//! Stopping a run: by signals to the host, whole trees, and what is recorded of it.

mod common;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;

use common::{Workplace, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// A command with a child in a session of its own and a daemon that has lost its parents; each says its pid in a file.
const TREE: &str = r#"
phase("work", || {
    shell(`
        setsid sh -c 'echo $$ > session; exec sleep 300' &
        ( ( setsid sh -c 'echo $$ > daemon; exec sleep 300' > /dev/null 2>&1 & ) & )
        echo $$ > leader
        wait`);
});
phase("later", #{ after: "work" }, || { shell("touch later"); });
"#;
const FILES: [&str; 3] = ["session", "daemon", "leader"];

/// The same, and deaf to TERM.
fn stubborn() -> String {
    TREE.replace("setsid sh -c '", "setsid sh -c 'trap \"\" TERM; ")
        .replace("echo $$ > leader", "trap '' TERM; echo $$ > leader")
        .replace("wait`", "while :; do sleep 1 || :; done`")
}

fn started(workplace: &Workplace, script: &str) -> (Child, Vec<i32>) {
    workplace.write("work.rhai", script);
    let host = workplace.start(&["run", "work.rhai"]);
    (host, pids(workplace))
}

fn pids(workplace: &Workplace) -> Vec<i32> {
    wait_until("everything runs", || {
        FILES
            .iter()
            .all(|file| workplace.exists(file) && workplace.read(file).ends_with('\n'))
    });
    FILES
        .iter()
        .map(|file| workplace.read(file).trim().parse().expect("a pid"))
        .collect()
}

/// Whether a process runs: one that has ended and waits to be reaped does not.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn signal(host: &Child, signal: Signal) {
    kill_process(Pid::from_child(host), signal).expect("the host is signalled");
}

fn assert_stopped(workplace: &Workplace, host: Child, processes: &[i32]) {
    let output = host.wait_with_output().expect("the host ends");
    assert_eq!(output.status.signal(), None);
    for (file, pid) in FILES.iter().zip(processes) {
        assert!(!runs(*pid), "{file} is left");
    }
    assert_eq!(workplace.value("phases", "work").as_deref(), Some("pending"));
    assert!(workplace.value("attempts", "work.1").unwrap().contains("interrupted"));
    assert!(!workplace.exists("later"));
}

#[test]
fn an_interrupt_a_hang_up_and_a_termination_stop_a_run_alike_with_everything_it_started() {
    for (stop, code) in [(Signal::INT, 130), (Signal::HUP, 129), (Signal::TERM, 143)] {
        let workplace = Workplace::new();
        let (host, processes) = started(&workplace, TREE);
        signal(&host, stop);
        let output = host.wait_with_output().expect("the host ends");
        assert_eq!(output.status.code(), Some(code), "{stop:?}");
        for (file, pid) in FILES.iter().zip(&processes) {
            assert!(!runs(*pid), "{file} is left after {stop:?}");
        }
        assert_eq!(workplace.value("phases", "work").as_deref(), Some("pending"));
        assert!(workplace.value("attempts", "work.1").unwrap().contains("interrupted"));
        assert!(!workplace.exists("later"));
    }
}

#[test]
fn a_stop_says_at_once_what_it_waits_for_and_how_long() {
    let workplace = Workplace::new();
    let (mut host, processes) = started(&workplace, &stubborn());
    let said = BufReader::new(host.stderr.take().expect("a pipe"));
    signal(&host, Signal::INT);
    // What does not listen would keep it for half a minute: the line comes before that, or never.
    let stopping = said
        .lines()
        .map(|line| line.expect("a line"))
        .find(|line| line.starts_with("stopping"));
    signal(&host, Signal::INT);
    assert_stopped(&workplace, host, &processes);
    assert_eq!(
        stopping.as_deref(),
        Some("stopping: waiting up to 30 s for work to end; Ctrl-C again ends it at once")
    );
}

#[test]
fn a_second_interrupt_kills_what_does_not_listen() {
    let workplace = Workplace::new();
    let (host, processes) = started(&workplace, &stubborn());
    signal(&host, Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(processes.iter().all(|pid| runs(*pid)), "the first one only asks");
    signal(&host, Signal::INT);
    assert_stopped(&workplace, host, &processes);
}

#[test]
fn what_a_dead_host_had_started_is_stopped_by_the_next_one() {
    for script in [TREE.to_owned(), stubborn()] {
        let workplace = Workplace::new();
        let (mut host, processes) = started(&workplace, &script);
        host.kill().expect("the host is killed");
        host.wait().expect("the host is gone");
        let next = workplace.start(&["resume"]);
        wait_until("the next host goes on", || {
            workplace.state().contains("another one went on")
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(processes.iter().all(|pid| runs(*pid)), "a host that dies stops nothing");
        signal(&next, Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(200));
        signal(&next, Signal::INT);
        assert_stopped(&workplace, next, &processes);
    }
}

#[test]
fn a_stop_ends_what_the_dead_host_had_running_in_phases_that_nobody_came_to() {
    let workplace = Workplace::new();
    let other = "\nphase(\"other\", || { shell(\"echo $$ > other; exec sleep 300\"); });\n";
    workplace.write("work.rhai", &format!("{TREE}{other}"));
    let mut host = workplace.start(&["run", "work.rhai", "-j", "2"]);
    let mut processes = pids(&workplace);
    wait_until("the other one runs", || {
        workplace.exists("other") && workplace.read("other").ends_with('\n')
    });
    processes.push(workplace.read("other").trim().parse().expect("a pid"));
    host.kill().expect("the host is killed");
    host.wait().expect("the host is gone");
    let next = workplace.start(&["resume"]);
    wait_until("the next host goes on", || {
        workplace.state().contains("another one went on")
    });
    signal(&next, Signal::INT);
    assert_stopped(&workplace, next, &processes);
    assert!(!runs(processes[3]), "the phase that was not come to goes on");
    assert_eq!(workplace.value("phases", "other").as_deref(), Some("pending"));
    assert!(workplace.value("attempts", "other.1").unwrap().contains("interrupted"));
}

#[test]
fn a_timeout_of_the_phase_counts_on_under_the_next_host() {
    let workplace = Workplace::new();
    let script = TREE.replace("phase(\"work\", ||", "phase(\"work\", #{ timeout: \"2s\" }, ||");
    let (mut host, processes) = started(&workplace, &script);
    host.kill().expect("the host is killed");
    host.wait().expect("the host is gone");
    let ended = workplace.jumar(&["resume"]).code(1);
    assert!(ended.stderr.contains("timeout"), "{}", ended.stderr);
    for (file, pid) in FILES.iter().zip(&processes) {
        assert!(!runs(*pid), "{file} is left");
    }
    assert!(workplace.value("attempts", "work.1").unwrap().contains("timeout"));
}
