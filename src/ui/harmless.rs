//! Text from elsewhere (logs, paths, messages of other programs) made safe to show.
//!
//! A log line may hold codes that move the cursor, retitle the window or hide text. Nothing here
//! changes what a program wrote to its log; only what is shown of it.

use std::borrow::Cow;

use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ESCAPE: char = '\u{1b}';

/// Replaces every control character but newline and tab by a visible stand-in of one column
/// (`␛` for ESC, `�` for those that have no picture, such as marks that turn the writing
/// direction). A carriage return before a newline is dropped.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| stand_in(c).is_some() && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    let keep_layout = |c| {
        if matches!(c, '\n' | '\t') {
            c
        } else {
            stand_in(c).unwrap_or(c)
        }
    };
    Cow::Owned(text.chars().map(keep_layout).collect())
}

/// Like [`visible`], for text that must stay on one line: a newline shows as `␊`, a tab becomes a
/// space.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| stand_in(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let one_line = |c| {
        if c == '\t' { ' ' } else { stand_in(c).unwrap_or(c) }
    };
    Cow::Owned(text.chars().map(one_line).collect())
}

/// One line of a program's output as a terminal would have left it: escape codes are gone, and of
/// a line that rewrites itself with carriage returns (a progress bar) the last version remains.
pub fn as_terminal_line(line: &str) -> String {
    let plain = strip_str(line).to_string();
    let mut versions = plain.rsplit(['\r', '\n']);
    let last = versions.find(|version| !version.trim().is_empty()).unwrap_or("");
    visible_line(last.trim_end()).into_owned()
}

/// Cuts `text` to at most `columns` terminal columns; what was cut shows as a final `…`. The text
/// must hold no escape codes.
pub fn cut_to_width(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used < columns
    };
    let kept: String = text.chars().take_while(fits).collect();
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// Text as the printer may send it: colour codes survive where the stream is coloured and vanish
/// where it is not; all other control characters are made visible.
pub(super) fn for_stream(text: &str, colored: bool) -> String {
    if !colored {
        return visible(&strip_str(text).to_string()).into_owned();
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(ESCAPE) {
        result.push_str(&visible(&rest[..start]));
        rest = &rest[start..];
        let length = color_code_length(rest);
        if length == 0 {
            result.push('␛');
            rest = &rest[ESCAPE.len_utf8()..];
        } else {
            result.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    result.push_str(&visible(rest));
    result
}

/// The length in bytes of the colour code (`ESC [ digits ; … m`) that `text` begins with, or 0.
fn color_code_length(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
    match end {
        Some(end) if parameters[end..].starts_with('m') => text.len() - parameters.len() + end + 1,
        _ => 0,
    }
}

/// What is shown instead of a character that would act on the terminal; `None` for all others.
fn stand_in(c: char) -> Option<char> {
    match c {
        '\0'..='\u{1f}' => char::from_u32('␀' as u32 + c as u32),
        '\u{7f}' => Some('␡'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_is_shown_and_not_sent() {
        assert_eq!(visible("a\u{1b}[2Jb\u{7}\0"), "a␛[2Jb␇␀");
        assert_eq!(visible("\u{9b}2J \u{202e}x \u{7f}"), "�2J �x ␡");
        assert_eq!(visible("one\r\n\ttwo\n"), "one\n\ttwo\n");
        assert_eq!(visible_line("a\nb\tc\r"), "a␊b c␍");
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(visible("größe\n\t日本"), Cow::Borrowed(_)));
        assert!(matches!(visible_line("größe 日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_progress_bar_leaves_its_last_version() {
        assert_eq!(as_terminal_line("10%\r20%\r\u{1b}[32m30%\u{1b}[0m\r"), "30%");
        assert_eq!(as_terminal_line("loss 0.1\r\n"), "loss 0.1");
        assert_eq!(as_terminal_line("\u{1b}]0;title\u{7}done \u{1b}[K"), "done");
        assert_eq!(as_terminal_line("\r\n"), "");
    }

    #[test]
    fn a_cut_counts_columns_and_not_bytes() {
        assert_eq!(cut_to_width("größe", 5), "größe");
        assert_eq!(cut_to_width("größer", 5), "größ…");
        assert_eq!(cut_to_width("日本語", 5), "日本…");
        assert_eq!(cut_to_width("日本語", 4), "日…");
        assert_eq!(cut_to_width("abc", 1), "…");
        assert_eq!(cut_to_width("abc", 0), "");
    }

    #[test]
    fn only_colour_codes_pass_and_only_where_they_are_wanted() {
        let text = "\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J \u{1b}]0;t\u{7} \u{1b}[3";
        assert_eq!(for_stream(text, true), "\u{1b}[1;31mred\u{1b}[0m ␛[2J ␛]0;t␇ ␛[3");
        assert_eq!(for_stream(text, false), "red   ");
        assert_eq!(for_stream("\u{1b}", true), "␛");
    }
}
