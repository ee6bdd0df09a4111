//! What there is to call from a script: the names, signatures and documentation that the primitives were defined with.

use std::sync::Arc;

use rhai::Engine;

use super::api;
use super::shared::Shared;
use crate::plan::Provided;
use crate::run::{RunDirectory, Session, SilentObserver};
use crate::state::State;

/// One overload of a primitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Primitive {
    /// Its name.
    pub name: String,
    /// Its parameters, each `name: type`.
    pub parameters: Vec<String>,
    /// The type of what it returns; `?` for any, empty where none was given.
    pub returns: String,
    /// Its documentation, without comment marks; empty where there is none.
    pub docs: String,
}

/// All primitives that jumar itself defines, by name; operators and accessors are left out.
pub fn primitives() -> Vec<Primitive> {
    let session = Session::planning(
        RunDirectory::new("listing", None, true),
        State::default(),
        Provided::default(),
        Arc::new(SilentObserver),
    );
    listed(&Arc::new(Shared::new(Arc::new(session))))
}

/// The primitives as a script with this in common calls them.
pub(super) fn listed(shared: &Arc<Shared>) -> Vec<Primitive> {
    let mut engine = Engine::new_raw();
    engine.register_global_module(api::module(shared).into());
    let mut found = engine.collect_fn_metadata(
        None,
        |info| {
            let about = info.metadata;
            let named = about.name.chars().all(|c| c.is_alphanumeric() || c == '_');
            named.then(|| Primitive {
                name: about.name.to_string(),
                parameters: about.params_info.iter().map(ToString::to_string).collect(),
                returns: about.return_type.to_string(),
                docs: about
                    .comments
                    .iter()
                    .map(|line| without_mark(line))
                    .collect::<Vec<_>>()
                    .join("\n"),
            })
        },
        true,
    );
    found.sort();
    found
}

fn without_mark(line: &str) -> String {
    let text = line.strip_prefix("///").unwrap_or(line);
    text.strip_prefix(' ').unwrap_or(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primitive_is_listed_with_its_signature_and_its_documentation() {
        let all = primitives();
        let metric = all.iter().find(|p| p.name == "metric").expect("metric is there");
        assert_eq!(metric.parameters, ["name: string", "value: number"]);
        assert_eq!(metric.returns, "()");
        assert!(metric.docs.starts_with("Records a metric"), "{}", metric.docs);
        assert_eq!(all.iter().filter(|p| p.name == "phase").count(), 2);
    }
}
