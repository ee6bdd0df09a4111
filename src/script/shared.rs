//! What all primitives of one script share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rhai::{AST, Dynamic, FnPtr, Scope};

use super::closures::Libraries;
use super::lines::LINE;
use super::post_mortem::Examiner;
use super::reach::Functions;
use super::site::Sites;
use crate::run::{Bodies, ImportedModule, Session};

/// What is done when the script has declared everything, given its bodies.
pub(super) type Walk = Box<dyn FnOnce(&dyn Bodies) + Send>;

/// The body of a phase and the functions that come with it. Most have none.
#[derive(Clone)]
pub(super) struct Body {
    pub closure: FnPtr,
    pub policy: Option<Box<FnPtr>>,
    /// Says whether a checkpoint is whole.
    pub complete_when: Option<Box<FnPtr>>,
}

/// Everything that a primitive may need besides its arguments.
pub(super) struct Shared {
    pub session: Arc<Session>,
    pub libraries: Libraries,
    /// Where phases were declared.
    pub sites: Sites,
    /// The compiled `std/failures`, which judges evidence.
    pub judge: OnceLock<AST>,
    sources: Mutex<BTreeMap<Arc<str>, Arc<str>>>,
    /// At the phase's place in the plan.
    bodies: Mutex<Vec<Option<Body>>>,
    policy: Mutex<Option<FnPtr>>,
    patterns: Mutex<Vec<(String, String)>>,
    needed_parameters: Mutex<BTreeSet<String>>,
    walk: Mutex<Option<Walk>>,
    lending: AtomicBool,
    lent: Mutex<HashMap<String, Dynamic>>,
    examiner: OnceLock<Arc<dyn Examiner>>,
    top_level: OnceLock<Scope<'static>>,
    functions: Mutex<Vec<(String, Vec<String>)>>,
    all_functions: Mutex<(usize, Arc<Functions>)>,
    bindings: OnceLock<BTreeMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(session: Arc<Session>) -> Shared {
        Shared {
            session,
            libraries: Libraries::default(),
            sites: Sites::default(),
            judge: OnceLock::new(),
            sources: Mutex::default(),
            bodies: Mutex::default(),
            policy: Mutex::default(),
            patterns: Mutex::default(),
            needed_parameters: Mutex::default(),
            walk: Mutex::default(),
            lending: AtomicBool::new(false),
            lent: Mutex::default(),
            examiner: OnceLock::new(),
            top_level: OnceLock::new(),
            functions: Mutex::default(),
            all_functions: Mutex::default(),
            bindings: OnceLock::new(),
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

    /// The name of a source, which whatever is declared in it shares.
    pub(super) fn shared_name(&self, name: &str) -> Arc<str> {
        let sources = lock(&self.sources);
        let known = sources.get_key_value(name).map(|(name, _)| Arc::clone(name));
        known.unwrap_or_else(|| name.into())
    }

    /// The modules that the script `script` has imported so far.
    pub(super) fn imported(&self, script: &str) -> Vec<ImportedModule> {
        let folder = Path::new(script).parent().unwrap_or(Path::new(""));
        let sources = lock(&self.sources);
        let module = |(name, text): (&Arc<str>, &Arc<str>)| match name.strip_prefix('<') {
            // What a person types is no module.
            None if **name == *script || **name == *LINE => None,
            None => {
                let name = Path::new(&**name);
                let seen = name.strip_prefix(folder).unwrap_or(name);
                Some(ImportedModule::new(seen.to_string_lossy(), text))
            }
            Some(_) if **name == *script => None,
            Some(own) if own.starts_with("std/") || own.starts_with("stock>/") => Some(ImportedModule::embedded(
                own.trim_end_matches('>').replace('>', ""),
                text,
            )),
            Some(_) => None,
        };
        sources.iter().filter_map(module).collect()
    }

    /// Keeps the body of the phase at a place of the plan.
    pub(super) fn keep_body(&self, place: usize, body: Body) {
        let mut bodies = lock(&self.bodies);
        if bodies.len() <= place {
            bodies.resize(place + 1, None);
        }
        bodies[place] = Some(body);
    }

    pub(super) fn body(&self, phase: &str) -> Option<Body> {
        let place = self.session.plan().position(phase)?;
        lock(&self.bodies).get(place)?.clone()
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

    /// The parameters that must be declared when the script has come to its end.
    pub(super) fn needed_parameters(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.needed_parameters)
    }

    /// The first parameter that is needed and was not declared.
    pub(super) fn missing_parameter(&self) -> Option<String> {
        let declared = self.session.parameters();
        let needed = self.needed_parameters();
        needed.iter().find(|name| declared.get(name).is_none()).cloned()
    }

    /// The functions of all sources that were read so far.
    pub(super) fn all_functions(&self) -> Arc<Functions> {
        let sources = lock(&self.sources);
        let mut known = lock(&self.all_functions);
        if known.0 != sources.len() {
            let mut functions = Functions::default();
            for (name, text) in sources.iter() {
                functions.add(text, name.starts_with("<std/"));
            }
            *known = (sources.len(), Arc::new(functions));
        }
        Arc::clone(&known.1)
    }

    /// Remembers which variables of the main script are bound to which parameters.
    pub(super) fn know_bindings(&self, bindings: BTreeMap<String, String>) {
        let _ = self.bindings.set(bindings);
    }

    /// The parameter that a variable of the main script is bound to.
    pub(super) fn bound_to(&self, variable: &str) -> Option<&str> {
        self.bindings.get()?.get(variable).map(String::as_str)
    }

    /// Puts values behind names, for lines that are typed in; a variable of the same name comes first.
    pub(super) fn lend(&self, values: HashMap<String, Dynamic>) {
        self.lending.store(!values.is_empty(), Ordering::Relaxed);
        *lock(&self.lent) = values;
    }

    /// Whether there are lent names: asked for every variable that a script reads.
    pub(super) fn is_lending(&self) -> bool {
        self.lending.load(Ordering::Relaxed)
    }

    /// Who looks at failures before the policies do.
    pub(super) fn examiner(&self) -> Option<&Arc<dyn Examiner>> {
        self.examiner.get()
    }

    pub(super) fn set_examiner(&self, examiner: Arc<dyn Examiner>) {
        let _ = self.examiner.set(examiner);
    }

    /// Keeps what the script's top level left, for whoever looks at failures.
    pub(super) fn keep_top_level(&self, variables: Scope<'static>) {
        let _ = self.top_level.set(variables);
    }

    /// What the script's top level left; nothing when nobody looks at failures.
    pub(super) fn top_level(&self) -> Scope<'static> {
        self.top_level.get().cloned().unwrap_or_default()
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
