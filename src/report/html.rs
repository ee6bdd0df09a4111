//! Writing HTML: what is ours goes in as it is, what is a run's goes in as text.

use std::fmt::Write;

/// A page under construction.
pub(super) struct Html {
    text: String,
}

impl Html {
    pub(super) fn new() -> Html {
        Html {
            text: String::with_capacity(64 << 10),
        }
    }

    /// Our own markup. Nothing that a run, a log or a user wrote may come this way.
    pub(super) fn raw(&mut self, markup: &str) {
        self.text.push_str(markup);
    }

    /// Text from anywhere: shown as it is, whatever it holds.
    pub(super) fn text(&mut self, text: &str) {
        for c in crate::ui::visible(text).chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                c => self.text.push(c),
            }
        }
    }

    /// A name that may be broken where its parts meet, and better nowhere else.
    pub(super) fn breakable(&mut self, name: &str) {
        for part in name.split_inclusive(['.', '_', '/', '-']) {
            self.text(part);
            self.raw("<wbr>");
        }
    }

    /// A number of our own: a position or a length of a drawing.
    pub(super) fn number(&mut self, number: f64) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{number:.3}");
    }

    /// An opening tag with attributes whose values may come from anywhere.
    pub(super) fn open_with(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.raw("<");
        self.raw(tag);
        for (name, value) in attributes.iter().filter(|(_, value)| !value.is_empty()) {
            self.raw(" ");
            self.raw(name);
            self.raw("=\"");
            self.text(value);
            self.raw("\"");
        }
        self.raw(">");
    }

    /// An element that holds only text.
    pub(super) fn element(&mut self, tag: &str, class: &str, text: &str) {
        self.open_with(tag, &[("class", class)]);
        self.text(text);
        self.raw("</");
        self.raw(tag);
        self.raw(">");
    }

    /// A table: headings with their classes, and rows of cells. A class `n` is for numbers.
    pub(super) fn table(&mut self, heads: &[(&str, &str)], rows: &[Vec<(String, &str)>]) {
        self.raw("<div class=\"scroll\"><table>\n");
        if heads.iter().any(|(title, _)| !title.is_empty()) {
            self.raw("<thead><tr>");
            for (title, class) in heads {
                self.element("th", class, title);
            }
            self.raw("</tr></thead>\n");
        }
        self.raw("<tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (column, (text, class)) in row.iter().enumerate() {
                let head = heads.get(column).map_or("", |(_, class)| class);
                let both = if class.is_empty() {
                    head.to_string()
                } else {
                    format!("{head} {class}")
                };
                self.element(if column == 0 { "th" } else { "td" }, both.trim(), text);
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut page = Html::new();
        page.open_with("p", &[("title", "\"><script>x</script>")]);
        page.text("<script>alert('1' && \"2\")</script>\u{1b}[31m");
        let text = page.finish();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.starts_with("<p title=\"&quot;&gt;&lt;script&gt;"), "{text}");
        assert!(
            text.ends_with("&amp;&amp; &quot;2&quot;)&lt;/script&gt;␛[31m"),
            "{text}"
        );
    }
}
