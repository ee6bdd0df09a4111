//! The command line: arguments become calls, results become words and exit codes.
//!
//! One file for each family of commands. Nothing here decides what happens to a run; it only says so.

mod args;
mod at_work;
mod attempt_words;
mod check;
mod completions;
mod csv;
mod definitions;
mod diff;
mod docs;
mod edit;
mod error;
mod eval;
mod event_words;
mod exit_code;
mod explain;
mod fsck;
mod graph;
mod history;
mod launch;
mod left_behind;
mod logs;
mod look;
mod mark;
mod memory;
mod moment;
mod new;
mod open_run;
mod outcome;
mod parameter_file;
mod plan_view;
mod raw_options;
mod rehearse;
mod repl;
mod report;
mod run_columns;
mod runs;
mod script_argument;
mod script_help;
mod shell;
mod status;
mod take_up;
mod undo;
mod unlock;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::exec::{KEEPER_ARGUMENT, keep};
use crate::ui::{ColorChoice, Printer, Settings};
use args::{Arguments, Command};
use error::CliError;

/// Runs the program with the arguments of the process; returns its exit code.
pub fn main() -> ExitCode {
    memory::set_up();
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == KEEPER_ARGUMENT) {
        // A host started us, and nobody looks at a terminal.
        return match keep() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let words: Vec<String> = words.into_iter().map(|w| w.to_string_lossy().into_owned()).collect();
    set_panic_hook();
    match parse(words) {
        Ok((arguments, raw)) => {
            let printer = Printer::new(arguments.global.settings());
            start_debug_log(&printer, arguments.global.verbose);
            let json = arguments.command.wants_json();
            let outcome = catch_unwind(AssertUnwindSafe(|| dispatch(arguments, raw, &printer)));
            // The panic hook has said what there is to say.
            let Ok(outcome) = outcome else {
                return finish(&printer, exit_code::OUR_FAULT);
            };
            match outcome {
                Ok(code) => finish(&printer, code),
                Err(error) => finish(&printer, error.report(&printer, json)),
            }
        }
        Err(error) => error::report_usage(&error),
    }
}

fn dispatch(arguments: Arguments, raw: Vec<crate::plan::RawOption>, printer: &Printer) -> Result<u8, CliError> {
    match arguments.command {
        Command::Run(run) => launch::run(&run, raw, printer),
        Command::Resume(resume) => launch::resume(resume, raw, printer),
        Command::Status(status) => status::status(&status, printer),
        Command::Runs(runs) => runs::runs(&runs, printer),
        Command::Diff(diff) => diff::diff(&diff, printer),
        Command::Report(report) => report::report(&report, printer),
        Command::Logs(logs) => logs::logs(&logs, printer),
        Command::Graph(graph) => graph::graph(&graph, printer),
        Command::Check(check) => check::check(&check, raw, printer),
        Command::Rehearse(arguments) => rehearse::rehearse(&arguments, raw, printer),
        Command::New(arguments) => new::new(&arguments, printer),
        Command::Docs(arguments) => docs::docs(&arguments, printer),
        Command::Definitions(arguments) => definitions::definitions(&arguments, printer),
        Command::History(arguments) => history::history(&arguments, printer),
        Command::Undo(arguments) => undo::undo(&arguments, printer),
        Command::Fsck(arguments) => fsck::fsck(&arguments, printer),
        Command::Unlock(arguments) => unlock::unlock(&arguments, printer),
        Command::Edit(edit) => edit::edit(&edit, printer),
        Command::Eval(eval) => eval::eval(&eval, printer),
        Command::Explain(explain) => explain::explain(&explain, printer),
        Command::Repl(repl) => repl::repl(&repl, printer),
        Command::Shell(shell) => shell::shell(&shell, printer),
        Command::Mark(mark) => mark::mark(&mark, printer),
        Command::Completions(completions) => completions::completions(&completions, printer),
        Command::ExitCodes => {
            printer.result(exit_code::TABLE.trim_end());
            Ok(0)
        }
    }
}

/// A result that could not be written is no success, unless nobody was there to read it.
fn finish(printer: &Printer, code: u8) -> ExitCode {
    if let Some(why) = printer.stdout_failure() {
        printer.error(&format!("cannot write to standard output: {why}"));
        return ExitCode::from(if code == 0 { exit_code::STATE } else { code });
    }
    ExitCode::from(code)
}

fn parse(words: Vec<String>) -> Result<(Arguments, Vec<crate::plan::RawOption>), clap::Error> {
    let (words, raw) = raw_options::split(&Arguments::command(), words);
    let matches = Arguments::command().try_get_matches_from(words)?;
    Ok((Arguments::from_arg_matches(&matches)?, raw))
}

impl args::Global {
    fn settings(&self) -> Settings {
        let color = match self.color {
            args::Color::Auto => ColorChoice::Auto,
            args::Color::Always => ColorChoice::Always,
            args::Color::Never => ColorChoice::Never,
        };
        Settings {
            quiet: self.quiet,
            verbose: self.verbose,
            color,
        }
    }
}

/// `-vv` shows what jumar itself does; `JUMAR_LOG` chooses of what, as `RUST_LOG` does elsewhere.
fn start_debug_log(printer: &Printer, verbose: u8) {
    let asked = std::env::var("JUMAR_LOG").ok();
    if verbose < 2 && asked.is_none() {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::new(asked.unwrap_or_else(|| "jumar=debug".into()));
    let writer = printer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(printer.stderr_colored())
        .with_writer(move || writer.stderr_writer());
    // A second subscriber cannot be set; there is only this one.
    let _ = subscriber.try_init();
}

/// A panic is a fault of jumar's own. The caller of the thread turns it into a failure; here it is only said.
fn set_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(|l| format!(" at {}:{}", l.file(), l.line()))
            .unwrap_or_default();
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned());
        let printer = Printer::new(Settings::default());
        printer.error(&format!(
            "jumar itself is at fault{at}: {}",
            what.unwrap_or_else(|| "unknown".into())
        ));
        printer.hint("the run's state is safe; please report this with the command you gave");
    }));
}
