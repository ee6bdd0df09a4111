//! `jumar docs [NAME]`: what scripts can call, from the documentation that stands beside each function.

use serde_json::{Value, json};

use super::args::DocsArguments;
use super::error::CliError;
use super::exit_code;
use crate::plan::nearest;
use crate::script::{Entry, manual};
use crate::ui::{Align, Cell, Printer, Table};

/// Lists all names, or tells of one.
pub(super) fn docs(arguments: &DocsArguments, printer: &Printer) -> Result<u8, CliError> {
    let all = manual();
    let Some(name) = &arguments.name else {
        if arguments.json {
            printer.json(&Value::Array(all.iter().map(as_json).collect()));
        } else {
            printer.result(list(&all, printer).trim_end());
        }
        return Ok(exit_code::DONE);
    };
    let wanted = name.trim_end_matches("()");
    let found = named(&all, wanted);
    if found.is_empty() {
        return Err(unknown(&all, wanted));
    }
    if arguments.json {
        printer.json(&Value::Array(found.into_iter().map(as_json).collect()));
    } else {
        let told: Vec<String> = found.into_iter().map(tell).collect();
        printer.result(told.join("\n\n").trim_end());
    }
    Ok(exit_code::DONE)
}

/// What a name means: `shell`, `standard`, `recovery::standard`, `std/recovery`, and a whole module by its last part.
fn named<'a>(all: &'a [Entry], wanted: &str) -> Vec<&'a Entry> {
    let exactly: Vec<&Entry> = all
        .iter()
        .filter(|e| called(e) == wanted || e.name == wanted || full(e) == wanted)
        .collect();
    let module = exactly
        .first()
        .filter(|e| e.signatures.is_empty())
        .and_then(|e| e.module.as_ref());
    match module {
        Some(module) => all.iter().filter(|e| e.module.as_ref() == Some(module)).collect(),
        None => exactly,
    }
}

/// The name as a script writes it; a module's is its last part.
fn called(entry: &Entry) -> String {
    let Some(module) = &entry.module else {
        return entry.name.clone();
    };
    let alias = module.rsplit('/').next().unwrap_or(module);
    if entry.signatures.is_empty() {
        alias.to_string()
    } else {
        format!("{alias}::{}", entry.name)
    }
}

fn full(entry: &Entry) -> String {
    match &entry.module {
        Some(module) => format!("{module}::{}", entry.name),
        None => entry.name.clone(),
    }
}

fn unknown(all: &[Entry], wanted: &str) -> CliError {
    let names: Vec<String> = all.iter().flat_map(|e| [e.name.clone(), called(e)]).collect();
    let near = nearest(wanted, names.iter().map(String::as_str))
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default();
    CliError::usage(format!("nothing is called `{wanted}`{near}"))
        .hint("`jumar docs` lists what there is; Rhai's own functions are in https://rhai.rs/book/")
}

fn list(all: &[Entry], printer: &Printer) -> String {
    let mut text = String::new();
    let modules: Vec<Option<&String>> = {
        let mut seen: Vec<Option<&String>> = all.iter().map(|e| e.module.as_ref()).collect();
        seen.dedup();
        seen
    };
    for module in modules {
        let head = module.map_or_else(|| "everywhere".to_string(), |m| format!("import \"{m}\" as …"));
        let mut table = Table::new(&[(head.as_str(), Align::Left), ("", Align::Left)]);
        for entry in all
            .iter()
            .filter(|e| e.module.as_ref() == module && e.name != module.map_or("", |m| m.as_str()))
        {
            table.row(vec![Cell::new(called(entry)), Cell::new(first_sentence(&entry.docs))]);
        }
        text.push_str(&table.render(printer.stdout_width(), printer.stdout_colored()));
        text.push('\n');
    }
    text + "`jumar docs NAME` tells of one\n"
}

/// The longest sentence that is listed whole.
const SHORT: usize = 90;

/// The first sentence of a documentation, of a long one what stands before its colon.
fn first_sentence(docs: &str) -> String {
    let line = docs.lines().next().unwrap_or_default();
    let until = |mark: char| {
        let mut ends = line.match_indices(mark);
        let end = ends.find(|(at, _)| line[at + 1..].is_empty() || line[at + 1..].starts_with(' '));
        end.map_or(line, |(at, _)| &line[..at])
    };
    let sentence = until('.');
    if sentence.chars().count() > SHORT {
        until(':').into()
    } else {
        sentence.into()
    }
}

fn tell(entry: &Entry) -> String {
    let mut lines: Vec<String> = entry.signatures.clone();
    if let Some(module) = entry.module.as_ref().filter(|_| !entry.signatures.is_empty()) {
        let alias = module.rsplit('/').next().unwrap_or(module);
        lines = lines.iter().map(|s| format!("{alias}::{s}")).collect();
        lines.insert(0, format!("import \"{module}\" as {alias};"));
    } else if lines.is_empty() {
        lines.push(entry.name.clone());
    }
    lines.push(String::new());
    lines.extend(entry.docs.lines().map(|l| format!("    {l}").trim_end().to_string()));
    lines.join("\n")
}

fn as_json(entry: &Entry) -> Value {
    json!({ "name": entry.name, "module": entry.module, "signatures": entry.signatures, "docs": entry.docs })
}
