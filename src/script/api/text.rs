//! `quote(text)`, `which(name)` and `now(format)`

use std::sync::Arc;

use rhai::{Array, Dynamic, Module};

use super::options::words_of;
use super::{Outcome, define};
use crate::script::fault::mistake;
use crate::script::shared::Shared;

const QUOTE: &str = "A text, or a list of texts, quoted for the shell. Throws for a text with a NUL character.";
const WHICH: &str = "The path of a program that `PATH` finds, or `()`.";

const NOW: &str =
    "The local time, written with a strftime format: `now(\"%Y%m%d_%H%M%S\")`. Throws for a format that is none.";

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    define(
        module,
        "quote",
        &["text: string", "string"],
        QUOTE,
        |text: &str| -> Outcome<String> { quoted(text) },
    );
    define(
        module,
        "quote",
        &["words: array", "string"],
        QUOTE,
        |words: Array| -> Outcome<String> {
            let words = words_of("quote", words)?
                .iter()
                .map(|w| quoted(w))
                .collect::<Outcome<Vec<_>>>()?;
            Ok(words.join(" "))
        },
    );
    define(
        module,
        "which",
        &["program: string", "?"],
        WHICH,
        |program: &str| -> Dynamic {
            which::which(program).map_or(Dynamic::UNIT, |path| path.to_string_lossy().into_owned().into())
        },
    );
    define(
        module,
        "now",
        &["format: string", "string"],
        NOW,
        |format: &str| -> Outcome<String> {
            jiff::fmt::strtime::format(format, &jiff::ZonedDateTime::now())
                .map_err(|error| mistake(format!("now: {error}")))
        },
    );
}

fn quoted(text: &str) -> Outcome<String> {
    let quoted = shlex::try_quote(text).map_err(|_| mistake("quote: a NUL character cannot be given to a command"))?;
    Ok(quoted.into_owned())
}
