//! `jumar fsck`: looks a run's files over, and mends what can be mended.

use serde_json::json;

use super::args::FsckArguments;
use super::error::CliError;
use super::exit_code;
use super::moment::locate_whole;
use super::open_run::open_run;
use crate::state::{Finding, inspect};
use crate::ui::Printer;

/// Looks a run over; the exit code is 4 when there is trouble left.
pub(super) fn fsck(arguments: &FsckArguments, printer: &Printer) -> Result<u8, CliError> {
    let run = locate_whole(arguments.run.as_deref(), "fsck looks at the files as they are")?;
    let mut findings = inspect(&run.state_file)?;
    let mut notes = Vec::new();
    if arguments.repair {
        // Opening a run is what mends it: the one way there is, which every resume takes.
        let mut store = open_run(&run.state_file, false, false, printer)?;
        store.begin_writing()?;
        store.show()?;
        notes = store.take_notes();
        drop(store);
        findings = inspect(&run.state_file)?;
    }
    let trouble = findings.iter().any(|finding| finding.is_trouble);
    if arguments.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|f| json!({ "trouble": f.is_trouble, "text": f.text }))
            .collect();
        printer.json(&json!({ "run": run.directory, "findings": findings, "notes": notes, "trouble": trouble }));
    } else {
        notes.iter().for_each(|note| printer.info(note));
        for Finding { is_trouble, text, .. } in &findings {
            printer.result(&format!("{}  {text}", if *is_trouble { "!" } else { " " }));
        }
        if let Some(remedy) = findings.iter().find_map(|finding| finding.by_hand.as_ref()) {
            printer.hint(remedy);
        } else if trouble && !arguments.repair {
            printer.hint("`jumar fsck --repair` mends what can be mended; so does the next resume");
        }
    }
    Ok(if trouble { exit_code::STATE } else { exit_code::DONE })
}
