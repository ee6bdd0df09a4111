//! `jumar diff`: two runs by meaning, or a table of many. It reads; it never locks, waits or writes.

mod json;
pub(super) mod layout;
mod side_by_side;
mod table;
mod text;

use std::cmp::Ordering;

use super::args::DiffArguments;
use super::error::CliError;
use super::moment::locate_moment;
use super::report::reported;
use super::run_columns::did_you_mean;
use super::{csv, exit_code};
use crate::compare::{Comparison, FactName, Group, LineDiff, LineKind, RunFacts, Standing, facts_named};
use crate::report::{Reported, page};
use crate::run::{LocateError, RunPath, all_runs};
use crate::state::Moment;
use crate::ui::{Printer, Tone, paint};

/// More names than this help nobody.
const MOST_NAMES: usize = 24;

/// Compares runs; exits with 0 when they are the same, with 1 when they differ.
pub(super) fn diff(arguments: &DiffArguments, printer: &Printer) -> Result<u8, CliError> {
    let only = groups(&arguments.only)?;
    let chosen = located(&arguments.runs, printer)?;
    let runs: Vec<RunPath> = chosen.iter().map(|(run, _)| run.clone()).collect();
    if (arguments.unified || arguments.side_by_side) && runs.len() != 2 {
        let option = if arguments.unified {
            "--unified"
        } else {
            "--side-by-side"
        };
        return Err(CliError::usage(format!(
            "{option} compares two runs, not {}",
            runs.len()
        )));
    }
    let of_then = chosen.iter().any(|(_, moment)| moment.is_some());
    if of_then && arguments.unified {
        return Err(CliError::usage("RUN@N is compared by meaning: leave out --unified"));
    }
    if arguments.unified {
        return unified(&runs, printer);
    }
    if arguments.html {
        return html(&chosen, arguments.sort.as_deref(), printer);
    }
    let mut facts = chosen
        .iter()
        .map(|(run, moment)| RunFacts::at(run, *moment))
        .collect::<Result<Vec<RunFacts>, _>>()?;
    if let Some(key) = &arguments.sort {
        sort(&mut facts, key)?;
    }
    let comparison = Comparison::new(facts, &only);
    let code = exit_code_of(&comparison);
    if printer.settings().quiet {
        return Ok(code);
    }
    let width = layout::width(printer.stdout_width());
    let colored = printer.stdout_colored();
    if arguments.json {
        printer.json(&json::to_json(&comparison, arguments.all));
    } else if arguments.csv {
        printer.raw_stdout(&as_csv(&comparison, arguments.all));
    } else if arguments.side_by_side {
        printer.raw_stdout(&side_by_side::render(&comparison, arguments.all, width, colored));
    } else if comparison.runs.len() == 2 {
        printer.raw_stdout(&text::render(&comparison, arguments.all, width, colored));
    } else {
        printer.raw_stdout(&table::render(&comparison, arguments.all, width, colored));
    }
    Ok(code)
}

/// The text that `jumar diff A B` prints of two runs.
pub(super) fn of_two(one: RunFacts, other: RunFacts, printer: &Printer) -> String {
    let comparison = Comparison::new(vec![one, other], &[]);
    let width = layout::width(printer.stdout_width());
    text::render(&comparison, false, width, printer.stdout_colored())
}

fn exit_code_of(comparison: &Comparison) -> u8 {
    if comparison.differs() {
        exit_code::FAILED
    } else {
        exit_code::DONE
    }
}

fn groups(words: &[String]) -> Result<Vec<Group>, CliError> {
    let group = |word: &String| {
        Group::from_word(word).ok_or_else(|| {
            let all: Vec<&str> = Group::ALL.into_iter().map(Group::as_str).collect();
            let near = crate::plan::nearest(word, Group::WORDS.into_iter());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            CliError::usage(format!("--only: there is no group `{word}`{near}"))
                .hint(format!("groups are {}", all.join(", ")))
        })
    };
    words.iter().map(group).collect()
}

/// A run, and the moment of it that is meant.
pub(super) type Chosen = (RunPath, Option<Moment>);

/// The runs that are meant. Among many (`runs/*`) directories that hold no run are passed over.
pub(super) fn located(asked: &[String], printer: &Printer) -> Result<Vec<Chosen>, CliError> {
    match asked {
        [] => {
            let mut all = all_runs()?;
            if all.len() < 2 {
                return Err(CliError::usage("there are no two runs under runs/ to compare")
                    .hint("name two run directories or state files: jumar diff A B"));
            }
            let newest = all.split_off(all.len() - 2);
            Ok(newest.into_iter().map(|run| (run, None)).collect())
        }
        [one] => {
            let (run, moment) = locate_moment(Some(one))?;
            let real = |path: &RunPath| path.state_file.canonicalize().ok();
            let same = |other: &RunPath| real(other).is_some() && real(other) == real(&run);
            let mut all = all_runs()?;
            // A run has nothing to say about itself, but a moment of it has.
            if moment.is_none() && all.last().is_some_and(same) {
                all.pop();
                let before = all.pop().ok_or_else(no_other)?;
                return Ok(vec![(before, None), (run, None)]);
            }
            let newest = all.pop().ok_or_else(no_other)?;
            Ok(vec![(run, moment), (newest, None)])
        }
        [_, _] => asked.iter().map(|run| Ok(locate_moment(Some(run))?)).collect(),
        _ => {
            let mut runs = Vec::new();
            for run in asked {
                match locate_moment(Some(run)) {
                    Ok(run) => runs.push(run),
                    Err(error @ LocateError::NoStateFile { .. }) => printer.warn(&format!("{error}: passed over")),
                    Err(error) => return Err(error.into()),
                }
            }
            if runs.is_empty() {
                Err(CliError::usage("none of these is a run"))
            } else {
                Ok(runs)
            }
        }
    }
}

fn no_other() -> CliError {
    CliError::usage("there is no other run under runs/ to compare with").hint("name two: jumar diff A B")
}

/// Puts runs into the order of a fact; those that lack it come last.
pub(super) fn sort(runs: &mut [RunFacts], key: &str) -> Result<(), CliError> {
    sort_by(runs, key, |run| run)
}

pub(in crate::cli) fn sort_by<T>(runs: &mut [T], key: &str, facts: impl Fn(&T) -> &RunFacts) -> Result<(), CliError> {
    let (word, backwards) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
    let turned = |order: Ordering| if backwards { order.reverse() } else { order };
    if word == "started" {
        runs.sort_by(|a, b| turned(facts(a).started.cmp(&facts(b).started)));
        return Ok(());
    }
    let every: Vec<&RunFacts> = runs.iter().map(&facts).collect();
    let found = facts_named(&every, word);
    let [name] = found.as_slice() else {
        return Err(unsortable(word, &found, &every));
    };
    runs.sort_by(|a, b| match (name.of(facts(a)), name.of(facts(b))) {
        (Some(a), Some(b)) => turned(match (a.value.as_f64(), b.value.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => layout::plain(&a).cmp(&layout::plain(&b)),
        }),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    Ok(())
}

/// Why runs cannot be sorted by a word: it means nothing, or too much.
fn unsortable(word: &str, found: &[FactName], runs: &[&RunFacts]) -> CliError {
    if found.is_empty() {
        let near = did_you_mean(word, runs, &["started", "time"]);
        let mut names: Vec<&str> = Vec::new();
        let sortable = [Group::Metrics, Group::Parameters, Group::Durations];
        for (_, name, _) in runs
            .iter()
            .flat_map(|run| run.facts())
            .filter(|(group, _, fact)| sortable.contains(group) && !fact.aside)
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(MOST_NAMES);
        names.truncate(MOST_NAMES);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let error = CliError::usage(format!(
            "--sort: no run has a metric, parameter or duration `{word}`{near}"
        ));
        return error.hint(format!("there are started, time, {}{more}", names.join(", ")));
    }
    let all: Vec<&str> = found.iter().take(MOST_NAMES).map(|name| name.name.as_str()).collect();
    let metrics = found.iter().all(|name| name.group == Group::Metrics);
    let mean = if metrics {
        format!(", or mean({word})")
    } else {
        String::new()
    };
    CliError::usage(format!("--sort: `{word}` is of several phases: {}", all.join(", ")))
        .hint(format!("name one{mean}"))
}

/// The page of `jumar report`, with the exit code of `jumar diff`.
fn html(runs: &[Chosen], key: Option<&str>, printer: &Printer) -> Result<u8, CliError> {
    let mut reported = runs.iter().map(reported).collect::<Result<Vec<Reported>, _>>()?;
    if let Some(key) = key {
        sort_by(&mut reported, key, |run| &run.facts)?;
    }
    if !printer.settings().quiet {
        printer.raw_stdout(&page(&reported));
    }
    let facts = reported.into_iter().map(|run| run.facts).collect();
    Ok(exit_code_of(&Comparison::new(facts, &[])))
}

fn unified(runs: &[RunPath], printer: &Printer) -> Result<u8, CliError> {
    let mut texts = Vec::new();
    for run in runs {
        let bytes = std::fs::read(&run.state_file)
            .map_err(|error| CliError::disk(format!("cannot read {}: {error}", run.state_file.display())))?;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let diff = LineDiff::new(&texts[0], &texts[1]);
    if diff.is_empty() {
        return Ok(exit_code::DONE);
    }
    let colored = printer.stdout_colored();
    let mut text = String::new();
    for (sign, run) in ["---", "+++"].into_iter().zip(runs) {
        text.push_str(&paint(
            Tone::Bold,
            &format!("{sign} {}", run.state_file.display()),
            colored,
        ));
        text.push('\n');
    }
    text.push_str(&lines(&diff, "", None, colored));
    if !printer.settings().quiet {
        printer.raw_stdout(&text);
    }
    Ok(exit_code::FAILED)
}

/// Lines as `diff -u` writes them, indented, and cut to a width if there is one.
fn lines(diff: &LineDiff, indent: &str, width: Option<usize>, colored: bool) -> String {
    let mut text = String::new();
    for line in &diff.lines {
        let (sign, tone) = match line.kind {
            LineKind::Place => ("", Tone::Accent),
            LineKind::Both => (" ", Tone::Plain),
            LineKind::Left => ("-", Tone::Bad),
            LineKind::Right => ("+", Tone::Good),
        };
        let whole = format!("{sign}{}", crate::ui::visible_line(&line.text));
        let shown = match width {
            Some(width) => crate::ui::cut_to_width(&whole, width.saturating_sub(indent.len())).into_owned(),
            None => whole,
        };
        text.push_str(indent);
        text.push_str(&paint(tone, &shown, colored));
        text.push('\n');
    }
    text
}

fn as_csv(comparison: &Comparison, all: bool) -> String {
    let mut text = String::new();
    let names = comparison.runs.iter().map(RunFacts::path);
    csv::line(
        &mut text,
        ["group".to_string(), "name".to_string()].into_iter().chain(names),
    );
    for row in comparison
        .rows
        .iter()
        .filter(|row| all || row.standing == Standing::Differs)
    {
        let facts = row
            .facts
            .iter()
            .map(|fact| fact.as_ref().map(layout::plain).unwrap_or_default());
        csv::line(
            &mut text,
            [row.group.as_str().to_string(), row.name.clone()]
                .into_iter()
                .chain(facts),
        );
    }
    text
}
