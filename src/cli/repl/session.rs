//! A session: what a line does, and the commands.

use std::sync::Arc;

use super::super::error::CliError;
use super::super::explain;
use super::super::look::{Look, With, past};
use super::super::moment::Suffix;
use super::super::status;
use super::commands::{self, Place};
use super::staged::Staged;
use super::words::Words;
use crate::run::{Attempt, Decision, Failure, RunPath, Session};
use crate::script::{Ask, FunctionDocs};
use crate::state::{Event, Moment, PhaseStatus, State, holder};
use crate::ui::{Printer, shell_quote, value_text};

/// What follows a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next line.
    GoOn,
    /// The end.
    Leave,
    /// The end, although edits are staged: they are dropped.
    GiveUp,
}

/// A session on a run.
pub(super) struct Repl<'a> {
    pub(super) ask: &'a mut dyn Ask,
    pub(super) session: &'a Arc<Session>,
    pub(super) run: RunPath,
    name: String,
    staged: Option<Staged>,
    pub(super) functions: Vec<FunctionDocs>,
    pub(super) printer: &'a Printer,
    pub(super) is_live: bool,
    /// The moment of the run that is looked at, if it is not now.
    pub(super) moment: Option<Moment>,
    pub(super) failed: Option<Failed>,
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
            moment: None,
            failed: None,
            decision: None,
        }
    }

    /// Says that the session is inside a phase that has failed.
    pub(super) fn set_failed(&mut self, failed: Failed) {
        self.failed = Some(failed);
    }

    /// Says that the run is as it was at a moment.
    pub(super) fn set_moment(&mut self, moment: Option<Moment>) {
        self.moment = moment;
    }

    /// What the user decided about the failure.
    pub(super) fn take_decision(&mut self) -> Option<Decision> {
        self.decision.take()
    }

    pub(super) fn session(&self) -> &Session {
        self.session
    }

    /// How many edits are staged; none when together they leave everything as it is.
    pub(super) fn staged(&self) -> usize {
        self.staged
            .as_ref()
            .map_or(0, |staged| if staged.is_in_vain() { 0 } else { staged.len() })
    }

    /// Takes in what has happened to the run since the last line.
    pub(super) fn refresh(&mut self) {
        let Some(staged) = &mut self.staged else { return };
        let owner = holder(&self.run.state_file);
        self.is_live = owner.is_some();
        let why = owner.map(|owner| {
            format!(
                "the run is on, in {owner}. It can be changed here when it has ended, and at once with `jumar mark`"
            )
        });
        self.session.refuse_writes(why.as_deref());
        staged.refresh();
    }

    pub(super) fn prompt(&self) -> String {
        if let Some(failed) = &self.failed {
            return format!("{} failed> ", failed.failure.phase);
        }
        if let Some(moment) = self.moment {
            return format!("{}{} (as it was, read-only)> ", self.name, Suffix(moment));
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
        let words = |state: &State| Words::now(&*self.ask, &self.functions, state, parameters);
        Words {
            commands: self.usable().collect(),
            run: Some(self.run.clone()),
            ..self.session.ledger.read(words)
        }
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
        let before = self.log_ends();
        let answer = self.ask.ask(line);
        self.show_new_output(&before);
        let answer = match answer {
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
        let known = commands::find(bare);
        if let (Some(moment), Some(Place::Staging)) = (self.moment, known.map(|c| c.place)) {
            return Err(CliError::usage(past(moment)));
        }
        let known = known.filter(|c| self.can_use(c.place) && (!over || bare == "commit"));
        if known.is_none() {
            let place = commands::find(bare).map(|c| c.place);
            if place == Some(Place::Failure) {
                return Err(CliError::usage(format!(
                    "`:{bare}` answers for a phase in the middle of its failure; this is not one"
                ))
                .hint("`jumar run --repl-on-failure` and `jumar resume --repl-on-failure` stop there"));
            }
            let near = crate::plan::nearest(name, self.usable());
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
                    .read(|s| status::phases(s, self.is_live, None, self.printer));
                self.printer.raw_stdout(&table);
            }
            "log" => self.log(&arguments)?,
            "diff" => self.diff(&arguments)?,
            "explain" => self.explain(arguments.first().copied())?,
            "failure" => self.failure(arguments.first().copied())?,
            "quit" => return Ok(Flow::Leave),
            "retry" | "skip" | "fail" | "abort" => {
                self.decision = Some(self.decide(bare, &arguments)?);
                return Ok(Flow::Leave);
            }
            "shell" => self.shell()?,
            "frame" => self.frame(arguments.first().copied())?,
            _ => self.staging(bare, over, &arguments)?,
        }
        Ok(Flow::GoOn)
    }

    fn usable(&self) -> impl Iterator<Item = &'static str> {
        commands::ALL.iter().filter(|c| self.can_use(c.place)).map(|c| c.name)
    }

    fn can_use(&self, place: Place) -> bool {
        match place {
            Place::Anywhere => true,
            Place::Staging => self.staged.is_some(),
            Place::Whole => self.failed.is_none(),
            Place::Failure => self.failed.is_some(),
        }
    }

    fn staging(&mut self, name: &str, over: bool, arguments: &[&str]) -> Result<(), CliError> {
        if name == "rerun" {
            return self.rerun(arguments);
        }
        let Some(staged) = &mut self.staged else { return Ok(()) };
        match name {
            "changes" if staged.len() == 0 => self.printer.info("nothing is staged"),
            "changes" if staged.is_in_vain() => self.printer.info(&format!(
                "{} staged, and everything stays as it is; `:undo` takes the last one back",
                match staged.len() {
                    1 => "1 edit is".into(),
                    many => format!("{many} edits are"),
                }
            )),
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

    fn explain(&self, phase: Option<&str>) -> Result<(), CliError> {
        let state = self.session.ledger.read(State::clone);
        let with = With::Resumed { pairs: vec![] };
        let look = Look::plan(self.run.clone(), state, self.moment, with, self.printer)?;
        explain::show(look, phase, false, self.printer)
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
    pub(super) fn phase(&self, name: &str) -> Result<String, CliError> {
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
}

/// Whether the value of a line was asked for: `()` is then an answer, too.
fn is_expression(line: &str) -> bool {
    let first = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let statement = [
        "let", "const", "import", "fn", "if", "for", "while", "loop", "try", "print", "debug",
    ];
    !line.ends_with([';', '}']) && !statement.contains(&first) && !line.contains(" = ")
}
