//! Where phases are declared. What all phases have in common that one call declares with one closure is found out once: a
//! loop may declare a hundred thousand.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rhai::{FnPtr, NativeCallContext, Position};

use super::api::BODY;
use super::diagnostics::span;
use super::lexer::last_argument;
use super::reach::{Piece, Reach};
use super::shared::Shared;

/// A call of `phase` with one closure.
pub(super) struct Site {
    /// The source as it is named in messages.
    pub file: Arc<str>,
    /// Where in it the call is.
    pub at: Position,
    closure: String,
    /// What the text of the body reaches, when that is known.
    pub reach: Option<Arc<Reach>>,
    /// The variables that the closure captured.
    pub captured: Vec<String>,
    /// Whether the closure can be called as a body is.
    pub fits: bool,
}

/// The sites that were come to.
#[derive(Default)]
pub(super) struct Sites {
    known: Mutex<HashTable<Arc<Site>>>,
    hasher: RandomState,
}

impl Sites {
    /// The site of the call that goes on.
    pub(super) fn of(&self, shared: &Shared, context: &NativeCallContext, body: &FnPtr) -> Arc<Site> {
        let (file, at) = (context.call_source().unwrap_or("script"), context.call_position());
        let hash = |at: Position, closure: &str| self.hasher.hash_one((at, closure));
        let own = hash(at, body.fn_name());
        let is_it = |site: &Arc<Site>| site.at == at && site.closure == body.fn_name() && *site.file == *file;
        if let Some(site) = self.lock().find(own, is_it) {
            return Arc::clone(site);
        }
        let site = Arc::new(Site {
            file: shared.shared_name(file),
            at,
            closure: body.fn_name().into(),
            reach: reach(shared, file, at),
            captured: captured(context, body),
            fits: shared.libraries.takes(context, body, BODY.0),
        });
        self.lock()
            .insert_unique(own, Arc::clone(&site), |other| hash(other.at, &other.closure));
        site
    }

    fn lock(&self) -> MutexGuard<'_, HashTable<Arc<Site>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reach(shared: &Shared, file: &str, at: Position) -> Option<Arc<Reach>> {
    let text = shared.source(file)?;
    let tokens = last_argument(&text, span(&text, at).start)?;
    Some(Arc::new(shared.all_functions().reach(&Piece::of(&text, &tokens))))
}

/// The variables that a closure captured: they are the first of its parameters.
fn captured(context: &NativeCallContext, closure: &FnPtr) -> Vec<String> {
    if closure.curry().is_empty() {
        return vec![];
    }
    let libraries = &context.global_runtime_state().lib;
    let mut functions = libraries.iter().flat_map(|library| library.iter_script_fn_info());
    let found = functions.find(|(_, _, name, _, _)| *name == closure.fn_name());
    let names = |function: &rhai::ScriptFuncDef| function.params.iter().map(ToString::to_string).collect();
    found.map(|(_, _, _, _, function)| names(function)).unwrap_or_default()
}
