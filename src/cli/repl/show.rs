//! The commands that only show something: documentation, logs, failures.

use super::super::error::CliError;
use super::super::logs::last_lines;
use super::super::take_up::typed_path;
use super::session::Repl;
use crate::compare::resume_command;
use crate::run::{AttemptOutcome, AttemptRecord, advice_for, attempts};
use crate::script::FunctionDocs;
use crate::state::{PhaseStatus, State};
use crate::ui::{Tone, paint, shell_quote, visible};

/// How many of a log's last lines are shown.
const LOG_LINES: usize = 40;
/// How many of them are shown with a failure.
const FAILURE_LINES: usize = 10;

impl Repl<'_> {
    pub(super) fn doc(&self, name: Option<&str>) -> Result<(), CliError> {
        let Some(name) = name else {
            let own = self
                .functions
                .iter()
                .filter(|f| f.is_own)
                .map(|f| format!("  {}\n", f.signature));
            let documented = self.functions.iter().filter(|f| !f.is_own && !f.docs.is_empty());
            let mut names: Vec<&str> = documented.map(|f| f.name.as_str()).collect();
            names.dedup();
            let text = format!(
                "of the script:\n{}of jumar and the language: {}\n",
                own.collect::<String>(),
                names.join(", ")
            );
            self.printer.raw_stdout(&text);
            return Ok(());
        };
        if let Some((_, what)) = crate::script::NAMES.iter().find(|(n, _)| *n == name) {
            self.printer.result(&format!("{name}: {what}"));
            return Ok(());
        }
        let found: Vec<&FunctionDocs> = self.functions.iter().filter(|f| f.name == name).collect();
        if found.is_empty() {
            let near = crate::plan::nearest(name, self.functions.iter().map(|f| f.name.as_str()));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(CliError::usage(format!("no function is called `{name}`{near}")));
        }
        let mut said: Vec<&str> = vec![];
        for function in found {
            self.printer
                .result(&paint(Tone::Accent, &function.signature, self.printer.stdout_colored()));
            if !function.docs.is_empty() && !said.contains(&function.docs.as_str()) {
                said.push(&function.docs);
            }
        }
        said.iter().for_each(|docs| self.printer.result(docs));
        Ok(())
    }

    pub(super) fn log(&self, arguments: &[&str]) -> Result<(), CliError> {
        let state = self.session.ledger.read(State::clone);
        let phase = match arguments.first() {
            Some(name) => self.phase(name)?,
            None => self
                .failed_phase()
                .map(String::from)
                .or_else(|| running(&state).filter(|_| self.is_live))
                .or_else(|| last_failed(&state).map(|(phase, ..)| phase))
                .or_else(|| last_begun(&state))
                .ok_or_else(|| CliError::usage("which phase? None has run yet"))?,
        };
        let number = arguments.get(1).map(|word| {
            word.parse()
                .map_err(|_| CliError::usage(format!("an attempt is a number, not `{word}`")))
        });
        let (lines, more) = last_lines(&self.run, &state, &phase, number.transpose()?, LOG_LINES)?;
        if more {
            let directory = shell_quote(&self.run.directory.to_string_lossy()).to_string();
            self.printer
                .info(&format!("… all of it: jumar logs {directory} {}", shell_quote(&phase)));
        }
        lines.iter().for_each(|line| self.printer.result(&visible(line)));
        Ok(())
    }

    /// The phase in the middle of whose failure the session is.
    fn failed_phase(&self) -> Option<&str> {
        self.failed.as_ref().map(|failed| failed.failure.phase.as_str())
    }

    pub(super) fn failure(&self, phase: Option<&str>) -> Result<(), CliError> {
        let state = self.session.ledger.read(State::clone);
        let found = match phase.or(self.failed_phase()) {
            None => last_failed(&state),
            Some(name) => {
                let name = self.phase(name)?;
                let known = attempts(&state, &name);
                let last = known.iter().rposition(|a| a.kind.is_some());
                last.map(|at| (name, at + 1, known[at].clone()))
            }
        };
        let Some((phase, number, attempt)) = found else {
            self.printer.info("nothing has failed");
            return Ok(());
        };
        let step = attempt.step.as_ref().map(|s| format!(", step {s}")).unwrap_or_default();
        let kind = attempt.kind.as_deref().unwrap_or("unknown");
        self.printer.result(&format!("{phase}, attempt {number}{step}: {kind}"));
        for text in [attempt.message.as_ref(), attempt.command.as_ref()]
            .into_iter()
            .flatten()
        {
            self.printer.result(&format!("  {}", visible(text)));
        }
        // In the middle of it the log goes on with what is looked at there.
        let here = self.failed.as_ref().map(|failed| &failed.failure);
        let here = here.filter(|f| f.phase == phase && f.attempt as usize == number);
        let lines = match here {
            Some(failure) => {
                let lines: Vec<&String> = failure.tail.iter().filter(|line| !line.is_empty()).collect();
                let last = lines.len().saturating_sub(FAILURE_LINES);
                lines[last..].iter().map(|line| line.to_string()).collect()
            }
            None => last_lines(&self.run, &state, &phase, Some(number), FAILURE_LINES)
                .map(|(lines, _)| lines)
                .unwrap_or_default(),
        };
        lines
            .iter()
            .for_each(|line| self.printer.result(&format!("  | {}", visible(line))));
        let advice = advice_for(&state, &phase);
        for line in &advice.lines {
            self.printer.result(&format!("hint: {}", visible(line)));
        }
        let is_over = matches!(state.phase(&phase), Some(PhaseStatus::Completed | PhaseStatus::Skipped));
        if here.is_none() && !is_over {
            self.printer.result(&format!(
                "  {}",
                resume_command(&typed_path(&self.run.state_file), &advice)
            ));
        }
        Ok(())
    }
}

/// The phase that is running, and began last.
fn running(state: &State) -> Option<String> {
    let on = state.phases().filter(|(_, status)| *status == PhaseStatus::InProgress);
    on.max_by_key(|(name, _)| attempts(state, name).last().map(|a| a.started))
        .map(|(name, _)| name.to_string())
}

/// The phase whose attempt began last.
fn last_begun(state: &State) -> Option<String> {
    let begun = state
        .phases()
        .filter_map(|(name, _)| Some((attempts(state, name).last()?.started, name)));
    begun.max().map(|(_, name)| name.to_string())
}

/// The attempt that failed last.
fn last_failed(state: &State) -> Option<(String, usize, AttemptRecord)> {
    let failed = state.phases().filter_map(|(name, _)| {
        let known = attempts(state, name);
        let at = known
            .iter()
            .rposition(|a| matches!(a.outcome, AttemptOutcome::Failed | AttemptOutcome::Skipped))?;
        Some((name.to_string(), at + 1, known[at].clone()))
    });
    failed.max_by_key(|(.., attempt)| attempt.ended)
}
