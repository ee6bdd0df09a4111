//! The whole state, as a segment begins with it: lines with some of the keys each, and one that says how many there are.
//!
//! Reading it is most of what it takes to open a large run, and its lines do not depend on each other: they are taken
//! apart on all processors, and put together in order.

use std::borrow::Cow;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Builder, Scope};

use super::model::State;
use super::record::{Checked, Lines, Part, check_line};

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
    pub(super) state: State,
    /// How many bytes were read: whole lines, up to the first that belongs to no snapshot.
    pub(super) length: usize,
    pub(super) is_whole: bool,
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
    /// Reads the snapshot of the state after the transition `at` that the bytes begin with.
    pub(super) fn read(nonce: u32, at: u64, bytes: &[u8]) -> Snapshot {
        let pieces = pieces(bytes);
        let reader = Reader { nonce, at };
        if pieces.len() < 2 {
            return reader.put_together(bytes, pieces.iter().map(|piece| reader.take_apart(piece)));
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
            reader.put_together(bytes, in_order)
        })
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

/// Keys with their values.
type Entries = Vec<(String, String)>;

/// Lines of a snapshot, taken apart.
#[derive(Default)]
struct Parts<'a> {
    /// What stands in each section, in order.
    sections: Vec<(Cow<'a, str>, Entries)>,
    /// How many bytes the lines are.
    length: usize,
    /// Whether that is all there was.
    is_all: bool,
}

#[derive(Clone, Copy)]
struct Reader {
    nonce: u32,
    at: u64,
}

impl Reader {
    /// A thread that takes the pieces of its share apart, one after the other; `None` when the system gives none. It ends when
    /// nobody wants more of them.
    fn help<'scope, 'a: 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        share: impl Iterator<Item = &'a [u8]> + Send + 'scope,
    ) -> Option<Receiver<Parts<'a>>> {
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
    fn line(self, bytes: &[u8]) -> Option<Checked<'_>> {
        check_line(self.nonce, bytes).filter(|line| line.seq == self.at)
    }

    fn take_apart(self, piece: &[u8]) -> Parts<'_> {
        let mut parts = Parts::default();
        while parts.length < piece.len() {
            let rest = &piece[parts.length..];
            let bytes = &rest[..line_length(rest)];
            let line = self.line(bytes).filter(|line| line.verb == VERB);
            if line.and_then(|line| parts.take(line)).is_none() {
                return parts;
            }
            parts.length += bytes.len();
        }
        parts.is_all = true;
        parts
    }

    fn put_together<'a>(self, bytes: &[u8], pieces: impl Iterator<Item = Parts<'a>>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut count = 0;
        for parts in pieces {
            for (section, entries) in parts.sections {
                count += entries.len();
                snapshot.state.open_section(&section).extend(entries);
            }
            snapshot.length += parts.length;
            if !parts.is_all {
                let rest = &bytes[snapshot.length..];
                let end = &rest[..line_length(rest)];
                if self.line(end).is_some_and(|line| says_that_it_was_all(line, count)) {
                    snapshot.length += end.len();
                    snapshot.is_whole = true;
                }
                break;
            }
        }
        snapshot
    }
}

impl<'a> Parts<'a> {
    /// Takes a line in; `None` when something in it is no key with a value and no section.
    fn take(&mut self, line: Checked<'a>) -> Option<()> {
        for part in line.parts() {
            let Part { section, key, value } = part?;
            if self.sections.last().is_none_or(|(last, _)| *last != section) {
                self.sections.push((section, Vec::with_capacity(KEYS_A_LINE)));
            }
            if let Some(key) = key {
                let (_, entries) = self.sections.last_mut()?;
                entries.push((key.into_owned(), value?.into_owned()));
            }
        }
        Some(())
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
            state.open_section("phases").insert(name.clone(), "pending".into());
            state
                .open_section(if phase % 3 == 0 { "" } else { "odd = names\t[" })
                .insert(name, "\\\n".into());
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
                let read = Snapshot::read(NONCE, 41, &bytes);
                assert!(read.is_whole && read.length == text.len(), "{phases} {behind}");
                assert_eq!(read.state, state);
                let order = |state: &State| -> Vec<String> {
                    let keys = |name: &str| state.section(name).map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
                    state
                        .sections()
                        .flat_map(|name| [vec![name.to_owned()], keys(name)].concat())
                        .collect()
                };
                assert_eq!(order(&read.state), order(&state));
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
            let read = Snapshot::read(NONCE, 41, &text.as_bytes()[..cut]);
            let whole_lines = text[..cut].rfind('\n').map_or(0, |end| end + 1);
            assert!(!read.is_whole && read.length == whole_lines, "{cut}: {}", read.length);
        }
        for missing in 0..lines.len() {
            let rest: String = lines
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != missing)
                .map(|(_, line)| *line)
                .collect();
            let read = Snapshot::read(NONCE, 41, rest.as_bytes());
            // A section without keys is missed by nobody.
            assert_eq!(read.is_whole, lines[missing].contains("[empty]"), "{missing}");
        }
        assert!(!Snapshot::read(NONCE, 42, text.as_bytes()).is_whole);
        assert!(!Snapshot::read(NONCE + 1, 41, text.as_bytes()).is_whole);
    }
}
