//! `phase(name, opts?, fn)`

use std::sync::Arc;

use rhai::{FnPtr, Map, Module, NativeCallContext};

use super::functions::{BODY, JUDGE, POLICY, does_not_fit, fits};
use super::options::Options;
use super::{Outcome, define};
use crate::plan::{Origin, Phase, PhaseOptions};
use crate::run::DeclareError;
use crate::script::body::body_of;
use crate::script::closures::own_closure;
use crate::script::current;
use crate::script::fault::{mistake, raise_problem};
use crate::script::shared::{Body, Shared};

/// The options of a phase.
pub(in crate::script) const OPTIONS: &[&str] = &[
    "after",
    "after_any",
    "gpus",
    "timeout",
    "stall",
    "checkpoints",
    "complete_when",
    "retries",
    "on_failure",
    "env",
    "cwd",
    "inputs",
    "outputs",
    "rerun",
    "help",
    "number",
];

/// Options that the product has a name for, and this version no meaning.
pub(in crate::script) const LATER: &[&str] = &["needs", "slurm", "executor"];

const DOCS: &str = "Declares a phase. Nothing runs until the script has ended: the plan comes first.
The value of `body` is kept as the phase's result (see `result`). What the body captured is a private copy, as it stood when the phase was declared.

Options: `after` (name or list: these must have completed), `after_any` (these must have finished, completed or failed), `gpus` (how many it holds),
`timeout` (\"12h\", for one attempt), `stall` (\"10m\": a command without output and without a new checkpoint for that long is stopped),
`checkpoints` (a pattern like \"ckpt/epoch*\": each one is recorded as training writes it, once it has not changed for 2 s, has a newer one beside it, or its writer ended with status 0, or 143 after it was asked to stop),
`complete_when` (a function of a path that says whether that checkpoint is whole, instead), `retries` (times that a failure is tried again when no policy has an opinion), `on_failure` (a policy, see `retry`),
`env` (variables for its commands; `()` removes one), `cwd` (their directory), `inputs` and `outputs` (names or patterns of files: a changed input or a lost output makes a completed phase stale),
`rerun: \"stale\"` (run again when it is stale, or something it waits for has completed since),
`number` (what `--phase 3` means), `help` (one line).

A phase declared inside a running phase joins the plan. Throws when the name is taken or an option is not as above.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "phase",
        &["name: string", "body: Fn", "()"],
        DOCS,
        move |context: NativeCallContext, name: &str, body: FnPtr| declare(&known, &context, name, Map::new(), body),
    );
    let known = Arc::clone(shared);
    define(
        module,
        "phase",
        &["name: string", "options: map", "body: Fn", "()"],
        DOCS,
        move |context: NativeCallContext, name: &str, options: Map, body: FnPtr| {
            declare(&known, &context, name, options, body)
        },
    );
}

fn declare(shared: &Shared, context: &NativeCallContext, name: &str, options: Map, body: FnPtr) -> Outcome<()> {
    let mut options = Options::new("phase", options, OPTIONS, LATER)?;
    let site = shared.sites.of(shared, context, &body);
    let origin = site.at.line().map(|line| Origin {
        file: Arc::clone(&site.file),
        line,
    });
    if !site.fits {
        return Err(does_not_fit(BODY, format_args!("the body of phase `{name}`")));
    }
    let policy = options.function("on_failure")?;
    let complete_when = options.function("complete_when")?;
    for (function, shape, option) in [
        (&policy, POLICY, "on_failure"),
        (&complete_when, JUDGE, "complete_when"),
    ] {
        if let Some(function) = function {
            fits(shared, context, function, shape, format_args!("phase: `{option}`"))?;
        }
    }
    let running = current::attempt();
    let phase = Phase {
        name: name.into(),
        body: body_of(shared, &site, &body),
        options: how_to_run(options)?,
        declared_by: running.as_ref().map(|a| a.phase.name.clone()),
        origin,
    };
    let body = Body {
        closure: own_closure(body),
        policy: policy.map(own_closure).map(Box::new),
        complete_when: complete_when.map(own_closure).map(Box::new),
    };
    let place = match running {
        Some(attempt) => attempt.declare(phase).map_err(|error| match error {
            DeclareError::Plan(error) => mistake(error.to_string()),
            DeclareError::State(problem) => raise_problem(problem),
        })?,
        None => shared.session.plan().add(phase).map_err(|e| mistake(e.to_string()))?,
    };
    shared.keep_body(place, body);
    Ok(())
}

fn how_to_run(mut options: Options) -> Outcome<Arc<PhaseOptions>> {
    if options.is_empty() {
        return Ok(PhaseOptions::none());
    }
    let rerun = options.text("rerun")?;
    if let Some(word) = rerun.as_deref().filter(|w| *w != "stale") {
        return Err(mistake(format!("phase: `rerun` can only be \"stale\", not \"{word}\"")));
    }
    Ok(Arc::new(PhaseOptions {
        after: options.names("after")?,
        after_any: options.names("after_any")?,
        gpus: options.count("gpus")?.unwrap_or(0),
        timeout: options.duration("timeout")?,
        stall: options.duration("stall")?,
        checkpoints: pattern(&mut options)?,
        retries: options.count("retries")?.unwrap_or(0).try_into().unwrap_or(u32::MAX),
        env: options.environment("env")?,
        cwd: options.path("cwd")?,
        rerun_when_stale: rerun.is_some(),
        inputs: options.names("inputs")?,
        outputs: options.names("outputs")?,
        number: options.number("number")?,
        help: options.text("help")?,
    }))
}

fn pattern(options: &mut Options) -> Outcome<Option<String>> {
    let Some(pattern) = options.text("checkpoints")? else {
        return Ok(None);
    };
    match glob::Pattern::new(&pattern) {
        Ok(_) => Ok(Some(pattern)),
        Err(error) => Err(mistake(format!(
            "phase: `checkpoints`: `{pattern}` is no pattern: {error}"
        ))),
    }
}
