//! What literals alone tell: a wrong type, a name that nobody declared. A value that is only
//! known when the script runs is not judged.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Stmt};

use super::{Lints, Severity};
use crate::plan::nearest;
use crate::script::listing::Primitive;

/// Phases and parameters that a script declares by literal names.
#[derive(Default)]
pub(super) struct Declared {
    phases: BTreeSet<String>,
    parameters: BTreeSet<String>,
    /// Others may be declared under names that are not literals, or by modules.
    more_phases: bool,
    more_parameters: bool,
}

impl Declared {
    /// Gathers them. `imported` are the paths of the modules that the script imports.
    pub(super) fn of(ast: &AST, imported: &[(String, String)]) -> Declared {
        let foreign = is_module(ast) || imported.iter().any(|(_, path)| !path.starts_with("std/"));
        let mut declared = Declared {
            more_phases: foreign || imported.iter().any(|(_, path)| path == "std/sweep"),
            more_parameters: foreign,
            ..Declared::default()
        };
        ast.walk(&mut |path: &[ASTNode]| {
            if let Some(call) = path.last().and_then(call_of) {
                declared.note(call);
            }
            true
        });
        declared
    }

    fn note(&mut self, call: &FnCallExpr) {
        let first = call.args.first();
        match (call.name.as_str(), first) {
            ("phase", Some(Expr::StringConstant(name, _))) => {
                self.phases.insert(name.to_string());
            }
            ("phase", _) => self.more_phases = true,
            ("param", Some(Expr::StringConstant(name, _))) if call.args.len() > 1 => {
                self.parameters.insert(name.to_string());
            }
            ("param", _) if call.args.len() > 1 => self.more_parameters = true,
            _ => {}
        }
    }
}

/// A script that only defines is there to be imported: whoever does may declare what it uses.
fn is_module(ast: &AST) -> bool {
    let defines = |s: &Stmt| matches!(s, Stmt::Import(..) | Stmt::Export(..) | Stmt::Var(..) | Stmt::Noop(..));
    ast.statements().iter().all(defines)
}

pub(super) fn call_of<'a>(node: &ASTNode<'a>) -> Option<&'a FnCallExpr> {
    match node {
        ASTNode::Expr(Expr::FnCall(call, _)) => Some(call),
        ASTNode::Stmt(Stmt::FnCall(call, _)) => Some(call),
        _ => None,
    }
}

impl Lints {
    /// A call of a primitive whose arguments may be literals.
    pub(super) fn literals(&mut self, call: &FnCallExpr, declared: &Declared) {
        if !call.namespace.is_empty() {
            return;
        }
        self.types(call);
        let name = call.name.as_str();
        let first = call.args.first();
        match (name, first) {
            ("param" | "param_source", Some(Expr::StringConstant(wanted, at)))
                if call.args.len() == 1
                    && !declared.more_parameters
                    && !declared.parameters.contains(wanted.as_str()) =>
            {
                let message = format!("no parameter is called `{wanted}`");
                let near = nearest(wanted, declared.parameters.iter().map(String::as_str));
                let help = near.map_or_else(
                    || format!("declare it: param(\"{wanted}\", …)"),
                    |n| format!("did you mean `{n}`?"),
                );
                self.find(Severity::Error, "undeclared-parameter", *at, message, Some(help));
            }
            ("result", Some(Expr::StringConstant(wanted, at)))
                if !declared.more_phases && !declared.phases.contains(wanted.as_str()) =>
            {
                let near = nearest(wanted, declared.phases.iter().map(String::as_str));
                let help = near.map(|n| format!("did you mean `{n}`?"));
                let message = format!("no phase is named `{wanted}`");
                self.find(Severity::Error, "unknown-phase", *at, message, help);
            }
            ("shell" | "capture", Some(Expr::Array(words, _))) => self.one_word(words),
            _ => {}
        }
    }

    /// `["python3 --version"]` is a program with a blank in its name.
    fn one_word(&mut self, words: &[Expr]) {
        let [Expr::StringConstant(line, at)] = words else {
            return;
        };
        let program = line.split(' ').next().unwrap_or(line);
        if program.len() == line.len() || program.contains('/') {
            return;
        }
        let list: Vec<String> = line.split_whitespace().map(|w| format!("{w:?}")).collect();
        let help = format!(
            "one word a list item: [{}]; or a text for the shell: {line:?}",
            list.join(", ")
        );
        let message = format!("`{line}` is taken as the name of one program");
        self.find(Severity::Warning, "one-word-command", *at, message, Some(help));
    }

    fn types(&mut self, call: &FnCallExpr) {
        let count = call.args.len();
        let Some(all) = self.primitives.get(call.name.as_str()) else {
            return;
        };
        let overloads: Vec<&Primitive> = all.iter().filter(|p| p.parameters.len() == count).collect();
        if overloads.is_empty() {
            return;
        }
        let given: Vec<Option<&str>> = call.args.iter().map(literal).collect();
        let fits = |p: &&Primitive, at: usize| given[at].is_none_or(|g| accepts(wanted(&p.parameters[at]), g));
        if overloads.iter().any(|p| (0..count).all(|at| fits(p, at))) {
            return;
        }
        // Of several that do not fit, the first that no overload wants is the one to speak of.
        let nobody_wants = (0..count).find(|&at| !overloads.iter().any(|p| fits(p, at)));
        let at = nobody_wants.unwrap_or(0);
        let named = overloads.iter().find(|p| wanted(&p.parameters[at]) != "()");
        let parameter = named.unwrap_or(&overloads[0]).parameters[at]
            .split(':')
            .next()
            .unwrap_or("argument")
            .to_string();
        let mut types: Vec<&str> = overloads.iter().map(|p| in_words(wanted(&p.parameters[at]))).collect();
        types.retain(|t| *t != "nothing");
        types.dedup();
        let message = format!(
            "{}: `{parameter}` must be {}, not {}",
            call.name,
            types.join(" or "),
            given[at].map_or("this", in_words)
        );
        let helps: BTreeSet<String> = overloads
            .iter()
            .filter(|p| !p.parameters.iter().any(|p| wanted(p) == "()"))
            .map(|p| format!("it takes {}({})", p.name, p.parameters.join(", ")))
            .collect();
        let help = match &call.args[at] {
            Expr::CharConstant(letter, _) => {
                format!("single quotes hold one character: write a text in double quotes, \"{letter}\"")
            }
            _ => helps.into_iter().collect::<Vec<_>>().join(", or "),
        };
        let place = call.args[at].position();
        self.find(Severity::Error, "wrong-type", place, message, Some(help));
    }
}

/// The type of a literal, in the words of signatures.
fn literal(expression: &Expr) -> Option<&'static str> {
    Some(match expression {
        Expr::StringConstant(..) | Expr::InterpolatedString(..) => "string",
        Expr::CharConstant(..) => "char",
        Expr::IntegerConstant(..) => "int",
        Expr::FloatConstant(..) => "float",
        Expr::BoolConstant(..) => "bool",
        Expr::Unit(..) => "()",
        Expr::Array(..) => "array",
        Expr::Map(..) => "map",
        Expr::FnCall(call, _) if call.name == "curry" => "Fn",
        Expr::DynamicConstant(value, _) if value.is_fnptr() => "Fn",
        _ => return None,
    })
}

fn wanted(parameter: &str) -> &str {
    parameter.split_once(": ").map_or("?", |(_, wanted)| wanted)
}

fn accepts(wanted: &str, given: &str) -> bool {
    match wanted {
        "string" | "map" | "array" | "Fn" | "bool" | "()" => wanted == given,
        "number" => matches!(given, "int" | "float"),
        "int" | "i64" => given == "int",
        "f64" => given == "float",
        _ => true,
    }
}

fn in_words(name: &str) -> &str {
    match name {
        "string" => "a text",
        "char" => "a character",
        "int" | "i64" => "a whole number",
        "float" | "f64" | "number" => "a number",
        "bool" => "true or false",
        "array" => "a list",
        "map" => "a map",
        "Fn" => "a function",
        "()" => "nothing",
        other => other,
    }
}
