//! What can be known of a phase's body before it runs: its text, and the values that it captured.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{AST, Expr, FnPtr, Stmt};
use serde_json::Value;

use super::engine::GLOBALS;
use super::shared::Shared;
use super::site::Site;
use super::values::to_data;
use crate::plan::Body;

/// A captured value longer than this is kept as a hash.
const LONGEST: usize = 120;
/// A captured map with more values than this is kept as one hash.
const MOST_VALUES: usize = 200;

/// The body of a phase that is declared at a site with this closure.
pub(super) fn body_of(shared: &Shared, site: &Site, closure: &FnPtr) -> Body {
    let mut body = Body {
        code: site.reach.as_ref().map(|r| Arc::clone(&r.code)).unwrap_or_default(),
        captured: Vec::with_capacity(site.captured.len()),
        ..Body::default()
    };
    // Of a map with many settings a phase is made from those that it reads.
    let may_read = |path: &str| match (path.rsplit_once('.'), &site.reach) {
        (Some((_, key)), Some(reach)) => reach.may_read(key),
        _ => true,
    };
    for (name, value) in site.captured.iter().zip(closure.curry()) {
        if GLOBALS.contains(&name.as_str()) {
            continue;
        }
        // A captured function is no data; its text is not the body's.
        let Ok(value) = to_data(value) else { continue };
        let mut leaves = vec![];
        flatten(name, &value, &mut leaves);
        if leaves.len() > MOST_VALUES {
            body.captured.push((name.clone(), hashed(&value)));
            continue;
        }
        for (path, leaf) in leaves.into_iter().filter(|(path, _)| may_read(path)) {
            match parameter_behind(shared, &path, leaf) {
                Some(parameter) => body.parameters.push(parameter),
                None => body.captured.push((path, shown(shared, leaf))),
            }
        }
    }
    body.captured.sort();
    body.captured.dedup_by(|one, kept| one.0 == kept.0);
    body
}

fn flatten<'a>(path: &str, value: &'a Value, leaves: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, item)| flatten(&format!("{path}.{key}"), item, leaves)),
        leaf => leaves.push((path.into(), leaf)),
    }
}

/// The parameter that a captured value is: the script bound it to that variable, or to a key of the parameter's own name.
fn parameter_behind(shared: &Shared, path: &str, value: &Value) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let name = shared.bound_to(path).unwrap_or(last);
    let parameters = shared.session.parameters();
    let is_it = parameters.get(name).is_some_and(|parameter| parameter.value == *value);
    is_it.then(|| name.to_owned())
}

/// A captured value as it may stand in the state file: what could be a secret is only hashed.
fn shown(shared: &Shared, value: &Value) -> String {
    let harmless = match value {
        Value::String(_) => shared.session.parameters().iter().any(|(_, p)| p.value == *value),
        Value::Array(items) => items.iter().all(|i| i.is_number() || i.is_boolean()),
        _ => true,
    };
    let text = value.to_string();
    if harmless && text.len() <= LONGEST {
        text
    } else {
        hashed(value)
    }
}

fn hashed(value: &Value) -> String {
    format!("#{}", &blake3::hash(value.to_string().as_bytes()).to_hex()[..8])
}

/// The variables that a script's top level binds to parameters: `let batch = param("batch_size", 8)`.
pub(super) fn bindings(ast: &AST) -> BTreeMap<String, String> {
    let bound = |statement: &Stmt| match statement {
        Stmt::Var(variable, ..) => {
            let (name, value) = (&variable.0.name, &variable.1);
            let Expr::FnCall(call, _) = value else { return None };
            let Some(Expr::StringConstant(parameter, _)) = call.args.first() else {
                return None;
            };
            (call.name == "param").then(|| (name.to_string(), parameter.to_string()))
        }
        _ => None,
    };
    ast.statements().iter().filter_map(bound).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variable_that_is_bound_to_a_parameter_is_known_by_it() {
        let engine = rhai::Engine::new();
        let ast = engine.compile(r#"let b = param("batch_size", 8); let c = b + 1; let d = other("x");"#);
        assert_eq!(
            bindings(&ast.expect("it parses")),
            BTreeMap::from([("b".into(), "batch_size".into())])
        );
    }

    #[test]
    fn a_map_is_taken_apart_and_a_list_is_not() {
        let value = json!({ "a": { "b": 1 }, "c": [1, 2] });
        let mut leaves = vec![];
        flatten("p", &value, &mut leaves);
        let paths: Vec<String> = leaves.into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["p.a.b", "p.c"]);
    }
}
