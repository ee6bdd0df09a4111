//! `jumar eval [RUN] EXPR`: one value of a run. It reads; it never locks, waits or writes.

use super::args::EvalArguments;
use super::error::CliError;
use super::exit_code;
use super::look::{Look, With};
use super::moment::is_a_run;
use crate::script::Ask;
use crate::ui::{Printer, shell_quote, value_text};

/// Prints the value of an expression.
pub(super) fn eval(arguments: &EvalArguments, printer: &Printer) -> Result<u8, CliError> {
    let expression = &arguments.expression;
    if arguments.run.is_none() && is_a_run(expression) {
        return Err(CliError::usage(format!("what is to be asked of the run {expression}?"))
            .hint(format!("jumar eval {} state.phases", shell_quote(expression))));
    }
    let mut look = Look::open(arguments.run.as_deref(), With::Recorded, printer)?;
    look.warn_of_trouble(printer);
    look.session
        .refuse_writes(Some("eval only reads; `jumar repl` and `jumar mark` change it"));
    look.watcher.speak();
    let answer = look.inspector.ask(expression)?;
    if arguments.json {
        let value = answer
            .exact
            .map_err(|why| CliError::usage(why).hint("ask for a part of it that is"))?;
        printer.json(&value);
    } else {
        printer.result(&value_text(&answer.shown, printer.stdout_width()));
    }
    Ok(exit_code::DONE)
}
