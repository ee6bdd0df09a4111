//! `:diff`: this run, as the session has it, beside another.

use std::path::Path;

use super::super::diff::of_two;
use super::super::error::CliError;
use super::super::moment::{Suffix, locate_beside};
use super::session::Repl;
use crate::compare::RunFacts;
use crate::run::{RunPath, all_runs};
use crate::state::{State, exists, history};
use crate::ui::counted;

impl Repl<'_> {
    /// Compares; A is this run, B the other.
    pub(super) fn diff(&self, arguments: &[&str]) -> Result<(), CliError> {
        let other = match arguments {
            [one] => one,
            [] => return Err(CliError::usage("compare with which run?").hint(WHICH)),
            _ => return Err(CliError::usage("`:diff` compares with one other run").hint(WHICH)),
        };
        let (run, moment) = locate_beside(&self.run, other)?;
        let theirs = RunFacts::at(&run, moment)?;
        let state = self.session.ledger.read(State::clone);
        let own = RunFacts::with(&self.run, state, self.moment);
        let what = match (self.moment, self.staged()) {
            (Some(moment), _) => format!("as it was at {}", Suffix(moment)),
            (None, 0) => "as it is on disk".into(),
            (None, count) => format!(
                "with {} that {} not written yet",
                counted(count, "staged edit"),
                are(count)
            ),
        };
        self.printer.info(&format!("A is this run {what}"));
        self.printer.raw_stdout(&of_two(own, theirs, self.printer));
        Ok(())
    }
}

const WHICH: &str = "`:diff RUN`, `:diff RUN@N`, or `:diff @-1`: this run one event ago";

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// What `:diff` may be followed by: the runs under `runs/`, directories that are runs, and behind an `@` the events of the
/// run before it.
pub(super) fn candidates(typed: &str, own: &RunPath) -> Vec<String> {
    if let Some((name, _)) = typed.rsplit_once('@') {
        let asked = if name.is_empty() { "@0" } else { name };
        let run = locate_beside(own, asked).map(|(run, _)| run);
        let events = run.map(|run| history(&run.state_file).unwrap_or_default());
        let events = events.unwrap_or_default();
        return events.iter().map(|event| format!("{name}@{}", event.number)).collect();
    }
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let known = all_runs().unwrap_or_default();
    let mut found: Vec<String> = known.iter().filter_map(|run| name(&run.directory)).collect();
    let directory = typed.rsplit_once('/').map_or("", |(directory, _)| directory);
    let prefix = typed
        .rsplit_once('/')
        .map_or(String::new(), |(directory, _)| format!("{directory}/"));
    let looked_at = super::super::take_up::meant_path(if directory.is_empty() { "." } else { directory });
    let entries = std::fs::read_dir(looked_at).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let Some(last) = name(&path).filter(|last| !last.starts_with('.')) else {
            continue;
        };
        if exists(&path.join(crate::run::STATE_FILE)) {
            found.push(format!("{prefix}{last}"));
        } else if !prefix.is_empty() || last == "runs" {
            found.push(format!("{prefix}{last}/"));
        }
    }
    found
}
