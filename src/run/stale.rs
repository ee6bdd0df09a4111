//! Fingerprints of phases: what each was made from is written down when it completes, and compared when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::UNIX_EPOCH;

use jiff::Timestamp;

use super::checkpoint::collect;
use super::records::{self, Fingerprints};
use super::{Session, attempt_record, attempts};
use crate::plan::{Cause, Files, Fingerprint, Made, Mark, Phase, Plan};
use crate::state::{Event, PhaseStatus, State};

/// Files up to this size are hashed whole; of larger ones the head and the tail, this much each, and their time counts.
const HASHED_WHOLE: u64 = 64 << 20;
/// How much of each end of a larger file is hashed.
const END: u64 = 1 << 20;
/// So many phases and more are worth a thread of their own.
const LEAST_SHARE: usize = 500;
/// More files than this are not listed one by one.
const MOST_LISTED: usize = 256;

/// A completed phase whose making has changed since.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The phase.
    pub phase: String,
    /// Why; never empty.
    pub causes: Vec<Cause>,
}

/// The completed phases of the session's plan that are stale, in the plan's order.
pub fn stale_phases(session: &Session) -> Vec<Stale> {
    let phases = session.plan().shared_phases();
    // Files are looked at without the ledger: that takes time, in which others want the state.
    let state = session.ledger.read(State::clone);
    let stale_among = |phases: &[Arc<Phase>]| -> Vec<Stale> {
        let statuses = state.statuses(phases.iter().map(|phase| phase.name.as_str()));
        let completed = phases
            .iter()
            .zip(statuses)
            .filter(|(_, status)| *status == Some(PhaseStatus::Completed));
        let mut recorded = Fingerprints::of(&state);
        let stale = completed.filter_map(|(phase, _)| {
            if is_plainly_fresh(session, &mut recorded, phase) {
                return None;
            }
            let causes = Known::of(&state, phase).causes(session, phase);
            let phase = phase.name.clone();
            (!causes.is_empty()).then_some(Stale { phase, causes })
        });
        stale.collect()
    };
    let share = phases.len().div_ceil(processors()).max(LEAST_SHARE);
    if phases.len() <= share {
        return stale_among(&phases);
    }
    thread::scope(|scope| {
        let shares = phases
            .chunks(share)
            .map(|phases| (phases, Builder::new().spawn_scoped(scope, move || stale_among(phases))));
        let shares: Vec<_> = shares.collect();
        let of = |(phases, helper): (_, std::io::Result<ScopedJoinHandle<'_, Vec<Stale>>>)| match helper {
            Ok(helper) => helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system gives no thread.
            Err(_) => stale_among(phases),
        };
        shares.into_iter().flat_map(of).collect()
    })
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// An event that says a phase is completed as things stand now: what it was made from is taken anew.
pub fn accepted(session: &Session, event: Event, phase: &str) -> Event {
    let Some(phase) = session.plan().get(phase).cloned() else {
        return event;
    };
    let earlier = session.ledger.read(|state| records::fingerprint(state, &phase.name));
    let read = earlier
        .as_ref()
        .map(|e| e.params.keys().cloned().collect())
        .unwrap_or_default();
    let print = take(session, &phase, &read, earlier.as_ref());
    records::with_fingerprint(event, &phase.name, &print)
}

/// What a phase is made from now. `read` are the parameters that its body asked for; marks of files that look the same as
/// in `earlier` are taken from there instead of reading the files.
pub(super) fn take(
    session: &Session,
    phase: &Phase,
    read: &BTreeSet<String>,
    earlier: Option<&Fingerprint>,
) -> Fingerprint {
    let names = read.iter().chain(&phase.body.parameters);
    let params = names
        .filter_map(|name| Some((name.clone(), session.parameters().get(name)?.value.clone())))
        .collect();
    let base = phase.options.cwd.clone().unwrap_or_default();
    Fingerprint {
        at: attempt_record::now(),
        text: phase.body.code.text.clone(),
        functions: phase.body.code.functions.clone(),
        params,
        captured: phase.body.captured.iter().cloned().collect(),
        inputs: look(&base, &phase.options.inputs, earlier.map(|e| &e.inputs)),
        outputs: look(&base, &phase.options.outputs, earlier.map(|e| &e.outputs)),
    }
}

/// Whether it waits for nothing and looks at no file, and what it is made from is what is recorded.
fn is_plainly_fresh(session: &Session, recorded: &mut Fingerprints<'_>, phase: &Phase) -> bool {
    let lists = [
        &phase.options.after,
        &phase.options.after_any,
        &phase.options.inputs,
        &phase.options.outputs,
    ];
    if lists.iter().any(|list| !list.is_empty()) {
        return false;
    }
    let names = phase.body.parameters.iter().map(String::as_str);
    let params = names.filter_map(|name| Some((name, session.parameters().get(name)?.value.clone())));
    let made = Made::of(&phase.body, params.collect());
    recorded
        .text(&phase.name)
        .is_some_and(|recorded| made.is_recorded(recorded))
}

/// What the state says of a completed phase's making.
struct Known {
    newer: Vec<Cause>,
    recorded: Option<Fingerprint>,
}

impl Known {
    fn of(state: &State, phase: &Phase) -> Known {
        let recorded = records::fingerprint(state, &phase.name);
        let newer = newer(state, phase, recorded.as_ref().map(|r| r.at));
        Known { newer, recorded }
    }

    fn causes(self, session: &Session, phase: &Phase) -> Vec<Cause> {
        let mut causes = self.newer;
        if let Some(recorded) = self.recorded {
            let read = recorded.params.keys().cloned().collect();
            let mut now = take(session, phase, &read, Some(&recorded));
            // A parameter that was not asked for then is no change of it now.
            now.params.retain(|name, _| recorded.params.contains_key(name));
            causes.splice(0..0, recorded.causes(&now));
        }
        causes
    }
}

/// The phases it waits for that completed after it, and after it was last accepted.
fn newer(state: &State, phase: &Phase, accepted: Option<Timestamp>) -> Vec<Cause> {
    if phase.options.after.is_empty() && phase.options.after_any.is_empty() {
        return vec![];
    }
    let ended = |name: &str| attempts(state, name).last().and_then(|a| a.ended);
    let Some(own) = ended(&phase.name).max(accepted) else {
        return vec![];
    };
    let waits_for = phase.options.waits_for();
    waits_for
        .filter(|name| state.phase(name) == Some(PhaseStatus::Completed) && ended(name) > Some(own))
        .map(|name| Cause::Newer(name.clone()))
        .collect()
}

/// The phases among `stale` that are to run again without being asked for by name: all, or those that say so themselves.
pub(super) fn to_run_again(plan: &Plan, stale: &[Stale], all: bool) -> BTreeSet<usize> {
    let position = |s: &Stale| plan.position(&s.phase);
    let positions = stale.iter().filter_map(position);
    positions
        .filter(|p| all || plan.phases()[*p].options.rerun_when_stale)
        .collect()
}

fn look(base: &Path, patterns: &[String], earlier: Option<&Files>) -> Files {
    let known = match earlier {
        Some(Files::Listed(known)) => Some(known),
        _ => None,
    };
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        let full = base.join(pattern);
        for path in glob::glob(&full.to_string_lossy()).into_iter().flatten().flatten() {
            let mut files = vec![];
            if path.is_dir() {
                // What cannot be read is as good as not there: it is seen again when it can.
                let _ = collect(&path, &mut files);
            } else {
                files.push(path);
            }
            paths.extend(files);
        }
    }
    let name = |path: &PathBuf| path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned();
    let marks = paths
        .iter()
        .filter_map(|path| Some((name(path), mark(path, known.and_then(|k| k.get(&name(path)))).ok()?)));
    let marks: BTreeMap<String, Mark> = marks.collect();
    if marks.len() <= MOST_LISTED {
        return Files::Listed(marks);
    }
    let mut hasher = blake3::Hasher::new();
    for (name, Mark(size, _, hash)) in &marks {
        hasher.update(format!("{name}\0{size}\0{hash}\n").as_bytes());
    }
    Files::Many {
        count: marks.len(),
        hash: short(&hasher),
    }
}

fn mark(path: &Path, earlier: Option<&Mark>) -> io::Result<Mark> {
    let metadata = fs::metadata(path)?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (size, changed) = (metadata.len(), i64::try_from(changed.as_nanos()).unwrap_or(i64::MAX));
    if let Some(known) = earlier.filter(|m| (m.0, m.1) == (size, changed)) {
        return Ok(known.clone());
    }
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    if size <= HASHED_WHOLE {
        io::copy(&mut file, &mut hasher)?;
    } else {
        io::copy(&mut Read::by_ref(&mut file).take(END), &mut hasher)?;
        file.seek(SeekFrom::End(-(END as i64)))?;
        io::copy(&mut file, &mut hasher)?;
        hasher.update(&changed.to_le_bytes());
    }
    Ok(Mark(size, changed, short(&hasher)))
}

fn short(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..16].to_string()
}

#[cfg(test)]
mod tests {
    use assert_fs::TempDir;
    use assert_fs::prelude::*;

    use super::*;

    fn listed(files: Files) -> Vec<String> {
        match files {
            Files::Listed(marks) => marks.into_keys().collect(),
            Files::Many { count, .. } => vec![format!("{count} files")],
        }
    }

    #[test]
    fn patterns_are_taken_from_the_phases_directory_and_a_directory_stands_for_its_files() {
        let home = TempDir::new().expect("a temporary directory");
        for name in ["data/a.csv", "data/b.csv", "data/c.txt", "more/x/y"] {
            home.child(name).write_str(name).expect("written");
        }
        let patterns = ["data/*.csv".to_string(), "more".into(), "none*".into()];
        assert_eq!(
            listed(look(home.path(), &patterns, None)),
            ["data/a.csv", "data/b.csv", "more/x/y"]
        );
    }

    #[test]
    fn a_file_that_was_only_touched_has_the_same_hash_and_one_that_was_changed_another() {
        let home = TempDir::new().expect("a temporary directory");
        let file = home.child("a");
        file.write_str("one").expect("written");
        let before = mark(file.path(), None).expect("a mark");
        let later = Timestamp::now().as_second() + 100;
        let opened = File::open(file.path()).expect("it opens");
        opened
            .set_modified(UNIX_EPOCH + std::time::Duration::from_secs(later as u64))
            .expect("touched");
        let touched = mark(file.path(), Some(&before)).expect("a mark");
        assert!(touched.1 != before.1 && touched.2 == before.2);
        file.write_str("two").expect("written");
        assert_ne!(mark(file.path(), Some(&before)).expect("a mark").2, before.2);
    }

    #[test]
    fn very_many_files_are_one_hash_that_changes_with_each_of_them() {
        let home = TempDir::new().expect("a temporary directory");
        for number in 0..MOST_LISTED + 1 {
            home.child(format!("f{number}")).write_str("x").expect("written");
        }
        let before = look(home.path(), &["f*".into()], None);
        assert_eq!(listed(before.clone()), ["257 files"]);
        home.child("f7").write_str("y").expect("written");
        assert_ne!(look(home.path(), &["f*".into()], None), before);
    }
}
