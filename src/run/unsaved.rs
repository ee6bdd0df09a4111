//! A result that cannot be recorded, because the disk fails: how long to insist, and what to leave behind in the end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::Observer;
use crate::exec::StopSignal;
use crate::state::{Event, StateError};

/// The first pause between two tries; each is twice as long as the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a run directory that is not there is waited for.
const GONE: Duration = Duration::from_secs(5);
/// How often the user is told again.
const REMINDER: Duration = Duration::from_secs(60);
/// How soon a request to stop is noticed.
const TICK: Duration = Duration::from_millis(50);

/// How long one has tried, and when the user was told of it.
pub(super) struct Patience {
    pause: Duration,
    told: Option<Instant>,
    /// Since when the run directory is not there any more.
    gone: Option<Instant>,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            pause: FIRST_PAUSE,
            told: None,
            gone: None,
        }
    }

    /// Tells the user, and waits before the next try. Returns whether there is to be one: a disk that is full may be given room, a
    /// run directory that was removed or renamed does not come back by itself.
    pub(super) fn wait(
        &mut self,
        event: &Event,
        state_file: &Path,
        error: &StateError,
        observer: &dyn Observer,
        stop: &StopSignal,
    ) -> bool {
        if self.told.is_none_or(|told| told.elapsed() >= REMINDER) {
            let by_hand: Vec<String> = lines(event)
                .into_iter()
                .filter(|(section, _)| section == "phases")
                .map(|(_, line)| line)
                .collect();
            let by_hand = match by_hand.as_slice() {
                [] => String::new(),
                lines => format!(" To note it by hand, write under [phases]: {}", lines.join(", ")),
            };
            observer.warn(&format!(
                "`{}` cannot be saved: {}. Trying again; nothing new is started.{by_hand}",
                event.verb,
                error.headline()
            ));
            self.told = Some(Instant::now());
        }
        let is_there = state_file
            .parent()
            .is_none_or(|directory| directory.as_os_str().is_empty() || directory.is_dir());
        self.gone = self
            .gone
            .filter(|_| !is_there)
            .or_else(|| (!is_there).then(Instant::now));
        if self.gone.is_some_and(|since| since.elapsed() >= GONE) {
            return false;
        }
        let until = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        while Instant::now() < until {
            if stop.is_requested() {
                return false;
            }
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        !stop.is_requested()
    }
}

/// Leaves what could not be recorded in a file elsewhere, and makes the error that tells of it.
pub(super) fn give_up(event: &Event, state_file: &Path, error: StateError) -> StateError {
    let lines = lines(event);
    let spill = spill(&lines, state_file).ok();
    StateError::Unsaved {
        path: state_file.to_owned(),
        lines: lines
            .into_iter()
            .filter(|(section, _)| section == "phases")
            .map(|(_, line)| line)
            .collect(),
        spill,
        source: Box::new(error),
    }
}

/// The lines that the event would put into the state file, each with its section.
fn lines(event: &Event) -> Vec<(String, String)> {
    let line = |change: &crate::state::Change| {
        let value = change.value.as_ref()?;
        Some((change.section.clone(), format!("{}={value}", change.key)))
    };
    event.changes.iter().filter_map(line).collect()
}

fn spill(lines: &[(String, String)], state_file: &Path) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("jumar-{}.spill", std::process::id()));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    let mut text = format!("# could not be saved to {}\n", state_file.display());
    for (section, line) in lines {
        text.push_str(&format!("[{section}]\n{line}\n"));
    }
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    Ok(path)
}
