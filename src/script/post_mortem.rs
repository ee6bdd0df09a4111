//! What is left of a phase that failed: its variables as they stood when it did, for somebody to look at before a policy is
//! asked.
//!
//! When a function ends with an error, the variables of its inner blocks are gone already. So a copy is taken before each
//! statement and each call, one for each level of calls; an error leaves the last ones. That costs time, and is done only when asked for.

use std::cell::RefCell;
use std::sync::Arc;

use rhai::debugger::{DebuggerCommand, DebuggerEvent};
use rhai::{ASTNode, Engine, Expr, NativeCallContext, Scope};

use super::closures::own;
use super::diagnostics::ScriptError;
use super::inspect::{Answer, Ask, FunctionDocs};
use super::lines::Lines;
use super::shared::Shared;
use crate::run::{Attempt, Decision, Failure};

/// Somebody who looks at failures before the policies do.
pub trait Examiner: Send + Sync {
    /// Looks at a failure; `ask` answers lines with the phase's variables in reach. `None` leaves it to the policies.
    fn examine(&self, attempt: &Arc<Attempt>, failure: &Failure, ask: &mut dyn Ask) -> Option<Decision>;
}

thread_local! {
    /// The variables of each level of calls of this thread, outermost first.
    static FRAMES: RefCell<Vec<(usize, Scope<'static>)>> = const { RefCell::new(Vec::new()) };
}

/// Makes an engine take copies of variables.
pub(super) fn watch(engine: &mut Engine) {
    #[expect(
        deprecated,
        reason = "not deprecated but volatile, which is why rhai is pinned exactly"
    )]
    engine.register_debugger(
        |_, debugger| debugger,
        |context, event, node, source, _| {
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
                remember(context.call_level(), context.scope());
            }
            Ok(DebuggerCommand::StepInto)
        },
    );
}

fn remember(level: usize, scope: &Scope) {
    FRAMES.with(|frames| {
        let mut frames = frames.borrow_mut();
        while frames.last().is_some_and(|(known, _)| *known >= level) {
            frames.pop();
        }
        let mut copy = Scope::new();
        for (name, constant, value) in scope.iter_raw() {
            if constant {
                copy.push_constant_dynamic(name.to_string(), value.clone());
            } else {
                copy.push_dynamic(name.to_string(), value.clone());
            }
        }
        frames.push((level, copy));
    });
}

/// A body begins on this thread.
pub(super) fn forget() {
    FRAMES.with(|frames| frames.borrow_mut().clear());
}

/// The variables of the body that failed on this thread, and of the functions in it that did, the innermost last.
fn variables() -> Scope<'static> {
    let frames = FRAMES.with(|frames| std::mem::take(&mut *frames.borrow_mut()));
    let mut scope = Scope::new();
    for (_, frame) in frames {
        for (name, _, value) in frame.iter() {
            scope.push_dynamic(name.to_string(), own(value));
        }
    }
    scope
}

/// The place where a phase failed, to be asked.
pub(super) struct FailedPhase<'a> {
    engine: &'a Engine,
    lines: Lines,
}

impl<'a> FailedPhase<'a> {
    pub(super) fn new(
        shared: &Arc<Shared>,
        context: &'a NativeCallContext<'_>,
        attempt: &Arc<Attempt>,
    ) -> FailedPhase<'a> {
        let global = context.global_runtime_state().clone();
        FailedPhase {
            engine: context.engine(),
            lines: Lines::in_the_middle(Arc::clone(shared), global, variables(), Arc::clone(attempt)),
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
}
