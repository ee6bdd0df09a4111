//! A run directory that was moved or copied: what lies in it is used from where it is now.

use std::fs;
use std::path::Path;

use super::Manifest;
use crate::state::{Event, State};

/// The event that makes `base_output_dir`, and the checkpoints below it, those of the directory in which the run is now.
/// `None` when it is where it was.
///
/// A checkpoint is followed only to a place where it is: one that was left behind stays recorded as it was.
pub fn relocated(state: &State, directory: &Path) -> Option<Event> {
    let old = Path::new(state.get("metadata", "base_output_dir").filter(|old| !old.is_empty())?);
    if is_same(old, directory) {
        return None;
    }
    let follow = |path: &str| {
        let moved = directory.join(Path::new(path).strip_prefix(old).ok()?);
        moved.exists().then(|| moved.to_string_lossy().into_owned())
    };
    let mut event = Event::new("relocated").set("metadata", "base_output_dir", directory.to_string_lossy());
    for (key, value) in state.section("checkpoints") {
        let followed = if key == "checkpoint_path" {
            follow(value)
        } else {
            manifest_followed(value, follow)
        };
        if let Some(value) = followed {
            event = event.set("checkpoints", key, value);
        }
    }
    Some(event)
}

fn manifest_followed(text: &str, follow: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut manifest: Manifest = serde_json::from_str(text).ok()?;
    manifest.path = follow(&manifest.path)?;
    serde_json::to_string(&manifest).ok()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
