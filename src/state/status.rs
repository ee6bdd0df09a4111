//! The five words that say how a phase stands.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How a phase stands. These five words and no others may follow the `=` of a line in `[phases]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseStatus {
    /// It has not run, or is to run again.
    Pending,
    /// An attempt has begun and its end is not recorded.
    InProgress,
    /// It is done; it does not run again.
    Completed,
    /// Its last attempt failed.
    Failed,
    /// It was passed over on purpose.
    Skipped,
}

impl PhaseStatus {
    /// All of them, in the order people meet them.
    pub const ALL: [PhaseStatus; 5] = [
        PhaseStatus::Pending,
        PhaseStatus::InProgress,
        PhaseStatus::Completed,
        PhaseStatus::Failed,
        PhaseStatus::Skipped,
    ];

    /// The word that stands in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            PhaseStatus::Pending => "pending",
            PhaseStatus::InProgress => "in_progress",
            PhaseStatus::Completed => "completed",
            PhaseStatus::Failed => "failed",
            PhaseStatus::Skipped => "skipped",
        }
    }
}

impl fmt::Display for PhaseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PhaseStatus {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        PhaseStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownStatus::new(word))
    }
}

/// A word that is no status, with the one that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a status")]
pub struct UnknownStatus {
    /// What was written.
    pub word: String,
    /// The status that looks most like it, when one looks enough like it.
    pub suggestion: Option<PhaseStatus>,
}

impl UnknownStatus {
    fn new(word: &str) -> Self {
        let lowered = word.to_lowercase();
        let suggestion = PhaseStatus::ALL
            .into_iter()
            .map(|status| (strsim::jaro_winkler(&lowered, status.as_str()), status))
            .filter(|(likeness, _)| *likeness >= 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, status)| status);
        UnknownStatus {
            word: word.to_owned(),
            suggestion,
        }
    }

    /// What the user can do about it: the likely word, and the list of all of them.
    pub fn remedy(&self) -> String {
        let words = PhaseStatus::ALL.map(PhaseStatus::as_str).join(", ");
        match self.suggestion {
            Some(status) => format!("did you mean `{status}`? A phase is one of: {words}"),
            None => format!("a phase is one of: {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_as_itself() {
        for status in PhaseStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }

    #[test]
    fn no_other_word_is_a_status() {
        for word in ["", "Completed", "done", " completed", "in-progress", "running"] {
            assert!(word.parse::<PhaseStatus>().is_err(), "{word:?}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_answered_with_the_word_that_was_meant() {
        for (slip, meant) in [
            ("compelted", PhaseStatus::Completed),
            ("Completed", PhaseStatus::Completed),
            ("in-progress", PhaseStatus::InProgress),
            ("pendng", PhaseStatus::Pending),
            ("fail", PhaseStatus::Failed),
            ("skip", PhaseStatus::Skipped),
        ] {
            let error = slip.parse::<PhaseStatus>().unwrap_err();
            assert_eq!(error.suggestion, Some(meant), "{slip}");
            assert!(error.remedy().contains(meant.as_str()));
        }
    }

    #[test]
    fn a_word_like_none_of_them_gets_the_list_only() {
        let error = "xyzzy".parse::<PhaseStatus>().unwrap_err();
        assert_eq!(error.suggestion, None);
        assert_eq!(
            error.remedy(),
            "a phase is one of: pending, in_progress, completed, failed, skipped"
        );
    }
}
