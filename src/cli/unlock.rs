//! `jumar unlock`: removes what a host that is gone left behind, after looking whether it is gone.

use serde_json::json;

use super::args::UnlockArguments;
use super::error::CliError;
use super::exit_code;
use super::moment::locate_whole;
use crate::state::release;
use crate::ui::Printer;

/// Unlocks a run that nobody has in use.
pub(super) fn unlock(arguments: &UnlockArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate_whole(arguments.run.as_deref(), "who has a run in use has it now")?;
    let removed = release(&run.state_file)?;
    if arguments.json {
        printer.json(&json!({ "run": run.directory, "removed": removed }));
    } else if removed {
        printer.info("the lock of a jumar that is gone was removed");
    } else {
        printer.info("nobody has the run in use: there is nothing to unlock");
    }
    Ok(exit_code::DONE)
}
