//! `jumar undo`: takes the last change by hand back.

use serde_json::json;

use super::args::UndoArguments;
use super::error::CliError;
use super::event_words::change_in_words;
use super::exit_code;
use super::history::to_json;
use super::moment::locate_now;
use super::open_run::open_run;
use crate::state::{KeyChange, undo as take_back};
use crate::ui::Printer;

/// Takes an event back.
pub(super) fn undo(arguments: &UndoArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate_now(arguments.run.as_deref())?;
    let mut store = open_run(&run.state_file, false, false, printer)?;
    store.begin_writing()?;
    let happened = take_back(&mut store, arguments.event)?;
    store.show()?;
    for note in store.take_notes() {
        printer.info(&note);
    }
    if arguments.json {
        printer.json(&json!({ "undone": to_json(&happened) }));
        return Ok(exit_code::DONE);
    }
    printer.info(&format!("event {} ({}) is taken back:", happened.number, happened.verb));
    for KeyChange {
        section,
        key,
        before,
        after,
    } in happened.changes
    {
        let back = KeyChange {
            section,
            key,
            before: after,
            after: before,
        };
        printer.result(&change_in_words(&back));
    }
    Ok(exit_code::DONE)
}
