//! `--params FILE`: TOML, YAML, JSON or INI, by the file's ending.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::CliError;

/// Reads a file of parameters by its ending.
pub(super) fn read_parameters(path: &Path) -> Result<(PathBuf, Map<String, Value>), CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| CliError::usage(format!("--params: cannot read {}: {e}", path.display())))?;
    let bad = |why: String| CliError::usage(format!("--params: {}: {why}", path.display()));
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let data: Value = match ending.as_str() {
        "json" => serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?,
        "yaml" | "yml" => serde_yaml_ng::from_str(&text).map_err(|e| bad(e.to_string()))?,
        "toml" => {
            let table: toml::Table = toml::from_str(&text).map_err(|e| bad(e.to_string().trim_end().to_string()))?;
            serde_json::to_value(table).map_err(|e| bad(e.to_string()))?
        }
        "ini" => {
            let options = ini::ParseOption {
                enabled_quote: false,
                enabled_escape: false,
                ..ini::ParseOption::default()
            };
            let file = ini::Ini::load_from_str_opt(&text, options).map_err(|e| bad(e.to_string()))?;
            let pairs = file.iter().flat_map(|(_, section)| section.iter());
            Value::Object(
                pairs
                    .map(|(k, v)| (k.to_string(), Value::String(v.to_string())))
                    .collect(),
            )
        }
        _ => return Err(bad("its name must end in .toml, .yaml, .json or .ini".into())),
    };
    match data {
        Value::Object(map) => Ok((path.into(), map)),
        _ => Err(bad("it must be a map of names and values".into())),
    }
}
