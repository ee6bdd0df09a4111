//! What lines that are typed in have besides a script's names: `phases` and `params`. A name that nothing has is a mistake there,
//! read or written: who types it means another.

use std::sync::Arc;

use rhai::{Array, Dynamic, FnNamespace, FuncRegistration, Map, Module};
use serde_json::Value;

use super::Outcome;
use super::state::Section;
use crate::plan::nearest;
use crate::script::closures::own;
use crate::script::current;
use crate::script::fault::mistake;
use crate::script::shared::Shared;
use crate::script::values::{from_data, to_data};
use crate::state::PhaseStatus;
use crate::state::value::{decode, encode};

/// The value behind `params`: what a resume takes, edits that are not written yet included.
#[derive(Clone)]
pub(super) struct Params(Arc<Shared>);

/// The value behind the lent name `phases`.
pub(in crate::script) fn phases_handle(shared: &Arc<Shared>) -> Dynamic {
    Dynamic::from(Section::strict(shared, "phases"))
}

/// The value behind the lent name `params`.
pub(in crate::script) fn params_handle(shared: &Arc<Shared>) -> Dynamic {
    Dynamic::from(Params(Arc::clone(shared)))
}

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    module.set_custom_type::<Params>("Params");
    let pure = |name: &str| {
        FuncRegistration::new(name)
            .with_purity(true)
            .with_namespace(FnNamespace::Global)
    };
    FuncRegistration::new_index_getter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global)
        .set_into_module(module, |params: &mut Params, name: &str| params.get(name));
    // Pure although it writes, as that of a section of the state.
    FuncRegistration::new_index_setter()
        .with_purity(true)
        .with_namespace(FnNamespace::Global)
        .set_into_module(module, |params: &mut Params, name: &str, value: Dynamic| {
            params.set(name, value)
        });
    pure("contains").set_into_module(module, |params: &mut Params, name: &str| {
        params.names().contains(&name.into())
    });
    pure("keys").set_into_module(module, |params: &mut Params| {
        params.names().into_iter().map(Dynamic::from).collect::<Array>()
    });
    pure("to_map").set_into_module(module, |params: &mut Params| params.as_map());
    for name in ["to_string", "to_debug"] {
        pure(name).set_into_module(module, |params: &mut Params| {
            Dynamic::from_map(params.as_map()).to_string()
        });
    }
}

impl Params {
    pub(super) fn as_map(&self) -> Map {
        let names = self.names().into_iter();
        let values = names.filter_map(|name| {
            let value = from_data(&self.value(&name)?);
            Some((name.into(), value))
        });
        values.collect()
    }

    fn names(&self) -> Vec<String> {
        known_names(&self.0, "params")
    }

    /// The attempt's own value in the middle of one, else the record's as the script will take it, else the script's.
    fn value(&self, name: &str) -> Option<Value> {
        if let Some(own) = current::with(|attempt| attempt.and_then(|a| a.overridden(name))) {
            return Some(own);
        }
        let session = &self.0.session;
        let recorded = session.ledger.get("params", name).map(|text| decode(&text));
        let parameters = session.parameters();
        let declared = parameters.get(name).map(|parameter| parameter.value.clone());
        match recorded {
            // A run that is on has its own values; they are recorded when something runs with them.
            Some(recorded) if session.is_looked_at() || declared.is_none() => {
                let taken = parameters.conform(name, &recorded, "the state file's [params]");
                Some(taken.unwrap_or(recorded))
            }
            _ => declared,
        }
    }

    fn get(&self, name: &str) -> Outcome<Dynamic> {
        match self.value(name) {
            Some(value) => Ok(from_data(&value)),
            None => Err(mistake(
                unknown(&self.0, "params", name).unwrap_or_else(|| format!("the run has no parameter `{name}`")),
            )),
        }
    }

    fn set(&self, name: &str, value: Dynamic) -> Outcome<()> {
        if current::is_examining() {
            return Err(mistake(format!(
                "`params` shows what the attempt had; `:retry {name}=…` tries again with another value, `state.params.{name} = …` is what a later resume takes"
            )));
        }
        Section::new(&self.0, "params").set(name, value)
    }
}

fn known_names(shared: &Shared, section: &str) -> Vec<String> {
    let session = &shared.session;
    let mut names: Vec<String> = match section {
        "phases" => session.plan().phases().iter().map(|phase| phase.name.clone()).collect(),
        _ => session.parameters().iter().map(|(name, _)| name.to_string()).collect(),
    };
    session.ledger.read(|state| {
        for (name, _) in state.section(section) {
            if !names.iter().any(|known| known == name) {
                names.push(name.into());
            }
        }
    });
    names
}

/// What is wrong with the name of a phase or a parameter; `None` when there is one, or when the script could not say which there
/// are.
fn unknown(shared: &Shared, section: &str, key: &str) -> Option<String> {
    let what = match section {
        "phases" => "phase",
        "params" => "parameter",
        _ => return None,
    };
    let known = known_names(shared, section);
    if !shared.session.is_planned() || known.iter().any(|name| name == key) {
        return None;
    }
    let near = match nearest(key, known.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", known.join(", ")),
    };
    Some(format!("no {what} is called `{key}`{near}"))
}

/// How a phase stands of which the state has no word yet: pending, when the script has it.
pub(super) fn phase_without_status(shared: &Shared, name: &str) -> Outcome<Dynamic> {
    match unknown(shared, "phases", name) {
        Some(why) => Err(mistake(why)),
        None if shared.session.plan().get(name).is_some() => Ok(PhaseStatus::Pending.as_str().into()),
        None => Ok(Dynamic::UNIT),
    }
}

/// The text for what a person assigns to a key of `[phases]` or `[params]`; `None` leaves it to the section. A script may have
/// keys of its own there.
pub(super) fn typed_in(shared: &Shared, section: &str, key: &str, value: &Dynamic) -> Outcome<Option<String>> {
    if !(shared.session.is_looked_at() || current::is_examining()) {
        return Ok(None);
    }
    if let Some(why) = unknown(shared, section, key) {
        return Err(mistake(format!("{why} (`jumar edit` writes any name into the file)")));
    }
    let parameters = shared.session.parameters();
    if section != "params" || parameters.get(key).is_none() {
        return Ok(None);
    }
    let Ok(data) = to_data(&own(value.clone())) else {
        return Ok(None);
    };
    let taken = parameters.conform(key, &data, "what is assigned here");
    taken
        .map(|value| Some(encode(&value)))
        .map_err(|error| mistake(error.to_string()))
}
