//! Laws of the journal: what is read of a file that was cut short or damaged is what stood there, and all of it that is
//! whole.

use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::model::State;
use super::super::record::{Item, Lines, Record, read_line};
use super::super::segment::{NoSegment, Seen, Segment};
use super::hold;
use crate::corpus::{any_worse, mutations, places, replay};

/// What such files are made of.
const WORDS: &[&str] = &[
    "\n",
    "\0",
    "\t",
    " ",
    "#jumar-journal ",
    "1 nonce=",
    " crc=",
    "00000000 ",
    "snapend\t[]n=",
    "\t[phases]p0=completed",
    "\t-[steps]a",
    "\\",
    "@",
    "99999999999999999999",
];
/// The nonce of the corpus's single lines.
const NONCE: u32 = 7;

/// What a segment comes to.
#[derive(Debug)]
struct Scan {
    at: u64,
    seen: Vec<Seen>,
    snapshot: Option<State>,
    records: Vec<Record>,
    behind: Vec<Record>,
    damage: Option<Range<usize>>,
}

fn scan(bytes: &[u8]) -> Result<Scan, NoSegment> {
    let segment = Segment::parse(bytes)?;
    let snapshot = segment.lives.then(|| Segment::parse(bytes).ok()?.state_at(segment.at));
    Ok(Scan {
        at: segment.at,
        snapshot: snapshot.flatten(),
        seen: segment.seen,
        records: segment.records,
        behind: segment.behind_damage,
        damage: segment.damage,
    })
}

impl Scan {
    fn found(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().chain(&self.behind)
    }

    fn head(&self) -> (u64, &[Seen]) {
        (self.at, &self.seen)
    }
}

/// What must be so of any bytes.
fn laws(bytes: &[u8]) -> Result<(), String> {
    let Ok(scan) = scan(bytes) else { return Ok(()) };
    let ordered = scan
        .found()
        .try_fold(scan.at, |last, record| (record.seq > last).then_some(record.seq));
    hold(ordered.is_some(), || format!("out of order: {scan:?}"))?;
    hold(scan.snapshot.is_some() || scan.records.is_empty(), || {
        format!("goes on from nothing: {scan:?}")
    })?;
    hold(scan.damage.is_none() == scan.behind.is_empty(), || {
        format!("damage of nothing: {scan:?}")
    })?;
    let inside = scan
        .damage
        .as_ref()
        .is_none_or(|range| range.start <= range.end && range.end < bytes.len());
    hold(inside, || format!("damage elsewhere: {scan:?}"))
}

/// The scan of a beginning is a beginning of the scan.
fn prefix_law(bytes: &[u8], cut: usize) -> Result<(), String> {
    let told = |what: &str| format!("cut at {cut}: {what}");
    let whole = match scan(bytes) {
        Ok(whole) => whole,
        Err(NoSegment::NoHeader) => return hold(scan(&bytes[..cut]).is_err(), || told("has a header")),
        Err(NoSegment::Newer(_)) => return hold(scan(&bytes[..cut]).is_err(), || told("is understood")),
    };
    let part = match scan(&bytes[..cut]) {
        Err(NoSegment::NoHeader) => {
            let header = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |end| end + 1);
            return hold(cut < header, || told("the header is gone"));
        }
        Err(newer) => return Err(told(&format!("{newer:?}"))),
        Ok(part) => part,
    };
    hold(part.head() == whole.head(), || told("another header"))?;
    hold(part.snapshot.is_none() || part.snapshot == whole.snapshot, || {
        told("another snapshot")
    })?;
    let begins = |part: &[Record], whole: &[Record]| part.len() <= whole.len() && part.iter().eq(&whole[..part.len()]);
    hold(begins(&part.records, &whole.records), || told("another transition"))?;
    hold(begins(&part.behind, &whole.behind) || part.snapshot.is_none(), || {
        told("another damage")
    })?;
    let found: Vec<_> = part.found().collect();
    hold(found.iter().copied().eq(whole.found().take(found.len())), || {
        told("another order")
    })?;
    // Every transition whose line is whole is there.
    let lines = lines_of(bytes);
    let stood = |record: &&Record| {
        lines
            .iter()
            .any(|(range, line)| line.as_ref() == Some(*record) && range.end <= cut)
    };
    hold(whole.found().filter(stood).count() == found.len(), || {
        told("a whole line is gone")
    })
}

/// The lines of a segment, and what each is by itself.
fn lines_of(bytes: &[u8]) -> Vec<(Range<usize>, Option<Record>)> {
    let header = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
    let nonce = header
        .split(' ')
        .find_map(|field| u32::from_str_radix(field.strip_prefix("nonce=")?, 16).ok());
    let mut start = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        start += line.len();
        (start - line.len()..start, read_line(nonce.unwrap_or_default(), line))
    });
    lines.collect()
}

/// A segment before it is damaged.
struct Sound<'a> {
    bytes: &'a [u8],
    scan: Scan,
    lines: Vec<(Range<usize>, Option<Record>)>,
}

impl Sound<'_> {
    fn of(bytes: &[u8]) -> Option<Sound<'_>> {
        let (scan, lines) = (scan(bytes).ok()?, lines_of(bytes));
        Some(Sound { bytes, scan, lines })
    }
}

/// Of a damaged file nothing is read that did not stand there, and everything that stands there still.
fn damage_law(sound: &Sound<'_>, hurt: &[u8], touched: &Range<usize>) -> Result<(), String> {
    let told = |what: &str| format!("{touched:?} damaged: {what}");
    let Sound {
        bytes,
        scan: before,
        lines,
    } = sound;
    let header = lines.first().map_or(0, |(range, _)| range.end);
    let after = match scan(hurt) {
        Ok(after) => after,
        Err(error) => return hold(touched.start < header, || told(&format!("{error:?}"))),
    };
    laws(hurt)?;
    hold(after.head() == before.head(), || told("another header"))?;
    hold(after.snapshot.is_none() || after.snapshot == before.snapshot, || {
        told("another snapshot")
    })?;
    for record in after.found() {
        // A line whose end was lost may have got it back.
        let regained = || {
            let hurt_lines = lines_of(hurt);
            let line = hurt_lines.iter().find(|(_, line)| line.as_ref() == Some(record));
            line.is_some_and(|(range, _)| contains(bytes, &hurt[range.start..range.end - 1]))
        };
        let stood = lines.iter().any(|(_, line)| line.as_ref() == Some(record));
        hold(stood || regained(), || told(&format!("{record:?} is invented")))?;
    }
    let is_whole = |range: &Range<usize>| {
        (range.end <= touched.start || range.start >= touched.end) && hurt[range.start - 1] == b'\n'
    };
    for record in before.found() {
        // Should it stand there twice, it is the first one that was read.
        let line = lines.iter().find(|(_, line)| line.as_ref() == Some(record));
        let whole = line.is_some_and(|(range, _)| is_whole(range));
        let found = after.found().any(|other| other == record);
        hold(found || !whole, || told(&format!("{record:?} is lost")))?;
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn written(record: &Record) -> String {
    let mut lines = Lines::new(NONCE);
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

/// A line says what it says once it is written again; no part of it is a line, and damaged it is none or says the same.
fn line_law(bytes: &[u8]) -> Result<(), String> {
    let Some(record) = read_line(NONCE, bytes) else {
        return Ok(());
    };
    let again = read_line(NONCE, written(&record).as_bytes());
    hold(again.as_ref() == Some(&record), || {
        format!("{record:?} reads back as {again:?}")
    })?;
    for cut in places(bytes.len()) {
        hold(read_line(NONCE, &bytes[..cut]).is_none(), || {
            format!("cut at {cut} it is a line")
        })?;
    }
    for hurt in mutations(bytes) {
        let same = read_line(NONCE, &hurt.bytes).is_none_or(|other| other == record);
        hold(same, || format!("{:?} damaged it says something else", hurt.touched))?;
    }
    Ok(())
}

#[test]
fn every_line_of_the_corpus_is_one_or_none_as_its_folder_says_and_keeps_the_laws() {
    replay("record", |sample| {
        let read = read_line(NONCE, &sample.bytes);
        hold(read.is_some() == (sample.kind == "whole"), || format!("{read:?}"))?;
        for hurt in mutations(&sample.bytes) {
            read_line(NONCE, &hurt.bytes);
        }
        line_law(&sample.bytes)
    });
}

#[test]
fn every_segment_of_the_corpus_is_what_its_folder_says_and_keeps_the_laws() {
    replay("segment", |sample| {
        let kind = match scan(&sample.bytes) {
            Err(NoSegment::NoHeader) => "none",
            Err(NoSegment::Newer(_)) => "newer",
            Ok(scan) if scan.damage.is_some() => "damaged",
            Ok(scan) if scan.snapshot.is_some() => "lives",
            Ok(_) => "dead",
        };
        hold(kind == sample.kind, || format!("it is {kind}"))?;
        laws(&sample.bytes)
    });
}

#[test]
fn the_scan_of_every_beginning_of_a_segment_is_a_beginning_of_its_scan() {
    replay("segment", |sample| {
        let mut cuts = places(sample.bytes.len());
        cuts.try_for_each(|cut| prefix_law(&sample.bytes, cut))
    });
}

#[test]
fn a_damaged_segment_invents_nothing_and_loses_no_line_that_is_whole() {
    replay("segment", |sample| {
        let Some(sound) = Sound::of(&sample.bytes) else {
            return mutations(&sample.bytes).try_for_each(|hurt| laws(&hurt.bytes));
        };
        let step = 1 + sample.bytes.len() / 500;
        let mut mutations = mutations(&sample.bytes).step_by(step);
        mutations.try_for_each(|hurt| damage_law(&sound, &hurt.bytes, &hurt.touched))
    });
}

proptest! {
    #[test]
    fn a_segment_with_anything_done_to_it_keeps_the_laws(
        bytes in any_worse("segment", WORDS), cut in any::<Index>(), at in any::<Index>(), length in 1_usize..200,
        byte in any::<u8>()
    ) {
        laws(&bytes).map_err(TestCaseError::fail)?;
        prefix_law(&bytes, cut.index(bytes.len() + 1)).map_err(TestCaseError::fail)?;
        let start = at.index(bytes.len() + 1);
        let touched = start..(start + length).min(bytes.len());
        let mut hurt = bytes.clone();
        hurt[touched.clone()].fill(byte);
        if let Some(sound) = Sound::of(&bytes) {
            damage_law(&sound, &hurt, &touched).map_err(TestCaseError::fail)?;
        }
        laws(&hurt).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_line_with_anything_done_to_it_is_none_or_reads_back(bytes in any_worse("record", WORDS)) {
        if let Some(record) = read_line(NONCE, &bytes) {
            prop_assert_eq!(read_line(NONCE, written(&record).as_bytes()), Some(record));
        }
    }
}
