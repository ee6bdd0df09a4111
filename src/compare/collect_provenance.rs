//! The facts about where a run comes from: code, environment, packages, machine.

use super::collect::{Found, own_directories, relocated};
use super::fact::{Fact, Group};
use super::run_facts::RunFacts;
use crate::plan::{Files, Mark};
use crate::run::{Gpu, Provenance, recorded_fingerprints};

/// Variables that belong to the shell or the login a run was started from and say nothing of what it does.
const ASIDE_VARIABLES: [&str; 15] = [
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "COLORTERM",
    "LINES",
    "COLUMNS",
    "WINDOWID",
    "LS_COLORS",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "VTE_VERSION",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];
const ASIDE_PREFIXES: [&str; 9] = [
    "SSH_", "TMUX", "XDG_", "DBUS_", "STY", "JUMAR_", "SLURM_", "VSCODE_", "SYSTEMD_",
];

/// The name of the fact that tells two scripts apart: a hash.
pub const SCRIPT_TEXT: &str = "script's text";
/// The name of the fact that tells two work trees with uncommitted changes apart: a hash.
pub(super) const CHANGES_TEXT: &str = "changes' text";
/// How the names of the facts begin that tell modules apart; the file follows.
pub(super) const MODULE: &str = "module ";
/// The name of the fact that tells jumar's own modules apart.
const OWN_MODULES: &str = "modules of jumar";
/// Whether a fact of that name tells modules apart.
pub(super) fn is_of_modules(name: &str) -> bool {
    name.starts_with(MODULE) || name == OWN_MODULES
}

/// What stands between a phase and a file of its `inputs`.
pub(super) const READS: &str = " reads ";

/// Collects what the run recorded of where it comes from.
pub(super) fn facts(run: &RunFacts) -> Found {
    let mut found = Found::new();
    let mut add = |group, name: &str, fact: Fact| {
        found.insert((group, name.to_string()), fact);
    };
    if let Some(script) = run.text("metadata", "script") {
        add(Group::Code, "script", Fact::plain(script));
    }
    if let Some(hash) = run.text("metadata", "script_hash") {
        add(Group::Code, SCRIPT_TEXT, Fact::plain(hash));
    }
    if let Some(version) = run.text("metadata", "jumar") {
        add(Group::Code, "jumar", Fact::plain(version));
    }
    modules(run, &mut add);
    inputs(run, &mut add);
    let Some(known) = &run.provenance else { return found };
    code(known, &mut add);
    machine(known, &mut add);
    if let Some(python) = &known.python {
        add(Group::Packages, "python", Fact::plain(python.version.as_str()));
        add(
            Group::Packages,
            "python program",
            Fact::plain(python.executable.as_str()),
        );
        for (name, version) in &python.packages {
            add(Group::Packages, name, Fact::plain(version.as_str()));
        }
    }
    let own = own_directories(run);
    // What a parameter was given by is told as the parameter.
    let parameters: Vec<String> = run
        .state
        .section("params")
        .map(|(name, _)| name.to_uppercase())
        .collect();
    add(
        Group::Environment,
        "working directory",
        Fact::plain(known.working_directory.as_str()),
    );
    for (name, value) in &known.environment {
        let aside = ASIDE_VARIABLES.contains(&name.as_str())
            || ASIDE_PREFIXES.iter().any(|p| name.starts_with(p))
            || parameters.contains(name);
        let value = relocated(value.as_str().into(), &own);
        add(
            Group::Environment,
            name,
            Fact {
                aside,
                ..Fact::plain(value)
            },
        );
    }
    found
}

fn modules(run: &RunFacts, add: &mut impl FnMut(Group, &str, Fact)) {
    let Some(modules) = &run.modules else { return };
    let (users, own): (Vec<_>, Vec<_>) = modules.iter().partition(|module| module.text.is_some());
    for module in users {
        add(
            Group::Code,
            &format!("{MODULE}{}", module.name),
            Fact::plain(module.hash.as_str()),
        );
    }
    if !own.is_empty() {
        let mut hasher = blake3::Hasher::new();
        for module in own {
            hasher.update(format!("{}\0{}\n", module.name, module.hash).as_bytes());
        }
        add(Group::Code, OWN_MODULES, Fact::plain(&hasher.finalize().to_hex()[..16]));
    }
}

/// The files that phases named as what they are made from. Those that the run made itself differ as other results do.
fn inputs(run: &RunFacts, add: &mut impl FnMut(Group, &str, Fact)) {
    let own = own_directories(run);
    for (phase, print) in recorded_fingerprints(&run.state) {
        match print.inputs {
            Files::Listed(files) => {
                let others = |(name, _): &(String, Mark)| !own.iter().any(|own| name.contains(own.as_str()));
                for (name, Mark(_, _, hash)) in files.into_iter().filter(others) {
                    add(Group::Code, &format!("{phase}{READS}{name}"), Fact::plain(hash));
                }
            }
            Files::Many { count, hash } => {
                let all = format!("{hash} of {count} files");
                add(Group::Code, &format!("{phase}{READS}its inputs"), Fact::plain(all));
            }
        }
    }
}

fn code(known: &Provenance, add: &mut impl FnMut(Group, &str, Fact)) {
    let Some(git) = &known.git else { return };
    add(Group::Code, "git commit", Fact::plain(git.commit.as_str()));
    if !git.branch.is_empty() {
        add(Group::Code, "git branch", Fact::plain(git.branch.as_str()));
    }
    let changed = if git.dirty { git.summary.clone() } else { "none".into() };
    add(Group::Code, "uncommitted changes", Fact::plain(changed));
    if !git.changes.is_empty() {
        add(Group::Code, "changed files", Fact::plain(git.changes.clone()));
    }
    if !git.diff_hash.is_empty() {
        add(Group::Code, CHANGES_TEXT, Fact::plain(git.diff_hash.as_str()));
    }
}

fn machine(known: &Provenance, add: &mut impl FnMut(Group, &str, Fact)) {
    let machine = &known.machine;
    add(Group::Machine, "host", Fact::plain(machine.host.as_str()));
    add(Group::Machine, "system", Fact::plain(machine.system.as_str()));
    add(
        Group::Machine,
        "architecture",
        Fact::plain(machine.architecture.as_str()),
    );
    if !machine.processor.is_empty() {
        add(Group::Machine, "processor", Fact::plain(machine.processor.as_str()));
    }
    add(Group::Machine, "processors", Fact::plain(machine.cpus));
    add(Group::Machine, "memory", Fact::kib(machine.memory_kib));
    let name = |gpu: &Gpu| format!("{} ({} MiB)", gpu.name, gpu.memory_mib);
    if !known.gpus.is_empty() {
        add(
            Group::Machine,
            "GPUs",
            Fact::plain(known.gpus.iter().map(name).collect::<Vec<_>>()),
        );
    }
    if let Some(driver) = &known.driver {
        add(Group::Machine, "GPU driver", Fact::plain(driver.as_str()));
    }
}
