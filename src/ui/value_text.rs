//! A value as people read it: plain words bare, a map as two columns, a map of maps as a table, lengths of time in hours
//! and minutes, what does not fit in a line over several.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::duration::human_duration;
use super::harmless::visible;
use super::table::{Align, Table};

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
            if let Some(table) = as_table(map, width) {
                return table;
            }
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
                let text = as_duration(key, item).unwrap_or_else(|| inner(item, room, column + 2));
                format!("{}{pad}{text}", visible(key))
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        other => inner(other, width, 0),
    }
}

/// What is known by its name to be a length of time: `seconds`, `gpu_seconds`.
fn as_duration(key: &str, value: &Value) -> Option<String> {
    let is_one = key == "seconds" || key.ends_with("_seconds");
    value.as_f64().filter(|_| is_one).map(human_duration)
}

/// What phases measured or returned: a row for each, a column for each name, if that can be read.
fn as_table(map: &Map<String, Value>, width: usize) -> Option<String> {
    let rows: Vec<(&String, &Map<String, Value>)> = map
        .iter()
        .map(|(key, item)| Some((key, item.as_object().filter(|inner| !inner.is_empty())?)))
        .collect::<Option<_>>()?;
    let mut names: Vec<&String> = vec![];
    for name in rows.iter().flat_map(|(_, inner)| inner.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let filled: usize = rows.iter().map(|(_, inner)| inner.len()).sum();
    // Rows that have little in common are no table.
    if filled * 2 < names.len() * rows.len() || rows.iter().any(|(_, inner)| inner.values().any(Value::is_object)) {
        return None;
    }
    let is_numeric = |name: &str| {
        rows.iter()
            .all(|(_, inner)| inner.get(name).is_none_or(Value::is_number))
    };
    let mut columns = vec![("", Align::Left)];
    for name in &names {
        let side = if is_numeric(name) { Align::Right } else { Align::Left };
        columns.push((name.as_str(), side));
    }
    let mut table = Table::new(&columns);
    for (key, inner) in rows {
        let cell = |name: &&String| {
            let item = inner.get(*name)?;
            Some(as_duration(name, item).unwrap_or_else(|| one_line(item)))
        };
        let cells = names.iter().map(|name| cell(name).unwrap_or_default().into());
        table.row(std::iter::once(key.as_str().into()).chain(cells).collect());
    }
    let text = table.render(None, false);
    let fits = text.lines().all(|line| UnicodeWidthStr::width(line) <= width);
    fits.then(|| text.trim_end().to_string())
}

/// A value inside another: in one line where it fits, else over several with `indent` before all but the first.
fn inner(value: &Value, room: usize, indent: usize) -> String {
    let line = one_line(value);
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

fn one_line(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => spaced(other),
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
    fn what_phases_measured_is_a_table_and_times_are_in_hours_and_minutes() {
        let map = json!({
            "train": { "loss": 0.25, "seconds": 9000.0, "note": "ok" },
            "eval": { "loss": 0.125, "seconds": 65.0 },
        });
        insta::assert_snapshot!(value_text(&map, None), @"
                loss  seconds  note
        eval   0.125   1m 05s
        train   0.25   2h 30m  ok
        ");
        assert_eq!(
            value_text(&json!({ "seconds": 9000, "n": 9000 }), None),
            "n        9000\nseconds  2h 30m"
        );
    }

    #[test]
    fn maps_that_have_little_in_common_or_do_not_fit_are_no_table() {
        for (map, width) in [
            (json!({ "a": { "x": 1 }, "b": { "y": 1, "z": 2 }, "c": { "w": 1 } }), 80),
            (json!({ "a": { "x": "a long value that is wider than that" } }), 24),
            (json!({ "a": { "x": { "y": 1 } } }), 80),
        ] {
            assert!(value_text(&map, Some(width)).starts_with("a  {"), "{map}");
        }
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
