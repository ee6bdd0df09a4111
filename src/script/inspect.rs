//! A script loaded to be asked: its functions, its imports and what its top level left are in reach of single lines.
//! Its phases are declared and never started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::{AST, Caches, Dynamic, Engine, EvalAltResult, GlobalRuntimeState, Map, Scope};
use serde_json::Value;

use super::api::{as_plain_data, section_handle};
use super::closures::own;
use super::diagnostics::ScriptError;
use super::engine::declarations;
use super::fault::take_state_error;
use super::host::{Host, on_a_large_stack};
use super::shared::Shared;
use super::values::{from_data, to_data, type_in_words};
use crate::state::value::decode;

/// What a line is called in messages.
const LINE: &str = "input";

/// The names that a line has besides those of the script, and what stands behind each.
pub const NAMES: &[(&str, &str)] = &[
    (
        "state",
        "the run's state: `state.phases.train`, any section and key of the file",
    ),
    ("phases", "the section `[phases]`: how each phase stands"),
    ("params", "the parameters with their values"),
    ("metrics", "what phases measured: `metrics.train.accuracy`"),
    ("results", "what phases returned: `results.train`"),
    ("run", "the run itself: `run.dir`, `run.name`, `run.id`"),
    ("env", "environment variables: `env.HOME`"),
];

/// A value that a line came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value for people: what is no data, a function for instance, is named.
    pub shown: Value,
    /// Whether it is nothing: the value of a statement.
    pub is_nothing: bool,
    /// The value for programs, or why there is none.
    pub exact: Result<Value, String>,
}

/// A script that can be asked.
pub struct Inspector {
    shared: Arc<Shared>,
    engine: Engine,
    /// The functions of the script, and of the lines so far.
    functions: AST,
    global: GlobalRuntimeState,
    scope: Scope<'static>,
    /// The names of [`NAMES`] that the script has not taken for itself.
    lent: Vec<&'static str>,
}

impl Host {
    /// Evaluates the script's top level and keeps what it left. The error, if the top level failed, is no hindrance: what
    /// was there by then is in reach.
    pub fn inspect(self) -> (Inspector, Option<ScriptError>) {
        let Host {
            shared,
            mut engine,
            ast,
        } = self;
        // A line may name what an earlier one imported; that is not known while it is compiled.
        engine.set_strict_variables(false);
        let mut inspector = Inspector {
            global: engine.new_global_runtime_state(),
            functions: ast.clone_functions_only(),
            scope: Scope::new(),
            lent: vec![],
            shared,
            engine,
        };
        let failed = inspector.evaluate_statements(&ast).err();
        let taken = |name: &str| inspector.scope.contains(name);
        inspector.lent = NAMES
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !taken(name))
            .collect();
        (inspector, failed)
    }
}

impl Inspector {
    /// Evaluates a line, or several, and returns the value of the last.
    ///
    /// # Errors
    /// [`ScriptError`] with the place in the line.
    pub fn ask(&mut self, text: &str) -> Result<Answer, ScriptError> {
        self.lend();
        self.shared.remember_source(LINE, text);
        let compiled = self.engine.compile_with_scope(&self.known(), text);
        let mut ast = compiled.map_err(|error| self.drawn(&EvalAltResult::from(error)))?;
        ast.set_source(LINE);
        self.functions += ast.clone_functions_only();
        self.shared.know_functions(&self.functions);
        let value = self.evaluate_statements(&ast)?;
        Ok(self.answer(value))
    }

    /// The names of variables that lines can use: those lent and those of the script, innermost last.
    pub fn variables(&self) -> Vec<String> {
        let own = self.scope.iter_raw().map(|(name, _, _)| name.to_string());
        let lent = self.lent.iter().map(|name| name.to_string());
        let mut names: Vec<String> = lent.chain(own).collect();
        names.sort();
        names.dedup();
        names
    }

    fn known(&self) -> Scope<'static> {
        let mut scope = declarations();
        for (name, constant, value) in self.scope.iter_raw() {
            if constant {
                scope.push_constant_dynamic(name.to_string(), value.clone());
            } else {
                scope.push_dynamic(name.to_string(), Dynamic::UNIT);
            }
        }
        scope
    }

    /// Puts what the run knows now behind the lent names.
    fn lend(&mut self) {
        let lent = self.lent.iter().filter_map(|name| {
            let value = match *name {
                "phases" => section_handle(&self.shared, "phases"),
                "params" => self.parameters(),
                "metrics" => self.by_phase("metrics", ""),
                "results" => self.by_phase("results", ".result"),
                _ => return None,
            };
            Some((name.to_string(), value))
        });
        self.shared.lend(lent.collect());
    }

    fn parameters(&self) -> Dynamic {
        let parameters = self.shared.session.parameters();
        let mut map: Map = parameters
            .iter()
            .map(|(name, p)| (name.into(), from_data(&p.value)))
            .collect();
        drop(parameters);
        // A run whose script is gone still has what it recorded.
        self.shared.session.ledger.read(|state| {
            for (name, text) in state.section("params") {
                map.entry(name.into()).or_insert_with(|| from_data(&decode(text)));
            }
        });
        map.into()
    }

    /// A section with keys `phase.name`: a map of phases. With a suffix, only the keys that end so, and without it.
    fn by_phase(&self, section: &str, suffix: &str) -> Dynamic {
        self.shared.session.ledger.read(|state| {
            let mut map = Map::new();
            let phases: Vec<&str> = state.section("phases").map(|(name, _)| name).collect();
            for (key, text) in state.section(section) {
                let value = from_data(&decode(text));
                if !suffix.is_empty() {
                    if let Some(phase) = key.strip_suffix(suffix) {
                        map.insert(phase.into(), value);
                    }
                    continue;
                }
                // A phase's name may have a dot in it, and one may begin like another.
                let owner = phases
                    .iter()
                    .filter(|p| key.strip_prefix(**p).is_some_and(|rest| rest.starts_with('.')))
                    .max_by_key(|p| p.len());
                match owner.map(|phase| (phase, &key[phase.len() + 1..])) {
                    Some((phase, name)) => {
                        let entry = map.entry((*phase).into()).or_insert_with(|| Map::new().into());
                        if let Some(mut inner) = entry.write_lock::<Map>() {
                            inner.insert(name.into(), value);
                        }
                    }
                    None => {
                        map.insert(key.into(), value);
                    }
                }
            }
            map.into()
        })
    }

    fn evaluate_statements(&mut self, ast: &AST) -> Result<Dynamic, ScriptError> {
        let Inspector {
            engine,
            global,
            scope,
            functions,
            ..
        } = self;
        global.source = ast.source().map(Into::into);
        global.lib.clear();
        global.lib.push(functions.shared_lib().clone());
        global.num_operations = 0;
        let outcome = on_a_large_stack(|| {
            // The caches belong to the functions there are now.
            #[expect(
                deprecated,
                reason = "the only way in for statements with a global state of one's own; rhai is pinned exactly"
            )]
            let evaluate = || engine.eval_statements_raw(global, &mut Caches::new(), scope, ast.statements());
            let outcome = catch_unwind(AssertUnwindSafe(evaluate));
            (outcome, take_state_error())
        })?;
        match outcome {
            (_, Some(state)) => Err(ScriptError::of_state(state)),
            (Ok(Ok(value)), None) => Ok(own(value)),
            (Ok(Err(error)), None) => Err(self.drawn(&error)),
            (Err(_), None) => Err(ScriptError::plain("jumar itself is at fault: it panicked here".into())),
        }
    }

    fn drawn(&self, error: &EvalAltResult) -> ScriptError {
        let source = self.global.source.as_deref().unwrap_or(LINE);
        ScriptError::from_rhai(error, source, &self.shared, Some(&self.engine))
    }

    fn answer(&self, value: Dynamic) -> Answer {
        let value = as_plain_data(&value).unwrap_or(value);
        let exact = to_data(&value).map_err(|not| {
            let at = if not.path.is_empty() {
                String::new()
            } else {
                format!(" at `{}`", not.path)
            };
            format!("the value is no data: {}{at}", not.type_name)
        });
        Answer {
            shown: exact.clone().unwrap_or_else(|_| Value::String(in_words(&value))),
            is_nothing: value.is_unit(),
            exact,
        }
    }
}

/// What is no data, in words.
fn in_words(value: &Dynamic) -> String {
    match value.read_lock::<rhai::FnPtr>() {
        Some(function) if function.is_anonymous() => "a closure".into(),
        Some(function) => format!("the function {}", function.fn_name()),
        None if value.is_array() || value.is_map() => value.to_string(),
        None => type_in_words(value),
    }
}
