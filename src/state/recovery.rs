//! What the journal's segments come to together.
//!
//! The state is that of the segment which no other goes on from. Where two hosts wrote at once there are several, or
//! one that grew after its successor had read it; and where a disk damaged a segment, whole transitions stand behind
//! the damage. From all of those the completions are taken, because somebody may have been told of them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::disk::{Disk, failure};
use super::error::StateError;
use super::event::Change;
use super::model::State;
use super::record::Record;
use super::segment::{NoSegment, Seen, Segment};

/// The directory, in the private one, for segments that have been superseded.
pub(super) const HISTORY: &str = "history";
const SEGMENT_PREFIX: &str = "j-";
/// How often a reader begins anew because the segments moved under its eyes.
const TRIES: usize = 20;

/// A place in the journal: after a transition, as a segment has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) segment: String,
    pub(super) seq: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.segment, self.seq)
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (segment, seq) = text.rsplit_once('@').ok_or(())?;
        let named = is_segment(segment) && !segment.contains('/');
        let seq = seq.parse().ok().filter(|_| named).ok_or(())?;
        Ok(Stamp {
            segment: segment.to_owned(),
            seq,
        })
    }
}

/// The name of a segment that begins after a transition.
pub(super) fn segment_name(at: u64, nonce: u32) -> String {
    format!("{SEGMENT_PREFIX}{at:08}-{nonce:08x}")
}

pub(super) fn is_segment(name: &str) -> bool {
    name.starts_with(SEGMENT_PREFIX)
}

/// A segment that is there, with how far it was read.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) seen: Seen,
    /// Its size when it was read, in bytes.
    pub(super) size: u64,
    /// Whether there is anything in it.
    pub(super) lives: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// The state, when there is a live segment.
    pub(super) state: Option<State>,
    /// The place in the journal that the state is of.
    pub(super) stamp: Option<Stamp>,
    /// The last transition of all.
    pub(super) seq: u64,
    pub(super) present: Vec<Present>,
    /// Transitions with completions that the state does not know.
    pub(super) joined: Vec<Record>,
    /// What the user should hear.
    pub(super) notes: Vec<String>,
}

impl Recovered {
    /// Whether nothing can be learnt from it about the run.
    pub(super) fn tells_nothing(&self) -> bool {
        self.state.is_none() && self.joined.is_empty()
    }

    /// What the completions that stand beside the state change in it.
    pub(super) fn joined_changes(&self, state: &State) -> Vec<Change> {
        if self.joined.is_empty() {
            return Vec::new();
        }
        let mut state = state.clone();
        let mut all = Vec::new();
        for record in &self.joined {
            let is_news = |change: &Change| {
                change.completes() && state.get(&change.section, &change.key) != change.value.as_deref()
            };
            if record.changes().any(is_news) {
                for change in record.changes() {
                    state.apply(change);
                    all.push(change.clone());
                }
            }
        }
        all
    }
}

/// Reads all segments. Nothing is written.
///
/// # Errors
/// [`StateError::NewerVersion`] for a segment of a newer program, [`StateError::Io`] when the disk fails.
pub(super) fn recover(disk: &dyn Disk, directory: &Path) -> Result<Recovered, StateError> {
    let mut tries = 1;
    loop {
        match read_all(disk, directory)? {
            Some(segments) => return Ok(combine(directory, segments)),
            None if tries < TRIES => tries += 1,
            None => {
                let busy = io::Error::other("its files keep moving");
                return Err(failure("read", directory, true)(busy));
            }
        }
    }
}

/// The state at a place in the journal, be it in a segment that is there or in one of the history.
pub(super) fn state_at(disk: &dyn Disk, directory: &Path, stamp: &Stamp) -> Option<State> {
    let places = [
        directory.join(&stamp.segment),
        directory.join(HISTORY).join(&stamp.segment),
    ];
    // It may be moved between the two looks.
    let bytes = places
        .iter()
        .chain(&places)
        .find_map(|place| disk.read(place, u64::MAX).ok())?;
    Segment::parse(bytes)
        .ok()
        .filter(|segment| segment.lives)?
        .state_at(stamp.seq)
}

struct Found {
    name: String,
    size: u64,
    segment: Segment,
}

/// All segments, or nothing when one went away meanwhile.
fn read_all(disk: &dyn Disk, directory: &Path) -> Result<Option<Vec<Found>>, StateError> {
    let mut names = match disk.list(directory) {
        Ok(names) => names,
        Err(error) if is_missing(&error) => Vec::new(),
        Err(error) => return Err(failure("read", directory, true)(error)),
    };
    names.retain(|name| is_segment(name));
    names.sort();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let path = directory.join(&name);
        let bytes = match disk.read(&path, u64::MAX) {
            Ok(bytes) => bytes,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failure("read", &path, true)(error)),
        };
        let size = bytes.len() as u64;
        let segment = match Segment::parse(bytes) {
            Ok(segment) => segment,
            Err(NoSegment::NoHeader) => Segment::default(),
            Err(NoSegment::Newer(version)) => {
                return Err(StateError::NewerVersion {
                    path,
                    found: version.to_string(),
                    known: "1",
                });
            }
        };
        found.push(Found { name, size, segment });
    }
    Ok(Some(found))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn combine(directory: &Path, found: Vec<Found>) -> Recovered {
    let mut recovered = Recovered::default();
    let mut read_to: HashMap<String, u64> = HashMap::new();
    for seen in found
        .iter()
        .filter(|one| one.segment.lives)
        .flat_map(|one| &one.segment.seen)
    {
        let known = read_to.entry(seen.name.clone()).or_default();
        *known = seen.seq.max(*known);
    }
    for one in &found {
        let last = one
            .segment
            .behind_damage
            .last()
            .map_or(0, |record| record.seq)
            .max(one.segment.last_seq());
        recovered.seq = recovered.seq.max(last);
        recovered.present.push(Present {
            seen: Seen {
                name: one.name.clone(),
                seq: last,
            },
            size: one.size,
            lives: one.segment.lives || one.segment.damage.is_some(),
        });
    }
    let is_leaf = |one: &Found| one.segment.lives && !read_to.contains_key(&one.name);
    let newest = (0..found.len())
        .filter(|index| is_leaf(&found[*index]))
        .max_by_key(|index| found[*index].segment.last_seq());
    let mut hosts = 0;
    for (index, mut one) in found.into_iter().enumerate() {
        let read_to = read_to.get(&one.name).copied();
        let behind = std::mem::take(&mut one.segment.behind_damage);
        recovered.take_damaged(directory, &one, behind, read_to);
        if Some(index) == newest {
            recovered.stamp = Some(Stamp {
                seq: one.segment.last_seq(),
                segment: one.name,
            });
            recovered.state = Some(one.segment.into_state());
            continue;
        }
        let beside = unread(one.segment.records, read_to);
        hosts += usize::from(!beside.is_empty());
        recovered.joined.extend(beside);
    }
    if hosts > 0 {
        recovered.notes.insert(
            0,
            format!(
                "two hosts wrote here at once ({}); the completions of both were joined",
                directory.display()
            ),
        );
    }
    // A host that died before it wrote down what the run is left a journal of nothing, which is no run.
    if recovered.seq == 0 && recovered.state == Some(State::default()) {
        recovered.state = None;
    }
    recovered
}

/// The completions among transitions that the segment's successor has not read.
fn unread(records: Vec<Record>, read_to: Option<u64>) -> Vec<Record> {
    let is_unread = |record: &Record| read_to.is_none_or(|read_to| record.seq > read_to) && record.completes();
    records.into_iter().filter(is_unread).collect()
}

impl Recovered {
    /// Takes the completions that stand behind a damaged place.
    fn take_damaged(&mut self, directory: &Path, one: &Found, behind: Vec<Record>, read_to: Option<u64>) {
        let kept = unread(behind, read_to);
        // What a successor has read is of no more concern.
        if let (Some(range), None) = (&one.segment.damage, read_to) {
            self.notes.push(format!(
                "{} is damaged in the middle (bytes {}-{}); {} completions behind the damage were kept",
                directory.join(&one.name).display(),
                range.start,
                range.end,
                kept.len()
            ));
        }
        self.joined.extend(kept);
    }
}
