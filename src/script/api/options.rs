//! Options: the map that many primitives take, read by hand so that each message names the option and what it wants.

use std::path::PathBuf;
use std::time::Duration;

use rhai::{Array, Dynamic, FnPtr, Map};

use super::Outcome;
use crate::plan::{nearest, parse_duration};
use crate::script::fault::mistake;
use crate::script::values::type_in_words;

/// An option map under examination.
pub(super) struct Options {
    owner: &'static str,
    map: Map,
}

impl Options {
    /// Checks the names; `known` are those that `owner` takes, `later` those that a later version will.
    pub(super) fn new(owner: &'static str, map: Map, known: &[&str], later: &[&str]) -> Outcome<Options> {
        for name in map.keys() {
            if later.contains(&name.as_str()) {
                return Err(mistake(format!(
                    "{owner}: the option `{name}` is not in this version of jumar yet"
                )));
            }
            if !known.contains(&name.as_str()) {
                let near = nearest(name, known.iter().copied()).map_or_else(
                    || format!("; it takes {}", known.join(", ")),
                    |n| format!("; did you mean `{n}`?"),
                );
                return Err(mistake(format!("{owner} has no option `{name}`{near}")));
            }
        }
        Ok(Options { owner, map })
    }

    /// Whether none is given, or left to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn take(&mut self, name: &str) -> Option<Dynamic> {
        self.map.remove(name).map(|v| v.flatten()).filter(|v| !v.is_unit())
    }

    fn wrong(&self, name: &str, wanted: &str, value: &Dynamic) -> Box<rhai::EvalAltResult> {
        mistake(format!(
            "{}: `{name}` must be {wanted}, not {}",
            self.owner,
            type_in_words(value)
        ))
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Outcome<Option<String>> {
        self.take(name)
            .map(|v| v.clone().into_string().map_err(|_| self.wrong(name, "a text", &v)))
            .transpose()
    }

    /// A path.
    pub(super) fn path(&mut self, name: &str) -> Outcome<Option<PathBuf>> {
        Ok(self.text(name)?.map(PathBuf::from))
    }

    /// True or false.
    pub(super) fn switch(&mut self, name: &str) -> Outcome<Option<bool>> {
        self.take(name)
            .map(|v| v.as_bool().map_err(|_| self.wrong(name, "true or false", &v)))
            .transpose()
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self, name: &str) -> Outcome<Option<usize>> {
        let value = self.take(name);
        let read = |v: Dynamic| {
            v.as_int()
                .ok()
                .and_then(|i| usize::try_from(i).ok())
                .ok_or_else(|| self.wrong(name, "a whole number from 0", &v))
        };
        value.map(read).transpose()
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str) -> Outcome<Option<i64>> {
        self.take(name)
            .map(|v| v.as_int().map_err(|_| self.wrong(name, "a whole number", &v)))
            .transpose()
    }

    /// A duration: seconds or a text like "10m".
    pub(super) fn duration(&mut self, name: &str) -> Outcome<Option<Duration>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        duration_of(&value)
            .map(Some)
            .map_err(|why| mistake(format!("{}: `{name}`: {why}", self.owner)))
    }

    /// A name or a list of names.
    pub(super) fn names(&mut self, name: &str) -> Outcome<Vec<String>> {
        let Some(value) = self.take(name) else {
            return Ok(vec![]);
        };
        let wrong = || self.wrong(name, "a name or a list of names", &value);
        if value.is_string() {
            return Ok(vec![value.clone().into_string().map_err(|_| wrong())?]);
        }
        let list = value.clone().into_array().map_err(|_| wrong())?;
        list.into_iter()
            .map(|item| item.flatten().into_string().map_err(|_| wrong()))
            .collect()
    }

    /// Variables: a map in which `()` removes one.
    pub(super) fn environment(&mut self, name: &str) -> Outcome<Vec<(String, Option<String>)>> {
        let Some(value) = self.take(name) else {
            return Ok(vec![]);
        };
        let map = value
            .clone()
            .try_cast::<Map>()
            .ok_or_else(|| self.wrong(name, "a map of variables", &value))?;
        map.into_iter()
            .map(|(key, item)| Ok((key.to_string(), variable_of(&key, &item)?)))
            .collect()
    }

    /// A function.
    pub(super) fn function(&mut self, name: &str) -> Outcome<Option<FnPtr>> {
        self.take(name)
            .map(|v| {
                v.clone()
                    .try_cast::<FnPtr>()
                    .ok_or_else(|| self.wrong(name, "a function", &v))
            })
            .transpose()
    }

    /// A map of anything.
    pub(super) fn map(&mut self, name: &str) -> Outcome<Map> {
        let Some(value) = self.take(name) else {
            return Ok(Map::new());
        };
        value
            .clone()
            .try_cast::<Map>()
            .ok_or_else(|| self.wrong(name, "a map", &value))
    }
}

/// A duration from seconds or a text.
pub(super) fn duration_of(value: &Dynamic) -> Result<Duration, String> {
    let text = match (value.as_int(), value.as_float()) {
        (Ok(seconds), _) => seconds.to_string(),
        (_, Ok(seconds)) => seconds.to_string(),
        _ => value.clone().into_string().map_err(|_| {
            format!(
                "a duration is seconds or a text like \"10m\", not {}",
                type_in_words(value)
            )
        })?,
    };
    parse_duration(&text).map_err(|e| e.to_string())
}

/// The value of a variable: any scalar, or `()` for none.
pub(super) fn variable_of(name: &str, value: &Dynamic) -> Outcome<Option<String>> {
    let value = value.flatten_clone();
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(mistake(format!("`{name}` cannot be a variable's name")));
    }
    if value.is_unit() {
        return Ok(None);
    }
    word_of(&value).map(Some).ok_or_else(|| {
        mistake(format!(
            "the variable {name} must be a text or a number, not {}",
            type_in_words(&value)
        ))
    })
}

/// A scalar as the word of a command line; `None` for anything else.
pub(super) fn word_of(value: &Dynamic) -> Option<String> {
    let scalar = value.is_string() || value.is_int() || value.is_float() || value.is_bool() || value.is_char();
    scalar.then(|| value.to_string()).filter(|text| !text.contains('\0'))
}

/// A list of scalars as words.
pub(super) fn words_of(owner: &str, list: Array) -> Outcome<Vec<String>> {
    let words = list.into_iter().enumerate().map(|(place, item)| {
        let item = item.flatten();
        word_of(&item).ok_or_else(|| {
            mistake(format!(
                "{owner}: word {} of the command must be a text or a number, not {}",
                place + 1,
                type_in_words(&item)
            ))
        })
    });
    words.collect()
}
