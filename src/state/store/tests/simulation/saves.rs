//! Saves of editors between any two operations of a host.

use super::*;

/// How editors save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A new file, renamed over the old one.
    Rename,
    /// Emptied while it is opened, then written.
    Truncate,
    /// Opened, and emptied and written some time after.
    Held,
    /// The same in two writes.
    HeldInParts,
    /// The old file is renamed away and a new one written in its place.
    Backup,
}

pub(super) const STYLES: [Style; 5] = [
    Style::Rename,
    Style::Truncate,
    Style::Held,
    Style::HeldInParts,
    Style::Backup,
];

/// Puts the steps of a save between the operations of whoever works on the disk: the text is loaded at one operation
/// and saved at another, the steps `gap` operations apart.
fn save(disk: &SimDisk, style: Style, load: usize, at: usize, gap: usize) {
    let text: Arc<Mutex<Vec<u8>>> = Arc::default();
    let held: Arc<Mutex<Option<usize>>> = Arc::default();
    {
        let text = Arc::clone(&text);
        disk.at(load, move |disk| {
            let old = disk.content(file()).unwrap_or_default();
            let new = String::from_utf8(old)
                .unwrap()
                .replace("other=pending", "# by hand\nother=skipped");
            assert!(new.contains("by hand"), "{new}");
            *text.lock().unwrap() = new.into_bytes();
        });
    }
    let text = move || text.lock().unwrap().clone();
    let hold = {
        let held = Arc::clone(&held);
        move |disk: &SimDisk| *held.lock().unwrap() = disk.open(file())
    };
    let held = move || held.lock().unwrap().unwrap_or(0);
    match style {
        Style::Rename => disk.at(at, move |disk| {
            disk.put(file(), &text());
        }),
        Style::Truncate => {
            let held = held.clone();
            disk.at(at, move |disk| {
                hold(disk);
                disk.truncate(held());
                let id = held();
                disk.at(at + gap, move |disk| disk.write(id, &text()));
            });
        }
        Style::Held | Style::HeldInParts => disk.at(at, move |disk| {
            hold(disk);
            let id = held();
            disk.at(at + gap, move |disk| disk.truncate(id));
            let parts = if style == Style::Held { 1 } else { 2 };
            for part in 0..parts {
                let text = text.clone();
                disk.at(at + (2 + part) * gap, move |disk| {
                    let text = text();
                    // Between two lines, where a half looks most like a whole.
                    let half = text[..text.len() / 2]
                        .iter()
                        .rposition(|byte| *byte == b'\n')
                        .map_or(0, |end| end + 1);
                    let written = match (parts, part) {
                        (1, _) => &text[..],
                        (_, 0) => &text[..half],
                        _ => &text[half..],
                    };
                    disk.write(id, written);
                });
            }
        }),
        Style::Backup => disk.at(at, move |disk| {
            let backup = Path::new("/run/.experiment_state~");
            let old = disk.content(file()).unwrap_or_default();
            disk.put(backup, &old);
            disk.take_away(file());
            disk.at(at + gap, move |disk| {
                let id = disk.put(file(), b"");
                disk.at(at + 2 * gap, move |disk| {
                    disk.write(id, &text());
                    disk.take_away(backup);
                });
            });
        }),
    }
}

/// Puts a save of each style between any two operations. Returns the number of saves, or the first that was lost.
pub(super) fn save_everywhere(mutant: Option<Mutant>, styles: &[Style], step: usize) -> Result<usize, String> {
    let mut count = 0;
    let length = {
        let disk = resumed();
        let from = disk.operations();
        host(&disk, &mut Done::default()).unwrap();
        disk.operations() - from
    };
    for &style in styles {
        for gap in [1, 4] {
            for at in (0..length + 2).step_by(step) {
                for before in [0, 7] {
                    if before > at {
                        continue;
                    }
                    let disk = resumed();
                    disk.plant(mutant);
                    let from = disk.operations();
                    save(&disk, style, from + at - before, from + at, gap);
                    let mut done = Done::default();
                    let ended = host(&disk, &mut done);
                    disk.run_steps();
                    count += 1;
                    let verdict = match ended {
                        Ok(()) => check_save(&disk, &mut done),
                        Err(error) => Err(format!("the host failed: {error}")),
                    };
                    if let Err(broken) = verdict {
                        return Err(format!(
                            "{style:?} loaded {before} operations before {at}, steps {gap} apart: {broken}"
                        ));
                    }
                }
            }
        }
    }
    Ok(count)
}

fn check_save(disk: &SimDisk, done: &mut Done) -> Result<(), String> {
    done.states.clear();
    check(disk, done, true)?;
    let state = open(disk).map_err(|error| error.to_string())?.state().clone();
    if state.phase("other") != Some(PhaseStatus::Skipped) {
        return Err(format!("the edit is lost: other={:?}", state.phase("other")));
    }
    let text = String::from_utf8(disk.content(file()).unwrap_or_default()).unwrap_or_default();
    let kept = disk
        .file_names()
        .iter()
        .any(|path| path.to_string_lossy().contains("/aside-"));
    if !text.contains("# by hand") && !kept {
        return Err(format!("the remark is lost: {text}"));
    }
    Ok(())
}

#[test]
fn a_save_of_any_style_between_any_two_operations_is_obeyed_and_kept() {
    let count = save_everywhere(None, &STYLES, 2).unwrap();
    assert!(count > 1000, "only {count} saves");
}

#[test]
fn every_fault_that_is_planted_into_the_meeting_with_editors_breaks_a_law() {
    for (mutant, style) in [
        (Mutant::PlainReplace, Style::Rename),
        (Mutant::NoEndLine, Style::HeldInParts),
        (Mutant::NoKept, Style::Held),
    ] {
        must_break(mutant, save_everywhere(Some(mutant), &[style], 1));
    }
}
