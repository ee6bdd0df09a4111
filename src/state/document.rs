//! The text of a state file as a document that changes only where it is told to.
//!
//! Comments, blank lines, order, spacing, line ends, a byte order mark, sections and keys that nobody knows: all
//! stay as they were, to the byte. What values mean is no business of this file.

use std::fmt;
use std::ops::Range;

use foldhash::HashMap;

use super::event::Change;
use super::line::{Line, Shape, Trouble, read_line, terminate, without_line_end};
use super::model::State;

/// A parsed state file. Setting a key costs the same however many there are.
#[derive(Debug)]
pub(super) struct Document {
    byte_order_mark: bool,
    line_end: &'static str,
    /// What stands before the first header, then one block a header.
    blocks: Vec<Block>,
    sections: HashMap<String, Section>,
}

#[derive(Debug, Default)]
struct Block {
    /// The whole header line; empty for the first block, which has none.
    header: String,
    name: String,
    lines: Vec<Line>,
}

/// Where a section's keys are: block and line of each, and the block that takes new ones.
#[derive(Debug, Default)]
struct Section {
    last_block: usize,
    keys: HashMap<String, (usize, usize)>,
}

/// A line that cannot be understood.
#[derive(Debug)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    /// The line without its end.
    pub(super) text: String,
    /// The part of the text that is wrong, in bytes.
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Default for Document {
    fn default() -> Self {
        Document {
            byte_order_mark: false,
            line_end: "\n",
            blocks: vec![Block::default()],
            sections: HashMap::from_iter([(String::new(), Section::default())]),
        }
    }
}

impl Document {
    /// A document that consists of comment lines. A line that is no comment is made one.
    pub(super) fn with_comments(text: &str) -> Self {
        let mut document = Document::default();
        for line in text.lines() {
            let commented = match line.trim_start().chars().next() {
                None => "\n".to_owned(),
                Some('#' | ';') => format!("{line}\n"),
                Some(_) => format!("# {line}\n"),
            };
            if let Ok(Shape::Plain(line)) = read_line(&commented) {
                document.blocks[0].lines.push(line);
            }
        }
        document
    }

    /// Parses a file's text. The first line that cannot be understood ends it.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let body = text.strip_prefix('\u{feff}');
        let byte_order_mark = body.is_some();
        let body = body.unwrap_or(text);
        // A text that ends between the two bytes of its first line end has that line end, too.
        let first_end = body.find('\n').map_or(body, |end| &body[..end]);
        let mut document = Document {
            byte_order_mark,
            line_end: if first_end.ends_with('\r') { "\r\n" } else { "\n" },
            ..Document::default()
        };
        for (index, raw) in body.split_inclusive('\n').enumerate() {
            let trouble = match read_line(raw) {
                Ok(Shape::Header(name)) => {
                    document.open_block(&raw[name], raw.to_owned());
                    continue;
                }
                Ok(Shape::Plain(line)) => match document.push(line) {
                    None => continue,
                    Some(trouble) => trouble,
                },
                Err(trouble) => trouble,
            };
            let Trouble { span, what, remedy } = trouble;
            return Err(Fault {
                line: index + 1,
                text: without_line_end(raw).to_owned(),
                span,
                what,
                remedy,
            });
        }
        Ok(document)
    }

    /// The text after the `=` of a key.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let (block, line) = self.place(section, key)?;
        self.blocks[block].lines[line].key_and_value().map(|(_, value)| value)
    }

    /// Applies one change. A key that is there gets its value in its place; a new key comes at the end of its
    /// section's text, a new section at the end of the file. Names and value have to be ones that a line can hold.
    pub(super) fn apply(&mut self, change: &Change) {
        match &change.value {
            Some(value) => self.set(&change.section, &change.key, value),
            None => self.remove(&change.section, &change.key),
        }
    }

    /// The state that the document describes.
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        for (index, block) in self.blocks.iter().enumerate() {
            let mut entries = block.lines.iter().filter_map(Line::key_and_value).peekable();
            if index == 0 && entries.peek().is_none() {
                continue;
            }
            let keys = state.open_section(&block.name);
            for (key, value) in entries {
                keys.set(key, value.into());
            }
        }
        state
    }

    /// The section and the name of each key, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks.iter().flat_map(|block| {
            let named = block.lines.iter().filter_map(Line::key_and_value);
            named.map(|(key, _)| (block.name.as_str(), key))
        })
    }

    /// Takes out the comments that `is_one` tells by their text without blanks around it.
    pub(super) fn remove_comments(&mut self, is_one: impl Fn(&str) -> bool) {
        for line in self.blocks.iter_mut().flat_map(|block| &mut block.lines) {
            if line.is_comment() && is_one(line.text().trim()) {
                line.clear();
            }
        }
    }

    /// Puts a line at the end of the file.
    pub(super) fn push_comment(&mut self, text: &str) {
        let last = self.blocks.len() - 1;
        self.terminate_before(last, self.blocks[last].lines.len());
        if let Ok(Shape::Plain(line)) = read_line(&format!("{text}{}", self.line_end)) {
            self.blocks[last].lines.push(line);
        }
    }

    /// The fault that lies in the value of a key: the caller says what is wrong with it. Costs a walk over the file.
    pub(super) fn fault_in_value(&self, section: &str, key: &str, what: String, remedy: String) -> Fault {
        let Some((block, line)) = self.place(section, key) else {
            return Fault {
                line: 1,
                text: String::new(),
                span: 0..0,
                what,
                remedy,
            };
        };
        let found = &self.blocks[block].lines[line];
        Fault {
            line: self.line_number(block, line),
            text: found.text().to_owned(),
            span: found.value_range(),
            what,
            remedy,
        }
    }

    fn set(&mut self, section: &str, key: &str, value: &str) {
        if let Some((block, line)) = self.place(section, key) {
            self.blocks[block].lines[line].set_value(value);
            return;
        }
        let block = match self.sections.get(section) {
            Some(found) => found.last_block,
            None => self.append_section(section),
        };
        let at = self.end_of_content(block);
        self.terminate_before(block, at);
        // Behind this place are only lines without keys, so that no place in the index moves.
        self.blocks[block]
            .lines
            .insert(at, Line::entry(key, value, self.line_end));
        if let Some(section) = self.sections.get_mut(section) {
            section.keys.insert(key.to_owned(), (block, at));
        }
    }

    fn remove(&mut self, section: &str, key: &str) {
        if let Some((block, line)) = self.sections.get_mut(section).and_then(|found| found.keys.remove(key)) {
            self.blocks[block].lines[line].clear();
        }
    }

    fn place(&self, section: &str, key: &str) -> Option<(usize, usize)> {
        self.sections.get(section)?.keys.get(key).copied()
    }

    /// Takes a line of the file into the last block, unless its key is there already.
    fn push(&mut self, line: Line) -> Option<Trouble> {
        let block = self.blocks.len() - 1;
        let name = &self.blocks[block].name;
        if let Some((key, _)) = line.key_and_value() {
            if let Some((old_block, old_line)) = self.place(name, key) {
                let first = self.line_number(old_block, old_line);
                let here = if name.is_empty() {
                    String::new()
                } else {
                    format!(" in [{name}]")
                };
                return Some(Trouble {
                    what: format!("`{key}` is set twice{here}, the first time in line {first}"),
                    remedy: "keep one of the two lines".to_owned(),
                    span: line.key_range(),
                });
            }
            let place = (block, self.blocks[block].lines.len());
            if let Some(section) = self.sections.get_mut(name) {
                section.keys.insert(key.to_owned(), place);
            }
        }
        self.blocks[block].lines.push(line);
        None
    }

    fn open_block(&mut self, name: &str, header: String) -> usize {
        let block = self.blocks.len();
        self.blocks.push(Block {
            header,
            name: name.to_owned(),
            lines: Vec::new(),
        });
        self.sections.entry(name.to_owned()).or_default().last_block = block;
        block
    }

    /// Opens a section at the end of the file, after one blank line.
    fn append_section(&mut self, name: &str) -> usize {
        let last = self.blocks.len() - 1;
        self.terminate_before(last, self.blocks[last].lines.len());
        let block = &mut self.blocks[last];
        let has_text = !block.header.is_empty() || block.lines.iter().any(|line| !line.raw().is_empty());
        let ends_blank = block
            .lines
            .iter()
            .rev()
            .find(|line| !line.is_removed())
            .is_some_and(Line::is_blank);
        if has_text && !ends_blank {
            block.lines.push(Line::blank(self.line_end));
        }
        self.open_block(name, format!("[{name}]{}", self.line_end))
    }

    /// Where a new key of the block goes: behind all that is not blank, but before a comment that stands right
    /// above the next header with a blank line over it, because that speaks of the next section.
    fn end_of_content(&self, block: usize) -> usize {
        let lines = &self.blocks[block].lines;
        let back_over = |from: usize, skip: fn(&Line) -> bool| {
            lines[..from]
                .iter()
                .rposition(|line| !line.is_removed() && !skip(line))
                .map_or(0, |last| last + 1)
        };
        let mut end = back_over(lines.len(), |_| false);
        if block + 1 < self.blocks.len() {
            let above_comment = back_over(end, Line::is_comment);
            if above_comment > 0 && lines[above_comment - 1].is_blank() {
                end = above_comment;
            }
        }
        back_over(end, Line::is_blank)
    }

    /// Ends the line before this place, when it is the last of a file that does not end in a line end.
    fn terminate_before(&mut self, block: usize, at: usize) {
        let line_end = self.line_end;
        let found = &mut self.blocks[block];
        if !found.lines[..at].iter_mut().rev().any(|line| line.terminate(line_end)) {
            terminate(&mut found.header, line_end);
        }
    }

    fn line_number(&self, block: usize, line: usize) -> usize {
        let lines_of = |block: &Block, upto: usize| {
            let header = usize::from(!block.header.is_empty());
            header + block.lines[..upto].iter().filter(|line| !line.is_removed()).count()
        };
        let before: usize = self.blocks[..block]
            .iter()
            .map(|block| lines_of(block, block.lines.len()))
            .sum();
        before + lines_of(&self.blocks[block], line) + 1
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.byte_order_mark {
            f.write_str("\u{feff}")?;
        }
        for block in &self.blocks {
            f.write_str(&block.header)?;
            for line in &block.lines {
                f.write_str(line.raw())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
