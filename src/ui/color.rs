//! Whether a stream gets colours.

use std::ffi::OsString;

/// The user's word on colours, as given to `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// Colours where a person looks: on a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Colours even on a pipe and against `NO_COLOR`.
    Always,
    /// No colours at all.
    Never,
}

impl ColorChoice {
    /// Decides for one stream. `terminal` says whether that stream is one; `environment` looks a
    /// variable up.
    ///
    /// For `Auto`, the first of these that applies decides: a non-empty `NO_COLOR` (no),
    /// `CLICOLOR_FORCE` other than empty or `0` (yes), not a terminal (no), a missing or dumb
    /// `TERM` (no), `CLICOLOR=0` (no).
    pub(super) fn decide(self, terminal: bool, environment: impl Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => return true,
            Self::Never => return false,
            Self::Auto => {}
        }
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        if set("NO_COLOR").is_some() {
            return false;
        }
        if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
            return true;
        }
        terminal && can_move_the_cursor(&environment) && set("CLICOLOR").is_none_or(|value| value != "0")
    }
}

/// Whether `TERM` names a terminal that understands escape codes.
pub(super) fn can_move_the_cursor(environment: impl Fn(&str) -> Option<OsString>) -> bool {
    environment("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(terminal: bool, variables: &[(&str, &str)]) -> bool {
        ColorChoice::Auto.decide(terminal, lookup(variables))
    }

    fn lookup(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(OsString::from(found.1))
        }
    }

    #[test]
    fn a_terminal_is_coloured_and_a_pipe_is_not() {
        assert!(auto(true, &[("TERM", "xterm-256color")]));
        assert!(!auto(false, &[("TERM", "xterm-256color")]));
    }

    #[test]
    fn no_color_wins_over_everything_but_the_option() {
        let variables = [("TERM", "xterm"), ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
        assert!(!auto(true, &variables));
        assert!(ColorChoice::Always.decide(false, lookup(&variables)));
    }

    #[test]
    fn an_empty_no_color_counts_as_not_set() {
        assert!(auto(true, &[("TERM", "xterm"), ("NO_COLOR", "")]));
    }

    #[test]
    fn clicolor_force_colours_a_pipe_unless_it_is_zero() {
        assert!(auto(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "0")]));
    }

    #[test]
    fn a_dumb_terminal_gets_no_colours() {
        assert!(!auto(true, &[("TERM", "dumb")]));
        assert!(!auto(true, &[]));
        assert!(!auto(true, &[("TERM", "xterm"), ("CLICOLOR", "0")]));
    }

    #[test]
    fn never_wins_over_a_forcing_environment() {
        let variables = [("TERM", "xterm"), ("CLICOLOR_FORCE", "1")];
        assert!(!ColorChoice::Never.decide(true, lookup(&variables)));
    }
}
