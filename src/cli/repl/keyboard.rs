//! Typing at a terminal: completion, hints, colours, and lines that go on while something in them is open.

use std::borrow::Cow;
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper};

use super::words::{KEYWORDS, Words};
use crate::script::is_unfinished;
use crate::script::lexer::{Kind, lex};
use crate::ui::{Tone, paint};

/// How many lines the history keeps.
const HISTORY: usize = 10_000;

/// What stands in a line that goes on, until something is typed into it.
const GOES_ON: &str = "… goes on; Ctrl-C drops it";

/// What was typed.
pub(super) enum Typed {
    /// A line, or several that belong together.
    Line(String),
    /// Ctrl-C: what was typed is dropped.
    Dropped,
    /// Ctrl-D: the end.
    End,
}

/// The line editor with its history.
pub(super) struct Keyboard {
    editor: Editor<Typing, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Keyboard {
    /// A line editor whose history is kept in the user's data directory, where there is one.
    ///
    /// # Errors
    /// [`ReadlineError`] when the terminal cannot be used.
    pub(super) fn new(colored: bool) -> Result<Keyboard, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .color_mode(if colored {
                ColorMode::Enabled
            } else {
                ColorMode::Disabled
            })
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Typing {
            words: Words::default(),
            colored,
            past: HistoryHinter::new(),
            is_asking: false,
        }));
        let history = history_file();
        if let Some(file) = &history {
            // A history that is not there yet, or cannot be read, is an empty one.
            let _ = editor.load_history(file);
        }
        Ok(Keyboard { editor, history })
    }

    /// Reads the answer to a question; it is no part of the history.
    ///
    /// # Errors
    /// As [`Keyboard::read`].
    pub(super) fn ask(&mut self, question: &str) -> Result<Typed, ReadlineError> {
        if let Some(typing) = self.editor.helper_mut() {
            typing.is_asking = true;
        }
        self.editor.set_auto_add_history(false);
        let typed = self.editor.readline(question);
        self.editor.set_auto_add_history(true);
        if let Some(typing) = self.editor.helper_mut() {
            typing.is_asking = false;
        }
        as_typed(typed)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`ReadlineError`] when the terminal is gone.
    pub(super) fn read(&mut self, prompt: &str, words: Words) -> Result<Typed, ReadlineError> {
        if let Some(typing) = self.editor.helper_mut() {
            typing.words = words;
        }
        let typed = self.editor.readline(prompt);
        if let (Ok(_), Some(file)) = (&typed, &self.history) {
            // A history that cannot be kept is no reason to stop working.
            let _ = self.editor.append_history(file);
        }
        as_typed(typed)
    }
}

fn as_typed(typed: Result<String, ReadlineError>) -> Result<Typed, ReadlineError> {
    match typed {
        Ok(line) => Ok(Typed::Line(line)),
        Err(ReadlineError::Interrupted) => Ok(Typed::Dropped),
        Err(ReadlineError::Eof) => Ok(Typed::End),
        Err(error) => Err(error),
    }
}

/// `history` in the user's data directory for jumar, which is made; `None` where that cannot be.
fn history_file() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "jumar")?;
    let directory = directories.data_dir();
    std::fs::create_dir_all(directory).ok()?;
    Some(directory.join("history"))
}

struct Typing {
    words: Words,
    colored: bool,
    past: HistoryHinter,
    /// Whether a letter is asked for, not a line of script.
    is_asking: bool,
}

impl Helper for Typing {}

impl Completer for Typing {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if self.is_asking {
            return Ok((at, vec![]));
        }
        let (start, found) = self.words.complete(line, at);
        let pair = |word: String| Pair {
            display: word.clone(),
            replacement: word,
        };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

/// Text behind the cursor in grey.
struct Grey {
    text: String,
    /// Whether the right arrow takes it.
    can_be_taken: bool,
}

impl Hint for Grey {
    fn display(&self) -> &str {
        &self.text
    }

    fn completion(&self) -> Option<&str> {
        self.can_be_taken.then_some(self.text.as_str())
    }
}

impl Hinter for Typing {
    type Hint = Grey;

    fn hint(&self, line: &str, at: usize, context: &Context<'_>) -> Option<Grey> {
        if at < line.len() || line.is_empty() || self.is_asking {
            return None;
        }
        if line.ends_with('\n') {
            return Some(Grey {
                text: GOES_ON.into(),
                can_be_taken: false,
            });
        }
        if let Some(signature) = self.words.signature(line) {
            return Some(Grey {
                text: signature.into(),
                can_be_taken: false,
            });
        }
        self.past.hint(line, at, context).map(|text| Grey {
            text,
            can_be_taken: true,
        })
    }
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.colored {
            return Cow::Borrowed(line);
        }
        if line.starts_with(':') {
            return Cow::Owned(paint(Tone::Accent, line, true));
        }
        let painted = lex(line).tokens.into_iter().map(|token| {
            let word = &line[token.range];
            let tone = match token.kind {
                Kind::Comment => Tone::Dim,
                Kind::Text => Tone::Good,
                Kind::Number => Tone::Warn,
                Kind::Word if KEYWORDS.contains(&word) => Tone::Accent,
                _ => return word.to_string(),
            };
            // Colours end at line ends: the editor counts the rows itself.
            word.split('\n')
                .map(|part| paint(tone, part, true))
                .collect::<Vec<_>>()
                .join("\n")
        });
        Cow::Owned(painted.collect())
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(paint(Tone::Accent, prompt, self.colored))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(paint(Tone::Dim, hint, self.colored))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colored
    }
}

impl Validator for Typing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if !self.is_asking && goes_on(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

/// Whether more lines belong to what was typed so far. An empty line ends what only lacks its end.
pub(super) fn goes_on(text: &str) -> bool {
    if text.trim_start().starts_with(':') {
        return false;
    }
    let gives_up = text.ends_with("\n\n");
    is_unfinished(text) && (!gives_up || lex(text).open)
}
