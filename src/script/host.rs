//! The host: compiles a script, evaluates it, and runs its closures inside the evaluation.
//!
//! A closure that uses imports can only be called while the script's global state is alive. So the host appends a native
//! call to the script, and everything that runs, runs inside that call.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rhai::{AST, Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, Scope};
use serde_json::Value;

use super::api::{advice, decision_of};
use super::body::bindings;
use super::check::{Finding, check};
use super::checkpoint_judge::checkpoint_judge;
use super::closures::own;
use super::current;
use super::diagnostics::ScriptError;
use super::engine::{build, declarations};
use super::fault::{as_failure, failure_map, is_stop, take_bad_value, take_state_error};
use super::post_mortem::{Examiner, FailedPhase, forget, watch};
use super::resolver::without_shebang;
use super::scan::{place, tokens};
use super::shared::Shared;
use super::source::ScriptSource;
use super::values::to_data;
use crate::plan::duration_in_words;
use crate::run::{Attempt, Bodies, Decision, Failure, ImportedModule, Mode, OwnCheckpointJudge, Problem, Session};

/// The native call at the end of the main script.
pub(super) const TAIL: &str = "jumar__walk";

/// The interpreter needs room: address space only.
const STACK_BYTES: usize = 256 << 20;

/// A compiled script and the engine for it.
pub struct Host {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Engine,
    pub(super) ast: AST,
}

/// What a script imports, for whoever writes it down. See [`Host::imports`].
pub struct Imports {
    shared: Arc<Shared>,
    script: String,
}

impl Imports {
    /// The modules that were imported so far.
    pub fn so_far(&self) -> Vec<ImportedModule> {
        self.shared.imported(&self.script)
    }
}

impl Host {
    /// Compiles a script.
    ///
    /// # Errors
    /// [`ScriptError`] with file, line and column when it does not parse.
    pub fn new(session: Arc<Session>, source: &ScriptSource) -> Result<Host, ScriptError> {
        let shared = Arc::new(Shared::new(session));
        shared.remember_source(&source.name, &source.text);
        let engine = build(&shared);
        let compiled = engine.compile_with_scope(&declarations(), without_shebang(&source.text));
        let mut ast = compiled.map_err(|error| {
            ScriptError::from_rhai(&EvalAltResult::from(error), &source.name, &shared, Some(&engine))
        })?;
        ast.set_source(source.name.as_str());
        shared.know_functions(&ast);
        shared.know_bindings(bindings(&ast));
        Ok(Host { shared, engine, ast })
    }

    /// Has somebody look at each failure before the policies do, with the variables of the failed phase. To be called before
    /// the script is evaluated; phases are slower then.
    pub fn stop_at_failures(&mut self, examiner: Arc<dyn Examiner>) {
        // A line may name what an earlier one made; that is not known while it is compiled.
        self.engine.set_strict_variables(false);
        watch(&mut self.engine);
        self.shared.set_examiner(examiner);
    }

    /// Tells the modules that the script has imported, also while it is evaluated: phases may import more.
    pub fn imports(&self) -> Imports {
        Imports {
            shared: Arc::clone(&self.shared),
            script: self.ast.source().unwrap_or_default().into(),
        }
    }

    /// What can be said about the script without running it.
    pub fn check(&self) -> Vec<Finding> {
        let text = self.shared.source(self.ast.source().unwrap_or_default());
        check(
            &self.engine,
            &self.ast,
            text.as_deref().unwrap_or_default(),
            &self.shared,
        )
    }

    /// Evaluates the script; when it has declared its plan, `then` is called with the bodies, still inside the evaluation.
    ///
    /// # Errors
    /// [`ScriptError`] when the script's top level fails; `then` has not been called.
    pub fn evaluate<T: Send + 'static>(
        &self,
        then: impl FnOnce(&dyn Bodies) -> T + Send + 'static,
    ) -> Result<T, ScriptError> {
        let result = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&result);
        self.shared.set_walk(Box::new(move |bodies| {
            let value = then(bodies);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }));
        let evaluated = self.evaluate_on_a_large_stack();
        if let Some(value) = result.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(value);
        }
        match evaluated {
            Err(error) => Err(error),
            Ok(()) if self.shared.missing_parameter().is_some() => Err(self.missing_parameter()),
            // `exit` at the top level ends the script before the plan is walked.
            Ok(()) => Err(ScriptError::plain(
                "the script ended before its end: nothing was run".into(),
            )),
        }
    }

    /// The script is past its end: the place is where it writes the name.
    fn missing_parameter(&self) -> ScriptError {
        let name = self.shared.missing_parameter().unwrap_or_default();
        let source = self.ast.source().unwrap_or_default();
        let text = self.shared.source(source).unwrap_or_default();
        let written = format!("\"{name}\"");
        let at = tokens(&text).into_iter().find(|t| text[t.span.clone()] == written);
        let message = format!("no parameter is called `{name}`");
        let error = match at {
            Some(token) => ScriptError::at(message, source, &text, place(&text, token.span.start)),
            None => ScriptError::plain(message),
        };
        match self.shared.session.parameters().nearest(&name) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("declare it: param(\"{name}\", …)")),
        }
    }

    fn evaluate_on_a_large_stack(&self) -> Result<(), ScriptError> {
        let tail = self.engine.compile(format!("{TAIL}();"));
        let name = self.ast.source().unwrap_or_default().to_string();
        let drawn = |error: &EvalAltResult| ScriptError::from_rhai(error, &name, &self.shared, Some(&self.engine));
        let mut whole = self.ast.clone();
        whole += tail.map_err(|e| drawn(&EvalAltResult::from(e)))?;
        let evaluate = || {
            let outcome = self.engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), &whole);
            match (outcome, take_state_error()) {
                (_, Some(state)) => Err(ScriptError::of_state(state)),
                (Ok(_), None) => Ok(()),
                (Err(error), None) => {
                    let mut error = drawn(&error);
                    error.bad_value = take_bad_value(error.message());
                    Err(error)
                }
            }
        };
        on_a_large_stack(evaluate)?
    }
}

/// Does some work on a thread with room for the interpreter.
pub(super) fn on_a_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, ScriptError> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("script".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        let worker = worker.map_err(|e| ScriptError::plain(format!("cannot start a thread for the script: {e}")))?;
        worker.join().map_err(|_| {
            ScriptError::plain("jumar itself is at fault: it panicked while the script was planning".into())
        })
    })
}

/// The script's closures, callable while the evaluation is alive.
pub(super) struct HostBodies<'a, 'c> {
    shared: &'a Arc<Shared>,
    context: &'a NativeCallContext<'c>,
}

impl<'a, 'c> HostBodies<'a, 'c> {
    pub(super) fn new(shared: &'a Arc<Shared>, context: &'a NativeCallContext<'c>) -> HostBodies<'a, 'c> {
        HostBodies { shared, context }
    }

    fn problem(&self, attempt: &Attempt, error: &EvalAltResult) -> Problem {
        if let Some(state) = take_state_error() {
            return Problem::State(state);
        }
        if attempt.stop.is_requested() {
            return Problem::Interrupted;
        }
        let over = attempt.time_left().is_some_and(|left| left.is_zero());
        let name = self.context.call_source().unwrap_or_default();
        let drawn = ScriptError::from_rhai(error, name, self.shared, Some(self.context.engine())).inside_the_walk();
        let mut failure = as_failure(error)
            .filter(|f| f.kind != "script")
            .unwrap_or_else(|| Failure {
                kind: "script".into(),
                message: drawn.one_line(),
                ..Failure::default()
            });
        // A command is its own place; what a primitive refused is not found again without the line that asked for it, unless that
        // line is jumar's own: nobody can change it.
        let is_ours = drawn.is_embedded() && failure.kind != "script";
        if failure.command.is_none() && !is_ours {
            failure.diagnostic = Some(drawn.render(false));
        }
        if attempt.session.rehearsal.is_some() && failure.command.is_none() {
            // Who rehearses wants to know the line that counts on what no stand-in made.
            failure.message = drawn.one_line();
        }
        if attempt.session.mode == Mode::Dry {
            failure.message = calmly(&failure, &drawn, over || is_stop(error));
        }
        if over && failure.kind == "script" {
            failure = Failure {
                kind: "timeout".into(),
                message: match attempt.phase.options.timeout {
                    Some(limit) => format!("the phase's limit of {} was over", duration_in_words(limit)),
                    None => format!("the phase's time was over after {:.1} s", attempt.seconds()),
                },
                ..Failure::default()
            };
        }
        failure.phase.clone_from(&attempt.phase.name);
        failure.step = failure.step.or_else(|| attempt.failed_step());
        failure.attempt = attempt.number;
        failure.params = attempt.parameters();
        failure.advice = advice(self.shared, self.context, &failure);
        failure.env.clone_from(&attempt.overrides.env);
        Problem::Failed(Box::new(failure))
    }

    fn ask(&self, policy: &FnPtr, failure: &Failure) -> Result<Decision, String> {
        let answer = self
            .shared
            .libraries
            .call(self.context, policy, (failure_map(failure),))
            .map_err(|error| {
                let name = self.context.call_source().unwrap_or_default();
                ScriptError::from_rhai(&error, name, self.shared, Some(self.context.engine()))
                    .inside_the_walk()
                    .one_line()
            })?;
        decision_of(answer, &self.shared.session)
    }
}

/// In a dry run a body stops where it needs what the commands would have made. That is no failure.
fn calmly(failure: &Failure, drawn: &ScriptError, stopped: bool) -> String {
    if stopped {
        return "it waits for what the commands make".into();
    }
    let of_nothing = [
        "(()",
        ", ())",
        ", (),",
        "'()'",
        "is nothing",
        "not nothing",
        "`for` wants",
    ];
    let about_nothing = of_nothing.iter().any(|words| failure.message.contains(words));
    match failure.kind.as_str() {
        "not_found" => match failure.message.strip_prefix("cannot read ") {
            Some(rest) => format!("it reads {}", rest.split(": ").next().unwrap_or(rest)),
            None => failure.message.clone(),
        },
        "script" if about_nothing => match drawn.place() {
            Some(place) => format!("{place} needs what the commands make"),
            None => "it needs what the commands make".into(),
        },
        _ => failure.message.clone(),
    }
}

impl Bodies for HostBodies<'_, '_> {
    fn run(&self, attempt: &Arc<Attempt>) -> Result<Value, Problem> {
        let lost = |message: &str| {
            Problem::Failed(Box::new(Failure {
                phase: attempt.phase.name.clone(),
                kind: "script".into(),
                message: message.into(),
                ..Failure::default()
            }))
        };
        let body = self
            .shared
            .body(&attempt.phase.name)
            .ok_or_else(|| lost("its body is not declared"))?;
        forget();
        let call = || {
            self.shared
                .libraries
                .call(self.context, &super::closures::own_closure(body.closure), ())
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| current::within(attempt, call)));
        let value = match outcome {
            Ok(Ok(value)) => own(value),
            Ok(Err(error)) => return Err(self.problem(attempt, &error)),
            Err(_) => return Err(lost("jumar itself is at fault: it panicked in this phase")),
        };
        // A body that swallowed the stop must not count as completed.
        if attempt.session.mode == Mode::Live && attempt.stop.is_requested() && attempt.was_stopped() {
            return Err(Problem::Interrupted);
        }
        to_data(&value).map_err(|not| {
            lost(&format!(
                "the phase's value cannot be kept: {} at `value{}`",
                not.type_name, not.path
            ))
        })
    }

    fn checkpoint_judge(&self, phase: &str) -> Option<OwnCheckpointJudge<'_>> {
        checkpoint_judge(self.shared, self.context, phase)
    }

    fn decide(&self, attempt: &Arc<Attempt>, failure: &Failure) -> Result<Decision, String> {
        if let Some(examiner) = self.shared.examiner() {
            let mut place = FailedPhase::new(self.shared, self.context, attempt);
            let answer = examiner.examine(attempt, failure, &mut place);
            self.shared.lend(HashMap::new());
            if let Some(decision) = answer {
                return Ok(decision);
            }
        }
        let own = self
            .shared
            .body(&attempt.phase.name)
            .and_then(|b| b.policy)
            .map(|policy| *policy);
        for policy in own.into_iter().chain(self.shared.policy()) {
            let answer = catch_unwind(AssertUnwindSafe(|| self.ask(&policy, failure)));
            match answer.map_err(|_| "jumar itself is at fault: it panicked in a recovery policy".to_string())?? {
                Decision::NoOpinion => {}
                Decision::Retry { delay, .. } if delay > Duration::from_secs(366 * 86400) => {
                    return Err("a delay of more than a year".into());
                }
                decision => return Ok(decision),
            }
        }
        Ok(Decision::NoOpinion)
    }
}
