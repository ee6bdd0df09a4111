//! Errors drawn into the text they are about: file, line, and a caret under the right column.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level as Severity, Renderer, Snippet};

use super::harmless::{visible, visible_line};
use super::style::Tone;

/// annotate-snippets trims source lines sensibly down to about this; narrower ones wrap.
const NARROWEST: usize = 40;
/// Lines for a pipe are trimmed only when nobody could read them anyway.
const WIDTH_ON_A_PIPE: usize = 500;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing can go on.
    Error,
    /// It can, but should be looked at.
    Warning,
    /// Worth knowing.
    Note,
}

/// One finding about one or more texts.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// A short name shown as `error[code]`.
    pub code: Option<String>,
    /// What is wrong, best in one line.
    pub title: String,
    /// The places it is about, the most important first; may be empty.
    pub sources: Vec<Excerpt>,
    /// Facts, each printed as `= note: …`.
    pub notes: Vec<String>,
    /// Advice, each printed as `= help: …`.
    pub helps: Vec<String>,
}

/// A text with marks in it. Only the marked lines and a little around them are shown.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The name shown before line and column.
    pub path: String,
    /// The whole text, from its first line.
    pub text: String,
    /// The marks; may be empty, then only the path is shown.
    pub labels: Vec<Label>,
}

/// One mark.
#[derive(Clone, Debug)]
pub struct Label {
    /// The bytes of the text it covers. What lies beyond the text, or inside a character, is moved
    /// to the nearest place that exists.
    pub span: Range<usize>,
    /// What to say there; may be empty.
    pub text: String,
    /// Underlined with `^` rather than `-`; the first of these gives the line and column.
    pub primary: bool,
}

/// Draws `diagnostic` as lines, each ended by a newline, in the manner of rustc; without escape
/// codes unless `colored`. `width` is the terminal's columns, `None` for a pipe: longer source
/// lines are trimmed around what is marked.
pub fn render(diagnostic: &Diagnostic, colored: bool, width: Option<usize>) -> String {
    let level = match diagnostic.level {
        Level::Error => Severity::ERROR,
        Level::Warning => Severity::WARNING,
        Level::Note => Severity::NOTE,
    };
    let mut title = level.primary_title(visible(&diagnostic.title));
    if let Some(code) = &diagnostic.code {
        title = title.id(visible_line(code));
    }
    let mut group = Group::with_title(title);
    for source in &diagnostic.sources {
        if source.labels.is_empty() {
            group = group.element(annotate_snippets::Origin::path(visible_line(&source.path)));
        } else {
            group = group.element(snippet(source));
        }
    }
    for note in &diagnostic.notes {
        group = group.element(Severity::NOTE.message(visible(note)));
    }
    for help in &diagnostic.helps {
        group = group.element(Severity::HELP.message(visible(help)));
    }
    let drawn = renderer(colored, width).render(&[group]);
    let mut text = String::with_capacity(drawn.len() + 1);
    for line in drawn.lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn renderer(colored: bool, width: Option<usize>) -> Renderer {
    let renderer = if colored {
        Renderer::styled()
            .error(Tone::Bad.style())
            .warning(Tone::Warn.style())
            .note(Tone::Good.style())
            .help(Tone::Accent.style())
            .context(Tone::Accent.style())
            .line_num(Tone::Dim.style())
            .emphasis(Tone::Bold.style())
    } else {
        Renderer::plain()
    };
    renderer.term_width(width.map_or(WIDTH_ON_A_PIPE, |width| width.max(NARROWEST)))
}

fn snippet(source: &Excerpt) -> Snippet<'_, Annotation<'_>> {
    let text = same_length_but_harmless(&source.text);
    let annotations: Vec<Annotation<'_>> = source
        .labels
        .iter()
        .map(|label| {
            let kind = if label.primary {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let words = (!label.text.is_empty()).then(|| visible_line(&label.text));
            kind.span(existing_span(&text, &label.span)).label(words)
        })
        .collect();
    Snippet::source(text)
        .path(visible_line(&source.path))
        .annotations(annotations)
}

/// annotate-snippets shows the ASCII control characters itself. Those between U+0080 and U+009F,
/// which some terminals obey, it would pass on; they give way to a letter of the same two bytes,
/// so that every span still fits.
fn same_length_but_harmless(text: &str) -> String {
    text.chars()
        .map(|c| if ('\u{80}'..='\u{9f}').contains(&c) { '¿' } else { c })
        .collect()
}

/// The part of `span` that lies within `text`, on character borders. Line ends at the end of the
/// text are no place to point at: the caret belongs behind the last character.
fn existing_span(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    let content = text.trim_end_matches(['\n', '\r']).len();
    if start >= content { content..content } else { start..end }
}

#[cfg(test)]
mod tests;
