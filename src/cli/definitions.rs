//! `jumar definitions DIR`: what editors want to know of the functions that scripts can call.

use std::fs;

use super::args::DefinitionsArguments;
use super::error::CliError;
use super::exit_code;
use crate::script;
use crate::ui::Printer;

/// Writes the definition files and prints their names; those that are there are written anew.
pub(super) fn definitions(arguments: &DefinitionsArguments, printer: &Printer) -> Result<u8, CliError> {
    for (name, text) in script::definitions() {
        let path = arguments.directory.join(name);
        let folder = path.parent().unwrap_or(&arguments.directory);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| CliError::disk(format!("cannot write {}: {error}", path.display())))?;
        printer.result(&path.to_string_lossy());
    }
    Ok(exit_code::DONE)
}
