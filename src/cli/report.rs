//! `jumar report`: a page about one run, or about several compared. It reads; it writes only the file that `-o` names.

use jiff::Timestamp;

use super::args::ReportArguments;
use super::diff::{Chosen, located, sort_by};
use super::error::CliError;
use super::exit_code;
use super::moment::locate_moment;
use super::status::earlier_runs;
use crate::compare::{RunStanding, estimate};
use crate::report::{Reported, page, to_json};
use crate::state::StateError;
use crate::ui::Printer;

/// Makes the page.
pub(super) fn report(arguments: &ReportArguments, printer: &Printer) -> Result<u8, CliError> {
    if arguments.output.is_none() && !arguments.json && printer.stdout_width().is_some() {
        return Err(CliError::usage("a page is nothing for a terminal")
            .hint("name a file: jumar report -o report.html")
            .hint("or pass it on: jumar report > report.html"));
    }
    let runs = match arguments.runs.as_slice() {
        [] => vec![locate_moment(None)?],
        [one] => vec![locate_moment(Some(one))?],
        _ => located(&arguments.runs, printer)?,
    };
    let mut reported = runs.iter().map(reported).collect::<Result<Vec<Reported>, _>>()?;
    if let Some(key) = &arguments.sort {
        sort_by(&mut reported, key, |run| &run.facts)?;
    }
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

/// Reads a run for a page; of one that is on also how long it will take.
pub(super) fn reported((run, moment): &Chosen) -> Result<Reported, StateError> {
    let found = Reported::at(run, *moment)?;
    if moment.is_some() || found.facts.standing != RunStanding::Running {
        return Ok(found);
    }
    let state = &found.facts.state;
    let rest = estimate(state, &earlier_runs(run, state), Timestamp::now());
    Ok(found.with_rest(rest))
}
