//! The Rhai engine as jumar sets it up. Each line here was tried; `docs/script-host.md` says why.

use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, Engine, EvalAltResult, NativeCallContext, OptimizationLevel, Scope};

use super::api;
use super::current;
use super::fault::mistake;
use super::host::{HostBodies, TAIL};
use super::post_mortem;
use super::resolver::{Loading, MODULE_END, Resolver};
use super::shared::Shared;
use crate::run::Mode;

/// A dry run gives a body this long, in seconds: it may wait for something that only a real run makes.
const DRY_SECONDS: f64 = 2.0;

/// Names that are there everywhere without being declared.
pub(super) const GLOBALS: &[&str] = &["state", "env", "run"];

/// A scope in which the globals are declared, so that strict variables accept them. Variables, never constants: those
/// would be substituted, even for a parameter of the same name.
pub(super) fn declarations() -> Scope<'static> {
    let mut scope = Scope::new();
    for name in GLOBALS {
        scope.push(*name, ());
    }
    scope
}

/// An engine with all primitives.
pub(super) fn build(shared: &Arc<Shared>) -> Engine {
    let mut engine = Engine::new();
    // The optimizer of 1.27 changes what scripts mean.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_strict_variables(true);
    // Debug builds have much lower defaults; a test must not fail only there.
    engine.set_max_call_levels(192);
    engine.set_max_expr_depths(256, 256);
    engine.set_max_strings_interned(0);
    engine.disable_symbol("eval");
    set_globals(&mut engine, shared);
    set_output(&mut engine, shared);
    set_stop(&mut engine, shared);
    engine.register_global_module(api::module(shared).into());
    let loading = Arc::new(Loading::default());
    let (seen, known) = (Arc::clone(&loading), Arc::clone(shared));
    engine.register_fn(MODULE_END.replace('$', "__"), move |context: NativeCallContext| {
        seen.remember_surroundings(&known, &context)
    });
    let known = Arc::clone(shared);
    engine.register_fn(TAIL, move |context: NativeCallContext| {
        if known.missing_parameter().is_some() {
            return;
        }
        if known.examiner().is_some() {
            known.keep_top_level(post_mortem::top_level());
        }
        if let Some(walk) = known.take_walk() {
            walk(&HostBodies::new(&known, &context));
        }
    });
    engine.set_module_resolver(Resolver::new(Arc::clone(shared), loading));
    engine
}

fn set_globals(engine: &mut Engine, shared: &Arc<Shared>) {
    let handles: Vec<(&str, Dynamic)> = api::globals(shared);
    let known = Arc::clone(shared);
    #[expect(
        deprecated,
        reason = "not deprecated but unstable, which is why rhai is pinned exactly"
    )]
    engine.on_var(move |name, _, context| {
        if let Some((_, handle)) = handles.iter().find(|(n, _)| *n == name) {
            return Ok(Some(handle.clone()));
        }
        if !known.is_lending() || context.scope().contains(name) {
            return Ok(None);
        }
        Ok(known.lent(name))
    });
    #[expect(
        deprecated,
        reason = "not deprecated but unstable, which is why rhai is pinned exactly"
    )]
    engine.on_def_var(|_, info, _| {
        if GLOBALS.contains(&info.name()) {
            return Err(mistake(format!(
                "`{}` is jumar's own; choose another name",
                info.name()
            )));
        }
        Ok(true)
    });
}

/// `print` and `debug` go where all messages go: results alone belong on standard output.
fn set_output(engine: &mut Engine, shared: &Arc<Shared>) {
    let session = Arc::clone(&shared.session);
    engine.on_print(move |text| session.observer.note(text));
    let session = Arc::clone(&shared.session);
    engine.on_debug(move |text, source, at| {
        session
            .observer
            .note(&format!("{}:{at:?}: {text}", source.unwrap_or("script")))
    });
}

/// A look at a checkpoint that takes longer than this is given up.
const LONGEST_JUDGEMENT: Duration = Duration::from_secs(30);

/// So many operations of the interpreter, a microsecond or so, go by until it is asked whether the script is to stop.
const BETWEEN_LOOKS: u64 = 16;

/// A script that spins must hear of a stop, and of its phase's timeout, too.
fn set_stop(engine: &mut Engine, shared: &Arc<Shared>) {
    let session = Arc::clone(&shared.session);
    engine.on_progress(move |operations| {
        if operations % BETWEEN_LOOKS != 0 {
            return None;
        }
        if let Some(judged) = current::has_judged_for() {
            // A stop must not keep a judge from its word on what was saved before it, but a judge may spin.
            return (judged > LONGEST_JUDGEMENT).then(|| "it took too long".into());
        }
        let stopped = current::with(|attempt| attempt.map_or(&session.stop, |a| &a.stop).is_requested());
        if stopped || session.is_interrupted() {
            return Some("stopped".into());
        }
        if operations % 256 != 0 || current::is_examining() {
            return None;
        }
        current::with(|attempt| {
            let attempt = attempt?;
            let over = attempt.time_left().is_some_and(|left| left.is_zero());
            let endless = session.mode == Mode::Dry && attempt.seconds() > DRY_SECONDS;
            (over || endless).then(|| "stopped".into())
        })
    });
}

/// What a primitive returns.
pub(super) type Outcome<T> = Result<T, Box<EvalAltResult>>;
