//! Opening a run to look at it: its state, and its script with the plan it declares. Nothing is started, written or locked.

use std::sync::Arc;

use super::error::CliError;
use super::moment::{Suffix, read_run};
use super::take_up::{go_to_working_directory, recorded_script};
use super::watch::Watcher;
use crate::plan::Provided;
use crate::run::{Observer, RunDirectory, RunPath, Session, recorded_parameters};
use crate::script::{Host, Inspector, ScriptError, ScriptSource};
use crate::state::{Moment, Owner, State, holder, read, value};
use crate::ui::Printer;

/// A run that is looked at.
pub(super) struct Look {
    /// Where it is.
    pub run: RunPath,
    /// The moment of it that is meant; `None` is now.
    pub moment: Option<Moment>,
    /// Its state, then or now.
    pub state: State,
    /// Who has it in use.
    pub owner: Option<Owner>,
    /// The session in which its script was planned.
    pub session: Arc<Session>,
    /// What the script says to people is heard here.
    pub watcher: Arc<Watcher>,
    /// The script, to be asked.
    pub inspector: Inspector,
    /// What kept the script from planning, if something did.
    pub trouble: Option<ScriptError>,
}

/// Which parameters the plan is made with.
pub(super) enum With {
    /// Those that the run had.
    Recorded,
    /// Those that a resume from here would have.
    Resumed {
        /// `-p NAME=VALUE`
        pairs: Vec<(String, String)>,
    },
}

impl Look {
    /// Opens a run. A script that is broken is no hindrance: see [`Look::trouble`].
    pub(super) fn open(asked: Option<&str>, with: With, printer: &Printer) -> Result<Look, CliError> {
        let (run, state, moment) = read_run(asked, printer)?;
        Look::plan(run, state, moment, with, printer)
    }

    /// Plans a run's script on a state of it, which need not be written yet.
    pub(super) fn plan(
        mut run: RunPath,
        state: State,
        moment: Option<Moment>,
        with: With,
        printer: &Printer,
    ) -> Result<Look, CliError> {
        // Before a run's first event nothing is written down, not even which script it is of.
        let is_before = moment.is_some() && state.get("metadata", "script").is_none();
        let later = is_before.then(|| read(&run.state_file).ok()).flatten();
        let telling = later.as_ref().unwrap_or(&state);
        let source = recorded_script(&run, telling, None, printer);
        go_to_working_directory(&mut run, None, telling, printer)?;
        let owner = holder(&run.state_file).filter(|_| moment.is_none());
        let watcher = Arc::new(Watcher::new(printer, true, false));
        let session = Arc::new(session(&run, &state, with, &watcher));
        let host = source
            .and_then(|source| Host::new(Arc::clone(&session), &source).map_err(CliError::from))
            .map_err(CliError::into_script);
        let (inspector, trouble) = match host {
            Ok(host) => host.inspect(),
            Err(trouble) => {
                let nothing = ScriptSource {
                    name: "nothing".into(),
                    text: String::new(),
                };
                (Host::new(Arc::clone(&session), &nothing)?.inspect().0, Some(trouble?))
            }
        };
        // What the top level wrote into its draft of the state is not in the file.
        session.ledger.redraft(state.clone());
        session.look_at(trouble.is_none());
        if let Some(moment) = moment {
            session.refuse_writes(Some(&past(moment)));
        }
        Ok(Look {
            run,
            moment,
            state,
            owner,
            session,
            watcher,
            inspector,
            trouble,
        })
    }

    /// Says that the script is not in reach, if it is not.
    pub(super) fn warn_of_trouble(&self, printer: &Printer) {
        if let Some(trouble) = &self.trouble {
            printer.warn(&format!(
                "the script cannot be planned, so not all of it is in reach: {}",
                trouble.one_line()
            ));
        }
    }
}

/// Why nothing is changed in a run as it was.
pub(super) fn past(moment: Moment) -> String {
    let at = Suffix(moment);
    format!("the run as it was at {at} is only looked at; leave the {at} out to change it")
}

fn session(run: &RunPath, state: &State, with: With, watcher: &Arc<Watcher>) -> Session {
    let name = state
        .get("metadata", "name")
        .map(value::decode)
        .and_then(|v| v.as_str().map(String::from))
        .unwrap_or_else(|| {
            let name = run.directory.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        });
    let recorded = recorded_parameters(state);
    let provided = match with {
        With::Recorded => Provided {
            recorded,
            ..Provided::default()
        },
        With::Resumed { pairs } => Provided {
            pairs,
            environment: Some(|name| std::env::var(name).ok()),
            recorded,
            ..Provided::default()
        },
    };
    Session::planning(
        RunDirectory::existing(&name, run.directory.clone()),
        state.clone(),
        provided,
        Arc::clone(watcher) as Arc<dyn Observer>,
    )
}
