//! `jumar shell [RUN] PHASE`: the user's shell where an attempt's command ran, with that command's environment. The run is
//! only looked at.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::args::ShellArguments;
use super::error::CliError;
use super::look::{Look, With};
use super::moment::is_a_run;
use crate::run::{AttemptRecord, MASKED, Surroundings, attempts};
use crate::ui::{Printer, shell_quote};

/// A shell to be opened.
pub(super) struct PhaseShell<'a> {
    /// The phase.
    pub phase: &'a str,
    /// The attempt, from 1.
    pub attempt: usize,
    /// Its directory and environment.
    pub around: Surroundings,
}

/// Opens a shell in the place of jumar; returns only when it cannot.
pub(super) fn shell(arguments: &ShellArguments, printer: &Printer) -> Result<u8, CliError> {
    let phase = &arguments.phase;
    if arguments.run.is_none() && is_a_run(phase) {
        return Err(CliError::usage(format!("which phase of the run {phase}?"))
            .hint(format!("jumar shell {} PHASE", shell_quote(phase))));
    }
    let look = Look::open(arguments.run.as_deref(), With::Recorded, printer)?;
    let known = attempts(&look.state, phase);
    let record = match arguments.attempt {
        Some(number) => {
            let record = number.checked_sub(1).and_then(|i| known.get(i));
            Some(record.ok_or_else(|| CliError::usage(format!("{phase} has {} attempts, not {number}", known.len())))?)
        }
        None => known.last(),
    };
    let number = arguments.attempt.unwrap_or(known.len().max(1));
    let around = match record.filter(|r| r.command.is_some()) {
        Some(record) => Surroundings {
            cwd: record.cwd.clone(),
            env: record.env.clone(),
        },
        None => planned(&look, phase)?,
    };
    introduce(phase, number, record, &around, printer);
    let shell = PhaseShell {
        phase,
        attempt: number,
        around,
    };
    let error = shell.command()?.exec();
    Err(CliError::disk(format!("cannot start the shell: {error}")).hint("SHELL names it"))
}

/// What the phase's next attempt would have around it: of one that completed, or never ran, no command is recorded.
fn planned(look: &Look, phase: &str) -> Result<Surroundings, CliError> {
    if let Some(around) = look.session.surroundings(phase)? {
        return Ok(around);
    }
    let known: Vec<String> = look.state.phases().map(|(name, _)| name.to_string()).collect();
    if known.iter().any(|name| name == phase) {
        let why = look.trouble.as_ref().map_or_else(
            || "the script does not declare it".to_string(),
            |trouble| format!("the script cannot be planned: {}", trouble.one_line()),
        );
        return Err(CliError::usage(format!(
            "nothing is known of the surroundings of {phase}: {why}"
        )));
    }
    let near = crate::plan::nearest(phase, known.iter().map(String::as_str));
    let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    Err(CliError::usage(format!("this run has no phase `{phase}`{near}"))
        .hint(format!("there are {}", known.join(", "))))
}

fn introduce(phase: &str, number: usize, record: Option<&AttemptRecord>, around: &Surroundings, printer: &Printer) {
    let place = around.cwd.clone().unwrap_or_else(|| PathBuf::from("."));
    let place = std::path::absolute(&place).unwrap_or(place);
    printer.info(&format!(
        "{phase}, attempt {number}, in {}; `exit` leaves",
        place.display()
    ));
    if let Some(command) = record.and_then(|r| r.command.as_ref()) {
        printer.info(&format!("its last command: {command}"));
    }
    let masked = |(_, value): &(&String, &Option<String>)| value.as_deref() == Some(MASKED);
    let names: Vec<&str> = around
        .env
        .iter()
        .filter(masked)
        .map(|(name, _)| name.as_str())
        .collect();
    if !names.is_empty() {
        printer.info(&format!(
            "not recorded, because they may be secrets: {}",
            names.join(", ")
        ));
    }
}

impl PhaseShell<'_> {
    /// The command that is the shell. Its prompt says where one is.
    ///
    /// # Errors
    /// When the directory is gone.
    pub(super) fn command(&self) -> Result<Command, CliError> {
        let program = std::env::var("SHELL")
            .ok()
            .filter(|s| !s.is_empty())
            .unwrap_or_else(|| "/bin/sh".into());
        let mut command = Command::new(&program);
        if let Some(cwd) = &self.around.cwd {
            if !cwd.is_dir() {
                return Err(CliError::disk(format!(
                    "the directory of the command, {}, is gone",
                    cwd.display()
                )));
            }
            command.current_dir(cwd);
        }
        for (name, value) in &self.around.env {
            match value {
                Some(value) if value == MASKED => {}
                Some(value) => {
                    command.env(name, value);
                }
                None => {
                    command.env_remove(name);
                }
            }
        }
        let prompt = format!("(jumar {} {}) ", self.phase, self.attempt);
        command.env("JUMAR_SHELL", prompt.trim());
        if io::stdin().is_terminal() {
            with_prompt(&mut command, &program, &prompt)?;
        }
        Ok(command)
    }
}

/// Puts the prompt before the user's own. Each kind of shell reads its own file at the start and sets the prompt there.
fn with_prompt(command: &mut Command, program: &str, prompt: &str) -> Result<(), CliError> {
    let quoted = shell_quote(prompt);
    match Path::new(program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .as_ref()
    {
        "bash" => {
            let file = scratch("bashrc");
            let name = shell_quote(&file.to_string_lossy());
            write(
                &file,
                &format!("rm -f -- {name}\n[ -f ~/.bashrc ] && . ~/.bashrc\nPS1={quoted}\"${{PS1-\\\\$ }}\"\n"),
            )?;
            command.arg("--rcfile").arg(file);
        }
        "zsh" => {
            let directory = scratch("zsh");
            std::fs::create_dir(&directory).map_err(|e| trouble(&directory, &e))?;
            let name = shell_quote(&directory.to_string_lossy());
            let own = std::env::var("ZDOTDIR")
                .map_or_else(|_| "unset ZDOTDIR".into(), |d| format!("ZDOTDIR={}", shell_quote(&d)));
            write(
                &directory.join(".zshrc"),
                &format!(
                    "rm -rf -- {name}\n{own}\n[ -f \"${{ZDOTDIR-$HOME}}/.zshrc\" ] && . \"${{ZDOTDIR-$HOME}}/.zshrc\"\nPS1={quoted}\"$PS1\"\n"
                ),
            )?;
            command.env("ZDOTDIR", directory);
        }
        "fish" => {
            command.arg("--init-command").arg(format!(
                "functions -c fish_prompt jumar_own_prompt; function fish_prompt; echo -n {quoted}; jumar_own_prompt; end"
            ));
        }
        _ => {
            command.env("PS1", format!("{prompt}$ "));
        }
    }
    Ok(())
}

/// A name for a file that the shell reads once and takes away.
fn scratch(what: &str) -> PathBuf {
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    std::env::temp_dir().join(format!("jumar-{}-{nanoseconds}-{what}", std::process::id()))
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    made.and_then(|mut f| f.write_all(text.as_bytes()))
        .map_err(|e| trouble(file, &e))
}

fn trouble(file: &Path, error: &io::Error) -> CliError {
    CliError::disk(format!("cannot write {}: {error}", file.display()))
}
