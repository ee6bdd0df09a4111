//! The corpus: files that a parser has to stand, cheap mutations of each, and a strategy that makes worse ones of them.
//!
//! Part of the library's own tests, because the parsers are private.

use std::fs;
use std::ops::Range;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How many places of a file are tried at its beginning, at its end, and between these.
const PLACES: usize = 150;
/// Files that are longer than this make no worse ones: it is not their length that is wrong with those.
const LONGEST_SEED: usize = 4096;

/// One file.
pub(crate) struct Sample {
    /// The folder in that of the parser; empty when it lies in that itself.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// All files for a parser, by name.
pub(crate) fn samples(parser: &str) -> Vec<Sample> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found = vec![];
    collect(&tests.join("corpus").join(parser), "", &mut found);
    if parser == "document" {
        collect(&tests.join("fixtures/bash-3.1.0"), "good", &mut found);
        found.retain(|sample| !sample.name.ends_with(".log"));
    }
    found.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    assert!(found.len() >= 20, "{} files for {parser}", found.len());
    found
}

fn collect(directory: &Path, kind: &str, found: &mut Vec<Sample>) {
    for entry in fs::read_dir(directory).expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &name, found);
        } else {
            let (kind, bytes) = (kind.to_owned(), fs::read(&path).expect("a file"));
            found.push(Sample { kind, name, bytes });
        }
    }
}

/// Holds a law on every file and says which one broke it.
#[track_caller]
pub(crate) fn replay(parser: &str, law: impl Fn(&Sample) -> Result<(), String>) {
    let broken: Vec<String> = samples(parser)
        .iter()
        .filter_map(|sample| {
            let verdict = law(sample).err()?;
            Some(format!(
                "tests/corpus/{parser}/{}/{}: {verdict}",
                sample.kind, sample.name
            ))
        })
        .collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Places in a file: all of them, or those near its ends and some between.
pub(crate) fn places(length: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var_os("JUMAR_CORPUS").is_some_and(|value| value == "all");
    let step = (length / PLACES).max(1);
    (0..length).filter(move |at| all || *at < PLACES || *at + PLACES >= length || at % step == 0)
}

/// A file with one thing done to it.
pub(crate) struct Hurt {
    pub(crate) bytes: Vec<u8>,
    /// Which of its bytes may be others than before; its length is as before.
    pub(crate) touched: Range<usize>,
}

/// The file with one byte changed, and with a block of zeros, at many places.
pub(crate) fn mutations(bytes: &[u8]) -> impl Iterator<Item = Hurt> + '_ {
    let changed = places(bytes.len()).flat_map(move |at| {
        // Another letter of the same kind, upper case, beyond ASCII, and the byte that ends lines.
        let other = [bytes[at] ^ 1, bytes[at] ^ 0x20, bytes[at] ^ 0x80, b'\n'];
        let one = move |byte: u8| hurt(bytes, at..at + 1, byte);
        other.into_iter().filter(move |byte| *byte != bytes[at]).map(one)
    });
    let zeros = places(bytes.len()).step_by(8).flat_map(move |at| {
        let block = move |length: usize| hurt(bytes, at..(at + length).min(bytes.len()), 0);
        [8, 64, 512].into_iter().map(block)
    });
    changed.chain(zeros)
}

fn hurt(bytes: &[u8], touched: Range<usize>, byte: u8) -> Hurt {
    let mut bytes = bytes.to_vec();
    bytes[touched.clone()].fill(byte);
    Hurt { bytes, touched }
}

/// One thing that is done to a file in the search for worse ones.
#[derive(Debug, Clone)]
enum Deed {
    Change(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Zeros(Index, usize),
    /// A part comes once more, elsewhere.
    Repeat(Index, usize, Index),
    /// A part of another file is put in.
    Graft(Vec<u8>, Index, usize, Index),
}

impl Deed {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let part = |bytes: &[u8], at: &Index, length: usize| {
            let start = at.index(bytes.len() + 1);
            start..(start + length).min(bytes.len())
        };
        match self {
            Deed::Change(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= *byte;
            }
            Deed::Change(..) => {}
            Deed::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Deed::Remove(at, length) => drop(bytes.drain(part(bytes, at, *length))),
            Deed::Insert(at, new) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Deed::Zeros(at, length) => {
                let range = part(bytes, at, *length);
                bytes[range].fill(0);
            }
            Deed::Repeat(at, length, to) => {
                let copied = bytes[part(bytes, at, *length)].to_vec();
                Deed::Insert(*to, copied).apply(bytes);
            }
            Deed::Graft(other, at, length, to) => {
                let copied = other[part(other, at, *length)].to_vec();
                Deed::Insert(*to, copied).apply(bytes);
            }
        }
    }
}

/// Files of the corpus with up to six things done to them. `words` are what such a file is made of.
pub(crate) fn any_worse(parser: &str, words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = samples(parser)
        .into_iter()
        .map(|sample| sample.bytes)
        .filter(|bytes| bytes.len() <= LONGEST_SEED)
        .collect();
    let inserted = prop_oneof![
        3 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..5),
    ];
    let at = any::<Index>;
    let deed = prop_oneof![
        2 => (at(), 1_u8..).prop_map(|(at, byte)| Deed::Change(at, byte)),
        1 => at().prop_map(Deed::Cut),
        2 => (at(), 1_usize..40).prop_map(|(at, length)| Deed::Remove(at, length)),
        4 => (at(), inserted).prop_map(|(at, new)| Deed::Insert(at, new)),
        1 => (at(), 1_usize..600).prop_map(|(at, length)| Deed::Zeros(at, length)),
        2 => (at(), 1_usize..200, at()).prop_map(|(at, length, to)| Deed::Repeat(at, length, to)),
        2 => (select(seeds.clone()), at(), 1_usize..400, at())
            .prop_map(|(other, at, length, to)| Deed::Graft(other, at, length, to)),
    ];
    (select(seeds), prop::collection::vec(deed, 0..6)).prop_map(|(mut bytes, deeds)| {
        deeds.iter().for_each(|deed| deed.apply(&mut bytes));
        bytes
    })
}
