//! The commands that begin with a colon: one table for the help, the completion and the dispatch.

/// What a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// Nothing.
    Nothing,
    /// A phase, and perhaps more.
    Phase,
    /// A run, or a moment of one.
    Run,
    /// A function or a variable.
    Name,
    /// Settings of the next attempt.
    Settings,
    /// Any text.
    Text,
}

/// Where a command can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Everywhere.
    Anywhere,
    /// Where edits are staged.
    Staging,
    /// Where the whole run is looked at.
    Whole,
    /// Inside a phase that has failed.
    Failure,
}

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    /// Its name without the colon.
    pub name: &'static str,
    /// What it takes.
    pub argument: Argument,
    /// How that is written.
    pub usage: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Where it can be used.
    pub place: Place,
}

const fn command(
    name: &'static str,
    argument: Argument,
    usage: &'static str,
    help: &'static str,
    place: Place,
) -> Command {
    Command {
        name,
        argument,
        usage,
        help,
        place,
    }
}

/// All commands, in the order of the help.
pub(super) const ALL: &[Command] = &[
    command("help", Argument::Nothing, "", "show this", Place::Anywhere),
    command(
        "doc",
        Argument::Name,
        "[NAME]",
        "what a function takes and does; without a name, which there are",
        Place::Anywhere,
    ),
    command("phases", Argument::Nothing, "", "how the phases stand", Place::Anywhere),
    command(
        "log",
        Argument::Phase,
        "[PHASE [ATTEMPT]]",
        "the last lines of a phase's log",
        Place::Anywhere,
    ),
    command(
        "failure",
        Argument::Phase,
        "[PHASE]",
        "what is known of the last failure",
        Place::Anywhere,
    ),
    command(
        "explain",
        Argument::Phase,
        "[PHASE]",
        "why each phase will or will not run, what is staged included",
        Place::Whole,
    ),
    command(
        "changes",
        Argument::Nothing,
        "",
        "what is staged, as a diff of the state file",
        Place::Staging,
    ),
    command(
        "commit",
        Argument::Nothing,
        "",
        "write what is staged, as one event (`:commit!`: over what others changed)",
        Place::Staging,
    ),
    command(
        "undo",
        Argument::Nothing,
        "",
        "take the last staged edit back",
        Place::Staging,
    ),
    command(
        "diff",
        Argument::Run,
        "OTHER",
        "this run, what is staged included, beside another; `@-1`: beside itself one event ago",
        Place::Anywhere,
    ),
    command(
        "rerun",
        Argument::Phase,
        "PHASE",
        "stage that a phase runs again on the next resume",
        Place::Staging,
    ),
    command(
        "frame",
        Argument::Text,
        "[NUMBER]",
        "the calls that led here; with a number, stand in that one, whose variables are then in reach",
        Place::Failure,
    ),
    command(
        "retry",
        Argument::Settings,
        "[NAME=VALUE …]",
        "try the phase again: params in lower case, variables in upper case",
        Place::Failure,
    ),
    command(
        "skip",
        Argument::Text,
        "[WHY]",
        "leave the phase out and go on with what waits for it",
        Place::Failure,
    ),
    command(
        "fail",
        Argument::Nothing,
        "",
        "the phase has failed; independent phases go on",
        Place::Failure,
    ),
    command(
        "abort",
        Argument::Text,
        "[WHY]",
        "the phase has failed, and nothing else is started",
        Place::Failure,
    ),
    command(
        "shell",
        Argument::Nothing,
        "",
        "your shell, where the command ran and with its environment",
        Place::Failure,
    ),
    command(
        "quit",
        Argument::Nothing,
        "",
        "leave (also Ctrl-D); after a failure the recovery policy decides",
        Place::Anywhere,
    ),
];

/// The command of a name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    ALL.iter().find(|c| c.name == name)
}

/// The help: a line for each command that can be used here.
pub(super) fn help(usable: impl Fn(Place) -> bool) -> String {
    let shown = ALL.iter().filter(|c| usable(c.place));
    let line = |c: &Command| format!("  {:<24} {}\n", format!(":{} {}", c.name, c.usage).trim_end(), c.help);
    let mut text = "Anything else is Rhai. In reach are:\n".to_string();
    for (name, what) in crate::script::NAMES {
        text.push_str(&format!("  {name:<24} {what}\n"));
    }
    text.push_str("and the script's own functions and variables.\n\n");
    text.extend(shown.map(line));
    text.push_str("\nTab completes; a line goes on while a bracket is open; Ctrl-C drops it.\n");
    text
}
