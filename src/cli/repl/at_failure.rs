//! `--repl-on-failure`: the run stops inside the failed phase before its policy is asked, and a person may answer for it.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::watch::Watcher;
use super::converse;
use super::keyboard::goes_on;
use super::session::{Failed, Flow, Repl};
use crate::run::{Attempt, Decision, Failure, RunPath, STATE_FILE};
use crate::script::{Ask, Examiner, NAMES};
use crate::ui::Printer;

/// Somebody at the terminal, or a script on standard input.
pub(in super::super) struct AtFailure {
    printer: Printer,
    watcher: Arc<Watcher>,
    /// Phases that fail side by side are looked at one after the other.
    turn: Mutex<()>,
}

impl AtFailure {
    pub(in super::super) fn new(printer: &Printer, watcher: &Arc<Watcher>) -> AtFailure {
        AtFailure {
            printer: printer.clone(),
            watcher: Arc::clone(watcher),
            turn: Mutex::default(),
        }
    }

    fn introduce(&self, failure: &Failure, ask: &dyn Ask) {
        let step = failure.step.as_ref().map(|s| format!(", step {s}")).unwrap_or_default();
        let printer = &self.printer;
        printer.info(&format!(
            "\n{}, attempt {}{step}, has failed: {}: {}",
            failure.phase, failure.attempt, failure.kind, failure.message
        ));
        if let Some(diagnostic) = &failure.diagnostic {
            printer.info(diagnostic.trim_end());
        }
        if let Some(command) = &failure.command {
            printer.info(&format!("  {command}"));
        }
        let calls = ask.calls();
        if calls.len() > 1 {
            let path: Vec<String> = calls
                .iter()
                .rev()
                .map(|c| format!("{} ({})", c.what, c.place))
                .collect();
            printer.info(&format!("in {}; `:frame` goes there", path.join(", in ")));
        }
        let own = calls.iter().flat_map(|call| call.variables.iter().map(String::as_str));
        let own: BTreeSet<&str> = own.chain(NAMES.iter().map(|(name, _)| *name)).collect();
        let own: Vec<&str> = own.into_iter().collect();
        printer.info(&format!(
            "in reach: {}, and what the script's top level made",
            own.join(", ")
        ));
        printer
            .info("`:retry`, `:skip`, `:fail`, `:abort` answer for the policy, `:quit` leaves it the answer; `:help`");
    }
}

impl Examiner for AtFailure {
    fn examine(&self, attempt: &Arc<Attempt>, failure: &Failure, ask: &mut dyn Ask) -> Option<Decision> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt.session.stop.is_requested() {
            return None;
        }
        let directory = attempt.session.directory.path().ok()?;
        let run = RunPath {
            state_file: directory.join(STATE_FILE),
            directory,
        };
        self.watcher.while_paused(|| {
            self.introduce(failure, ask);
            let session = Arc::clone(&attempt.session);
            let mut repl = Repl::new(ask, &session, run, None, &self.printer);
            repl.set_failed(Failed {
                attempt: Arc::clone(attempt),
                failure: failure.clone(),
            });
            let talked = if io::stdin().is_terminal() {
                converse(&mut repl, &self.printer).map(|_| ())
            } else {
                self.listen(&mut repl);
                Ok(())
            };
            if let Err(error) = talked {
                error.report(&self.printer, false);
            }
            repl.take_decision()
        })
    }
}

impl AtFailure {
    /// Takes lines from standard input until one decides; the rest is for the next failure. An error ends it: the policy
    /// decides then.
    fn listen(&self, repl: &mut Repl<'_>) {
        let mut whole = String::new();
        loop {
            let count = io::stdin().lock().read_line(&mut whole).unwrap_or(0);
            if count > 0 && goes_on(whole.trim_end()) {
                continue;
            }
            match repl.answer(whole.trim_end()) {
                Ok(Flow::GoOn) if count > 0 => whole.clear(),
                Ok(_) => return,
                Err(error) => {
                    error.report(&self.printer, false);
                    return;
                }
            }
        }
    }
}
