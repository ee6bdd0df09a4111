//! Opening a run for writing, and waiting for whoever has it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::CliError;
use crate::state::{Doubt, StateError, Store};
use crate::ui::Printer;

/// How often a run that is in use is asked for.
const PAUSE: Duration = Duration::from_millis(250);

/// Opens a run. With `wait`, waits as long as another process has it.
pub(super) fn open_run(state_file: &Path, wait: bool, take_over: bool, printer: &Printer) -> Result<Store, CliError> {
    let doubt = if take_over { Doubt::TakeOver } else { Doubt::Respect };
    let mut told = false;
    loop {
        match Store::open_despite(state_file, doubt) {
            Err(StateError::Locked { owner, path }) if wait => {
                if !told {
                    printer.info(&format!("waiting: {} is in use by {owner}", path.display()));
                    told = true;
                }
                thread::sleep(PAUSE);
            }
            other => return Ok(other?),
        }
    }
}
