//! Parameters: what a script asks for with `param(...)`, and where each value came from.

use std::fmt;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::graph::nearest;
use super::parameter_value::{as_bool, conform, expected, read};

/// Where a parameter's value came from, strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterSource {
    /// `--batch-size 4`
    Option,
    /// `-p batch_size=4`
    Pair,
    /// `--params FILE`
    File(PathBuf),
    /// `BATCH_SIZE=4` in the environment.
    Environment(String),
    /// What the run that is resumed had.
    Recorded,
    /// What the script says.
    Default,
}

impl fmt::Display for ParameterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParameterSource::Option => f.write_str("option"),
            ParameterSource::Pair => f.write_str("-p"),
            ParameterSource::File(path) => write!(f, "file {}", path.display()),
            ParameterSource::Environment(name) => write!(f, "environment {name}"),
            ParameterSource::Recorded => f.write_str("recorded"),
            ParameterSource::Default => f.write_str("default"),
        }
    }
}

/// An option of the command line that is not jumar's own: a parameter, if the script has one of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOption {
    /// As typed, without the dashes.
    pub name: String,
    /// What stood behind `=`.
    pub inline: Option<String>,
    /// The word after it, which is its value unless it is a switch.
    pub following: Option<String>,
}

/// Everything that people and files say about parameters, before the script has asked.
#[derive(Default)]
pub struct Provided {
    /// `--name value` and `--switch`.
    pub options: Vec<RawOption>,
    /// `-p name=value`; the last of a name counts.
    pub pairs: Vec<(String, String)>,
    /// The file of `--params`, and what is in it.
    pub file: Option<(PathBuf, Map<String, Value>)>,
    /// Looks a variable up in the environment.
    pub environment: Option<fn(&str) -> Option<String>>,
    /// What the resumed run recorded.
    pub recorded: Map<String, Value>,
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The value that counts.
    pub value: Value,
    /// Where it came from.
    pub source: ParameterSource,
    /// The script's default.
    pub default: Value,
    /// What it is for.
    pub help: Option<String>,
    /// What the resumed run had, when that is something else.
    pub changed_from: Option<Value>,
}

/// A parameter that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// A value of the wrong type.
    #[error("parameter `{name}` must be {expected}, not `{found}` (from {from})")]
    WrongType {
        /// The parameter.
        name: String,
        /// What it must be, in words.
        expected: String,
        /// What was given.
        found: String,
        /// Where that was given.
        from: String,
    },
    /// An option without a value.
    #[error("`--{option}` needs a value: {expected}")]
    NoValue {
        /// The option as typed.
        option: String,
        /// What it must be, in words.
        expected: String,
    },
    /// What the script itself refuses.
    #[error("{why}")]
    Refused {
        /// What is wrong, in the script's words.
        why: String,
    },
    /// A name that cannot be an option and a variable.
    #[error("`{name}` cannot be a parameter's name: {why}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Declared twice with different defaults.
    #[error("parameter `{name}` is declared twice, with the defaults {first} and {second}")]
    TwoDefaults {
        /// The name.
        name: String,
        /// The first default.
        first: String,
        /// The second.
        second: String,
    },
    /// Options that no parameter claimed.
    #[error("{what} is no option of jumar and no parameter of the script{}", near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unclaimed {
        /// What was typed.
        what: String,
        /// What is close.
        near: Option<String>,
    },
}

/// Variables that every shell sets: a parameter of that name would never have its default.
const SHELL_VARIABLES: &[&str] = &[
    "PATH", "HOME", "USER", "SHELL", "LANG", "TERM", "PWD", "OLDPWD", "LOGNAME", "HOSTNAME", "TMPDIR", "EDITOR",
    "VISUAL", "DISPLAY", "MAIL", "SHLVL", "UID", "EUID", "PPID", "COLUMNS", "LINES", "IFS", "PAGER", "HOST",
];

/// The parameters of a script, in the order of their declaration.
#[derive(Default)]
pub struct Parameters {
    provided: Provided,
    declared: IndexMap<String, Parameter>,
    claimed: Vec<bool>,
    /// Words that followed a switch and turned out not to be its value.
    stray: Vec<String>,
}

impl Parameters {
    /// No parameter is declared yet.
    pub fn new(provided: Provided) -> Parameters {
        let claimed = vec![false; provided.options.len()];
        Parameters {
            provided,
            claimed,
            ..Parameters::default()
        }
    }

    /// Declares a parameter and decides its value.
    ///
    /// # Errors
    /// [`ParameterError`] when the name cannot be one, or a value does not have the default's type.
    pub fn declare(&mut self, name: &str, default: Value, help: Option<&str>) -> Result<&Parameter, ParameterError> {
        check_name(name)?;
        if let Some(known) = self.declared.get(name) {
            if known.default != default {
                return Err(ParameterError::TwoDefaults {
                    name: name.into(),
                    first: known.default.to_string(),
                    second: default.to_string(),
                });
            }
        } else {
            let (value, source) = self.decide(name, &default)?;
            let recorded = self.provided.recorded.get(name);
            let changed_from = recorded.filter(|r| **r != value).cloned();
            let parameter = Parameter {
                value,
                source,
                default,
                help: help.map(String::from),
                changed_from,
            };
            self.declared.insert(name.to_string(), parameter);
        }
        Ok(&self.declared[name])
    }

    fn decide(&mut self, name: &str, default: &Value) -> Result<(Value, ParameterSource), ParameterError> {
        let mut chosen = None;
        for (place, option) in self.provided.options.iter().enumerate() {
            if option.name.replace('-', "_") != name {
                continue;
            }
            self.claimed[place] = true;
            let text = match (&option.inline, &option.following, default) {
                (Some(text), following, _) => {
                    self.stray.extend(following.clone());
                    text.clone()
                }
                (None, Some(text), Value::Bool(_)) if as_bool(text).is_none() => {
                    self.stray.push(text.clone());
                    "true".into()
                }
                (None, None, Value::Bool(_)) => "true".into(),
                (None, Some(text), _) => text.clone(),
                (None, None, _) => {
                    return Err(ParameterError::NoValue {
                        option: option.name.clone(),
                        expected: expected(default),
                    });
                }
            };
            chosen = Some((
                read(name, &text, default, &format!("--{}", option.name))?,
                ParameterSource::Option,
            ));
        }
        if let Some(found) = chosen {
            return Ok(found);
        }
        if let Some((_, text)) = self
            .provided
            .pairs
            .iter()
            .rev()
            .find(|(n, _)| n.replace('-', "_") == name)
        {
            return Ok((read(name, text, default, "-p")?, ParameterSource::Pair));
        }
        if let Some((path, values)) = &self.provided.file
            && let Some(value) = values.get(name).or_else(|| values.get(&name.replace('_', "-")))
        {
            return Ok((
                conform(name, value, default, &path.display().to_string())?,
                ParameterSource::File(path.clone()),
            ));
        }
        let variable = name.to_uppercase();
        // An exported empty variable is what `${NAME:-default}` takes for unset, and so do the people who export it.
        if let Some(text) = self
            .provided
            .environment
            .and_then(|look_up| look_up(&variable))
            .filter(|t| !t.is_empty())
        {
            return Ok((
                read(name, &text, default, &format!("the environment variable {variable}"))?,
                ParameterSource::Environment(variable),
            ));
        }
        if let Some(value) = self.provided.recorded.get(name) {
            return Ok((
                conform(name, value, default, "the state file's [params]")?,
                ParameterSource::Recorded,
            ));
        }
        Ok((default.clone(), ParameterSource::Default))
    }

    /// A declared parameter.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.declared.get(name)
    }

    /// All that were declared, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.declared.iter().map(|(name, parameter)| (name.as_str(), parameter))
    }

    /// A value for a declared parameter, of its type. `from` says who gives it: a recovery policy for the next attempt, say.
    ///
    /// # Errors
    /// [`ParameterError::Unclaimed`] for one that is not declared, [`ParameterError::WrongType`] for a value that does not fit.
    pub fn conform(&self, name: &str, value: &Value, from: &str) -> Result<Value, ParameterError> {
        let known = self.declared.get(name).ok_or_else(|| ParameterError::Unclaimed {
            what: format!("`{name}`"),
            near: self.nearest(name),
        })?;
        conform(name, value, &known.default, from)
    }

    /// Checks that everything typed on the command line was claimed by a parameter.
    ///
    /// # Errors
    /// [`ParameterError::Unclaimed`] with a suggestion. `own` are jumar's own options, for the suggestion.
    pub fn check_all_claimed(&self, own: &[String]) -> Result<(), ParameterError> {
        if let Some(place) = self.claimed.iter().position(|c| !c) {
            let option = &self.provided.options[place];
            let options: Vec<String> = self
                .declared
                .keys()
                .map(|n| n.replace('_', "-"))
                .chain(own.iter().cloned())
                .collect();
            let near = nearest(&option.name, options.iter().map(String::as_str)).map(|n| format!("--{n}"));
            return Err(ParameterError::Unclaimed {
                what: format!("`--{}`", option.name),
                near,
            });
        }
        if let Some((name, _)) = self
            .provided
            .pairs
            .iter()
            .find(|(n, _)| !self.declared.contains_key(&n.replace('-', "_")))
        {
            return Err(ParameterError::Unclaimed {
                what: format!("`-p {name}`"),
                near: self.nearest(name),
            });
        }
        match self.stray.first() {
            Some(word) => Err(ParameterError::Unclaimed {
                what: format!("`{word}`"),
                near: None,
            }),
            None => Ok(()),
        }
    }

    /// Keys of the `--params` file that no parameter claimed.
    pub fn unknown_in_file(&self) -> Vec<(String, Option<String>)> {
        let keys = self.provided.file.iter().flat_map(|(_, values)| values.keys());
        let unknown = keys.filter(|k| !self.declared.contains_key(&k.replace('-', "_")));
        unknown.map(|k| (k.clone(), self.nearest(k))).collect()
    }

    /// The declared name that is closest to a mistyped one.
    pub fn nearest(&self, name: &str) -> Option<String> {
        nearest(&name.replace('-', "_"), self.declared.keys().map(String::as_str))
    }
}

fn check_name(name: &str) -> Result<(), ParameterError> {
    let bad = |why: String| Err(ParameterError::BadName { name: name.into(), why });
    let letters = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !letters || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return bad("use lower-case letters, digits and `_`, beginning with a letter".into());
    }
    let variable = name.to_uppercase();
    if SHELL_VARIABLES.contains(&variable.as_str()) {
        return bad(format!(
            "it would always be read from the shell's own variable {variable}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn option(name: &str, inline: Option<&str>, following: Option<&str>) -> RawOption {
        RawOption {
            name: name.into(),
            inline: inline.map(Into::into),
            following: following.map(Into::into),
        }
    }

    #[test]
    fn the_command_line_wins_over_pair_file_environment_record_and_default() {
        let mut provided = Provided {
            options: vec![option("batch-size", None, Some("1"))],
            pairs: vec![("batch_size".into(), "2".into())],
            file: Some(("p.toml".into(), Map::from_iter([("batch_size".into(), json!(3))]))),
            environment: Some(|name| (name == "BATCH_SIZE").then(|| "4".into())),
            recorded: Map::from_iter([("batch_size".into(), json!(5))]),
        };
        for expected in [1, 2, 3, 4, 5, 6] {
            let mut parameters = Parameters::new(Provided {
                options: provided.options.clone(),
                pairs: provided.pairs.clone(),
                file: provided.file.clone(),
                environment: provided.environment,
                recorded: provided.recorded.clone(),
            });
            let value = &parameters.declare("batch_size", json!(6), None).expect("fits").value;
            assert_eq!(value, &json!(expected));
            match expected {
                1 => provided.options.clear(),
                2 => provided.pairs.clear(),
                3 => provided.file = None,
                4 => provided.environment = None,
                _ => provided.recorded.clear(),
            }
        }
    }

    #[test]
    fn a_switch_leaves_the_word_behind_it_alone() {
        let provided = Provided {
            options: vec![option("skip-train", None, Some("oops"))],
            ..Provided::default()
        };
        let mut parameters = Parameters::new(provided);
        assert_eq!(
            parameters
                .declare("skip_train", json!(false), None)
                .expect("a switch")
                .value,
            json!(true)
        );
        let error = parameters.check_all_claimed(&[]).expect_err("the word is nobody's");
        assert!(error.to_string().starts_with("`oops`"), "{error}");
    }

    #[test]
    fn a_wrong_type_says_what_was_wanted_and_where_it_came_from() {
        let provided = Provided {
            environment: Some(|_| Some("many".into())),
            ..Provided::default()
        };
        let error = Parameters::new(provided)
            .declare("batch_size", json!(8), None)
            .expect_err("no number")
            .to_string();
        assert_eq!(
            error,
            "parameter `batch_size` must be a whole number, not `many` (from the environment variable BATCH_SIZE)"
        );
    }

    #[test]
    fn an_option_that_no_parameter_claims_is_answered_with_a_suggestion() {
        let mut parameters = Parameters::new(Provided {
            options: vec![option("batchsize", None, Some("4"))],
            ..Provided::default()
        });
        parameters.declare("batch_size", json!(8), None).expect("fits");
        let error = parameters
            .check_all_claimed(&["phase".into()])
            .expect_err("no such option")
            .to_string();
        assert!(error.ends_with("did you mean `--batch-size`?"), "{error}");
    }

    #[test]
    fn names_of_the_shells_own_variables_are_refused() {
        let error = Parameters::default()
            .declare("path", json!(""), None)
            .expect_err("PATH");
        assert!(error.to_string().contains("PATH"), "{error}");
        assert!(Parameters::default().declare("Batch", json!(1), None).is_err());
    }
}
