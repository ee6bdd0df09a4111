//! What a completed phase was made from, and what of it has changed since: why it is stale.
//!
//! Pure data and a comparison. The files are read by `run`, the script's text by `script`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

/// What the text of a body comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Code {
    /// A hash of the text without comments and layout; `None` when the text is not known.
    pub text: Option<String>,
    /// The script functions that it reaches, and a hash of each.
    pub functions: BTreeMap<String, String>,
}

/// What the script says of a phase's body, as far as a change of it can be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Its text. Phases that a loop declares share it.
    pub code: Arc<Code>,
    /// What it captured, by path (`p.lr`): the value as JSON, or `#` and a hash where the value may be a secret or is long.
    /// In the order of the paths, each once: a map would take half a kilobyte for one value.
    pub captured: Vec<(String, String)>,
    /// Parameters that stand behind captured variables.
    pub parameters: Vec<String>,
}

/// The files that some patterns match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Files {
    /// Each with its mark.
    Listed(BTreeMap<String, Mark>),
    /// Too many to list.
    Many {
        /// How many.
        count: usize,
        /// A hash over the names and marks of all.
        hash: String,
    },
}

/// What a file was: size in bytes, time of change in nanoseconds since 1970, and a hash of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(pub u64, pub i64, pub String);

/// What a phase was made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// When it was taken.
    pub at: Timestamp,
    /// [`Code::text`]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// [`Code::functions`]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, String>,
    /// The parameters it read, with their values. What a recovery policy set for one attempt does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// [`Body::captured`]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captured: BTreeMap<String, String>,
    /// The files of its `inputs`.
    #[serde(default, skip_serializing_if = "Files::are_none")]
    pub inputs: Files,
    /// The files of its `outputs`.
    #[serde(default, skip_serializing_if = "Files::are_none")]
    pub outputs: Files,
}

/// What a [`Fingerprint`] of a phase that looks at no file says behind its time: the same members in the same order.
#[derive(Serialize)]
pub struct Made<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    functions: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<&'a str, Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_map")]
    captured: &'a [(String, String)],
}

fn as_map<S: Serializer>(entries: &&[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
}

impl<'a> Made<'a> {
    /// What a body comes to with these values of its parameters.
    pub fn of(body: &'a Body, params: BTreeMap<&'a str, Value>) -> Made<'a> {
        Made {
            text: body.code.text.as_deref(),
            functions: &body.code.functions,
            params,
            captured: &body.captured,
        }
    }

    /// Whether a fingerprint as it is recorded says just this, at whatever time it was taken. A run may have a hundred thousand,
    /// and reading them takes long. One that says the same in other words is not known.
    pub fn is_recorded(&self, fingerprint: &str) -> bool {
        let behind_time = || {
            let rest = fingerprint.strip_prefix(r#"{"at":""#)?.split_once('"')?.1;
            Some(rest.strip_prefix(',').unwrap_or(rest))
        };
        behind_time().is_some_and(|recorded| {
            let mut expected = Expected {
                first: b"{",
                rest: recorded.as_bytes(),
            };
            serde_json::to_writer(&mut expected, self).is_ok() && expected.first.is_empty() && expected.rest.is_empty()
        })
    }
}

/// A text that is to be written, in two parts; it is an error to write anything else.
struct Expected<'a> {
    first: &'a [u8],
    rest: &'a [u8],
}

impl io::Write for Expected<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let part = if self.first.is_empty() {
            &mut self.rest
        } else {
            &mut self.first
        };
        let length = written.len().min(part.len());
        let (same, rest) = part.split_at(length);
        if same != &written[..length] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // When nothing is left none is taken, which is an error, too.
        *part = rest;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Files {
    fn are_none(&self) -> bool {
        matches!(self, Files::Listed(marks) if marks.is_empty())
    }
}

impl Default for Files {
    fn default() -> Files {
        Files::Listed(BTreeMap::new())
    }
}

/// One reason why a completed phase is stale.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The text of its body in the script.
    Text,
    /// The text of a script function that it calls, itself or through others.
    Function(String),
    /// A parameter that it read: its name, its value then and now (`None`: the script has no such parameter any more).
    Parameter(String, Value, Option<Value>),
    /// Something it captured: the variable, its value then and now, where those may be shown.
    Captured(String, Option<String>, Option<String>),
    /// A file it reads.
    Input(String, FileChange),
    /// A file it made.
    Output(String, FileChange),
    /// A phase it waits for, which has completed since it did.
    Newer(String),
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Its content is another.
    Changed,
    /// It is not there any more.
    Gone,
    /// It was not there.
    New,
}

impl Fingerprint {
    /// What has changed from here to `now`, in the order in which people look for it.
    pub fn causes(&self, now: &Fingerprint) -> Vec<Cause> {
        let mut causes = Vec::new();
        for (name, was) in &self.params {
            let is = now.params.get(name);
            if is != Some(was) {
                causes.push(Cause::Parameter(name.clone(), was.clone(), is.cloned()));
            }
        }
        // Without the text of one side nothing can be said about it.
        let rewritten = matches!((&self.text, &now.text), (Some(was), Some(is)) if was != is);
        for (name, was) in &self.captured {
            match now.captured.get(name) {
                Some(is) if is != was => {
                    let shown = |text: &String| (!text.starts_with('#')).then(|| text.clone());
                    causes.push(Cause::Captured(name.clone(), shown(was), shown(is)));
                }
                // Another text captures other things; that is said once.
                _ => {}
            }
        }
        file_causes(&self.inputs, &now.inputs, "inputs", true, Cause::Input, &mut causes);
        if rewritten {
            causes.push(Cause::Text);
        }
        let changed = |(name, was): &(&String, &String)| now.functions.get(*name).is_some_and(|is| is != *was);
        causes.extend(
            self.functions
                .iter()
                .filter(changed)
                .map(|(name, _)| Cause::Function(name.clone())),
        );
        file_causes(
            &self.outputs,
            &now.outputs,
            "outputs",
            false,
            Cause::Output,
            &mut causes,
        );
        causes
    }
}

fn file_causes(
    was: &Files,
    is: &Files,
    what: &str,
    new_counts: bool,
    cause: fn(String, FileChange) -> Cause,
    causes: &mut Vec<Cause>,
) {
    let (was, is) = match (was, is) {
        (Files::Listed(was), Files::Listed(is)) => (was, is),
        (was, is) if was != is => {
            causes.push(cause(format!("files ({} of the phase)", what), FileChange::Changed));
            return;
        }
        _ => return,
    };
    for (path, mark) in was {
        match is.get(path) {
            None => causes.push(cause(path.clone(), FileChange::Gone)),
            Some(now) if (now.0, &now.2) != (mark.0, &mark.2) => {
                causes.push(cause(path.clone(), FileChange::Changed));
            }
            Some(_) => {}
        }
    }
    for path in is.keys().filter(|path| new_counts && !was.contains_key(*path)) {
        causes.push(cause(path.clone(), FileChange::New));
    }
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileChange::Changed => "has changed",
            FileChange::Gone => "is gone",
            FileChange::New => "is new",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Text => f.write_str("its body in the script has changed"),
            Cause::Function(name) => write!(f, "function {name}, which it calls, has changed"),
            Cause::Parameter(name, was, Some(is)) => write!(f, "parameter {name} was {was}, is {is}"),
            Cause::Parameter(name, was, None) => write!(f, "parameter {name} (was {was}) is no more"),
            Cause::Captured(name, Some(was), Some(is)) => write!(f, "variable {name} was {was}, is {is}"),
            Cause::Captured(name, ..) => write!(f, "variable {name} has another value"),
            Cause::Input(path, change) => write!(f, "input {path} {change}"),
            Cause::Output(path, change) => write!(f, "output {path} {change}"),
            Cause::Newer(phase) => write!(f, "{phase}, which it waits for, has completed since"),
        }
    }
}

impl Cause {
    /// The cause for programs: `kind`, what it is about, and the words of [`fmt::Display`].
    pub fn to_json(&self) -> Value {
        let mut value = match self {
            Cause::Text => json!({ "kind": "text" }),
            Cause::Function(name) => json!({ "kind": "function", "name": name }),
            Cause::Parameter(name, was, is) => json!({ "kind": "parameter", "name": name, "was": was, "is": is }),
            Cause::Captured(name, was, is) => json!({ "kind": "variable", "name": name, "was": was, "is": is }),
            Cause::Input(path, _) => json!({ "kind": "input", "path": path }),
            Cause::Output(path, _) => json!({ "kind": "output", "path": path }),
            Cause::Newer(phase) => json!({ "kind": "phase", "name": phase }),
        };
        value["text"] = self.to_string().into();
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        let marks = list
            .iter()
            .map(|(path, hash)| (path.to_string(), Mark(1, 0, hash.to_string())));
        Files::Listed(marks.collect())
    }

    fn said(was: &Fingerprint, is: &Fingerprint) -> Vec<String> {
        was.causes(is).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_has_not_changed_is_no_cause_whenever_it_was_taken() {
        let was = Fingerprint {
            text: Some("a".into()),
            params: BTreeMap::from([("lr".into(), json!(0.1))]),
            inputs: files(&[("x", "1")]),
            ..Fingerprint::default()
        };
        let is = Fingerprint {
            at: Timestamp::now(),
            ..was.clone()
        };
        assert_eq!(was.causes(&is), []);
    }

    #[test]
    fn a_fingerprint_is_recorded_as_what_its_body_comes_to_and_of_another_body_it_is_not() {
        let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
            entries
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        let body = |text: Option<&str>, functions: &[(&str, &str)], captured: &[(&str, &str)]| Body {
            code: Arc::new(Code {
                text: text.map(String::from),
                functions: map(functions),
            }),
            captured: map(captured).into_iter().collect(),
            parameters: vec![],
        };
        let cases = [
            (body(None, &[], &[]), None),
            (body(Some("a"), &[], &[]), None),
            (body(Some("a"), &[("f", "1"), ("g", "2")], &[]), None),
            (
                body(Some("a"), &[], &[("k", "1"), ("z", "#\"")]),
                Some(json!([0.1, "x"])),
            ),
            (body(Some("b"), &[("f", "1")], &[("k", "1")]), Some(json!(1))),
        ];
        fn recorded(body: &Body, lr: &Option<Value>) -> String {
            let fingerprint = Fingerprint {
                at: Timestamp::now(),
                text: body.code.text.clone(),
                functions: body.code.functions.clone(),
                params: lr.iter().map(|lr| ("lr".into(), lr.clone())).collect(),
                captured: body.captured.iter().cloned().collect(),
                ..Fingerprint::default()
            };
            serde_json::to_string(&fingerprint).expect("it is JSON")
        }
        for (one, case) in cases.iter().enumerate() {
            let params = || case.1.iter().map(|lr| ("lr", lr.clone())).collect();
            assert!(
                Made::of(&case.0, params()).is_recorded(&recorded(&case.0, &case.1)),
                "{one}"
            );
            for (other, (body, lr)) in cases.iter().enumerate().filter(|(other, _)| *other != one) {
                assert!(
                    !Made::of(&case.0, params()).is_recorded(&recorded(body, lr)),
                    "{one} {other}"
                );
            }
            let mut with_files = recorded(&case.0, &case.1);
            with_files.insert_str(with_files.len() - 1, ",\"inputs\":{\"x\":[1,0,\"h\"]}");
            assert!(!Made::of(&case.0, params()).is_recorded(&with_files), "{one}");
        }
        assert!(!Made::of(&cases[0].0, BTreeMap::new()).is_recorded(""));
    }

    #[test]
    fn each_change_is_named_with_what_was_and_what_is() {
        let was = Fingerprint {
            text: Some("a".into()),
            params: BTreeMap::from([("lr".into(), json!(0.1)), ("old".into(), json!("x"))]),
            captured: BTreeMap::from([
                ("n".into(), "1".into()),
                ("key".into(), "#aa".into()),
                ("gone".into(), "1".into()),
            ]),
            inputs: files(&[("same", "1"), ("changed", "1"), ("gone", "1")]),
            outputs: files(&[("made", "1")]),
            ..Fingerprint::default()
        };
        let is = Fingerprint {
            text: Some("b".into()),
            params: BTreeMap::from([("lr".into(), json!(0.2))]),
            captured: BTreeMap::from([("n".into(), "2".into()), ("key".into(), "#bb".into())]),
            inputs: files(&[("same", "1"), ("changed", "2"), ("new", "1")]),
            outputs: files(&[("other", "1")]),
            ..Fingerprint::default()
        };
        assert_eq!(
            said(&was, &is),
            [
                "parameter lr was 0.1, is 0.2",
                "parameter old (was \"x\") is no more",
                "variable key has another value",
                "variable n was 1, is 2",
                "input changed has changed",
                "input gone is gone",
                "input new is new",
                "its body in the script has changed",
                "output made is gone",
            ]
        );
    }

    #[test]
    fn a_text_that_is_not_known_on_one_side_says_nothing() {
        let was = Fingerprint {
            text: Some("a".into()),
            ..Fingerprint::default()
        };
        assert_eq!(was.causes(&Fingerprint::default()), []);
    }

    #[test]
    fn a_fingerprint_reads_back_as_it_was_written() {
        let many = Files::Many {
            count: 1000,
            hash: "ab".into(),
        };
        let print = Fingerprint {
            inputs: many,
            outputs: files(&[("x", "1")]),
            ..Fingerprint::default()
        };
        let text = serde_json::to_string(&print).expect("JSON");
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).expect("the same"), print);
    }
}
