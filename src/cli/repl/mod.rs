//! `jumar repl [RUN]`: lines of Rhai with the run in reach. Edits of the state are staged and written as one event; piped
//! input is a script that stops at its first error.

mod at_failure;
mod commands;
mod compare;
mod decide;
mod keyboard;
mod session;
mod show;
mod staged;
mod words;

use std::io::{self, IsTerminal, Read};
use std::sync::Arc;

use super::args::ReplArguments;
use super::error::CliError;
use super::exit_code;
use super::look::{Look, With};
use crate::exec::interrupt_flag;
use crate::ui::Printer;
pub(super) use at_failure::AtFailure;
use keyboard::{Keyboard, Typed, goes_on};
use session::{Flow, Repl};
use staged::Staged;

/// Opens a session on a run.
pub(super) fn repl(arguments: &ReplArguments, printer: &Printer) -> Result<u8, CliError> {
    let mut look = Look::open(arguments.run.as_deref(), With::Recorded, printer)?;
    look.warn_of_trouble(printer);
    look.watcher.speak();
    // The past is only looked at.
    let staged = match look.moment {
        None => Some(Staged::new(&look.run, &look.session)?),
        Some(_) => None,
    };
    let session = Arc::clone(&look.session);
    let mut repl = Repl::new(&mut look.inspector, &session, look.run.clone(), staged, printer);
    repl.set_moment(look.moment);
    if io::stdin().is_terminal() {
        interactive(&mut repl, printer)
    } else {
        piped(&mut repl, printer)
    }
}

fn interactive(repl: &mut Repl<'_>, printer: &Printer) -> Result<u8, CliError> {
    let flag = interrupt_flag().map_err(|e| CliError::disk(format!("cannot watch for interrupts: {e}")))?;
    repl.session().interrupt_with(flag);
    printer.info("`:help` shows what there is; Ctrl-D leaves");
    match converse(repl, printer)? {
        Flow::GiveUp => {
            Err(CliError::usage(format!("{} dropped", edits(repl.staged())))
                .hint("`:commit` writes them before the end"))
        }
        _ => Ok(exit_code::DONE),
    }
}

/// Reads and answers lines at the terminal until the user leaves; returns in which way.
fn converse(repl: &mut Repl<'_>, printer: &Printer) -> Result<Flow, CliError> {
    let gone = |e: rustyline::error::ReadlineError| CliError::disk(format!("cannot read from the terminal: {e}"));
    let mut keyboard = Keyboard::new(printer.stdout_colored()).map_err(gone)?;
    loop {
        repl.refresh();
        let flow = match keyboard.read(&repl.prompt(), repl.words()).map_err(gone)? {
            Typed::Line(line) => {
                // Somebody may have waited at the prompt for the run to end.
                repl.refresh();
                repl.answer(&line)
            }
            Typed::Dropped => Ok(Flow::GoOn),
            Typed::End => Ok(Flow::Leave),
        };
        let flow = match flow {
            Ok(Flow::Leave) => before_leaving(repl, &mut keyboard, printer).map_err(gone)?,
            other => other,
        };
        match flow {
            Ok(Flow::GoOn) => {}
            Ok(end) => return Ok(end),
            Err(error) => {
                error.report(printer, false);
            }
        }
    }
}

/// Asks what becomes of staged edits. Ending the input once more gives them up.
fn before_leaving(
    repl: &mut Repl<'_>,
    keyboard: &mut Keyboard,
    printer: &Printer,
) -> rustyline::Result<Result<Flow, CliError>> {
    let count = repl.staged();
    if count == 0 {
        return Ok(Ok(Flow::Leave));
    }
    printer.warn(&format!("{} not written", edits(count)));
    loop {
        let answer = match keyboard.ask("(c)ommit and leave, (d)rop and leave, or (s)tay? ")? {
            Typed::Line(line) => line.trim().chars().next().map(|c| c.to_ascii_lowercase()),
            Typed::Dropped => Some('s'),
            Typed::End => return Ok(Ok(Flow::GiveUp)),
        };
        match answer {
            Some('c') => return Ok(repl.answer(":commit").map(|_| Flow::Leave)),
            Some('d') => return Ok(Ok(Flow::Leave)),
            Some('s') => return Ok(Ok(Flow::GoOn)),
            _ => {}
        }
    }
}

fn edits(count: usize) -> String {
    if count == 1 {
        "1 edit is".into()
    } else {
        format!("{count} edits are")
    }
}

fn piped(repl: &mut Repl<'_>, printer: &Printer) -> Result<u8, CliError> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| CliError::disk(format!("cannot read the input: {e}")))?;
    let mut whole = String::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        whole.push_str(line);
        whole.push('\n');
        if lines.peek().is_some() && goes_on(whole.trim_end()) {
            continue;
        }
        let piece = std::mem::take(&mut whole);
        repl.refresh();
        match repl.answer(piece.trim_end()) {
            Ok(Flow::GoOn) => {}
            Ok(Flow::Leave | Flow::GiveUp) => break,
            Err(error) => {
                printer.info(&format!("stopped at line {} of the input", number + 1));
                return Err(error);
            }
        }
    }
    match repl.staged() {
        0 => Ok(exit_code::DONE),
        count => Err(CliError::usage(format!("{} not written", edits(count))).hint("end the input with `:commit`")),
    }
}
