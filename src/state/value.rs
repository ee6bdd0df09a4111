//! The text of one value ⇄ the value it stands for.
//!
//! People read and write these texts with an editor, so a string stands bare wherever that reads back as the same
//! string. Everything else is JSON on one line.

use serde_json::Value;

/// The text that stands after the `=` for this value: one line, no blanks at its ends, and [`decode`] gives the
/// value back (nested at most 120 deep).
///
/// A string is written bare unless it would then read as something else (`"42"`, `"null"`, text with line ends,
/// with blanks at its ends, with a backslash at its end or with control characters): such a string is written as JSON, in quotes.
/// The empty string is written as nothing at all.
pub fn encode(value: &Value) -> String {
    if let Value::String(text) = value
        && stands_bare(text)
    {
        return text.clone();
    }
    let json = value.to_string();
    if !json.contains(needs_escape) {
        return json;
    }
    // JSON lets these stand as they are, but an editor or a pager may take some for line ends. They occur only
    // inside strings, where `\uXXXX` means the same.
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if needs_escape(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The value of a text: what JSON makes of it, and where it is no JSON, the text itself as a string, verbatim.
pub fn decode(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn stands_bare(text: &str) -> bool {
    text.trim() == text
        && !text.starts_with('"')
        // To some other readers of INI files this joins the next line on.
        && !text.ends_with('\\')
        && !text.contains(|c: char| c.is_control() || needs_escape(c))
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
}

fn needs_escape(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_words_stand_bare() {
        for text in [
            "completed",
            "",
            "runs/a b/epoch23",
            "3.1.0",
            "Mon Jan 15 14:45:22 PST 2024",
            "a=b",
            "1 2",
            "NaN",
        ] {
            assert_eq!(encode(&json!(text)), text);
            assert_eq!(decode(text), json!(text));
        }
    }

    #[test]
    fn a_string_that_would_read_as_something_else_is_quoted() {
        for (value, text) in [
            ("42", r#""42""#),
            ("true", r#""true""#),
            ("null", r#""null""#),
            ("[1]", r#""[1]""#),
            (" a", r#"" a""#),
            ("a\nb", r#""a\nb""#),
            ("\"a", r#""\"a""#),
            ("a\u{85}b", r#""a\u0085b""#),
            (r"C:\data\", r#""C:\\data\\""#),
        ] {
            assert_eq!(encode(&json!(value)), text);
            assert_eq!(decode(text), json!(value));
        }
    }

    #[test]
    fn numbers_lists_and_maps_are_json_on_one_line() {
        for (value, text) in [
            (json!(1.0), "1.0"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(null), "null"),
            (json!([1, "a", null]), r#"[1,"a",null]"#),
            (json!({"a": {"b": [true]}}), r#"{"a":{"b":[true]}}"#),
        ] {
            assert_eq!(encode(&value), text);
            assert_eq!(decode(text), value);
        }
    }

    #[test]
    fn a_float_stays_a_float_and_a_whole_number_whole() {
        assert!(decode(&encode(&json!(1.0))).is_f64());
        assert!(decode(&encode(&json!(1))).is_i64());
        assert!(decode("1e3").is_f64());
    }

    #[test]
    fn text_that_is_nearly_json_stays_as_it_was_typed() {
        for text in ["[1, 2", "{a: 1}", "01", "1.", "'a'", "True", "\"open"] {
            assert_eq!(decode(text), json!(text));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~\n\t\r\"\\\\]{0,8}".prop_map(Value::from),
            "[-+0-9.eE]{1,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    // Floats come back to the last bit only with serde_json's feature `float_roundtrip`.
    proptest! {
        #[test]
        fn every_value_reads_back_as_it_was(value in any_json()) {
            let text = encode(&value);
            prop_assert_eq!(text.trim(), &text);
            prop_assert!(!text.contains(char::is_control));
            prop_assert_eq!(decode(&text), value);
        }
    }
}
