//! A script's text: read from a file, or carried by the binary.

use std::io;
use std::path::Path;

use super::diagnostics::ScriptError;
use super::embedded::{STOCK_NAME, stock_script};
use crate::plan::nearest;
use crate::run::STATE_FILE;
use crate::ui::shell_quote;

/// A script's text and what it is called.
#[derive(Clone, Debug)]
pub struct ScriptSource {
    /// The name in messages: the path as the user typed it, or the stock pipeline's.
    pub name: String,
    /// The text.
    pub text: String,
}

impl ScriptSource {
    /// The pipeline that the binary carries.
    pub fn stock() -> ScriptSource {
        ScriptSource {
            name: STOCK_NAME.into(),
            text: stock_script(STOCK_NAME).unwrap_or_default().into(),
        }
    }

    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`] when the file cannot be read or is no text, with what may have been meant.
    pub fn read(path: &str) -> Result<ScriptSource, ScriptError> {
        let cannot = |why: &str| ScriptError::plain(format!("cannot read the script {path}: {why}"));
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => match similar(Path::new(path)) {
                Some(near) => cannot("there is no such file").help(format!("did you mean {near}?")),
                None => cannot("there is no such file"),
            },
            io::ErrorKind::IsADirectory => cannot("it is a directory").help(inside(Path::new(path))),
            _ => cannot(&error.to_string()),
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|e| cannot(&format!("it is not UTF-8 (byte {})", e.utf8_error().valid_up_to())))?;
        Ok(ScriptSource {
            name: path.into(),
            text,
        })
    }

    /// Whether this is the pipeline that the binary carries.
    pub fn is_stock(&self) -> bool {
        self.name == STOCK_NAME
    }

    /// A hash of the text, 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex()[..16].to_string()
    }
}

/// The scripts in a directory, by name.
fn scripts_in(directory: &Path) -> Vec<String> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names.filter(|name| name.ends_with(".rhai")).collect();
    found.sort();
    found
}

/// A script beside it whose name is nearly the same.
fn similar(path: &Path) -> Option<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name()?.to_string_lossy();
    let near = nearest(&name, scripts_in(folder).iter().map(String::as_str))?;
    Some(folder.join(near).to_string_lossy().into_owned())
}

/// What to do with a directory.
fn inside(directory: &Path) -> String {
    if directory.join(STATE_FILE).is_file() {
        return format!(
            "it holds a run: jumar resume {}",
            shell_quote(&directory.to_string_lossy())
        );
    }
    match scripts_in(directory).as_slice() {
        [] => "name a script; `jumar new` writes one to begin with".into(),
        found => {
            let paths = found.iter().take(5).map(|name| directory.join(name));
            let named: Vec<String> = paths.map(|p| shell_quote(&p.to_string_lossy()).to_string()).collect();
            format!("name a script in it: {}", named.join(", "))
        }
    }
}
