//! The commands of an attempt: under which label each is noted, and what an earlier host has done of them.
//!
//! When a host dies, its attempt is gone on with: the body runs again from its start, and each command that it asks for is
//! compared with what is noted in that place. The same command is not run a second time: one that has ended is taken at its
//! result, one that still runs is waited for. A place is the step around the command and its number within that step, so that a
//! step that was completed, and is skipped now, does not shift the places after it. The first command that differs from what
//! is noted in its place ends this: from there on the body is another one, and everything runs.
//!
//! This holds within one attempt only. A retry after a failure, and a phase that somebody has set back, begin with an empty
//! book.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::attempt::lock;
use super::{AttemptRecord, CommandRequest};
use crate::exec::{Command, Entry, Logbook, Note, Program, Shelf, Why};

/// The book of one attempt.
pub(super) struct CommandBook {
    /// Where its logbook comes from; `None` for an attempt of which nothing is noted, and for one that has its logbook.
    source: Option<Source>,
    /// Taken at the first command.
    logbook: OnceLock<Option<Logbook>>,
    inner: Mutex<Inner>,
}

/// Where a logbook comes from, and what it is to be called.
struct Source {
    shelf: Arc<Shelf>,
    directory: PathBuf,
    title: String,
}

#[derive(Default)]
struct Inner {
    /// How many commands each step has asked for; the empty step is the body itself.
    asked: HashMap<String, usize>,
    /// Whether output is kept beside the logbook.
    captures: bool,
    /// What an earlier host has noted and nobody has asked for yet, by place.
    earlier: HashMap<(String, usize), Earlier>,
}

struct Earlier {
    hash: String,
    entry: Entry,
}

/// Where the next command stands, and what is known of that place.
pub(super) struct Place {
    /// How it is to be noted.
    pub note: Option<Note>,
    /// What an earlier host has done of it.
    pub known: Known,
}

/// What an earlier host has done in some place.
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// This very command.
    Same(Box<Entry>),
    /// Another command: what is left of the book counts no more. These may still run.
    Other(Vec<Open>),
}

/// A command whose end is not noted, and the command by which it can be gone on with.
pub(super) struct Open {
    pub entry: Entry,
    pub command: Command,
}

impl Open {
    /// The open ones of the entries of a logbook.
    pub(super) fn of(entries: impl IntoIterator<Item = Entry>, logbook: &Logbook) -> Vec<Open> {
        let open = entries.into_iter().filter(|entry| entry.end.is_none());
        open.map(|entry| {
            let program = Program::Argv(vec![format!("process {}", entry.process.pid)]);
            let mut command = Command::new(program, &entry.log);
            command.note = Some(Note {
                logbook: logbook.clone(),
                label: entry.label.clone(),
            });
            Open { entry, command }
        })
        .collect()
    }
}

impl CommandBook {
    /// A book in which nothing is noted.
    pub(super) fn none() -> Self {
        CommandBook {
            source: None,
            logbook: OnceLock::new(),
            inner: Mutex::default(),
        }
    }

    /// The book of a new attempt, whose logbook comes from `shelf` and lies under `private`.
    pub(super) fn new(shelf: Arc<Shelf>, private: &Path, phase: &str, number: u32, record: &AttemptRecord) -> Self {
        CommandBook {
            source: Some(Source {
                shelf,
                directory: private.join(DIRECTORY),
                title: title_of(phase, number, record),
            }),
            ..CommandBook::none()
        }
    }

    /// The book that an earlier host has begun.
    pub(super) fn continued(logbook: Logbook, entries: Vec<Entry>) -> Self {
        let mut inner = Inner::default();
        for entry in entries {
            if let Some((hash, number, step)) = read_label(&entry.label) {
                // A later entry in the same place is of a command that had to be run again.
                inner.earlier.insert((step, number), Earlier { hash, entry });
            }
        }
        CommandBook {
            source: None,
            logbook: OnceLock::from(Some(logbook)),
            inner: Mutex::new(inner),
        }
    }

    /// The place of the next command, whose output may be captured.
    pub(super) fn next(&self, step: Option<&str>, hash: &str, captures: bool) -> Place {
        let step = step.unwrap_or_default();
        let mut inner = lock(&self.inner);
        inner.captures |= captures;
        let asked = inner.asked.entry(step.to_owned()).or_default();
        let number = *asked;
        *asked += 1;
        let known = match inner.earlier.remove(&(step.to_owned(), number)) {
            None => Known::Nothing,
            // It was stopped with the attempt, and the attempt goes on after all.
            Some(earlier)
                if earlier
                    .entry
                    .end
                    .as_ref()
                    .is_some_and(|end| end.why == Some(Why::Interrupted)) =>
            {
                Known::Nothing
            }
            Some(earlier) if earlier.hash == hash => Known::Same(Box::new(earlier.entry)),
            Some(earlier) => {
                let rest = std::mem::take(&mut inner.earlier).into_values();
                let all = std::iter::once(earlier).chain(rest).map(|earlier| earlier.entry);
                Known::Other(self.open(all))
            }
        };
        drop(inner);
        let note = self.logbook().map(|logbook| Note {
            logbook: logbook.clone(),
            label: format!("{hash} {number} {step}"),
        });
        Place { note, known }
    }

    /// Commands of the earlier host that the body has not asked for and whose end is not noted. Each is given out once.
    pub(super) fn left_over(&self) -> Vec<Open> {
        let left = std::mem::take(&mut lock(&self.inner).earlier);
        self.open(left.into_values().map(|earlier| earlier.entry))
    }

    /// Only a book that was there has entries.
    fn open(&self, entries: impl Iterator<Item = Entry>) -> Vec<Open> {
        let logbook = self.logbook.get().and_then(Option::as_ref);
        logbook.map_or_else(Vec::new, |logbook| Open::of(entries, logbook))
    }

    /// The attempt is over and that is durable: nobody will go on with it, and its logbook may serve another one.
    pub(super) fn close(&self) {
        let Some(logbook) = self.logbook.get().and_then(Option::as_ref) else {
            return;
        };
        let captures = lock(&self.inner).captures;
        match &self.source {
            Some(source) if !captures => source.shelf.put_back(logbook.clone()),
            _ => logbook.discard(),
        }
    }

    /// Without a book the commands run all the same; only a host that is killed meanwhile loses their results.
    fn logbook(&self) -> Option<&Logbook> {
        self.logbook
            .get_or_init(|| {
                let Source {
                    shelf,
                    directory,
                    title,
                } = self.source.as_ref()?;
                let taken = shelf.take(directory, title);
                if let Err(error) = &taken {
                    tracing::warn!(%error, directory = %directory.display(), "commands are not noted");
                }
                taken.ok()
            })
            .as_ref()
    }
}

/// The logbook that an earlier host has left of this attempt.
pub(super) fn find(
    private: &Path,
    phase: &str,
    number: u32,
    record: &AttemptRecord,
) -> std::io::Result<Option<(Logbook, Vec<Entry>)>> {
    Logbook::find(&private.join(DIRECTORY), &title_of(phase, number, record))
}

/// Removes what is left of attempts that nobody goes on with: all books but those of `kept`.
pub(super) fn tidy(private: &Path, kept: &[PathBuf]) {
    let Ok(books) = std::fs::read_dir(private.join(DIRECTORY)) else {
        return;
    };
    for book in books.flatten() {
        if !kept.iter().any(|kept| kept.starts_with(book.path())) {
            // It is only litter: the next run finds it again.
            let _ = std::fs::remove_dir_all(book.path());
        }
    }
}

const DIRECTORY: &str = "commands";

/// The title of an attempt's logbook: an attempt is known by its beginning, for numbers are given out again when somebody
/// takes an attempt out of the state file.
fn title_of(phase: &str, number: u32, record: &AttemptRecord) -> String {
    format!("{phase} {number} {}", record.started)
}

/// A hash over everything that makes a command what it is, the variables that were set for it included. What all commands
/// inherit from the user's shell is not part of it: a terminal of another width makes no other command.
pub(super) fn hash_of(request: &CommandRequest, cwd: Option<&Path>, env: &[(String, Option<String>)]) -> String {
    let CommandRequest {
        program,
        capture,
        stdin,
        ..
    } = request;
    let text = format!("{:?}", (program, capture, stdin, cwd, env));
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// Takes a label apart: the command's hash, its number and its step.
pub(super) fn read_label(label: &str) -> Option<(String, usize, String)> {
    let mut parts = label.splitn(3, ' ');
    let (hash, number) = (parts.next()?, parts.next()?.parse().ok()?);
    Some((hash.to_owned(), number, parts.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Executor as _, Local, StopSignal};
    use assert_fs::TempDir;

    /// A book in which an earlier host has noted these commands, each by its hash and its step.
    fn book(dir: &TempDir, noted: &[(&str, Option<&str>)]) -> CommandBook {
        let record = AttemptRecord::begin();
        let first = CommandBook::new(Arc::default(), dir.path(), "train", 1, &record);
        for (hash, step) in noted {
            let mut command = Command::new(Program::Argv(vec!["true".into()]), dir.path().join("log"));
            command.note = first.next(*step, hash, false).note;
            Local::new().run(&command, &StopSignal::new()).unwrap();
        }
        let (logbook, entries) = find(dir.path(), "train", 1, &record).unwrap().unwrap();
        CommandBook::continued(logbook, entries)
    }

    fn known(book: &CommandBook, step: Option<&str>, hash: &str) -> &'static str {
        match book.next(step, hash, false).known {
            Known::Nothing => "nothing",
            Known::Same(_) => "same",
            Known::Other(_) => "other",
        }
    }

    #[test]
    fn the_same_commands_in_the_same_places_are_known() {
        let dir = TempDir::new().unwrap();
        let book = book(&dir, &[("a", None), ("b", None), ("a", None)]);
        let found = ["a", "b", "a", "a"].map(|hash| known(&book, None, hash));
        assert_eq!(found, ["same", "same", "same", "nothing"]);
    }

    #[test]
    fn a_step_that_is_skipped_now_does_not_shift_the_places_after_it() {
        let dir = TempDir::new().unwrap();
        let book = book(
            &dir,
            &[("a", None), ("b", Some("one")), ("c", Some("two")), ("d", None)],
        );
        assert_eq!(known(&book, None, "a"), "same");
        assert_eq!(known(&book, Some("two"), "c"), "same");
        assert_eq!(known(&book, None, "d"), "same");
    }

    #[test]
    fn from_the_first_command_that_differs_on_nothing_is_known() {
        let dir = TempDir::new().unwrap();
        let book = book(&dir, &[("a", None), ("b", None), ("c", None)]);
        let found = ["a", "changed", "c"].map(|hash| known(&book, None, hash));
        assert_eq!(found, ["same", "other", "nothing"]);
    }

    #[test]
    fn the_book_of_another_attempt_is_not_found() {
        let dir = TempDir::new().unwrap();
        let (shelf, record) = (Arc::<Shelf>::default(), AttemptRecord::begin());
        let book = |phase| CommandBook::new(Arc::clone(&shelf), dir.path(), phase, 1, &record);
        let (first, second) = (book("train"), book("eval"));
        assert!(find(dir.path(), "train", 1, &record).unwrap().is_none());
        assert!(first.next(None, "a", false).note.is_some());
        assert!(find(dir.path(), "train", 1, &record).unwrap().is_some());
        let mut again = record.clone();
        again.started += jiff::SignedDuration::from_millis(1);
        assert!(find(dir.path(), "train", 1, &again).unwrap().is_none());
        first.close();
        assert!(second.next(None, "a", false).note.is_some());
        assert!(find(dir.path(), "train", 1, &record).unwrap().is_none());
        assert_eq!(find(dir.path(), "eval", 1, &record).unwrap().unwrap().1, []);
    }

    #[test]
    fn a_book_beside_which_output_was_kept_serves_nobody_else_and_takes_it_along() {
        let dir = TempDir::new().unwrap();
        let book = CommandBook::new(Arc::default(), dir.path(), "train", 1, &AttemptRecord::begin());
        let logbook = book.next(None, "a", true).note.unwrap().logbook;
        std::fs::write(logbook.path().with_file_name("output"), "x").unwrap();
        book.close();
        assert!(!logbook.path().exists() && !logbook.path().with_file_name("output").exists());
    }

    #[test]
    fn a_command_is_another_one_when_anything_about_it_differs() {
        let request = |line: &str| CommandRequest {
            program: Program::Shell(line.into()),
            env: vec![],
            cwd: None,
            stall: None,
            stand_in: None,
            timeout: None,
            capture: false,
            stdin: crate::exec::Stdin::Null,
            log: None,
        };
        let env = [("A".to_owned(), Some("1".to_owned()))];
        let plain = hash_of(&request("x"), None, &[]);
        assert_eq!(plain, hash_of(&request("x"), None, &[]));
        for other in [
            hash_of(&request("y"), None, &[]),
            hash_of(&request("x"), Some(Path::new("/")), &[]),
            hash_of(&request("x"), None, &env),
        ] {
            assert_ne!(plain, other);
        }
    }
}
