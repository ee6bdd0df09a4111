//! Lines of script that are evaluated one after the other, each with what those before it left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::{AST, Caches, Dynamic, Engine, EvalAltResult, GlobalRuntimeState, Map, Scope};
use serde_json::Value;

use super::api::{as_plain_data, params_handle, phases_handle};
use super::closures::own;
use super::current;
use super::diagnostics::ScriptError;
use super::engine::declarations;
use super::fault::take_state_error;
use super::host::on_a_large_stack;
use super::inspect::{Answer, FunctionDocs, NAMES};
use super::shared::Shared;
use super::values::{from_data, to_data, type_in_words};
use crate::run::Attempt;
use crate::state::value::decode;

/// What a line is called in messages.
pub(super) const LINE: &str = "input";

/// What lines see and leave.
pub(super) struct Lines {
    shared: Arc<Shared>,
    /// The functions of the script, and of the lines so far.
    functions: AST,
    global: GlobalRuntimeState,
    scope: Scope<'static>,
    /// How many of the variables were there before the first line.
    found: usize,
    /// The names of [`NAMES`] that the script has not taken for itself.
    lent: Vec<&'static str>,
    /// The attempt in whose middle the lines are.
    attempt: Option<Arc<Attempt>>,
}

impl Lines {
    /// Lines behind the end of a script, whose top level is evaluated; and the error, if it failed.
    pub(super) fn behind(shared: Arc<Shared>, engine: &Engine, ast: &AST) -> (Lines, Option<ScriptError>) {
        let mut lines = Lines {
            global: engine.new_global_runtime_state(),
            functions: ast.clone_functions_only(),
            scope: Scope::new(),
            found: 0,
            lent: vec![],
            attempt: None,
            shared,
        };
        let failed = lines.evaluate_statements(engine, ast).err();
        lines.lend_what_is_free();
        (lines, failed)
    }

    /// Lines in the middle of an attempt: `global` is what is around the place, `scope` are the variables there.
    pub(super) fn in_the_middle(
        shared: Arc<Shared>,
        global: GlobalRuntimeState,
        scope: Scope<'static>,
        attempt: Arc<Attempt>,
    ) -> Lines {
        let mut lines = Lines {
            functions: AST::empty(),
            lent: vec![],
            attempt: Some(attempt),
            shared,
            global,
            found: scope.len(),
            scope,
        };
        lines.lend_what_is_free();
        lines
    }

    /// Lines go on with other variables around them; those that lines have made stay.
    pub(super) fn move_to(&mut self, around: Scope<'static>) {
        let mut scope = around;
        let found = scope.len();
        // Rhai gives them newest first.
        let made: Vec<_> = self
            .scope
            .iter_raw()
            .take(self.scope.len().saturating_sub(self.found))
            .collect();
        for (name, constant, value) in made.into_iter().rev() {
            if constant {
                scope.push_constant_dynamic(name.to_string(), value.clone());
            } else {
                scope.push_dynamic(name.to_string(), value.clone());
            }
        }
        self.scope = scope;
        self.found = found;
        self.lend_what_is_free();
    }

    fn lend_what_is_free(&mut self) {
        let free = |name: &&str| !self.scope.contains(name);
        self.lent = NAMES.iter().map(|(name, _)| *name).filter(free).collect();
    }

    pub(super) fn ask(&mut self, engine: &Engine, text: &str) -> Result<Answer, ScriptError> {
        self.lend();
        self.shared.remember_source(LINE, text);
        let compiled = engine.compile_with_scope(&self.known(), text);
        let mut ast = compiled.map_err(|error| self.drawn(engine, LINE, &EvalAltResult::from(error)))?;
        ast.set_source(LINE);
        self.functions += ast.clone_functions_only();
        self.shared.know_functions(&self.functions);
        let value = self.evaluate_statements(engine, &ast).map_err(with_the_right_way)?;
        Ok(self.answer(value))
    }

    pub(super) fn variables(&self) -> Vec<String> {
        let own = self.scope.iter_raw().map(|(name, _, _)| name.to_string());
        let lent = self.lent.iter().map(|name| name.to_string());
        let mut names: Vec<String> = lent.chain(own).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn functions(&self, engine: &Engine) -> Vec<FunctionDocs> {
        let plain = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains('$') && !name.starts_with("jumar__")
        };
        let libraries = std::iter::once(self.functions.shared_lib()).chain(&self.global.lib);
        let libraries = libraries.flat_map(|library| library.iter_script_fn_info());
        let own = libraries
            .filter(|(_, _, name, ..)| plain(name))
            .map(|(_, _, name, _, function)| FunctionDocs {
                name: name.to_string(),
                signature: format!("{name}({})", function.params.join(", ")),
                docs: without_marks(function.comments.iter().map(|c| c.as_str())),
                is_own: true,
            });
        let registered = engine.collect_fn_metadata(
            None,
            |info| {
                let name = info.metadata.name.to_string();
                let wanted = plain(&name) && info.namespace.is_empty();
                wanted.then(|| {
                    let parameters: Vec<String> = info.metadata.params_info.iter().map(ToString::to_string).collect();
                    let returns = match info.metadata.return_type.as_str() {
                        "" | "()" => String::new(),
                        result => format!(" -> {result}"),
                    };
                    FunctionDocs {
                        signature: format!("{name}({}){returns}", parameters.join(", ")),
                        docs: without_marks(info.metadata.comments.iter().map(|c| c.as_str())),
                        is_own: false,
                        name,
                    }
                })
            },
            true,
        );
        let mut all: Vec<FunctionDocs> = own.chain(registered).collect();
        all.sort_by(|a, b| (&a.name, &a.signature).cmp(&(&b.name, &b.signature)));
        all.dedup();
        all
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
                "phases" => phases_handle(&self.shared),
                "params" => params_handle(&self.shared),
                "metrics" => self.by_phase("metrics", ""),
                "results" => self.by_phase("results", ".result"),
                _ => return None,
            };
            Some((name.to_string(), value))
        });
        self.shared.lend(lent.collect());
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

    fn evaluate_statements(&mut self, engine: &Engine, ast: &AST) -> Result<Dynamic, ScriptError> {
        let Lines {
            global,
            scope,
            functions,
            attempt,
            ..
        } = self;
        global.source = ast.source().map(Into::into);
        // In front, and for this line only: it knows the functions of the lines before it.
        global.lib.insert(0, functions.shared_lib().clone());
        global.num_operations = 0;
        let outcome = on_a_large_stack(|| {
            // The caches belong to the functions there are now.
            #[expect(
                deprecated,
                reason = "the only way in for statements with a global state of one's own; rhai is pinned exactly"
            )]
            let mut evaluate = || engine.eval_statements_raw(global, &mut Caches::new(), scope, ast.statements());
            let examine = || match attempt {
                Some(attempt) => current::examining(attempt, evaluate),
                None => evaluate(),
            };
            let outcome = catch_unwind(AssertUnwindSafe(examine));
            (outcome, take_state_error())
        });
        let lines = global.lib.remove(0);
        if global.lib.is_empty() {
            // The script's own.
            global.lib.push(lines);
        }
        match outcome? {
            (_, Some(state)) => Err(ScriptError::of_state(state)),
            (Ok(Ok(value)), None) => Ok(own(value)),
            (Ok(Err(error)), None) => Err(self.drawn(engine, ast.source().unwrap_or(LINE), &error)),
            (Err(_), None) => Err(ScriptError::plain("jumar itself is at fault: it panicked here".into())),
        }
    }

    fn drawn(&self, engine: &Engine, source: &str, error: &EvalAltResult) -> ScriptError {
        ScriptError::from_rhai(error, source, &self.shared, Some(engine))
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

/// What is lent is a copy; who assigns to it means the state.
fn with_the_right_way(error: ScriptError) -> ScriptError {
    let is_about = |name: &&str| error.message().ends_with(&format!("constant {name}"));
    match ["params", "metrics", "results"].into_iter().find(is_about) {
        Some("params") => error.help("`params.NAME = …` changes what a resume takes, `:retry NAME=…` the next attempt"),
        Some(name) => error.help(format!(
            "`{name}` shows what was recorded; `state.{name}` can be changed"
        )),
        None => error,
    }
}

/// Documentation comments as text.
fn without_marks<'a>(comments: impl Iterator<Item = &'a str>) -> String {
    let lines = comments.flat_map(str::lines).map(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("/**"))
            .unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line).trim_end_matches("*/").trim_end()
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_string()
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
