//! Walking the plan: attempts, recovery, checkpoints, and what of it is written down.
//!
//! This room knows what a phase is and knows no Rhai: bodies and policies reach it through the [`Bodies`] trait. It
//! never writes to the terminal; what there is to see goes to an [`Observer`].

mod attempt;
mod attempt_command;
mod attempt_record;
mod begin;
mod checkpoint;
mod checkpoint_watch;
mod command_book;
mod command_result;
mod conductor;
mod directory;
mod failure;
mod gpu;
mod gpu_memory;
mod ledger;
mod locate;
mod observe;
mod phase_runner;
mod preview;
mod records;
mod recovery;
mod rehearsal;
mod relocate;
mod resume;
mod session;
mod unsaved;
mod watchdog;

pub use attempt::{Attempt, DeclareError};
pub use attempt_command::CommandRequest;
pub use attempt_record::{AttemptOutcome, AttemptRecord};
pub use begin::{BeginError, PlannedScript, create_run, reopen_run};
pub use checkpoint::{CheckpointError, Manifest, ValidCheckpoint};
pub use checkpoint_watch::CheckpointJudge;
pub use command_result::CommandResult;
pub use conductor::{Bodies, Conductor, PhaseReport, Report, WalkError};
pub use directory::{RunDirectory, RunDirectoryError};
pub use failure::{Advice, Evidence, Failure, Problem};
pub use gpu::{GpuPool, detect_gpus};
pub use ledger::Ledger;
pub use locate::{LocateError, RunPath, all_runs, locate};
pub use observe::{Observer, SilentObserver};
pub use preview::{PhasePreview, preview};
pub use records::{STATE_FILE, STATE_VERSION, attempts, recorded_parameters};
pub use recovery::{Decision, Overrides};
pub use rehearsal::{Fate, Fault, REHEARSAL_VARIABLE, Rehearsal, TraceLine, make_checkpoint};
pub use relocate::relocated;
pub use resume::{ResumeNote, Unfinished, left_running, take_over};
pub use session::{Mode, Session};
