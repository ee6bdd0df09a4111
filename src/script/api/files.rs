//! `read_json`, `read_text`, `exists`, `newest`, `glob`

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::{Array, Dynamic, Module};

use super::{Outcome, define};
use crate::script::current;
use crate::script::fault::{mistake, raise};
use crate::script::shared::Shared;
use crate::script::values::from_data;

const READ_JSON: &str =
    "The contents of a JSON file as maps, lists, texts and numbers. A relative path is taken from the phase's `cwd`.
Throws `not_found`, `permission`, or `script` with line and column when it is no JSON.";
const READ_TEXT: &str = "The contents of a UTF-8 text file. A relative path is taken from the phase's `cwd`. Throws `not_found` or `permission`.";
const EXISTS: &str = "Whether a file or directory exists.";
const GLOB: &str = "The paths that match a pattern (`*`, `?`, `[a-z]`, `**`), in natural order: epoch9 before epoch10. Throws when the pattern is none.";
const NEWEST: &str = "The path that matches a pattern and was modified last; of equals, the last in natural order. `()` when none matches.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(
        module,
        "read_json",
        &["path: string", "?"],
        READ_JSON,
        |path: &str| -> Outcome<Dynamic> {
            let text = read(path)?;
            let data: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| mistake(format!("{path} is no JSON: {error}")))?;
            Ok(from_data(&data))
        },
    );
    define(module, "read_text", &["path: string", "string"], READ_TEXT, read);
    define(
        module,
        "exists",
        &["path: string", "bool"],
        EXISTS,
        |path: &str| -> bool { here(path).exists() },
    );
    define(
        module,
        "glob",
        &["pattern: string", "array"],
        GLOB,
        |pattern: &str| -> Outcome<Array> {
            Ok(matching(pattern)?.into_iter().map(|(shown, _)| shown.into()).collect())
        },
    );
    define(
        module,
        "newest",
        &["pattern: string", "?"],
        NEWEST,
        |pattern: &str| -> Outcome<Dynamic> {
            let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
            // Of equals `max_by_key` takes the last one.
            let newest = matching(pattern)?.into_iter().max_by_key(|(_, path)| age(path));
            let missed = newest.is_none().then(|| pattern.to_string());
            MISSED.with(|slot| *slot.borrow_mut() = missed);
            Ok(newest.map_or(Dynamic::UNIT, |(shown, _)| shown.into()))
        },
    );
}

thread_local! {
    /// The pattern for which `newest` found nothing, when it was asked last.
    static MISSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A path that would have matched what `newest` was asked last and did not find.
pub(super) fn would_match() -> Option<String> {
    MISSED.with(|slot| slot.borrow_mut().take()).map(|p| example(&p))
}

/// The shortest path that a pattern matches, with `1` for what may be anything.
fn example(pattern: &str) -> String {
    let mut path = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                path.push('1');
            }
            '?' => path.push('1'),
            '[' => {
                path.extend(rest.next());
                while rest.next().is_some_and(|c| c != ']') {}
            }
            other => path.push(other),
        }
    }
    path
}

/// A path as the phase's commands would see it.
pub(super) fn here(path: &str) -> PathBuf {
    let directory = current::with(|attempt| attempt.and_then(|a| a.phase.options.cwd.clone()));
    directory.map_or_else(|| PathBuf::from(path), |d| d.join(path))
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(here(path)).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => "not_found",
            io::ErrorKind::PermissionDenied => "permission",
            _ => "script",
        };
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_string(),
            _ => error.to_string(),
        };
        raise(kind, format!("cannot read {path}: {why}"))
    })
}

/// Matching paths as they are to be shown and as they are to be opened, in natural order.
fn matching(pattern: &str) -> Outcome<Vec<(String, PathBuf)>> {
    let base = here("");
    let full = if base.as_os_str().is_empty() {
        pattern.to_string()
    } else {
        base.join(pattern).to_string_lossy().into_owned()
    };
    let paths = glob::glob(&full).map_err(|error| mistake(format!("`{pattern}` is no pattern: {error}")))?;
    let shown = |path: &Path| path.strip_prefix(&base).unwrap_or(path).to_string_lossy().into_owned();
    let mut found: Vec<(String, PathBuf)> = paths.filter_map(Result::ok).map(|p| (shown(&p), p)).collect();
    found.sort_by_cached_key(|(name, _)| natural(name));
    Ok(found)
}

/// A key under which numbers inside names count as numbers.
fn natural(name: &str) -> Vec<(String, u64, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, after) = rest.split_at(letters);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(digits);
        parts.push((
            text.to_string(),
            if number.is_empty() {
                0
            } else {
                number.parse().unwrap_or(u64::MAX)
            },
            number.to_string(),
        ));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{example, natural};

    #[test]
    fn an_example_of_a_pattern_is_matched_by_it() {
        for (pattern, path) in [
            ("ckpt/epoch*", "ckpt/epoch1"),
            ("a/**/b?.[jp]son", "a/1/b1.json"),
            ("plain", "plain"),
        ] {
            assert_eq!(example(pattern), path);
            assert!(
                glob::Pattern::new(pattern).expect("a pattern").matches(path),
                "{pattern}"
            );
        }
    }

    #[test]
    fn epoch_9_comes_before_epoch_10() {
        let mut names = ["epoch10", "epoch9", "epoch010x", "a", "epoch"];
        names.sort_by_key(|n| natural(n));
        assert_eq!(names, ["a", "epoch", "epoch9", "epoch010x", "epoch10"]);
    }
}
