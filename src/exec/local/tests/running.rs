//! Commands that end by themselves.

use std::os::unix::process::CommandExt as _;

use super::*;
use crate::exec::local::{CAPTURE_LIMIT, children};
use crate::exec::{Status, Stdin};

#[test]
fn an_exit_code_is_told_from_a_signal() {
    let bench = Bench::new();
    assert!(run(&bench.shell("true")).success());
    let failed = run(&bench.shell("exit 9"));
    assert_eq!((failed.status, failed.success()), (Status::Code(9), false));
    assert_eq!(run(&bench.shell("kill -SEGV $$")).status, Status::Signal(libc::SIGSEGV));
    assert_eq!(run(&bench.shell("no_such_command_at_all")).status, Status::Code(127));
}

#[test]
fn a_shell_line_fails_at_its_first_failing_command_and_inside_a_pipe() {
    let bench = Bench::new();
    assert_eq!(run(&bench.shell("false; echo unreachable")).status, Status::Code(1));
    assert_eq!(run(&bench.shell("(exit 5) | cat")).status, Status::Code(5));
    assert_eq!(bench.log(), "");
}

#[test]
fn an_argument_reaches_the_program_as_it_is() {
    let bench = Bench::new();
    run(&bench.argv(&["printf", "%s|", "a b", "$HOME *", "", "it's\n"]));
    assert_eq!(bench.log(), "a b|$HOME *||it's\n|");
}

#[test]
fn the_log_holds_both_streams_byte_for_byte_in_the_order_of_writing() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("log"), "before\n").unwrap();
    let exit = run(&bench.shell("echo out; echo err >&2; printf '\\377\\000\\r'; echo end >&2"));
    assert_eq!(exit.log_start, 7);
    assert_eq!(exit.stdout, None);
    assert_eq!(
        std::fs::read(bench.path().join("log")).unwrap(),
        b"before\nout\nerr\n\xff\x00\rend\n"
    );
}

#[test]
fn the_directories_above_a_log_are_made() {
    let bench = Bench::new();
    let mut command = bench.shell("echo deep");
    command.log = bench.path().join("a/b/log");
    run(&command);
    assert_eq!(std::fs::read_to_string(command.log).unwrap(), "deep\n");
}

#[test]
fn captured_output_is_returned_and_joins_the_log_at_the_end() {
    let bench = Bench::new();
    let mut command = bench.shell("echo first; echo noise >&2; printf 'caf\\351'");
    command.capture = true;
    assert_eq!(run(&command).stdout.as_deref(), Some("first\ncaf\u{fffd}"));
    assert_eq!(std::fs::read(&command.log).unwrap(), b"noise\nfirst\ncaf\xe9");
    let files = std::fs::read_dir(bench.path()).unwrap().count();
    assert_eq!(files, 1, "only the log is left");
}

#[test]
fn a_command_that_writes_too_much_captured_output_is_ended() {
    let bench = Bench::new();
    let mut command = bench.shell("trap '' TERM; cat /dev/zero; sleep 300");
    command.capture = true;
    let error = try_run(&command).unwrap_err();
    assert!(
        matches!(
            error,
            ExecError::CaptureTooLarge {
                limit: CAPTURE_LIMIT,
                ..
            }
        ),
        "{error}"
    );
    let logged = command.log.metadata().unwrap().len();
    assert!(logged > 0 && logged <= 1 << 20, "a sample is logged: {logged}");
}

#[test]
fn variables_are_set_and_removed_and_the_rest_is_inherited() {
    let bench = Bench::new();
    let mut command = bench.shell("echo \"[$SET] [${HOME-gone}] [${PATH:+kept}]\"");
    command.env = vec![("SET".into(), Some("a b".into())), ("HOME".into(), None)];
    run(&command);
    assert_eq!(bench.log(), "[a b] [gone] [kept]\n");
}

#[test]
fn a_command_runs_in_its_directory() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("inside")).unwrap();
    let mut command = bench.argv(&["pwd", "-P"]);
    command.cwd = Some(bench.path().join("inside"));
    run(&command);
    let inside = bench.path().join("inside").canonicalize().unwrap();
    assert_eq!(bench.log(), format!("{}\n", inside.display()));
}

#[test]
fn standard_input_is_a_text_or_empty_and_need_not_be_read() {
    let bench = Bench::new();
    run(&bench.argv(&["cat"]));
    assert_eq!(bench.log(), "");
    let mut command = bench.argv(&["wc", "-c"]);
    command.stdin = Stdin::Text("é".repeat(500_000));
    run(&command);
    assert_eq!(bench.log().trim(), "1000000");
    command.program = Program::Shell("true".into());
    assert!(run(&command).success());
}

#[test]
fn why_a_command_cannot_start_is_told_apart() {
    let bench = Bench::new();
    let error = try_run(&bench.argv(&["no_such_program", "x"])).unwrap_err();
    assert!(matches!(&error, ExecError::NotFound { program } if program == "no_such_program"));
    assert_eq!(error.errno(), Some(libc::ENOENT));

    std::fs::write(bench.path().join("script"), "#!/bin/sh\n").unwrap();
    let error = try_run(&bench.argv(&["./script"])).unwrap_err();
    assert!(matches!(&error, ExecError::Permission { .. }), "{error}");

    let mut command = bench.shell("true");
    command.cwd = Some(bench.path().join("missing"));
    let error = try_run(&command).unwrap_err();
    assert!(matches!(&error, ExecError::NoSuchDirectory { .. }), "{error}");

    let mut command = bench.shell("true");
    command.log = "/dev/null/log".into();
    let error = try_run(&command).unwrap_err();
    assert!(matches!(&error, ExecError::Log { .. }), "{error}");
    assert_eq!(error.errno(), Some(libc::ENOTDIR));

    let error = try_run(&bench.argv(&["echo", &"x".repeat(1 << 20)])).unwrap_err();
    assert!(matches!(&error, ExecError::Spawn { .. }), "{error}");
    assert_eq!(error.errno(), Some(libc::E2BIG));
}

#[test]
fn a_command_leads_its_own_group_and_gets_no_descriptor_of_the_host() {
    let bench = Bench::new();
    let secret = bench.path().join("secret");
    let _held = std::fs::File::create(&secret).unwrap();
    run(&bench.shell("ps -o pgid= -p $$ | tr -d ' '; echo $$; ls -l /proc/self/fd"));
    let log = bench.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert!(!log.contains("secret") && !log.contains("pidfd"), "{log}");
}

#[test]
fn what_a_command_used_is_measured() {
    let bench = Bench::new();
    let exit = run(&bench.argv(&["python3", "-c", "b = b'x' * (100 << 20); sum(range(2000000))"]));
    assert!(exit.success(), "{}", bench.log());
    assert!(exit.max_rss_kib > 90 << 10 && exit.max_rss_kib < 1 << 20, "{exit:?}");
    assert!(exit.user_seconds > 0.0 && exit.seconds > 0.0, "{exit:?}");
    assert_eq!((exit.kernel_oom_kills, exit.cgroup_oom_kills), (0, 0));
}

#[test]
fn a_command_that_ends_by_itself_leaves_its_background_children_alone() {
    let bench = Bench::new();
    let exit = run(&bench.shell("sleep 300 & echo $! > server"));
    assert!(exit.success() && exit.survivors.is_empty());
    let server = bench.process_in("server");
    assert!(is_alive(&server));

    // Stopping a later command does not touch it either.
    let mut later = bench.shell("sleep 300");
    later.timeout = Some(Duration::from_millis(10));
    assert_eq!(run(&later).stopped, Some(crate::exec::Stopped::Timeout));
    assert!(is_alive(&server));

    // It became a child of this process: when it ends, it does not stay a zombie.
    kill(&server);
    eventually("the orphan is reaped", || {
        children::reap_orphans_now_and_then();
        process_table::read_one(server.pid).unwrap() != Some(Process { ended: true, ..server })
            && process_table::read_one(server.pid)
                .unwrap()
                .is_none_or(|now| now.started != server.started)
    });
}

#[test]
fn commands_side_by_side_each_get_their_own_end() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let bench = &bench;
            scope.spawn(move || {
                let executor = Local::new();
                for round in 0..25 {
                    let code = (thread * 50 + round) % 256;
                    let command = bench.shell(&format!("exit {code}"));
                    let exit = executor.run(&command, &StopSignal::new()).unwrap();
                    assert_eq!(exit.status, Status::Code(code));
                }
            });
        }
    });
}

#[test]
fn an_ended_child_that_another_room_waits_for_is_never_reaped() {
    let mut child = std::process::Command::new("setsid")
        .arg("true")
        .process_group(0)
        .spawn()
        .unwrap();
    let pid = child.id() as i32;
    eventually("the child has ended", || {
        process_table::read_one(pid).unwrap().unwrap().ended
    });
    let mut looks = children::Children::default();
    looks.consider(&process_table::read_one(pid).unwrap().unwrap());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_blocks_no_signal_and_ignores_only_what_this_process_was_told_to_ignore() {
    let bench = Bench::new();
    let masks = |line: &str| {
        assert!(run(&bench.shell(&format!("exec grep '^{line}' /proc/self/status > mask"))).success());
        let text = std::fs::read_to_string(bench.path().join("mask")).unwrap();
        u64::from_str_radix(text.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let bit = |signal: i32| 1_u64 << (signal - 1);
    // SAFETY: plain calls on memory of ours; this thread's mask goes with it, and nobody here waits for this signal.
    unsafe {
        let mut some = std::mem::zeroed();
        libc::sigemptyset(&mut some);
        libc::sigaddset(&mut some, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &some, std::ptr::null_mut());
        libc::signal(libc::SIGUSR2, libc::SIG_IGN);
    }
    assert_eq!(masks("SigBlk"), 0);
    let ignored = masks("SigIgn");
    assert_eq!(
        (ignored & bit(libc::SIGUSR2), ignored & bit(libc::SIGPIPE)),
        (bit(libc::SIGUSR2), 0)
    );
}
