//! The run directory: its name, and the making of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::ZonedDateTime;

/// A run directory that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RunDirectoryError {
    /// The system refused.
    #[error("cannot create the run directory {}: {source}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `--run-dir` names a run that is there.
    #[error("{} already holds a run", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A name that is no file name.
    #[error("`{name}` cannot be a run's name: use letters, digits, `.`, `_`, `-`")]
    BadName {
        /// The name.
        name: String,
    },
}

/// Where a run lives. The directory is made when somebody first asks for it, so that a script may name the run first,
/// and is only computed, never made, in a dry run.
pub struct RunDirectory {
    inner: Mutex<Inner>,
    dry: bool,
}

struct Inner {
    name: String,
    named_by_user: bool,
    fixed: Option<PathBuf>,
    decided: Option<PathBuf>,
    made: Vec<PathBuf>,
}

impl RunDirectory {
    /// A new run called `name`, or in `fixed` when the user said where.
    pub fn new(name: &str, fixed: Option<PathBuf>, dry: bool) -> RunDirectory {
        RunDirectory {
            inner: Mutex::new(Inner {
                name: name.into(),
                named_by_user: false,
                fixed,
                decided: None,
                made: vec![],
            }),
            dry,
        }
    }

    /// The directory of a run that exists.
    pub fn existing(name: &str, path: PathBuf) -> RunDirectory {
        RunDirectory {
            inner: Mutex::new(Inner {
                name: name.into(),
                named_by_user: true,
                fixed: None,
                decided: Some(path),
                made: vec![],
            }),
            dry: false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's name.
    pub fn name(&self) -> String {
        self.lock().name.clone()
    }

    /// Names the run as the user wants it; the script does not rename it.
    ///
    /// # Errors
    /// [`RunDirectoryError::BadName`].
    pub fn fix_name(&self, name: &str) -> Result<(), RunDirectoryError> {
        self.rename(name)?;
        self.lock().named_by_user = true;
        Ok(())
    }

    /// Names the run as the script wants it; the user's own name stays. `false` when the directory has been decided already.
    ///
    /// # Errors
    /// [`RunDirectoryError::BadName`].
    pub fn rename(&self, name: &str) -> Result<bool, RunDirectoryError> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@' | ',');
        if name.is_empty() || name.starts_with(['.', '-']) || name.contains('@') || !name.chars().all(plain) {
            return Err(RunDirectoryError::BadName { name: name.into() });
        }
        let mut inner = self.lock();
        if inner.named_by_user {
            return Ok(true);
        }
        if inner.decided.is_some() {
            return Ok(inner.name == name);
        }
        inner.name = name.into();
        Ok(true)
    }

    /// The path, made on the first call: `runs/<name>_<YYYYmmdd_HHMMSS>`, with a number behind it for a second run in
    /// the same second.
    ///
    /// # Errors
    /// [`RunDirectoryError`] when it cannot be made, or `--run-dir` holds a run already.
    pub fn path(&self) -> Result<PathBuf, RunDirectoryError> {
        let mut inner = self.lock();
        if let Some(path) = &inner.decided {
            return Ok(path.clone());
        }
        let path = match inner.fixed.clone() {
            Some(path) => {
                if path.join(super::STATE_FILE).exists() {
                    return Err(RunDirectoryError::Occupied { path });
                }
                if !self.dry {
                    inner.make_all(&path)?;
                }
                path
            }
            None => {
                let stem = format!("{}_{}", inner.name, ZonedDateTime::now().strftime("%Y%m%d_%H%M%S"));
                inner.reserve(Path::new("runs"), &stem, self.dry)?
            }
        };
        inner.decided = Some(path.clone());
        Ok(path)
    }

    /// Takes away what this call made, as far as it is empty: the script was refused, nothing ran.
    pub fn give_back(&self) {
        for path in self.lock().made.drain(..).rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

impl Inner {
    fn make_all(&mut self, path: &Path) -> Result<(), RunDirectoryError> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
            .map(Path::to_path_buf)
            .collect();
        for directory in missing.into_iter().rev() {
            match fs::create_dir(&directory) {
                Ok(()) => self.made.push(directory),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
                Err(source) => {
                    return Err(RunDirectoryError::Create {
                        path: directory,
                        source,
                    });
                }
            }
        }
        if path.is_dir() {
            Ok(())
        } else {
            Err(RunDirectoryError::Create {
                path: path.into(),
                source: io::Error::from(io::ErrorKind::NotADirectory),
            })
        }
    }

    fn reserve(&mut self, parent: &Path, stem: &str, dry: bool) -> Result<PathBuf, RunDirectoryError> {
        if !dry {
            self.make_all(parent)?;
        }
        let mut number = 1;
        loop {
            let path = parent.join(if number == 1 {
                stem.to_string()
            } else {
                format!("{stem}_{number}")
            });
            if dry {
                if !path.exists() {
                    return Ok(path);
                }
            } else {
                // `mkdir` itself decides who has the name: two runs may start in the same second.
                match fs::create_dir(&path) {
                    Ok(()) => {
                        self.made.push(path.clone());
                        return Ok(path);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(source) => return Err(RunDirectoryError::Create { path, source }),
                }
            }
            number += 1;
        }
    }
}
