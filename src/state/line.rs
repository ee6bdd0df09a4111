//! One line of the file: what kind of line it is, and where its key and its value stand in it.
//!
//! Lines keep their text to the byte. Nothing is unescaped or unquoted here, and a `#` behind a value is part of it.

use std::ops::Range;

/// A line that is no section header, with its line end.
#[derive(Debug, Clone)]
pub(super) struct Line {
    raw: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Blank,
    Comment,
    Entry { key: Range<usize>, value: Range<usize> },
    Removed,
}

/// What a line is. Ranges are bytes of the line.
#[derive(Debug)]
pub(super) enum Shape {
    /// A section header with the section's name.
    Header(Range<usize>),
    /// Any other line.
    Plain(Line),
}

/// Why a line is none.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// Reads one line, its line end included.
pub(super) fn read_line(raw: &str) -> Result<Shape, Trouble> {
    let body = trimmed(raw, 0..raw.len());
    let text = &raw[body.clone()];
    let kind = match text.chars().next() {
        None => Kind::Blank,
        Some('#' | ';') => Kind::Comment,
        Some('[') => return read_header(raw, body).map(Shape::Header),
        // Of the first line it has been taken off. Elsewhere it cannot be seen, and would make another key of this one.
        Some(mark @ '\u{feff}') => {
            return Err(Trouble {
                span: body.start..body.start + mark.len_utf8(),
                what: "there is a byte order mark, which cannot be seen, at the beginning of this line".to_owned(),
                remedy: "delete the line and type it anew".to_owned(),
            });
        }
        Some(_) => {
            let Some(equals) = text.find('=') else {
                return Err(no_equals(text, body));
            };
            let equals = body.start + equals;
            let key = trimmed(raw, body.start..equals);
            if key.is_empty() {
                return Err(Trouble {
                    span: equals..equals + 1,
                    what: "there is no key before the `=`".to_owned(),
                    remedy: "write `key=value`, or put a `#` before the line".to_owned(),
                });
            }
            Kind::Entry {
                key,
                value: value_range(raw, equals + 1),
            }
        }
    };
    Ok(Shape::Plain(Line {
        raw: raw.to_owned(),
        kind,
    }))
}

impl Line {
    /// A new line `key=value`.
    pub(super) fn entry(key: &str, value: &str, line_end: &str) -> Self {
        let value_start = key.len() + 1;
        let kind = Kind::Entry {
            key: 0..key.len(),
            value: value_start..value_start + value.len(),
        };
        Line {
            raw: format!("{key}={value}{line_end}"),
            kind,
        }
    }

    /// A new line without anything on it.
    pub(super) fn blank(line_end: &str) -> Self {
        Line {
            raw: line_end.to_owned(),
            kind: Kind::Blank,
        }
    }

    pub(super) fn raw(&self) -> &str {
        &self.raw
    }

    /// The line without its line end.
    pub(super) fn text(&self) -> &str {
        without_line_end(&self.raw)
    }

    pub(super) fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::Blank)
    }

    pub(super) fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment)
    }

    pub(super) fn is_removed(&self) -> bool {
        matches!(self.kind, Kind::Removed)
    }

    /// The key and the value, when the line has them.
    pub(super) fn key_and_value(&self) -> Option<(&str, &str)> {
        match &self.kind {
            Kind::Entry { key, value } => Some((&self.raw[key.clone()], &self.raw[value.clone()])),
            _ => None,
        }
    }

    /// Where the key stands in the line; empty when it has none.
    pub(super) fn key_range(&self) -> Range<usize> {
        match &self.kind {
            Kind::Entry { key, .. } => key.clone(),
            _ => 0..0,
        }
    }

    /// Where the value stands in the line; empty when it has none.
    pub(super) fn value_range(&self) -> Range<usize> {
        match &self.kind {
            Kind::Entry { value, .. } => value.clone(),
            _ => 0..0,
        }
    }

    /// Puts another value in the place of the value; every other byte stays. A line without a key stays as it is.
    pub(super) fn set_value(&mut self, text: &str) {
        if let Kind::Entry { value, .. } = &mut self.kind {
            self.raw.replace_range(value.clone(), text);
            value.end = value.start + text.len();
        }
    }

    /// Leaves nothing of the line. Its place stays, so that the places of others do.
    pub(super) fn clear(&mut self) {
        *self = Line {
            raw: String::new(),
            kind: Kind::Removed,
        };
    }

    /// Ends the line when it does not end; returns whether there is a line to end.
    pub(super) fn terminate(&mut self, line_end: &str) -> bool {
        terminate(&mut self.raw, line_end)
    }
}

/// Ends a line's text when it does not end; returns whether there is text to end.
pub(super) fn terminate(raw: &mut String, line_end: &str) -> bool {
    if raw.is_empty() {
        return false;
    }
    if raw.ends_with('\r') {
        raw.push('\n');
    } else if !raw.ends_with('\n') {
        raw.push_str(line_end);
    }
    true
}

/// A line's text without its line end.
pub(super) fn without_line_end(raw: &str) -> &str {
    let text = raw.strip_suffix('\n').unwrap_or(raw);
    text.strip_suffix('\r').unwrap_or(text)
}

fn read_header(raw: &str, body: Range<usize>) -> Result<Range<usize>, Trouble> {
    let text = &raw[body.clone()];
    let Some(close) = text.find(']') else {
        return Err(Trouble {
            span: body,
            what: "the section header has no `]`".to_owned(),
            remedy: format!("write `{text}]`"),
        });
    };
    let close = body.start + close;
    let name = trimmed(raw, body.start + 1..close);
    if name.is_empty() {
        return Err(Trouble {
            span: body.start..close + 1,
            what: "the section has no name".to_owned(),
            remedy: "write its name between the brackets, as in `[phases]`".to_owned(),
        });
    }
    let rest = trimmed(raw, close + 1..body.end);
    if !rest.is_empty() && !raw[rest.clone()].starts_with(['#', ';']) {
        return Err(Trouble {
            span: rest,
            what: "there is text behind the section header".to_owned(),
            remedy: "put it on a line of its own".to_owned(),
        });
    }
    Ok(name)
}

fn no_equals(text: &str, span: Range<usize>) -> Trouble {
    let remedy = match text.split_once(':') {
        Some((key, value)) if !key.contains(char::is_whitespace) => {
            format!("write `{key}={}`, or put a `#` before the line", value.trim())
        }
        _ => "write `key=value`, or put a `#` before the line".to_owned(),
    };
    Trouble {
        span,
        what: "the line has no `=`".to_owned(),
        remedy,
    }
}

/// Where the value stands behind the `=`. An empty value stands behind the blanks, where a value would.
fn value_range(raw: &str, after_equals: usize) -> Range<usize> {
    let end = without_line_end(raw).len().max(after_equals);
    let value = trimmed(raw, after_equals..end);
    if value.is_empty() { end..end } else { value }
}

/// The range without the blanks at its ends.
fn trimmed(raw: &str, range: Range<usize>) -> Range<usize> {
    let text = &raw[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    let end = range.end - (text.len() - text.trim_end().len());
    if start >= end {
        range.start..range.start
    } else {
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(raw: &str) -> (String, String) {
        match read_line(raw) {
            Ok(Shape::Plain(line)) => {
                let (key, value) = line.key_and_value().expect("an entry");
                (key.to_owned(), value.to_owned())
            }
            other => panic!("{raw:?}: {other:?}"),
        }
    }

    fn set(raw: &str, value: &str) -> String {
        match read_line(raw) {
            Ok(Shape::Plain(mut line)) => {
                line.set_value(value);
                line.raw().to_owned()
            }
            other => panic!("{raw:?}: {other:?}"),
        }
    }

    #[test]
    fn key_and_value_stand_around_the_first_equals_sign() {
        for raw in ["a=b=c", " a = b=c \r\n", "a=b=c\n", "\ta\t=\tb=c"] {
            assert_eq!(entry(raw), ("a".to_owned(), "b=c".to_owned()), "{raw:?}");
        }
        assert_eq!(entry("a="), ("a".to_owned(), String::new()));
        assert_eq!(entry("a=b # c\n"), ("a".to_owned(), "b # c".to_owned()));
    }

    #[test]
    fn setting_a_value_changes_the_value_part_only() {
        for (before, after) in [
            ("a=b\n", "a=new\n"),
            ("  a = b  \r\n", "  a = new  \r\n"),
            ("a=\r\n", "a=new\r\n"),
            ("a = \n", "a = new\n"),
            ("a=b", "a=new"),
        ] {
            assert_eq!(set(before, "new"), after);
        }
    }

    #[test]
    fn a_header_may_have_blanks_and_a_comment_around_it() {
        for raw in ["[a b]\n", "  [ a b ]  \r\n", "[a b] # c", "[a b];c"] {
            match read_line(raw) {
                Ok(Shape::Header(name)) => assert_eq!(&raw[name], "a b"),
                other => panic!("{raw:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_line_is_told_with_its_place() {
        for (raw, part, word) in [
            ("  compelted \n", "compelted", "no `=`"),
            ("=x\n", "=", "no key"),
            (" \u{feff}x=1\n", "\u{feff}", "byte order mark"),
            ("  = x\n", "=", "no key"),
            ("[phases\r\n", "[phases", "no `]`"),
            ("[]\n", "[]", "no name"),
            ("[a] b\n", "b", "behind the section header"),
        ] {
            let trouble = read_line(raw).unwrap_err();
            assert_eq!(&raw[trouble.span], part);
            assert!(trouble.what.contains(word), "{}", trouble.what);
        }
    }

    #[test]
    fn a_colon_for_an_equals_sign_is_recognised() {
        assert!(
            read_line("train: completed\n")
                .unwrap_err()
                .remedy
                .contains("`train=completed`")
        );
    }
}
