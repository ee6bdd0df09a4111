//! Walking the plan: attempts, recovery, checkpoints, and what of it is written down.
//!
//! This room knows what a phase is and knows no Rhai: bodies and policies reach it through the [`Bodies`] trait. It
//! never writes to the terminal; what there is to see goes to an [`Observer`].

mod activity;
mod advice;
mod attempt;
mod attempt_command;
mod attempt_record;
mod begin;
mod checkpoint;
mod checkpoint_watch;
mod command_book;
mod command_result;
mod conductor;
mod crew;
mod directory;
mod failure;
mod ferry;
mod gather;
mod gpu;
mod gpu_memory;
mod ledger;
mod locate;
mod modules;
mod observe;
mod phase_runner;
mod preview;
mod provenance;
mod records;
mod recovery;
mod rehearsal;
mod relocate;
mod resume;
mod secret;
mod session;
mod stale;
mod unsaved;
mod watchdog;

pub use activity::{Activity, ActivityKind, activities};
pub use advice::{advice_for, standing_advice};
pub use attempt::{Attempt, DeclareError};
pub use attempt_command::{CommandRequest, Surroundings};
pub use attempt_record::{AttemptOutcome, AttemptRecord, MASKED};
pub use begin::{BeginError, PlannedScript, Reopened, create_run, reopen_run};
pub use checkpoint::{CheckpointError, Manifest, ValidCheckpoint};
pub use checkpoint_watch::{CheckpointJudge, OwnCheckpointJudge};
pub use command_result::CommandResult;
pub use conductor::{Bodies, Conductor, PhaseReport, Report, WalkError, standings};
pub use directory::{RunDirectory, RunDirectoryError};
pub use failure::{Advice, Evidence, Failure, Problem, kind_of};
pub use gather::Gathering;
pub use gpu::{GpuPool, detect_gpus};
pub use ledger::Ledger;
pub use locate::{LocateError, RunPath, all_runs, locate, newest_few};
pub use modules::{ImportedModule, imported_modules, keep_modules};
pub use observe::{Observer, SilentObserver};
pub use preview::{PhasePreview, preview};
pub use provenance::{Git, Gpu, Machine, Provenance, Python, provenance, uncommitted_changes};
pub use records::{
    Better, STATE_FILE, STATE_VERSION, attempts, checkpoints, is_interrupted, metric_directions, next_attempt,
    recorded_fingerprints, recorded_parameters, recorded_results,
};
pub use recovery::{Decision, NextAttempt, Overrides};
pub use rehearsal::{Fate, Fault, REHEARSAL_VARIABLE, Rehearsal, TraceLine, make_checkpoint};
pub use relocate::{Relocated, relocated};
pub use resume::{AtWork, ResumeNote, Unfinished, left_running, take_over};
pub use session::{Mode, Session};
pub use stale::{Stale, accepted, stale_phases};
