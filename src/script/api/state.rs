//! `state`: the run's state, read and written through.

use std::sync::Arc;

use rhai::{Array, Dynamic, FnNamespace, FuncRegistration, Map, Module};

use super::Outcome;
use super::lent::{Params, phase_without_status, typed_in};
use super::run_info;
use crate::run::{Attempt, Mode};
use crate::script::closures::own;
use crate::script::current;
use crate::script::fault::{mistake, raise_state_error};
use crate::script::shared::Shared;
use crate::script::values::{from_data, to_data};
use crate::state::value::{decode, encode};
use crate::state::{ByHand, Event, PhaseStatus};

/// The value behind the name `state`.
#[derive(Clone)]
struct State(Arc<Shared>);

/// One section of it: `state.phases`.
#[derive(Clone)]
pub(super) struct Section {
    shared: Arc<Shared>,
    name: String,
    /// Whether a phase that nothing knows is a mistake, and not only nothing.
    is_strict: bool,
}

pub(super) fn handle(shared: &Arc<Shared>) -> Dynamic {
    Dynamic::from(State(Arc::clone(shared)))
}

pub(super) const DOCS: &str = "The run's state file, read and written through: `state.SECTION.KEY` reads, `()` when it is not there; an assignment makes section and key, and is durable when it returns.
A section has `contains(key)` (`\"k\" in state.s`), `keys()`, `remove(key)` and `to_map()`; `state.phases.NAME` is the status of a phase.";

/// A copy of the state, of a section of it, of the parameters or of the run, as maps, also inside lists and maps; `None` for any other value.
pub(in crate::script) fn as_plain_data(value: &Dynamic) -> Option<Dynamic> {
    let plain = |value: &Dynamic| as_plain_data(value).unwrap_or_else(|| value.clone());
    if let Some(list) = value.read_lock::<Array>() {
        return Some(list.iter().map(plain).collect::<Array>().into());
    }
    if let Some(map) = value.read_lock::<Map>() {
        let entries = map.iter().map(|(key, value)| (key.clone(), plain(value)));
        return Some(entries.collect::<Map>().into());
    }
    if let Some(run) = run_info::as_map(value) {
        return Some(run.into());
    }
    if let Some(params) = value.read_lock::<Params>() {
        return Some(params.as_map().into());
    }
    if let Some(section) = value.read_lock::<Section>() {
        return Some(section.as_map().into());
    }
    let state = value.read_lock::<State>()?;
    let names: Vec<String> = state
        .0
        .session
        .ledger
        .read(|s| s.sections().map(String::from).collect());
    let sections = names.into_iter().map(|name| {
        let section = Section::new(&state.0, &name);
        (section.name.as_str().into(), section.as_map().into())
    });
    Some(sections.collect::<Map>().into())
}

pub(super) fn register(module: &mut Module, _: &Arc<Shared>) {
    module
        .set_custom_type::<State>("State")
        .set_custom_type::<Section>("Section");
    let getter = || {
        FuncRegistration::new_index_getter()
            .with_purity(true)
            .with_namespace(FnNamespace::Global)
    };
    // Pure although they write: what `on_var` hands out is read-only to Rhai, and an impure setter would be refused.
    let setter = || {
        FuncRegistration::new_index_setter()
            .with_purity(true)
            .with_namespace(FnNamespace::Global)
    };
    getter().set_into_module(module, |state: &mut State, name: &str| Section::new(&state.0, name));
    setter().set_into_module(module, |state: &mut State, name: &str, value: Dynamic| {
        replace(state, name, value)
    });
    getter().set_into_module(module, |section: &mut Section, key: &str| section.get(key));
    setter().set_into_module(module, |section: &mut Section, key: &str, value: Dynamic| {
        section.set(key, value)
    });
    let method = |name: &str| {
        FuncRegistration::new(name)
            .with_purity(true)
            .with_namespace(FnNamespace::Global)
    };
    let docs = |text: &str| vec![format!("/// {text}")];
    method("contains")
        .with_params_info(["section: Section", "key: string", "bool"])
        .with_comments(docs("Whether the section has the key: `\"k\" in state.mine`."))
        .set_into_module(module, |section: &mut Section, key: &str| section.read(key).is_some());
    method("keys")
        .with_params_info(["section: Section", "array"])
        .with_comments(docs("The keys of a section of the state, in the file's order."))
        .set_into_module(module, |section: &mut Section| {
            section.entries().into_iter().map(|(k, _)| k.into()).collect::<Array>()
        });
    method("remove")
        .with_params_info(["section: Section", "key: string", "()"])
        .with_comments(docs(
            "Takes a key out of a section of the state; durable when it returns.",
        ))
        .set_into_module(module, |section: &mut Section, key: &str| {
            section.write(Event::new("removed").remove(&section.name, key))
        });
    method("to_map")
        .with_params_info(["section: Section", "map"])
        .with_comments(docs("A copy of a section of the state as a map."))
        .set_into_module(module, |section: &mut Section| section.as_map());
    for name in ["to_string", "to_debug"] {
        method(name).set_into_module(module, |section: &mut Section| {
            Dynamic::from_map(section.as_map()).to_string()
        });
    }
}

/// `state.best = #{…}` sets the keys of a section; `state.best.acc = 0.9` comes by here with the section itself.
fn replace(state: &mut State, name: &str, value: Dynamic) -> Outcome<()> {
    let value = own(value);
    if value.is::<Section>() {
        return Ok(());
    }
    let section = Section::new(&state.0, name);
    let map = value.try_cast::<Map>().ok_or_else(|| {
        mistake(format!(
            "`state.{name}` is a section of the state file; assign to a key of it: `state.{name}.key = …`"
        ))
    })?;
    let mut event = Event::new("set");
    for (key, item) in map {
        event = event.set(name, key.as_str(), section.text_of(&key, &item)?);
    }
    section.write(event)
}

impl Section {
    pub(super) fn new(shared: &Arc<Shared>, name: &str) -> Section {
        Section {
            shared: Arc::clone(shared),
            name: name.into(),
            is_strict: false,
        }
    }

    pub(super) fn strict(shared: &Arc<Shared>, name: &str) -> Section {
        Section {
            is_strict: true,
            ..Section::new(shared, name)
        }
    }

    fn read(&self, key: &str) -> Option<String> {
        self.shared.session.ledger.get(&self.name, key)
    }

    fn entries(&self) -> Vec<(String, String)> {
        self.shared.session.ledger.read(|state| {
            state
                .section(&self.name)
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        })
    }

    fn as_map(&self) -> Map {
        self.entries()
            .into_iter()
            .map(|(key, text)| (key.into(), from_data(&decode(&text))))
            .collect()
    }

    fn get(&self, key: &str) -> Outcome<Dynamic> {
        match self.read(key) {
            Some(text) => Ok(from_data(&decode(&text))),
            None if self.is_strict => phase_without_status(&self.shared, key),
            None => Ok(Dynamic::UNIT),
        }
    }

    pub(super) fn set(&self, key: &str, value: Dynamic) -> Outcome<()> {
        let text = self.text_of(key, &own(value))?;
        let is_own = |attempt: &Attempt| attempt.phase.name == key;
        if self.name == "phases" && current::is_examining() && current::with(|attempt| attempt.is_some_and(is_own)) {
            return Err(mistake(
                "how the phase stands is for :retry, :skip, :fail and :abort to say in the middle of its failure",
            ));
        }
        self.write(Event::new("set").set(&self.name, key, text))
    }

    fn text_of(&self, key: &str, value: &Dynamic) -> Outcome<String> {
        let name = &self.name;
        let plain = |text: &str| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
        if !plain(name) || name.contains(']') {
            return Err(mistake(format!("`{name}` cannot be a section of the state file")));
        }
        if !plain(key) || key.contains('=') || key.starts_with(['[', '#', ';']) {
            return Err(mistake(format!("`{key}` cannot be a key of the state file")));
        }
        let data = to_data(value).map_err(|not| {
            mistake(format!(
                "cannot store {} at `state.{name}.{key}{}`",
                not.type_name, not.path
            ))
        })?;
        let text = match typed_in(&self.shared, name, key, value)? {
            Some(text) => text,
            None => encode(&data),
        };
        if name == "phases" && text.parse::<PhaseStatus>().is_err() {
            return Err(mistake(format!(
                "`{text}` is no status of a phase; a status is pending, in_progress, completed, failed or skipped"
            )));
        }
        Ok(text)
    }

    fn write(&self, event: Event) -> Outcome<()> {
        let replayed = current::with(|attempt| attempt.is_some_and(|a| a.is_replayed()));
        if replayed {
            return Ok(());
        }
        if let Some(why) = self.shared.session.write_refusal() {
            return Err(mistake(format!("the state is not changed here: {why}")));
        }
        let event = match current::is_examining() {
            // What somebody assigns in the middle of a failure is no doing of the script.
            true => event.done_by_hand(ByHand::Repl),
            false => event,
        };
        debug_assert!(self.shared.session.mode == Mode::Live || !self.shared.session.ledger.is_live());
        self.shared.session.ledger.commit(event).map_err(raise_state_error)
    }
}
