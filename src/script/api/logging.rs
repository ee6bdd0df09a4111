//! `log_info(text)`, `log_warn(text)`, `log_error(text)`

use std::sync::Arc;

use rhai::{Dynamic, Module};

use super::define;
use crate::script::shared::Shared;

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(module, "log_info", &["message: ?", "()"], "Shows a line to the user, on standard error.", move |message: Dynamic| known.session.observer.note(&message.to_string()));
    let known = Arc::clone(shared);
    define(module, "log_warn", &["message: ?", "()"], "Shows a warning to the user, on standard error.", move |message: Dynamic| known.session.observer.warn(&message.to_string()));
    let known = Arc::clone(shared);
    define(module, "log_error", &["message: ?", "()"], "Shows an error to the user, on standard error. The phase goes on; `throw` ends it.", move |message: Dynamic| {
        known.session.observer.error(&message.to_string());
    });
}
