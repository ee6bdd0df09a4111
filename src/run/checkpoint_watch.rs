//! Checkpoints that training writes while it runs: which of those that match a pattern are whole by now.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Map;

use super::Manifest;

/// A checkpoint that has not changed for this long counts as written.
const SETTLED: Duration = Duration::from_secs(2);

/// Says whether a checkpoint is whole: a script's `complete_when`.
pub type CheckpointJudge<'a> = &'a (dyn Fn(&str) -> Result<bool, String> + Sync);

/// How the command that writes checkpoints stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Running,
    EndedWell,
    EndedBadly,
}

/// Looks at the checkpoints that match a pattern, again and again.
pub(super) struct CheckpointWatch {
    pattern: String,
    seen: HashMap<PathBuf, Seen>,
}

/// What was last seen of one.
struct Seen {
    shape: Shape,
    since: Instant,
    /// It was there before the command began: what a killed writer left half done looks settled for ever.
    inherited: bool,
    recorded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    newest: SystemTime,
    bytes: u64,
    files: u64,
}

impl CheckpointWatch {
    /// A watch that begins before the writer does. `known` are the checkpoints that are recorded.
    pub(super) fn new(pattern: &str, known: &[Manifest], now: Instant) -> CheckpointWatch {
        let mut watch = CheckpointWatch {
            pattern: pattern.into(),
            seen: HashMap::new(),
        };
        for (path, shape) in watch.matching() {
            let name = path.to_string_lossy();
            let recorded = known
                .iter()
                .any(|m| m.path == name && m.bytes == shape.bytes && m.files == shape.files);
            let seen = Seen {
                shape,
                since: now,
                inherited: true,
                recorded,
            };
            watch.seen.insert(path, seen);
        }
        watch
    }

    /// The checkpoints that have become whole since the last look, oldest first. Without a judge one is whole when it has
    /// settled, when a newer one was begun after it, or when its writer ended well.
    ///
    /// # Errors
    /// What the judge complains of.
    pub(super) fn look(
        &mut self,
        writer: Writer,
        judge: Option<CheckpointJudge<'_>>,
        now: Instant,
    ) -> Result<Vec<Manifest>, String> {
        let found = self.matching();
        let mut whole = Vec::new();
        for (place, (path, shape)) in found.iter().enumerate() {
            let seen = self.seen.entry(path.clone()).or_insert(Seen {
                shape: *shape,
                since: now,
                inherited: false,
                recorded: false,
            });
            if seen.shape != *shape {
                *seen = Seen {
                    shape: *shape,
                    since: now,
                    inherited: false,
                    recorded: false,
                };
            }
            if seen.recorded {
                continue;
            }
            let name = path.to_string_lossy();
            let settled = !seen.inherited && now.saturating_duration_since(seen.since) >= SETTLED;
            let is_whole = match judge {
                Some(judge) => judge(&name)?,
                None => settled || place + 1 < found.len() || writer == Writer::EndedWell,
            };
            if !is_whole {
                continue;
            }
            // One that goes away or cannot be read at this moment is looked at again.
            if let Ok(manifest) = Manifest::take(&name, Map::new()) {
                seen.recorded = true;
                whole.push(manifest);
            }
        }
        Ok(whole)
    }

    /// What matches and is not empty, the one that was written last at the end.
    fn matching(&self) -> Vec<(PathBuf, Shape)> {
        let paths = glob::glob(&self.pattern).into_iter().flatten().flatten();
        let mut found: Vec<(PathBuf, Shape)> = paths
            .filter_map(|path| shape_of(&path).ok().map(|shape| (path, shape)))
            .filter(|(_, shape)| shape.bytes > 0)
            .collect();
        found.sort_by(|(a, x), (b, y)| (x.newest, a).cmp(&(y.newest, b)));
        found
    }
}

fn shape_of(path: &Path) -> io::Result<Shape> {
    let own = fs::metadata(path)?;
    let mut shape = Shape {
        newest: own.modified()?,
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
            CheckpointWatch::new(&pattern.to_string_lossy(), known, self.began)
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
        let mut look = |s| watch.look(Writer::Running, None, place.after(s)).expect("no judge");
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
        let found = watch.look(Writer::Running, None, place.after(0)).expect("no judge");
        assert_eq!(names(&found), ["epoch9"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_not_taken_until_something_newer_is_written() {
        let place = Place::new();
        place.write(5, "torn");
        let mut watch = place.watch(&[]);
        let mut look = |writer, s| watch.look(writer, None, place.after(s)).expect("no judge");
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
        assert!(
            watch
                .look(Writer::EndedWell, None, place.after(5))
                .expect("no judge")
                .is_empty()
        );
    }

    #[test]
    fn a_judge_has_the_only_word() {
        let place = Place::new();
        let mut watch = place.watch(&[]);
        place.write(1, "one");
        place.write(2, "two");
        let only_second = |path: &str| Ok(path.ends_with("epoch2"));
        let found = watch
            .look(Writer::EndedWell, Some(&only_second), place.after(60))
            .expect("a good judge");
        assert_eq!(names(&found), ["epoch2"]);
        let broken = |_: &str| Err("no such key".to_string());
        assert!(watch.look(Writer::Running, Some(&broken), place.after(61)).is_err());
    }
}
