//! Comma-separated values as RFC 4180 has them, with bare line feeds.

/// Adds a line.
pub(super) fn line<T: AsRef<str>>(text: &mut String, fields: impl IntoIterator<Item = T>) {
    let mut first = true;
    for field in fields {
        if !first {
            text.push(',');
        }
        first = false;
        let field = field.as_ref();
        if field.contains([',', '"', '\n', '\r']) || field.trim() != field {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(field);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_that_hold_commas_quotes_or_line_ends_are_quoted() {
        let mut text = String::new();
        super::line(&mut text, ["plain", "a,b", "say \"hi\"", "two\nlines", " blank", ""]);
        assert_eq!(text, "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\" blank\",\n");
    }
}
