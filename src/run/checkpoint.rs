//! Checkpoints that are known to be good: a manifest when one is recorded, and a look at it before it is used.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::attempt_record::now;

/// Files up to this size are hashed whole; of larger ones the head and the tail, this much each, and the size.
const HASHED_BYTES: u64 = 256 * 1024;

/// In place of a hash: a dry run's checkpoint, which nobody has made.
const EXPECTED: &str = "expected";

/// What a checkpoint was when it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file or directory.
    pub path: String,
    /// How many files it has; 0 when it was never looked at (a bash runner's record).
    #[serde(default)]
    pub files: u64,
    /// Their bytes in all.
    #[serde(default)]
    pub bytes: u64,
    /// A hash over names, sizes and (bounded) contents.
    #[serde(default)]
    pub hash: String,
    /// When it was recorded.
    #[serde(default)]
    pub at: Timestamp,
    /// What the script said about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub info: Map<String, Value>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is not there.
    #[error("checkpoint {path} does not exist")]
    Missing {
        /// The path.
        path: String,
    },
    /// There is nothing in it.
    #[error("checkpoint {path} is empty")]
    Empty {
        /// The path.
        path: String,
    },
    /// It is not what was recorded.
    #[error("checkpoint {path} has changed since it was recorded ({was} then, {is} now)")]
    Changed {
        /// The path.
        path: String,
        /// Files and bytes then.
        was: String,
        /// Files and bytes now.
        is: String,
    },
    /// It cannot be read.
    #[error("checkpoint {path} cannot be read: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The newest checkpoint that verifies, and which newer ones did not.
#[derive(Debug)]
pub struct ValidCheckpoint {
    /// Its manifest.
    pub manifest: Manifest,
    /// What was passed over, newest first.
    pub passed_over: Vec<CheckpointError>,
}

impl Manifest {
    /// A path that nobody has looked at.
    pub(super) fn unverified(path: &str) -> Manifest {
        Manifest {
            path: path.into(),
            files: 0,
            bytes: 0,
            hash: String::new(),
            at: Timestamp::UNIX_EPOCH,
            info: Map::new(),
        }
    }

    /// A checkpoint that a dry run expects to be made.
    pub fn expected(path: &str) -> Manifest {
        Manifest {
            at: now(),
            hash: EXPECTED.into(),
            ..Manifest::unverified(path)
        }
    }

    /// Looks at a checkpoint and takes down what it is.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is missing, empty or unreadable.
    pub fn take(path: &str, info: Map<String, Value>) -> Result<Manifest, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable {
            path: path.into(),
            source,
        };
        let root = Path::new(path);
        let mut files = Vec::new();
        match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::Missing { path: path.into() });
            }
            Err(error) => return Err(unreadable(error)),
            Ok(kind) if kind.is_dir() => collect(root, &mut files).map_err(unreadable)?,
            Ok(_) => files.push(root.to_path_buf()),
        }
        files.sort();
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        for file in &files {
            let name = file.strip_prefix(root).unwrap_or(file);
            let size = hash_file(file, &mut hasher).map_err(unreadable)?;
            hasher.update(name.as_os_str().as_encoded_bytes());
            hasher.update(&size.to_le_bytes());
            bytes += size;
        }
        if bytes == 0 {
            return Err(CheckpointError::Empty { path: path.into() });
        }
        let hash = hasher.finalize().to_hex()[..16].to_string();
        Ok(Manifest {
            path: path.into(),
            files: files.len() as u64,
            bytes,
            hash,
            at: now(),
            info,
        })
    }

    /// Whether the checkpoint is still what was recorded.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is not.
    pub fn verify(&self) -> Result<(), CheckpointError> {
        if self.hash == EXPECTED {
            return Ok(());
        }
        let now = Manifest::take(&self.path, Map::new())?;
        if self.files == 0 || (now.hash == self.hash && now.bytes == self.bytes) {
            return Ok(());
        }
        let one = (self.files, now.files) == (1, 1);
        let size = |m: &Manifest| match one {
            true => format!("{} bytes", m.bytes),
            false => format!("{} bytes in {} files", m.bytes, m.files),
        };
        Err(CheckpointError::Changed {
            path: self.path.clone(),
            was: size(self),
            is: size(&now),
        })
    }
}

/// The newest of some checkpoints (newest last) that verifies.
///
/// # Errors
/// All that is wrong with each, newest first, when none does.
pub(super) fn newest_valid(mut known: Vec<Manifest>) -> Result<ValidCheckpoint, Vec<CheckpointError>> {
    let mut passed_over = Vec::new();
    while let Some(manifest) = known.pop() {
        match manifest.verify() {
            Ok(()) => return Ok(ValidCheckpoint { manifest, passed_over }),
            Err(error) => passed_over.push(error),
        }
    }
    Err(passed_over)
}

/// All files below a directory.
pub(super) fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Feeds a file to the hash, whole or head and tail; returns its size.
fn hash_file(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut buffer = Vec::new();
    if size <= 2 * HASHED_BYTES {
        file.read_to_end(&mut buffer)?;
    } else {
        Read::by_ref(&mut file).take(HASHED_BYTES).read_to_end(&mut buffer)?;
        file.seek(SeekFrom::End(-(HASHED_BYTES as i64)))?;
        file.take(HASHED_BYTES).read_to_end(&mut buffer)?;
    }
    hasher.update(&buffer);
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_fs::TempDir;
    use assert_fs::prelude::*;

    fn path(dir: &TempDir, name: &str) -> String {
        dir.child(name).path().to_string_lossy().into_owned()
    }

    #[test]
    fn a_checkpoint_that_is_missing_or_empty_is_not_recorded() {
        let dir = TempDir::new().expect("a temporary directory");
        dir.child("empty/model").touch().expect("made");
        assert!(matches!(
            Manifest::take(&path(&dir, "none"), Map::new()),
            Err(CheckpointError::Missing { .. })
        ));
        assert!(matches!(
            Manifest::take(&path(&dir, "empty"), Map::new()),
            Err(CheckpointError::Empty { .. })
        ));
    }

    #[test]
    fn a_checkpoint_cut_short_or_changed_does_not_verify() {
        let dir = TempDir::new().expect("a temporary directory");
        dir.child("epoch1/model").write_str("weights").expect("written");
        let manifest = Manifest::take(&path(&dir, "epoch1"), Map::new()).expect("good");
        manifest.verify().expect("unchanged");
        for (name, text) in [
            ("epoch1/model", "weight"),
            ("epoch1/model", "Weights"),
            ("epoch1/more", "x"),
        ] {
            dir.child(name).write_str(text).expect("written");
            assert!(
                matches!(manifest.verify(), Err(CheckpointError::Changed { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn the_newest_that_verifies_is_taken_and_the_others_are_named() {
        let dir = TempDir::new().expect("a temporary directory");
        let mut known = vec![];
        for name in ["epoch1", "epoch2", "epoch3"] {
            dir.child(name).write_str(name).expect("written");
            known.push(Manifest::take(&path(&dir, name), Map::new()).expect("good"));
        }
        dir.child("epoch3").write_str("").expect("written");
        let found = newest_valid(known.clone()).expect("two are good");
        assert_eq!(found.manifest, known[1]);
        assert!(matches!(found.passed_over[..], [CheckpointError::Empty { .. }]));
    }
}
