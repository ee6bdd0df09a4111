//! One file of the journal: a header, the whole state as it was when the file began, and the transitions since.
//!
//! A segment lives once its snapshot is whole; its header names every segment that was there and how far it was read,
//! so that the next reader knows which one goes on from which. Nobody appends to a segment but the process that made
//! it, and nobody at all once an operation on it has failed.

use std::ops::Range;

use crc32c::crc32c_append;

use super::model::State;
use super::record::{Item, Lines, Record, read_line};
use super::snapshot::{self, Snapshot, line_length};

/// The version of the journal's format that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
const MAGIC: &str = "#jumar-journal ";

/// Another segment, and the last of its transitions that was known to whoever named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) seq: u64,
}

/// A segment as it was read.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) seen: Vec<Seen>,
    /// The transition that the snapshot includes as the last.
    pub(super) at: u64,
    /// Whether the snapshot is whole. If not, the segment was never begun, or is damaged.
    pub(super) lives: bool,
    snapshot: State,
    /// The transitions since, in order, up to the first line that is none.
    pub(super) records: Vec<Record>,
    /// Transitions that stand behind a damaged place.
    pub(super) behind_damage: Vec<Record>,
    /// Where the damage is, in bytes, if there is any. A torn end is none.
    pub(super) damage: Option<Range<usize>>,
    /// How many bytes stand behind the last whole line: a host was writing them when it ended.
    pub(super) torn: usize,
}

/// Why a file cannot be read as a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSegment {
    /// It has no whole header: it never lived.
    NoHeader,
    /// A newer program wrote it; with its version.
    Newer(u32),
}

impl Segment {
    /// Reads the content of a segment. The state keeps of it what it needs: nothing of the snapshot is copied.
    pub(super) fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, NoSegment> {
        let bytes = bytes.into();
        let header = line_length(&bytes);
        let (nonce, mut segment) = read_header(&bytes[..header])?;
        let snapshot = Snapshot::read(nonce, segment.at, &bytes, header);
        let mut at = snapshot.end;
        let mut last = segment.at;
        while snapshot.is_whole && at < bytes.len() {
            let line = &bytes[at..at + line_length(&bytes[at..])];
            let Some(record) = read_line(nonce, line).filter(|record| record.seq > last) else {
                break;
            };
            last = record.seq;
            segment.records.push(record);
            at += line.len();
        }
        segment.look_behind(nonce, &bytes, at, last);
        if let Some(state) = snapshot.into_state(bytes) {
            (segment.snapshot, segment.lives) = (state, true);
        }
        Ok(segment)
    }

    /// The transition that is the last in it.
    pub(super) fn last_seq(&self) -> u64 {
        self.records.last().map_or(self.at, |record| record.seq)
    }

    /// The state at its end.
    pub(super) fn into_state(self) -> State {
        let mut state = self.snapshot;
        apply(&mut state, self.records);
        state
    }

    /// The state after a transition, when the segment knows it.
    pub(super) fn state_at(self, seq: u64) -> Option<State> {
        if seq < self.at || seq > self.last_seq() {
            return None;
        }
        let mut state = self.snapshot;
        apply(
            &mut state,
            self.records.into_iter().take_while(|record| record.seq <= seq),
        );
        Some(state)
    }

    /// What follows the first line that is none: nothing that can be read means a torn end, else it is damage.
    fn look_behind(&mut self, nonce: u32, bytes: &[u8], damaged_at: usize, mut last: u64) {
        let (mut at, mut end) = (damaged_at, damaged_at);
        let mut first_whole = None;
        while at < bytes.len() {
            let line = &bytes[at..at + line_length(&bytes[at..])];
            if let Some(record) = read_line(nonce, line).filter(|record| record.seq > last) {
                first_whole.get_or_insert(at);
                last = record.seq;
                self.behind_damage.push(record);
                end = at + line.len();
            }
            at += line.len();
        }
        self.torn = bytes.len() - end;
        self.damage = first_whole.map(|end| damaged_at..end);
    }
}

/// The text that a new segment begins with.
pub(super) fn beginning(nonce: u32, at: u64, seen: &[Seen], state: &State) -> String {
    let seen: Vec<String> = seen.iter().map(|seen| format!("{}@{}", seen.name, seen.seq)).collect();
    let header = format!("{MAGIC}{VERSION} nonce={nonce:08x} at={at} seen={}", seen.join(","));
    let mut lines = Lines::new(nonce);
    snapshot::write(&mut lines, at, state);
    let sum = crc32c_append(nonce, header.as_bytes());
    format!("{header} crc={sum:08x}\n{}", lines.into_text())
}

fn read_header(line: &[u8]) -> Result<(u32, Segment), NoSegment> {
    let text = std::str::from_utf8(line).map_err(|_| NoSegment::NoHeader)?;
    let rest = text.strip_prefix(MAGIC).ok_or(NoSegment::NoHeader)?;
    let version = rest.split(' ').next().and_then(|version| version.parse().ok());
    match version {
        Some(newer) if newer > VERSION && text.ends_with('\n') => return Err(NoSegment::Newer(newer)),
        Some(VERSION) => {}
        _ => return Err(NoSegment::NoHeader),
    }
    checked_header(text).ok_or(NoSegment::NoHeader)
}

fn checked_header(text: &str) -> Option<(u32, Segment)> {
    let (covered, sum) = text.strip_suffix('\n')?.rsplit_once(" crc=")?;
    let field = |name: &str| {
        let mut fields = covered.split(' ');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let nonce = u32::from_str_radix(field("nonce")?, 16).ok()?;
    if u32::from_str_radix(sum, 16).ok()? != crc32c_append(nonce, covered.as_bytes()) {
        return None;
    }
    let seen = field("seen")?.split(',').filter(|part| !part.is_empty()).map(|part| {
        let (name, seq) = part.rsplit_once('@')?;
        let (name, seq) = (name.to_owned(), seq.parse().ok()?);
        Some(Seen { name, seq })
    });
    let segment = Segment {
        seen: seen.collect::<Option<_>>()?,
        at: field("at")?.parse().ok()?,
        ..Segment::default()
    };
    Some((nonce, segment))
}

fn apply(state: &mut State, records: impl IntoIterator<Item = Record>) {
    for item in records.into_iter().flat_map(|record| record.items) {
        match item {
            Item::Change(change) => state.apply(&change),
            Item::Section(name) => {
                state.open_section(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: u32 = 0xd7b3_69bd;

    fn state(phases: usize) -> State {
        let mut state = State::default();
        state.open_section("empty");
        state.set("metadata", "version", "3.2.0");
        for phase in 0..phases {
            state.set("phases", &format!("p{phase}"), "pending");
        }
        state
    }

    /// A segment that begins at 41 and holds the completions of three phases.
    fn segment() -> String {
        let seen = [Seen {
            name: "j-1".into(),
            seq: 41,
        }];
        let mut text = beginning(NONCE, 41, &seen, &state(100));
        for phase in 0..3 {
            text.push_str(&completion(42 + phase));
        }
        text
    }

    fn completion(seq: u64) -> String {
        let mut lines = Lines::new(NONCE);
        lines.begin(seq, 7, "completed");
        lines.set("phases", &format!("p{}", seq - 42), "completed");
        lines.end();
        lines.into_text()
    }

    fn completed(state: &State) -> usize {
        state.section("phases").filter(|(_, word)| *word == "completed").count()
    }

    #[test]
    fn a_segment_reads_back_as_state_and_transitions() {
        let read = || Segment::parse(segment().as_bytes()).unwrap();
        let whole = read();
        assert!(whole.lives);
        assert_eq!((whole.at, whole.last_seq(), whole.damage.clone()), (41, 44, None));
        assert_eq!(
            whole.seen,
            [Seen {
                name: "j-1".into(),
                seq: 41
            }]
        );
        assert_eq!(whole.snapshot, state(100));
        assert!(whole.snapshot.has_section("empty"));
        assert_eq!(completed(&whole.into_state()), 3);
        assert_eq!(read().state_at(41), Some(state(100)));
        assert_eq!(read().state_at(43).map(|state| completed(&state)), Some(2));
        assert_eq!(read().state_at(40), None);
        assert_eq!(read().state_at(45), None);
    }

    #[test]
    fn a_segment_of_a_newer_program_is_told_apart_from_garbage() {
        let newer = segment().replacen("#jumar-journal 1 ", "#jumar-journal 2 ", 1);
        assert_eq!(Segment::parse(newer.as_bytes()).unwrap_err(), NoSegment::Newer(2));
        for garbage in [
            "",
            "#jumar-journal",
            "#jumar-journal 1 nonce=1\n",
            "hello\n",
            "\0\0\0\0",
        ] {
            assert_eq!(Segment::parse(garbage.as_bytes()).unwrap_err(), NoSegment::NoHeader);
        }
        let wrong = segment().replacen("at=41", "at=42", 1);
        assert_eq!(Segment::parse(wrong.as_bytes()).unwrap_err(), NoSegment::NoHeader);
    }

    #[test]
    fn a_torn_end_is_no_damage_be_it_short_zeros_or_garbage() {
        for end in ["525ae87a 45 1 comple", "\0\0\0\0\0\0", "garbage\n", "\0\0\n\0\n"] {
            let segment = Segment::parse(format!("{}{end}", segment()).as_bytes()).unwrap();
            assert_eq!((segment.last_seq(), segment.damage.clone()), (44, None), "{end:?}");
            assert!(segment.behind_damage.is_empty());
        }
    }

    #[test]
    fn what_stands_behind_a_damaged_place_is_found() {
        let text = segment();
        let damaged = text.find(" 43 7 completed").unwrap() + 5;
        let mut bytes = text.into_bytes();
        bytes[damaged] = 0;
        let segment = Segment::parse(bytes.as_slice()).unwrap();
        assert_eq!(segment.last_seq(), 42);
        assert_eq!(segment.behind_damage.len(), 1);
        assert_eq!(segment.behind_damage[0].seq, 44);
        assert!(segment.damage.unwrap().contains(&damaged));
    }

    #[test]
    fn a_damaged_snapshot_does_not_hide_the_transitions_behind_it() {
        let text = segment();
        let damaged = text.find("[phases]p50=").unwrap();
        let mut bytes = text.into_bytes();
        bytes[damaged] = b'x';
        let segment = Segment::parse(bytes.as_slice()).unwrap();
        assert!(!segment.lives);
        assert_eq!(
            segment.behind_damage.iter().filter(|record| record.completes()).count(),
            3
        );
    }

    #[test]
    fn a_transition_that_comes_out_of_order_ends_the_segment() {
        let text = segment() + completion(44).as_str() + completion(46).as_str();
        let segment = Segment::parse(text.as_bytes()).unwrap();
        assert_eq!(segment.last_seq(), 44);
        assert_eq!(segment.behind_damage.len(), 1);
    }

    proptest! {
        #[test]
        fn every_prefix_holds_a_prefix_of_the_transitions(cut in any::<prop::sample::Index>()) {
            let text = segment();
            let cut = cut.index(text.len());
            match Segment::parse(&text.as_bytes()[..cut]) {
                Err(error) => prop_assert_eq!(error, NoSegment::NoHeader),
                Ok(segment) => {
                    prop_assert_eq!(segment.damage.clone(), None);
                    prop_assert!(segment.lives || segment.records.is_empty());
                    let whole = text[..cut].matches(" 7 completed").count();
                    let count = segment.records.len();
                    prop_assert!(count == whole || count + 1 == whole, "{} of {}", count, whole);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Segment::parse(bytes.as_slice());
            let mut text = segment().into_bytes();
            text.extend(bytes);
            let _ = Segment::parse(text);
        }
    }
}
