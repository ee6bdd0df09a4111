//! Where a run comes from: machine, GPUs, git, Python and environment, as they were when it was started or resumed.
//!
//! Kept as `provenance.json` beside the state file's other private files: a list with one entry for each start, the last
//! one last. It is for people and for comparing runs; no run is worth less without it, so reading it never fails.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::secret::is_secret;
use crate::state::private_directory;

const FILE: &str = "provenance.json";
/// A run that is preempted every hour is started very often: the first entry and these many last ones are kept.
const KEPT_STARTS: usize = 9;
/// Longer changes, in bytes, are told by hash and count.
const LONGEST_CHANGES: usize = 200_000;
/// The names of the files that hold changes; the hash stands between.
const CHANGES_BEGIN: &str = "changes-";
const CHANGES_END: &str = ".diff";

/// What is known of one start of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// When it was gathered.
    pub at: Timestamp,
    /// The version of jumar.
    pub jumar: String,
    /// The directory it was started in.
    pub working_directory: String,
    /// The machine.
    pub machine: Machine,
    /// The GPU driver's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The GPUs that nvidia-smi lists, whether or not the run uses them.
    pub gpus: Vec<Gpu>,
    /// The git repository around the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// The `python3` that commands find, when the script uses Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<Python>,
    /// The environment that commands begin with, what the script set included; secrets are masked.
    pub environment: BTreeMap<String, String>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Its operating system, with the kernel's version.
    pub system: String,
    /// Its kind of processor.
    pub architecture: String,
    /// The processor's name.
    pub processor: String,
    /// How many processors this process may use.
    pub cpus: usize,
    /// Its memory, in KiB.
    pub memory_kib: u64,
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Its number.
    pub index: String,
    /// Its name.
    pub name: String,
    /// Its memory, in MiB.
    pub memory_mib: u64,
}

/// A git work tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// The branch; empty when none is checked out.
    pub branch: String,
    /// Whether tracked files differ from the commit.
    pub dirty: bool,
    /// Those files as `git status` lists them, the first hundred.
    pub changes: Vec<String>,
    /// How much they differ, in git's words.
    pub summary: String,
    /// A hash of the difference, which tells two dirty trees apart; empty when clean or too large.
    pub diff_hash: String,
}

/// A Python and what is installed for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Python {
    /// Its version.
    pub version: String,
    /// The program.
    pub executable: String,
    /// Installed packages and their versions.
    pub packages: BTreeMap<String, String>,
}

/// What a run recorded of its starts, the last one last; nothing when there is no such record.
pub fn provenance(state_file: &Path) -> Vec<Provenance> {
    read(&private_directory(state_file))
}

/// What git said of the uncommitted changes of a start, as `git diff HEAD` writes it; `None` where there were none or too much.
pub fn uncommitted_changes(state_file: &Path, git: &Git) -> Option<String> {
    if git.diff_hash.is_empty() {
        return None;
    }
    let bytes = std::fs::read(private_directory(state_file).join(changes_file(&git.diff_hash))).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn changes_file(hash: &str) -> String {
    format!("{CHANGES_BEGIN}{hash}{CHANGES_END}")
}

/// Keeps the text of uncommitted changes, unless it is very long: its hash and git's own summary tell two of them apart.
pub(super) fn keep_changes(directory: &Path, hash: &str, text: &str) {
    let path = directory.join(changes_file(hash));
    if text.len() > LONGEST_CHANGES || path.exists() {
        return;
    }
    let fresh = path.with_extension("new");
    let _ = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &path));
}

/// Takes away the changes of starts that are not kept.
fn tidy_changes(directory: &Path, kept: &[&Provenance]) {
    let known = |hash: &str| {
        kept.iter()
            .filter_map(|p| p.git.as_ref())
            .any(|git| git.diff_hash == hash)
    };
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let hash = name
            .strip_prefix(CHANGES_BEGIN)
            .and_then(|n| n.strip_suffix(CHANGES_END));
        if hash.is_some_and(|hash| !known(hash)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

pub(super) fn read(directory: &Path) -> Vec<Provenance> {
    let text = std::fs::read(directory.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes what earlier starts recorded and, after it, this one.
pub(super) fn write(directory: &Path, earlier: &[Provenance], now: &Provenance) -> std::io::Result<()> {
    let late = earlier.len().saturating_sub(KEPT_STARTS).max(1).min(earlier.len());
    let mut all: Vec<&Provenance> = earlier.first().into_iter().chain(&earlier[late..]).collect();
    all.push(now);
    let text = serde_json::to_string_pretty(&all)?;
    let fresh = directory.join(format!("{FILE}.new"));
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, directory.join(FILE))?;
    if now.git.is_some() {
        tidy_changes(directory, &all);
    }
    Ok(())
}

/// What stands in place of a secret.
const MASK: &str = "(masked)";

/// The value of a variable as it may be written down: secrets are masked, and so is the password of an address
/// (`https://user:password@host`).
pub(super) fn masked(name: &str, value: &str) -> String {
    if !value.is_empty() && is_secret(name) {
        return MASK.into();
    }
    let mut text = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        text.push_str(before);
        let authority = after.split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or(after);
        rest = after;
        if let Some(at) = authority.rfind('@')
            && let Some(colon) = authority[..at].find(':')
        {
            text.push_str(&authority[..=colon]);
            text.push_str(MASK);
            rest = &after[at..];
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_the_variables_name() {
        for name in [
            "HF_TOKEN",
            "WANDB_API_KEY",
            "aws_secret_access",
            "DB_PASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert_eq!(masked(name, "s3cret"), "(masked)", "{name}");
        }
        assert_eq!(masked("HF_TOKEN", ""), "");
        assert_eq!(masked("CUDA_VISIBLE_DEVICES", "0,1"), "0,1");
    }

    #[test]
    fn the_password_of_an_address_is_masked_wherever_it_stands() {
        assert_eq!(
            masked("http_proxy", "http://me:pw@proxy:80/x@y:z"),
            "http://me:(masked)@proxy:80/x@y:z"
        );
        assert_eq!(
            masked("X", "a http://u:p@h and s3://k:v@w"),
            "a http://u:(masked)@h and s3://k:(masked)@w"
        );
        assert_eq!(masked("X", "http://host:80/a:b@c"), "http://host:80/a:b@c");
        assert_eq!(masked("X", "http://me@host/"), "http://me@host/");
    }

    #[test]
    fn of_very_many_starts_the_first_and_the_last_ones_are_kept() {
        let directory = assert_fs::TempDir::new().expect("a temporary directory");
        for start in 0..30 {
            let now = Provenance {
                jumar: start.to_string(),
                ..Provenance::default()
            };
            write(directory.path(), &read(directory.path()), &now).expect("written");
        }
        let kept: Vec<String> = read(directory.path()).into_iter().map(|p| p.jumar).collect();
        assert_eq!(kept, ["0", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29"]);
    }
}
