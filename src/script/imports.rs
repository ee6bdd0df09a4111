//! What a script imports under which name, and what is in it to call: read from the texts, without running anything.

use std::path::Path;

use super::embedded::{standard_module, standard_modules};
use super::resolver::with_extension;
use super::scan::{Kind, Token, tokens};
use super::shared::Shared;
use crate::plan::nearest;

/// The imports of a script: the name it gives, and the path.
pub(super) fn imports(text: &str) -> Vec<(String, String)> {
    let found = tokens(text);
    let word = |at: usize| found.get(at).map_or("", |t| &text[t.span.clone()]);
    (0..found.len())
        .filter(|&at| word(at) == "import" && found.get(at + 1).is_some_and(|t| t.kind == Kind::Quoted))
        .filter(|&at| word(at + 2) == "as")
        .map(|at| (word(at + 3).to_string(), word(at + 1).trim_matches('"').to_string()))
        .collect()
}

/// The standard modules that a script imports and that are not there: each path, and the byte at which it stands in the text.
pub(super) fn missing_modules(text: &str) -> Vec<(String, usize)> {
    let found = tokens(text);
    let quoted = |token: &Token| text[token.span.clone()].trim_matches('"').to_string();
    found
        .windows(2)
        .filter(|pair| &text[pair[0].span.clone()] == "import" && pair[1].kind == Kind::Quoted)
        .map(|pair| (quoted(&pair[1]), pair[1].span.start))
        .filter(|(path, _)| path.starts_with("std/") && standard_module(path).is_none())
        .collect()
}

/// What is said of a standard module that is not there, and what may have been meant.
pub(super) fn no_such_module(path: &str) -> (String, Option<String>) {
    let near = nearest(path, standard_modules()).map(|near| format!("did you mean {near}?"));
    (format!("there is no module {path}"), near)
}

/// The functions that a text offers to those who import it, with the names of their parameters.
pub(super) fn functions(text: &str) -> Vec<(String, Vec<String>)> {
    let found = tokens(text);
    let word = |at: usize| found.get(at).map_or("", |t| &text[t.span.clone()]);
    (0..found.len())
        .filter(|&at| word(at) == "fn" && (at == 0 || word(at - 1) != "private"))
        .map(|at| {
            let inside = (at + 3..found.len()).take_while(|&i| word(i) != ")");
            let parameters = inside
                .filter(|&i| found[i].kind == Kind::Word)
                .map(|i| word(i).to_string());
            (word(at + 1).to_string(), parameters.collect())
        })
        .collect()
}

/// The functions of a module as the script `name` knows it; empty when the module cannot be looked into.
pub(super) fn functions_of(alias: &str, name: &str, text: &str, shared: &Shared) -> Vec<(String, Vec<String>)> {
    let Some((_, path)) = imports(text).into_iter().find(|(a, _)| a == alias) else {
        return vec![];
    };
    if let Some(text) = standard_module(&path) {
        return functions(text);
    }
    let beside = Path::new(name).parent().unwrap_or(Path::new("")).join(&path);
    let file = with_extension(beside);
    shared
        .source(&file.to_string_lossy())
        .map_or_else(Vec::new, |text| functions(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_offers_is_read_from_its_text() {
        let text = "import \"std/gpu\" as gpu; // import \"b\" as c;\nprivate fn hidden() { }\nfn open(a, b) { }";
        assert_eq!(imports(text), [("gpu".to_string(), "std/gpu".to_string())]);
        assert_eq!(functions(text), [("open".to_string(), vec!["a".into(), "b".into()])]);
    }
}
