//! Completions that come together share one sync of the journal, and nobody is told before it. Seen by strace, which also
//! makes every sync slow, so that they do come together.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use common::{Workplace, skipped};

const PHASES: usize = 24;

/// What the host did with its journal and its terminal, in order.
enum Deed {
    /// Completions of these phases were written to the journal.
    Written(Vec<String>),
    SyncBegun,
    SyncEnded,
    /// Completions of these phases were told.
    Told(Vec<String>),
}

/// Runs a pipeline of phases with this body, so many at a time; nothing when there is no strace.
fn traced(jobs: &str, body: &str) -> Option<Vec<Deed>> {
    let place = Workplace::new();
    place.write(
        "many.rhai",
        &format!("for i in 0..{PHASES} {{ let k = i; phase(`p${{k}}`, || {{ {body} }}); }}\n"),
    );
    if Command::new("strace").arg("-V").output().is_err() {
        skipped("there is no strace");
        return None;
    }
    let jumar = place.command(&["run", "many.rhai", "-j", jobs]);
    let output = place
        .program("strace")
        .args(["-f", "-y", "-qq", "-s", "100000", "-o", "trace"])
        .args([
            "-e",
            "trace=write,fdatasync",
            "-e",
            "inject=fdatasync:delay_enter=30000",
        ])
        .arg(jumar.get_program())
        .args(jumar.get_args())
        .output()
        .expect("strace starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && told.contains("ptrace") {
        skipped(&format!("strace may not trace here: {told}"));
        return None;
    }
    assert!(output.status.success(), "{told}");
    Some(deeds(&place.read("trace")))
}

/// The numbers of phases that stand in a text between two others.
fn phases_between(text: &str, before: &str, after: &str) -> Vec<String> {
    let number = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit())?;
        (end > 0 && part[end..].starts_with(after)).then(|| part[..end].to_owned())
    };
    text.split(before).skip(1).filter_map(number).collect()
}

fn deeds(trace: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    // By thread: whether the call that has not returned is one to the journal.
    let mut unfinished: BTreeMap<&str, bool> = BTreeMap::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let to_journal = call.contains("/.experiment_state.d/j-");
        if call.starts_with("write(") {
            if to_journal {
                deeds.push(Deed::Written(phases_between(call, "[phases]p", "=completed")));
            } else if call.starts_with("write(2<") {
                deeds.push(Deed::Told(phases_between(call, " p", " completed in")));
            }
        } else if call.starts_with("fdatasync(") {
            if to_journal {
                deeds.push(Deed::SyncBegun);
            }
            if call.contains("<unfinished") {
                unfinished.insert(thread, to_journal);
            } else if to_journal {
                deeds.push(Deed::SyncEnded);
            }
        } else if call.starts_with("<... fdatasync resumed") && unfinished.remove(thread) == Some(true) {
            deeds.push(Deed::SyncEnded);
        }
    }
    deeds
}

/// How many syncs covered completions; every completion is told, and after the sync that covers it.
#[track_caller]
fn syncs_of_completions(deeds: Vec<Deed>) -> usize {
    let (mut written, mut covered, mut durable) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut syncs, mut told) = (0, BTreeSet::new());
    for deed in deeds {
        match deed {
            Deed::Written(phases) => written.extend(phases),
            Deed::SyncBegun => {
                syncs += usize::from(!written.is_empty());
                covered.append(&mut written);
            }
            Deed::SyncEnded => durable.append(&mut covered),
            Deed::Told(phases) => {
                for phase in phases {
                    assert!(durable.contains(&phase), "p{phase} was told before it was durable");
                    told.insert(phase);
                }
            }
        }
    }
    assert_eq!(told.len(), PHASES);
    syncs
}

#[test]
fn completions_that_come_together_share_a_sync_and_none_is_told_before_it() {
    let Some(deeds) = traced("8", "sleep(\"400ms\"); k") else {
        return;
    };
    let syncs = syncs_of_completions(deeds);
    assert!(syncs <= PHASES / 2, "{syncs} syncs for {PHASES} completions");
}

#[test]
fn completions_that_come_one_by_one_have_a_sync_each() {
    let Some(deeds) = traced("1", "k") else { return };
    assert_eq!(syncs_of_completions(deeds), PHASES);
}
