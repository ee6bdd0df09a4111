//! What a person means by RUN: a run directory, a state file, a run's name, or nothing for the newest.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::STATE_FILE;
use crate::state::exists;

/// A run that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPath {
    /// The run directory, as the user would name it.
    pub directory: PathBuf,
    /// Its state file.
    pub state_file: PathBuf,
}

/// A RUN that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// There are no runs at all.
    #[error("there is no run under runs/")]
    NoRuns,
    /// Nothing has that name.
    #[error("no run is called `{asked}`{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        asked: String,
        /// A name that is close.
        near: Option<String>,
    },
    /// Several runs begin like that.
    #[error("`{asked}` could be any of {} runs: {}; the newest is {newest}", candidates.len(), newest_few(candidates))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// What it could be, oldest first.
        candidates: Vec<String>,
        /// The newest of them.
        newest: String,
    },
    /// A script is no run.
    #[error("{asked} is a script, not a run")]
    Script {
        /// What was asked for.
        asked: String,
    },
    /// A directory without a state file.
    #[error("{} has no {STATE_FILE}", directory.display())]
    NoStateFile {
        /// The directory.
        directory: PathBuf,
        /// The runs in it, or in its `runs/`.
        inside: Vec<String>,
    },
    /// The directory of runs cannot be read.
    #[error("cannot read runs/: {0}")]
    Unreadable(io::Error),
}

/// The newest of many names, newest first.
pub fn newest_few(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().rev().take(MOST_NAMES).map(String::as_str).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// More names than this are not read.
const MOST_NAMES: usize = 5;

/// Finds the run that `asked` means.
///
/// # Errors
/// [`LocateError`] when nothing, or more than one thing, is meant.
pub fn locate(asked: Option<&str>) -> Result<RunPath, LocateError> {
    let Some(asked) = asked else {
        return all_runs()?.pop().ok_or(LocateError::NoRuns);
    };
    let path = Path::new(asked);
    // A directory that stands where the state file should is for the state to refuse.
    if path.is_dir() && !path.ends_with(STATE_FILE) {
        let run = in_directory(path);
        return if exists(&run.state_file) {
            Ok(run)
        } else {
            Err(LocateError::NoStateFile {
                directory: path.into(),
                inside: runs_inside(path),
            })
        };
    }
    if path.extension().is_some_and(|extension| extension == "rhai") {
        return Err(LocateError::Script { asked: asked.into() });
    }
    // A state file that was removed is still there in its journal.
    if path.symlink_metadata().is_ok() || (path.ends_with(STATE_FILE) && exists(path)) {
        let parent = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        return Ok(RunPath {
            directory: parent.into(),
            state_file: path.into(),
        });
    }
    let runs = all_runs()?;
    let name = |run: &RunPath| {
        run.directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    if let Some(run) = runs.iter().find(|r| name(r) == asked) {
        return Ok(run.clone());
    }
    let mut begins: Vec<&RunPath> = runs.iter().filter(|r| name(r).starts_with(asked)).collect();
    // A name that only begins a longer one: the run of just that name is meant.
    let exact: Vec<&RunPath> = begins
        .iter()
        .copied()
        .filter(|r| without_date(&name(r)) == Some(asked))
        .collect();
    if exact.len() == 1 {
        begins = exact;
    }
    match begins.len() {
        1 => Ok(begins.remove(0).clone()),
        0 => {
            let names: Vec<String> = runs.iter().map(name).collect();
            Err(LocateError::Unknown {
                asked: asked.into(),
                near: crate::plan::nearest(asked, names.iter().map(String::as_str)),
            })
        }
        _ => Err(LocateError::Ambiguous {
            asked: asked.into(),
            newest: begins.last().map(|run| name(run)).unwrap_or_default(),
            candidates: begins.into_iter().map(name).collect(),
        }),
    }
}

/// All runs under `runs/`, oldest first.
///
/// # Errors
/// [`LocateError::Unreadable`]; a missing `runs/` is no error but an empty list.
pub fn all_runs() -> Result<Vec<RunPath>, LocateError> {
    let entries = match fs::read_dir("runs") {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(LocateError::Unreadable(error)),
    };
    let directories = entries.filter_map(|e| Some(e.ok()?.path()));
    let runs = directories.map(|d| in_directory(&d)).filter(|r| exists(&r.state_file));
    let mut aged: Vec<_> = runs.map(|r| (age(&r), r)).collect();
    aged.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(aged.into_iter().map(|(_, run)| run).collect())
}

/// A run's name without the date and time that new directories are given: `base` of `base_20260101_120000`, and of a second one in that
/// second, `base_20260101_120000_2`.
fn without_date(name: &str) -> Option<&str> {
    let mut parts: Vec<&str> = name.split('_').collect();
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let is_date = |parts: &[&str]| matches!(parts, [_, .., date, time] if digits(date, 8) && digits(time, 6));
    let mut length = name.len();
    if !is_date(&parts) {
        length = length.checked_sub(parts.pop()?.len() + 1)?;
    }
    is_date(&parts).then(|| &name[..length - "_20260101_120000".len()])
}

/// Runs that lie in a directory, or in its `runs/`, as paths, oldest first.
fn runs_inside(directory: &Path) -> Vec<String> {
    let places = [directory.to_path_buf(), directory.join("runs")];
    let entries = places.iter().flat_map(fs::read_dir).flatten().flatten();
    let runs = entries.map(|entry| in_directory(&entry.path()));
    let mut aged: Vec<_> = runs
        .filter(|run| exists(&run.state_file))
        .map(|r| (age(&r), r))
        .collect();
    aged.sort_by(|(a, _), (b, _)| a.cmp(b));
    let named = |run: RunPath| {
        let path = run.directory;
        path.strip_prefix(".").unwrap_or(&path).to_string_lossy().into_owned()
    };
    aged.into_iter().map(|(_, run)| named(run)).collect()
}

/// What orders runs. The state file tells the second in which a run began; of those that began in the same one, the
/// directory that was made last is the newest.
fn age(run: &RunPath) -> (u64, Option<SystemTime>, PathBuf) {
    let made = fs::metadata(&run.directory).and_then(|m| m.created()).ok();
    (started(&run.state_file), made, run.directory.clone())
}

fn in_directory(directory: &Path) -> RunPath {
    RunPath {
        directory: directory.into(),
        state_file: directory.join(STATE_FILE),
    }
}

/// When a run started, in seconds since 1970: what its file says near its head, else the file's own age.
fn started(state_file: &Path) -> u64 {
    let said = || {
        let mut head = Vec::new();
        fs::File::open(state_file)
            .ok()?
            .take(4096)
            .read_to_end(&mut head)
            .ok()?;
        let text = String::from_utf8_lossy(&head).into_owned();
        text.lines()
            .find_map(|l| l.strip_prefix("start_time="))?
            .trim()
            .parse()
            .ok()
    };
    let modified = || {
        Some(
            fs::metadata(state_file)
                .ok()?
                .modified()
                .ok()?
                .duration_since(UNIX_EPOCH)
                .ok()?
                .as_secs(),
        )
    };
    said().or_else(modified).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_date_and_time() {
        assert_eq!(without_date("four_20260101_120000"), Some("four"));
        assert_eq!(without_date("four_b_20260101_120000_2"), Some("four_b"));
        assert_eq!(without_date("four_2026"), None);
        assert_eq!(without_date("four"), None);
        assert_eq!(without_date(""), None);
    }
}
