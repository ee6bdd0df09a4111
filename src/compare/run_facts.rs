//! One run, read for comparing: its state, what was recorded beside it, and the facts in both.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use jiff::Timestamp;

use super::fact::{Fact, Group};
use super::{collect, collect_provenance};
use crate::run::{
    ImportedModule, Provenance, RunPath, imported_modules, is_interrupted, provenance, uncommitted_changes,
};
use crate::state::value::decode;
use crate::state::{Moment, PhaseStatus, State, StateError, history, holder, private_directory, read, read_moment};

/// The verb of the event with which a run is taken up again.
const RESUMED: &str = "resumed";
/// How the verbs of events begin that take others back.
const UNDONE: &str = "undid";

/// How a run as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStanding {
    /// Somebody works on it now.
    Running,
    /// A phase failed.
    Failed,
    /// Its host ended in the middle of a phase.
    Interrupted,
    /// There is something left to do.
    Pending,
    /// All phases completed, or were left out on purpose.
    Completed,
}

impl RunStanding {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunStanding::Running => "running",
            RunStanding::Failed => "failed",
            RunStanding::Interrupted => "interrupted",
            RunStanding::Pending => "pending",
            RunStanding::Completed => "completed",
        }
    }
}

/// How a run stands; `live` says whether somebody works on it now.
pub fn standing(state: &State, live: bool) -> RunStanding {
    if live {
        return RunStanding::Running;
    }
    let mut found = RunStanding::Completed;
    let mut any = false;
    for (name, status) in state.phases() {
        any = true;
        match status {
            PhaseStatus::Failed => return RunStanding::Failed,
            PhaseStatus::InProgress => found = RunStanding::Interrupted,
            PhaseStatus::Pending if is_interrupted(state, name) => found = RunStanding::Interrupted,
            PhaseStatus::Pending if found == RunStanding::Completed => found = RunStanding::Pending,
            _ => {}
        }
    }
    if any { found } else { RunStanding::Pending }
}

/// Whether somebody worked on a run right after a moment, and when that was. It was so unless the next thing that happened, by other
/// than a person's hand, is that the run was taken up again; after the last one it is as it is now.
fn was_running(state_file: &Path, moment: Moment) -> Result<(bool, Option<Timestamp>), StateError> {
    let all = history(state_file)?;
    let number = match moment {
        Moment::After(number) => number,
        Moment::Ago(count) => all.last().map_or(0, |last| last.number).saturating_sub(count),
    };
    let at = all.iter().find(|event| event.number >= number).map(|event| event.at);
    let mut later = all.iter().filter(|event| event.number > number);
    let next = later.find(|event| event.by_hand().is_none() && !event.verb.starts_with(UNDONE));
    let live = match next {
        Some(next) => next.verb != RESUMED,
        None => holder(state_file).is_some(),
    };
    Ok((live, at))
}

/// A run as comparisons see it.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The run directory, as the user would name it.
    pub directory: PathBuf,
    /// The state file.
    pub state_file: PathBuf,
    /// The state.
    pub state: State,
    /// The moment that is meant; `None` for now.
    pub moment: Option<Moment>,
    /// When that moment was; `None` for now.
    pub as_of: Option<Timestamp>,
    /// How it stands.
    pub standing: RunStanding,
    /// When it was started first.
    pub started: Option<Timestamp>,
    /// How long its attempts took together, in seconds; `None` when no attempt is recorded.
    pub seconds: Option<f64>,
    /// What its last start recorded of where it comes from.
    pub provenance: Option<Provenance>,
    /// The text of its script, as the run kept it.
    pub script: Option<String>,
    /// The modules that its script imported; `None` when it recorded none.
    pub modules: Option<Vec<ImportedModule>>,
    /// What was not committed when it was last started, as git tells it; empty when nothing was, `None` when that is not known.
    pub uncommitted: Option<String>,
    pub(super) facts: IndexMap<(Group, String), Fact>,
}

impl RunFacts {
    /// Reads a run: no lock, no write, no waiting.
    ///
    /// # Errors
    /// [`StateError`] when its state cannot be read. What else is missing or broken is left out.
    pub fn read(run: &RunPath) -> Result<RunFacts, StateError> {
        RunFacts::at(run, None)
    }

    /// Reads a run as it was at a moment; `None` means now. What it comes from and its script are those of its last start.
    ///
    /// # Errors
    /// As [`RunFacts::read`], and when its journal knows no such moment.
    pub fn at(run: &RunPath, moment: Option<Moment>) -> Result<RunFacts, StateError> {
        let state = match moment {
            Some(moment) => read_moment(&run.state_file, moment)?,
            None => read(&run.state_file)?,
        };
        let (live, as_of) = match moment {
            Some(moment) => was_running(&run.state_file, moment)?,
            None => (holder(&run.state_file).is_some(), None),
        };
        Ok(RunFacts {
            as_of,
            ..RunFacts::found(run, state, moment, live)
        })
    }

    /// A run as it would be with this state; all else as [`RunFacts::at`] finds it.
    pub fn with(run: &RunPath, state: State, moment: Option<Moment>) -> RunFacts {
        let live = moment.is_none() && holder(&run.state_file).is_some();
        RunFacts::found(run, state, moment, live)
    }

    fn found(run: &RunPath, state: State, moment: Option<Moment>, live: bool) -> RunFacts {
        let kept = private_directory(&run.state_file).join("script.rhai");
        let script = std::fs::read(kept)
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        RunFacts {
            moment,
            ..RunFacts::new(run, state, live, provenance(&run.state_file).pop(), script)
        }
    }

    /// Reads only how a run stands: no facts. For lists of very many runs.
    ///
    /// # Errors
    /// As [`RunFacts::read`].
    pub fn read_outcome(run: &RunPath) -> Result<RunFacts, StateError> {
        let state = read(&run.state_file)?;
        Ok(RunFacts::bare(run, state, holder(&run.state_file).is_some()))
    }

    fn new(
        run: &RunPath,
        state: State,
        live: bool,
        provenance: Option<Provenance>,
        script: Option<String>,
    ) -> RunFacts {
        let mut facts = RunFacts {
            uncommitted: provenance
                .as_ref()
                .and_then(|p| p.git.as_ref())
                .and_then(|git| match git.dirty {
                    true => uncommitted_changes(&run.state_file, git),
                    false => Some(String::new()),
                }),
            modules: imported_modules(&run.state_file),
            provenance,
            script,
            ..RunFacts::bare(run, state, live)
        };
        let mut found = collect::facts(&facts);
        found.extend(collect_provenance::facts(&facts));
        facts.seconds = found
            .get(&(Group::Durations, collect::ALL_PHASES.to_string()))
            .and_then(|fact| fact.value.as_f64());
        facts.facts = found;
        facts
    }

    fn bare(run: &RunPath, state: State, live: bool) -> RunFacts {
        let started = state.get("metadata", "start_time").and_then(|s| s.trim().parse().ok());
        RunFacts {
            directory: run.directory.clone(),
            state_file: run.state_file.clone(),
            moment: None,
            as_of: None,
            standing: standing(&state, live),
            started: started.and_then(|s| Timestamp::from_second(s).ok()),
            seconds: None,
            provenance: None,
            script: None,
            modules: None,
            uncommitted: None,
            facts: IndexMap::new(),
            state,
        }
    }

    /// The run's name: that of its directory, or of its state file where that is the name people know it by.
    pub fn name(&self) -> String {
        let file = self.state_file.file_name().unwrap_or_default().to_string_lossy();
        if file != crate::run::STATE_FILE {
            return format!("{file}{}", self.moment_in_words());
        }
        let absolute = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        let name = absolute
            .file_name()
            .map_or_else(|| absolute.display().to_string(), |n| n.to_string_lossy().into_owned());
        format!("{name}{}", self.moment_in_words())
    }

    /// `@N` where a moment is meant.
    fn moment_in_words(&self) -> String {
        match self.moment {
            None => String::new(),
            Some(Moment::After(event)) => format!("@{event}"),
            Some(Moment::Ago(events)) => format!("@-{events}"),
        }
    }

    /// What a user would type to mean this run.
    pub fn path(&self) -> String {
        let usual = self.state_file.file_name().is_some_and(|n| n == crate::run::STATE_FILE);
        let path = if usual { &self.directory } else { &self.state_file };
        format!("{}{}", path.display(), self.moment_in_words())
    }

    /// The facts, by group and name, in the order of the state file.
    pub fn facts(&self) -> impl Iterator<Item = (Group, &str, &Fact)> {
        self.facts
            .iter()
            .map(|((group, name), fact)| (*group, name.as_str(), fact))
    }

    /// One fact.
    pub fn fact(&self, group: Group, name: &str) -> Option<&Fact> {
        self.facts.get(&(group, name.to_string()))
    }

    /// Whether jumar made this run; the bash runner's files say less.
    fn is_own(&self) -> bool {
        self.state.get("metadata", "jumar").is_some()
    }

    /// Whether runs of its kind record facts of this group at all. What was never recorded is no difference.
    pub fn records(&self, group: Group) -> bool {
        let section = |name: &str| self.is_own() || self.state.has_section(name);
        match group {
            Group::Outcome | Group::Failures | Group::Checkpoints | Group::State => true,
            Group::Metrics => section("metrics"),
            Group::Results => section("results"),
            Group::Parameters => section("params"),
            Group::Durations | Group::Resources | Group::Attempts => section("attempts"),
            Group::Code => self.is_own() || self.script.is_some(),
            Group::Environment | Group::Machine => self.provenance.is_some(),
            Group::Packages => self.provenance.as_ref().is_some_and(|p| p.python.is_some()),
        }
    }

    /// Whether jumar made it and nothing tells which programs its commands ran: no commit around it, no `inputs` of a phase.
    pub(super) fn is_blind_outside_scripts(&self) -> bool {
        let commit = |p: &Provenance| p.git.is_some();
        let input =
            |(group, name, _): (Group, &str, &Fact)| group == Group::Code && name.contains(collect_provenance::READS);
        self.is_own() && self.provenance.as_ref().is_some_and(|p| !commit(p)) && !self.facts().any(input)
    }

    pub(super) fn text(&self, section: &str, key: &str) -> Option<String> {
        let text = self.state.get(section, key).filter(|t| !t.is_empty())?;
        Some(decode(text).as_str().map_or_else(|| text.to_string(), String::from))
    }
}
