//! The writing side of the journal: one segment that grows, and a new one whenever something went wrong with it.
//!
//! What is durable when: a transition when [`Journal::record`] returns (unless it was asked to need no sync). An
//! operation that failed is never repeated on the same file, because the system may have dropped what it could not
//! write and report success the second time; everything is written anew, from memory, to another file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk::{Appending, Disk};
use super::event::Change;
use super::model::State;
use super::record::Lines;
use super::recovery::{HISTORY, Present, Stamp, is_segment, segment_name};
use super::segment::{Seen, beginning};

/// How much space is set aside for the result of a phase before it starts, in bytes.
const RESULT_SPACE: u64 = 64 << 10;
/// How much is set aside at a time.
const RESERVE_STEP: u64 = 256 << 10;
/// A file whose space is given back when the disk is full: not every file system keeps what it set aside.
const BALLAST: &str = "ballast";
const BALLAST_SIZE: usize = 256 << 10;
/// How much a segment grows before it is superseded: by so many bytes, and by so many times its beginning.
#[derive(Debug, Clone, Copy)]
struct Growth {
    bytes: u64,
    times: u64,
}

/// While it is written. Tests have short journals.
const LONG: Growth = if cfg!(test) {
    Growth { bytes: 1400, times: 1 }
} else {
    Growth {
        bytes: 1 << 20,
        times: 4,
    }
};
/// When the run ends: what is written once then is read each time that somebody looks at the run.
const LONG_AT_THE_END: Growth = if cfg!(test) {
    Growth { bytes: 0, times: 0 }
} else {
    // So much is several thousand phases, beside which writing the state once is little.
    Growth {
        bytes: 1 << 20,
        times: 0,
    }
};

/// What is to be written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) verb: &'a str,
    pub(super) changes: &'a [Change],
    /// Whether it has to be durable when it is recorded.
    pub(super) sync: bool,
}

/// The journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    current: Option<Current>,
    others: Vec<Other>,
    seq: u64,
    notes: Vec<String>,
    taken_over: bool,
}

#[derive(Debug)]
struct Current {
    name: String,
    nonce: u32,
    file: Box<dyn Appending>,
    inode: (u64, u64),
    unsynced: bool,
    size: u64,
    reserved_to: u64,
    snapshot_size: u64,
}

/// Transitions on their way to the disk, with the segment that they are in.
#[derive(Debug)]
pub(super) struct Sending {
    at: u64,
    segment: Option<Current>,
    needs_sync: bool,
    result: io::Result<()>,
}

impl Sending {
    /// The part that takes time: makes durable what was appended, if that is asked for.
    pub(super) fn sync(&mut self) {
        if let (Some(segment), true, Ok(())) = (&mut self.segment, self.needs_sync, &self.result) {
            self.result = segment.sync();
        }
    }
}

/// A segment that the next one has to name.
#[derive(Debug)]
struct Other {
    seen: Seen,
    /// Its size when it was read; of our own nothing else is to be expected.
    size: Option<u64>,
    lives: bool,
    /// It was moved, which may not be durable yet.
    moved: bool,
}

impl Journal {
    /// A journal that goes on from the segments that are there. Nothing is written before [`Journal::begin`], or before
    /// there is something to record.
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf, present: Vec<Present>, seq: u64) -> Self {
        let others = present.into_iter().map(|present| Other {
            seen: present.seen,
            size: Some(present.size),
            lives: present.lives,
            moved: false,
        });
        Journal {
            disk,
            directory,
            current: None,
            others: others.collect(),
            seq,
            notes: Vec::new(),
            taken_over: false,
        }
    }

    /// Begins a segment, and records what was joined from others.
    ///
    /// # Errors
    /// What the system said; there is no new segment then.
    pub(super) fn begin(&mut self, state: &State, joined: &[Change]) -> io::Result<()> {
        self.disk.make_directory(&self.directory.join(HISTORY))?;
        if joined.is_empty() {
            self.start_segment(state, None)?;
        } else {
            // At once with the segment, because what they come from is no leaf from then on.
            let (verb, changes, sync) = ("joined", joined, true);
            self.record(state, &[Entry { verb, changes, sync }])?;
        }
        self.fill_ballast();
        Ok(())
    }

    /// Whether there is a segment of its own.
    pub(super) fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Whether the segments are those that were read, as they were then: nobody else has written since.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn is_as_it_was_read(&self) -> io::Result<bool> {
        let mut names = self.disk.list(&self.directory)?;
        names.retain(|name| is_segment(name));
        let is_same = |other: &Other| {
            let now = self.disk.mark(&self.directory.join(&other.seen.name));
            now.is_ok_and(|now| Some(now.size) == other.size)
        };
        Ok(names.len() == self.others.len() && self.others.iter().all(is_same))
    }

    /// Where the journal stands.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let segment = self.current.as_ref()?.name.clone();
        Some(Stamp { segment, seq: self.seq })
    }

    /// Whether another host superseded our segment: there is no lock that keeps it out.
    pub(super) fn is_taken_over(&self) -> bool {
        self.taken_over
    }

    /// What the user should hear, once.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Writes transitions down, one after the other with one write, and one sync when any of them asks for it. `before`
    /// is the state that the first changes.
    ///
    /// # Errors
    /// What the system said. It is not certain then whether a later reader finds the transitions, or the first of them.
    pub(super) fn record(&mut self, before: &State, entries: &[Entry<'_>]) -> io::Result<()> {
        let mut sending = self.send(entries);
        sending.sync();
        self.settle(sending, before, entries)
    }

    /// The first part of [`Journal::record`]: appends. Until [`Journal::settle`] the segment is away and nothing else may
    /// be asked of the journal.
    pub(super) fn send(&mut self, entries: &[Entry<'_>]) -> Sending {
        let at = self.seq;
        self.seq += entries.len() as u64;
        let mut segment = self.current.take();
        let result = match &mut segment {
            Some(segment) => segment.append(lines(segment.nonce, at, entries).as_bytes()),
            None => Ok(()),
        };
        Sending {
            at,
            segment,
            needs_sync: entries.iter().any(|entry| entry.sync),
            result,
        }
    }

    /// The last part of [`Journal::record`]: sees how it went, and begins a new segment if it went wrong.
    ///
    /// # Errors
    /// As [`Journal::record`].
    pub(super) fn settle(&mut self, sending: Sending, before: &State, entries: &[Entry<'_>]) -> io::Result<()> {
        let at = sending.at;
        let text = |nonce| lines(nonce, at, entries);
        let Some(segment) = sending.segment else {
            return self.start_segment_at(at, before, Some(&text));
        };
        self.current = Some(segment);
        if let Err(error) = sending.result {
            return self.replace_failed(error, at, before, Some(&text));
        }
        if sending.needs_sync && !self.is_in_place() {
            self.taken_over = true;
            self.retire();
            self.others.clear();
            return self.start_segment_at(at, before, Some(&text));
        }
        Ok(())
    }

    /// Makes durable what was recorded without. `state` is the state as it is.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn sync(&mut self, state: &State) -> io::Result<()> {
        match &mut self.current {
            Some(current) if current.unsynced => match current.sync() {
                Ok(()) => Ok(()),
                Err(error) => self.replace_failed(error, self.seq, state, None),
            },
            Some(_) => Ok(()),
            None => self.start_segment(state, None),
        }
    }

    /// Begins a new segment if this one has grown out of proportion. `state` is the state as it is.
    pub(super) fn rotate_if_long(&mut self, state: &State) {
        self.rotate_if_grown(LONG, state);
    }

    /// As [`Journal::rotate_if_long`], when nothing more is expected: who reads it next reads little but the state. What another
    /// host went on from stays as it is.
    pub(super) fn rotate_at_the_end(&mut self, state: &State) {
        if self.is_in_place() {
            self.rotate_if_grown(LONG_AT_THE_END, state);
        }
    }

    fn rotate_if_grown(&mut self, growth: Growth, state: &State) {
        let has_grown = |current: &Current| {
            let grown = current.size - current.snapshot_size;
            grown > growth.bytes.max(growth.times * current.snapshot_size)
        };
        if self.current.as_ref().is_some_and(has_grown) {
            self.give_back_space();
            self.retire();
            // If it fails, the next transition tries it again and reports it.
            let _ = self.start_segment(state, None);
        }
    }

    /// Gives back the space that the current segment has set aside: nothing more is expected in it.
    pub(super) fn give_back_space(&mut self) {
        if let Some(current) = &mut self.current {
            current.file.give_back();
            current.reserved_to = current.size;
        }
    }

    /// Makes sure that the result of a phase could be written down. `state` is the state as it is.
    ///
    /// # Errors
    /// What the system said: the phase must not start.
    pub(super) fn reserve(&mut self, state: &State) -> io::Result<()> {
        if self.current.is_none() {
            self.start_segment(state, None)?;
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if current.size + RESULT_SPACE <= current.reserved_to {
            return Ok(());
        }
        match current
            .file
            .reserve(RESERVE_STEP)
            .or_else(|_| current.file.reserve(RESULT_SPACE))
        {
            Ok(()) => {
                current.reserved_to = current.size + RESERVE_STEP;
                Ok(())
            }
            Err(_) if self.disk.mark(&self.directory.join(BALLAST)).is_ok() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn replace_failed(
        &mut self,
        error: io::Error,
        at: u64,
        state: &State,
        lines: Option<&dyn Fn(u32) -> String>,
    ) -> io::Result<()> {
        self.retire();
        self.start_segment_at(at, state, lines)?;
        self.notes.push(format!(
            "a write to the journal failed ({error}); everything was written anew to another file, nothing is lost"
        ));
        Ok(())
    }

    fn start_segment(&mut self, state: &State, lines: Option<&dyn Fn(u32) -> String>) -> io::Result<()> {
        self.start_segment_at(self.seq, state, lines)
    }

    /// Begins a segment with the state after a transition, and perhaps the lines of those that come next.
    fn start_segment_at(&mut self, at: u64, state: &State, lines: Option<&dyn Fn(u32) -> String>) -> io::Result<()> {
        if let Err(error) = self.try_segment(at, state, lines) {
            if self.disk.remove(&self.directory.join(BALLAST)).is_err() {
                return Err(error);
            }
            self.try_segment(at, state, lines)?;
        }
        self.settle_others();
        Ok(())
    }

    fn try_segment(&mut self, at: u64, state: &State, lines: Option<&dyn Fn(u32) -> String>) -> io::Result<()> {
        let nonce = self.disk.nonce();
        let name = segment_name(at, nonce);
        let path = self.directory.join(&name);
        let seen: Vec<Seen> = self.others.iter().map(|other| other.seen.clone()).collect();
        let snapshot = beginning(nonce, at, &seen, state);
        let snapshot_size = snapshot.len() as u64;
        let text = match lines {
            Some(lines) => snapshot + lines(nonce).as_str(),
            None => snapshot,
        };
        let mut file = self.disk.create(&path, None)?;
        let size = text.len() as u64;
        let written = file
            .reserve(size + RESERVE_STEP)
            .or_else(|_| file.reserve(size + RESULT_SPACE))
            .and_then(|()| file.append(text.as_bytes()))
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.sync_directory(&self.directory))
            .and_then(|()| self.disk.mark(&path));
        let inode = match written {
            Ok(mark) => mark.inode,
            Err(error) => {
                // What was written may yet reach the disk, so the next segment names it, removed or not.
                let moved = self.disk.remove(&path).is_ok();
                self.others.push(Other {
                    seen: Seen { name, seq: self.seq },
                    size: None,
                    lives: true,
                    moved,
                });
                return Err(error);
            }
        };
        self.others.retain(|other| !other.moved);
        self.current = Some(Current {
            name,
            nonce,
            file,
            inode,
            unsynced: false,
            size,
            reserved_to: size + RESERVE_STEP,
            snapshot_size,
        });
        Ok(())
    }

    /// Lets go of the current segment: nothing is appended to it any more.
    fn retire(&mut self) {
        if let Some(current) = self.current.take() {
            self.others.push(Other {
                seen: Seen {
                    name: current.name,
                    seq: self.seq,
                },
                size: None,
                lives: true,
                moved: false,
            });
        }
    }

    /// Moves superseded segments to the history and removes those that never lived. One that grew after it was read
    /// stays: another host writes to it.
    fn settle_others(&mut self) {
        for other in self.others.iter_mut().filter(|other| !other.moved) {
            let path = self.directory.join(&other.seen.name);
            let place = self.directory.join(HISTORY).join(&other.seen.name);
            if self.disk.rename(&path, &place).is_err() {
                continue;
            }
            // Looked at after it was moved: its writer looks for the name after it has written.
            let size = self.disk.mark(&place).map(|mark| mark.size);
            other.moved = match (other.size, size) {
                (Some(read), Ok(now)) if now != read => self.disk.rename(&place, &path).is_err(),
                _ => true,
            };
            if other.moved && !other.lives {
                // It stays in the history then, where nobody minds it.
                let _ = self.disk.remove(&place);
            }
        }
    }

    /// Whether our segment is where we made it.
    fn is_in_place(&self) -> bool {
        let Some(current) = &self.current else { return false };
        match self.disk.mark(&self.directory.join(&current.name)) {
            Ok(mark) => mark.inode == current.inode,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn fill_ballast(&self) {
        let path = self.directory.join(BALLAST);
        if self.disk.mark(&path).is_ok() {
            return;
        }
        let Ok(mut file) = self.disk.create(&path, None) else {
            return;
        };
        // Not zeros: a file system that compresses would set nothing aside.
        let mut seed = 0x9e37_79b9_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed.to_le_bytes()[0]
        })
        .take(BALLAST_SIZE)
        .collect();
        if file.append(&noise).is_err() {
            let _ = self.disk.remove(&path);
        }
    }
}

impl Current {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsynced = true;
        self.size += bytes.len() as u64;
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.unsynced = false;
        Ok(())
    }
}

/// The lines of transitions that come after `at`.
fn lines(nonce: u32, at: u64, entries: &[Entry<'_>]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(0);
    let mut lines = Lines::new(nonce);
    for (seq, entry) in (at + 1..).zip(entries) {
        lines.begin(seq, now, entry.verb);
        for change in entry.changes {
            lines.change(change);
        }
        lines.end();
    }
    lines.into_text()
}
