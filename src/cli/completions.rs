//! `jumar completions SHELL`

use clap::CommandFactory;

use super::args::{Arguments, CompletionsArguments};
use super::error::CliError;
use super::exit_code;
use crate::ui::Printer;

/// Prints a completion script.
pub(super) fn completions(arguments: &CompletionsArguments, printer: &Printer) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "jumar", &mut script);
    printer.raw_stdout(&String::from_utf8_lossy(&script));
    Ok(exit_code::DONE)
}
