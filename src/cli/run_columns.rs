//! The columns of `jumar runs --columns`: what each is called and what it says of a run.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::diff::layout::{plain, shown, status_tone};
use super::error::CliError;
use crate::compare::{Comparison, Fact, FactName, Group, RunFacts, RunStanding, Standing, facts_named};
use crate::plan::nearest;
use crate::state::PhaseStatus;
use crate::ui::{Align, Cell, Table, Tone, cut_to_width, human_duration};

/// Longer values are cut in tables; CSV and JSON have them whole.
const LONGEST_VALUE: usize = 32;

/// The words for what is no fact.
const COLUMNS: [&str; 6] = ["run", "status", "started", "phases", "time", "trouble"];

/// A column.
pub(super) enum Column {
    Run,
    Status,
    Started,
    Phases,
    Time,
    Trouble,
    /// A fact under its heading.
    Fact {
        title: String,
        name: FactName,
    },
}

/// The columns that some words mean.
pub(super) fn columns(words: &[String], runs: &[RunFacts]) -> Result<Vec<Column>, CliError> {
    let mut all = vec![Column::Run];
    let every: Vec<&RunFacts> = runs.iter().collect();
    for word in words.iter().map(|w| w.trim()) {
        match word {
            "" | "run" => {}
            "status" => all.push(Column::Status),
            "started" => all.push(Column::Started),
            "phases" => all.push(Column::Phases),
            "time" | "seconds" => all.push(Column::Time),
            "trouble" => all.push(Column::Trouble),
            // A fact goes before a group whose name only begins like it.
            _ => match (facts_named(&every, word), Group::from_word(word)) {
                (found, group) if found.is_empty() => match group {
                    Some(group) => all.extend(of_group(group, runs)),
                    None if runs.is_empty() => {}
                    None => return Err(unknown_column(word, &every)),
                },
                (found, _) => {
                    let single = found.len() == 1;
                    let title = |name: &FactName| if single { word.into() } else { name.title() };
                    all.extend(found.into_iter().map(|name| Column::Fact {
                        title: title(&name),
                        name,
                    }));
                }
            },
        }
    }
    Ok(all)
}

fn unknown_column(word: &str, runs: &[&RunFacts]) -> CliError {
    CliError::usage(format!("--columns: no run has `{word}`{}", did_you_mean(word, runs, &COLUMNS))).hint(
        "columns are run, status, started, phases, time, trouble, a metric, mean(METRIC), a parameter, or a group such as metrics or params",
    )
}

/// `; did you mean …?` when a metric, a parameter, a group or one of these words is near to a word, else nothing.
pub(super) fn did_you_mean(word: &str, runs: &[&RunFacts], others: &[&str]) -> String {
    let facts = runs.iter().flat_map(|run| run.facts());
    let facts = facts.filter(|(group, ..)| matches!(group, Group::Metrics | Group::Parameters | Group::Durations));
    let mut names: Vec<&str> = others.to_vec();
    for (_, name, _) in facts.filter(|(.., fact)| !fact.aside) {
        names.push(name);
        names.extend(name.rsplit_once('.').map(|(_, last)| last));
    }
    names.extend(Group::WORDS);
    match nearest(word, names.into_iter()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

/// All facts of a group that differ between the runs; of a single run all there are.
fn of_group(group: Group, runs: &[RunFacts]) -> Vec<Column> {
    let recorded: Vec<RunFacts> = runs.iter().filter(|run| run.records(group)).cloned().collect();
    if recorded.is_empty() {
        return vec![];
    }
    let single = recorded.len() == 1;
    let comparison = Comparison::new(recorded, &[group]);
    let rows = comparison
        .rows
        .iter()
        .filter(|row| single || row.standing == Standing::Differs);
    let fact = |name: &String| Column::Fact {
        title: name.clone(),
        name: FactName::new(group, name),
    };
    rows.map(|row| fact(&row.name)).collect()
}

/// What `--csv` shows when nobody says what.
pub(super) fn usual(runs: &[RunFacts]) -> Vec<Column> {
    let mut all = vec![
        Column::Run,
        Column::Status,
        Column::Started,
        Column::Time,
        Column::Phases,
        Column::Trouble,
    ];
    for group in [Group::Metrics, Group::Parameters] {
        let mut names: Vec<String> = Vec::new();
        for (_, name, _) in runs
            .iter()
            .flat_map(RunFacts::facts)
            .filter(|(g, _, f)| *g == group && !f.aside)
        {
            if !names.iter().any(|known| known == name) {
                names.push(name.into());
            }
        }
        let fact = |name: String| Column::Fact {
            name: FactName::new(group, name.as_str()),
            title: name,
        };
        all.extend(names.into_iter().map(fact));
    }
    all
}

/// How many phases are over, and how many there are.
pub(super) fn progress(run: &RunFacts) -> (usize, usize) {
    let over = |status: &PhaseStatus| matches!(status, PhaseStatus::Completed | PhaseStatus::Skipped);
    (
        run.state.phases().filter(|(_, s)| over(s)).count(),
        run.state.phases().count(),
    )
}

/// The phase that failed last, while the run is failed.
pub(super) fn trouble(run: &RunFacts) -> &str {
    let last = run.state.get("failures", "last_failure").unwrap_or_default();
    if run.standing == RunStanding::Failed { last } else { "" }
}

/// A moment as people write it here.
pub(super) fn local(moment: Timestamp) -> String {
    moment
        .to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

impl Column {
    /// Its heading.
    pub(super) fn title(&self) -> &str {
        match self {
            Column::Run => "run",
            Column::Status => "status",
            Column::Started => "started",
            Column::Phases => "phases",
            Column::Time => "time",
            Column::Trouble => "trouble",
            Column::Fact { title, .. } => title,
        }
    }

    fn fact<'a>(&self, run: &'a RunFacts) -> Option<Cow<'a, Fact>> {
        let Column::Fact { name, .. } = self else { return None };
        name.of(run)
    }

    fn cell(&self, run: &RunFacts) -> Cell {
        match self {
            Column::Run => run.name().into(),
            Column::Status => Cell::new(run.standing.as_str()).tone(status_tone(run.standing.as_str())),
            Column::Started => run.started.map(local).unwrap_or_default().into(),
            Column::Phases => {
                let (over, all) = progress(run);
                format!("{over}/{all}").into()
            }
            Column::Time => run.seconds.map(human_duration).unwrap_or_default().into(),
            Column::Trouble => Cell::new(trouble(run)).tone(Tone::Dim),
            Column::Fact { .. } => {
                let text = self.fact(run).map(|fact| shown(Some(&fact))).unwrap_or_default();
                cut_to_width(&text, LONGEST_VALUE).into_owned().into()
            }
        }
    }

    /// What it says of a run, for programs.
    pub(super) fn value(&self, run: &RunFacts) -> Value {
        match self {
            Column::Run => json!(run.path()),
            Column::Status => json!(run.standing.as_str()),
            Column::Started => json!(run.started),
            Column::Phases => {
                let (over, all) = progress(run);
                json!(format!("{over}/{all}"))
            }
            Column::Time => json!(run.seconds),
            Column::Trouble => json!(trouble(run)),
            Column::Fact { .. } => json!(self.fact(run).map(|fact| fact.value.clone())),
        }
    }

    /// The same as the field of a CSV file: empty for what is not there.
    pub(super) fn field(&self, run: &RunFacts) -> String {
        match self {
            Column::Fact { .. } => self.fact(run).map(|fact| plain(&fact)).unwrap_or_default(),
            _ => match self.value(run) {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            },
        }
    }

    fn align(&self, runs: &[RunFacts]) -> Align {
        let numbers = match self {
            Column::Phases | Column::Time => true,
            Column::Fact { .. } => runs
                .iter()
                .filter_map(|run| self.fact(run))
                .all(|fact| fact.value.is_number()),
            _ => false,
        };
        if numbers { Align::Right } else { Align::Left }
    }
}

/// Runs under their columns.
pub(super) fn table(columns: &[Column], runs: &[RunFacts]) -> Table {
    let heads: Vec<(&str, Align)> = columns.iter().map(|c| (c.title(), c.align(runs))).collect();
    let mut table = Table::new(&heads);
    for run in runs {
        table.row(columns.iter().map(|column| column.cell(run)).collect());
    }
    table
}
