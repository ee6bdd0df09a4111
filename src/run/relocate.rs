//! A run directory that was moved or copied: what lies in it is used from where it is now.

use std::fs;
use std::path::{Path, PathBuf};

use super::begin::new_run_id;
use super::{Manifest, STATE_FILE};
use crate::state::{Event, State, read};

/// A run that is not where it was.
#[derive(Debug)]
pub struct Relocated {
    /// What makes `base_output_dir`, and the checkpoints below it, those of the directory in which the run is now; and of a copy a
    /// run of its own, with a `run_id` of its own.
    pub event: Event,
    /// Where the original is, when this is a copy.
    pub copy_of: Option<PathBuf>,
}

/// What is to be recorded of a run that is not where it was; `None` when it is.
///
/// A checkpoint is followed only to a place where it is: one that was left behind stays recorded as it was.
pub fn relocated(state: &State, directory: &Path) -> Option<Relocated> {
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
    let run_id = |state: &State| state.get("metadata", "run_id").map(str::to_owned);
    // Another run may have taken the place of one that was moved.
    let is_original = read(&old.join(STATE_FILE)).is_ok_and(|there| run_id(&there) == run_id(state));
    let copy_of = is_original.then(|| old.to_owned());
    if copy_of.is_some() {
        event = event.set("metadata", "run_id", new_run_id(directory));
    }
    Some(Relocated { event, copy_of })
}

fn manifest_followed(text: &str, follow: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut manifest: Manifest = serde_json::from_str(text).ok()?;
    manifest.path = follow(&manifest.path)?;
    serde_json::to_string(&manifest).ok()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
