//! Script values ⇄ data that can be written down.
//!
//! Rhai's own `serde` support turns a closure into its generated name and NaN into null without a word; here what is no
//! data is refused, with the path to it. What JSON has no word for is tagged: `{"$float":"nan"}`, `{"$blob":"00ff"}`.

use rhai::{Array, Blob, Dynamic, Map};
use serde_json::{Value, json};

/// Something in a value that cannot be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotData {
    /// Where in the value: `.best.f[3]`, empty for the value itself.
    pub path: String,
    /// What is there.
    pub type_name: String,
}

/// Data from a script value.
pub(super) fn to_data(value: &Dynamic) -> Result<Value, NotData> {
    convert(value, &mut String::new())
}

fn convert(value: &Dynamic, path: &mut String) -> Result<Value, NotData> {
    let value = value.flatten_clone();
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(b) = value.as_bool() {
        return Ok(Value::Bool(b));
    }
    if let Ok(i) = value.as_int() {
        return Ok(Value::from(i));
    }
    if let Ok(f) = value.as_float() {
        return Ok(if f.is_finite() {
            Value::from(f)
        } else {
            json!({ "$float": f.to_string() })
        });
    }
    if value.is_string() || value.is_char() {
        return Ok(Value::String(value.to_string()));
    }
    if let Some(list) = value.read_lock::<Array>() {
        let mut out = Vec::with_capacity(list.len());
        for (place, item) in list.iter().enumerate() {
            out.push(inside(path, &format!("[{place}]"), item)?);
        }
        return Ok(Value::Array(out));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let mut out = serde_json::Map::new();
        for (key, item) in map.iter() {
            out.insert(key.to_string(), inside(path, &format!(".{key}"), item)?);
        }
        return Ok(Value::Object(out));
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        let hex: String = blob.iter().map(|b| format!("{b:02x}")).collect();
        return Ok(json!({ "$blob": hex }));
    }
    Err(NotData {
        path: path.clone(),
        type_name: type_in_words(&value),
    })
}

fn inside(path: &mut String, part: &str, item: &Dynamic) -> Result<Value, NotData> {
    let length = path.len();
    path.push_str(part);
    let value = convert(item, path)?;
    path.truncate(length);
    Ok(value)
}

/// A script value from data.
pub(super) fn from_data(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n
            .as_i64()
            .map_or_else(|| n.as_f64().unwrap_or(f64::NAN).into(), Dynamic::from),
        Value::String(s) => s.as_str().into(),
        Value::Array(list) => list.iter().map(from_data).collect::<Array>().into(),
        Value::Object(map) => tagged(map).unwrap_or_else(|| {
            map.iter()
                .map(|(k, v)| (k.as_str().into(), from_data(v)))
                .collect::<Map>()
                .into()
        }),
    }
}

fn tagged(map: &serde_json::Map<String, Value>) -> Option<Dynamic> {
    if map.len() != 1 {
        return None;
    }
    if let Some(float) = map.get("$float") {
        return float.as_str()?.parse::<f64>().ok().map(Dynamic::from);
    }
    let hex = map.get("$blob")?.as_str()?;
    let pairs = hex
        .as_bytes()
        .chunks(2)
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok());
    pairs.collect::<Option<Blob>>().map(Dynamic::from_blob)
}

/// A value's type as scripts call it.
pub(super) fn type_in_words(value: &Dynamic) -> String {
    match value.type_name() {
        "()" => "nothing".into(),
        "i64" => "a whole number".into(),
        "f64" => "a number".into(),
        "string" | "char" => "a text".into(),
        "bool" => "true or false".into(),
        "array" => "a list".into(),
        "map" => "a map".into(),
        "Fn" => "a function".into(),
        other => format!("a {}", other.rsplit("::").next().unwrap_or(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn data_survives_the_way_into_a_script_and_back(value in data()) {
            prop_assert_eq!(to_data(&from_data(&value)), Ok(value));
        }
    }

    #[test]
    fn numbers_that_json_has_no_word_for_survive() {
        for float in [f64::INFINITY, f64::NEG_INFINITY] {
            let back = from_data(&to_data(&float.into()).expect("data"));
            assert_eq!(back.as_float(), Ok(float));
        }
        assert!(
            from_data(&to_data(&f64::NAN.into()).expect("data"))
                .as_float()
                .expect("a float")
                .is_nan()
        );
    }

    #[test]
    fn a_function_inside_a_value_is_refused_with_the_path_to_it() {
        let engine = rhai::Engine::new();
        let value: Dynamic = engine.eval("#{ best: [1, #{ f: || 1 }] }").expect("a map");
        assert_eq!(
            to_data(&value),
            Err(NotData {
                path: ".best[1].f".into(),
                type_name: "a function".into()
            })
        );
    }
}
