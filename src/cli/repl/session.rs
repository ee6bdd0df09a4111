//! A session: what a line does, and the commands.

use std::sync::Arc;
use std::time::Duration;

use super::super::error::CliError;
use super::super::logs::last_lines;
use super::super::shell::PhaseShell;
use super::super::status;
use super::commands::{self, Place};
use super::staged::Staged;
use super::words::Words;
use crate::run::{
    Attempt, AttemptOutcome, AttemptRecord, Decision, Failure, MASKED, Overrides, RunPath, Session, Surroundings,
    attempts,
};
use crate::script::{Ask, FunctionDocs};
use crate::state::value::decode;
use crate::state::{Event, PhaseStatus, State, holder};
use crate::ui::{Printer, Tone, paint, shell_quote, value_text, visible};

/// How many of a log's last lines are shown.
const LOG_LINES: usize = 40;

/// What follows a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next line.
    GoOn,
    /// The end.
    Leave,
}

/// A session on a run.
pub(super) struct Repl<'a> {
    ask: &'a mut dyn Ask,
    session: &'a Arc<Session>,
    run: RunPath,
    name: String,
    staged: Option<Staged>,
    functions: Vec<FunctionDocs>,
    printer: &'a Printer,
    is_live: bool,
    failed: Option<Failed>,
    decision: Option<Decision>,
}

/// The failure in whose middle a session is.
pub(super) struct Failed {
    /// The attempt that failed.
    pub attempt: Arc<Attempt>,
    /// How.
    pub failure: Failure,
}

impl<'a> Repl<'a> {
    /// A session; without `staged` what lines change is written at once.
    pub(super) fn new(
        ask: &'a mut dyn Ask,
        session: &'a Arc<Session>,
        run: RunPath,
        staged: Option<Staged>,
        printer: &'a Printer,
    ) -> Repl<'a> {
        let functions = ask.functions();
        let name = run.directory.file_name().map(|n| n.to_string_lossy().into_owned());
        Repl {
            ask,
            session,
            name: name.unwrap_or_else(|| "run".into()),
            run,
            staged,
            functions,
            printer,
            is_live: false,
            failed: None,
            decision: None,
        }
    }

    /// Says that the session is inside a phase that has failed.
    pub(super) fn set_failed(&mut self, failed: Failed) {
        self.failed = Some(failed);
    }

    /// What the user decided about the failure.
    pub(super) fn take_decision(&mut self) -> Option<Decision> {
        self.decision.take()
    }

    pub(super) fn session(&self) -> &Session {
        self.session
    }

    /// How many edits are staged.
    pub(super) fn staged(&self) -> usize {
        self.staged.as_ref().map_or(0, Staged::len)
    }

    /// Takes in what has happened to the run since the last line.
    pub(super) fn refresh(&mut self) {
        let Some(staged) = &mut self.staged else { return };
        let owner = holder(&self.run.state_file);
        self.is_live = owner.is_some();
        let why = owner.map(|owner| format!("the run is on, in {owner}; when it has ended, or with `jumar mark`"));
        self.session.refuse_writes(why.as_deref());
        staged.refresh();
    }

    pub(super) fn prompt(&self) -> String {
        if let Some(failed) = &self.failed {
            return format!("{} failed> ", failed.failure.phase);
        }
        match (self.is_live, self.staged()) {
            (true, 0) => format!("{} (running, read-only)> ", self.name),
            (true, count) => format!("{} (running, read-only, {count} staged)> ", self.name),
            (false, 0) => format!("{}> ", self.name),
            (false, count) => format!("{} ({count} staged)> ", self.name),
        }
    }

    pub(super) fn words(&self) -> Words {
        let parameters = self
            .session
            .parameters()
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        self.session
            .ledger
            .read(|state| Words::now(&*self.ask, &self.functions, state, parameters))
    }

    /// Answers a line.
    pub(super) fn answer(&mut self, line: &str) -> Result<Flow, CliError> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Flow::GoOn);
        }
        if let Some(command) = line.strip_prefix(':') {
            return self.command(command);
        }
        self.session.clear_interrupt();
        let answer = match self.ask.ask(line) {
            Ok(answer) => answer,
            Err(error) => {
                if let Some(staged) = &self.staged {
                    staged.roll_back();
                }
                if self.session.is_interrupted() {
                    return Err(CliError::usage("interrupted"));
                }
                return Err(error.into());
            }
        };
        if line.contains("fn ") {
            self.functions = self.ask.functions();
        }
        let changes = self.staged.as_mut().map(|s| s.collect(line)).unwrap_or_default();
        changes.iter().for_each(|text| self.printer.info(text));
        if !answer.is_nothing {
            self.printer
                .result(&value_text(&answer.shown, self.printer.stdout_width()));
        } else if changes.is_empty() && is_expression(line) {
            self.printer.result("()");
        }
        Ok(Flow::GoOn)
    }

    fn command(&mut self, text: &str) -> Result<Flow, CliError> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        let (bare, over) = name.strip_suffix('!').map_or((name, false), |bare| (bare, true));
        let known = commands::find(bare).filter(|c| self.can_use(c.place) && (!over || bare == "commit"));
        if known.is_none() {
            let names = commands::ALL.iter().filter(|c| self.can_use(c.place)).map(|c| c.name);
            let near = crate::plan::nearest(name, names);
            let near = near.map(|n| format!("; did you mean `:{n}`?")).unwrap_or_default();
            return Err(
                CliError::usage(format!("there is no command `:{name}`{near}")).hint("`:help` shows what there is")
            );
        }
        match bare {
            "help" => self.printer.raw_stdout(&commands::help(|place| self.can_use(place))),
            "doc" => self.doc(arguments.first().copied())?,
            "phases" => {
                let table = self
                    .session
                    .ledger
                    .read(|s| status::phases(s, self.is_live, self.printer));
                self.printer.raw_stdout(&table);
            }
            "log" => self.log(&arguments)?,
            "failure" => self.failure(arguments.first().copied())?,
            "quit" => return Ok(Flow::Leave),
            "retry" | "skip" | "fail" | "abort" => {
                self.decision = Some(self.decide(bare, &arguments)?);
                return Ok(Flow::Leave);
            }
            "shell" => self.shell()?,
            _ => self.staging(bare, over, &arguments)?,
        }
        Ok(Flow::GoOn)
    }

    fn can_use(&self, place: Place) -> bool {
        match place {
            Place::Anywhere => true,
            Place::Staging => self.staged.is_some(),
            Place::Failure => self.failed.is_some(),
        }
    }

    fn decide(&self, name: &str, arguments: &[&str]) -> Result<Decision, CliError> {
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
            if parameters.get(name).is_none() && is_variable {
                overrides.env.insert(name.into(), text.into());
                continue;
            }
            // As in the state file: what reads as a number, a list or true is one.
            let value = parameters
                .conform(name, &decode(text))
                .or_else(|error| parameters.conform(name, &text.into()).map_err(|_| error))?;
            overrides.params.insert(name.into(), value);
        }
        Ok(overrides)
    }

    /// The user's shell in the middle of the failure; the session goes on when it ends.
    fn shell(&self) -> Result<(), CliError> {
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

    fn staging(&mut self, name: &str, over: bool, arguments: &[&str]) -> Result<(), CliError> {
        if name == "rerun" {
            return self.rerun(arguments);
        }
        let Some(staged) = &mut self.staged else { return Ok(()) };
        match name {
            "changes" if staged.len() == 0 => self.printer.info("nothing is staged"),
            "changes" => self.printer.raw_stdout(&staged.diff(self.printer.stdout_colored())?),
            "commit" => {
                let said = staged.commit(over)?;
                self.printer.info(&said);
            }
            _ => match staged.undo() {
                Some(line) => self.printer.info(&format!("taken back: {line}")),
                None => self.printer.info("nothing is staged"),
            },
        }
        Ok(())
    }

    fn rerun(&mut self, arguments: &[&str]) -> Result<(), CliError> {
        let phase = self.phase(arguments.first().copied().unwrap_or_default())?;
        if let Some(why) = self.session.write_refusal() {
            return Err(CliError::usage(format!("the state is not changed here: {why}")));
        }
        let event = Event::new("edited").set("phases", &phase, PhaseStatus::Pending.as_str());
        self.session.ledger.commit(event)?;
        let line = format!(":rerun {phase}");
        for text in self.staged.as_mut().map(|s| s.collect(&line)).unwrap_or_default() {
            self.printer.info(&text);
        }
        let directory = self.run.directory.to_string_lossy();
        self.printer.info(&format!(
            "after `:commit`, `jumar resume {}` runs it",
            shell_quote(&directory)
        ));
        Ok(())
    }

    /// A phase of this run.
    fn phase(&self, name: &str) -> Result<String, CliError> {
        let known: Vec<String> = self
            .session
            .ledger
            .read(|s| s.phases().map(|(n, _)| n.to_string()).collect());
        if known.iter().any(|n| n == name) {
            return Ok(name.into());
        }
        let near = crate::plan::nearest(name, known.iter().map(String::as_str));
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        let message = if name.is_empty() {
            "which phase?".into()
        } else {
            format!("this run has no phase `{name}`{near}")
        };
        Err(CliError::usage(message).hint(format!("there are {}", known.join(", "))))
    }

    fn doc(&self, name: Option<&str>) -> Result<(), CliError> {
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

    fn log(&self, arguments: &[&str]) -> Result<(), CliError> {
        let state = self.session.ledger.read(State::clone);
        let phase = match arguments.first() {
            Some(name) => self.phase(name)?,
            None => last_failed(&state)
                .map(|(phase, ..)| phase)
                .ok_or_else(|| CliError::usage("which phase?"))?,
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

    fn failure(&self, phase: Option<&str>) -> Result<(), CliError> {
        let state = self.session.ledger.read(State::clone);
        let found = match phase {
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
        if let Ok((lines, _)) = last_lines(&self.run, &state, &phase, Some(number), 10) {
            lines
                .iter()
                .for_each(|line| self.printer.result(&format!("  | {}", visible(line))));
        }
        Ok(())
    }
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

/// Whether the value of a line was asked for: `()` is then an answer, too.
fn is_expression(line: &str) -> bool {
    let first = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let statement = [
        "let", "const", "import", "fn", "if", "for", "while", "loop", "try", "print", "debug",
    ];
    !line.ends_with([';', '}']) && !statement.contains(&first) && !line.contains(" = ")
}
