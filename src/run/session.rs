//! What all phases of one run share.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    GpuPool, Ledger, Manifest, Observer, Rehearsal, RunDirectory, Surroundings, Unfinished, detect_gpus, records,
};
use crate::exec::{Executor, Local, Shelf, StopSignal};
use crate::plan::{Parameters, Plan, Provided};
use crate::state::{State, StateError};

/// Whether anything is really done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Commands run and the state is written.
    Live,
    /// Commands are only shown, and nothing is written anywhere.
    Dry,
}

/// In the place of a phase's name: the checkpoint came from the command line.
const GIVEN: &str = "given";

/// One run of jumar: the plan, the state, and what phases share.
pub struct Session {
    /// Whether anything is really done.
    pub mode: Mode,
    /// The run's state.
    pub ledger: Ledger,
    /// Where the run lives.
    pub directory: RunDirectory,
    /// The checkpoint that the user gave with `--checkpoint`.
    pub given_checkpoint: Option<String>,
    /// Set when this is no real run: commands are replaced by stand-ins.
    pub rehearsal: Option<Rehearsal>,
    /// What runs commands.
    pub executor: Arc<dyn Executor>,
    /// Whether jumar was asked to stop.
    pub stop: StopSignal,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    pub(super) logbooks: Arc<Shelf>,
    pub(super) activities: OnceLock<File>,
    absolute: OnceLock<PathBuf>,
    plan: Mutex<Plan>,
    parameters: Mutex<Parameters>,
    environment: Mutex<IndexMap<String, Option<String>>>,
    gpus: OnceLock<GpuPool>,
    unfinished: Mutex<Unfinished>,
    parameters_count: AtomicBool,
    looked_at: AtomicBool,
    unplanned: AtomicBool,
    refusal: Mutex<Option<String>>,
    interrupted: OnceLock<Arc<AtomicBool>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session with nothing planned yet.
    pub fn new(
        mode: Mode,
        ledger: Ledger,
        directory: RunDirectory,
        parameters: Parameters,
        executor: Arc<dyn Executor>,
        stop: StopSignal,
        observer: Arc<dyn Observer>,
    ) -> Session {
        Session {
            mode,
            ledger,
            directory,
            given_checkpoint: None,
            rehearsal: None,
            executor,
            stop,
            observer,
            logbooks: Arc::default(),
            activities: OnceLock::new(),
            absolute: OnceLock::new(),
            plan: Mutex::default(),
            parameters: Mutex::new(parameters),
            environment: Mutex::default(),
            gpus: OnceLock::new(),
            unfinished: Mutex::default(),
            parameters_count: AtomicBool::new(false),
            looked_at: AtomicBool::new(false),
            unplanned: AtomicBool::new(false),
            refusal: Mutex::default(),
            interrupted: OnceLock::new(),
        }
    }

    /// A session in which a script only says what it would do: its state is a draft, nothing is started or written. `state` is
    /// what it finds.
    pub fn planning(
        directory: RunDirectory,
        state: State,
        parameters: Provided,
        observer: Arc<dyn Observer>,
    ) -> Session {
        Session::new(
            Mode::Dry,
            Ledger::draft(state),
            directory,
            Parameters::new(parameters),
            Arc::new(Local::new()),
            StopSignal::new(),
            observer,
        )
    }

    /// Takes a checkpoint that the user gave: from now on it is the run's newest, whichever phase asks for it.
    ///
    /// # Errors
    /// [`StateError`] when it could not be recorded.
    pub fn give_checkpoint(&mut self, manifest: &Manifest) -> Result<(), StateError> {
        self.given_checkpoint = Some(manifest.path.clone());
        let manifest = manifest.clone();
        self.ledger
            .update(move |state| records::checkpoint(state, GIVEN, &manifest))
    }

    /// The phase that recorded the newest checkpoint; `None` when none is recorded, or a person gave it.
    pub fn checkpoint_maker(&self) -> Option<String> {
        let maker = self.ledger.read(records::newest_checkpoint_maker)?;
        self.plan().get(&maker).map(|phase| phase.name.clone())
    }

    /// The plan. Do not hold it while a script runs.
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    /// The parameters. Do not hold them while a script runs.
    pub fn parameters(&self) -> MutexGuard<'_, Parameters> {
        lock(&self.parameters)
    }

    /// Says that something begins that runs with the parameters; true the first time. From then on they are the run's own, and an
    /// edit by hand is for the next resume.
    pub(super) fn parameters_begin_to_count(&self) -> bool {
        !self.parameters_count.swap(true, Ordering::Relaxed)
    }

    /// What the script has set in the environment of all commands; `None` removes a variable.
    pub fn environment(&self) -> MutexGuard<'_, IndexMap<String, Option<String>>> {
        lock(&self.environment)
    }

    /// The attempts of an earlier host that are to be gone on with.
    pub(super) fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        lock(&self.unfinished)
    }

    /// The GPUs of this machine, looked up on the first call. What the script made of `CUDA_VISIBLE_DEVICES` counts.
    pub fn gpus(&self) -> &GpuPool {
        self.gpus.get_or_init(|| GpuPool::new(detect_gpus()))
    }

    /// Says to count on no more than `count` GPUs; returns how many there are.
    pub fn limit_gpus(&self, count: usize) -> usize {
        let mut devices = detect_gpus();
        let there = devices.len();
        devices.truncate(count);
        // Before the first look at them: nobody has asked yet.
        let _ = self.gpus.set(GpuPool::new(devices));
        there
    }

    /// From here on nothing is planned or run: somebody looks at what there is.
    /// `is_planned` says whether the script could declare all that it has.
    pub fn look_at(&self, is_planned: bool) {
        self.looked_at.store(true, Ordering::Relaxed);
        self.unplanned.store(!is_planned, Ordering::Relaxed);
    }

    /// Whether the plan and the parameters are all that the script has.
    pub fn is_planned(&self) -> bool {
        !self.unplanned.load(Ordering::Relaxed)
    }

    /// Whether somebody only looks at what there is.
    pub fn is_looked_at(&self) -> bool {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// Says that the script may not change the state from here on, and why; `None` lifts that.
    pub fn refuse_writes(&self, why: Option<&str>) {
        *lock(&self.refusal) = why.map(String::from);
    }

    /// Why the script may not change the state, if it may not.
    pub fn write_refusal(&self) -> Option<String> {
        lock(&self.refusal).clone()
    }

    /// A flag that ends the line of script that is being answered, as soon as it is set.
    pub fn interrupt_with(&self, flag: Arc<AtomicBool>) {
        let _ = self.interrupted.set(flag);
    }

    /// Whether the line that is being answered is to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// A new line begins.
    pub fn clear_interrupt(&self) {
        if let Some(flag) = self.interrupted.get() {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// The parameters that a phase asked for when it completed, or was last accepted.
    pub fn recorded_reads(&self, phase: &str) -> Vec<String> {
        self.ledger.read(|state| match records::fingerprint(state, phase) {
            Some(print) => print.params.into_keys().collect(),
            None => {
                let last = records::attempts(state, phase).pop();
                last.map(|attempt| attempt.reads.into_iter().collect())
                    .unwrap_or_default()
            }
        })
    }

    /// What the commands of a phase's next attempt would have around them; `None` when the plan has no such phase.
    ///
    /// # Errors
    /// As [`Session::absolute_directory`].
    pub fn surroundings(self: &Arc<Self>, phase: &str) -> Result<Option<Surroundings>, super::RunDirectoryError> {
        let Some(phase) = self.plan().get(phase).cloned() else {
            return Ok(None);
        };
        let (number, overrides) = self.ledger.read(|state| {
            let number = super::attempts(state, &phase.name).len().max(1);
            (number as u32, records::overrides(state, &phase.name))
        });
        let attempt = super::Attempt::new(Arc::clone(self), phase, number, overrides, vec![]);
        attempt.surroundings().map(Some)
    }

    /// The recorded result of a phase.
    pub fn result_of(&self, phase: &str) -> Option<Value> {
        self.ledger.read(|state| records::result(state, phase))
    }

    /// The run directory from everywhere, whatever the working directory of a command.
    ///
    /// # Errors
    /// As [`RunDirectory::path`], and when the working directory is gone.
    pub fn absolute_directory(&self) -> Result<PathBuf, super::RunDirectoryError> {
        if let Some(known) = self.absolute.get() {
            return Ok(known.clone());
        }
        let path = self.directory.path()?;
        match std::path::absolute(&path) {
            Ok(absolute) => Ok(self.absolute.get_or_init(|| absolute).clone()),
            Err(source) => Err(super::RunDirectoryError::Create { path, source }),
        }
    }
}
