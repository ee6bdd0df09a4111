//! What a user sees of a run while it is on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::exec::{LogFollower, StopLevel, StopSignal};
use crate::plan::{Plan, duration_in_words};
use crate::run::{Failure, Observer};
use crate::ui::{Outcome, PhaseId, Printer, Progress};

/// How often logs are looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// A command that a dry run came to.
#[derive(Clone, Debug)]
pub(super) struct PlannedCommand {
    /// Its phase.
    pub phase: String,
    /// Its step.
    pub step: Option<String>,
    /// The command; for `unknown` the reason why nothing more is known.
    pub text: String,
    /// Whether this says that what follows is not known.
    pub unknown: bool,
}

/// Shows a run on the terminal, or remembers what a dry run would do.
pub(super) struct Watcher {
    printer: Printer,
    silent: AtomicBool,
    side_by_side: bool,
    progress: OnceLock<Progress>,
    phases: Mutex<HashMap<String, PhaseId>>,
    planned: Mutex<Vec<PlannedCommand>>,
    logs: Arc<Mutex<HashMap<String, Followed>>>,
    /// The phases that have a command running, in the order in which those began.
    running: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicBool>,
    follower: Mutex<Option<JoinHandle<()>>>,
    stopper: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// A watcher that says nothing but warnings when `silent`.
    /// With `side_by_side` each line of output begins with its phase.
    pub(super) fn new(printer: &Printer, silent: bool, side_by_side: bool) -> Watcher {
        Watcher {
            printer: printer.clone(),
            silent: AtomicBool::new(silent),
            side_by_side,
            progress: OnceLock::new(),
            phases: Mutex::default(),
            planned: Mutex::default(),
            logs: Arc::default(),
            running: Arc::default(),
            closed: Arc::default(),
            follower: Mutex::default(),
            stopper: Mutex::default(),
        }
    }

    /// Says from here on what a script prints.
    pub(super) fn speak(&self) {
        self.silent.store(false, Ordering::Relaxed);
    }

    /// Says which phases there are.
    pub(super) fn align(&self, plan: &Plan) {
        if let Some(progress) = self.progress.get() {
            progress.align(plan.phases().iter().map(|phase| phase.name.as_str()));
        }
    }

    /// A run begins. When a signal asks for its stop, what is waited for then is told at once: a command may take all of `grace`.
    pub(super) fn begin(&self, stop: &StopSignal, grace: Duration) {
        let _ = self.progress.set(Progress::new(&self.printer, 0));
        let (stop, running, closed) = (stop.clone(), Arc::clone(&self.running), Arc::clone(&self.closed));
        let (printer, grace) = (self.printer.clone(), duration_in_words(grace));
        let work = move || {
            while !closed.load(Ordering::Relaxed) {
                if let Some(signal) = stop.signal() {
                    let names = lock(&running).join(", ");
                    let again = if signal == libc::SIGINT {
                        "Ctrl-C again"
                    } else {
                        "Ctrl-C"
                    };
                    if !names.is_empty() && stop.level() == StopLevel::Graceful {
                        printer.info(&format!(
                            "stopping: waiting up to {grace} for {names} to end; {again} ends it at once"
                        ));
                    }
                    return;
                }
                thread::park_timeout(GLANCE);
            }
        };
        // Without the thread the stop is only less talkative.
        *lock(&self.stopper) = thread::Builder::new().name("stop".into()).spawn(work).ok();
    }

    /// Leaves the terminal to somebody else while `work` is done.
    pub(super) fn while_paused<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.progress.get() {
            Some(progress) => progress.while_paused(work),
            None => work(),
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for thread in [&self.follower, &self.stopper] {
            if let Some(thread) = lock(thread).take() {
                thread.thread().unpark();
                let _ = thread.join();
            }
        }
        if let Some(progress) = self.progress.get() {
            progress.clear();
        }
    }

    /// What a dry run came to, in order.
    pub(super) fn planned(&self) -> Vec<PlannedCommand> {
        lock(&self.planned).clone()
    }

    fn id(&self, phase: &str) -> Option<PhaseId> {
        lock(&self.phases).get(phase).copied()
    }

    fn finish(&self, phase: &str, outcome: Outcome, seconds: f64, extra: &str) {
        let id = lock(&self.phases).remove(phase);
        if let (Some(progress), Some(id)) = (self.progress.get(), id) {
            progress.finish(id, outcome, seconds, extra);
        }
    }

    fn say(&self, text: &str) {
        match self.progress.get() {
            Some(progress) => progress.note(text),
            None if !self.silent.load(Ordering::Relaxed) => self.printer.info(text),
            None => {}
        }
    }

    /// Whether anybody sees the output of commands.
    fn shows_output(&self) -> bool {
        let settings = self.printer.settings();
        settings.verbose > 0 || (!settings.quiet && self.printer.stderr_width().is_some())
    }

    /// One thread looks at all logs that grow: a thread for each command would cost as much as a short command itself.
    fn start_following(&self) {
        let mut follower = lock(&self.follower);
        if follower.is_some() {
            return;
        }
        let (screen, logs, closed) = (self.screen(), Arc::clone(&self.logs), Arc::clone(&self.closed));
        let work = move || {
            while !closed.load(Ordering::Relaxed) {
                lock(&logs).values_mut().for_each(|log| screen.show_new_output(log));
                thread::park_timeout(GLANCE);
            }
        };
        // Without the thread the output is shown when each command ends.
        *follower = thread::Builder::new().name("log".into()).spawn(work).ok();
    }

    fn screen(&self) -> Screen {
        Screen {
            printer: self.printer.clone(),
            progress: self.progress.get().cloned(),
        }
    }
}

/// A log that grows, and whose line shows it.
struct Followed {
    /// What each line begins with.
    prefix: String,
    id: Option<PhaseId>,
    log: LogFollower,
}

/// Where the output of commands is shown.
struct Screen {
    printer: Printer,
    progress: Option<Progress>,
}

impl Screen {
    fn show_new_output(&self, followed: &mut Followed) {
        let text = followed.log.read_new().unwrap_or_default();
        self.show(followed, &text);
        // A progress bar ends its line when it is done.
        if self.printer.settings().verbose == 0
            && let (Some(progress), Some(id)) = (&self.progress, followed.id)
            && let Some(drawn) = followed.log.unfinished()
        {
            progress.last_line(id, &drawn);
        }
    }

    fn show(&self, followed: &Followed, text: &str) {
        let Some(last) = text.lines().last() else { return };
        if self.printer.settings().verbose > 0 {
            let lines = text.lines().map(|line| format!("{}{line}\n", followed.prefix));
            self.printer.raw_stderr(&lines.collect::<String>());
        } else if let (Some(progress), Some(id)) = (&self.progress, followed.id) {
            progress.last_line(id, last);
        }
    }
}

impl Observer for Watcher {
    fn phase_started(&self, phase: &str, attempt: u32) {
        if let Some(progress) = self.progress.get() {
            let detail = if attempt > 1 {
                format!("attempt {attempt}")
            } else {
                String::new()
            };
            lock(&self.phases).insert(phase.into(), progress.start(phase, &detail));
        }
    }

    fn step(&self, phase: &str, step: &str, skipped: bool) {
        tracing::debug!(phase, step, skipped, "step");
        if let (Some(progress), Some(id)) = (self.progress.get(), self.id(phase)) {
            progress.detail(
                id,
                &if skipped {
                    format!("{step} (done before)")
                } else {
                    step.to_string()
                },
            );
        }
    }

    fn command_started(&self, phase: &str, command: &str, log: &Path, from: u64) {
        tracing::debug!(phase, command, log = %log.display(), "command");
        lock(&self.running).push(phase.into());
        if self.shows_output() {
            lock(&self.logs).insert(
                phase.into(),
                Followed {
                    prefix: if self.side_by_side {
                        format!("{phase}: ")
                    } else {
                        String::new()
                    },
                    id: self.id(phase),
                    log: LogFollower::new(log, from),
                },
            );
            self.start_following();
        }
    }

    fn command_finished(&self, phase: &str) {
        lock(&self.running).retain(|running| running != phase);
        let ended = lock(&self.logs).remove(phase);
        if let Some(mut followed) = ended {
            let screen = self.screen();
            screen.show_new_output(&mut followed);
            if let Some(rest) = followed.log.take_unfinished() {
                screen.show(&followed, &format!("{rest}\n"));
            }
        }
    }

    fn command_planned(&self, phase: &str, step: Option<&str>, command: &str) {
        let planned = PlannedCommand {
            phase: phase.into(),
            step: step.map(String::from),
            text: command.into(),
            unknown: false,
        };
        lock(&self.planned).push(planned);
    }

    fn unknown_from_here(&self, phase: &str, why: &str) {
        lock(&self.planned).push(PlannedCommand {
            phase: phase.into(),
            step: None,
            text: why.into(),
            unknown: true,
        });
    }

    fn phases_expected(&self, more: usize) {
        if let Some(progress) = self.progress.get() {
            progress.expect_more(more);
        }
    }

    fn phase_completed(&self, phase: &str, seconds: f64) {
        self.finish(phase, Outcome::Completed, seconds, "");
    }

    fn phase_failed(&self, phase: &str, failure: &Failure) {
        self.finish(
            phase,
            Outcome::Failed,
            failure.seconds,
            &format!("{}: {}", failure.kind, failure.message),
        );
    }

    fn phase_retried(&self, phase: &str, failure: &Failure, what: &str) {
        let how = if what.is_empty() {
            String::new()
        } else {
            format!(" {what}")
        };
        self.finish(
            phase,
            Outcome::Failed,
            failure.seconds,
            &format!("{}: {}; trying again{how}", failure.kind, failure.message),
        );
    }

    fn phase_skipped(&self, phase: &str, why: &str) {
        self.finish(phase, Outcome::Skipped, 0.0, why);
    }

    fn phase_interrupted(&self, phase: &str, seconds: f64) {
        self.finish(phase, Outcome::Interrupted, seconds, "pending again");
    }

    fn names_phases(&self) -> bool {
        self.side_by_side
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn warn(&self, text: &str) {
        self.printer.warn(text);
    }

    fn error(&self, text: &str) {
        self.printer.error(text);
    }
}
