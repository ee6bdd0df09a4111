//! The facts about where a run comes from: code, environment, packages, machine.

use super::collect::{Found, own_directories, relocated};
use super::fact::{Fact, Group};
use super::run_facts::RunFacts;
use crate::run::{Gpu, Provenance};

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
        add(Group::Code, "changes' text", Fact::plain(git.diff_hash.as_str()));
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
