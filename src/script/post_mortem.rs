//! What is left of a phase that failed: its variables as they stood when it did, for somebody to look at before a policy is
//! asked.
//!
//! When a function ends with an error, the variables of its inner blocks are gone already. So a copy is taken before each
//! statement and each call, one for each level of calls; an error leaves the last ones. That costs time, and is done only when asked for.

use std::cell::RefCell;
use std::sync::Arc;

use rhai::debugger::{CallStackFrame, Debugger, DebuggerCommand, DebuggerEvent};
use rhai::{ASTNode, Engine, Expr, NativeCallContext, Scope};

use super::closures::own;
use super::diagnostics::ScriptError;
use super::inspect::{Answer, Ask, Call, FunctionDocs};
use super::lines::Lines;
use super::shared::Shared;
use crate::run::{Attempt, Decision, Failure};

/// Somebody who looks at failures before the policies do.
pub trait Examiner: Send + Sync {
    /// Looks at a failure; `ask` answers lines with the phase's variables in reach. `None` leaves it to the policies.
    fn examine(&self, attempt: &Arc<Attempt>, failure: &Failure, ask: &mut dyn Ask) -> Option<Decision>;
}

/// One level of calls.
struct Frame {
    level: usize,
    scope: Scope<'static>,
    what: String,
    place: String,
}

thread_local! {
    /// The levels of calls of this thread, outermost first.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Makes an engine take copies of variables.
pub(super) fn watch(engine: &mut Engine) {
    #[expect(
        deprecated,
        reason = "not deprecated but volatile, which is why rhai is pinned exactly"
    )]
    engine.register_debugger(
        |_, debugger| debugger,
        |context, event, node, source, position| {
            // Constants and variables cannot fail in a way that needs a look at the others.
            let whole = match node {
                ASTNode::Stmt(_) => true,
                ASTNode::Expr(Expr::Variable(..)) => false,
                // The links of a chain are evaluated in an empty scope of their own.
                ASTNode::Expr(expression) => !expression.is_constant() && !context.scope().is_empty(),
                _ => false,
            };
            let ours = source.is_some_and(|name| name.starts_with("<std/"));
            if matches!(event, DebuggerEvent::Step) && whole && !ours {
                let calls = context.debugger().map(Debugger::call_stack).unwrap_or_default();
                let line = position.line().map(|line| format!(":{line}")).unwrap_or_default();
                remember(Frame {
                    level: context.call_level(),
                    what: what_runs(calls),
                    place: format!("{}{line}", source.unwrap_or_default()),
                    scope: copy(context.scope()),
                });
            }
            Ok(DebuggerCommand::StepInto)
        },
    );
}

/// The function that runs, or what has called the closure that does. Nothing stands for the phase's own body.
fn what_runs(calls: &[CallStackFrame]) -> String {
    let Some((last, before)) = calls.split_last() else {
        return String::new();
    };
    if !is_anonymous(&last.fn_name) {
        return last.fn_name.to_string();
    }
    match before.last().filter(|call| !is_anonymous(&call.fn_name)) {
        Some(call) => {
            let name = call.args.first().filter(|value| value.is_string());
            let name = name.map(|name| format!(" {name}")).unwrap_or_default();
            format!("{}{name}", call.fn_name)
        }
        None => String::new(),
    }
}

/// Whether the name was made up, by Rhai for a closure or for what jumar appends to a script.
fn is_anonymous(name: &str) -> bool {
    name.starts_with("anon$") || name.starts_with("jumar__")
}

fn copy(scope: &Scope) -> Scope<'static> {
    let mut copy = Scope::new();
    for (name, constant, value) in scope.iter_raw() {
        if constant {
            copy.push_constant_dynamic(name.to_string(), value.clone());
        } else {
            copy.push_dynamic(name.to_string(), value.clone());
        }
    }
    copy
}

fn remember(frame: Frame) {
    FRAMES.with(|frames| {
        let mut frames = frames.borrow_mut();
        while frames.last().is_some_and(|known| known.level >= frame.level) {
            frames.pop();
        }
        frames.push(frame);
    });
}

/// A body begins on this thread.
pub(super) fn forget() {
    FRAMES.with(|frames| frames.borrow_mut().clear());
}

/// The body that failed on this thread, and the functions in it that did, the innermost last.
fn take_frames() -> Vec<Frame> {
    FRAMES.with(|frames| std::mem::take(&mut *frames.borrow_mut()))
}

/// The variables that the script's top level has made on this thread by now.
pub(super) fn top_level() -> Scope<'static> {
    FRAMES.with(|frames| {
        frames
            .borrow()
            .first()
            .map(|frame| copy(&frame.scope))
            .unwrap_or_default()
    })
}

/// The variables of the script's top level and of frames; of those with one name the innermost counts.
fn variables(top_level: &Scope, frames: &[Frame]) -> Scope<'static> {
    let mut scope = Scope::new();
    let inner = frames.iter().flat_map(|frame| frame.scope.iter());
    for (name, _, value) in top_level.iter().chain(inner) {
        scope.push_dynamic(name.to_string(), own(value));
    }
    scope
}

/// The place where a phase failed, to be asked.
pub(super) struct FailedPhase<'a> {
    engine: &'a Engine,
    lines: Lines,
    frames: Vec<Frame>,
    top_level: Scope<'static>,
    /// The phase's name, which stands for its body.
    phase: String,
    /// The frame that is looked at.
    at: usize,
}

impl<'a> FailedPhase<'a> {
    pub(super) fn new(
        shared: &Arc<Shared>,
        context: &'a NativeCallContext<'_>,
        attempt: &Arc<Attempt>,
    ) -> FailedPhase<'a> {
        let global = context.global_runtime_state().clone();
        let frames = take_frames();
        let top_level = shared.top_level();
        // Whoever looks may take their time, also where the phase's own was over.
        attempt.stop_the_clock();
        FailedPhase {
            engine: context.engine(),
            lines: Lines::in_the_middle(
                Arc::clone(shared),
                global,
                variables(&top_level, &frames),
                Arc::clone(attempt),
            ),
            phase: attempt.phase.name.clone(),
            at: frames.len().saturating_sub(1),
            frames,
            top_level,
        }
    }
}

impl Ask for FailedPhase<'_> {
    fn ask(&mut self, text: &str) -> Result<Answer, ScriptError> {
        self.lines.ask(self.engine, text)
    }

    fn variables(&self) -> Vec<String> {
        self.lines.variables()
    }

    fn functions(&self) -> Vec<FunctionDocs> {
        self.lines.functions(self.engine)
    }

    fn calls(&self) -> Vec<Call> {
        let call = |(number, frame): (usize, &Frame)| Call {
            what: match frame.what.as_str() {
                "" if number == 0 => format!("phase {}", self.phase),
                "" => "a closure".into(),
                what => what.into(),
            },
            place: frame.place.clone(),
            variables: frame.scope.iter_raw().map(|(name, ..)| name.to_string()).collect(),
            is_looked_at: number == self.at,
        };
        self.frames.iter().enumerate().map(call).collect()
    }

    fn stand_in(&mut self, call: usize) -> bool {
        let Some(up_to_it) = self.frames.get(..=call) else {
            return false;
        };
        self.lines.move_to(variables(&self.top_level, up_to_it));
        self.at = call;
        true
    }
}
