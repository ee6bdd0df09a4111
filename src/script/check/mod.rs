//! What can be said about a script without running it: names, numbers of arguments, options, and what a phase's body must
//! not do.

mod literals;
mod steps;
mod unfilled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use super::api::{PHASE_OPTIONS, PHASE_OPTIONS_LATER, RETRY_OPTIONS, SHELL_OPTIONS};
use super::embedded::standard_module;
use super::engine::GLOBALS;
use super::imports::{functions_of, imports, missing_modules, no_such_module};
use super::listing::{Primitive, listed};
use super::scan::place;
use super::shared::Shared;
use crate::plan::nearest;
use literals::Declared;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The script will probably not do what was meant.
    Warning,
    /// The script will fail when it gets there.
    Error,
}

/// Something that was found in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// A short name that stays: `unknown-function`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
    /// Line, counted from 1; 0 when it is not known.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl Finding {
    /// The bytes of the text that it is about.
    pub fn span(&self, text: &str) -> std::ops::Range<usize> {
        if self.line == 0 {
            return 0..0;
        }
        let at = Position::new(
            self.line.try_into().unwrap_or(u16::MAX),
            self.column.max(1).try_into().unwrap_or(u16::MAX),
        );
        super::diagnostics::span(text, at)
    }
}

/// What the evaluator handles by itself, with its numbers of arguments.
const BUILT_IN: &[(&str, usize)] = &[
    ("type_of", 1),
    ("print", 1),
    ("debug", 1),
    ("Fn", 1),
    ("is_shared", 1),
    ("is_def_var", 1),
    ("is_def_fn", 2),
];

/// Looks a script over. Findings come in the order of the text.
pub(super) fn check(engine: &Engine, ast: &AST, text: &str, shared: &Arc<Shared>) -> Vec<Finding> {
    let imported = imports(text);
    let mut primitives: BTreeMap<String, Vec<Primitive>> = BTreeMap::new();
    for primitive in listed(shared) {
        primitives.entry(primitive.name.clone()).or_default().push(primitive);
    }
    let mut lints = Lints {
        known: known_functions(engine, ast),
        primitives,
        modules: standard(&imported, text, shared),
        declared: Arc::new(Declared::of(ast, &imported)),
        phases: BTreeMap::new(),
        seen: BTreeSet::new(),
        findings: vec![],
    };
    lints.imports(text);
    lints.script_functions(engine, ast);
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(node) = path.last() {
            lints.node(node);
        }
        true
    });
    lints.captured_writes(ast);
    lints.findings.extend(steps::doubled(text));
    lints.findings.extend(unfilled::unfilled(text));
    lints.findings.sort_by_key(|f| (f.line, f.column));
    lints.findings
}

struct Lints {
    known: BTreeMap<String, BTreeSet<usize>>,
    primitives: BTreeMap<String, Vec<Primitive>>,
    /// The functions of the standard modules, by the name that they are imported under, with their numbers of parameters.
    modules: BTreeMap<String, BTreeMap<String, BTreeSet<usize>>>,
    declared: Arc<Declared>,
    phases: BTreeMap<String, Position>,
    seen: BTreeSet<(Option<usize>, Option<usize>, String)>,
    findings: Vec<Finding>,
}

fn host_functions(engine: &Engine) -> Vec<(String, usize)> {
    engine.collect_fn_metadata(
        None,
        |info| {
            info.namespace
                .is_empty()
                .then(|| (info.metadata.name.to_string(), info.metadata.num_params))
        },
        true,
    )
}

fn known_functions(engine: &Engine, ast: &AST) -> BTreeMap<String, BTreeSet<usize>> {
    let mut known: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let own = ast.iter_functions().map(|f| (f.name.to_string(), f.params.len()));
    let built_in = BUILT_IN.iter().map(|(name, count)| (name.to_string(), *count));
    for (name, count) in host_functions(engine).into_iter().chain(own).chain(built_in) {
        known.entry(name).or_default().insert(count);
    }
    known
}

fn standard(
    imported: &[(String, String)],
    text: &str,
    shared: &Shared,
) -> BTreeMap<String, BTreeMap<String, BTreeSet<usize>>> {
    let mut modules = BTreeMap::new();
    for (alias, _) in imported.iter().filter(|(_, path)| standard_module(path).is_some()) {
        let mut functions: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (name, parameters) in functions_of(alias, "", text, shared) {
            functions.entry(name).or_default().insert(parameters.len());
        }
        modules.insert(alias.clone(), functions);
    }
    modules
}

impl Lints {
    fn find(&mut self, severity: Severity, code: &'static str, at: Position, message: String, help: Option<String>) {
        self.findings.push(Finding {
            severity,
            code,
            message,
            help,
            line: at.line().unwrap_or(0),
            column: at.position().unwrap_or(1),
        });
    }

    /// A module that is not there is the fault of its import and not of what is called in it.
    fn imports(&mut self, text: &str) {
        for (path, start) in missing_modules(text) {
            let (message, help) = no_such_module(&path);
            self.find(Severity::Error, "unknown-module", place(text, start), message, help);
        }
    }

    /// A script function of a primitive's name and arity silently takes its place, and a parameter of a global's name is never seen.
    fn script_functions(&mut self, engine: &Engine, ast: &AST) {
        let host: BTreeSet<(String, usize)> = host_functions(engine).into_iter().collect();
        // A closure's captured globals are parameters of it, too; those are meant.
        for function in ast.iter_functions().filter(|f| !f.name.starts_with("anon$")) {
            if host.contains(&(function.name.to_string(), function.params.len())) {
                let message = format!("function `{}` takes the place of jumar's own", function.name);
                self.find(
                    Severity::Error,
                    "redefined-primitive",
                    Position::NONE,
                    message,
                    Some("give it another name".into()),
                );
            }
            for parameter in function
                .params
                .iter()
                .filter(|p| GLOBALS.contains(&p.to_string().as_str()))
            {
                let message = format!(
                    "the parameter `{parameter}` of `{}` is never seen: the name is jumar's own",
                    function.name
                );
                self.find(
                    Severity::Error,
                    "shadowed-global",
                    Position::NONE,
                    message,
                    Some("give it another name".into()),
                );
            }
        }
    }

    fn node(&mut self, node: &ASTNode) {
        match node {
            ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at)) => {
                self.call(call, *at, false)
            }
            ASTNode::Expr(Expr::MethodCall(call, at)) => self.call(call, *at, true),
            ASTNode::Stmt(Stmt::For(each, at)) if GLOBALS.contains(&each.0.name.as_str()) => {
                self.find(
                    Severity::Error,
                    "shadowed-global",
                    *at,
                    format!(
                        "the loop variable `{}` is never seen: the name is jumar's own",
                        each.0.name
                    ),
                    None,
                );
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &FnCallExpr, at: Position, method: bool) {
        let name = call.name.as_str();
        self.of_a_module(call, at);
        let ours = call.namespace.is_empty()
            && call.op_token.is_none()
            && !name.contains('$')
            && !matches!(name, "call" | "curry");
        if !ours || !self.seen.insert((at.line(), at.position(), name.into())) {
            return;
        }
        let count = call.args.len() + usize::from(method);
        match self.known.get(name) {
            None => {
                let near = nearest(name, self.known.keys().filter(|k| !k.contains('$')).map(String::as_str));
                self.find(
                    Severity::Error,
                    "unknown-function",
                    at,
                    format!("no function is called `{name}`"),
                    near.map(|n| format!("did you mean `{n}`?")),
                );
            }
            // A script function may be called as a method, with the receiver in `this`.
            Some(counts) if !(counts.contains(&count) || method && counts.contains(&call.args.len())) => {
                let takes: Vec<String> = counts.iter().map(usize::to_string).collect();
                let message = format!("`{name}` takes {} arguments, not {count}", takes.join(" or "));
                self.find(Severity::Error, "wrong-number-of-arguments", at, message, None);
            }
            Some(_) => {}
        }
        match name {
            "phase" if !method => self.phase(call),
            "shell" if !method => self.options("shell", SHELL_OPTIONS, &[], call.args.get(1)),
            "retry" if !method => self.options("retry", RETRY_OPTIONS, &["slurm"], call.args.first()),
            _ => {}
        }
        if !method {
            let declared = Arc::clone(&self.declared);
            self.literals(call, &declared);
        }
    }

    /// `recovery::standart()`
    fn of_a_module(&mut self, call: &FnCallExpr, at: Position) {
        let [alias] = call.namespace.path.as_slice() else {
            return;
        };
        let Some(functions) = self.modules.get(alias.name.as_str()) else {
            return;
        };
        let (name, count) = (call.name.as_str(), call.args.len());
        let full = format!("{}::{name}", alias.name);
        match functions.get(name) {
            Some(counts) if counts.contains(&count) => {}
            Some(counts) => {
                let takes: Vec<String> = counts.iter().map(usize::to_string).collect();
                let message = format!("`{full}` takes {} arguments, not {count}", takes.join(" or "));
                self.find(Severity::Error, "wrong-number-of-arguments", at, message, None);
            }
            None => {
                let near = nearest(name, functions.keys().map(String::as_str));
                let help = near.map(|n| format!("did you mean `{}::{n}`?", alias.name));
                let message = format!("no function is called `{full}`");
                self.find(Severity::Error, "unknown-function", at, message, help);
            }
        }
    }

    fn phase(&mut self, call: &FnCallExpr) {
        if let Some(Expr::StringConstant(name, at)) = call.args.first()
            && let Some(first) = self.phases.insert(name.to_string(), *at)
        {
            let message = format!(
                "phase `{name}` is declared twice (first in line {})",
                first.line().unwrap_or(0)
            );
            self.find(Severity::Error, "duplicate-phase", *at, message, None);
        }
        self.options("phase", PHASE_OPTIONS, PHASE_OPTIONS_LATER, call.args.get(1));
    }

    fn options(&mut self, owner: &str, known: &[&str], later: &[&str], argument: Option<&Expr>) {
        let Some(Expr::Map(map, _)) = argument else { return };
        for (key, _) in &map.0 {
            if later.contains(&key.name.as_str()) {
                let message = format!("{owner}: the option `{}` is not in this version of jumar yet", key.name);
                self.find(Severity::Error, "later-option", key.pos, message, None);
            } else if !known.contains(&key.name.as_str()) {
                let near = nearest(key.name.as_str(), known.iter().copied());
                let help = near.map_or_else(
                    || format!("it takes {}", known.join(", ")),
                    |n| format!("did you mean `{n}`?"),
                );
                self.find(
                    Severity::Error,
                    "unknown-option",
                    key.pos,
                    format!("{owner} has no option `{}`", key.name),
                    Some(help),
                );
            }
        }
    }

    /// A body works on copies: what it writes to a captured variable is gone when it ends, in a straight run as in a resumed one.
    fn captured_writes(&mut self, ast: &AST) {
        for (closure, captured) in captures(ast) {
            let mut written = BTreeMap::new();
            let mut look = |path: &[ASTNode]| {
                if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last()
                    && let Some((name, at)) = assigned(&assignment.1.lhs)
                    && captured.contains(&name)
                    && !GLOBALS.contains(&name.as_str())
                {
                    written.entry(name).or_insert(at);
                }
                true
            };
            only(ast, &closure).walk(&mut look);
            for (name, at) in written {
                let help = "return the value from the phase and read it with result(\"phase\"), or keep it in `state`"
                    .to_string();
                self.find(
                    Severity::Warning,
                    "captured-write",
                    at,
                    format!("`{name}` is a private copy here: what is assigned stays in this closure"),
                    Some(help),
                );
            }
        }
    }
}

/// The closures that are given to `phase` and `step`, with the names they capture.
fn captures(ast: &AST) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        let inside = path.iter().rev().skip(1).any(|node| match node {
            ASTNode::Expr(Expr::FnCall(c, _)) | ASTNode::Stmt(Stmt::FnCall(c, _)) => {
                matches!(c.name.as_str(), "phase" | "step")
            }
            _ => false,
        });
        if let Some(ASTNode::Expr(Expr::FnCall(curry, _))) = path.last()
            && inside
            && curry.name == "curry"
            && let Some(Expr::DynamicConstant(closure, _)) = curry.args.first()
            && let Some(closure) = closure.clone().try_cast::<rhai::FnPtr>()
        {
            let names = curry.args.iter().skip(1).filter_map(|a| {
                if let Expr::Variable(v, ..) = a {
                    Some(v.1.to_string())
                } else {
                    None
                }
            });
            found.entry(closure.fn_name().to_string()).or_default().extend(names);
        }
        true
    });
    found
}

/// One function of a script. `clone_functions_only_filtered` of Rhai 1.27 keeps all of them.
fn only(ast: &AST, function: &str) -> AST {
    let mut one = ast.clone_functions_only();
    one.retain_functions(|_, _, name, _| name == function);
    one
}

/// The variable that an assignment changes.
fn assigned(target: &Expr) -> Option<(String, Position)> {
    match target {
        Expr::Variable(variable, _, at) => Some((variable.1.to_string(), *at)),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => assigned(&parts.lhs),
        _ => None,
    }
}
