//! Commands that a keeper starts, and commands that are gone on with. The keeper is a thread here; that it outlives its host is
//! shown with the program itself.

use super::*;
use crate::exec::local::keeper::KeeperOfHost;
use crate::exec::logbook::{Logbook, Note, Why};
use crate::exec::{Entry, Keeping, Status, Stdin, Stopped};

/// A time of grace that no test may use up.
const NEVER: Duration = Duration::from_secs(60);

fn kept(bench: &Bench, grace: Duration) -> Local {
    let local = Local::with_grace(grace);
    local.keep_through(KeeperOfHost::in_this_process(bench.path().join("lock")));
    local
}

fn run_kept(bench: &Bench, command: &Command) -> Result<Exit, ExecError> {
    kept(bench, NEVER).run(command, &StopSignal::new())
}

fn noted(bench: &Bench, command: &Command) -> Command {
    let logbook = Logbook::create(&bench.path().join("notes"), "title").unwrap();
    Command {
        note: Some(Note {
            logbook,
            label: "first".into(),
        }),
        ..command.clone()
    }
}

fn entries(bench: &Bench) -> Vec<Entry> {
    let found = Logbook::open(&bench.path().join("notes"), "title").unwrap();
    found.unwrap().1
}

#[test]
fn a_kept_command_ends_as_one_that_is_started_directly() {
    let bench = Bench::new();
    assert!(run_kept(&bench, &bench.shell("true")).unwrap().success());
    assert_eq!(
        run_kept(&bench, &bench.shell("exit 9")).unwrap().status,
        Status::Code(9)
    );
    let killed = run_kept(&bench, &bench.shell("kill -SEGV $$")).unwrap();
    assert_eq!(killed.status, Status::Signal(libc::SIGSEGV));
    let mut command = bench.shell("cat; echo \"[$SET] [${HOME-gone}]\"; pwd >&2");
    command.stdin = Stdin::Text("typed\n".into());
    command.env = vec![("SET".into(), Some("a b".into())), ("HOME".into(), None)];
    command.capture = true;
    std::fs::create_dir(bench.path().join("inside")).unwrap();
    command.cwd = Some(bench.path().join("inside").canonicalize().unwrap());
    let exit = run_kept(&bench, &command).unwrap();
    assert_eq!(exit.stdout.as_deref(), Some("typed\n[a b] [gone]\n"));
    assert_eq!(
        bench.log(),
        format!("{}\ntyped\n[a b] [gone]\n", command.cwd.unwrap().display())
    );
}

#[test]
fn commands_side_by_side_each_get_their_own_end_from_one_keeper() {
    let bench = Bench::new();
    let local = kept(&bench, NEVER);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (bench, local) = (&bench, &local);
            scope.spawn(move || {
                for round in 0..25 {
                    let code = (thread * 50 + round) % 256;
                    let exit = local
                        .run(&bench.shell(&format!("exit {code}")), &StopSignal::new())
                        .unwrap();
                    assert_eq!(exit.status, Status::Code(code));
                }
            });
        }
    });
}

#[test]
fn why_a_kept_command_cannot_start_is_told_apart() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("script"), "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bench.path().join("script"), mode).unwrap();
    let error = run_kept(&bench, &bench.argv(&["./script"])).unwrap_err();
    assert!(matches!(&error, ExecError::NotFound { program } if program.contains("/no/such/interpreter")));

    let error = run_kept(&bench, &bench.argv(&["echo", &"x".repeat(1 << 20)])).unwrap_err();
    assert_eq!(error.errno(), Some(libc::E2BIG), "{error}");
}

#[test]
fn a_keeper_stops_a_whole_tree_at_a_timeout() {
    let bench = Bench::new();
    let mut command = bench.shell(
        r#"
        trap "" TERM
        ( ( setsid bash -c 'trap "" TERM; echo $$ > daemon; while :; do sleep 300 || :; done' > /dev/null 2>&1 & ) & )
        echo $$ > leader
        while :; do echo filling the log; done
        "#,
    );
    command.timeout = Some(Duration::from_millis(500));
    let exit = kept(&bench, Duration::from_millis(200))
        .run(&command, &StopSignal::new())
        .unwrap();
    assert_eq!(
        (exit.stopped, exit.status),
        (Some(Stopped::Timeout), Status::Signal(libc::SIGKILL))
    );
    for file in ["daemon", "leader"] {
        let pid = std::fs::read_to_string(bench.path().join(file)).unwrap();
        let left = process_table::read_one(pid.trim().parse().unwrap()).unwrap();
        assert!(left.is_none_or(|left| left.ended), "{file} is left: {left:?}");
    }
}

#[test]
fn a_second_request_reaches_a_command_through_its_keeper() {
    let bench = Bench::new();
    let command = bench.shell("trap 'echo asked > asked' TERM; echo ready > ready; while :; do sleep 0.05 || :; done");
    let stop = StopSignal::new();
    let local = kept(&bench, NEVER);
    let exit = std::thread::scope(|scope| {
        let running = scope.spawn(|| local.run(&command, &stop).unwrap());
        bench.wait_for(&["ready"]);
        stop.request();
        bench.wait_for(&["asked"]);
        stop.request();
        running.join().unwrap()
    });
    assert_eq!(
        (exit.status, exit.stopped),
        (Status::Signal(libc::SIGKILL), Some(Stopped::Interrupted))
    );
}

#[test]
fn a_start_and_an_end_are_noted_with_and_without_a_keeper() {
    for with_keeper in [true, false] {
        let bench = Bench::new();
        let mut command = noted(&bench, &bench.shell("echo $$ > pid; echo out; echo err >&2; exit 4"));
        command.capture = true;
        let local = if with_keeper { kept(&bench, NEVER) } else { Local::new() };
        let exit = local.run(&command, &StopSignal::new()).unwrap();
        let entry = entries(&bench).remove(0);
        let pid = std::fs::read_to_string(bench.path().join("pid")).unwrap();
        assert_eq!(entry.process.pid.to_string(), pid.trim());
        assert_eq!((entry.label.as_str(), entry.log_start, entry.taken), ("first", 0, true));
        assert_eq!(
            std::fs::read_to_string(entry.capture.as_ref().unwrap()).unwrap(),
            "out\n"
        );
        let end = entry.end.clone().unwrap();
        assert_eq!((end.code, end.log_end), (Some(4), 4));

        // What is on file is taken as it was, and the log is not written twice.
        let again = local.rejoin(&entry, &command, &StopSignal::new()).unwrap().unwrap();
        assert_eq!(again, exit);
        assert_eq!(bench.log(), "err\nout\n");
    }
}

#[test]
fn a_command_runs_without_a_keeper_when_none_can_be_started() {
    let bench = Bench::new();
    let local = Local::new();
    local.keep(Keeping {
        program: "/no/such/program".into(),
        title: "keeper".into(),
        lock: bench.path().join("lock"),
    });
    let command = noted(&bench, &bench.shell("echo ran; exit 3"));
    assert_eq!(local.run(&command, &StopSignal::new()).unwrap().status, Status::Code(3));
    assert_eq!(bench.log(), "ran\n");
    assert_eq!(entries(&bench).remove(0).end.unwrap().code, Some(3));
}

/// A command that another process waits for, or nobody, as its logbook would tell of it.
fn left_by_another(bench: &Bench, command: &Command, keeper: &Process, line: &str) -> Entry {
    let note = command.note.as_ref().unwrap();
    let id = format!("left-{}", bench.path().display()).replace('/', "-");
    let mut shell = std::process::Command::new("sh");
    let child = std::os::unix::process::CommandExt::process_group(&mut shell, 0)
        .args(["-c", line])
        .current_dir(bench.path())
        .env("JUMAR_COMMAND_ID", &id)
        .spawn()
        .unwrap();
    let pid = child.id() as i32;
    let started = process_table::read_one(pid).unwrap().unwrap().started;
    let text = format!(
        r#"{{"start":{{"id":"{id}","label":"first","process":{{"pid":{pid},"started":{started}}},"keeper":{{"pid":{},"started":{}}},"began":0.0,"log":"log","log_start":0}}}}"#,
        keeper.pid, keeper.started
    );
    let mut file = std::fs::File::options().append(true).open(note.logbook.path()).unwrap();
    std::io::Write::write_all(&mut file, format!("\n{text}\n").as_bytes()).unwrap();
    // Somebody has to reap it, as its parent would.
    std::thread::spawn(move || {
        let mut child = child;
        child.wait()
    });
    entries(bench).remove(0)
}

#[test]
fn a_command_whose_keeper_was_killed_is_waited_for_and_its_end_is_not_known() {
    let bench = Bench::new();
    let command = noted(&bench, &bench.shell("true"));
    let gone = Process {
        pid: 1,
        parent: 0,
        group: 0,
        session: 0,
        started: 1,
        ended: true,
    };
    let entry = left_by_another(
        &bench,
        &command,
        &gone,
        "until test -e go; do sleep 0.02; done; echo over > over",
    );
    let outcome = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Local::new().rejoin(&entry, &command, &StopSignal::new()).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        std::fs::write(bench.path().join("go"), "").unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(outcome, None);
    assert!(bench.path().join("over").exists());
    // The process is gone now; another one that got its pid would not be waited for.
    assert_eq!(Local::new().rejoin(&entry, &command, &StopSignal::new()).unwrap(), None);
}

#[test]
fn a_command_of_an_earlier_host_is_stopped_with_its_tree() {
    let bench = Bench::new();
    let command = noted(&bench, &bench.shell("true"));
    let me = process_table::read_one(std::process::id() as i32).unwrap().unwrap();
    let gone = Process {
        pid: 1,
        started: 1,
        ..me
    };
    let line = "trap '' TERM; setsid sh -c 'echo $$ > child; exec sleep 300' & echo $$ > leader; wait; sleep 300";
    let entry = left_by_another(&bench, &command, &gone, line);
    bench.wait_for(&["child", "leader"]);
    let stop = StopSignal::new();
    stop.request();
    let (child, leader) = (bench.process_in("child"), bench.process_in("leader"));
    let exit = Local::with_grace(Duration::from_millis(100))
        .rejoin(&entry, &command, &stop)
        .unwrap()
        .unwrap();
    assert_eq!(exit.stopped, Some(Stopped::Interrupted));
    assert!(!is_alive(&child) && !is_alive(&leader));
    assert_eq!(entries(&bench).remove(0).stopped, Some(Why::Interrupted));
}
