//! Runs side by side, fact by fact.

use indexmap::IndexSet;
use serde_json::Value;

use super::collect::CHECKPOINT_CONTENTS;
use super::collect_provenance::{CHANGES_TEXT, MODULE, SCRIPT_TEXT, is_of_modules};
use super::fact::{Fact, Group, Unit, same};
use super::lines::LineDiff;
use super::run_facts::RunFacts;
use crate::run::{Better, ImportedModule};

/// Durations and memory within this part of each other are taken for the same.
const NOISE: f64 = 0.05;
/// Shorter differences than this, in seconds, are the machine's mood: starting a Python varies by half of it.
const NOISE_SECONDS: f64 = 1.0;
/// Smaller differences than this, in KiB, are the allocator's mood.
const NOISE_KIB: f64 = 16.0 * 1024.0;

/// Whether a fact differs between the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All runs agree.
    Same,
    /// They differ by less than what two equal runs would, or in something that says nothing of the run.
    Noise,
    /// They differ.
    Differs,
}

/// One fact of all runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its group.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// What each run says; `None` when a run says nothing.
    pub facts: Vec<Option<Fact>>,
    /// Whether it differs.
    pub standing: Standing,
}

/// Which of two runs did better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The second.
    Better,
    /// The first.
    Worse,
}

/// How a number differs between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The second less the first.
    pub difference: f64,
    /// That as a part of the first; `None` when the first is zero.
    pub relative: Option<f64>,
    /// The second by the first; `None` unless both are positive.
    pub ratio: Option<f64>,
    /// Which did better, where that is known.
    pub verdict: Option<Verdict>,
}

/// Runs compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The runs, in the order in which they were named.
    pub runs: Vec<RunFacts>,
    /// All facts, group by group.
    pub rows: Vec<Row>,
    /// Groups of which some runs have no record, with the positions of those runs. They are not compared.
    pub unrecorded: Vec<(Group, Vec<usize>)>,
    /// How the texts of two runs differ that both kept: the script, its modules, what was not committed.
    pub texts: Vec<TextDifference>,
    /// Whether no run tells which programs its commands ran: nothing is known of their code then.
    pub blind_outside_scripts: bool,
}

/// How a text of two runs differs.
#[derive(Clone, Debug)]
pub struct TextDifference {
    /// The name of the fact in [`Group::Code`] whose value is a hash of the text.
    pub fact: String,
    /// What the text is: the file's name, or words.
    pub title: String,
    /// The lines.
    pub lines: LineDiff,
}

/// Compares the texts that two runs kept.
fn texts(left: &RunFacts, right: &RunFacts) -> Vec<TextDifference> {
    let mut all = Vec::new();
    let mut compare = |fact: String, title: &str, left: Option<&str>, right: Option<&str>| {
        let lines = left.zip(right).map(|(left, right)| LineDiff::new(left, right));
        all.extend(lines.filter(|lines| !lines.is_empty()).map(|lines| TextDifference {
            fact,
            title: title.into(),
            lines,
        }));
    };
    compare(
        SCRIPT_TEXT.into(),
        "script",
        left.script.as_deref(),
        right.script.as_deref(),
    );
    for module in left.modules.iter().flatten() {
        let same = |other: &&ImportedModule| other.name == module.name;
        let other = right.modules.iter().flatten().find(same);
        let (left, right) = (module.text.as_deref(), other.and_then(|other| other.text.as_deref()));
        compare(format!("{MODULE}{}", module.name), &module.name, left, right);
    }
    let told = |run: &RunFacts| run.uncommitted.as_deref().map(without_index);
    let (left, right) = (told(left), told(right));
    compare(
        CHANGES_TEXT.into(),
        "uncommitted changes",
        left.as_deref(),
        right.as_deref(),
    );
    all
}

/// Git's account of changes without the lines that name its objects.
fn without_index(text: &str) -> String {
    text.split_inclusive('\n')
        .filter(|line| !line.starts_with("index "))
        .collect()
}

impl Row {
    fn new(group: Group, name: &str, runs: &[RunFacts]) -> Row {
        let facts: Vec<Option<Fact>> = runs.iter().map(|run| run.fact(group, name).cloned()).collect();
        Row {
            group,
            name: name.into(),
            standing: compare(group, &facts),
            facts,
        }
    }

    /// In what the row is counted.
    pub fn unit(&self) -> Unit {
        self.facts.iter().flatten().next().map_or(Unit::Plain, |fact| fact.unit)
    }

    /// Which way is better: what the runs say, as long as they do not contradict each other.
    pub fn better(&self) -> Option<Better> {
        // How long something failed for is no merit.
        if self.unit() == Unit::Seconds && self.facts.iter().flatten().any(|fact| fact.better.is_none()) {
            return None;
        }
        let mut said = self.facts.iter().flatten().filter_map(|fact| fact.better);
        let first = said.next()?;
        said.all(|better| better == first).then_some(first)
    }

    /// How the first two runs differ, when both have a number here.
    pub fn change(&self) -> Option<Change> {
        let number = |position: usize| number(self.facts.get(position)?.as_ref()?);
        let (left, right) = (number(0)?, number(1)?);
        let difference = right - left;
        let verdict = self.better().filter(|_| difference != 0.0).map(|better| {
            if (difference > 0.0) == (better == Better::Higher) {
                Verdict::Better
            } else {
                Verdict::Worse
            }
        });
        Some(Change {
            difference,
            relative: (left != 0.0).then(|| difference / left.abs()),
            ratio: (left > 0.0 && right > 0.0).then(|| right / left),
            verdict,
        })
    }

    /// The positions of the runs that did best: several where they are equal, or differ by no more than noise. Nothing when nobody knows which
    /// way is better, or when it would be all that have a number.
    pub fn best(&self) -> Vec<usize> {
        let Some(better) = self.better().filter(|_| self.standing == Standing::Differs) else {
            return vec![];
        };
        let numbers: Vec<(usize, f64)> = self
            .facts
            .iter()
            .enumerate()
            .filter_map(|(p, fact)| Some((p, number(fact.as_ref()?)?)))
            .collect();
        let all = numbers.iter().map(|(_, number)| *number);
        let best = match better {
            Better::Higher => all.fold(f64::NEG_INFINITY, f64::max),
            Better::Lower => all.fold(f64::INFINITY, f64::min),
        };
        let good = |number: f64| number == best || is_within_noise(self.unit(), number.min(best), number.max(best));
        let found: Vec<usize> = numbers.iter().filter(|(_, n)| good(*n)).map(|(p, _)| *p).collect();
        if found.len() < numbers.len() { found } else { vec![] }
    }
}

/// A fact as a number, when it is one.
pub(super) fn number(fact: &Fact) -> Option<f64> {
    match &fact.value {
        Value::Number(number) => number.as_f64().filter(|n| n.is_finite()),
        _ => None,
    }
}

fn compare(group: Group, facts: &[Option<Fact>]) -> Standing {
    let Some(Some(first)) = facts.iter().find(|f| f.is_some()) else {
        return Standing::Same;
    };
    // What a phase used is missing where the phase did not run; that is told as its outcome.
    let follows = matches!(group, Group::Durations | Group::Resources | Group::Attempts);
    let aside = facts.iter().flatten().all(|fact| fact.aside);
    let complete = facts.iter().all(Option::is_some);
    if complete && facts.iter().flatten().all(|fact| same(&fact.value, &first.value)) {
        Standing::Same
    } else if aside || (follows && !complete) || (complete && is_noise(first.unit, facts)) {
        Standing::Noise
    } else {
        Standing::Differs
    }
}

fn is_noise(unit: Unit, facts: &[Option<Fact>]) -> bool {
    let numbers: Option<Vec<f64>> = facts.iter().map(|fact| number(fact.as_ref()?)).collect();
    let Some(numbers) = numbers else { return false };
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    is_within_noise(unit, least, most)
}

/// Whether equal runs may differ so much: a difference counts when it is large both in itself and beside the whole.
fn is_within_noise(unit: Unit, least: f64, most: f64) -> bool {
    let floor = match unit {
        Unit::Seconds => NOISE_SECONDS,
        Unit::Kib => NOISE_KIB,
        Unit::Plain | Unit::Moment | Unit::ByPhase => return false,
    };
    most - least < floor || most - least < NOISE * most.abs()
}

impl Comparison {
    /// Compares runs, of which there must be at least one, in these groups (all when there are none).
    pub fn new(runs: Vec<RunFacts>, only: &[Group]) -> Comparison {
        let mut rows = Vec::new();
        let mut unrecorded = Vec::new();
        for group in Group::ALL.into_iter().filter(|g| only.is_empty() || only.contains(g)) {
            let without: Vec<usize> = (0..runs.len()).filter(|&p| !runs[p].records(group)).collect();
            if !without.is_empty() {
                if without.len() < runs.len() {
                    unrecorded.push((group, without));
                }
                continue;
            }
            // Runs of older versions kept no modules: that is no difference.
            let modules = runs.iter().all(|run| run.modules.is_some());
            let compared = |name: &&str| group != Group::Code || modules || !is_of_modules(name);
            rows.extend(
                names(&runs, group)
                    .into_iter()
                    .filter(compared)
                    .map(|name| Row::new(group, name, &runs)),
            );
        }
        let others = |row: &Row| row.standing == Standing::Differs && row.name != CHECKPOINT_CONTENTS;
        if rows.iter().any(others) {
            // Another training leaves another checkpoint. Worth a line only where nothing else explains it.
            let contents = rows.iter_mut().filter(|row| row.name == CHECKPOINT_CONTENTS);
            contents
                .filter(|row| row.standing == Standing::Differs)
                .for_each(|row| row.standing = Standing::Noise);
        }
        let code = only.is_empty() || only.contains(&Group::Code);
        let texts = match runs.as_slice() {
            [a, b] if code => texts(a, b),
            _ => vec![],
        };
        let blind_outside_scripts = code && runs.iter().all(RunFacts::is_blind_outside_scripts);
        Comparison {
            runs,
            rows,
            unrecorded,
            texts,
            blind_outside_scripts,
        }
    }

    /// How the text behind a fact differs, where both runs kept it.
    pub fn text_of(&self, row: &Row) -> Option<&LineDiff> {
        let mut texts = self.texts.iter();
        texts
            .find(|text| row.group == Group::Code && text.fact == row.name)
            .map(|text| &text.lines)
    }

    /// Whether anything differs that is more than noise.
    pub fn differs(&self) -> bool {
        self.rows.iter().any(|row| row.standing == Standing::Differs)
    }

    /// The rows of a group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.group == group)
    }

    /// The groups that have rows, in order.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        Group::ALL
            .into_iter()
            .filter(|group| self.group(*group).next().is_some())
    }
}

/// The names of a group's facts over all runs: in the order of the first run, those it lacks after what they follow elsewhere.
fn names<'a>(runs: &'a [RunFacts], group: Group) -> Vec<&'a str> {
    let mut all: IndexSet<&'a str> = IndexSet::new();
    for run in runs {
        let mut place = 0;
        for (_, name, _) in run.facts().filter(|(g, ..)| *g == group) {
            match all.get_index_of(name) {
                Some(at) => place = at + 1,
                None => {
                    all.shift_insert(place.min(all.len()), name);
                    place += 1;
                }
            }
        }
    }
    all.into_iter().collect()
}
