//! Values of parameters: from texts, and made to fit the type of the default.

use serde_json::Value;

use super::ParameterError;

/// A value in words, for "must be …".
pub(super) fn expected(default: &Value) -> String {
    match default {
        Value::Bool(_) => "true or false".into(),
        Value::Number(n) if n.is_f64() => "a number".into(),
        Value::Number(_) => "a whole number".into(),
        Value::String(_) | Value::Null => "a text".into(),
        Value::Array(items) => match items.first() {
            Some(Value::Number(n)) if n.is_f64() => "a list of numbers (\"0.1 0.5\" or [0.1, 0.5])".into(),
            Some(Value::Number(_)) => "a list of whole numbers (\"42 123\", 42,123 or [42, 123])".into(),
            _ => "a list (\"a b\", a,b or [\"a\", \"b\"])".into(),
        },
        Value::Object(_) => "a map in JSON".into(),
    }
}

pub(super) fn as_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A value from a text, by the type of the default.
pub(super) fn read(name: &str, text: &str, default: &Value, from: &str) -> Result<Value, ParameterError> {
    let wrong = || ParameterError::WrongType {
        name: name.into(),
        expected: expected(default),
        found: text.into(),
        from: from.into(),
    };
    let trimmed = text.trim();
    match default {
        Value::Bool(_) => as_bool(trimmed).map(Value::Bool).ok_or_else(wrong),
        Value::Number(n) if n.is_f64() => trimmed
            .parse::<f64>()
            .ok()
            .filter(|f| f.is_finite())
            .map(Value::from)
            .ok_or_else(wrong),
        Value::Number(_) => trimmed
            .replace('_', "")
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| wrong()),
        Value::String(_) | Value::Null => Ok(Value::String(text.into())),
        Value::Object(_) => serde_json::from_str::<Value>(trimmed)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(wrong),
        Value::Array(items) => {
            if trimmed.starts_with('[') {
                let list: Value = serde_json::from_str(trimmed).map_err(|_| wrong())?;
                return conform(name, &list, default, from);
            }
            let words = trimmed
                .split(|c: char| c.is_whitespace() || c == ',')
                .filter(|w| !w.is_empty());
            let element = items.first().cloned().unwrap_or(Value::String(String::new()));
            words
                .map(|w| read(name, w, &element, from).map_err(|_| wrong()))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array)
        }
    }
}

/// A value that already has a type, made to fit the type of the default.
pub(super) fn conform(name: &str, value: &Value, default: &Value, from: &str) -> Result<Value, ParameterError> {
    let shown = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wrong = || ParameterError::WrongType {
        name: name.into(),
        expected: expected(default),
        found: shown.clone(),
        from: from.into(),
    };
    match (default, value) {
        (Value::Null, any) => Ok(any.clone()),
        (Value::Number(d), Value::Number(v)) if d.is_f64() => v.as_f64().map(Value::from).ok_or_else(wrong),
        (Value::Number(_), Value::Number(v)) if v.is_i64() => Ok(value.clone()),
        (Value::Bool(_), Value::Bool(_))
        | (Value::String(_), Value::String(_))
        | (Value::Object(_), Value::Object(_)) => Ok(value.clone()),
        (Value::Array(items), Value::Array(given)) => match items.first() {
            Some(element) => {
                let list = given
                    .iter()
                    .map(|v| conform(name, v, element, from).map_err(|_| wrong()));
                list.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            None => Ok(value.clone()),
        },
        (_, Value::String(text)) => read(name, text, default, from),
        (Value::String(_), Value::Number(_) | Value::Bool(_)) => Ok(Value::String(shown)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_read_in_all_their_spellings() {
        for text in ["42 123", "42,123", "[42, 123]", " 42, 123 "] {
            assert_eq!(read("seeds", text, &json!([1]), "-p"), Ok(json!([42, 123])), "{text:?}");
        }
        assert!(read("seeds", "42 x", &json!([1]), "-p").is_err());
        assert_eq!(
            read("datasets", "sst2 trec", &json!(["a"]), "-p"),
            Ok(json!(["sst2", "trec"]))
        );
    }
}
