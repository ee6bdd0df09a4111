//! `result(phase)`

use std::sync::Arc;

use rhai::{Dynamic, Module};

use super::{Outcome, define};
use crate::script::current;
use crate::script::fault::mistake;
use crate::script::shared::Shared;
use crate::script::values::from_data;

const DOCS: &str = "The recorded result of another phase: the value of its body; `()` when it has none or has not completed. Inside a phase only: while planning, a straight
run and a resumed one would see different things. Throws for a name that no phase has.";

pub(super) fn register(module: &mut Module, shared: &Arc<Shared>) {
    let known = Arc::clone(shared);
    define(
        module,
        "result",
        &["phase: string", "?"],
        DOCS,
        move |name: &str| -> Outcome<Dynamic> {
            let session = &known.session;
            if current::attempt().is_none() && !session.is_looked_at() {
                return Err(mistake("result() runs inside a phase"));
            }
            let near = {
                let plan = session.plan();
                if plan.get(name).is_some() {
                    None
                } else {
                    Some(plan.nearest(name))
                }
            };
            match near {
                None => Ok(session.result_of(name).map_or(Dynamic::UNIT, |value| from_data(&value))),
                Some(near) => {
                    let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                    Err(mistake(format!("result: no phase is named `{name}`{near}")))
                }
            }
        },
    );
}
