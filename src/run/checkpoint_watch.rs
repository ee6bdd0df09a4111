//! Checkpoints that training writes while it runs: which of those that match a pattern are whole by now.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Map;

use super::Manifest;

/// A checkpoint that has not changed for this long counts as written.
const SETTLED: Duration = Duration::from_secs(2);

/// Says whether a checkpoint is whole: a script's `complete_when`.
pub type CheckpointJudge<'a> = &'a (dyn Fn(&str) -> Result<bool, String> + Sync);

/// One that belongs to whoever asks it.
pub type OwnCheckpointJudge<'a> = Box<dyn Fn(&str) -> Result<bool, String> + Sync + 'a>;

/// How the command that writes checkpoints stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Running,
    /// It ended of its own accord, and what it wrote last is whole.
    EndedWell,
    /// It may have been in the middle of writing.
    EndedBadly,
}

/// What a look has brought.
#[derive(Default)]
pub(super) struct Found {
    /// The checkpoints that have become whole, oldest first.
    pub whole: Vec<Manifest>,
    /// What the judge complains of; what it complains of is not whole.
    pub fault: Option<String>,
}

/// Looks at the checkpoints that match a pattern, again and again.
pub(super) struct CheckpointWatch {
    pattern: String,
    /// What has not changed since then is of an earlier run.
    earliest: SystemTime,
    seen: HashMap<PathBuf, Seen>,
}

/// What was last seen of one.
struct Seen {
    shape: Shape,
    since: Instant,
    /// It was there before the command began: what a killed writer left half done looks settled for ever.
    inherited: bool,
    /// It was recorded, and was another one then: something has happened to it that nobody saw.
    altered: bool,
    recorded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// When any of it was last written.
    newest: SystemTime,
    /// When any of it last changed, its name and owner included: a copy may keep the time of its original otherwise.
    changed: SystemTime,
    bytes: u64,
    files: u64,
}

impl CheckpointWatch {
    /// A watch that begins before the writer does. `known` are the checkpoints that are recorded; files that have not changed
    /// since `earliest` are left alone.
    pub(super) fn new(pattern: &str, known: &[Manifest], earliest: SystemTime, now: Instant) -> CheckpointWatch {
        let mut watch = CheckpointWatch {
            pattern: pattern.into(),
            earliest,
            seen: HashMap::new(),
        };
        for (path, shape) in watch.matching() {
            let name = path.to_string_lossy();
            let record = known.iter().rev().find(|m| m.path == name);
            let is_same = |m: &Manifest| m.bytes == shape.bytes && m.files == shape.files;
            let seen = Seen {
                shape,
                since: now,
                inherited: true,
                altered: record.is_some_and(|m| !is_same(m)),
                recorded: record.is_some_and(is_same),
            };
            watch.seen.insert(path, seen);
        }
        watch
    }

    /// The checkpoints that have become whole since the last look. Without a judge one is whole when it has settled, when a
    /// newer one was begun after it, or when its writer ended well.
    pub(super) fn look(&mut self, writer: Writer, judge: Option<CheckpointJudge<'_>>, now: Instant) -> Found {
        let found = self.matching();
        let mut brought = Found::default();
        for (place, (path, shape)) in found.iter().enumerate() {
            let seen = self.seen.entry(path.clone()).or_insert(Seen {
                shape: *shape,
                since: now,
                inherited: false,
                altered: false,
                recorded: false,
            });
            if seen.shape != *shape {
                *seen = Seen {
                    shape: *shape,
                    since: now,
                    inherited: false,
                    altered: false,
                    recorded: false,
                };
            }
            if seen.recorded {
                continue;
            }
            let name = path.to_string_lossy();
            let settled = !seen.inherited && now.saturating_duration_since(seen.since) >= SETTLED;
            let is_whole = match judge {
                Some(judge) => judge(&name).unwrap_or_else(|fault| {
                    brought.fault.get_or_insert(fault);
                    false
                }),
                None if seen.altered => false,
                None => settled || place + 1 < found.len() || writer == Writer::EndedWell,
            };
            if !is_whole {
                continue;
            }
            // One that goes away or cannot be read at this moment is looked at again.
            if let Ok(manifest) = Manifest::take(&name, Map::new()) {
                seen.recorded = true;
                brought.whole.push(manifest);
            }
        }
        brought
    }

    /// What matches and is not empty, the one that was written last at the end.
    fn matching(&self) -> Vec<(PathBuf, Shape)> {
        let paths = glob::glob(&self.pattern).into_iter().flatten().flatten();
        let mut found: Vec<(PathBuf, Shape)> = paths
            .filter_map(|path| shape_of(&path).ok().map(|shape| (path, shape)))
            .filter(|(_, shape)| shape.bytes > 0 && shape.changed >= self.earliest)
            .collect();
        found.sort_by(|(a, x), (b, y)| (x.newest, a).cmp(&(y.newest, b)));
        found
    }
}

fn shape_of(path: &Path) -> io::Result<Shape> {
    let own = fs::metadata(path)?;
    let mut shape = Shape {
        newest: own.modified()?,
        changed: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(own.ctime()).unwrap_or_default()),
        bytes: 0,
        files: 0,
    };
    if !own.is_dir() {
        shape.bytes = own.len();
        shape.files = 1;
        return Ok(shape);
    }
    for entry in fs::read_dir(path)? {
        let inner = shape_of(&entry?.path())?;
        shape.newest = shape.newest.max(inner.newest);
        shape.changed = shape.changed.max(inner.changed);
        shape.bytes += inner.bytes;
        shape.files += inner.files;
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_fs::TempDir;
    use assert_fs::prelude::*;

    struct Place {
        dir: TempDir,
        began: Instant,
    }

    impl Place {
        fn new() -> Place {
            Place {
                dir: TempDir::new().expect("a temporary directory"),
                began: Instant::now(),
            }
        }

        fn watch(&self, known: &[Manifest]) -> CheckpointWatch {
            let pattern = self.dir.path().join("epoch*");
            CheckpointWatch::new(&pattern.to_string_lossy(), known, SystemTime::UNIX_EPOCH, self.began)
        }

        /// Writes an epoch whose time of change is its number.
        fn write(&self, epoch: u64, text: &str) {
            let child = self.dir.child(format!("epoch{epoch}/model"));
            child.write_str(text).expect("written");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch * 100 + text.len() as u64);
            for path in [child.path(), child.path().parent().expect("a parent")] {
                let file = fs::File::open(path).expect("opened");
                file.set_modified(time).expect("set");
            }
        }

        fn after(&self, seconds: u64) -> Instant {
            self.began + Duration::from_secs(seconds)
        }
    }

    fn names(found: &[Manifest]) -> Vec<&str> {
        found
            .iter()
            .map(|m| m.path.rsplit('/').next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn a_checkpoint_is_taken_once_it_has_not_changed_for_two_seconds() {
        let place = Place::new();
        let mut watch = place.watch(&[]);
        let mut look = |s| watch.look(Writer::Running, None, place.after(s)).whole;
        place.write(1, "half");
        assert!(look(0).is_empty());
        place.write(1, "half and half");
        assert!(look(2).is_empty(), "it has just changed");
        assert!(look(3).is_empty());
        assert_eq!(names(&look(4)), ["epoch1"]);
        assert!(look(9).is_empty(), "it is recorded once");
        place.write(1, "another");
        assert!(look(10).is_empty());
        assert_eq!(names(&look(12)), ["epoch1"], "written anew, recorded anew");
    }

    #[test]
    fn one_with_a_newer_one_beside_it_is_whole_at_once() {
        let place = Place::new();
        let mut watch = place.watch(&[]);
        place.write(9, "nine");
        place.write(10, "ten");
        let found = watch.look(Writer::Running, None, place.after(0)).whole;
        assert_eq!(names(&found), ["epoch9"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_not_taken_until_something_newer_is_written() {
        let place = Place::new();
        place.write(5, "torn");
        let mut watch = place.watch(&[]);
        let mut look = |writer, s| watch.look(writer, None, place.after(s)).whole;
        assert!(look(Writer::Running, 60).is_empty());
        assert!(look(Writer::EndedBadly, 61).is_empty());
        assert_eq!(names(&look(Writer::EndedWell, 62)), ["epoch5"]);
    }

    #[test]
    fn one_that_is_recorded_already_is_not_recorded_again() {
        let place = Place::new();
        place.write(1, "one");
        let path = place.dir.path().join("epoch1");
        let known = Manifest::take(&path.to_string_lossy(), Map::new()).expect("good");
        let mut watch = place.watch(&[known]);
        assert!(watch.look(Writer::EndedWell, None, place.after(5)).whole.is_empty());
    }

    #[test]
    fn a_judge_has_the_only_word() {
        let place = Place::new();
        let mut watch = place.watch(&[]);
        place.write(1, "one");
        place.write(2, "two");
        let only_second = |path: &str| Ok(path.ends_with("epoch2"));
        let found = watch.look(Writer::EndedWell, Some(&only_second), place.after(60)).whole;
        assert_eq!(names(&found), ["epoch2"]);
        let broken = |path: &str| {
            if path.ends_with("epoch1") {
                Err("no such key".to_string())
            } else {
                Ok(true)
            }
        };
        place.write(3, "three");
        let found = watch.look(Writer::Running, Some(&broken), place.after(61));
        assert_eq!(found.fault.as_deref(), Some("no such key"));
        assert_eq!(
            names(&found.whole),
            ["epoch3"],
            "a judge that stumbles over one still judges the others"
        );
    }

    #[test]
    fn one_that_was_cut_short_after_it_was_recorded_is_not_recorded_as_it_is_now() {
        let place = Place::new();
        place.write(1, "whole");
        let path = place.dir.path().join("epoch1");
        let known = Manifest::take(&path.to_string_lossy(), Map::new()).expect("good");
        place.write(1, "who");
        place.write(2, "newer");
        let mut watch = place.watch(&[known]);
        let mut look = |s| watch.look(Writer::Running, None, place.after(s)).whole;
        assert!(look(0).is_empty());
        place.write(1, "whole again");
        assert!(!look(1).is_empty(), "it is written anew before our eyes");
    }

    #[test]
    fn what_an_earlier_run_left_is_no_checkpoint_of_this_one() {
        let place = Place::new();
        place.write(1, "one");
        place.write(2, "two");
        let pattern = place.dir.path().join("epoch*");
        let later = SystemTime::now() + Duration::from_secs(60);
        let mut watch = CheckpointWatch::new(&pattern.to_string_lossy(), &[], later, place.began);
        assert!(watch.look(Writer::EndedWell, None, place.after(60)).whole.is_empty());
        let mut watch = place.watch(&[]);
        assert_eq!(
            names(&watch.look(Writer::EndedWell, None, place.after(60)).whole).len(),
            2
        );
    }
}
