//! Threads that run phases side by side. They are kept for the next ones: to make a thread with room for the interpreter
//! takes longer than to wake one.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, Result, Scope};

use super::conductor::Bodies;
use super::phase_runner::{End, PhaseRunner};

/// The interpreter needs room: address space only.
const STACK_BYTES: usize = 256 << 20;

/// A phase to run, by its position in the plan.
type Work = (usize, PhaseRunner);

/// Runs phases, each on a thread of its own.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    bodies: &'env dyn Bodies,
    members: Vec<Sender<Work>>,
    idle: Vec<usize>,
    report: Sender<(usize, usize, Result<End>)>,
    ended: Receiver<(usize, usize, Result<End>)>,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    /// A crew that has no members before there is work. They end with it, each when the phase has ended that it runs.
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, bodies: &'env dyn Bodies) -> Crew<'scope, 'env> {
        let (report, ended) = mpsc::channel();
        Crew {
            scope,
            bodies,
            members: Vec::new(),
            idle: Vec::new(),
            report,
            ended,
        }
    }

    /// How many phases run.
    pub(super) fn running(&self) -> usize {
        self.members.len() - self.idle.len()
    }

    /// Has one who is idle, or a new member, run a phase.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(&mut self, position: usize, runner: PhaseRunner) -> io::Result<()> {
        let member = match self.idle.pop() {
            Some(member) => member,
            None => self.hire()?,
        };
        // Nobody leaves before the crew does.
        let _ = self.members[member].send((position, runner));
        Ok(())
    }

    fn hire(&mut self) -> io::Result<usize> {
        let (sender, work) = mpsc::channel::<Work>();
        let (member, report, bodies) = (self.members.len(), self.report.clone(), self.bodies);
        let serve = move || {
            for (position, runner) in work {
                let end = panic::catch_unwind(AssertUnwindSafe(|| runner.run(bodies)));
                let _ = report.send((member, position, end));
            }
        };
        Builder::new().stack_size(STACK_BYTES).spawn_scoped(self.scope, serve)?;
        self.members.push(sender);
        Ok(member)
    }

    /// Waits for one of the phases that run to end, and says which and how; `None` when none runs. Panics as a phase has.
    pub(super) fn wait(&mut self) -> Option<(usize, End)> {
        if self.running() == 0 {
            return None;
        }
        let (member, position, end) = self.ended.recv().ok()?;
        self.idle.push(member);
        match end {
            Ok(end) => Some((position, end)),
            Err(panic) => panic::resume_unwind(panic),
        }
    }
}
