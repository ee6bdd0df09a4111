//! What happened to a run: the transitions that its journal holds, the superseded segments included.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use jiff::Timestamp;

use super::by_hand::announced;
use super::disk::{Disk, RealDisk, failure};
use super::error::StateError;
use super::event::{ByHand, Event};
use super::look::places;
use super::model::State;
use super::owner;
use super::record::Record;
use super::recovery::{HISTORY, is_segment};
use super::segment::Segment;
use super::store::Store;

/// How the verb of an event that takes another one back begins; the number of that one follows.
const UNDO: &str = "undid ";
/// How the journal's verb begins for a text that somebody saved into the state file …
const SAVED: &str = "edited by ";
/// … and how it is told: no command of this program did it.
const OUTSIDE: &str = "edited outside by ";

/// One recorded event of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Its number, from 1; `RUN@N` is the state after it.
    pub number: u64,
    /// When it was recorded, by the clock of that host.
    pub at: Timestamp,
    /// What happened, in a word or two.
    pub verb: String,
    /// What it changed.
    pub changes: Vec<KeyChange>,
}

/// A key that an event changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The section; empty for the keys before any header.
    pub section: String,
    /// The key.
    pub key: String,
    /// Its value before, if it was there.
    pub before: Option<String>,
    /// Its value after, if it is there.
    pub after: Option<String>,
}

impl Happened {
    /// In which way a person caused it; `None` when the program did.
    pub fn by_hand(&self) -> Option<ByHand> {
        ByHand::ALL.into_iter().find(|way| self.verb.starts_with(way.verb()))
    }

    /// The event that this one took back.
    fn undone(&self) -> Option<u64> {
        self.verb.strip_prefix(UNDO)?.split(' ').next()?.parse().ok()
    }
}

/// A moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the event of this number.
    After(u64),
    /// So many events ago.
    Ago(u64),
}

/// The events of a run, oldest first. Nothing is locked or written.
///
/// # Errors
/// [`StateError::NoJournal`] when nothing is recorded, [`StateError::NotFound`] when there is no state file either, [`StateError::Io`].
pub fn history(state_file: &Path) -> Result<Vec<Happened>, StateError> {
    let mut recorded = Recorded::read(state_file)?;
    say_who(recorded.records.values_mut(), announced(&places(state_file).1));
    let (mut state, mut known) = (State::default(), None);
    let records = std::mem::take(&mut recorded.records);
    let happened = records.into_values().map(|record| {
        // Between two segments something may be missing that was damaged.
        if let Some((at, begun)) = recorded
            .state_before(record.seq.saturating_sub(1))
            .filter(|(at, _)| known != Some(*at))
        {
            (state, known) = (begun.clone(), Some(at));
        }
        let changes = record.changes().map(|change| {
            let before = state.get(&change.section, &change.key).map(str::to_owned);
            state.apply(change);
            KeyChange {
                section: change.section.clone(),
                key: change.key.clone(),
                before,
                after: change.value.clone(),
            }
        });
        Happened {
            number: record.seq,
            changes: changes.collect(),
            at: i64::try_from(record.at_ms)
                .ok()
                .and_then(|at| Timestamp::from_millisecond(at).ok())
                .unwrap_or_default(),
            verb: record.verb,
        }
    });
    Ok(happened.collect())
}

/// The state of a run at a moment. Nothing is locked or written.
///
/// # Errors
/// [`StateError::NoSuchMoment`], and those of [`history`].
pub fn read_moment(state_file: &Path, moment: Moment) -> Result<State, StateError> {
    let recorded = Recorded::read(state_file)?;
    let first = recorded.first();
    let last = recorded.records.keys().next_back().copied().unwrap_or(first).max(first);
    let wanted = match moment {
        Moment::After(number) => Some(number),
        Moment::Ago(count) => last.checked_sub(count),
    };
    let Some((wanted, (at, state))) = wanted
        .filter(|wanted| *wanted <= last)
        .and_then(|wanted| Some((wanted, recorded.state_before(wanted)?)))
    else {
        return Err(StateError::NoSuchMoment {
            path: state_file.to_owned(),
            first,
            last,
        });
    };
    let mut state = state.clone();
    for (_, record) in recorded.records.range((Bound::Excluded(at), Bound::Included(wanted))) {
        record.changes().for_each(|change| state.apply(change));
    }
    Ok(state)
}

/// Takes an event back: the one of this number, or the last that a person caused and that was not taken back. Returns
/// it. The undoing is an event itself.
///
/// # Errors
/// [`StateError::CannotUndo`] when there is no such event, or when a later one changed the same keys; and those of
/// [`Store::commit`].
pub fn undo(store: &mut Store, number: Option<u64>) -> Result<Happened, StateError> {
    let path = store.path().to_owned();
    let refuse = |why: String| StateError::CannotUndo {
        path: path.clone(),
        why,
    };
    let all = history(&path)?;
    let undone: Vec<u64> = all.iter().filter_map(Happened::undone).collect();
    let found = match number {
        Some(number) => all.iter().find(|happened| happened.number == number),
        None => all
            .iter()
            .rfind(|happened| happened.by_hand().is_some() && !undone.contains(&happened.number)),
    };
    let Some(happened) = found else {
        return Err(refuse(match number {
            Some(number) => format!("there is no event {number}"),
            None => "no change by hand stands".to_owned(),
        }));
    };
    let mut event = Event::new(format!("{UNDO}{} by {}", happened.number, owner::user()));
    for change in &happened.changes {
        let now = store.state().get(&change.section, &change.key);
        if now != change.after.as_deref() {
            let key = &change.key;
            return Err(refuse(format!("{key} has changed since event {}", happened.number)));
        }
        event = match &change.before {
            Some(before) => event.set(&change.section, &change.key, before),
            None => event.remove(&change.section, &change.key),
        };
    }
    let happened = happened.clone();
    store.commit(event)?;
    Ok(happened)
}

/// Tells of each text that was saved into the file which command did it, by what the commands announced; the others were
/// edited outside. A run may take several edits in at once, and then the event is all of these.
fn say_who<'a>(records: impl Iterator<Item = &'a mut Record>, mut announced: Vec<Record>) {
    for record in records {
        let Some(who) = record.verb.strip_prefix(SAVED).map(str::to_owned) else {
            continue;
        };
        let is_part =
            |said: &Record| said.at_ms <= record.at_ms && said.changes().any(|c| record.changes().any(|r| r == c));
        let mut told: Vec<String> = vec![];
        let mut all_said = false;
        if let Some(last) = announced.iter().rposition(is_part) {
            let said: Vec<Record> = announced.drain(..=last).filter(is_part).collect();
            for one in &said {
                if !told.contains(&one.verb) {
                    told.push(one.verb.clone());
                }
            }
            all_said = record
                .changes()
                .all(|r| said.iter().any(|one| one.changes().any(|c| c == r)));
        }
        if !all_said {
            told.push(format!("{OUTSIDE}{who}"));
        }
        record.verb = told.join(", ");
    }
}

/// What a run's journal and its history hold.
struct Recorded {
    /// The states that segments begin with, by the last event that each includes; there is one at least.
    states: BTreeMap<u64, State>,
    /// All records by number, those behind a damaged place included. Where two segments have the same number, as after a write
    /// that failed and was repeated, the later segment counts.
    records: BTreeMap<u64, Record>,
}

impl Recorded {
    fn read(state_file: &Path) -> Result<Recorded, StateError> {
        let (_, directory) = places(state_file);
        let mut segments = Vec::new();
        for place in [directory.join(HISTORY), directory.clone()] {
            let Ok(names) = RealDisk.list(&place) else { continue };
            for name in names.into_iter().filter(|name| is_segment(name)) {
                let path = place.join(&name);
                let bytes = RealDisk.read(&path, u64::MAX).map_err(failure("read", &path, true))?;
                if let Ok(segment) = Segment::parse(bytes) {
                    segments.push((segment.at, name, segment));
                }
            }
        }
        segments.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let (mut states, mut records) = (BTreeMap::new(), BTreeMap::new());
        for (at, _, mut segment) in segments {
            let own = std::mem::take(&mut segment.records);
            let behind = std::mem::take(&mut segment.behind_damage);
            records.extend(own.into_iter().chain(behind).map(|record| (record.seq, record)));
            if segment.lives
                && let Some(state) = segment.state_at(at)
            {
                states.insert(at, state);
            }
        }
        match states.is_empty() {
            false => Ok(Recorded { states, records }),
            true if super::look::exists(state_file) => Err(StateError::NoJournal {
                path: state_file.to_owned(),
            }),
            true => Err(StateError::NotFound {
                path: state_file.to_owned(),
            }),
        }
    }

    /// The events of which the state before them is known.
    fn first(&self) -> u64 {
        self.states.keys().next().copied().unwrap_or_default()
    }

    /// The last state that a segment begins with, up to an event, and the event that it is after.
    fn state_before(&self, number: u64) -> Option<(u64, &State)> {
        self.states.range(..=number).next_back().map(|(at, state)| (*at, state))
    }
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;

    use super::super::record::Item;
    use super::super::tests::three_completions;
    use super::*;
    use crate::state::PhaseStatus;

    fn phase(name: &str, word: &str) -> Event {
        Event::new("phase").set("phases", name, word)
    }

    #[test]
    fn what_stands_behind_a_damaged_place_is_history_and_the_states_after_it_are_right() {
        let home = TempDir::new().unwrap();
        let (file, path) = three_completions(&home);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("[phases]a=completed", "[phases]a=compl\0ted")).unwrap();
        let numbers = || -> Vec<u64> { history(&file).unwrap().iter().map(|event| event.number).collect() };
        assert_eq!(numbers(), [1, 3, 4]);
        // Opening it begins a new segment, from the state file: nothing of it is lost there.
        let mut store = Store::open(&file).unwrap();
        store.commit(Event::new("set").set("phases", "d", "pending")).unwrap();
        drop(store);
        let numbers = numbers();
        assert_eq!(numbers[..3], [1, 3, 4]);
        let last = *numbers.last().unwrap();
        let state = read_moment(&file, Moment::After(last)).unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(state.get("phases", name), Some("completed"), "{name}");
        }
    }

    /// A run of two hosts with an edit by hand between them.
    fn run() -> (TempDir, std::path::PathBuf) {
        let home = TempDir::new().unwrap();
        let file = home.path().join(".experiment_state");
        let first = Event::new("created")
            .set("metadata", "version", "3.2.0")
            .set("phases", "a", "pending");
        let mut store = Store::create(&file, "", first).unwrap();
        store.commit(phase("a", "completed")).unwrap();
        drop(store);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("a=completed", "a=pending")).unwrap();
        let mut store = Store::open(&file).unwrap();
        store.commit(phase("b", "completed")).unwrap();
        drop(store);
        (home, file)
    }

    #[test]
    fn history_goes_over_all_hosts_and_tells_edits_with_what_was_before() {
        let (_home, file) = run();
        let all = history(&file).unwrap();
        let verbs: Vec<_> = all
            .iter()
            .map(|happened| (happened.number, happened.verb.clone()))
            .collect();
        assert_eq!(verbs[0], (1, "created".to_owned()));
        assert_eq!(verbs[1], (2, "phase".to_owned()));
        assert!(
            verbs[2].0 == 3 && verbs[2].1.starts_with("edited outside by "),
            "{verbs:?}"
        );
        assert_eq!(verbs[3], (4, "phase".to_owned()));
        assert!(all[2].by_hand() == Some(ByHand::Outside) && all[3].by_hand().is_none());
        assert_eq!(all[2].changes[0].before.as_deref(), Some("completed"));
        assert_eq!(all[2].changes[0].after.as_deref(), Some("pending"));
    }

    #[test]
    fn a_save_is_told_by_what_commands_announced_before_it_and_the_rest_of_it_was_made_outside() {
        let record = |at_ms: u64, verb: &str, phases: &[&str]| Record {
            seq: 1,
            at_ms,
            verb: verb.to_owned(),
            items: phases
                .iter()
                .map(|name| Item::Change(phase(name, "failed").changes.remove(0)))
                .collect(),
        };
        let announced = || {
            vec![
                record(10, "marked by ann", &["superseded"]),
                record(11, "marked by ann", &["a"]),
                record(12, "edited with edit by eve", &["b"]),
                record(90, "marked by ann", &["c"]),
            ]
        };
        for (event, verb) in [
            (record(20, "edited by bob", &["a"]), "marked by ann"),
            (
                record(20, "edited by bob", &["a", "b"]),
                "marked by ann, edited with edit by eve",
            ),
            (
                record(20, "edited by bob", &["b", "c"]),
                "edited with edit by eve, edited outside by bob",
            ),
            (record(20, "edited by bob", &["c"]), "edited outside by bob"),
            (record(20, "completed", &["a"]), "completed"),
        ] {
            let mut records = [event];
            say_who(records.iter_mut(), announced());
            assert_eq!(records[0].verb, verb);
        }
        let mut twice = [
            record(20, "edited by bob", &["b"]),
            record(30, "edited by bob", &["superseded"]),
        ];
        say_who(twice.iter_mut(), announced());
        assert_eq!(twice[1].verb, "edited outside by bob");
    }

    #[test]
    fn a_moment_is_the_state_as_it_was_then() {
        let (_home, file) = run();
        let at = |moment| read_moment(&file, moment).map(|state| state.phase("a"));
        assert_eq!(at(Moment::After(0)).unwrap(), None);
        assert_eq!(at(Moment::After(1)).unwrap(), Some(PhaseStatus::Pending));
        assert_eq!(at(Moment::After(2)).unwrap(), Some(PhaseStatus::Completed));
        assert_eq!(at(Moment::Ago(2)).unwrap(), Some(PhaseStatus::Completed));
        assert_eq!(at(Moment::Ago(0)).unwrap(), Some(PhaseStatus::Pending));
        for moment in [Moment::After(5), Moment::Ago(5)] {
            assert!(matches!(
                at(moment),
                Err(StateError::NoSuchMoment { first: 0, last: 4, .. })
            ));
        }
    }

    #[test]
    fn the_last_edit_is_taken_back_and_then_there_is_none() {
        let (_home, file) = run();
        let mut store = Store::open(&file).unwrap();
        assert_eq!(undo(&mut store, None).unwrap().number, 3);
        assert_eq!(store.state().phase("a"), Some(PhaseStatus::Completed));
        let error = undo(&mut store, None).unwrap_err();
        assert!(error.to_string().contains("no change by hand stands"), "{error}");
        let last = history(&file).unwrap().pop().unwrap();
        assert!(last.verb.starts_with("undid 3 by "), "{}", last.verb);
    }

    #[test]
    fn what_has_changed_since_is_not_taken_back() {
        let (_home, file) = run();
        let mut store = Store::open(&file).unwrap();
        store.commit(phase("a", "failed")).unwrap();
        let error = undo(&mut store, None).unwrap_err();
        assert!(error.to_string().contains("a has changed since event 3"), "{error}");
        assert_eq!(store.state().phase("a"), Some(PhaseStatus::Failed));
        assert!(
            undo(&mut store, Some(99))
                .unwrap_err()
                .to_string()
                .contains("no event 99")
        );
        assert_eq!(undo(&mut store, Some(5)).unwrap().number, 5);
        assert_eq!(store.state().phase("a"), Some(PhaseStatus::Pending));
    }
}
