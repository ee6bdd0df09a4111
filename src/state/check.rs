//! From the bytes of a file to a document that is a state of a version this program knows.

use std::cmp::Ordering;
use std::path::Path;

use super::document::{Document, Fault};
use super::error::{StateError, SyntaxError};
use super::model::State;
use super::status::PhaseStatus;

/// The newest format this program knows; it reads every `3.2.x` and all before.
const KNOWN_VERSION: &str = "3.2.x";
const NEWEST: [u64; 2] = [3, 2];

/// Text of a line behind the fault that an error keeps, in bytes.
const CONTEXT: usize = 160;

/// Reads a file's bytes.
///
/// # Errors
/// [`StateError::Syntax`] for text that is no state file, [`StateError::NewerVersion`].
pub(super) fn understand(bytes: &[u8], path: &Path) -> Result<(Document, State), StateError> {
    let text = text_of(bytes).map_err(|fault| syntax_error(fault, path))?;
    let document = Document::parse(text).map_err(|fault| syntax_error(fault, path))?;
    let state = document.state();
    // A newer version may have other rules for everything else, so it is asked first.
    if let Some(version) = state.get("metadata", "version") {
        match compare_to_newest(version) {
            Some(Ordering::Greater) => {
                return Err(StateError::NewerVersion {
                    path: path.to_owned(),
                    found: version.to_owned(),
                    known: KNOWN_VERSION,
                });
            }
            Some(_) => {}
            None => {
                let what = format!("`{version}` is no version number");
                let remedy = "write a version such as `version=3.2.0`".to_owned();
                let fault = document.fault_in_value("metadata", "version", what, remedy);
                return Err(syntax_error(fault, path));
            }
        }
    }
    for (phase, word) in state.section("phases") {
        if let Err(unknown) = word.parse::<PhaseStatus>() {
            let fault = document.fault_in_value("phases", phase, unknown.to_string(), unknown.remedy());
            return Err(syntax_error(fault, path));
        }
    }
    Ok((document, state))
}

/// Why [`understand`] would refuse a file with this value, if it would.
pub(super) fn value_problem(section: &str, key: &str, value: &str) -> Option<String> {
    match (section, key) {
        ("phases", _) => match value.parse::<PhaseStatus>() {
            Ok(_) => None,
            Err(unknown) => Some(format!("{unknown}; {}", unknown.remedy())),
        },
        ("metadata", "version") => match compare_to_newest(value) {
            Some(Ordering::Greater) => Some(format!("version {value} is newer than {KNOWN_VERSION}")),
            Some(_) => None,
            None => Some(format!("`{value}` is no version number")),
        },
        _ => None,
    }
}

/// Whether a file with this version is in our own format, not in that of an older program.
pub(super) fn is_ours(version: Option<&str>) -> bool {
    version.and_then(compare_to_newest) == Some(Ordering::Equal)
}

/// How a version compares with the newest one, by numbers. An empty version is as good as none.
fn compare_to_newest(version: &str) -> Option<Ordering> {
    if version.is_empty() {
        return Some(Ordering::Less);
    }
    let mut numbers = [0; 2];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return None;
        }
        // More digits than a number holds are a large number all the same.
        *number = part[..digits].parse().unwrap_or(u64::MAX);
    }
    Some(numbers.cmp(&NEWEST))
}

fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    let (at, what, remedy) = match (bytes.iter().position(|byte| *byte == 0), std::str::from_utf8(bytes)) {
        (None, Ok(text)) => return Ok(text),
        (Some(nul), utf8) if utf8.as_ref().err().is_none_or(|error| nul <= error.valid_up_to()) => (
            nul,
            "there is a NUL byte",
            "the file was damaged: put an older copy back, or take the NUL bytes out with `tr -d '\\000'`",
        ),
        (_, utf8) => (
            utf8.err().map_or(0, |error| error.valid_up_to()),
            "this is not UTF-8 text",
            "retype the character, or convert the file with `iconv -t UTF-8`",
        ),
    };
    let start = bytes[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let end = bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| at + length);
    let end = end.min(at + CONTEXT);
    let line = bytes[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
    let text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
    let wrong = at - start;
    let width = text[wrong..].chars().next().map_or(0, char::len_utf8);
    Err(Fault {
        line,
        text,
        span: wrong..wrong + width,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    })
}

fn syntax_error(fault: Fault, path: &Path) -> StateError {
    let Fault {
        line,
        mut text,
        mut span,
        what,
        remedy,
    } = fault;
    let shown = text.floor_char_boundary(span.start + CONTEXT);
    span.end = span.end.min(shown);
    text.truncate(shown);
    StateError::Syntax(Box::new(SyntaxError {
        path: path.to_owned(),
        line,
        text,
        span,
        what,
        remedy,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> SyntaxError {
        match understand(bytes, Path::new("run/.experiment_state")) {
            Err(StateError::Syntax(error)) => *error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unknown_status_is_told_with_line_column_and_the_word_that_was_meant() {
        let error = refusal(b"# x\n[phases]\ntraining = compelted\n");
        assert_eq!(
            (error.line, error.column(), error.text.as_str()),
            (3, 12, "training = compelted")
        );
        assert_eq!(&error.text[error.span.clone()], "compelted");
        assert_eq!(
            StateError::Syntax(Box::new(error)).to_string(),
            "run/.experiment_state:3:12: `compelted` is not a status\n  did you mean `completed`? \
             A phase is one of: pending, in_progress, completed, failed, skipped"
        );
    }

    #[test]
    fn words_outside_the_phases_are_free() {
        assert!(understand(b"[datasets]\nsst2=compelted\n", Path::new("x")).is_ok());
    }

    #[test]
    fn a_nul_byte_is_told_with_line_and_column() {
        let error = refusal("[a]\nx=é\0\0\ny=1\n".as_bytes());
        assert_eq!((error.line, error.column()), (2, 4));
        assert!(error.what.contains("NUL"));
        assert_eq!(refusal(&[0; 5000]).line, 1);
        assert_eq!(refusal(b"\xff\0").what, "this is not UTF-8 text");
        assert_eq!(refusal(b"\0\xff").what, "there is a NUL byte");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_told_with_line_and_column() {
        let error = refusal(b"[a]\nname=M\xfcller\n");
        assert_eq!(
            (error.line, error.column(), error.text.as_str()),
            (2, 7, "name=M\u{fffd}ller")
        );
        assert_eq!(&error.text[error.span.clone()], "\u{fffd}");
    }

    #[test]
    fn a_very_long_line_is_cut_in_the_message() {
        let error = refusal("é".repeat(1 << 20).as_bytes());
        assert!(error.text.len() < 1000);
        assert!(error.text.get(error.span).is_some());
    }

    #[test]
    fn versions_are_compared_by_number() {
        let verdict = |version: &str| {
            let text = format!("[metadata]\nversion={version}\n[phases]\nx=unknown\n");
            matches!(
                understand(text.as_bytes(), Path::new("x")),
                Err(StateError::NewerVersion { .. })
            )
        };
        for newer in ["3.3.0", "3.10.0", "4.0.0", "4", "10.0", "99999999999999999999999"] {
            assert!(verdict(newer), "{newer}");
        }
        for known in ["3.1.0", "3.2.0", "3.2.99", "3", "2.9", "3.2.0-beta", ""] {
            assert!(!verdict(known), "{known}");
        }
        assert!(refusal(b"[metadata]\nversion=new\n").what.contains("no version number"));
    }

    #[test]
    fn a_value_that_would_be_refused_in_the_file_is_known_beforehand() {
        assert!(value_problem("phases", "x", "complted").is_some_and(|problem| problem.contains("`completed`")));
        assert!(value_problem("metadata", "version", "9.0").is_some());
        assert_eq!(value_problem("phases", "x", "skipped"), None);
        assert_eq!(value_problem("datasets", "x", "anything"), None);
    }
}
