//! Commands that have to be ended, and what must survive that.

use super::*;
use crate::exec::local::children;
use crate::exec::local::process_table::Variable;
use crate::exec::{Status, StopLevel, Stopped};

/// A time of grace that no test may use up.
const NEVER: Duration = Duration::from_secs(60);

/// Runs a command and calls `meanwhile` beside it.
fn run_while(command: &Command, grace: Duration, stop: &StopSignal, meanwhile: impl FnOnce()) -> Exit {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| Local::with_grace(grace).run(command, stop).unwrap());
        meanwhile();
        let exit = running.join().unwrap();
        assert!(exit.seconds < NEVER.as_secs_f64(), "the grace was used up: {exit:?}");
        exit
    })
}

#[test]
fn a_timeout_ends_a_command_and_is_the_reason() {
    let bench = Bench::new();
    let mut command = bench.shell("sleep 300");
    command.timeout = Some(Duration::from_millis(50));
    let exit = run(&command);
    assert_eq!(exit.stopped, Some(Stopped::Timeout));
    assert_eq!(exit.status, Status::Signal(libc::SIGTERM));
    assert!(!exit.success());
}

#[test]
fn nothing_of_a_stopped_tree_is_left_and_nothing_else_is_touched() {
    let bench = Bench::new();
    let mut beside = std::process::Command::new("sleep")
        .arg("300")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let earlier = run(&bench.shell("setsid sleep 300 & echo $! > earlier"));
    assert!(earlier.success());
    let earlier = bench.process_in("earlier");

    // A plain child, one that ignores TERM, one in a session of its own, a double-forked daemon that ignores TERM and loses its
    // parents, one with an emptied environment, and such a one that loses its parent but stays in the group.
    let nasty = bench.shell(
        r#"
        sh -c 'echo $$ > plain; exec sleep 300' &
        bash -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 300 || :; done' &
        setsid sh -c 'echo $$ > session; sleep 300' &
        ( ( setsid bash -c 'trap "" TERM; echo $$ > daemon; while :; do sleep 300 || :; done' \
            > /dev/null 2>&1 & ) & )
        env -i "$(command -v sh)" -c 'echo $$ > nameless; trap "" TERM; while :; do /bin/sleep 300 || :; done' &
        ( env -i "$(command -v sh)" -c 'echo $$ > orphan; trap "" TERM; while :; do /bin/sleep 300 || :; done' & )
        echo $$ > leader
        wait
        "#,
    );
    let files = ["plain", "stubborn", "session", "daemon", "nameless", "orphan", "leader"];
    let stop = StopSignal::new();
    let mut tree = Vec::new();
    let exit = run_while(&nasty, Duration::from_millis(300), &stop, || {
        bench.wait_for(&files);
        tree = files.iter().map(|file| bench.process_in(file)).collect();
        stop.request();
    });
    assert_eq!(exit.stopped, Some(Stopped::Interrupted));
    assert!(exit.survivors.is_empty(), "{:?}", exit.survivors);
    assert_eq!(tree.len(), files.len());
    for (file, process) in files.iter().zip(&tree) {
        let now = process_table::read_one(process.pid).unwrap();
        assert!(
            now.is_none_or(|now| now.started != process.started),
            "{file} is left: {now:?}"
        );
    }
    assert!(beside.try_wait().unwrap().is_none(), "a process beside it was touched");
    assert!(is_alive(&earlier), "an earlier command's daemon was touched");
    kill(&earlier);
    beside.kill().unwrap();
    beside.wait().unwrap();
}

#[test]
fn a_graceful_stop_lets_a_command_clean_up_undisturbed() {
    let bench = Bench::new();
    let command = bench.shell(
        "trap 'sh -c \"sleep 0.2; echo saved\"; exit 3' TERM
         echo ready > ready
         while :; do sleep 0.05 || :; done",
    );
    let stop = StopSignal::new();
    let exit = run_while(&command, NEVER, &stop, || {
        bench.wait_for(&["ready"]);
        stop.request();
    });
    assert_eq!(
        (exit.status, exit.stopped),
        (Status::Code(3), Some(Stopped::Interrupted))
    );
    assert_eq!(bench.log().lines().last(), Some("saved"));
    assert_eq!(stop.level(), StopLevel::Graceful);
}

#[test]
fn a_second_request_kills_at_once() {
    let bench = Bench::new();
    let command = bench.shell(
        "trap 'echo asked > asked' TERM
         echo ready > ready
         while :; do sleep 0.05 || :; done",
    );
    let stop = StopSignal::new();
    let exit = run_while(&command, NEVER, &stop, || {
        bench.wait_for(&["ready"]);
        stop.request();
        bench.wait_for(&["asked"]);
        stop.request();
    });
    assert_eq!(
        (exit.status, exit.stopped),
        (Status::Signal(libc::SIGKILL), Some(Stopped::Interrupted))
    );
}

#[test]
fn a_command_that_is_suspended_hears_a_graceful_stop() {
    let bench = Bench::new();
    let command = bench.shell("echo $$ > leader; kill -STOP $$; sleep 300");
    let stop = StopSignal::new();
    let exit = run_while(&command, NEVER, &stop, || {
        bench.wait_for(&["leader"]);
        stop.request();
    });
    assert_eq!(exit.status, Status::Signal(libc::SIGTERM));
}

#[test]
fn a_command_that_keeps_forking_is_ended() {
    let bench = Bench::new();
    let command = bench.shell(
        "trap '' TERM
         echo ready > ready
         while :; do (setsid sleep 300 &) ; sleep 0.001; done",
    );
    let stop = StopSignal::new();
    let mark = format!("{}", bench.path().display());
    let command = Command {
        env: vec![("FORKER".into(), Some(mark.clone()))],
        ..command
    };
    run_while(&command, Duration::from_millis(100), &stop, || {
        bench.wait_for(&["ready"]);
        stop.request();
    });
    let left: Vec<i32> = process_table::read_all()
        .unwrap()
        .iter()
        .filter(|process| !process.ended)
        .map(|process| process.pid)
        .filter(|pid| process_table::environment_variable(*pid, "FORKER") == Variable::Value(mark.clone()))
        .collect();
    assert_eq!(left, [0; 0]);
}

#[test]
fn a_daemon_that_a_command_left_is_reaped_when_it_ends() {
    let bench = Bench::new();
    run(&bench.shell("setsid sh -c 'echo $$ > daemon; exec sleep 300' & while ! test -s daemon; do sleep 0.01; done"));
    let daemon = bench.process_in("daemon");
    let own_pid = std::process::id() as i32;
    assert_eq!(daemon.parent, own_pid, "orphans come to this process");
    let mut looks = children::Children::default();
    looks.consider(&daemon);
    kill(&daemon);
    eventually("the daemon is reaped", || {
        match process_table::read_one(daemon.pid).unwrap() {
            Some(now) if now.started == daemon.started => looks.consider(&now),
            _ => return true,
        }
        false
    });
}

#[test]
fn nothing_is_started_once_a_stop_is_requested() {
    let bench = Bench::new();
    let stop = StopSignal::new();
    stop.request();
    let error = Local::new().run(&bench.shell("echo ran"), &stop).unwrap_err();
    assert!(matches!(error, ExecError::StopRequested { .. }), "{error}");
    assert!(!bench.path().join("log").exists());
}
