//! The keys of one section with their values, in order.
//!
//! What was read stays in the text that it was read from: a run of 100,000 phases leaves some 400,000 keys with values, and
//! giving each its own memory takes longer than reading them. It is taken apart when somebody asks for it. What is set is
//! kept by itself.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::record;

/// Texts by name, in the order in which they came. A copy shares its texts with the original.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// What [`Text::Read`] stands in.
    read: Arc<String>,
    /// Where in it the items of lines are that were read, and how many keys they set.
    lines: Vec<Range<usize>>,
    count: usize,
    /// Made of them when somebody asks.
    entries: OnceLock<Vec<Entry>>,
    /// Where in `entries` a key is. Made when a key is first looked for: many sections are only gone through.
    places: OnceLock<Places>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Text,
    value: Text,
}

/// A key or a value.
#[derive(Debug, Clone)]
enum Text {
    /// A part of the text that was read: where it begins, and its length, in bytes.
    Read(u32, u32),
    /// One that was set.
    Own(Arc<str>),
}

#[derive(Debug, Clone, Default)]
struct Places {
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Keys {
    /// Keys that were read from a text; each comes once.
    pub(super) fn of(read: Arc<String>) -> Keys {
        Keys {
            read,
            ..Keys::default()
        }
    }

    /// Appends the items of a line that stand at a place of the text, as a [`record::Run`] with so many keys has them. None of
    /// the keys is there, and nobody has asked for any.
    pub(super) fn append_read(&mut self, items: Range<usize>, keys: usize) {
        self.lines.push(items);
        self.count += keys;
    }

    /// Takes apart what was read, if that has not been done. Whoever asks meanwhile waits for the end of it.
    pub(super) fn take_apart(&self) {
        self.entries();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.get().map_or(self.count, Vec::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries()
            .iter()
            .map(|entry| (self.text(&entry.key), self.text(&entry.value)))
    }

    /// What stands at a place.
    pub(super) fn at(&self, place: usize) -> Option<(&str, &str)> {
        let entry = self.entries().get(place)?;
        Some((self.text(&entry.key), self.text(&entry.value)))
    }

    /// Where a key stands.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.places().find(key, |place| self.key(place))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.place(key).map(|place| self.text(&self.entries()[place].value))
    }

    /// Sets a value; a key that is not there comes last.
    pub(super) fn set(&mut self, key: &str, value: Arc<str>) {
        match self.place(key) {
            Some(place) => self.change(|entries| entries[place].value = Text::Own(value)),
            None => self.put(self.len(), key, value),
        }
    }

    /// Puts a key that is not there at a place. Takes time with what stands behind it.
    pub(super) fn put(&mut self, place: usize, key: &str, value: Arc<str>) {
        let mut places = self.take_places();
        if place < self.len() {
            places
                .table
                .iter_mut()
                .for_each(|other| *other += u32::from(*other as usize >= place));
        }
        let (key, value) = (Text::Own(key.into()), Text::Own(value));
        self.change(|entries| entries.insert(place, Entry { key, value }));
        places.add(place, |place| self.key(place));
        self.places = OnceLock::from(places);
    }

    /// Takes a key out. Takes time with the length.
    pub(super) fn remove(&mut self, key: &str) {
        let Some(gone) = self.place(key) else { return };
        let mut places = self.take_places();
        places.take_out(gone, self.key(gone));
        places
            .table
            .iter_mut()
            .for_each(|other| *other -= u32::from(*other as usize > gone));
        self.change(|entries| drop(entries.remove(gone)));
        self.places = OnceLock::from(places);
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| {
            let mut entries = Vec::with_capacity(self.count);
            for items in &self.lines {
                let read = record::entries(&self.read[items.clone()]);
                entries.extend(read.map(|(key, value)| Entry {
                    key: self.text_of(key),
                    value: self.text_of(value),
                }));
            }
            entries
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<Entry>)) {
        self.take_apart();
        if let Some(entries) = self.entries.get_mut() {
            change(entries);
        }
    }

    /// A text that stands in what was read as it is, by its place there.
    fn text_of(&self, text: Cow<'_, str>) -> Text {
        if let Cow::Borrowed(part) = text {
            let start = part.as_ptr().addr().checked_sub(self.read.as_ptr().addr());
            if let (Some(Ok(start)), Ok(length)) = (start.map(u32::try_from), u32::try_from(part.len())) {
                return Text::Read(start, length);
            }
        }
        Text::Own(text.into())
    }

    fn text<'a>(&'a self, text: &'a Text) -> &'a str {
        match text {
            Text::Read(start, length) => &self.read[*start as usize..][..*length as usize],
            Text::Own(text) => text,
        }
    }

    fn key(&self, place: usize) -> &str {
        self.text(&self.entries()[place].key)
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| {
            let mut places = Places::default();
            places.reserve(self.len(), |place| self.key(place));
            for place in 0..self.len() {
                places.add(place, |place| self.key(place));
            }
            places
        })
    }

    fn take_places(&mut self) -> Places {
        self.places();
        self.places.take().unwrap_or_default()
    }
}

/// Places are 32 bits wide: 400,000 keys fill 2 MB of table, and the text of a section with four billion keys fits no file.
impl Places {
    fn find<'a>(&self, key: &str, key_at: impl Fn(usize) -> &'a str) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let found = self.table.find(hash, |place| key_at(*place as usize) == key);
        found.map(|place| *place as usize)
    }

    fn reserve<'a>(&mut self, count: usize, key_at: impl Fn(usize) -> &'a str) {
        let hasher = &self.hasher;
        self.table
            .reserve(count, |place| hasher.hash_one(key_at(*place as usize)));
    }

    fn add<'a>(&mut self, place: usize, key_at: impl Fn(usize) -> &'a str) {
        let hasher = &self.hasher;
        let hash = |place: &u32| hasher.hash_one(key_at(*place as usize));
        let place = place as u32;
        self.table.insert_unique(hash(&place), place, hash);
    }

    fn take_out(&mut self, place: usize, key: &str) {
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other as usize == place) {
            entry.remove();
        }
    }
}

/// Whatever the order.
impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .enumerate()
                .all(|(place, (key, value))| match other.at(place) {
                    Some((same, at_place)) if same == key => at_place == value,
                    _ => other.get(key) == Some(value),
                })
    }
}

impl Eq for Keys {}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    /// `a=1`, `b=2` and `c=3`, as they were read.
    fn read() -> Keys {
        let mut keys = Keys::of(Arc::new("line [s]a=1\t[s]b=2 line [s]c=3 line".to_owned()));
        keys.append_read(5..18, 2);
        keys.append_read(24..30, 1);
        keys
    }

    fn listed(keys: &Keys) -> Vec<(&str, &str)> {
        keys.iter().collect()
    }

    #[test]
    fn what_was_read_is_found_by_name_and_by_place_and_can_be_set() {
        let mut keys = read();
        assert_eq!(listed(&keys), [("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(
            (keys.get("b"), keys.get("d"), keys.at(2)),
            (Some("2"), None, Some(("c", "3")))
        );
        keys.set("b", "new".into());
        keys.set("d", "4".into());
        assert_eq!(listed(&keys), [("a", "1"), ("b", "new"), ("c", "3"), ("d", "4")]);
        assert_eq!(listed(&read().clone()), [("a", "1"), ("b", "2"), ("c", "3")]);
    }

    #[test]
    fn there_are_as_many_as_the_lines_say_before_they_are_taken_apart_and_after() {
        let keys = read();
        assert_eq!((keys.len(), keys.entries.get().is_none()), (3, true));
        keys.take_apart();
        assert_eq!((keys.len(), keys.entries.get().is_none()), (3, false));
    }

    #[test]
    fn two_with_the_same_values_are_equal_whatever_their_order() {
        let mut turned = Keys::default();
        for (key, value) in [("c", "3"), ("a", "1"), ("b", "2")] {
            turned.set(key, value.into());
        }
        assert_eq!(turned, read());
        turned.set("a", "2".into());
        assert_ne!(turned, read());
        turned.remove("a");
        assert_ne!(turned, read());
        assert_ne!(read(), turned);
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map_that_keeps_its_order(
            steps in prop::collection::vec((0..4u8, 0..12u8, any::<prop::sample::Index>()), 0..60)
        ) {
            let mut keys = read();
            let mut model: IndexMap<String, String> =
                read().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            for (number, (what, key, place)) in steps.into_iter().enumerate() {
                let (key, value) = (char::from(b'a' + key).to_string(), number.to_string());
                match what {
                    0 => {
                        keys.remove(&key);
                        model.shift_remove(&key);
                    }
                    1 if !model.contains_key(&key) => {
                        let place = place.index(model.len() + 1);
                        keys.put(place, &key, value.as_str().into());
                        model.shift_insert(place, key, value);
                    }
                    _ => {
                        keys.set(&key, value.as_str().into());
                        model.insert(key, value);
                    }
                }
                let expected: Vec<_> = model.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                prop_assert_eq!(listed(&keys), expected);
                for name in b'a'..b'n' {
                    let name = char::from(name).to_string();
                    prop_assert_eq!(keys.place(&name), model.get_index_of(&name));
                    prop_assert_eq!(keys.get(&name), model.get(&name).map(String::as_str));
                }
            }
        }
    }
}
