//! `RUN@N`: a run as it was after one of its events.

use super::error::CliError;
use crate::run::{LocateError, RunPath, locate};
use crate::state::{Moment, State, read, read_moment};

/// Finds the run that is meant, and reads its state: as it is, or as it was at the moment that is named.
pub(super) fn read_run(asked: Option<&str>) -> Result<(RunPath, State, Option<Moment>), CliError> {
    let (run, moment) = locate_moment(asked)?;
    let state = match moment {
        Some(moment) => read_moment(&run.state_file, moment)?,
        None => read(&run.state_file)?,
    };
    Ok((run, state, moment))
}

/// Finds the run that is meant, and the moment of it that is named.
pub(super) fn locate_moment(asked: Option<&str>) -> Result<(RunPath, Option<Moment>), LocateError> {
    let (name, moment) = split(asked);
    Ok((locate(name)?, moment))
}

/// The run and the moment. A run or a file may have an `@` in its own name: only a number behind the last one counts.
fn split(asked: Option<&str>) -> (Option<&str>, Option<Moment>) {
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
