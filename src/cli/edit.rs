//! `jumar edit [RUN]`: the state file in the user's editor. A copy is edited; it is checked, compared and taken as one
//! change, and what others wrote meanwhile stays.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::EditArguments;
use super::error::CliError;
use super::exit_code;
use super::moment::locate_now;
use crate::compare::resume_command;
use crate::run::{RunPath, standing_advice};
use crate::state::{
    ByHand, Change, Event, Owner, PhaseStatus, State, StateError, StateText, Store, announce, changes_between,
    check_text, holder, patch_text, read, read_text, replace_text,
};
use crate::ui::{Printer, Tone, paint};

/// How often a taking is made anew because somebody else wrote at the same moment.
const TRIES: usize = 10;
/// How long a run that is on has to write over a text that it did not see.
const SETTLE: Duration = Duration::from_millis(60);

/// Why an edited text was not taken.
enum Refused {
    /// It is no state, or says what is not for people to say.
    Wrong(CliError),
    /// Somebody else changed the same keys; `now` is what the file holds.
    Conflict {
        now: Box<StateText>,
        conflicts: Vec<String>,
    },
}

/// Opens the state file in the editor.
pub(super) fn edit(arguments: &EditArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate_now(arguments.run.as_deref())?;
    let mut base = read_text(&run.state_file)?;
    let copy = Copy::make(&run, &base.text)?;
    loop {
        run_editor(&copy.path)?;
        let edited = copy.read()?;
        if edited == base.text {
            return Ok(report(&run, &[], arguments.json, printer));
        }
        match take(&run, &base, &edited, &copy, printer) {
            Ok(changes) => return Ok(report(&run, &changes, arguments.json, printer)),
            Err(Refused::Wrong(error)) => {
                error.draw(printer);
                match ask("(e)dit again, or (q)uit and leave the file as it was?", "eq", printer) {
                    'e' => {}
                    _ => return Err(copy.keep(not_taken(error))),
                }
            }
            Err(Refused::Conflict { now, conflicts }) => {
                printer.warn("the file was changed while you edited it:");
                conflicts.iter().for_each(|line| printer.info(&format!("  {line}")));
                let question = "(e)dit again from the file as it is now, take (m)ine, or (q)uit?";
                match ask(question, "emq", printer) {
                    'e' => copy.write(&now.text)?,
                    'm' => {
                        let changes = changes_between(&base.state, &check_text(&edited, &copy.path)?);
                        copy.write(&patch_text(&now.text, &changes, &run.state_file)?)?;
                        let mine = copy.read()?;
                        match take(&run, &now, &mine, &copy, printer) {
                            Ok(changes) => return Ok(report(&run, &changes, arguments.json, printer)),
                            Err(Refused::Wrong(error)) => return Err(copy.keep(error)),
                            Err(Refused::Conflict { .. }) => {
                                return Err(copy.keep(CliError::disk("the file is being changed all the time")));
                            }
                        }
                    }
                    _ => {
                        let error = CliError::disk("the file was changed meanwhile; your text was not taken");
                        return Err(copy.keep(error));
                    }
                }
                base = *now;
            }
        }
    }
}

/// The file that the editor opens. It goes when this is dropped, unless it is kept.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn make(run: &RunPath, text: &str) -> Result<Copy, CliError> {
        let name = run.directory.file_name().unwrap_or_default().to_string_lossy();
        for number in 0..1000 {
            let path = std::env::temp_dir().join(format!("{name}.{}-{number}.experiment_state", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    let copy = Copy { path };
                    file.write_all(text.as_bytes()).map_err(|e| copy.trouble("write", &e))?;
                    return Ok(copy);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Copy { path }.trouble("make", &error)),
            }
        }
        Err(CliError::disk("there is no free name for a copy to edit"))
    }

    fn trouble(&self, doing: &str, error: &io::Error) -> CliError {
        CliError::disk(format!(
            "cannot {doing} the copy to edit {}: {error}",
            self.path.display()
        ))
    }

    fn read(&self) -> Result<String, CliError> {
        let bytes = std::fs::read(&self.path).map_err(|e| self.trouble("read", &e))?;
        String::from_utf8(bytes).map_err(|e| {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            CliError::disk(format!("the text is not UTF-8 (line {line}); nothing was changed"))
        })
    }

    fn write(&self, text: &str) -> Result<(), CliError> {
        std::fs::write(&self.path, text).map_err(|e| self.trouble("write", &e))
    }

    /// Leaves the text where it is, and says so with the error.
    fn keep(self, error: CliError) -> CliError {
        let hint = format!("your text is in {}", self.path.display());
        std::mem::forget(self);
        error.hint(hint)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // There is nobody to tell; it is a copy.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What is said at the end of a text that was given up: its error has been shown.
fn not_taken(error: CliError) -> CliError {
    let (message, _) = error.in_words();
    let text = format!("nothing was changed ({message})");
    match error {
        CliError::Usage { .. } => CliError::usage(text),
        _ => CliError::disk(text),
    }
}

fn run_editor(file: &Path) -> Result<(), CliError> {
    let chosen = ["VISUAL", "EDITOR"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    let editor = chosen
        .into_iter()
        .find(|e| !e.trim().is_empty())
        .unwrap_or_else(|| "vi".into());
    // What people put there has options and quotes in it.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(file)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CliError::usage(format!(
            "the editor (`{editor}`) ended with {}; nothing was changed",
            status.code().map_or("a signal".into(), |code| format!("status {code}"))
        ))
        .hint("VISUAL or EDITOR names the editor")),
        Err(error) => Err(CliError::disk(format!("cannot start the editor `{editor}`: {error}"))),
    }
}

/// Asks until one of the letters is answered; the end of the input is the last of them.
fn ask(question: &str, letters: &str, printer: &Printer) -> char {
    let last = letters.chars().last().unwrap_or('q');
    loop {
        printer.raw_stderr(&format!("{question} "));
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => {
                printer.raw_stderr("\n");
                return last;
            }
            Ok(_) => {}
        }
        let letter = line.trim().chars().next().map(|c| c.to_ascii_lowercase());
        if let Some(letter) = letter.filter(|c| letters.contains(*c)) {
            return letter;
        }
    }
}

/// Checks an edited text and puts it in the place of the file. Returns what it changed.
fn take(run: &RunPath, base: &StateText, edited: &str, copy: &Copy, printer: &Printer) -> Result<Vec<Shown>, Refused> {
    let state = check_text(edited, &copy.path).map_err(|e| Refused::Wrong(e.into()))?;
    let changes = changes_between(&base.state, &state);
    let wrong = |error: StateError| Refused::Wrong(error.into());
    let mut event = Event::by_hand(ByHand::Edit);
    event.changes.clone_from(&changes);
    // Held while it is taken: no run may begin on the old text at this moment.
    let mut store = match Store::open(&run.state_file) {
        Ok(store) => Some(store),
        Err(StateError::Locked { owner, .. }) => {
            refuse_running(run, &changes, &owner)?;
            None
        }
        Err(error) => return Err(wrong(error)),
    };
    let mut before: Option<State> = None;
    for _ in 0..TRIES {
        let mut now = read_text(&run.state_file).map_err(wrong)?;
        let conflicts = conflicts(&base.state, &now.state, &changes);
        if !conflicts.is_empty() {
            return Err(Refused::Conflict {
                now: Box::new(now),
                conflicts,
            });
        }
        if before.is_none() {
            before = Some(now.state.clone());
            match &mut store {
                Some(store) => {
                    store.commit(event.clone()).and_then(|()| store.show()).map_err(wrong)?;
                    now = read_text(&run.state_file).map_err(wrong)?;
                }
                None => {
                    // Without it the history says that the file was edited outside; the edit counts all the same.
                    let _ = announce(&run.state_file, &event.verb, &changes);
                }
            }
        }
        let after = put_together(base, edited, &now, &changes);
        if !replace_text(&run.state_file, &now, &after).map_err(wrong)? {
            continue;
        }
        // A run that wrote at the very same moment did not see the edit.
        let is_taken = match &mut store {
            Some(store) => store.refresh().map(|_| true),
            None => {
                thread::sleep(SETTLE);
                let kept = |state: State| {
                    changes
                        .iter()
                        .all(|c| state.get(&c.section, &c.key) == c.value.as_deref())
                };
                read(&run.state_file).map(|state| kept(state) || holder(&run.state_file).is_none())
            }
        };
        if is_taken.map_err(wrong)? {
            let before = before.unwrap_or_default();
            if before != base.state {
                printer.info("the file was changed while you edited it; your changes are merged into it");
            }
            return Ok(shown(&before, &changes));
        }
    }
    let file = run.state_file.display();
    Err(Refused::Wrong(CliError::disk(format!(
        "{file} is being written to all the time"
    ))))
}

/// The text that is edited with what others changed meanwhile. The layout and the comments are those of the editor, unless
/// only others changed any.
fn put_together(base: &StateText, edited: &str, now: &StateText, changes: &[Change]) -> String {
    let mut state = now.state.clone();
    changes.iter().for_each(|change| state.apply(change));
    let mine = now.filled(edited, &state);
    if mine == now.filled(&base.text, &state) {
        now.filled(&now.text, &state)
    } else {
        mine
    }
}

/// How the phase that is running ends is for its run to say.
fn refuse_running(run: &RunPath, changes: &[Change], owner: &Owner) -> Result<(), Refused> {
    let now = read(&run.state_file).map_err(|e| Refused::Wrong(e.into()))?;
    let running = |c: &&Change| c.section == "phases" && now.phase(&c.key) == Some(PhaseStatus::InProgress);
    match changes.iter().find(running) {
        None => Ok(()),
        Some(change) => Err(Refused::Wrong(
            CliError::usage(format!(
                "{} is running now, in {owner}: how it ends is for the run to say",
                change.key
            ))
            .hint("stop the run first, or leave that line as it was"),
        )),
    }
}

/// The keys that somebody else changed to something else.
pub(super) fn conflicts(base: &State, now: &State, changes: &[Change]) -> Vec<String> {
    let text = |value: Option<&str>| value.map_or("not there".to_string(), String::from);
    let meant = changes.iter().filter(|c| {
        let there = now.get(&c.section, &c.key);
        there != base.get(&c.section, &c.key) && there != c.value.as_deref()
    });
    meant
        .map(|c| {
            let (was, is) = (base.get(&c.section, &c.key), now.get(&c.section, &c.key));
            format!(
                "[{}] {}: it was {}, you wrote {}, it is {} now",
                c.section,
                c.key,
                text(was),
                text(c.value.as_deref()),
                text(is)
            )
        })
        .collect()
}

/// A change as it is reported.
struct Shown {
    section: String,
    key: String,
    from: Option<String>,
    to: Option<String>,
}

fn shown(before: &State, changes: &[Change]) -> Vec<Shown> {
    let one = |c: &Change| Shown {
        section: c.section.clone(),
        key: c.key.clone(),
        from: before.get(&c.section, &c.key).map(String::from),
        to: c.value.clone(),
    };
    changes.iter().map(one).filter(|s| s.from != s.to).collect()
}

fn report(run: &RunPath, changes: &[Shown], as_json: bool, printer: &Printer) -> u8 {
    if as_json {
        let changed: Vec<Value> = changes
            .iter()
            .map(|c| json!({ "section": c.section, "key": c.key, "from": c.from, "to": c.to }))
            .collect();
        printer.json(&json!({ "run": run.directory, "changed": changed }));
        return exit_code::DONE;
    }
    if changes.is_empty() {
        printer.info("no value was changed");
        return exit_code::DONE;
    }
    for change in changes {
        let name = format!("[{}] {}", change.section, change.key);
        let colored = printer.stdout_colored();
        let line = match (&change.from, &change.to) {
            (Some(from), Some(to)) => format!("{name}: {from} → {}", paint(Tone::Accent, to, colored)),
            (None, Some(to)) => format!("{name}: {} (new)", paint(Tone::Good, to, colored)),
            (from, None) => {
                let gone = paint(Tone::Bad, "taken out", colored);
                format!("{name}: {gone} (was {})", from.clone().unwrap_or_default())
            }
        };
        printer.result(&line);
    }
    if holder(&run.state_file).is_some() {
        printer.info("the run that is on goes on with it");
        return exit_code::DONE;
    }
    // A file that is written to at this very moment is no reason to fail: the edit is made.
    let advice = read(&run.state_file)
        .map(|state| standing_advice(&state))
        .unwrap_or_default();
    printer.info(&format!("to go on: {}", resume_command(&run.state_file, &advice)));
    exit_code::DONE
}
