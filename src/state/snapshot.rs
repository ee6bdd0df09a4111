//! The whole state, as a segment begins with it: lines with some of the keys each, and one that says how many there are.
//!
//! Reading it is most of what it takes to open a large run, and its lines do not depend on each other: they are taken
//! apart on all processors, and put together in order.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Builder, Scope};

use super::model::State;
use super::record::{Checked, Lines, Part, Run, check_line};

const VERB: &str = "snap";
const VERB_OF_THE_END: &str = "snapend";
/// How many keys stand on a line.
const KEYS_A_LINE: usize = 64;
/// How much is taken apart at a time, in bytes. Tests have short snapshots.
const PIECE: usize = if cfg!(test) { 2000 } else { 1 << 20 };
/// How many pieces a processor may be ahead of where they are put together.
const AHEAD: usize = 1;

/// A snapshot as far as it could be read. Of one that is not whole nothing counts.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    sections: Sections,
    /// Where it ends, in bytes of the segment: behind its whole lines, before the first that belongs to no snapshot.
    pub(super) end: usize,
    pub(super) is_whole: bool,
}

/// Which lines belong to each section, in order; a name may come more than once.
type Sections = Vec<(String, Vec<Items>)>;

/// Items of a line, which set keys of one section.
#[derive(Debug)]
struct Items {
    /// Where they are, in bytes of the segment.
    place: Range<usize>,
    keys: usize,
}

/// Adds a snapshot of the state after the transition `at` to the lines.
pub(super) fn write(lines: &mut Lines, at: u64, state: &State) {
    let mut keys = 0;
    for section in state.sections() {
        let mut entries = state.section(section).peekable();
        if entries.peek().is_none() {
            lines.begin(at, 0, VERB);
            lines.section(section);
            lines.end();
        }
        while entries.peek().is_some() {
            lines.begin(at, 0, VERB);
            for (key, value) in entries.by_ref().take(KEYS_A_LINE) {
                lines.set(section, key, value);
                keys += 1;
            }
            lines.end();
        }
    }
    lines.begin(at, 0, VERB_OF_THE_END);
    lines.set("", "n", &keys.to_string());
    lines.end();
}

/// The length of the first line, its end included; the rest when it has no end.
pub(super) fn line_length(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1)
}

impl Snapshot {
    /// Reads the snapshot of the state after the transition `at` that begins at a byte of a segment.
    pub(super) fn read(nonce: u32, at: u64, segment: &[u8], start: usize) -> Snapshot {
        let pieces = pieces(&segment[start..]);
        let reader = Reader { nonce, at, segment };
        if pieces.len() < 2 {
            return reader.put_together(start, pieces.iter().map(|piece| reader.take_apart(piece)));
        }
        thread::scope(|scope| {
            let helpers = thread::available_parallelism().map_or(1, usize::from);
            let helpers: Vec<_> = (0..helpers)
                .map(|first| {
                    let share = pieces.iter().skip(first).step_by(helpers).copied();
                    reader.help(scope, share)
                })
                .collect();
            let in_order = pieces.iter().enumerate().map(|(index, piece)| {
                let helped = helpers[index % helpers.len()]
                    .as_ref()
                    .and_then(|parts| parts.recv().ok());
                helped.unwrap_or_else(|| reader.take_apart(piece))
            });
            reader.put_together(start, in_order)
        })
    }

    /// The state, when it is whole. `segment` is what it was read from.
    pub(super) fn into_state(self, mut segment: Vec<u8>) -> Option<State> {
        if !self.is_whole {
            return None;
        }
        segment.truncate(self.end);
        segment.shrink_to_fit();
        let read = Arc::new(String::from_utf8(segment).ok()?);
        let mut state = State::default();
        for (section, lines) in self.sections {
            let keys = state.open_read_section(&section, &read);
            lines
                .into_iter()
                .for_each(|line| keys.append_read(line.place, line.keys));
        }
        Some(state)
    }
}

/// Divides bytes between lines.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let least = rest.len().min(PIECE) - 1;
        let (piece, others) = rest.split_at(least + line_length(&rest[least..]));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Lines of a snapshot, taken apart.
#[derive(Default)]
struct Parts {
    sections: Sections,
    /// How many bytes the lines are.
    length: usize,
    /// Whether that is all there was.
    is_all: bool,
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    nonce: u32,
    at: u64,
    segment: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A thread that takes the pieces of its share apart, one after the other; `None` when the system gives none. It ends when
    /// nobody wants more of them.
    fn help<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        share: impl Iterator<Item = &'a [u8]> + Send + 'scope,
    ) -> Option<Receiver<Parts>>
    where
        'a: 'scope,
    {
        let (sender, parts) = sync_channel(AHEAD);
        let work = move || {
            for piece in share {
                if sender.send(self.take_apart(piece)).is_err() {
                    return;
                }
            }
        };
        Builder::new().spawn_scoped(scope, work).ok().map(|_| parts)
    }

    /// A line that is whole and was written for this snapshot.
    fn line(self, bytes: &'a [u8]) -> Option<Checked<'a>> {
        check_line(self.nonce, bytes).filter(|line| line.seq == self.at)
    }

    fn take_apart(self, piece: &'a [u8]) -> Parts {
        let mut parts = Parts::default();
        while parts.length < piece.len() {
            let rest = &piece[parts.length..];
            let bytes = &rest[..line_length(rest)];
            let line = self.line(bytes).filter(|line| line.verb == VERB);
            if line.and_then(|line| self.take(line, &mut parts.sections)).is_none() {
                return parts;
            }
            parts.length += bytes.len();
        }
        parts.is_all = true;
        parts
    }

    /// Takes a line in; `None` when something in it is no key with a value and no section.
    fn take(self, line: Checked<'a>, sections: &mut Sections) -> Option<()> {
        for run in line.runs() {
            let Run { section, items, keys } = run?;
            if sections.last().is_none_or(|(last, _)| *last != section) {
                sections.push((section.into_owned(), Vec::new()));
            }
            if keys > 0 {
                let start = items.as_ptr().addr().checked_sub(self.segment.as_ptr().addr())?;
                let place = start..start + items.len();
                sections.last_mut()?.1.push(Items { place, keys });
            }
        }
        Some(())
    }

    fn put_together(self, start: usize, pieces: impl Iterator<Item = Parts>) -> Snapshot {
        let mut snapshot = Snapshot {
            end: start,
            ..Snapshot::default()
        };
        let mut count = 0;
        for parts in pieces {
            let lines = parts.sections.iter().flat_map(|(_, lines)| lines);
            count += lines.map(|line| line.keys).sum::<usize>();
            snapshot.sections.extend(parts.sections);
            snapshot.end += parts.length;
            if !parts.is_all {
                let rest = &self.segment[snapshot.end..];
                let end = &rest[..line_length(rest)];
                if self.line(end).is_some_and(|line| says_that_it_was_all(line, count)) {
                    snapshot.end += end.len();
                    snapshot.is_whole = true;
                }
                break;
            }
        }
        snapshot
    }
}

/// Whether the line is the end of a snapshot with so many keys.
fn says_that_it_was_all(line: Checked<'_>, count: usize) -> bool {
    let count = count.to_string();
    let says = |part: Part<'_>| part.key.as_deref() == Some("n") && part.value.as_deref() == Some(count.as_str());
    line.verb == VERB_OF_THE_END && line.parts().flatten().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: u32 = 0xd7b3_69bd;

    fn state(phases: usize) -> State {
        let mut state = State::default();
        state.open_section("empty");
        for phase in 0..phases {
            let name = format!("p{phase}");
            state.set("phases", &name, "pending");
            state.set(if phase % 3 == 0 { "" } else { "odd = names\t[" }, &name, "\\\n");
        }
        state
    }

    fn text(state: &State) -> String {
        let mut lines = Lines::new(NONCE);
        write(&mut lines, 41, state);
        lines.into_text()
    }

    #[test]
    fn a_snapshot_of_any_number_of_pieces_reads_back_as_the_state_in_its_order() {
        for phases in (0..400).step_by(7) {
            let state = state(phases);
            let text = text(&state);
            for behind in ["", "d5bf15ca 42 7 started\n", "snapend", "\0\0\0"] {
                let bytes = [text.as_bytes(), behind.as_bytes()].concat();
                let read = Snapshot::read(NONCE, 41, &bytes, 0);
                assert!(read.is_whole && read.end == text.len(), "{phases} {behind}");
                let read = read.into_state(bytes).unwrap();
                assert_eq!(read, state);
                let order = |state: &State| -> Vec<String> {
                    let keys = |name: &str| state.section(name).map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
                    state
                        .sections()
                        .flat_map(|name| [vec![name.to_owned()], keys(name)].concat())
                        .collect()
                };
                assert_eq!(order(&read), order(&state));
            }
        }
        assert!(pieces(text(&state(400)).as_bytes()).len() > 5);
    }

    #[test]
    fn one_that_was_cut_or_lacks_a_line_or_is_another_ones_is_not_whole() {
        let text = text(&state(150));
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert!(lines.len() > 5);
        for cut in (0..text.len()).step_by(101).chain([text.len() - 1]) {
            let read = Snapshot::read(NONCE, 41, &text.as_bytes()[..cut], 0);
            let whole_lines = text[..cut].rfind('\n').map_or(0, |end| end + 1);
            assert!(!read.is_whole && read.end == whole_lines, "{cut}: {}", read.end);
        }
        for missing in 0..lines.len() {
            let rest: String = lines
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != missing)
                .map(|(_, line)| *line)
                .collect();
            let read = Snapshot::read(NONCE, 41, rest.as_bytes(), 0);
            // A section without keys is missed by nobody.
            assert_eq!(read.is_whole, lines[missing].contains("[empty]"), "{missing}");
        }
        assert!(!Snapshot::read(NONCE, 42, text.as_bytes(), 0).is_whole);
        assert!(!Snapshot::read(NONCE + 1, 41, text.as_bytes(), 0).is_whole);
    }
}
