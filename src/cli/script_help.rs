//! `--help` of `run` and `resume`: jumar's own options, then the script's parameters and phases.

use std::fmt::Write;

use clap::CommandFactory;
use serde_json::Value;

use super::args::Arguments;
use crate::run::Session;
use crate::script::ScriptSource;
use crate::ui::{Align, Cell, Printer, Table, Tone};

/// The help that clap has for a command.
pub(super) fn command_help(name: &str, printer: &Printer) -> String {
    let mut program = Arguments::command();
    program.build();
    let Some(command) = program.find_subcommand_mut(name) else {
        return String::new();
    };
    let help = command.render_help();
    if printer.stdout_colored() {
        help.ansi().to_string()
    } else {
        help.to_string()
    }
}

/// The long options of a command, without the dashes.
pub(super) fn own_options(name: &str) -> Vec<String> {
    let program = Arguments::command();
    let command = program.find_subcommand(name);
    let arguments = command
        .into_iter()
        .flat_map(|c| c.get_arguments())
        .chain(program.get_arguments());
    arguments.filter_map(|a| a.get_long().map(String::from)).collect()
}

/// What a script adds to the help.
pub(super) fn script_help(source: &ScriptSource, session: &Session, printer: &Printer) -> String {
    let colored = printer.stdout_colored();
    let mut text = format!("\nParameters of {}:\n", source.name);
    let mut table = Table::new(&[
        ("  option", Align::Left),
        ("default", Align::Left),
        ("what it is for", Align::Left),
    ]);
    for (name, parameter) in session.parameters().iter() {
        let default = match &parameter.default {
            Value::Array(items) => items
                .iter()
                .map(|v| v.as_str().map_or_else(|| v.to_string(), String::from))
                .collect::<Vec<_>>()
                .join(","),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let option = Cell::new(format!("  --{}", name.replace('_', "-"))).tone(Tone::Bold);
        table.row(vec![
            option,
            default.into(),
            parameter.help.clone().unwrap_or_default().into(),
        ]);
    }
    text.push_str(
        if table.is_empty() {
            "  none\n".into()
        } else {
            table.render_wrapped(printer.stdout_width(), colored)
        }
        .as_str(),
    );
    text.push_str(
        "Each is also a variable (BATCH_SIZE=4), `-p batch_size=4`, and a key of a `--params` file.\n\nPhases:\n",
    );
    let mut table = Table::new(&[
        ("  phase", Align::Left),
        ("number", Align::Right),
        ("after", Align::Left),
        ("what it does", Align::Left),
    ]);
    let plan = session.plan();
    for phase in plan.phases() {
        let after: Vec<&str> = phase.options.waits_for().map(String::as_str).collect();
        let after = if after.len() > 2 {
            format!("{} and {} more", after[0], after.len() - 1)
        } else {
            after.join(", ")
        };
        let number = phase.options.number.map(|n| n.to_string()).unwrap_or_default();
        table.row(vec![
            Cell::new(format!("  {}", phase.name)).tone(Tone::Bold),
            number.into(),
            after.into(),
            phase.options.help.clone().unwrap_or_default().into(),
        ]);
    }
    if table.is_empty() {
        let _ = writeln!(text, "  none");
    } else {
        text.push_str(&table.render_wrapped(printer.stdout_width(), colored));
    }
    text
}
