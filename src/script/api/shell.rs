//! `shell(cmd, opts?)` and `capture(cmd, opts?)`

use std::sync::Arc;
use std::time::Duration;

use rhai::{Array, Dynamic, Map, Module, NativeCallContext};

use super::failures::classify;
use super::options::{Options, words_of};
use super::{Outcome, define};
use crate::exec::{Program, Status, Stdin, look_up};
use crate::run::{CommandRequest, CommandResult, Failure};
use crate::script::current;
use crate::script::fault::{failure_map, mistake, raise, raise_map, raise_problem};
use crate::script::shared::Shared;

/// The options of `shell`.
pub(in crate::script) const OPTIONS: &[&str] = &["env", "cwd", "timeout", "capture", "stdin", "check", "log"];

/// The most time that a look-up may take unless it says otherwise.
const LOOK_UP_TIME: Duration = Duration::from_secs(30);

const SHELL: &str = "Runs a command inside a phase and waits for it; its output goes to the phase's log.
A text goes through `bash -o pipefail -ec` (`sh -ec` where there is no bash); a list is run as it is, nothing quoted or split.

Options: `env` (variables; `()` removes one), `cwd`, `timeout` (\"10m\"), `capture: true` (return what it writes to standard output), `stdin` (a text),
`check: false` (return instead of throwing when it fails), `log` (another log; a bare name lies under the run's `logs/`).

Returns a map: `code`, `signal`, `stdout` (when captured), `seconds`, `max_rss` (KiB), `log`, and `kind` when it failed.
Throws a failure (`kind`, `message`, `code`, `signal`, `command`, `log`, `tail`, …) unless `check: false`.";

const CAPTURE: &str = "A read-only look-up: runs a command, bounded at 30 s, and returns its standard output without the blanks at both ends.
Allowed while planning and in a dry run. Options: `env`, `cwd`, `timeout`, `check: false` (return \"\" when it fails or is not there). Throws a failure otherwise.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(module, "shell", &["command: string", "map"], SHELL, move |context: NativeCallContext, text: &str| shell(&known, &context, Program::Shell(text.into()), Map::new()));
    let known = Arc::clone(shared);
    define(module, "shell", &["command: string", "options: map", "map"], SHELL, move |context: NativeCallContext, text: &str, options: Map| {
        shell(&known, &context, Program::Shell(text.into()), options)
    });
    let known = Arc::clone(shared);
    define(module, "shell", &["command: array", "map"], SHELL, move |context: NativeCallContext, words: Array| shell(&known, &context, argv("shell", words)?, Map::new()));
    let known = Arc::clone(shared);
    define(module, "shell", &["command: array", "options: map", "map"], SHELL, move |context: NativeCallContext, words: Array, options: Map| {
        shell(&known, &context, argv("shell", words)?, options)
    });
    define(module, "capture", &["command: string", "string"], CAPTURE, |text: &str| capture(Program::Shell(text.into()), Map::new()));
    define(module, "capture", &["command: string", "options: map", "string"], CAPTURE, |text: &str, options: Map| capture(Program::Shell(text.into()), options));
    define(module, "capture", &["command: array", "string"], CAPTURE, |words: Array| capture(argv("capture", words)?, Map::new()));
    define(module, "capture", &["command: array", "options: map", "string"], CAPTURE, |words: Array, options: Map| capture(argv("capture", words)?, options));
}

fn argv(owner: &str, words: Array) -> Outcome<Program> {
    let words = words_of(owner, words)?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(Program::Argv(words)),
        _ => Err(mistake(format!("{owner}: the command is empty"))),
    }
}

fn shell(shared: &Shared, context: &NativeCallContext, program: Program, options: Map) -> Outcome<Map> {
    let attempt = current::attempt().ok_or_else(|| mistake("shell() runs inside a phase; use capture() to look something up while planning"))?;
    let mut options = Options::new("shell", options, OPTIONS, &[])?;
    let checked = options.switch("check")?.unwrap_or(true);
    let request = CommandRequest {
        program,
        env: options.environment("env")?,
        cwd: options.path("cwd")?,
        timeout: options.duration("timeout")?,
        capture: options.switch("capture")?.unwrap_or(false),
        stdin: options.text("stdin")?.map_or(Stdin::Null, Stdin::Text),
        log: options.path("log")?,
    };
    let result = attempt.run_command(request).map_err(raise_problem)?;
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

fn as_map(result: CommandResult, kind: Option<String>) -> Map {
    let number = |n: Option<i32>| n.map_or(Dynamic::UNIT, |n| i64::from(n).into());
    let mut map = Map::new();
    map.insert("code".into(), number(result.code));
    map.insert("signal".into(), number(result.signal));
    map.insert("stdout".into(), result.stdout.map_or(Dynamic::UNIT, Dynamic::from));
    map.insert("seconds".into(), result.seconds.into());
    map.insert("max_rss".into(), i64::try_from(result.max_rss).unwrap_or(i64::MAX).into());
    map.insert("log".into(), result.log.to_string_lossy().into_owned().into());
    map.insert("kind".into(), kind.map_or(Dynamic::UNIT, Dynamic::from));
    map
}

fn capture(program: Program, options: Map) -> Outcome<String> {
    let mut options = Options::new("capture", options, &["env", "cwd", "timeout", "check"], &[])?;
    let checked = options.switch("check")?.unwrap_or(true);
    let (env, cwd) = (options.environment("env")?, options.path("cwd")?);
    let time = options.duration("timeout")?.unwrap_or(LOOK_UP_TIME);
    let shown = program.display();
    match look_up(&program, cwd.as_deref(), &env, time) {
        Ok(answer) if answer.status == Status::Code(0) => Ok(answer.stdout.trim().to_string()),
        _ if !checked => Ok(String::new()),
        Ok(answer) => {
            let said = answer.stderr.trim().lines().last().map(|l| format!(": {l}")).unwrap_or_default();
            Err(raise("exit", format!("capture: `{shown}` {}{said}", answer.status)))
        }
        Err(error) => Err(raise(error.kind(), format!("capture: {error}"))),
    }
}
