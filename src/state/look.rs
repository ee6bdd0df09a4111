//! Looking at a state: no lock, no write, no waiting.

use std::path::{Path, PathBuf};

use super::disk::{self, Disk, RealDisk, SIZE_LIMIT, unreadable};
use super::error::StateError;
use super::event::{Change, PHASES};
use super::lock;
use super::merge::{Merged, complete, merge, value_text};
use super::model::State;
use super::owner::Owner;
use super::page::{self, Page};
use super::recovery::{self, Stamp};
use super::shown;

/// The directory for the program's own files beside a state file, behind all links; it need not be there.
pub fn private_directory(state_file: &Path) -> PathBuf {
    places(state_file).1
}

/// Reads a state without taking its lock, without writing and without waiting: the journal's, with what was written
/// into the state file since.
///
/// # Errors
/// [`StateError::NotFound`], [`StateError::IsDirectory`], [`StateError::Unreadable`], [`StateError::TooLarge`],
/// [`StateError::Syntax`], [`StateError::NewerVersion`].
pub fn read(state_file: &Path) -> Result<State, StateError> {
    read_doubting(state_file).map(|reading| reading.state)
}

/// A state as it was read, and what is wrong with the file that should show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The state.
    pub state: State,
    /// Why nothing of the file counts, in a line; `None` when what it says does.
    pub doubt: Option<String>,
}

/// As [`read`], with what is wrong with the file.
///
/// # Errors
/// As [`read`].
pub fn read_doubting(state_file: &Path) -> Result<Reading, StateError> {
    let (file, private_directory) = places(state_file);
    read_at(&RealDisk, &file, state_file, &private_directory)
}

pub(super) fn read_at(
    disk: &dyn Disk,
    file: &Path,
    called: &Path,
    private_directory: &Path,
) -> Result<Reading, StateError> {
    let sure = |state| Ok(Reading { state, doubt: None });
    let (recovered, noted) = shown::recover(disk, file, private_directory)?;
    let joined_to = |state: &mut State| {
        let joined = recovered.joined_changes(state);
        joined.iter().for_each(|change| state.apply(change));
    };
    if let Some(state) = &recovered.state
        && recovered.joined.is_empty()
        && noted.is_some()
    {
        return sure(state.clone());
    }
    let bytes = disk
        .read(file, SIZE_LIMIT)
        .map_err(|error| unreadable(disk, file, called, error));
    let Some(mut state) = recovered.state.clone() else {
        let mut state = page::import(&bytes?, called)?;
        joined_to(&mut state);
        return sure(state);
    };
    joined_to(&mut state);
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(StateError::NotFound { .. } | StateError::TooLarge { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let page = page::judge(&bytes, called);
    refuse_other_run(disk, private_directory, &state, &page, called)?;
    let doubt = match &page {
        Page::Wrong(_) | Page::Whole(_) | Page::Loose(_) => None,
        Page::Blank => Some(format!("{} is gone or empty", called.display())),
        Page::Cut(why) => Some(why.clone()),
    };
    match page {
        Page::Wrong(error) => return Err(error.or_remove_the_file()),
        page => {
            for edit in merged(disk, private_directory, &state, page).edits {
                state.apply(&edit);
            }
        }
    }
    Ok(Reading { state, doubt })
}

/// Refuses the state file of another run: what is completed there is not completed here. A person may have changed the
/// `run_id` of a file that was written from this journal.
///
/// # Errors
/// [`StateError::OtherRun`].
pub(super) fn refuse_other_run(
    disk: &dyn Disk,
    directory: &Path,
    ours: &State,
    page: &Page,
    called: &Path,
) -> Result<(), StateError> {
    let (theirs, stamp) = match page {
        Page::Whole(content) => (&content.state, Some(&content.stamp)),
        Page::Loose(state) => (state, None),
        Page::Blank | Page::Cut(_) | Page::Wrong(_) => return Ok(()),
    };
    let run_id = |state: &State| state.get("metadata", "run_id").map(str::to_owned);
    let is_ours = || stamp.is_some_and(|stamp| recovery::state_at(disk, directory, stamp).is_some());
    match (run_id(theirs), run_id(ours)) {
        (Some(found), Some(known)) if found != known && !is_ours() => Err(StateError::OtherRun {
            path: called.to_owned(),
            found,
            known,
        }),
        _ => Ok(()),
    }
}

/// What a page that was saved comes to.
pub(super) fn merged(disk: &dyn Disk, directory: &Path, ours: &State, page: Page) -> Merged {
    let mut lacking = None;
    let mut theirs = match page {
        // By far the most frequent case, and the base takes another reading of the journal.
        Page::Whole(content) if content.state == *ours => return Merged::default(),
        Page::Whole(content) => match recovery::state_at(disk, directory, &content.stamp) {
            Some(base) => return merge(&base, ours, &content.state),
            None => {
                lacking = Some(content.stamp);
                content.state
            }
        },
        Page::Loose(state) => state,
        Page::Blank | Page::Cut(_) | Page::Wrong(_) => return Merged::default(),
    };
    complete(&mut theirs, ours);
    let mut merged = merge(ours, ours, &theirs);
    if let Some(stamp) = lacking.filter(|_| !merged.edits.is_empty()) {
        // Nobody edited anything.
        merged.notes = vec![of_lost_place(&stamp, &merged.edits, ours)];
    }
    merged
}

/// More phases than this are only counted, as all other values are.
const MOST_LISTED: usize = 5;

/// What to say of a file that was written from a place which the journal does not have.
fn of_lost_place(stamp: &Stamp, edits: &[Change], ours: &State) -> String {
    let phases = edits.iter().filter(|edit| edit.section == PHASES);
    let listed = phases.take(MOST_LISTED).map(|edit| {
        let now = value_text(edit.value.as_deref());
        let before = value_text(ours.get(&edit.section, &edit.key));
        format!("{}={now} (the journal: {before})", edit.key)
    });
    let mut listed: Vec<String> = listed.collect();
    match edits.len() - listed.len() {
        0 => {}
        1 => listed.push("1 value more".to_owned()),
        more => listed.push(format!("{more} values more")),
    }
    format!(
        "the state file was written at {stamp}, which the journal does not have: the journal was cut, or one of the two is an older \
         copy; what the file says counts: {}",
        listed.join(", ")
    )
}

/// Whether there is a state: the file, or a journal from which it can be made. One that cannot be read is there, too.
pub fn exists(state_file: &Path) -> bool {
    let (file, directory) = places(state_file);
    let has_segment = |names: Vec<String>| names.iter().any(|name| recovery::is_segment(name));
    let tells = || !matches!(recovery::recover(&RealDisk, &directory), Ok(found) if found.tells_nothing());
    RealDisk.mark(&file).is_ok() || (RealDisk.list(&directory).is_ok_and(has_segment) && tells())
}

/// Who has the run of this state file in use now, asked without taking its lock; `None` when nobody has.
pub fn holder(state_file: &Path) -> Option<Owner> {
    let file = disk::resolve(state_file).ok()?;
    lock::holder(&disk::private_directory(&file))
}

/// Removes what an owner that is gone left behind on a file system without locks; elsewhere a lock goes with its
/// owner. Returns whether there was anything.
///
/// # Errors
/// [`StateError::Locked`] when the run is in use, [`StateError::MaybeLocked`] when that cannot be known,
/// [`StateError::Io`].
pub fn release(state_file: &Path) -> Result<bool, StateError> {
    let (_, directory) = places(state_file);
    lock::release(&directory, state_file)
}

/// The file behind all links, and its private directory.
pub(super) fn places(state_file: &Path) -> (PathBuf, PathBuf) {
    // A path that leads nowhere is told by the first look at it.
    let file = disk::resolve(state_file).unwrap_or_else(|_| state_file.to_owned());
    let directory = disk::private_directory(&file);
    (file, directory)
}
