//! Opening a run for writing, and waiting for whoever has it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::CliError;
use crate::exec::{Living, ProcessName};
use crate::state::{Doubt, Owner, StateError, Store};
use crate::ui::Printer;

/// How often a run that is in use is asked for.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a lock whose owner is gone is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked for meanwhile.
const LOCK_GLANCE: Duration = Duration::from_millis(5);

/// Opens a run, and leaves it as it is for now. With `wait`, waits as long as another process has it. A host that was killed in the middle of starting a
/// process may, for the moment that this takes, leave its lock to that process: then the lock is waited for anyway.
pub(super) fn open_run(state_file: &Path, wait: bool, take_over: bool, printer: &Printer) -> Result<Store, CliError> {
    let doubt = if take_over { Doubt::TakeOver } else { Doubt::Respect };
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut told = false;
    loop {
        match Store::open_untouched(state_file, doubt) {
            Err(StateError::Locked { owner, path }) if wait => {
                if !told {
                    printer.info(&format!("waiting: {} is in use by {owner}", path.display()));
                    told = true;
                }
                thread::sleep(PAUSE);
            }
            Err(StateError::Locked { owner, .. }) if !is_alive(&owner) && Instant::now() < deadline => {
                thread::sleep(LOCK_GLANCE);
            }
            other => return Ok(other?),
        }
    }
}

fn is_alive(owner: &Owner) -> bool {
    let process = i32::try_from(owner.pid).ok().map(|pid| ProcessName {
        pid,
        started: owner.start_time,
    });
    process.is_some_and(|process| Living::named(process).is_some())
}
