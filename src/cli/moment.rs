//! `RUN@N`: a run as it was after one of its events.

use std::fmt;
use std::path::Path;

use super::error::CliError;
use super::look::past;
use super::take_up::meant_path;
use crate::run::{LocateError, RunPath, locate};
use crate::state::{Moment, Reading, State, read_doubting, read_moment};
use crate::ui::Printer;

/// Finds the run that is meant, and reads its state: as it is, or as it was at the moment that is named. A file of which nothing
/// counts is told.
pub(super) fn read_run(asked: Option<&str>, printer: &Printer) -> Result<(RunPath, State, Option<Moment>), CliError> {
    let (run, moment) = locate_moment(asked)?;
    let state = match moment {
        Some(moment) => read_moment(&run.state_file, moment)?,
        None => {
            let Reading { state, doubt } = read_doubting(&run.state_file)?;
            if let Some(doubt) = doubt {
                printer.warn(&format!(
                    "{doubt}; this is what the journal says; the file is written anew when the run goes on"
                ));
            }
            state
        }
    };
    Ok((run, state, moment))
}

/// Finds the run that is meant, and the moment of it that is named.
pub(super) fn locate_moment(asked: Option<&str>) -> Result<(RunPath, Option<Moment>), LocateError> {
    let (name, moment) = split(asked);
    Ok((locate(name)?, moment))
}

/// Finds the run that is to be changed: as it was it is only looked at.
pub(super) fn locate_now(asked: Option<&str>) -> Result<RunPath, CliError> {
    match locate_moment(asked)? {
        (run, None) => Ok(run),
        (_, Some(moment)) => Err(CliError::usage(past(moment))),
    }
}

/// Finds the run that is meant, which is taken as it is now; `why` says so of the command, for who names a moment of it.
pub(super) fn locate_whole(asked: Option<&str>, why: &str) -> Result<RunPath, CliError> {
    match locate_moment(asked)? {
        (run, None) => Ok(run),
        (_, Some(moment)) => Err(CliError::usage(format!("{why}: leave out the {}", Suffix(moment)))),
    }
}

/// Whether a word alone, where more was wanted, is a run: by its path or its whole name.
pub(super) fn is_a_run(word: &str) -> bool {
    let called = |run: &RunPath| run.directory.file_name().is_some_and(|name| name == word);
    locate(Some(word)).is_ok_and(|run| called(&run) || Path::new(word).symlink_metadata().is_ok())
}

/// Finds the run that is meant in the middle of a session on `own`: `@4` is that one as it was, and a path means what it
/// means where the user is, although the session is in the run's working directory.
pub(super) fn locate_beside(own: &RunPath, asked: &str) -> Result<(RunPath, Option<Moment>), LocateError> {
    let (name, moment) = split(Some(asked));
    let Some(name) = name else {
        return Ok((own.clone(), moment));
    };
    let typed = meant_path(name);
    let run = if typed.symlink_metadata().is_ok() {
        locate(Some(&typed.to_string_lossy()))?
    } else {
        locate(Some(name))?
    };
    Ok((run, moment))
}

/// A moment as the user wrote it: `@4`, `@-1`.
pub(super) struct Suffix(pub Moment);

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Moment::After(number) => write!(f, "@{number}"),
            Moment::Ago(count) => write!(f, "@-{count}"),
        }
    }
}

/// The run and the moment. A run or a file may have an `@` in its own name: only a number behind the last one counts, and
/// what is there under the whole name is meant.
fn split(asked: Option<&str>) -> (Option<&str>, Option<Moment>) {
    if asked.is_some_and(|asked| Path::new(asked).symlink_metadata().is_ok()) {
        return (asked, None);
    }
    let parts = asked.and_then(|asked| asked.rsplit_once('@'));
    let Some((name, moment)) = parts.and_then(|(name, number)| Some((name, parse(number)?))) else {
        return (asked, None);
    };
    (Some(name).filter(|name| !name.is_empty()), Some(moment))
}

fn parse(number: &str) -> Option<Moment> {
    match number.strip_prefix('-') {
        Some(ago) => ago.parse().ok().map(Moment::Ago),
        None => number.parse().ok().map(Moment::After),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_the_last_at_sign_is_a_moment() {
        assert_eq!(split(Some("run@4")), (Some("run"), Some(Moment::After(4))));
        assert_eq!(split(Some("a@b/run@-3")), (Some("a@b/run"), Some(Moment::Ago(3))));
        assert_eq!(split(Some("@-1")), (None, Some(Moment::Ago(1))));
        assert_eq!(split(Some("run@home")), (Some("run@home"), None));
        assert_eq!(split(Some("run")), (Some("run"), None));
        assert_eq!(split(None), (None, None));
    }
}
