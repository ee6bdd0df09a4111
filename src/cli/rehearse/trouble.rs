//! The ways in which a phase comes to grief.

use crate::run::Fate;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Exit,
    CommandKilled,
    HostKilled,
    HostStopped,
    Timeout,
    DiskFull,
    StateTorn,
}

impl Trouble {
    /// All ways, in the order in which they are reported.
    pub(super) fn all() -> &'static [Trouble] {
        use Trouble::{CommandKilled, DiskFull, Exit, HostKilled, HostStopped, StateTorn, Timeout};
        &[
            Exit,
            CommandKilled,
            HostKilled,
            HostStopped,
            Timeout,
            DiskFull,
            StateTorn,
        ]
    }

    /// The head of its column.
    pub(super) fn title(self) -> &'static str {
        match self {
            Trouble::Exit => "exit 1",
            Trouble::CommandKilled => "killed",
            Trouble::HostKilled => "jumar killed",
            Trouble::HostStopped => "TERM",
            Trouble::Timeout => "timeout",
            Trouble::DiskFull => "disk full",
            Trouble::StateTorn => "torn state",
        }
    }

    /// What happened, after the name of the phase.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Trouble::Exit => "a command that ends with status 1",
            Trouble::CommandKilled => "a command that is killed with its work done",
            Trouble::HostKilled => "jumar killed with -9",
            Trouble::HostStopped => "jumar stopped with TERM",
            Trouble::Timeout => "a command whose time is over",
            Trouble::DiskFull => "a command that finds the disk full",
            Trouble::StateTorn => "jumar killed with -9 and the state file cut in the middle",
        }
    }

    /// Its name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Trouble::Exit => "exit",
            Trouble::CommandKilled => "command_killed",
            Trouble::HostKilled => "host_killed",
            Trouble::HostStopped => "host_stopped",
            Trouble::Timeout => "timeout",
            Trouble::DiskFull => "disk_full",
            Trouble::StateTorn => "state_torn",
        }
    }

    /// What happens to the command.
    pub(super) fn fate(self) -> Fate {
        match self {
            Trouble::Exit => Fate::Exit,
            Trouble::CommandKilled => Fate::Kill,
            Trouble::Timeout => Fate::Timeout,
            Trouble::DiskFull => Fate::DiskFull,
            Trouble::HostKilled | Trouble::HostStopped | Trouble::StateTorn => Fate::Wait,
        }
    }
}
