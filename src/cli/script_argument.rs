//! The word after `run`: a script, or a mode of the stock pipeline.

use std::path::Path;

use super::error::CliError;
use crate::plan::{RawOption, nearest};
use crate::script::STOCK_MODES;

/// The script that the word names. A mode of the stock pipeline is none: it becomes the parameter `mode`.
pub(super) fn script_of<'a>(word: Option<&'a str>, raw: &mut Vec<RawOption>) -> Result<Option<&'a str>, CliError> {
    let Some(mode) = word.filter(|w| !w.ends_with(".rhai") && !Path::new(w).exists()) else {
        return Ok(word);
    };
    if !STOCK_MODES.contains(&mode) {
        let near = nearest(mode, STOCK_MODES.iter().copied())
            .map(|n| format!("; did you mean `{n}`?"))
            .unwrap_or_default();
        return Err(CliError::usage(format!(
            "there is no script `{mode}`, and it is no mode of the stock pipeline{near}"
        ))
        .hint(format!("modes are {}", STOCK_MODES.join(", "))));
    }
    raw.push(RawOption {
        name: "mode".into(),
        inline: Some(mode.into()),
        following: None,
    });
    Ok(None)
}
