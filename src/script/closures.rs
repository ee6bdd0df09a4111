//! Closures that are kept and called later: private copies of what they captured, and the environment of the module that
//! made them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rhai::{
    Array, Dynamic, EvalAltResult, FnPtr, FuncArgs, GlobalRuntimeState, Map, Module, NativeCallContext, Shared,
};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// A deep copy that shares no cell with anything: a phase must see its captured values as they stood when it was
/// declared, and phases that run side by side must not meet in one.
pub(super) fn own(value: Dynamic) -> Dynamic {
    let value = value.flatten();
    if value.is_array() {
        value.cast::<Array>().into_iter().map(own).collect::<Array>().into()
    } else if value.is_map() {
        value
            .cast::<Map>()
            .into_iter()
            .map(|(key, item)| (key, own(item)))
            .collect::<Map>()
            .into()
    } else if value.is_fnptr() {
        own_closure(value.cast::<FnPtr>()).into()
    } else {
        value
    }
}

/// A closure with private copies of what it captured.
pub(super) fn own_closure(mut closure: FnPtr) -> FnPtr {
    for captured in closure.iter_curry_mut() {
        *captured = own(std::mem::take(captured));
    }
    closure
}

/// What the functions of a module need around them.
#[derive(Clone)]
struct Surroundings {
    functions: Shared<Module>,
    global: GlobalRuntimeState,
}

/// The modules that were loaded, by the names of the functions and closures in them.
#[derive(Default)]
pub(super) struct Libraries {
    by_function: Mutex<HashMap<String, Surroundings>>,
}

impl Libraries {
    /// Remembers a module's surroundings, seen from a native call at its end. `functions` are the names of its closures.
    pub(super) fn remember(
        &self,
        functions: impl Iterator<Item = String>,
        library: &Shared<Module>,
        context: &NativeCallContext,
    ) {
        #[expect(
            deprecated,
            reason = "not deprecated but volatile, which is why rhai is pinned exactly"
        )]
        let surroundings = Surroundings {
            functions: library.clone(),
            global: context.store_data().global,
        };
        let mut known = self.by_function.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(functions.map(|name| (name, surroundings.clone())));
    }

    /// Whether a function takes so many values besides those it captured. One that cannot be looked up is not doubted.
    pub(super) fn takes(&self, context: &NativeCallContext, function: &FnPtr, count: usize) -> bool {
        let captured = function.iter_curry().count();
        let made_in = self
            .by_function
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(function.fn_name())
            .map(|made_in| made_in.functions.clone());
        let mut known = false;
        for module in context.iter_namespaces().chain(made_in.as_deref()) {
            let named = module
                .iter_script_fn_info()
                .filter(|(_, _, name, ..)| *name == function.fn_name());
            for (.., parameters, _) in named {
                known = true;
                if parameters == count + captured {
                    return true;
                }
            }
        }
        !known
    }

    /// Calls a closure, whoever made it. Rhai finds closures of the main script by itself; one that was made inside a
    /// module needs that module's functions, imports and constants around it.
    pub(super) fn call(
        &self,
        context: &NativeCallContext,
        closure: &FnPtr,
        arguments: impl FuncArgs,
    ) -> Outcome<Dynamic> {
        let made_in = self
            .by_function
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(closure.fn_name())
            .cloned();
        let Some(made_in) = made_in else {
            return closure.call_within_context(context, arguments);
        };
        #[expect(
            deprecated,
            reason = "not deprecated but volatile, which is why rhai is pinned exactly"
        )]
        {
            let mut data = context.store_data();
            // In front, and nothing cleared: the closure may call one of the main script's.
            data.global.lib.insert(0, made_in.functions);
            for (name, module) in made_in.global.iter_imports_raw() {
                data.global.push_import(name.clone(), module.clone());
            }
            data.global.constants = made_in.global.constants;
            data.global.source = made_in.global.source;
            closure.call_within_context(&data.create_context(context.engine()), arguments)
        }
    }
}
