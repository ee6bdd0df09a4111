//! What all primitives of one script share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rhai::{AST, Dynamic, FnPtr};

use super::closures::Libraries;
use crate::run::{Bodies, Session};

/// What is done when the script has declared everything, given its bodies.
pub(super) type Walk = Box<dyn FnOnce(&dyn Bodies) + Send>;

/// The body of a phase and the policy that comes with it.
#[derive(Clone)]
pub(super) struct Body {
    pub closure: FnPtr,
    pub policy: Option<FnPtr>,
}

/// Everything that a primitive may need besides its arguments.
pub(super) struct Shared {
    pub session: Arc<Session>,
    pub libraries: Libraries,
    /// The compiled `std/failures`, which judges evidence.
    pub judge: OnceLock<AST>,
    sources: Mutex<BTreeMap<String, Arc<str>>>,
    bodies: Mutex<HashMap<String, Body>>,
    policy: Mutex<Option<FnPtr>>,
    patterns: Mutex<Vec<(String, String)>>,
    walk: Mutex<Option<Walk>>,
    lent: Mutex<HashMap<String, Dynamic>>,
    functions: Mutex<Vec<(String, Vec<String>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(session: Arc<Session>) -> Shared {
        Shared {
            session,
            libraries: Libraries::default(),
            judge: OnceLock::new(),
            sources: Mutex::default(),
            bodies: Mutex::default(),
            policy: Mutex::default(),
            patterns: Mutex::default(),
            walk: Mutex::default(),
            lent: Mutex::default(),
            functions: Mutex::default(),
        }
    }

    /// Keeps the text of a script for messages about it.
    pub(super) fn remember_source(&self, name: &str, text: &str) {
        lock(&self.sources).insert(name.into(), text.into());
    }

    /// The text of a script that was read.
    pub(super) fn source(&self, name: &str) -> Option<Arc<str>> {
        lock(&self.sources).get(name).cloned()
    }

    pub(super) fn keep_body(&self, phase: &str, body: Body) {
        lock(&self.bodies).insert(phase.into(), body);
    }

    pub(super) fn body(&self, phase: &str) -> Option<Body> {
        lock(&self.bodies).get(phase).cloned()
    }

    pub(super) fn set_policy(&self, policy: FnPtr) {
        *lock(&self.policy) = Some(policy);
    }

    pub(super) fn policy(&self) -> Option<FnPtr> {
        lock(&self.policy).clone()
    }

    /// The script's own patterns of failure: kind and pattern, in the order in which they were added.
    pub(super) fn patterns(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        lock(&self.patterns)
    }

    /// Puts values behind names, for lines that are typed in; a variable of the same name comes first.
    pub(super) fn lend(&self, values: HashMap<String, Dynamic>) {
        *lock(&self.lent) = values;
    }

    pub(super) fn lent(&self, name: &str) -> Option<Dynamic> {
        lock(&self.lent).get(name).cloned()
    }

    /// Remembers the names and parameters of a script's own functions, for suggestions.
    pub(super) fn know_functions(&self, ast: &AST) {
        let named = ast.iter_functions().filter(|f| !f.name.starts_with("anon$"));
        *lock(&self.functions) = named
            .map(|f| (f.name.to_string(), f.params.iter().map(ToString::to_string).collect()))
            .collect();
    }

    /// The script's own functions: name and parameters of each.
    pub(super) fn functions(&self) -> Vec<(String, Vec<String>)> {
        lock(&self.functions).clone()
    }

    pub(super) fn set_walk(&self, walk: Walk) {
        *lock(&self.walk) = Some(walk);
    }

    pub(super) fn take_walk(&self) -> Option<Walk> {
        lock(&self.walk).take()
    }
}
