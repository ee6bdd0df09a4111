//! Whatever people do to a state one after the other, by `repl`, `mark`, `edit`, `undo` and an editor of their own: it ends
//! as a simple model says, and what nobody touched is untouched to the byte.

mod common;

use std::collections::BTreeMap;

use common::Workplace;
use serde_json::Value;

/// How many sequences are tried, and how many steps each has.
const SEQUENCES: u64 = 24;
const STEPS: usize = 6;

const STATUSES: [&str; 4] = ["pending", "completed", "failed", "skipped"];
const PHASES: [&str; 3] = ["a", "b", "c"];
const NOTES: [&str; 3] = ["k", "n1", "n2"];

/// Files as people and programs leave them: ours, one of the bash runner, and one of another system.
const FILES: [&str; 3] = [
    "# mine\n[metadata]\nversion=3.2.0\nscript=s.rhai\n\n[phases]\n# first\na=completed\n  b = failed\nc=pending\n\n\
     [strange]\nkey with blanks = \"kept\"  \n;also a comment\nempty=\n\n[notes]\nk=v\n# last\n",
    "[metadata]\nversion=3.1.0\nscript=s.rhai\nlast_update=Mon Jan  1 00:00:00 UTC 2024\n[phases]\na=pending\nb=pending\nc=pending\n\
     [notes]\n\n[metrics]\nloss=0.1\n",
    "\u{feff}[metadata]\r\nversion=3.2.0\r\nscript=s.rhai\r\n[phases]\r\na=completed\r\nb=completed\r\nc=completed\r\n\r\n[notes]\r\nk=v\r\n",
];

type State = BTreeMap<String, String>;

/// A generator of numbers that needs nothing but its seed (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }
}

/// One key gets a value, or goes.
#[derive(Clone, Debug)]
struct Set {
    key: &'static str,
    value: Option<String>,
}

#[derive(Debug)]
enum Step {
    /// The file is written anew by another program, with a remark above a phase perhaps.
    Save(Vec<Set>, Option<String>),
    Edit(Vec<Set>, Option<String>),
    Mark(Vec<&'static str>, &'static str),
    /// Lines of a session; without a value of its own a line is `:undo`.
    Repl(Vec<Option<Set>>),
    Undo,
}

fn is_phase(key: &str) -> bool {
    PHASES.contains(&key)
}

fn set(dice: &mut Dice, words: &[&str]) -> Set {
    if dice.roll(2) == 0 {
        return Set {
            key: dice.of(&PHASES),
            value: Some(dice.of(&STATUSES).into()),
        };
    }
    Set {
        key: dice.of(&NOTES),
        value: (dice.roll(2) > 0).then(|| dice.of(words).into()),
    }
}

fn step(dice: &mut Dice, number: usize) -> Step {
    let by_hand = ["word", "two words", "a=b", "# no comment", "größe", "7"];
    let sets = |dice: &mut Dice| (0..=dice.roll(2)).map(|_| set(dice, &by_hand)).collect();
    let remark = |dice: &mut Dice| (dice.roll(2) == 0).then(|| format!("# remark {number}"));
    match dice.roll(8) {
        0 | 1 => Step::Save(sets(dice), remark(dice)),
        2 => Step::Edit(sets(dice), remark(dice)),
        3 => Step::Mark(
            (0..=dice.roll(2)).map(|_| dice.of(&PHASES)).collect(),
            dice.of(&STATUSES),
        ),
        4..=6 => Step::Repl(
            (0..2 + dice.roll(4))
                .map(|_| (dice.roll(3) > 0).then(|| set(dice, &["word", "7", "none"])))
                .collect(),
        ),
        _ => Step::Undo,
    }
}

fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim().trim_start_matches('\u{feff}');
    (is_phase(key) || NOTES.contains(&key)).then_some(key)
}

/// What a person makes of a text.
fn rewritten(text: &str, sets: &[Set], remark: Option<&str>) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
    for set in sets {
        lines.retain(|line| set.value.is_some() || key_of(line) != Some(set.key));
        let Some(value) = &set.value else { continue };
        let new = format!("{}={value}{end}", set.key);
        match lines.iter().position(|line| key_of(line) == Some(set.key)) {
            Some(at) => lines[at] = new,
            None => {
                let notes = lines
                    .iter()
                    .position(|l| l.starts_with("[notes]"))
                    .expect("the section");
                lines.insert(notes + 1, new);
            }
        }
    }
    if let Some(remark) = remark {
        let at = lines
            .iter()
            .position(|line| key_of(line) == Some("b"))
            .expect("the phase");
        lines.insert(at, format!("{remark}{end}"));
    }
    lines.concat()
}

/// The keys that are played with.
fn state_of(text: &str) -> State {
    let pair = |line: &str| {
        let key = key_of(line)?;
        Some((key.to_string(), line.split_once('=')?.1.trim().to_string()))
    };
    text.lines().filter_map(pair).collect()
}

/// Everything else, to the byte, but for what ties the file to its journal.
fn rest_of(text: &str) -> Vec<&str> {
    let is_mark = |line: &str| {
        let line = line.trim();
        line.starts_with("journal=") || line.starts_with("# journal=") || line == "# end of state"
    };
    let lines = text.split_inclusive('\n');
    lines.filter(|line| key_of(line).is_none() && !is_mark(line)).collect()
}

fn apply(state: &mut State, set: &Set) {
    match &set.value {
        Some(value) => state.insert(set.key.into(), value.clone()),
        None => state.remove(set.key),
    };
}

/// What a run has come to.
struct Model {
    /// What the file says.
    state: State,
    /// What the journal knows of it: a save is taken in by whoever opens the run next.
    known: State,
    /// Whether there is a journal: what stood in the file before is no edit.
    is_begun: bool,
    /// All else in the file.
    rest: Vec<String>,
    /// What people did and did not take back: how, and the state before.
    done: Vec<State>,
    /// How each event by hand was made.
    ways: Vec<&'static str>,
}

impl Model {
    fn of(text: &str) -> Model {
        Model {
            state: state_of(text),
            known: state_of(text),
            is_begun: false,
            rest: rest_of(text).into_iter().map(String::from).collect(),
            done: vec![],
            ways: vec![],
        }
    }

    /// Somebody opens the run for writing.
    fn opened(&mut self) {
        if !std::mem::replace(&mut self.is_begun, true) {
            self.known.clone_from(&self.state);
        }
        if self.known != self.state {
            self.done.push(std::mem::replace(&mut self.known, self.state.clone()));
            self.ways.push("outside");
        }
    }

    fn changed(&mut self, way: &'static str, sets: &[Set]) {
        self.opened();
        sets.iter().for_each(|set| apply(&mut self.state, set));
        if self.known != self.state {
            self.done.push(std::mem::replace(&mut self.known, self.state.clone()));
            self.ways.push(way);
        }
    }

    fn undone(&mut self) -> bool {
        self.opened();
        let before = self.done.pop();
        let is_one = before.is_some();
        self.known = before.unwrap_or_else(|| self.known.clone());
        self.state.clone_from(&self.known);
        is_one
    }
}

struct Played {
    place: Workplace,
    model: Model,
}

impl Played {
    fn text(&self) -> String {
        self.place.read("r/.experiment_state")
    }

    fn play(&mut self, step: &Step) {
        let Played { place, model } = self;
        match step {
            Step::Save(sets, remark) => {
                let text = rewritten(&place.read("r/.experiment_state"), sets, remark.as_deref());
                place.write("r/.experiment_state", &text);
                sets.iter().for_each(|set| apply(&mut model.state, set));
                model.rest = rest_of(&text).into_iter().map(String::from).collect();
                // It is looked at by whoever opens the run next.
                return;
            }
            Step::Edit(sets, remark) => {
                let before = place.read("r/.experiment_state");
                let text = rewritten(&before, sets, remark.as_deref());
                place.write("next", &text);
                place.jumar(&["edit", "r"]).code(0);
                if text == before {
                    return;
                }
                model.rest = rest_of(&text).into_iter().map(String::from).collect();
                model.changed("edit", sets);
            }
            Step::Mark(phases, status) => {
                let mut arguments = vec!["mark", "r"];
                arguments.extend(phases);
                arguments.extend(["--as", status]);
                place.jumar(&arguments).code(0);
                let sets: Vec<Set> = phases
                    .iter()
                    .map(|key| Set {
                        key,
                        value: Some((*status).into()),
                    })
                    .collect();
                model.changed("mark", &sets);
            }
            Step::Repl(lines) => {
                let mut staged: Vec<Set> = vec![];
                let mut input = String::new();
                for line in lines {
                    match line {
                        Some(set) => {
                            input += &typed(set);
                            staged.push(set.clone());
                        }
                        None => {
                            input += ":undo\n";
                            staged.pop();
                        }
                    }
                }
                input += ":commit\n";
                place.piped(&["repl", "r"], &input).code(0);
                let mut after = model.state.clone();
                staged.iter().for_each(|set| apply(&mut after, set));
                if after == model.state {
                    return;
                }
                model.changed("repl", &staged);
            }
            Step::Undo => {
                let is_one = model.undone();
                place.jumar(&["undo", "r"]).code(if is_one { 0 } else { 4 });
            }
        }
        let text = self.text();
        assert_eq!(state_of(&text), self.model.state, "\n{text}");
        assert_eq!(rest_of(&text), self.model.rest, "\n{text}");
    }
}

/// An assignment as it is typed into a session.
fn typed(set: &Set) -> String {
    let section = if is_phase(set.key) { "phases" } else { "notes" };
    match set.value.as_deref() {
        Some("7") => format!("state.{section}.{} = 7\n", set.key),
        Some(value) => format!("state.{section}.{} = \"{value}\"\n", set.key),
        None => format!("state.{section}.remove(\"{}\")\n", set.key),
    }
}

fn play(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let text = FILES[dice.roll(FILES.len())];
    let place = Workplace::new();
    let home = place.path().display().to_string();
    let next = place.path().join("next").display().to_string();
    let place = place.env("HOME", &home).env("EDITOR", &format!("cp {next}"));
    place.write("s.rhai", "phase(\"a\", || ());");
    place.write("r/.experiment_state", text);
    let mut played = Played {
        model: Model::of(text),
        place,
    };
    let steps: Vec<Step> = (0..STEPS).map(|number| step(&mut dice, number)).collect();
    for (number, step) in steps.iter().enumerate() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| played.play(step)));
        assert!(
            outcome.is_ok(),
            "seed {seed}: step {number} of {steps:#?}\nfrom {text}\n(JUMAR_TEST_SEED={seed} tries only this one)"
        );
    }
    let told = played.place.jumar(&["history", "r", "--json"]);
    let events: Vec<Value> = serde_json::from_str(&told.stdout).unwrap_or_default();
    let ways: Vec<&str> = events.iter().filter_map(|e| e["by_hand"].as_str()).collect();
    let steps = format!("seed {seed}: {steps:#?}");
    assert_eq!(
        told.code == 0,
        played.model.is_begun,
        "{steps}
{}",
        told.stderr
    );
    assert_eq!(ways, played.model.ways, "{steps}");
}

#[test]
fn any_sequence_of_edits_commits_and_undos_ends_as_a_simple_model_says() {
    if let Some(seed) = std::env::var("JUMAR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed);
    }
    let half = |first: u64| (first..SEQUENCES).step_by(2).for_each(play);
    std::thread::scope(|scope| {
        scope.spawn(|| half(0));
        half(1);
    });
}
