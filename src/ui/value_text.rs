//! A value as people read it: plain words bare, a map as two columns, what does not fit in a line over several.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::harmless::visible;

/// The width that is counted on where there is no terminal.
const WIDTH: usize = 100;
/// The widest first column of a map; a longer key pushes its own value to the right.
const KEY_WIDTH: usize = 32;

/// The text of a value, over several lines where it is long; `width` is that of the terminal, if there is one.
pub fn value_text(value: &Value, width: Option<usize>) -> String {
    let width = width.unwrap_or(WIDTH).max(20);
    match value {
        Value::Null => "()".into(),
        Value::String(text) => visible(text).into_owned(),
        Value::Object(map) if map.is_empty() => "nothing in it".into(),
        Value::Object(map) => {
            let wide = |key: &str| UnicodeWidthStr::width(key);
            let column = map
                .keys()
                .map(|k| wide(k))
                .filter(|w| *w <= KEY_WIDTH)
                .max()
                .unwrap_or(0);
            let lines = map.iter().map(|(key, item)| {
                let pad = " ".repeat(column.saturating_sub(wide(key)) + 2);
                let room = width.saturating_sub(column + 2);
                format!("{}{pad}{}", visible(key), inner(item, room, column + 2))
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        other => inner(other, width, 0),
    }
}

/// A value inside another: in one line where it fits, else over several with `indent` before all but the first.
fn inner(value: &Value, room: usize, indent: usize) -> String {
    let line = match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => spaced(other),
    };
    if UnicodeWidthStr::width(line.as_str()) <= room {
        return line;
    }
    let pad = " ".repeat(indent + 2);
    let end = " ".repeat(indent);
    let room = room.saturating_sub(2);
    match value {
        Value::Array(items) => {
            let lines = items
                .iter()
                .map(|item| format!("{pad}{},\n", inner(item, room, indent + 2)));
            format!("[\n{}{end}]", lines.collect::<String>())
        }
        Value::Object(map) => {
            let lines = map.iter().map(|(key, item)| {
                let key = Value::from(key.as_str());
                format!("{pad}{key}: {},\n", inner(item, room, indent + 2))
            });
            format!("{{\n{}{end}}}", lines.collect::<String>())
        }
        _ => line,
    }
}

/// A text that needs no quotes to be told from a number, a list or nothing.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.starts_with('"')
        && !text.chars().any(char::is_control)
        && serde_json::from_str::<Value>(text).is_err()
}

/// JSON with a blank behind each comma and colon.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let items = map
                .iter()
                .map(|(k, v)| format!("{}: {}", Value::from(k.as_str()), spaced(v)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_stands_as_it_is_and_nothing_is_two_brackets() {
        assert_eq!(value_text(&json!("a \"b\""), None), "a \"b\"");
        assert_eq!(value_text(&json!(null), None), "()");
    }

    #[test]
    fn a_map_is_two_columns_in_which_a_text_can_be_told_from_a_number() {
        let map = json!({ "a": 1, "long_key": "1", "c": "word", "d": [1, "x"] });
        assert_eq!(
            value_text(&map, None),
            "a         1\nc         word\nd         [1, \"x\"]\nlong_key  \"1\""
        );
    }

    #[test]
    fn what_does_not_fit_goes_over_several_lines() {
        let list = json!({ "k": ["aaaaaaaaaaaaaa", "bbbbbbbbbbbbbb"] });
        assert_eq!(
            value_text(&list, Some(24)),
            "k  [\n     aaaaaaaaaaaaaa,\n     bbbbbbbbbbbbbb,\n   ]"
        );
    }

    #[test]
    fn what_could_upset_a_terminal_is_made_visible() {
        assert!(!value_text(&json!("\u{1b}[31m"), None).contains('\u{1b}'));
    }
}
