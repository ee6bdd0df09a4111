//! Finds the file that a command runs, before anything is started: the reasons for not finding it can then be told apart, and
//! the standard library need not search `PATH` itself, for which it would have to give up its fast way of starting.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _};
use std::path::{self, Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::exec::{ExecError, Program};

/// A program that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProgramFile {
    /// The file, as an absolute path.
    pub(super) file: PathBuf,
    /// What it is told to be called: the name that was asked for.
    pub(super) name: String,
    /// Its arguments after the name.
    pub(super) arguments: Vec<String>,
}

/// Finds the file of a program, in the `PATH` that the program itself will see.
pub(super) fn find(
    program: &Program,
    cwd: Option<&Path>,
    env: &[(String, Option<String>)],
) -> Result<ProgramFile, ExecError> {
    let search = Search::new(cwd, env)?;
    match program {
        Program::Argv(words) => {
            let (name, arguments) = words.split_first().ok_or(ExecError::Empty)?;
            if name.is_empty() {
                return Err(ExecError::Empty);
            }
            Ok(ProgramFile {
                file: search.file(name)?,
                name: name.clone(),
                arguments: arguments.to_vec(),
            })
        }
        Program::Shell(line) => {
            let (name, file, options): (_, _, &[&str]) = match search.file("bash") {
                Ok(file) => ("bash", file, &["-o", "pipefail", "-ec"]),
                Err(_) => ("sh", search.file("sh")?, &["-ec"]),
            };
            let options = options.iter().map(|option| (*option).to_owned());
            Ok(ProgramFile {
                file,
                name: name.to_owned(),
                arguments: options.chain([line.clone()]).collect(),
            })
        }
    }
}

/// Says why a file that was found could not be started.
pub(super) fn explain(program: &ProgramFile, source: io::Error) -> ExecError {
    match source.kind() {
        io::ErrorKind::NotFound => ExecError::NotFound {
            program: match interpreter(&program.file) {
                Some(interpreter) => format!("{interpreter} (which {} asks for)", program.name),
                None => program.name.clone(),
            },
        },
        io::ErrorKind::PermissionDenied => ExecError::Permission {
            program: program.name.clone(),
        },
        _ => ExecError::Spawn {
            program: program.name.clone(),
            source,
        },
    }
}

/// Where programs are searched for.
struct Search {
    cwd: PathBuf,
    path: OsString,
}

impl Search {
    fn new(cwd: Option<&Path>, env: &[(String, Option<String>)]) -> Result<Self, ExecError> {
        let asked = cwd.unwrap_or(Path::new("."));
        let refuse = |source: io::Error| ExecError::NoSuchDirectory {
            cwd: asked.to_owned(),
            source,
        };
        let cwd = match cwd {
            Some(cwd) => {
                let cwd = path::absolute(cwd).map_err(refuse)?;
                if !cwd.metadata().map_err(refuse)?.is_dir() {
                    return Err(refuse(io::Error::from_raw_os_error(libc::ENOTDIR)));
                }
                rustix::fs::access(&cwd, Access::EXEC_OK).map_err(|errno| refuse(errno.into()))?;
                cwd
            }
            // Where this process is already, whoever it starts can be.
            None => std::env::current_dir().map_err(refuse)?,
        };

        let path = match env.iter().rev().find(|(name, _)| name == "PATH") {
            Some((_, value)) => value.as_ref().map(OsString::from),
            None => std::env::var_os("PATH"),
        };
        Ok(Search {
            cwd,
            path: path.unwrap_or_else(|| OsString::from("/bin:/usr/bin")),
        })
    }

    /// The absolute path of a program, which may be given by its name or by a path.
    fn file(&self, name: &str) -> Result<PathBuf, ExecError> {
        if name.contains('/') {
            return self.check(self.cwd.join(name), name);
        }
        match which::which_in(name, Some(&self.path), &self.cwd) {
            Ok(file) => Ok(self.cwd.join(file)),
            Err(_) => Err(self.why_not_in_path(name)),
        }
    }

    /// Whether a file can be executed, as far as that can be seen from outside.
    fn check(&self, file: PathBuf, name: &str) -> Result<PathBuf, ExecError> {
        let not_found = || ExecError::NotFound {
            program: name.to_owned(),
        };
        let permission = || ExecError::Permission {
            program: name.to_owned(),
        };
        match file.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(permission()),
            Ok(_) => match rustix::fs::access(&file, Access::EXEC_OK) {
                Ok(()) => Ok(file),
                Err(_) => Err(permission()),
            },
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(permission()),
            Err(_) => Err(not_found()),
        }
    }

    /// A file of that name that may not be executed explains more than "not found".
    fn why_not_in_path(&self, name: &str) -> ExecError {
        let program = name.to_owned();
        if std::env::split_paths(&self.path).any(|dir| self.cwd.join(dir).join(name).is_file()) {
            ExecError::Permission { program }
        } else {
            ExecError::NotFound { program }
        }
    }
}

/// The interpreter that the first line of a script names, when that is what is missing.
fn interpreter(file: &Path) -> Option<String> {
    let mut first_line = Vec::new();
    let start = std::fs::File::open(file).ok()?.take(256);
    io::BufReader::new(start).read_until(b'\n', &mut first_line).ok()?;
    let first_line = String::from_utf8(first_line).ok()?;
    let interpreter = first_line.strip_prefix("#!")?.split_whitespace().next()?;
    (!Path::new(interpreter).exists()).then(|| interpreter.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_fs::TempDir;
    use std::os::unix::fs::PermissionsExt;

    fn argv(word: &str) -> Program {
        Program::Argv(vec![word.to_owned()])
    }

    fn program_in(dir: &Path, name: &str, mode: u32) {
        let file = dir.join(name);
        std::fs::write(&file, "#!/no/such/interpreter -x\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn path_of(dir: &Path) -> Vec<(String, Option<String>)> {
        vec![("PATH".into(), Some(dir.to_str().unwrap().into()))]
    }

    #[test]
    fn a_name_is_searched_in_the_path_that_the_command_will_see() {
        let dir = TempDir::new().unwrap();
        program_in(dir.path(), "tool", 0o755);
        let found = find(&argv("tool"), None, &path_of(dir.path())).unwrap();
        assert_eq!(found.file, dir.path().join("tool"));
        assert_eq!(found.name, "tool");
        assert!(matches!(
            find(&argv("tool"), None, &[]),
            Err(ExecError::NotFound { .. })
        ));
    }

    #[test]
    fn a_relative_path_starts_at_the_working_directory_of_the_command() {
        let dir = TempDir::new().unwrap();
        program_in(dir.path(), "tool", 0o755);
        let found = find(&argv("./tool"), Some(dir.path()), &[]).unwrap();
        assert_eq!(found.file, dir.path().join("./tool"));
        assert!(matches!(
            find(&argv("./tool"), None, &[]),
            Err(ExecError::NotFound { .. })
        ));
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_told_from_one_that_is_missing() {
        let dir = TempDir::new().unwrap();
        program_in(dir.path(), "tool", 0o644);
        for (word, env) in [("./tool", vec![]), ("tool", path_of(dir.path())), ("./", vec![])] {
            let error = find(&argv(word), Some(dir.path()), &env).unwrap_err();
            assert!(matches!(error, ExecError::Permission { .. }), "{word}: {error}");
        }
    }

    #[test]
    fn a_script_whose_interpreter_is_missing_names_the_interpreter() {
        let dir = TempDir::new().unwrap();
        program_in(dir.path(), "tool", 0o755);
        let tool = find(&argv("./tool"), Some(dir.path()), &[]).unwrap();
        let error = explain(&tool, io::ErrorKind::NotFound.into());
        assert_eq!(
            error.to_string(),
            "/no/such/interpreter (which ./tool asks for): command not found"
        );
    }

    #[test]
    fn a_shell_line_goes_to_sh_where_there_is_no_bash() {
        let dir = TempDir::new().unwrap();
        let line = Program::Shell("echo a | cat".into());
        program_in(dir.path(), "sh", 0o755);
        let found = find(&line, None, &path_of(dir.path())).unwrap();
        assert_eq!((found.name.as_str(), found.arguments.len()), ("sh", 2));
        program_in(dir.path(), "bash", 0o755);
        let found = find(&line, None, &path_of(dir.path())).unwrap();
        assert_eq!(found.arguments, ["-o", "pipefail", "-ec", "echo a | cat"]);
    }

    #[test]
    fn a_working_directory_that_is_missing_or_a_file_is_named() {
        let dir = TempDir::new().unwrap();
        program_in(dir.path(), "file", 0o755);
        for (name, errno) in [("missing", libc::ENOENT), ("file", libc::ENOTDIR)] {
            let cwd = dir.path().join(name);
            let error = find(&argv("true"), Some(&cwd), &[]).unwrap_err();
            assert!(matches!(&error, ExecError::NoSuchDirectory { .. }), "{error}");
            assert_eq!(error.errno(), Some(errno));
        }
    }

    #[test]
    fn a_command_without_a_program_is_refused() {
        for words in [vec![], vec![String::new()]] {
            let refused = find(&Program::Argv(words), None, &[]);
            assert!(matches!(refused, Err(ExecError::Empty)));
        }
    }
}
