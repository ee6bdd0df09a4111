//! `bundled(name)`: programs that come with jumar, unpacked where a run can start them.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::Module;

use super::{Outcome, define};
use crate::run::{Mode, kind_of};
use crate::script::current;
use crate::script::embedded::bundle;
use crate::script::fault::{mistake, raise};
use crate::script::shared::Shared;

const DOCS: &str = "The directory with a bundle of programs that jumar carries (`\"small\"`, the experiment of the stock pipeline). They are unpacked into the run's own files when a
phase asks for them; while planning and in a dry run only the path is returned. Throws for an unknown name, or when they cannot be written.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "bundled",
        &["name: string", "string"],
        DOCS,
        move |name: &str| -> Outcome<String> {
            let files = bundle(name).ok_or_else(|| mistake(format!("no bundle is called `{name}`")))?;
            let run = known
                .session
                .directory
                .path()
                .map_err(|e| raise("script", e.to_string()))?;
            let directory = run.join(".experiment_state.d").join(name);
            if known.session.mode == Mode::Live && current::attempt().is_some() {
                unpack(&directory, files).map_err(|e| {
                    raise(
                        kind_of(&e),
                        format!("cannot unpack `{name}` into {}: {e}", directory.display()),
                    )
                })?;
            }
            Ok(directory.to_string_lossy().into_owned())
        },
    );
}

/// Writes what is missing or different; a file that another phase runs just now is replaced, never written into.
fn unpack(directory: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    // Phases side by side ask for the same bundle; a run has one host.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, text) in files {
        let path = directory.join(name);
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let fresh = directory.join(format!(".{}.{}", name.replace('/', "_"), std::process::id()));
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &path)?;
    }
    Ok(())
}
