//! The modules that a run's script imported: their text beside the copy of the script, as `modules.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::STATE_FILE;
use crate::state::private_directory;

const FILE: &str = "modules.json";

/// A module that a script imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedModule {
    /// Its file, seen from the script's directory; one of jumar's own has its name (`std/cli`).
    pub name: String,
    /// A hash of its text.
    pub hash: String,
    /// Its text; `None` for jumar's own, which the version of jumar and the hash tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl ImportedModule {
    /// A module of the user's, with its text.
    pub fn new(name: impl Into<String>, text: &str) -> ImportedModule {
        ImportedModule {
            text: Some(text.into()),
            ..ImportedModule::embedded(name, text)
        }
    }

    /// A module of jumar's own.
    pub fn embedded(name: impl Into<String>, text: &str) -> ImportedModule {
        ImportedModule {
            name: name.into(),
            hash: blake3::hash(text.as_bytes()).to_hex()[..16].to_string(),
            text: None,
        }
    }
}

/// The modules that a run imported; `None` when it recorded none, as runs of older versions did.
pub fn imported_modules(state_file: &Path) -> Option<Vec<ImportedModule>> {
    let text = std::fs::read(private_directory(state_file).join(FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps modules beside a run's state. What earlier starts imported and this one has not (yet) stays: a phase that is complete
/// is not gone through again. As with the copy of the script, a run is not worth less where it cannot be written.
pub fn keep_modules(directory: &Path, modules: &[ImportedModule]) {
    let state_file = directory.join(STATE_FILE);
    let earlier = imported_modules(&state_file);
    let mut all = earlier.clone().unwrap_or_default();
    all.retain(|old| modules.iter().all(|new| new.name != old.name));
    all.extend(modules.iter().cloned());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if earlier.as_ref() == Some(&all) {
        return;
    }
    let path = private_directory(&state_file).join(FILE);
    let fresh = path.with_extension("new");
    let _ = serde_json::to_string_pretty(&all)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(&fresh, text))
        .and_then(|()| std::fs::rename(&fresh, &path));
}
