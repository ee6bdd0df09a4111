//! `jumar new [FILE]`: a pipeline to begin with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::args::NewArguments;
use super::error::CliError;
use super::exit_code;
use crate::script::STARTER;
use crate::ui::{Printer, shell_quote};

/// Writes it, and says what to do with it. What is there is never overwritten.
pub(super) fn new(arguments: &NewArguments, printer: &Printer) -> Result<u8, CliError> {
    let mut file = arguments.file.clone();
    if file.is_dir() {
        file.push("pipeline.rhai");
    } else if file.extension().is_none() {
        file.set_extension("rhai");
    }
    let shown = shell_quote(&file.to_string_lossy());
    write(&file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::usage(format!("{} is there already, and is left as it is", file.display()))
                .hint("name another file: jumar new FILE")
        }
        _ => CliError::disk(format!("cannot write {}: {error}", file.display())),
    })?;
    printer.result(&shown);
    printer.hint(&format!("look at it, then: jumar run {shown}"));
    Ok(exit_code::DONE)
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(starter(path).as_bytes());
    if written.is_err() {
        // Half of a script is none.
        let _ = fs::remove_file(path);
        return written;
    }
    // Its first line makes it a program.
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))
}

/// The starter with its own name in the commands at its head.
fn starter(path: &Path) -> String {
    let name = path.to_string_lossy();
    if name.contains(char::is_control) {
        return STARTER.into();
    }
    STARTER.replace("FILE", &shell_quote(&name))
}
