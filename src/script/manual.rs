//! The manual that the binary carries: every name a script can use, with signatures and documentation, and the same as
//! definition files for editors.

use std::fmt::Write as _;

use rhai::Engine;

use super::api::GLOBAL_DOCS;
use super::embedded::{standard_module, standard_modules};
use super::listing::{Primitive, primitives};
use super::scan::{Kind, Token, tokens};

/// A name and what there is to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The standard module that it is in, `std/recovery`; `None` for what is there everywhere.
    pub module: Option<String>,
    /// The name.
    pub name: String,
    /// How it is called, one line for each way; empty for a value and for a module.
    pub signatures: Vec<String>,
    /// Its documentation, lines as they are written.
    pub docs: String,
}

/// All that there is: the values, the primitives, then each standard module with its functions.
pub fn manual() -> Vec<Entry> {
    let mut found: Vec<Entry> = GLOBAL_DOCS
        .iter()
        .map(|(name, _, docs)| Entry {
            module: None,
            name: name.to_string(),
            signatures: vec![],
            docs: docs.to_string(),
        })
        .collect();
    for primitive in called() {
        let signature = signature(&primitive);
        match found.last_mut().filter(|e| e.name == primitive.name) {
            Some(entry) => {
                entry.signatures.push(signature);
                if !entry.docs.contains(&primitive.docs) {
                    entry.docs.push_str("\n\n");
                    entry.docs.push_str(&primitive.docs);
                }
            }
            None => found.push(Entry {
                module: None,
                name: primitive.name.clone(),
                signatures: vec![signature],
                docs: primitive.docs,
            }),
        }
    }
    for name in standard_modules() {
        let text = standard_module(name).unwrap_or_default();
        found.push(Entry {
            module: Some(name.into()),
            name: name.into(),
            signatures: vec![],
            docs: comment_lines(text, "//!").join("\n"),
        });
        for (function, signature, docs) in functions(text) {
            match found.last_mut().filter(|e| e.name == function) {
                Some(entry) => entry.signatures.push(signature),
                None => found.push(Entry {
                    module: Some(name.into()),
                    name: function,
                    signatures: vec![signature],
                    docs,
                }),
            }
        }
    }
    found
}

/// Definition files for editors that know Rhai's: names below a directory, and contents.
pub fn definitions() -> Vec<(String, String)> {
    let engine = Engine::new();
    let rhais = engine.definitions().with_headers(true);
    let mut files: Vec<(String, String)> = rhais.iter_files().collect();
    let mut own = String::from("module static;\n");
    for (name, kind, docs) in GLOBAL_DOCS {
        let _ = write!(own, "\n{}let {name}: {kind};\n", commented(docs));
    }
    for primitive in called() {
        let parameters = primitive.parameters.iter().map(|p| match p.split_once(": ") {
            Some((name, kind)) => format!("{name}: {}", editors_word(kind)),
            None => format!("{p}: ?"),
        });
        let _ = write!(
            own,
            "\n{}fn {}({}) -> {};\n",
            commented(&primitive.docs),
            primitive.name,
            parameters.collect::<Vec<_>>().join(", "),
            editors_word(&primitive.returns)
        );
    }
    files.push(("jumar.d.rhai".into(), own));
    for name in standard_modules() {
        let text = standard_module(name).unwrap_or_default();
        let short = name.rsplit('/').next().unwrap_or(name);
        let mut module = format!("module {short};\n");
        for (function, signature, docs) in functions(text) {
            let parameters = signature
                .split_once('(')
                .map_or(")", |(_, rest)| rest)
                .trim_end_matches(')');
            let typed: Vec<String> = parameters
                .split(", ")
                .filter(|p| !p.is_empty())
                .map(|p| format!("{p}: ?"))
                .collect();
            let _ = write!(
                module,
                "\n{}fn {function}({}) -> ?;\n",
                commented(&docs),
                typed.join(", ")
            );
        }
        files.push((format!("{name}.d.rhai"), module));
    }
    files
}

/// The primitives without the methods of a section of the state, which are told of with `state`.
fn called() -> Vec<Primitive> {
    let method = |p: &Primitive| p.docs.is_empty() || p.parameters.iter().any(|p| p.ends_with(": Section"));
    let mut all: Vec<Primitive> = primitives().into_iter().filter(|p| !method(p)).collect();
    // Not what is given `()` by mistake, to be refused with a good message.
    all.retain(|p| !p.parameters.iter().any(|p| p.ends_with(": ()")));
    all.sort_by(|a, b| (&a.name, a.parameters.len()).cmp(&(&b.name, b.parameters.len())));
    all
}

fn signature(primitive: &Primitive) -> String {
    let returns = match primitive.returns.as_str() {
        "" | "()" => String::new(),
        "?" => " -> anything".into(),
        returns => format!(" -> {returns}"),
    };
    let parameters = primitive.parameters.join(", ").replace(": ?", "");
    format!("{}({parameters}){returns}", primitive.name)
}

/// The functions that a module offers: name, signature and documentation.
fn functions(text: &str) -> Vec<(String, String, String)> {
    let found = tokens(text);
    let word = |at: usize| found.get(at).map_or("", |t: &Token| &text[t.span.clone()]);
    (0..found.len())
        .filter(|&at| word(at) == "fn" && (at == 0 || word(at - 1) != "private"))
        .map(|at| {
            let inside = (at + 3..found.len()).take_while(|&i| word(i) != ")");
            let parameters: Vec<&str> = inside.filter(|&i| found[i].kind == Kind::Word).map(word).collect();
            let signature = format!("{}({})", word(at + 1), parameters.join(", "));
            let mut before: Vec<&str> = text[..found[at].span.start].lines().rev().collect();
            before.truncate(before.iter().take_while(|l| l.starts_with("///")).count());
            before.reverse();
            let docs = comment_lines(&before.join("\n"), "///").join("\n");
            (word(at + 1).to_string(), signature, docs)
        })
        .collect()
}

fn comment_lines<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let inside = |line: &'a str| line.strip_prefix(mark).map(|l| l.strip_prefix(' ').unwrap_or(l));
    text.lines().filter_map(inside).collect()
}

fn commented(docs: &str) -> String {
    docs.lines()
        .map(|line| format!("/// {line}\n").replace("/// \n", "///\n"))
        .collect()
}

/// A type in the words of definition files.
fn editors_word(name: &str) -> &str {
    match name {
        "string" => "String",
        "map" => "Map",
        "array" => "Array",
        "Fn" => "FnPtr",
        "i64" => "int",
        "f64" => "float",
        "number" | "" => "?",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_values_primitives_and_the_functions_of_the_modules() {
        let manual = manual();
        let find = |module: Option<&str>, name: &str| {
            let found = manual.iter().find(|e| e.module.as_deref() == module && e.name == name);
            found.unwrap_or_else(|| panic!("{name} is there")).clone()
        };
        assert!(find(None, "run").docs.contains("run.program"));
        let shell = find(None, "shell");
        assert_eq!(shell.signatures[0], "shell(command: array) -> map");
        assert_eq!(shell.signatures.len(), 4);
        let checkpoint = find(None, "checkpoint");
        assert!(
            checkpoint.docs.contains("Records") && checkpoint.docs.contains("newest"),
            "{checkpoint:?}"
        );
        let halve = find(Some("std/recovery"), "halve_on_oom");
        assert_eq!(halve.signatures, ["halve_on_oom(parameter, least)"]);
        assert!(halve.docs.starts_with("When memory ran out"), "{halve:?}");
        assert_eq!(find(Some("std/sweep"), "grid").signatures.len(), 2);
        assert!(manual.iter().all(|e| !e.docs.is_empty()), "everything is told of");
    }

    #[test]
    fn definition_files_are_there_for_rhai_for_jumar_and_for_each_module() {
        let files = definitions();
        let find = |name: &str| {
            let found = files.iter().find(|(n, _)| n == name);
            &found.unwrap_or_else(|| panic!("{name} is there")).1
        };
        assert!(find("__static__.d.rhai").starts_with("module static;"));
        let own = find("jumar.d.rhai");
        assert!(own.contains("fn shell(command: String, options: Map) -> Map;"), "{own}");
        assert!(own.contains("let run: Run;"));
        let recovery = find("std/recovery.d.rhai");
        assert!(recovery.starts_with("module recovery;"));
        assert!(
            recovery.contains("fn halve_on_oom(parameter: ?, least: ?) -> ?;"),
            "{recovery}"
        );
    }
}
