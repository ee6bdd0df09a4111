//! `run` and `resume`: from options to a session, from a script to a walk, and what is said at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{How, ResumeArguments, RunArguments};
use super::error::{CliError, plan_error};
use super::parameter_file::read_parameters;
use super::repl::AtFailure;
use super::take_up::{go_to_working_directory, recorded_script};
use super::watch::Watcher;
use super::{exit_code, outcome, plan_view, script_help};
use crate::exec::{Local, StopSignal, install_signal_handlers};
use crate::plan::{Parameters, Provided, RawOption, Selection};
use crate::run::{
    BeginError, Bodies, Conductor, Ledger, Mode, PhasePreview, PlannedScript, Report, RunDirectory, RunPath,
    STATE_FILE, Session, create_run, left_running, locate, preview, recorded_parameters, reopen_run, take_over,
};
use crate::script::{Host, STOCK_MODES, ScriptSource};
use crate::state::{State, Store, read, value};
use crate::ui::{Printer, shell_quote};

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
    let mode = arguments
        .script
        .as_deref()
        .filter(|s| !s.ends_with(".rhai") && !Path::new(s).exists());
    if let Some(mode) = mode {
        if !STOCK_MODES.contains(&mode) {
            let near = crate::plan::nearest(mode, STOCK_MODES.iter().copied())
                .map(|n| format!("; did you mean `{n}`?"))
                .unwrap_or_default();
            return Err(CliError::usage(format!(
                "there is no script `{mode}`, and it is no mode of the stock pipeline{near}"
            ))
            .hint(format!("modes are {}", STOCK_MODES.join(", "))));
        }
        raw.push(RawOption {
            name: "mode".into(),
            inline: Some(mode.into()),
            following: None,
        });
    }
    let script = arguments.script.as_deref().filter(|_| mode.is_none());
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
    how: How,
    raw: Vec<RawOption>,
    printer: &Printer,
) -> Result<u8, CliError> {
    let mut run = locate(asked)?;
    let looks_only = how.dry_run || how.help;
    let state = read(&run.state_file)?;
    let source = recorded_script(&run, &state, script, printer)?;
    go_to_working_directory(&mut run, &state, printer)?;
    let (store, state) = if looks_only {
        (None, state)
    } else {
        let store = Store::open(&run.state_file)?;
        let state = store.state().clone();
        (Some(store), state)
    };
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
    let watcher = Arc::new(Watcher::new(printer, how.help || (how.json && looks_only)));
    let session = Arc::new(session(&mut launch, mode, &stop, &watcher)?);
    let mut host = Host::new(Arc::clone(&session), &launch.source)?;
    if how.repl_on_failure && mode == Mode::Live {
        host.stop_at_failures(Arc::new(AtFailure::new(printer, &watcher)));
    }
    let store = launch.existing.as_mut().and_then(|e| e.store.take());
    let begun = Begun {
        source: launch.source.clone(),
        resumed: launch.existing.is_some(),
        store,
        how,
        watcher: Arc::clone(&watcher),
    };
    let shared = Arc::clone(&session);
    let done = host
        .evaluate(move |bodies| begun.go(&shared, bodies))
        .map_err(CliError::from)
        .and_then(|done| done);
    watcher.close();
    if done.is_err() && !session.ledger.is_live() {
        session.directory.give_back();
    }
    match done? {
        Done::Help => {
            let command = if launch.existing.is_some() { "resume" } else { "run" };
            printer.raw_stdout(&script_help::command_help(command, printer));
            printer.raw_stdout(&script_help::script_help(&launch.source, &session, printer));
            Ok(exit_code::DONE)
        }
        Done::Preview(phases) => {
            plan_view::show(&launch.source, &session, &phases, &watcher, launch.how.json, printer);
            Ok(exit_code::DONE)
        }
        Done::Walked(report) => Ok(outcome::show(&session, &report, launch.how.json, printer)),
    }
}

fn session(launch: &mut Launch, mode: Mode, stop: &StopSignal, watcher: &Arc<Watcher>) -> Result<Session, CliError> {
    let how = &launch.how;
    let (state, directory) = match &launch.existing {
        Some(existing) => {
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
                existing.state.clone(),
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
        Box::new(Local::new()),
        stop.clone(),
        Arc::clone(watcher) as Arc<dyn crate::run::Observer>,
    );
    if let Some(path) = &how.checkpoint {
        if !Path::new(path).exists() {
            return Err(CliError::usage(format!("--checkpoint: {path} does not exist")));
        }
        session.given_checkpoint = Some(path.clone());
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
    how: How,
    watcher: Arc<Watcher>,
}

impl Begun {
    fn go(self, session: &Arc<Session>, bodies: &dyn Bodies) -> Result<Done, CliError> {
        let selection = self.selection();
        if self.how.help {
            return Ok(Done::Help);
        }
        self.check_plan(session, &selection)?;
        if session.mode == Mode::Dry {
            for note in session.ledger.read(take_over).1 {
                session.observer.note(&note.text);
            }
            return Ok(Done::Preview(preview(session, &selection, bodies)?));
        }
        let hash = self.source.hash();
        let script = PlannedScript {
            name: &self.source.name,
            text: &self.source.text,
            hash: &hash,
        };
        let notes = match self.store {
            Some(store) => {
                if !wait_for_what_runs(session, store.state())? {
                    return Ok(Done::Walked(Report {
                        interrupted: true,
                        ..Report::default()
                    }));
                }
                reopen_run(session, store, Some(script))?
            }
            None => {
                create_run(session, script)?;
                vec![]
            }
        };
        let directory = session.directory.path()?;
        self.watcher.begin();
        session.observer.note(&format!(
            "{} {}",
            if self.resumed { "resuming" } else { "run" },
            directory.display()
        ));
        for note in notes {
            session.observer.note(&note.text);
        }
        let conductor = Conductor::new(
            Arc::clone(session),
            selection,
            usize::from(self.how.jobs),
            self.how.fail_fast,
        );
        Ok(Done::Walked(conductor.walk(bodies)?))
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
        let hungry = plan
            .phases()
            .iter()
            .zip(&selected)
            .filter(|(_, s)| **s)
            .map(|(p, _)| p)
            .filter(|p| p.gpus > 0)
            .max_by_key(|p| p.gpus);
        if let Some(phase) = hungry {
            let there = session.gpus().all().len();
            if phase.gpus > there {
                return Err(CliError::usage(format!(
                    "phase `{}` asks for {} GPUs, and there are {there}",
                    phase.name, phase.gpus
                ))
                .hint("GPUs are those of CUDA_VISIBLE_DEVICES when it is set, else what nvidia-smi lists"));
            }
        }
        Ok(())
    }
}

/// Waits for what the last host left running; `false` when jumar was asked to stop first.
fn wait_for_what_runs(session: &Session, state: &State) -> Result<bool, CliError> {
    for process in left_running(state, &session.absolute_directory()?) {
        let text = format!(
            "waiting for process {}, which the last host left running: {}",
            process.pid, process.command
        );
        session.observer.note(&text);
        if !process.wait(&session.stop) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl From<BeginError> for CliError {
    fn from(error: BeginError) -> CliError {
        match error {
            BeginError::Directory(error) => error.into(),
            BeginError::State(error) => error.into(),
        }
    }
}

/// The command that goes on with a run, as the user can type it.
pub(super) fn resume_command(session: &Session) -> String {
    let directory = session.directory.path().unwrap_or_default();
    format!(
        "jumar resume {}",
        shell_quote(&directory.join(STATE_FILE).to_string_lossy())
    )
}
