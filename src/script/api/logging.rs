//! `log_info(text)`, `log_warn(text)`, `log_error(text)`

use std::sync::Arc;

use rhai::{Dynamic, Module};

use super::define;
use crate::run::{Mode, Observer};
use crate::script::current;
use crate::script::shared::Shared;

/// How an observer is told a line.
type Say = fn(&dyn Observer, &str);

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let says: [(&str, &str, &str, Say); 3] = [
        (
            "log_info",
            "",
            "Shows a line to the user, on standard error, and writes it into the phase's log. A dry run does not show what a phase would say.",
            |observer, text| observer.note(text),
        ),
        (
            "log_warn",
            "warning: ",
            "Shows a warning to the user, on standard error, and writes it into the phase's log.",
            |observer, text| observer.warn(text),
        ),
        (
            "log_error",
            "error: ",
            "Shows an error to the user, on standard error, and writes it into the phase's log. The phase goes on; `throw` ends it.",
            |observer, text| observer.error(text),
        ),
    ];
    for (name, mark, docs, say) in says {
        let known = Arc::clone(shared);
        define(module, name, &["message: ?", "()"], docs, move |message: Dynamic| {
            let imagined = known.session.mode == Mode::Dry && current::with(|attempt| attempt.is_some());
            if imagined {
                return;
            }
            let text = message.to_string();
            let observer = &*known.session.observer;
            let attempt = current::attempt();
            match attempt.as_ref().filter(|_| observer.names_phases()) {
                Some(attempt) => say(observer, &format!("{}: {text}", attempt.phase.name)),
                None => say(observer, &text),
            }
            if let Some(attempt) = attempt {
                attempt.log_line(&format!("{mark}{text}"));
            }
        });
    }
}
