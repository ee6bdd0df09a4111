//! Imports: `std/…` from the binary, anything else beside the file that imports it.
//!
//! Rhai's own file resolver looks beside the working directory, not beside the importing file, and says nothing useful
//! about a circle.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{AST, Engine, EvalAltResult, FnNamespace, Module, ModuleResolver, NativeCallContext, Position, Scope};

use super::embedded::{standard_module, stock_script};
use super::engine::declarations;
use super::imports::no_such_module;
use super::shared::Shared;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// The name of the native call at the end of every module.
pub(super) const MODULE_END: &str = "jumar$module_end";

/// Finds and loads modules, each once.
pub(super) struct Resolver {
    shared: Arc<Shared>,
    loaded: Mutex<HashMap<String, rhai::Shared<Module>>>,
    loading: Arc<Loading>,
}

/// The modules whose top level is being evaluated, outermost first.
#[derive(Default)]
pub(super) struct Loading {
    stack: Mutex<Vec<(String, Option<AST>)>>,
}

impl Loading {
    fn stack(&self) -> MutexGuard<'_, Vec<(String, Option<AST>)>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A module's top level has come to its end: what its closures will need around them is in `context`.
    pub(super) fn remember_surroundings(&self, shared: &Shared, context: &NativeCallContext) {
        let ast = self.stack().last().and_then(|(_, ast)| ast.clone());
        if let Some(ast) = ast {
            let closures = ast
                .iter_functions()
                .map(|f| f.name.to_string())
                .filter(|n| n.starts_with("anon$"))
                .collect::<Vec<_>>();
            if !closures.is_empty() {
                shared
                    .libraries
                    .remember(closures.into_iter(), ast.shared_lib(), context);
            }
        }
    }
}

impl Resolver {
    pub(super) fn new(shared: Arc<Shared>, loading: Arc<Loading>) -> Resolver {
        Resolver {
            shared,
            loaded: Mutex::default(),
            loading,
        }
    }

    fn load(&self, engine: &Engine, name: &str, text: &str, path: &str, at: Position) -> Outcome<rhai::Shared<Module>> {
        let loaded = || self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded().get(name) {
            return Ok(module.clone());
        }
        {
            let mut stack = self.loading.stack();
            if let Some(from) = stack.iter().position(|(n, _)| n == name) {
                let circle: Vec<&str> = stack[from..].iter().map(|(n, _)| n.as_str()).chain([name]).collect();
                return Err(in_module(
                    path,
                    format!("modules import each other in a circle: {}", circle.join(" → ")).into(),
                    at,
                ));
            }
            stack.push((name.into(), None));
        }
        self.shared.remember_source(name, text);
        let module = self
            .evaluate(engine, name, text)
            .map_err(|error| in_module(name, error, at));
        self.loading.stack().pop();
        let module: rhai::Shared<Module> = module?.into();
        loaded().insert(name.into(), module.clone());
        Ok(module)
    }

    fn evaluate(&self, engine: &Engine, name: &str, text: &str) -> Outcome<Module> {
        let mut ast = engine.compile_with_scope(&declarations(), without_shebang(text))?;
        ast.set_source(name);
        if let Some(top) = self.loading.stack().last_mut() {
            top.1 = Some(ast.clone());
        }
        ast += engine.compile(format!("{MODULE_END}();").replace('$', "__"))?;
        let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)?;
        let_closures_out(&mut module, &ast);
        Ok(module)
    }
}

/// A closure that a module made is called by its name, and the file that imports the module does not know that name:
/// `let work = tools::maker(); work.call()`. Closures have names that nobody else has, so they may be known everywhere.
fn let_closures_out(module: &mut Module, ast: &AST) {
    // The key of a function is private to Rhai; putting it into another module tells it.
    let mut keys = Module::new();
    for closure in ast.iter_fn_def().filter(|f| f.name.starts_with("anon$")) {
        let key = keys.set_script_fn(closure.clone());
        #[expect(deprecated, reason = "a script's functions cannot be registered in another way")]
        module.update_fn_namespace(key, FnNamespace::Global);
    }
    module.build_index();
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Outcome<rhai::Shared<Module>> {
        if path.starts_with("std/") {
            let Some(text) = standard_module(path) else {
                let (message, near) = no_such_module(path);
                let near = near.map(|near| format!("; {near}")).unwrap_or_default();
                return Err(in_module(path, format!("{message}{near}").into(), at));
            };
            return self.load(engine, &format!("<{path}>"), text, path, at);
        }
        if let Some(folder) = source
            .and_then(|s| s.strip_prefix("<stock>/"))
            .map(|s| Path::new(s).parent().unwrap_or(Path::new("")))
        {
            let name = format!("<stock>/{}", with_extension(folder.join(path)).display());
            if let Some(text) = stock_script(&name) {
                return self.load(engine, &name, text, path, at);
            }
        }
        let beside = source.map(Path::new).and_then(Path::parent).unwrap_or(Path::new(""));
        let file = with_extension(beside.join(path));
        match fs::read_to_string(&file) {
            Ok(text) => self.load(engine, &file.to_string_lossy(), &text, path, at),
            Err(error) => Err(in_module(
                path,
                format!("cannot read module {}: {error}", file.display()).into(),
                at,
            )),
        }
    }
}

/// A script's file: `.rhai` unless it has an ending.
pub(super) fn with_extension(mut path: PathBuf) -> PathBuf {
    if path.extension().is_none() {
        path.set_extension("rhai");
    }
    path
}

/// Only two kinds of error may leave a resolver; any other is `unreachable!` inside Rhai.
fn in_module(path: &str, inner: Box<EvalAltResult>, at: Position) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorInModule(path.into(), inner, at))
}

/// A script without its `#!` line, its line numbers as they were.
pub(super) fn without_shebang(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with("#!") {
        &text[text.find('\n').unwrap_or(text.len())..]
    } else {
        text
    }
}
