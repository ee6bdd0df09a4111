//! `jumar logs`: the log of a phase, of one attempt, and as it grows.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::args::LogsArguments;
use super::error::CliError;
use super::exit_code;
use super::moment::{is_a_run, locate_moment, locate_whole};
use crate::run::{AttemptRecord, RunPath, attempts, locate};
use crate::state::{PhaseStatus, State, holder, read, value};
use crate::ui::Printer;

/// How often a log that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// The last lines of what a phase's attempt wrote, and how many lines there are before them.
pub(super) fn last_lines(
    run: &RunPath,
    state: &State,
    phase: &str,
    attempt: Option<usize>,
    most: usize,
) -> Result<(Vec<String>, bool), CliError> {
    let mut lines = Vec::new();
    let mut more = false;
    for part in parts(run, state, phase, attempt)? {
        let cannot = |e: std::io::Error| CliError::disk(format!("cannot read the log {}: {e}", part.file.display()));
        let mut file = File::open(&part.file).map_err(cannot)?;
        let end = part.to.unwrap_or(file.metadata().map_err(cannot)?.len());
        let from = part.from.max(end.saturating_sub(GLIMPSE));
        file.seek(SeekFrom::Start(from)).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.take(end.saturating_sub(from))
            .read_to_end(&mut bytes)
            .map_err(cannot)?;
        more |= from > part.from;
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(String::from));
    }
    let over = lines.len().saturating_sub(most);
    lines.drain(..over);
    Ok((lines, more || over > 0))
}

/// How much of a log's end is read to show its last lines.
const GLIMPSE: u64 = 64 * 1024;

/// A part of a log file.
struct Part {
    file: PathBuf,
    from: u64,
    to: Option<u64>,
}

/// Prints logs on standard output, byte for byte.
pub(super) fn logs(arguments: &LogsArguments, printer: &Printer) -> Result<u8, CliError> {
    let (run, phase) = which(arguments)?;
    let state = read(&run.state_file)?;
    let phase = match phase.or_else(|| last_phase(&state)) {
        Some(phase) => phase,
        None => return Err(CliError::usage("no phase of this run has been started yet")),
    };
    let phase = phase_called(&state, &phase).map_err(|near| {
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        CliError::usage(format!("this run has no phase `{phase}`{near}")).hint(phases_of(&state))
    })?;
    let parts = parts(&run, &state, &phase, arguments.attempt)?;
    if arguments.files {
        let files: BTreeSet<String> = parts.iter().map(|p| p.file.display().to_string()).collect();
        files.iter().for_each(|f| printer.result(f));
        return Ok(exit_code::DONE);
    }
    if parts.is_empty() && !arguments.follow {
        printer.info(&format!("{phase} ran no command in this attempt, and wrote no log"));
    }
    let several = parts.len() > 1;
    let mut ends = Vec::new();
    for part in &parts {
        if several {
            printer.raw_stdout(&format!("==> {} <==\n", part.file.display()));
        }
        ends.push(print(part, printer)?);
        if printer.stdout_broken() {
            return Ok(exit_code::DONE);
        }
    }
    if arguments.follow {
        follow(&run, &phase, parts, ends, printer)?;
    }
    Ok(exit_code::DONE)
}

/// `logs PHASE` means the newest run when no run is called that; one that only begins so is not meant.
fn which(arguments: &LogsArguments) -> Result<(RunPath, Option<String>), CliError> {
    if let Ok((_, Some(_))) = locate_moment(arguments.run.as_deref()) {
        locate_whole(arguments.run.as_deref(), "logs are shown as they are now")?;
    }
    match (&arguments.run, &arguments.phase) {
        (Some(word), None) => match locate(Some(word)) {
            Ok(run) if is_a_run(word) => Ok((run, None)),
            Ok(run) => {
                let newest = locate(None)?;
                let has_it = read(&newest.state_file)?.phase(word).is_some();
                Ok(if has_it {
                    (newest, Some(word.clone()))
                } else {
                    (run, None)
                })
            }
            Err(error) => {
                let Ok(newest) = locate(None) else {
                    return Err(error.into());
                };
                let state = read(&newest.state_file)?;
                match phase_called(&state, word) {
                    Ok(phase) => Ok((newest, Some(phase))),
                    Err(Some(near)) => Err(CliError::usage(format!(
                        "no run and no phase of the newest run is called `{word}`; did you mean the phase `{near}`?"
                    ))),
                    Err(None) => Err(CliError::from(error).hint(phases_of(&state))),
                }
            }
        },
        (run, phase) => Ok((locate(run.as_deref())?, phase.clone())),
    }
}

/// The phase of that name or number, or the one that was meant.
fn phase_called(state: &State, word: &str) -> Result<String, Option<String>> {
    let names = || state.phases().map(|(name, _)| name);
    let number = |name: &str| attempts(state, name).last().and_then(|attempt| attempt.phase_number);
    if let Some(name) = names().find(|name| *name == word) {
        return Ok(name.into());
    }
    if let Ok(asked) = word.parse()
        && let Some(name) = names().find(|name| number(name) == Some(asked))
    {
        return Ok(name.into());
    }
    let begins: Vec<&str> = names().filter(|name| name.starts_with(word)).collect();
    match begins[..] {
        [name] => Err(Some(name.into())),
        _ => Err(crate::plan::nearest(word, names())),
    }
}

fn phases_of(state: &State) -> String {
    let known = state.phases().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    format!("its phases are {known}")
}

/// The phase that was started last.
fn last_phase(state: &State) -> Option<String> {
    let started = |name: &str| attempts(state, name).last().map(|a| a.started);
    let recorded = state
        .phases()
        .filter_map(|(name, _)| Some((started(name)?, name)))
        .max();
    let running = || {
        state
            .phases()
            .find(|(_, s)| matches!(s, PhaseStatus::InProgress | PhaseStatus::Failed))
    };
    recorded
        .map(|(_, name)| name.to_string())
        .or_else(|| running().map(|(name, _)| name.to_string()))
}

fn parts(run: &RunPath, state: &State, phase: &str, attempt: Option<usize>) -> Result<Vec<Part>, CliError> {
    let known = attempts(state, phase);
    if known.is_empty() {
        return Ok(found_by_name(&run.directory, phase));
    }
    let number = attempt.unwrap_or(known.len());
    let record = number.checked_sub(1).and_then(|i| known.get(i));
    let record =
        record.ok_or_else(|| CliError::usage(format!("{phase} has {} attempts, not {number}", known.len())))?;
    let base = working_directory(state);
    // An attempt's part of a log ends where a later attempt's begins.
    let end = |file: &str| {
        known[number..]
            .iter()
            .flat_map(|later: &AttemptRecord| &later.logs)
            .find(|(f, _)| f == file)
            .map(|(_, from)| *from)
    };
    Ok(record
        .logs
        .iter()
        .map(|(file, from)| Part {
            file: resolve(&base, run, file),
            from: *from,
            to: end(file),
        })
        .collect())
}

fn working_directory(state: &State) -> PathBuf {
    state
        .get("metadata", "working_directory")
        .map(value::decode)
        .and_then(|v| v.as_str().map(PathBuf::from))
        .unwrap_or_default()
}

/// A log as it was recorded, or, when the run has been moved, the file of that name in its `logs/`.
fn resolve(base: &Path, run: &RunPath, file: &str) -> PathBuf {
    let recorded = base.join(file);
    if recorded.exists() {
        return recorded;
    }
    run.directory
        .join("logs")
        .join(Path::new(file).file_name().unwrap_or_default())
}

/// A run of the bash runner has logs and no record of them.
fn found_by_name(directory: &Path, phase: &str) -> Vec<Part> {
    let entries = std::fs::read_dir(directory.join("logs"))
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()));
    let ours = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(phase));
    let mut files: Vec<PathBuf> = entries.filter(ours).collect();
    files.sort();
    files
        .into_iter()
        .map(|file| Part {
            file,
            from: 0,
            to: None,
        })
        .collect()
}

/// Prints a part of a log; returns where it ended.
fn print(part: &Part, printer: &Printer) -> Result<u64, CliError> {
    let cannot = |e: std::io::Error| CliError::disk(format!("cannot read the log {}: {e}", part.file.display()));
    let mut file = File::open(&part.file).map_err(cannot)?;
    file.seek(SeekFrom::Start(part.from)).map_err(cannot)?;
    let mut left = part.to.map_or(u64::MAX, |to| to.saturating_sub(part.from));
    let mut at = part.from;
    let mut buffer = vec![0; 64 * 1024];
    let mut pending: Vec<u8> = Vec::new();
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read(&mut buffer[..room]).map_err(cannot)?;
        if count == 0 {
            break;
        }
        at += count as u64;
        left -= count as u64;
        pending.extend_from_slice(&buffer[..count]);
        // A character may lie across two reads.
        let whole = match std::str::from_utf8(&pending) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => pending.len(),
        };
        printer.raw_stdout(&String::from_utf8_lossy(&pending[..whole]));
        pending.drain(..whole);
        if printer.stdout_broken() {
            break;
        }
    }
    printer.raw_stdout(&String::from_utf8_lossy(&pending));
    Ok(at)
}

fn follow(
    run: &RunPath,
    phase: &str,
    mut parts: Vec<Part>,
    mut ends: Vec<u64>,
    printer: &Printer,
) -> Result<(), CliError> {
    loop {
        // Looked at before the log: what is written until the end of the phase must still be shown.
        let state = read(&run.state_file)?;
        let on = state.phase(phase) == Some(PhaseStatus::InProgress) && holder(&run.state_file).is_some();
        let known = attempts(&state, phase);
        let base = working_directory(&state);
        for (file, from) in known.last().into_iter().flat_map(|a| &a.logs) {
            let file = resolve(&base, run, file);
            if !parts.iter().any(|p| p.file == file) {
                printer.raw_stdout(&format!("==> {} <==\n", file.display()));
                parts.push(Part {
                    file,
                    from: *from,
                    to: None,
                });
                ends.push(*from);
            }
        }
        for (part, end) in parts.iter().zip(&mut ends) {
            *end = print(
                &Part {
                    file: part.file.clone(),
                    from: *end,
                    to: None,
                },
                printer,
            )?;
        }
        if !on || printer.stdout_broken() {
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
}
