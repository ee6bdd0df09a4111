//! The palette: the one place that knows which colour means what.
//!
//! Colour only repeats what a word or a symbol already says, so text reads the same without it.

use anstyle::{AnsiColor, Style};

/// What a piece of text wants to say by its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text, never coloured.
    #[default]
    Plain,
    /// Something went well.
    Good,
    /// Something failed.
    Bad,
    /// Something deserves a look.
    Warn,
    /// Less important than its surroundings.
    Dim,
    /// A name, a path, a command to copy.
    Accent,
    /// A heading.
    Bold,
}

impl Tone {
    pub(super) const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warn => AnsiColor::Yellow.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Accent => AnsiColor::Cyan.on_default(),
            Self::Bold => Style::new().bold(),
        }
    }
}

/// Wraps `text` in the escape codes of `tone`, or returns it unchanged when `colored` is false, the
/// tone is [`Tone::Plain`] or there is nothing to colour.
pub fn paint(tone: Tone, text: &str, colored: bool) -> String {
    let style = tone.style();
    if !colored || text.is_empty() || style.is_plain() {
        return text.to_owned();
    }
    format!("{}{text}{}", style.render(), style.render_reset())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_TONE: [Tone; 7] = [
        Tone::Plain,
        Tone::Good,
        Tone::Bad,
        Tone::Warn,
        Tone::Dim,
        Tone::Accent,
        Tone::Bold,
    ];

    #[test]
    fn text_for_a_stream_without_colour_has_no_escape_codes() {
        for tone in EVERY_TONE {
            assert_eq!(paint(tone, "training", false), "training");
        }
    }

    #[test]
    fn every_colour_is_switched_off_again() {
        for tone in EVERY_TONE.into_iter().filter(|tone| *tone != Tone::Plain) {
            let painted = paint(tone, "training", true);
            assert!(painted.starts_with('\u{1b}'), "{painted:?}");
            assert!(painted.ends_with("\u{1b}[0m"), "{painted:?}");
        }
        assert_eq!(paint(Tone::Plain, "training", true), "training");
        assert_eq!(paint(Tone::Bad, "", true), "");
    }
}
