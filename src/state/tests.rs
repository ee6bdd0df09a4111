//! Laws of what reads the files that people, crashes and other programs leave, held on the corpus (`tests/corpus`),
//! on cheap mutations of it, and on worse files that a search makes of it.

mod documents;
mod merges;
mod segments;

/// Breaks a law unless something is so.
fn hold(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
}
