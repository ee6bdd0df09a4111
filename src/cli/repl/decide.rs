//! What a person answers to a failure: the next attempt with other settings, or none; and a shell to look around in.

use std::collections::HashMap;
use std::time::Duration;

use super::super::error::CliError;
use super::super::shell::PhaseShell;
use super::session::{Failed, Repl};
use crate::run::{Decision, MASKED, Overrides, Surroundings};
use crate::script::Call;
use crate::state::value::decode;
use crate::ui::{Align, Cell, Printer, Table, Tone, visible};

/// Who gives the settings of the next attempt.
const HERE: &str = "`:retry`";

impl Repl<'_> {
    pub(super) fn decide(&self, name: &str, arguments: &[&str]) -> Result<Decision, CliError> {
        let why = match arguments {
            [] => "decided by hand".to_string(),
            words => words.join(" "),
        };
        Ok(match name {
            "skip" => Decision::Skip { why },
            "fail" => Decision::Fail,
            "abort" => Decision::Abort { why },
            _ => Decision::Retry {
                overrides: self.overrides(arguments)?,
                delay: Duration::ZERO,
            },
        })
    }

    /// `lr=0.1 CUDA_LAUNCH_BLOCKING=1`: parameters of the script by their names, anything in capitals a variable.
    fn overrides(&self, settings: &[&str]) -> Result<Overrides, CliError> {
        let mut overrides = Overrides::default();
        let parameters = self.session.parameters();
        for setting in settings {
            let (name, text) = setting.split_once('=').ok_or_else(|| {
                CliError::usage(format!("write NAME=VALUE, not `{setting}`"))
                    .hint(":retry batch_size=4 NCCL_DEBUG=INFO")
            })?;
            let is_variable = name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            let lower = name.to_ascii_lowercase();
            // The variable that a parameter is taken from stands for it: the advice after a failure names it so.
            let name = match parameters.get(name) {
                None if is_variable && parameters.get(&lower).is_some() => &lower,
                _ => name,
            };
            if parameters.get(name).is_none() && is_variable {
                overrides.env.insert(name.into(), text.into());
                continue;
            }
            // As in the state file: what reads as a number, a list or true is one.
            let value = parameters
                .conform(name, &decode(text), HERE)
                .or_else(|error| parameters.conform(name, &text.into(), HERE).map_err(|_| error))?;
            overrides.params.insert(name.into(), value);
        }
        Ok(overrides)
    }

    /// How long the logs of the attempt are.
    pub(super) fn log_ends(&self) -> HashMap<String, u64> {
        let own = |failed: &Failed| failed.attempt.record().logs.into_iter().map(|(log, _)| log);
        let beside = |failed: &Failed| failed.attempt.log_of_the_looks();
        let logs = self.failed.iter().flat_map(|failed| {
            let beside = beside(failed).map(|log| log.to_string_lossy().into_owned());
            own(failed).chain(beside)
        });
        let length = |log: &str| std::fs::metadata(log).map_or(0, |m| m.len());
        logs.map(|log| (log.clone(), length(&log))).collect()
    }

    /// Shows what commands have written since: it goes to a log, and whoever looks wants to see it.
    pub(super) fn show_new_output(&self, before: &HashMap<String, u64>) {
        for log in self.log_ends().into_keys() {
            let written = std::fs::read(&log).unwrap_or_default();
            let from = before.get(&log).map_or(0, |length| *length as usize).min(written.len());
            let text = String::from_utf8_lossy(&written[from..]).into_owned();
            let lines = text.lines().filter(|line| !line.is_empty());
            lines.for_each(|line| self.printer.info(&format!("  | {}", visible(line))));
        }
    }

    /// Lists the calls that led to the failure, or goes to one of them.
    pub(super) fn frame(&mut self, number: Option<&str>) -> Result<(), CliError> {
        if let Some(word) = number {
            let there = word.parse().is_ok_and(|number| self.ask.stand_in(number));
            if !there {
                return Err(CliError::usage(format!("there is no call `{word}`")).hint("`:frame` lists them"));
            }
        }
        self.printer.raw_stdout(&list(&self.ask.calls(), self.printer));
        Ok(())
    }

    /// The user's shell in the middle of the failure; the session goes on when it ends.
    pub(super) fn shell(&self) -> Result<(), CliError> {
        let Some(failed) = &self.failed else { return Ok(()) };
        let record = failed.attempt.record();
        let own = failed.attempt.surroundings()?;
        let mut around = Surroundings {
            cwd: record.cwd.or(own.cwd),
            env: record.env,
        };
        for (name, value) in own.env {
            // Here a secret is known, and stays in the family.
            let known = around.env.entry(name).or_insert_with(|| value.clone());
            if known.as_deref() == Some(MASKED) {
                *known = value;
            }
        }
        let shell = PhaseShell {
            phase: &failed.failure.phase,
            attempt: failed.attempt.number as usize,
            around,
        };
        self.printer.info("`exit` comes back here");
        let ended = shell.command()?.status();
        ended
            .map(|_| ())
            .map_err(|e| CliError::disk(format!("cannot start the shell: {e}")))
    }
}

/// Calls, outermost first, with the variables that each adds.
pub(super) fn list(calls: &[Call], printer: &Printer) -> String {
    let mut table = Table::new(&[
        ("", Align::Right),
        ("call", Align::Left),
        ("at", Align::Left),
        ("variables", Align::Left),
    ]);
    for (number, call) in calls.iter().enumerate() {
        let tone = if call.is_looked_at { Tone::Accent } else { Tone::Plain };
        let mark = if call.is_looked_at { ">" } else { " " };
        table.row(vec![
            format!("{mark} {number}").into(),
            Cell::new(call.what.as_str()).tone(tone),
            call.place.as_str().into(),
            Cell::new(call.variables.join(", ")).tone(Tone::Dim),
        ]);
    }
    table.render(printer.stdout_width(), printer.stdout_colored())
}
