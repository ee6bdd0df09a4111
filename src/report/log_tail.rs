//! The last lines that an attempt wrote to its log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::reported::Reported;
use crate::run::AttemptRecord;
use crate::ui::as_terminal_line;

/// More of a log than this is not read.
const MOST_BYTES: u64 = 64 << 10;

/// The last lines of the attempt's log, and the log's name; `None` when it has none or it is gone.
pub(super) fn log_tail(run: &Reported, phase: &str, place: usize, lines: usize) -> Option<(String, Vec<String>)> {
    let attempts = run.attempts_of(phase);
    let (name, from) = attempts.get(place)?.logs.last()?;
    // The next attempt writes into the same file after this one.
    let until = attempts[place + 1..].iter().find_map(|next: &AttemptRecord| {
        next.logs
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, start)| *start)
    });
    let mut file = candidates(run, name)
        .into_iter()
        .find_map(|path| File::open(path).ok())?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let end = until.unwrap_or(length).min(length);
    let start = (*from).max(end.saturating_sub(MOST_BYTES)).min(end);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let all: Vec<String> = text.lines().map(as_terminal_line).collect();
    let first = all.len().saturating_sub(lines);
    Some((name.clone(), all[first..].to_vec()))
}

/// Where a log may be: as it was named, from where the run began, or under the run wherever that is now.
fn candidates(run: &Reported, name: &str) -> Vec<PathBuf> {
    let path = Path::new(name);
    let mut all = Vec::new();
    if let Some(file) = path.file_name() {
        all.push(run.facts.directory.join("logs").join(file));
    }
    if let Some(base) = run.text("metadata", "working_directory") {
        all.push(Path::new(&base).join(path));
    }
    all.push(path.to_path_buf());
    all
}
