//! `run` and `resume`: from options to a session, from a script to a walk, and what is said at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{How, ResumeArguments, RunArguments};
use super::check::refuse_faults;
use super::error::{CliError, plan_error};
use super::left_behind::{keep_commands, looked_at, take_in, unfinished};
use super::moment::locate_whole;
use super::open_run::open_run;
use super::parameter_file::read_parameters;
use super::repl::AtFailure;
use super::script_argument::script_of;
use super::take_up::{go_to_working_directory, recorded_script, typed_directory, warn_of_misspelt_phases};
use super::watch::Watcher;
use super::{exit_code, outcome, plan_view, script_help};
use crate::exec::{Executor, Local, StopSignal, install_signal_handlers};
use crate::plan::{Parameters, Phase, Plan, Provided, RawOption, Selection};
use crate::run::{
    BeginError, Bodies, Conductor, Gathering, Ledger, Manifest, Mode, PhasePreview, PlannedScript, Rehearsal,
    Relocated, Reopened, Report, RunDirectory, RunPath, Session, create_run, keep_modules, locate, preview,
    recorded_parameters, relocated, reopen_run, take_over,
};
use crate::script::{Host, Imports, ScriptSource};
use crate::state::{PhaseStatus, State, Store, read, value};
use crate::ui::Printer;

/// What is to be run, and where.
struct Launch {
    source: ScriptSource,
    existing: Option<Existing>,
    name: Option<String>,
    run_dir: Option<PathBuf>,
    raw: Vec<RawOption>,
    how: How,
}

/// A run that is taken up again.
struct Existing {
    run: RunPath,
    state: State,
    /// Held from before the script is planned: nobody else may change what it plans from. None in a dry run.
    store: Option<Store>,
}

/// What came of it, inside the evaluation of the script.
enum Done {
    Help,
    Preview(Vec<PhasePreview>),
    Walked(Report),
}

/// `jumar run`
pub(super) fn run(arguments: &RunArguments, mut raw: Vec<RawOption>, printer: &Printer) -> Result<u8, CliError> {
    let how = arguments.how.clone();
    let script = script_of(arguments.script.as_deref(), &mut raw)?;
    if let Some(asked) = &arguments.resume {
        return take_up(Some(asked), script, how, raw, printer);
    }
    let source = script.map_or_else(|| Ok(ScriptSource::stock()), ScriptSource::read)?;
    launch(
        Launch {
            source,
            existing: None,
            name: arguments.name.clone(),
            run_dir: arguments.run_dir.clone(),
            raw,
            how,
        },
        printer,
    )
}

/// `jumar resume`
pub(super) fn resume(arguments: Box<ResumeArguments>, raw: Vec<RawOption>, printer: &Printer) -> Result<u8, CliError> {
    let ResumeArguments { run, how } = *arguments;
    if how.help && run.is_none() && locate(None).is_err() {
        printer.raw_stdout(&script_help::command_help("resume", printer));
        return Ok(exit_code::DONE);
    }
    take_up(run.as_deref(), None, how, raw, printer)
}

fn take_up(
    asked: Option<&str>,
    script: Option<&str>,
    mut how: How,
    raw: Vec<RawOption>,
    printer: &Printer,
) -> Result<u8, CliError> {
    let mut run = locate_whole(asked, "a run goes on from where it is").map_err(|error| {
        match asked.is_some_and(|asked| Path::new(asked).is_dir()) {
            true => error.hint("an empty file is a run with everything pending: `touch` one to begin so"),
            false => error,
        }
    })?;
    let looks_only = how.dry_run || how.help;
    let (mut store, state) = if looks_only {
        (None, read(&run.state_file)?)
    } else {
        let store = open_run(&run.state_file, how.wait, how.take_over, printer)?;
        let state = store.state().clone();
        // While the script declares its phases the other processors have nothing to do.
        state.prepare();
        (Some(store), state)
    };
    let source = recorded_script(&run, &state, script, printer)?;
    go_to_working_directory(&mut run, Some(&mut how), &state, printer)?;
    if let Some(store) = &mut store {
        store.name(&run.state_file);
    }
    launch(
        Launch {
            source,
            existing: Some(Existing { run, state, store }),
            name: None,
            run_dir: None,
            raw,
            how,
        },
        printer,
    )
}

fn launch(mut launch: Launch, printer: &Printer) -> Result<u8, CliError> {
    let how = launch.how.clone();
    let looks_only = how.dry_run || how.help;
    let mode = if looks_only { Mode::Dry } else { Mode::Live };
    let stop = StopSignal::new();
    if mode == Mode::Live {
        install_signal_handlers(&stop).map_err(|e| CliError::disk(format!("cannot watch for signals: {e}")))?;
    }
    let silent = how.help || (how.json && looks_only);
    let watcher = Arc::new(Watcher::new(printer, silent, how.jobs > 1));
    let local = Arc::new(Local::new());
    let session = Arc::new(session(&mut launch, mode, &local, &stop, &watcher)?);
    let mut host = Host::new(Arc::clone(&session), &launch.source)?;
    refuse_faults(&host, &launch.source, printer)?;
    if how.repl_on_failure && mode == Mode::Live {
        host.stop_at_failures(Arc::new(AtFailure::new(printer, &watcher)));
    }
    let store = launch.existing.as_mut().and_then(|e| e.store.take());
    let begun = Begun {
        source: launch.source.clone(),
        resumed: launch.existing.is_some(),
        store,
        private: launch.existing.as_ref().map(|e| looked_at(&e.run)),
        how,
        imports: host.imports(),
        local: Arc::clone(&local),
        watcher: Arc::clone(&watcher),
    };
    let shared = Arc::clone(&session);
    let done = host
        .evaluate(move |bodies| begun.go(&shared, bodies))
        .map_err(|error| stopped(&session).unwrap_or_else(|| error.into()))
        .and_then(|done| done);
    watcher.close();
    if done.is_err() {
        for note in session.ledger.close() {
            printer.info(&note);
        }
    }
    if done.is_err() && !session.ledger.is_live() {
        session.directory.give_back();
    }
    let code = match done? {
        Done::Help => {
            let command = if launch.existing.is_some() { "resume" } else { "run" };
            printer.raw_stdout(&script_help::command_help(command, printer));
            printer.raw_stdout(&script_help::script_help(&launch.source, &session, printer));
            exit_code::DONE
        }
        Done::Preview(phases) => {
            plan_view::show(&launch.source, &session, &phases, &watcher, launch.how.json, printer);
            exit_code::DONE
        }
        Done::Walked(report) => outcome::show(&session, &report, launch.how.json, printer),
    };
    session.ledger.leave();
    local.dismiss_keeper();
    // The process is about to end; a hundred thousand phases are not taken apart before.
    std::mem::forget((host, session));
    Ok(code)
}

fn session(
    launch: &mut Launch,
    mode: Mode,
    local: &Arc<Local>,
    stop: &StopSignal,
    watcher: &Arc<Watcher>,
) -> Result<Session, CliError> {
    let how = &launch.how;
    let mut moved = None;
    let (state, directory) = match &mut launch.existing {
        Some(existing) => {
            moved = relocated(&existing.state, &existing.run.directory);
            let name = existing
                .state
                .get("metadata", "name")
                .map(value::decode)
                .and_then(|v| v.as_str().map(String::from));
            let name = name.unwrap_or_else(|| {
                existing
                    .run
                    .directory
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            });
            (
                std::mem::take(&mut existing.state),
                RunDirectory::existing(&name, existing.run.directory.clone()),
            )
        }
        None => {
            let stem = Path::new(&launch.source.name)
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let directory = RunDirectory::new(&stem, launch.run_dir.clone(), mode == Mode::Dry);
            if let Some(name) = &launch.name {
                directory.fix_name(name)?;
            }
            (State::default(), directory)
        }
    };
    let provided = Provided {
        options: std::mem::take(&mut launch.raw),
        pairs: how.parameter.clone(),
        file: how.params.as_deref().map(read_parameters).transpose()?,
        environment: Some(|name| std::env::var(name).ok()),
        recorded: recorded_parameters(&state),
    };
    let mut session = Session::new(
        mode,
        Ledger::draft(state),
        directory,
        Parameters::new(provided),
        Arc::clone(local) as Arc<dyn Executor>,
        stop.clone(),
        Arc::clone(watcher) as Arc<dyn crate::run::Observer>,
    );
    session.rehearsal = Rehearsal::of_this_process().filter(|_| mode == Mode::Live);
    if let (Some(existing), Some(Relocated { event, copy_of })) = (&launch.existing, moved) {
        let directory = existing.run.directory.display();
        session.observer.note(&match copy_of {
            Some(original) => format!(
                "{directory} is a copy of {}, and goes on as a run of its own",
                original.display()
            ),
            None => format!("the run directory was moved; it is {directory} now"),
        });
        session.ledger.commit(event)?;
    }
    if let Some(path) = &how.checkpoint {
        let manifest = Manifest::take(path, serde_json::Map::new())
            .map_err(|error| CliError::usage(format!("--checkpoint: {error}")))?;
        session.give_checkpoint(&manifest)?;
    }
    if let Some(count) = how.gpus {
        let there = session.limit_gpus(count);
        if count > there {
            return Err(CliError::usage(format!("--gpus {count}: this machine has {there}")));
        }
    }
    Ok(session)
}

/// What is left to do when the script has declared its plan.
struct Begun {
    source: ScriptSource,
    resumed: bool,
    store: Option<Store>,
    /// Jumar's own directory of a run that is there, for looking only.
    private: Option<PathBuf>,
    how: How,
    imports: Imports,
    local: Arc<Local>,
    watcher: Arc<Watcher>,
}

impl Begun {
    fn go(self, session: &Arc<Session>, bodies: &dyn Bodies) -> Result<Done, CliError> {
        let selection = self.selection();
        if self.how.help {
            return Ok(Done::Help);
        }
        self.check_plan(session, &selection)?;
        warn_of_misspelt_phases(session);
        if session.mode == Mode::Dry {
            if let Some(private) = self.private {
                let unfinished = session
                    .ledger
                    .read(|state| unfinished(session, &selection, state, &private))?;
                for note in session.ledger.read(|state| take_over(state, &unfinished)).1 {
                    session.observer.note(&note.text);
                }
            }
            return Ok(Done::Preview(preview(session, &selection, bodies)?));
        }
        // A script may have swallowed the stop.
        if let Some(stopped) = stopped(session) {
            return Err(stopped);
        }
        let hash = self.source.hash();
        let script = PlannedScript {
            name: &self.source.name,
            text: &self.source.text,
            hash: &hash,
        };
        let Reopened { notes, is_settled } = match self.store {
            Some(store) => {
                let Some(unfinished) = take_in(session, &selection, &store)? else {
                    return Ok(Done::Walked(Report {
                        interrupted: true,
                        ..Report::default()
                    }));
                };
                reopen_run(session, store, script, unfinished, &selection)?
            }
            None => {
                create_run(session, script)?;
                Reopened::default()
            }
        };
        let directory = session.directory.path()?;
        keep_commands(&self.local, session, &directory);
        self.watcher.begin(&session.stop, session.executor.grace());
        self.watcher.align(&session.plan());
        session.observer.note(&format!(
            "{} {}",
            if self.resumed { "resuming" } else { "run" },
            typed_directory(session).display()
        ));
        for note in notes {
            session.observer.note(&note.text);
        }
        tell_what_has_not_run(session, &selection);
        let conductor = Conductor::new(
            Arc::clone(session),
            selection,
            usize::from(self.how.jobs),
            self.how.fail_fast,
        );
        if is_settled {
            return Ok(Done::Walked(conductor.walk(bodies)?));
        }
        keep_modules(&directory, &self.imports.so_far());
        let gathering = Gathering::start(session, &self.source.text);
        let walked = conductor.walk(bodies);
        keep_modules(&directory, &self.imports.so_far());
        gathering.finish();
        Ok(Done::Walked(walked?))
    }

    fn selection(&self) -> Selection {
        Selection {
            only: self.how.phase.clone(),
            from: self.how.from.clone(),
            until: self.how.until.clone(),
            rerun: self.how.rerun.clone(),
            rerun_stale: self.how.rerun_stale,
        }
    }

    /// In a new run `--from` can begin only with a phase that waits for nothing.
    fn check_beginning(&self, plan: &Plan, selection: &Selection) -> Result<(), CliError> {
        let Some(from) = selection
            .from
            .as_ref()
            .filter(|_| !self.resumed && selection.only.is_empty())
        else {
            return Ok(());
        };
        let Some(phase) = plan.find(from).map(|at| &plan.phases()[at]) else {
            return Ok(());
        };
        let before: Vec<&str> = phase.options.waits_for().map(String::as_str).collect();
        if before.is_empty() {
            return Ok(());
        }
        let (name, before) = (&phase.name, before.join(", "));
        Err(CliError::usage(format!(
            "--from {from}: nothing can run: {name} waits for {before}, which a new run has not done"
        ))
        .hint(format!("go on with a run that has: `jumar resume RUN --from {from}`"))
        .hint(format!("or run it alone: `--phase {from}`")))
    }

    /// Everything that can be wrong with the plan is said before anything starts.
    fn check_plan(&self, session: &Session, selection: &Selection) -> Result<(), CliError> {
        let own: Vec<String> = script_help::own_options("run");
        session.parameters().check_all_claimed(&own)?;
        for (key, near) in session.parameters().unknown_in_file() {
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            session
                .observer
                .warn(&format!("--params: the script has no parameter `{key}`{near}"));
        }
        let plan = session.plan();
        plan.validate().map_err(|error| plan_error(&error, &self.source))?;
        let selected = selection.resolve(&plan)?;
        selection.reruns(&plan)?;
        if plan.is_empty() {
            session.observer.warn("the script declares no phase");
        }
        self.check_beginning(&plan, selection)?;
        let hungry = plan
            .phases()
            .iter()
            .zip(&selected)
            .filter(|(_, s)| **s)
            .map(|(p, _)| p)
            .filter(|p| p.options.gpus > 0)
            .max_by_key(|p| p.options.gpus);
        if let Some(phase) = hungry {
            let there = session.gpus().all().len();
            if phase.options.gpus > there {
                return Err(CliError::usage(format!(
                    "phase `{}` asks for {} GPUs, and there are {there}",
                    phase.name, phase.options.gpus
                ))
                .hint("GPUs are those of CUDA_VISIBLE_DEVICES when it is set, else what nvidia-smi lists"));
            }
        }
        Ok(())
    }
}

/// What a phase waits for and has not completed, as it stands in the state.
fn not_completed(session: &Session, phase: &Phase) -> Vec<String> {
    let is_completed = |name: &&String| {
        let status = session.ledger.read(|state| state.phase(name));
        matches!(status, Some(PhaseStatus::Completed | PhaseStatus::Skipped))
    };
    phase
        .options
        .after
        .iter()
        .filter(|name| !is_completed(name))
        .cloned()
        .collect()
}

/// A phase that is run alone may meet that something it builds on is not there; then this is why.
fn tell_what_has_not_run(session: &Session, selection: &Selection) {
    if selection.only.is_empty() {
        return;
    }
    let plan = session.plan().clone();
    for phase in selection
        .only
        .iter()
        .filter_map(|name| plan.find(name))
        .map(|at| &plan.phases()[at])
    {
        let mut missing = not_completed(session, phase);
        missing.retain(|name| !selection.only.iter().any(|asked| plan.find(asked) == plan.find(name)));
        if !missing.is_empty() {
            let note = format!(
                "{} runs alone: {} has not completed in this run",
                phase.name,
                missing.join(", ")
            );
            session.observer.note(&note);
        }
    }
}

/// The error of a session that was asked to stop while its script was read.
fn stopped(session: &Session) -> Option<CliError> {
    session.stop.is_requested().then(|| CliError::Stopped {
        signal: session.stop.signal(),
    })
}

impl From<BeginError> for CliError {
    fn from(error: BeginError) -> CliError {
        match error {
            BeginError::Directory(error) => error.into(),
            BeginError::State(error) => error.into(),
        }
    }
}
