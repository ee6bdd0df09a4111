//! Look-ups.

use super::*;
use crate::exec::local::{LOOK_UP_LIMIT, LookUp};
use crate::exec::{Status, Stopped};

const NEVER: Duration = Duration::from_secs(60);

fn look_up(line: &str, timeout: Duration) -> Result<LookUp, ExecError> {
    let program = Program::Shell(line.to_owned());
    let env = [("ANSWER".to_owned(), Some("42".to_owned()))];
    super::super::look_up(&program, Some(Path::new("/")), &env, timeout, &StopSignal::new())
}

#[test]
fn a_look_up_returns_both_streams_and_its_exit_code() {
    let answer = look_up("pwd; echo $ANSWER; echo why >&2; exit 3", NEVER).unwrap();
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str(), answer.status),
        ("/\n42\n", "why\n", Status::Code(3))
    );
    assert!(!answer.success() && answer.stopped.is_none());
}

#[test]
fn a_chatty_look_up_blocks_nobody() {
    let answer = look_up("seq 100000; seq 100000 >&2", NEVER).unwrap();
    assert!(answer.stdout == answer.stderr && answer.stdout.ends_with("\n100000\n"));
}

#[test]
fn a_look_up_that_leaves_a_child_behind_is_not_waited_for() {
    let bench = Bench::new();
    let pid_file = bench.path().join("pid");
    let line = format!("sleep 300 & echo $! > '{}'; echo done", pid_file.display());
    assert_eq!(look_up(&line, NEVER).unwrap().stdout, "done\n");
    kill(&bench.process_in("pid"));
}

#[test]
fn a_look_up_that_takes_too_long_is_ended_with_its_children() {
    let bench = Bench::new();
    let pid_file = bench.path().join("pid");
    let line = format!(
        "trap '' TERM; sleep 300 & echo $! > '{}'; echo so far; wait",
        pid_file.display()
    );
    let answer = look_up(&line, Duration::from_millis(500)).unwrap();
    assert_eq!(answer.stopped, Some(Stopped::Timeout));
    assert_eq!(answer.status, Status::Signal(libc::SIGKILL));
    if let Ok(pid) = std::fs::read_to_string(pid_file) {
        let child = process_table::read_one(pid.trim().parse().unwrap()).unwrap();
        assert!(child.is_none_or(|child| child.ended), "{child:?}");
    }
}

#[test]
fn a_look_up_that_says_too_much_is_refused() {
    let error = look_up("cat /dev/zero", NEVER).unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::CaptureTooLarge {
                limit: LOOK_UP_LIMIT,
                ..
            }
        ),
        "{error}"
    );
}
