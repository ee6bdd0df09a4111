//! `shell(cmd, opts?)` and `capture(cmd, opts?)`

use std::sync::Arc;
use std::time::Duration;

use rhai::{Array, Dynamic, Map, Module, NativeCallContext};

use super::failures::classify;
use super::options::{Options, words_of};
use super::{Outcome, define};
use crate::exec::{ExecError, Program, Status, Stdin, Stopped, look_up, signal_name};
use crate::run::{CommandRequest, CommandResult, Failure};
use crate::script::checkpoint_judge::checkpoint_judge;
use crate::script::current;
use crate::script::fault::{failure_map, mistake, raise, raise_map, raise_problem, stop};
use crate::script::shared::Shared;

/// The options of `shell`.
pub(in crate::script) const OPTIONS: &[&str] = &[
    "env", "cwd", "timeout", "stall", "capture", "stdin", "check", "log", "stand_in",
];

/// The most time that a look-up may take unless it says otherwise.
const LOOK_UP_TIME: Duration = Duration::from_secs(30);

const SHELL: &str = "Runs a command inside a phase and waits for it; its output goes to the phase's log.
A text goes through `bash -o pipefail -ec` (`sh -ec` where there is no bash); a list is run as it is, nothing quoted or split.

Options: `env` (variables; `()` removes one), `cwd`, `timeout` (\"10m\"), `stall` (as the phase's), `capture: true` (return what it writes to standard output), `stdin` (a text),
`check: false` (return instead of throwing when it fails), `log` (another log; a bare name lies under the run's `logs/`),
`stand_in` (a line for the shell that `jumar rehearse` runs in its place: what makes the files that the script reads afterwards).

Returns a map: `code`, `signal`, `stdout` (when captured), `seconds`, `max_rss` (KiB), `log`, and `kind` when it failed.
Throws a failure (`kind`, `message`, `code`, `signal`, `command`, `log`, `tail`, …) unless `check: false`.";

const CAPTURE: &str = "A read-only look-up: runs a command, bounded at 30 s, and returns its standard output without the blanks at both ends.
Allowed while planning and in a dry run. Options: `env`, `cwd`, `timeout`, `check: false` (return \"\" when it fails or is not there). Throws a failure otherwise.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "shell",
        &["command: string", "map"],
        SHELL,
        move |context: NativeCallContext, text: &str| shell(&known, &context, Program::Shell(text.into()), Map::new()),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "shell",
        &["command: string", "options: map", "map"],
        SHELL,
        move |context: NativeCallContext, text: &str, options: Map| {
            shell(&known, &context, Program::Shell(text.into()), options)
        },
    );
    let known = Arc::clone(shared);
    define(
        module,
        "shell",
        &["command: array", "map"],
        SHELL,
        move |context: NativeCallContext, words: Array| shell(&known, &context, argv("shell", words)?, Map::new()),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "shell",
        &["command: array", "options: map", "map"],
        SHELL,
        move |context: NativeCallContext, words: Array, options: Map| {
            shell(&known, &context, argv("shell", words)?, options)
        },
    );
    let known = Arc::clone(shared);
    define(
        module,
        "capture",
        &["command: string", "string"],
        CAPTURE,
        move |text: &str| capture(&known, Program::Shell(text.into()), Map::new()),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "capture",
        &["command: string", "options: map", "string"],
        CAPTURE,
        move |text: &str, options: Map| capture(&known, Program::Shell(text.into()), options),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "capture",
        &["command: array", "string"],
        CAPTURE,
        move |words: Array| capture(&known, argv("capture", words)?, Map::new()),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "capture",
        &["command: array", "options: map", "string"],
        CAPTURE,
        move |words: Array, options: Map| capture(&known, argv("capture", words)?, options),
    );
}

fn argv(owner: &str, words: Array) -> Outcome<Program> {
    let words = words_of(owner, words)?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(Program::Argv(words)),
        _ => Err(mistake(format!("{owner}: the command is empty"))),
    }
}

fn shell(shared: &Shared, context: &NativeCallContext, program: Program, options: Map) -> Outcome<Map> {
    let attempt = current::attempt()
        .ok_or_else(|| mistake("shell() runs inside a phase; use capture() to look something up while planning"))?;
    let mut options = Options::new("shell", options, OPTIONS, &[])?;
    let checked = options.switch("check")?.unwrap_or(true);
    let request = CommandRequest {
        program,
        env: options.environment("env")?,
        cwd: options.path("cwd")?,
        timeout: options.duration("timeout")?,
        stall: options.duration("stall")?,
        capture: options.switch("capture")?.unwrap_or(false),
        stdin: options.text("stdin")?.map_or(Stdin::Null, Stdin::Text),
        log: options.path("log")?,
        stand_in: options.text("stand_in")?,
    };
    let judge = checkpoint_judge(shared, context, &attempt.phase.name);
    let result = attempt.run_command(request, judge.as_deref()).map_err(raise_problem)?;
    let kind = match &result.evidence {
        None => return Ok(as_map(result, None)),
        Some(evidence) => classify(shared, context, evidence)?,
    };
    if !checked {
        return Ok(as_map(result, Some(kind)));
    }
    let evidence = result.evidence.unwrap_or_default();
    let failure = Failure {
        phase: attempt.phase.name.clone(),
        step: attempt.step(),
        kind,
        code: result.code,
        signal: result.signal,
        message: result.message,
        command: Some(result.command),
        log: Some(result.log.to_string_lossy().into_owned()),
        tail: evidence.tail,
        attempt: attempt.number,
        seconds: result.seconds,
        max_rss: (result.max_rss > 0).then_some(result.max_rss),
        ..Failure::default()
    };
    Err(raise_map(failure_map(&failure)))
}

/// What is not there is left out: `r.signal` is `()` all the same, and a result that is kept stays short.
fn as_map(result: CommandResult, kind: Option<String>) -> Map {
    let number = |n: i32| Dynamic::from(i64::from(n));
    let mut map = Map::new();
    let mut put = |name: &str, value: Option<Dynamic>| value.map(|v| map.insert(name.into(), v));
    put("code", result.code.map(number));
    put("signal", result.signal.map(number));
    put("stdout", result.stdout.map(Dynamic::from));
    put("seconds", Some(((result.seconds * 1000.0).round() / 1000.0).into()));
    put(
        "max_rss",
        Some(i64::try_from(result.max_rss).unwrap_or(i64::MAX).into()),
    );
    put("log", Some(result.log.to_string_lossy().into_owned().into()));
    put("kind", kind.map(Dynamic::from));
    map
}

fn capture(shared: &Shared, program: Program, options: Map) -> Outcome<String> {
    let mut options = Options::new("capture", options, &["env", "cwd", "timeout", "check"], &[])?;
    let checked = options.switch("check")?.unwrap_or(true);
    let (env, cwd) = (options.environment("env")?, options.path("cwd")?);
    let time = options.duration("timeout")?.unwrap_or(LOOK_UP_TIME);
    let shown = program.display();
    match look_up(&program, cwd.as_deref(), &env, time, &shared.session.stop) {
        Ok(answer) if answer.success() => Ok(answer.stdout.trim().to_string()),
        _ if !checked => Ok(String::new()),
        Ok(answer) => {
            let said = answer
                .stderr
                .trim()
                .lines()
                .last()
                .map(|l| format!(": {l}"))
                .unwrap_or_default();
            let ended = match (answer.stopped, answer.status) {
                (Some(Stopped::Timeout), _) => {
                    return Err(raise(
                        "timeout",
                        format!("capture: `{shown}` took longer than {:.0} s", time.as_secs_f64()),
                    ));
                }
                (Some(Stopped::Interrupted), _) => return Err(stop()),
                (None, Status::Code(code)) => format!("ended with status {code}"),
                (None, Status::Signal(signal)) => format!("ended by {}", signal_name(signal)),
            };
            Err(raise("exit", format!("capture: `{shown}` {ended}{said}")))
        }
        Err(ExecError::StopRequested { .. }) => Err(stop()),
        Err(error) => {
            let kind = match &error {
                ExecError::NotFound { .. } | ExecError::NoSuchDirectory { .. } => "not_found",
                ExecError::Permission { .. } => "permission",
                _ => "script",
            };
            Err(raise(kind, format!("capture: {error}")))
        }
    }
}
