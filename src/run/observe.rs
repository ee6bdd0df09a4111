//! What there is to see of a run, for whoever wants to show it.

use std::path::Path;

use super::Failure;

/// Hears of a run as it goes on. Called from the threads that run phases; must not block for long.
///
/// A completion is told only after it is durable.
pub trait Observer: Send + Sync {
    /// An attempt of a phase begins.
    fn phase_started(&self, phase: &str, attempt: u32);
    /// A step begins, or is `skipped` because it was completed before.
    fn step(&self, phase: &str, step: &str, skipped: bool);
    /// A command begins; its output grows in `log` from byte `from` on.
    fn command_started(&self, phase: &str, command: &str, log: &Path, from: u64);
    /// The command ended.
    fn command_finished(&self, phase: &str);
    /// A dry run came to a command that it does not start.
    fn command_planned(&self, phase: &str, step: Option<&str>, command: &str);
    /// A dry run cannot know what follows in this phase.
    fn unknown_from_here(&self, phase: &str, why: &str);
    /// So many phases, beside those told of before, are going to run unless what they wait for fails.
    fn phases_expected(&self, more: usize);
    /// A phase completed.
    fn phase_completed(&self, phase: &str, seconds: f64);
    /// A phase failed for good.
    fn phase_failed(&self, phase: &str, failure: &Failure);
    /// A failed phase is tried again; `what` says with which changes and when, as it follows "trying again".
    fn phase_retried(&self, phase: &str, failure: &Failure, what: &str);
    /// A policy left a phase out.
    fn phase_skipped(&self, phase: &str, why: &str);
    /// A phase was stopped because jumar was asked to stop.
    fn phase_interrupted(&self, phase: &str, seconds: f64);
    /// Whether several phases may speak at once, so that what one of them says has to say which.
    fn names_phases(&self) -> bool {
        false
    }
    /// Something worth a line.
    fn note(&self, text: &str);
    /// Something that is probably not as meant.
    fn warn(&self, text: &str);
    /// Something that a script calls an error.
    fn error(&self, text: &str);
}

/// Sees nothing: for `check`, and for tests.
pub struct SilentObserver;

impl Observer for SilentObserver {
    fn phase_started(&self, _: &str, _: u32) {}
    fn step(&self, _: &str, _: &str, _: bool) {}
    fn command_started(&self, _: &str, _: &str, _: &Path, _: u64) {}
    fn command_finished(&self, _: &str) {}
    fn command_planned(&self, _: &str, _: Option<&str>, _: &str) {}
    fn unknown_from_here(&self, _: &str, _: &str) {}
    fn phases_expected(&self, _: usize) {}
    fn phase_completed(&self, _: &str, _: f64) {}
    fn phase_failed(&self, _: &str, _: &Failure) {}
    fn phase_retried(&self, _: &str, _: &Failure, _: &str) {}
    fn phase_skipped(&self, _: &str, _: &str) {}
    fn phase_interrupted(&self, _: &str, _: f64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn error(&self, _: &str) {}
}
