//! `jumar mark [RUN] PHASE… --as STATE`: a person says how phases stand. One event, like an edit of the file.

use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::args::{MarkArguments, MarkStatus};
use super::error::CliError;
use super::exit_code;
use super::look::{Look, With};
use super::moment::{is_a_run, locate_now};
use crate::run::{RunPath, Unfinished, accepted, left_running, stale_phases};
use crate::state::{
    ByHand, Event, Owner, PhaseStatus, State, StateError, Store, announce, holder, patch_text, read, read_text,
    replace_text,
};
use crate::ui::{Printer, shell_quote};

/// How often an edit beside a run that is on is made anew because the run wrote at the same moment.
const TRIES: usize = 10;
/// How long a run that is on has to write over an edit that it did not see.
const SETTLE: Duration = Duration::from_millis(60);

/// A phase and what becomes of it.
struct Marked {
    phase: String,
    from: Option<PhaseStatus>,
    /// Why it was stale, when it is accepted as it is.
    stale: Vec<String>,
}

/// How marking is done: what is said of the phases, and what is known of the script.
struct Marking {
    to: PhaseStatus,
    /// The script's plan, when a completion is to say what the phases were made from.
    look: Option<Look>,
}

impl From<MarkStatus> for PhaseStatus {
    fn from(status: MarkStatus) -> PhaseStatus {
        match status {
            MarkStatus::Pending => PhaseStatus::Pending,
            MarkStatus::Completed => PhaseStatus::Completed,
            MarkStatus::Skipped => PhaseStatus::Skipped,
            MarkStatus::Failed => PhaseStatus::Failed,
        }
    }
}

/// Who wrote the status without `--as` is shown the command that was meant.
fn without_status(arguments: &MarkArguments) -> CliError {
    let words = || std::iter::once(&arguments.run).chain(&arguments.phases);
    let is_status = |word: &&String| MarkStatus::from_str(word, true).is_ok();
    let command = |status: &str, others: Vec<String>| format!("`jumar mark {} --as {status}`", others.join(" "));
    let meant = match words().find(is_status) {
        Some(status) => command(
            &status.to_lowercase(),
            words()
                .filter(|word| !is_status(word))
                .map(|word| shell_quote(word))
                .collect(),
        ),
        None => command("pending", words().map(|word| shell_quote(word)).collect()),
    };
    CliError::usage("mark: `--as pending`, `completed`, `skipped` or `failed` is missing").hint(meant)
}

/// Marks phases.
pub(super) fn mark(arguments: &MarkArguments, printer: &Printer) -> Result<u8, CliError> {
    let to = PhaseStatus::from(arguments.status.ok_or_else(|| without_status(arguments))?);
    let (mut run, asked) = which(arguments)?;
    if asked.len() > arguments.phases.len() {
        printer.info(&format!("in the newest run, {}", run.directory.display()));
    }
    let state = read(&run.state_file)?;
    let phases = match choose(&asked, &phases_of(&state)) {
        Ok(phases) => phases,
        Err(error) => choose(&asked, &planned(&mut run, &state, printer).ok_or(error)?)?,
    };
    let marking = Marking::new(&mut run, to, &state, printer)?;
    let (marked, live) = match Store::open(&run.state_file) {
        Ok(mut store) => {
            let state = store.state().clone();
            refuse_living(&run, &state, &phases)?;
            let marked = marking.as_they_stand(&state, phases);
            store.commit(marking.event(&marked))?;
            (marked, false)
        }
        Err(StateError::Locked { owner, .. }) => (marking.beside(&run, &owner, phases)?, true),
        Err(error) => return Err(error.into()),
    };
    if arguments.json {
        printer.json(&to_json(&run, &marked, to, live));
        return Ok(exit_code::DONE);
    }
    for one in &marked {
        let was = one.from.map_or("not there", PhaseStatus::as_str);
        if !one.stale.is_empty() {
            printer.result(&format!(
                "{}: stale, accepted as completed ({})",
                one.phase,
                one.stale.join("; ")
            ));
        } else if one.from == Some(to) {
            printer.result(&format!("{}: {to} already", one.phase));
        } else {
            printer.result(&format!("{}: {was} → {to}", one.phase));
        }
    }
    if live && to == PhaseStatus::Pending && marked.iter().any(|m| m.from == Some(PhaseStatus::Completed)) {
        printer.info("the run that is on does not go back to what it has completed; the next `jumar resume` runs it");
    }
    Ok(exit_code::DONE)
}

/// The run and the phases. `mark PHASE…` means the newest run when no run is called like the first phase.
fn which(arguments: &MarkArguments) -> Result<(RunPath, Vec<String>), CliError> {
    let (word, phases) = (&arguments.run, &arguments.phases);
    let found = locate_now(Some(word));
    match found {
        Ok(run) if !phases.is_empty() => return Ok((run, phases.clone())),
        Ok(run) if is_a_run(word) => {
            let known = phases_of(&read(&run.state_file)?).join(", ");
            return Err(CliError::usage(format!("which phase of the run {word}?")).hint(format!("there are {known}")));
        }
        _ => {}
    }
    let Ok(newest) = locate_now(None) else {
        return Ok((found?, phases.clone()));
    };
    let asked: Vec<String> = std::iter::once(word).chain(phases).cloned().collect();
    let known = phases_of(&read(&newest.state_file)?);
    match choose(std::slice::from_ref(word), &known) {
        Ok(_) => Ok((newest, asked)),
        // What is neither a run nor a phase is most likely a phase when it stands alone.
        Err(error) if phases.is_empty() => Err(error),
        Err(_) => Ok((found?, phases.clone())),
    }
}

fn phases_of(state: &State) -> Vec<String> {
    state.section("phases").map(|(name, _)| name.to_string()).collect()
}

/// The phases of the file and those of the script's plan: a file may be empty, or older than the script. `None` when the
/// script cannot say.
fn planned(run: &mut RunPath, state: &State, printer: &Printer) -> Option<Vec<String>> {
    let asked = run.state_file.to_string_lossy().into_owned();
    let look = Look::open(Some(&asked), With::Recorded, printer).ok()?;
    *run = look.run.clone();
    let mut names = phases_of(state);
    for phase in look.session.plan().phases() {
        if !names.contains(&phase.name) {
            names.push(phase.name.clone());
        }
    }
    Some(names)
}

/// The phases that names and patterns mean, each once, in the order in which they are known.
fn choose(asked: &[String], known: &[String]) -> Result<Vec<String>, CliError> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut chosen = vec![false; known.len()];
    for word in asked {
        if let Some(place) = known.iter().position(|name| name == word) {
            chosen[place] = true;
            continue;
        }
        let pattern = word
            .contains(['*', '?', '['])
            .then(|| glob::Pattern::new(word))
            .transpose();
        let pattern = pattern.map_err(|e| CliError::usage(format!("`{word}` is no pattern: {e}")))?;
        let matching = |name: &str| pattern.as_ref().is_some_and(|p| p.matches(name));
        if !known.iter().any(|name| matching(name)) {
            return Err(nothing_meant(word, pattern.is_some(), &known));
        }
        chosen.iter_mut().zip(&known).for_each(|(c, name)| *c |= matching(name));
    }
    Ok(known
        .iter()
        .zip(chosen)
        .filter(|(_, c)| *c)
        .map(|(name, _)| name.to_string())
        .collect())
}

fn nothing_meant(word: &str, is_pattern: bool, known: &[&str]) -> CliError {
    let near = crate::plan::nearest(word, known.iter().copied())
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default();
    let message = if is_pattern {
        format!("no phase of this run matches `{word}`")
    } else {
        format!("this run has no phase `{word}`{near}")
    };
    CliError::usage(message).hint(if known.is_empty() {
        "it has no phases yet: `jumar resume` plans them".to_string()
    } else {
        format!("there are {}", known.join(", "))
    })
}

impl Marking {
    /// A completion says what the phase was made from, so that a later change of it is seen; a run that jumar did not begin
    /// has no such record.
    fn new(run: &mut RunPath, to: PhaseStatus, state: &State, printer: &Printer) -> Result<Marking, CliError> {
        if to != PhaseStatus::Completed || state.get("metadata", "jumar").is_none() {
            return Ok(Marking { to, look: None });
        }
        let asked = run.state_file.to_string_lossy().into_owned();
        let look = Look::open(Some(&asked), With::Resumed { pairs: vec![] }, printer)?;
        // The working directory is the run's now.
        *run = look.run.clone();
        Ok(Marking {
            to,
            look: Some(look).filter(|l| l.trouble.is_none()),
        })
    }

    fn as_they_stand(&self, state: &State, phases: Vec<String>) -> Vec<Marked> {
        let stale = self.look.as_ref().map(|l| stale_phases(&l.session)).unwrap_or_default();
        let causes = |phase: &str| {
            let known = stale.iter().find(|s| s.phase == phase);
            known
                .map(|s| s.causes.iter().map(ToString::to_string).collect())
                .unwrap_or_default()
        };
        let marked = phases.into_iter().map(|phase| Marked {
            from: state.phase(&phase),
            stale: causes(&phase),
            phase,
        });
        marked.collect()
    }

    fn event(&self, marked: &[Marked]) -> Event {
        marked.iter().fold(Event::by_hand(ByHand::Mark), |event, one| {
            let event = event.set("phases", &one.phase, self.to.as_str());
            match &self.look {
                // One that was completed and is not stale is as it was.
                Some(look) if one.from != Some(self.to) || !one.stale.is_empty() => {
                    accepted(&look.session, event, &one.phase)
                }
                _ => event,
            }
        })
    }

    /// Marks phases of a run that is on: the file is edited, and the run takes it in.
    fn beside(&self, run: &RunPath, owner: &Owner, phases: Vec<String>) -> Result<Vec<Marked>, CliError> {
        let mut first: Option<Vec<Marked>> = None;
        for _ in 0..TRIES {
            let now = read_text(&run.state_file)?;
            if let Some(phase) = phases
                .iter()
                .find(|p| now.state.phase(p) == Some(PhaseStatus::InProgress))
            {
                return Err(CliError::usage(format!(
                    "{phase} is running now, in {owner}: how it ends is for the run to say. Nothing was changed."
                ))
                .hint("stop the run first (Ctrl-C, or TERM to that process), then mark it"));
            }
            let marked = self.as_they_stand(&now.state, phases.clone());
            let event = self.event(&marked);
            if first.is_none() {
                // Without it the history says that the file was edited outside; the mark counts all the same.
                let _ = announce(&run.state_file, &event.verb, &event.changes);
            }
            let text_after = patch_text(&now.text, &event.changes, &run.state_file)?;
            if !replace_text(&run.state_file, &now, &text_after)? {
                continue;
            }
            let marked = first.get_or_insert(marked);
            thread::sleep(SETTLE);
            // A run that wrote at the very same moment did not see the edit.
            let now = read(&run.state_file)?;
            if phases.iter().all(|p| now.phase(p) == Some(self.to)) || holder(&run.state_file).is_none() {
                return Ok(std::mem::take(marked));
            }
        }
        Err(CliError::disk(format!(
            "{} is being written to all the time; the phases could not be marked",
            run.state_file.display()
        )))
    }
}

/// A command that a dead host left running goes on writing: the phase is not over, whatever a person says.
fn refuse_living(run: &RunPath, state: &State, phases: &[String]) -> Result<(), CliError> {
    let directory = std::path::absolute(&run.directory).unwrap_or_else(|_| run.directory.clone());
    let left = left_running(state, &directory, &Unfinished::default()).into_iter();
    let mut left = left.filter(|(phase, _)| phases.iter().any(|asked| asked == phase));
    match left.find_map(|(_, processes)| processes.into_iter().next()) {
        None => Ok(()),
        Some(process) => Err(CliError::usage(format!(
            "process {} of this phase still runs, although the jumar that started it is gone: {}",
            process.pid, process.command
        ))
        .hint("`jumar resume` waits for it; or end it first")),
    }
}

fn to_json(run: &RunPath, marked: &[Marked], to: PhaseStatus, live: bool) -> Value {
    let stands = |m: &&Marked| m.from == Some(to);
    let (same, changed): (Vec<&Marked>, Vec<&Marked>) = marked.iter().partition(stands);
    let changed: Vec<Value> = changed
        .iter()
        .map(|m| json!({ "phase": m.phase, "from": m.from, "to": to }))
        .collect();
    let same: Vec<&str> = same.iter().map(|m| m.phase.as_str()).collect();
    let accepted: Vec<&str> = marked
        .iter()
        .filter(|m| !m.stale.is_empty())
        .map(|m| m.phase.as_str())
        .collect();
    json!({ "run": run.directory, "running": live, "changed": changed, "unchanged": same, "accepted": accepted })
}
