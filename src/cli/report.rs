//! `jumar report`: a page about one run, or about several compared. It reads; it writes only the file that `-o` names.

use super::args::ReportArguments;
use super::diff::located;
use super::error::CliError;
use super::exit_code;
use super::moment::locate_whole;
use crate::report::{Reported, page, to_json};
use crate::ui::Printer;

/// Why no moment of a run is reported.
const PAGE: &str = "a page shows runs as they are";

/// Makes the page.
pub(super) fn report(arguments: &ReportArguments, printer: &Printer) -> Result<u8, CliError> {
    if arguments.output.is_none() && !arguments.json && printer.stdout_width().is_some() {
        return Err(CliError::usage("a page is nothing for a terminal")
            .hint("name a file: jumar report -o report.html")
            .hint("or pass it on: jumar report > report.html"));
    }
    let runs = match arguments.runs.as_slice() {
        [] => vec![locate_whole(None, PAGE)?],
        [one] => vec![locate_whole(Some(one), PAGE)?],
        _ => {
            let chosen = located(&arguments.runs, printer)?;
            if chosen.iter().any(|(_, moment)| moment.is_some()) {
                return Err(CliError::usage(format!("{PAGE}: leave out the @N")));
            }
            chosen.into_iter().map(|(run, _)| run).collect()
        }
    };
    let reported = runs.iter().map(Reported::read).collect::<Result<Vec<Reported>, _>>()?;
    if arguments.json && arguments.output.is_none() {
        printer.json(&to_json(&reported));
        return Ok(exit_code::DONE);
    }
    let text = if arguments.json {
        format!("{:#}\n", to_json(&reported))
    } else {
        page(&reported)
    };
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, text)
                .map_err(|error| CliError::disk(format!("cannot write {}: {error}", path.display())))?;
            printer.info(&format!("wrote {}", path.display()));
        }
        None => printer.raw_stdout(&text),
    }
    Ok(exit_code::DONE)
}
