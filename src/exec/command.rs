//! What to run: a [`Command`] is plain data, the same for every executor.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::exec::Note;

/// One command: what to run, with what around it, and where its output goes.
///
/// Build it with [`Command::new`] and set the fields that differ from the defaults.
#[derive(Debug, Clone)]
pub struct Command {
    /// What to run.
    pub program: Program,
    /// Changes to the host's environment, in order; `None` removes the variable.
    pub env: Vec<(String, Option<String>)>,
    /// Where to run it; the host's working directory when `None`.
    pub cwd: Option<PathBuf>,
    /// What it reads as standard input.
    pub stdin: Stdin,
    /// The file that standard output and standard error are appended to, written by the command itself. Missing parent
    /// directories are made.
    pub log: PathBuf,
    /// The log, when the caller has it open for appending.
    pub log_file: Option<Arc<File>>,
    /// Whether standard output is kept and returned in [`Exit::stdout`](crate::exec::Exit::stdout). It then reaches the log when
    /// the command has ended, after everything it wrote to standard error. More than
    /// [`CAPTURE_LIMIT`](crate::exec::CAPTURE_LIMIT) bytes are an error.
    pub capture: bool,
    /// How long it may run before it is stopped. Time that the machine spends suspended does not count.
    pub timeout: Option<Duration>,
    /// Where its start and its end are written down, so that another host can go on with it. Captured output is then kept
    /// beside that file.
    pub note: Option<Note>,
}

impl Command {
    /// A command with the host's environment and working directory, nothing on standard input, no timeout and no capture.
    pub fn new(program: Program, log: impl Into<PathBuf>) -> Self {
        Command {
            program,
            env: Vec::new(),
            cwd: None,
            stdin: Stdin::Null,
            log: log.into(),
            log_file: None,
            capture: false,
            timeout: None,
            note: None,
        }
    }

    /// The command on one line, as [`Program::display`] writes it.
    pub fn display(&self) -> String {
        self.program.display()
    }
}

/// What a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program and its arguments, run as they are: nothing is quoted, split or expanded.
    Argv(Vec<String>),
    /// A line for `bash -o pipefail -ec`, or for `sh -ec` where there is no bash.
    Shell(String),
}

impl Program {
    /// The program on one line, for messages, logs and dry runs: arguments are quoted so that the line can be pasted into a
    /// shell, and a shell script of several lines becomes one quoted argument of `bash -o pipefail -ec`.
    pub fn display(&self) -> String {
        match self {
            Program::Argv(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            Program::Shell(line) => {
                let line = line.trim();
                if line.chars().any(char::is_control) {
                    format!("bash -o pipefail -ec {}", quoted(line))
                } else {
                    line.to_owned()
                }
            }
        }
    }
}

/// What a command reads as standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: the end of the file at once.
    #[default]
    Null,
    /// This text.
    Text(String),
}

/// One word quoted for the shell. Words with control characters take bash's `$'…'` form, so that the result stays on one line.
fn quoted(word: &str) -> Cow<'_, str> {
    if !word.chars().any(char::is_control) {
        // The only word that cannot be quoted holds a NUL, which is a control character.
        return shlex::try_quote(word).unwrap_or(Cow::Borrowed(word));
    }
    let mut quoted = String::from("$'");
    for character in word.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\\' | '\'' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Program {
        Program::Argv(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn arguments_are_shown_quoted_for_the_shell() {
        let shown = argv(&["python3", "train.py", "--out", "my run/ckpt", "", "it's"]).display();
        assert_eq!(
            shlex::split(&shown).unwrap(),
            ["python3", "train.py", "--out", "my run/ckpt", "", "it's"]
        );
        assert!(shown.starts_with("python3 train.py --out "), "{shown}");
    }

    #[test]
    fn a_command_is_shown_on_one_line_whatever_it_holds() {
        assert_eq!(argv(&["echo", "a\nb\t'c'"]).display(), r"echo $'a\nb\t\'c\''");
        assert_eq!(
            Program::Shell("echo a\necho b\n".into()).display(),
            r"bash -o pipefail -ec $'echo a\necho b'"
        );
    }

    #[test]
    fn a_shell_line_is_shown_as_it_was_written() {
        let line = "ls *.json | wc -l > \"$OUT\"";
        assert_eq!(Program::Shell(line.into()).display(), line);
    }
}
