//! Why a pipeline does not get to its end with stand-ins, and what would let it.

use std::path::Path;

use super::scenario::Played;
use crate::run::{AttemptOutcome, STATE_FILE, attempts};
use crate::state::read;

/// What is in the way, and what to do about it.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// What is in the way.
    pub why: String,
    /// What to do, a line each.
    pub hints: Vec<String>,
}

impl Stuck {
    /// Without advice.
    pub(super) fn plain(why: impl Into<String>) -> Stuck {
        Stuck {
            why: why.into(),
            hints: vec![],
        }
    }

    /// Of a run that ended with failed phases: the first of them, and the command that ran before it came to grief.
    pub(super) fn of(played: &Played) -> Option<Stuck> {
        let state = read(&played.run.join(STATE_FILE)).ok()?;
        let failed = state.phases().flat_map(|(phase, _)| {
            let records = attempts(&state, phase).into_iter();
            let failed = records.filter(|a| a.outcome == AttemptOutcome::Failed);
            failed.map(move |a| (a.ended, phase.to_string(), a.kind, a.message))
        });
        let (_, phase, kind, message) = failed.min_by_key(|(ended, ..)| *ended)?;
        let (kind, message) = (kind.unwrap_or_default(), message.unwrap_or_default());
        let mut trace = played.rehearsal.trace().into_iter();
        let command = trace.rfind(|l| l.ended && l.phase == phase).map(|l| l.command);
        let mut why = format!("{phase} failed: {kind}: {message}");
        if let Some(command) = &command {
            why.push_str(&format!("\n  the command before that in {phase}: {command}"));
        }
        Some(Stuck {
            why,
            hints: hints(&message, &phase, command.is_some(), &played.run),
        })
    }
}

fn hints(message: &str, phase: &str, after_a_command: bool, run: &Path) -> Vec<String> {
    let file = message
        .split_once("cannot read ")
        .map(|(_, rest)| rest.split(": ").next().unwrap_or(rest));
    let own = |path: &str| {
        let below = Path::new(path).strip_prefix(run).ok();
        below.map(|below| format!("${{run.dir}}/{}", below.display()))
    };
    match file {
        Some(path) if !after_a_command => vec![format!(
            "no command of {phase} has run before it reads {path}: a command that makes it, in this phase or an earlier one, can make it in a rehearsal, too: shell(…, #{{ stand_in: … }})"
        )],
        Some(path) => match own(path) {
            Some(path) => vec![format!(
                "let the command's stand-in make what is read: shell(…, #{{ stand_in: `{} > {path}` }})",
                sample(&path)
            )],
            None => vec![format!(
                "a stand-in makes what its command names in the run directory, and {path} is elsewhere: let the command write below run.dir, or say what its stand-in makes: shell(…, #{{ stand_in: `{} > {path}` }})",
                sample(path)
            )],
        },
        None if message.contains("nothing") || message.contains("()") => vec![
            "`newest` finds only what a stand-in makes, and a JSON file of one holds `{}`: where the script counts on more, say what the stand-in makes: shell(…, #{ stand_in: `echo '{\"accuracy\": 1}' > FILE` })".into(),
        ],
        None => vec![
            "a stand-in makes the files that its command names in the run directory, or what its option says: shell(…, #{ stand_in: \"a line for the shell\" })".into(),
        ],
    }
}

/// A command that writes something of the kind.
fn sample(path: &str) -> &'static str {
    if path.ends_with(".json") { "echo '{}'" } else { "echo 1" }
}
