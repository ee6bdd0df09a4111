//! Walking the plan: attempts, recovery, checkpoints, and what of it is written down.
//!
//! This room knows what a phase is and knows no Rhai: bodies and policies reach it through the [`Bodies`] trait. It
//! never writes to the terminal; what there is to see goes to an [`Observer`].

mod attempt;
mod attempt_command;
mod attempt_record;
mod begin;
mod checkpoint;
mod conductor;
mod directory;
mod failure;
mod gpu;
mod ledger;
mod locate;
mod observe;
mod phase_runner;
mod preview;
mod records;
mod recovery;
mod resume;
mod session;
mod stale;

pub use attempt::{Attempt, DeclareError};
pub use attempt_command::{CommandRequest, CommandResult, Surroundings};
pub use attempt_record::{AttemptOutcome, AttemptRecord, MASKED};
pub use begin::{BeginError, PlannedScript, create_run, reopen_run};
pub use checkpoint::{CheckpointError, Manifest, ValidCheckpoint};
pub use conductor::{Bodies, Conductor, PhaseReport, Report, WalkError, standings};
pub use directory::{RunDirectory, RunDirectoryError};
pub use failure::{Evidence, Failure, Problem};
pub use gpu::{GpuPool, detect_gpus};
pub use ledger::Ledger;
pub use locate::{LocateError, RunPath, all_runs, locate};
pub use observe::{Observer, SilentObserver};
pub use preview::{PhasePreview, preview};
pub use records::{STATE_FILE, STATE_VERSION, attempts, recorded_parameters};
pub use recovery::{Decision, Overrides};
pub use resume::{ResumeNote, left_running, take_over};
pub use session::{Mode, Session};
pub use stale::{Stale, accepted, stale_phases};
