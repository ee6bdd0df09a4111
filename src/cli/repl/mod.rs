//! `jumar repl [RUN]`: lines of Rhai with the run in reach. Edits of the state are staged and written as one event; piped
//! input is a script that stops at its first error.

mod at_failure;
mod commands;
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
    let staged = Staged::new(&look.run, &look.session)?;
    let session = Arc::clone(&look.session);
    let mut repl = Repl::new(&mut look.inspector, &session, look.run.clone(), Some(staged), printer);
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
    converse(repl, printer)?;
    Ok(exit_code::DONE)
}

/// Reads and answers lines at the terminal until the user leaves.
fn converse(repl: &mut Repl<'_>, printer: &Printer) -> Result<(), CliError> {
    let gone = |e: rustyline::error::ReadlineError| CliError::disk(format!("cannot read from the terminal: {e}"));
    let mut keyboard = Keyboard::new(printer.stdout_colored()).map_err(gone)?;
    // Leaving twice in a row drops what is staged.
    let mut warned = false;
    loop {
        repl.refresh();
        let leave = match keyboard.read(&repl.prompt(), repl.words()).map_err(gone)? {
            Typed::Line(line) => match repl.answer(&line) {
                Ok(Flow::GoOn) => {
                    warned = false;
                    false
                }
                Ok(Flow::Leave) => true,
                Err(error) => {
                    error.report(printer, false);
                    false
                }
            },
            Typed::Dropped => false,
            Typed::End => true,
        };
        if leave {
            let count = repl.staged();
            if count == 0 || warned {
                return Ok(());
            }
            warned = true;
            printer.warn(&format!(
                "{} not written: `:commit` writes; leave again to drop",
                edits(count)
            ));
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
            Ok(Flow::Leave) => break,
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
