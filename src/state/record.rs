//! One line of the journal: a transition, whole or not at all.
//!
//! `crc seq unix_ms verb TAB item TAB item …`. An item is `[section]key=value`, `-[section]key` for a key that goes,
//! or `[section]` for a section without keys. Backslash, tab, line feed and carriage return are written `\\`, `\t`,
//! `\n` and `\r`, so that a transition is one line and `grep '\[phases\]train='` finds its way. The checksum (CRC-32C, RFC 3720 section 12.1) covers the
//! line behind it and is seeded with the segment's nonce: a stale block of another file is never taken for a line.

use std::borrow::Cow;

use crc32c::crc32c_append;
use memchr::memchr;

use super::event::Change;

/// A transition that stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its place in the order of all transitions of the run, from 1.
    pub(super) seq: u64,
    /// When it was written, in milliseconds since 1970. Information only: nothing is ordered by it.
    pub(super) at_ms: u64,
    pub(super) verb: String,
    pub(super) items: Vec<Item>,
}

/// One part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Change(Change),
    /// A section that has no keys; only snapshots have these.
    Section(String),
}

impl Record {
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.items.iter().filter_map(|item| match item {
            Item::Change(change) => Some(change),
            Item::Section(_) => None,
        })
    }

    /// Whether it says of some phase that it is completed.
    pub(super) fn completes(&self) -> bool {
        self.changes().any(Change::completes)
    }
}

/// Builds lines in one buffer.
#[derive(Debug)]
pub(super) struct Lines {
    nonce: u32,
    text: String,
    start: usize,
}

/// What stands before the checksummed part: eight digits and a blank.
const CHECKSUM_WIDTH: usize = 9;

impl Lines {
    pub(super) fn new(nonce: u32) -> Self {
        let (text, start) = (String::new(), 0);
        Lines { nonce, text, start }
    }

    pub(super) fn begin(&mut self, seq: u64, at_ms: u64, verb: &str) {
        self.start = self.text.len();
        self.text.push_str(&format!("00000000 {seq} {at_ms} "));
        escape(verb, &mut self.text);
    }

    pub(super) fn set(&mut self, section: &str, key: &str, value: &str) {
        self.text.push_str("\t[");
        escape(section, &mut self.text);
        self.text.push(']');
        escape(key, &mut self.text);
        self.text.push('=');
        escape(value, &mut self.text);
    }

    pub(super) fn change(&mut self, change: &Change) {
        if let Some(value) = &change.value {
            return self.set(&change.section, &change.key, value);
        }
        self.text.push_str("\t-[");
        escape(&change.section, &mut self.text);
        self.text.push(']');
        escape(&change.key, &mut self.text);
    }

    pub(super) fn section(&mut self, name: &str) {
        self.text.push_str("\t[");
        escape(name, &mut self.text);
        self.text.push(']');
    }

    pub(super) fn end(&mut self) {
        let sum = crc32c_append(self.nonce, &self.text.as_bytes()[self.start + CHECKSUM_WIDTH..]);
        let digits = self.start..self.start + CHECKSUM_WIDTH - 1;
        self.text.replace_range(digits, &format!("{sum:08x}"));
        self.text.push('\n');
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A line whose checksum is right, and whose items have not been looked at.
pub(super) struct Checked<'a> {
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) verb: Cow<'a, str>,
    /// The items, between tabs.
    items: Option<&'a str>,
}

/// An item as it stands in its line: a section, perhaps a key in it, and its value if it has one.
pub(super) struct Part<'a> {
    pub(super) section: Cow<'a, str>,
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) value: Option<Cow<'a, str>>,
}

/// Items of one section that follow each other in a line, and set its keys: not yet taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) section: Cow<'a, str>,
    /// As they stand in the line. For [`entries`].
    pub(super) items: &'a str,
    /// How many keys they set; none for a section without keys.
    pub(super) keys: usize,
}

impl<'a> Checked<'a> {
    /// Its items; `None` in the place of one that is none.
    pub(super) fn parts(self) -> impl Iterator<Item = Option<Part<'a>>> {
        let is_escaped = self.items.is_some_and(has_escapes);
        self.items
            .into_iter()
            .flat_map(split)
            .map(move |item| read_part(item, is_escaped))
    }

    /// Its items, in runs; `None` in the place of what is no item that sets a key, or names a section.
    pub(super) fn runs(self) -> impl Iterator<Item = Option<Run<'a>>> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (run, others) = match first_run(rest?) {
                Some((run, others)) => (Some(run), others),
                None => (None, None),
            };
            rest = others;
            Some(run)
        })
    }
}

/// The keys and values in a run's items.
pub(super) fn entries(items: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_escaped = has_escapes(items);
    let key = behind_section(items).unwrap_or_default();
    split(items).filter_map(move |item| {
        let entry = item.get(key..)?;
        let equals = memchr(b'=', entry.as_bytes())?;
        Some((
            plain(&entry[..equals], is_escaped),
            plain(&entry[equals + 1..], is_escaped),
        ))
    })
}

fn has_escapes(text: &str) -> bool {
    memchr(b'\\', text.as_bytes()).is_some()
}

/// What stands between tabs.
fn split(items: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(items);
    std::iter::from_fn(move || {
        let items = rest?;
        let (item, others) = match memchr(b'\t', items.as_bytes()) {
            Some(tab) => (&items[..tab], Some(&items[tab + 1..])),
            None => (items, None),
        };
        rest = others;
        Some(item)
    })
}

/// Where an item's key begins, in bytes.
fn behind_section(item: &str) -> Option<usize> {
    let end = memchr(b']', item.as_bytes())?;
    item.starts_with('[').then_some(end + 1)
}

fn first_run(items: &str) -> Option<(Run<'_>, Option<&str>)> {
    let key = behind_section(items)?;
    let head = &items[..key];
    let section = plain(&head[1..key - 1], has_escapes(head));
    let (mut keys, mut length) = (0, 0);
    for item in split(items) {
        let entry = match item.strip_prefix(head) {
            Some(entry) if !(keys > 0 && entry.is_empty()) => entry,
            _ => break,
        };
        if length > 0 {
            length += 1;
        }
        length += item.len();
        if entry.is_empty() {
            break;
        }
        memchr(b'=', entry.as_bytes())?;
        keys += 1;
    }
    let others = items.get(length + 1..);
    let items = &items[..length];
    Some((Run { section, items, keys }, others))
}

/// Reads one line, its line end included; `None` when it is not whole or its checksum is wrong.
pub(super) fn read_line(nonce: u32, line: &[u8]) -> Option<Record> {
    let checked = check_line(nonce, line)?;
    let (seq, at_ms, verb) = (checked.seq, checked.at_ms, checked.verb.to_string());
    let item = |part: Option<Part<'_>>| {
        let Part { section, key, value } = part?;
        let section = section.into_owned();
        Some(match key {
            None => Item::Section(section),
            Some(key) => Item::Change(Change {
                section,
                key: key.into_owned(),
                value: value.map(Cow::into_owned),
            }),
        })
    };
    let items = checked.parts().map(item).collect::<Option<_>>()?;
    Some(Record {
        seq,
        at_ms,
        verb,
        items,
    })
}

/// Reads the beginning of a line, its line end included; `None` when it is not whole or its checksum is wrong.
pub(super) fn check_line(nonce: u32, line: &[u8]) -> Option<Checked<'_>> {
    let body = line.strip_suffix(b"\n")?;
    let (sum, rest) = body.split_at_checked(CHECKSUM_WIDTH)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    if u32::from_str_radix(sum, 16).ok()? != crc32c_append(nonce, rest) {
        return None;
    }
    let text = std::str::from_utf8(rest).ok()?;
    let (head, items) = match text.split_once('\t') {
        Some((head, items)) => (head, Some(items)),
        None => (text, None),
    };
    let mut head = head.splitn(3, ' ');
    let seq = head.next()?.parse().ok()?;
    let at_ms = head.next()?.parse().ok()?;
    let verb = unescape(head.next()?);
    Some(Checked {
        seq,
        at_ms,
        verb,
        items,
    })
}

/// A text without escapes. Few lines have any.
fn plain(text: &str, is_escaped: bool) -> Cow<'_, str> {
    if is_escaped {
        unescape(text)
    } else {
        Cow::Borrowed(text)
    }
}

fn read_part(text: &str, is_escaped: bool) -> Option<Part<'_>> {
    let plain = |text| plain(text, is_escaped);
    let (removed, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (section, entry) = text.strip_prefix('[')?.split_once(']')?;
    let section = plain(section);
    let (key, value) = match entry.split_once('=') {
        Some((key, value)) => (Some(plain(key)), Some(plain(value))),
        None if removed => (Some(plain(entry)), None),
        None if entry.is_empty() => (None, None),
        None => return None,
    };
    Some(Part { section, key, value })
}

fn escape(text: &str, into: &mut String) {
    if !text.contains(['\\', '\t', '\n', '\r']) {
        return into.push_str(text);
    }
    for character in text.chars() {
        match character {
            '\\' => into.push_str("\\\\"),
            '\t' => into.push_str("\\t"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            other => into.push(other),
        }
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(nonce: u32, record: &Record) -> String {
        let mut lines = Lines::new(nonce);
        lines.begin(record.seq, record.at_ms, &record.verb);
        for item in &record.items {
            match item {
                Item::Change(change) => lines.change(change),
                Item::Section(name) => lines.section(name),
            }
        }
        lines.end();
        lines.into_text()
    }

    fn any_item() -> impl Strategy<Value = Item> {
        let section = "[a-z \\\\\t\r\n=é-]{0,6}";
        let key = "[a-z\\[\\] \\\\\t\n#é-]{1,6}";
        let value = prop::option::of("\\PC{0,12}|[\\\\\tnrt=\\[\\]\n]{0,8}");
        prop_oneof![
            9 => (section, key, value).prop_map(|(section, key, value)| Item::Change(Change { section, key, value })),
            1 => section.prop_map(Item::Section),
        ]
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let items = prop::collection::vec(any_item(), 0..6);
        (any::<u64>(), any::<u64>(), "[a-z \t\\\\]{0,9}", items).prop_map(|(seq, at_ms, verb, items)| Record {
            seq,
            at_ms,
            verb,
            items,
        })
    }

    #[test]
    fn a_line_is_text_that_grep_finds_a_phase_in() {
        let mut lines = Lines::new(0);
        lines.begin(58, 1_768_517_122_123, "completed");
        lines.set("phases", "train", "completed");
        lines.end();
        let text = lines.into_text();
        assert!(
            text.ends_with(" 58 1768517122123 completed\t[phases]train=completed\n"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was(nonce in any::<u32>(), record in any_record()) {
            let text = written(nonce, &record);
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert_eq!(read_line(nonce, text.as_bytes()), Some(record));
        }

        #[test]
        fn the_runs_of_a_line_hold_what_its_items_do(record in any_record()) {
            let text = written(7, &record);
            let checked = || check_line(7, text.as_bytes()).unwrap();
            let is_fine = |item: &Item| !matches!(item, Item::Change(Change { value: None, .. }));
            let runs: Option<Vec<Run<'_>>> = checked().runs().collect();
            prop_assert_eq!(runs.is_some(), record.items.iter().all(is_fine));
            let mut read = Vec::new();
            for run in runs.iter().flatten() {
                let section = run.section.to_string();
                let before = read.len();
                read.extend(entries(run.items).map(|(key, value)| Item::Change(Change {
                    section: section.clone(),
                    key: key.into_owned(),
                    value: Some(value.into_owned()),
                })));
                prop_assert_eq!(read.len() - before, run.keys);
                if run.keys == 0 {
                    read.push(Item::Section(section));
                }
            }
            if runs.is_some() {
                prop_assert_eq!(read, record.items);
            }
        }

        #[test]
        fn a_part_of_a_line_is_none(record in any_record(), cut in any::<prop::sample::Index>()) {
            let text = written(7, &record);
            prop_assert_eq!(read_line(7, &text.as_bytes()[..cut.index(text.len())]), None);
        }

        #[test]
        fn a_line_of_another_segment_is_none(record in any_record(), nonce in 8_u32..) {
            prop_assert_eq!(read_line(nonce, written(7, &record).as_bytes()), None);
        }

        #[test]
        fn a_flipped_bit_is_seen(record in any_record(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = written(7, &record).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            // Upper and lower case digits of the checksum mean the same.
            let same_digit = at < CHECKSUM_WIDTH - 1 && bit == 5 && bytes[at].is_ascii_alphabetic();
            prop_assert!(same_digit || read_line(7, &bytes).is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            read_line(0, &bytes);
        }
    }
}
