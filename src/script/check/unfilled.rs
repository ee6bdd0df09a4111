//! `"--seed ${seed}"`: between double quotes nothing is filled in, and a shell makes nothing of a name it does not know.

use std::collections::BTreeSet;

use super::{Finding, Severity};
use crate::script::engine::GLOBALS;
use crate::script::scan::{Kind, Token, place, tokens};

/// Names that can be seen from a place, innermost last.
struct Scope<'a> {
    names: Vec<&'a str>,
    /// A function sees nothing of what is around it.
    is_function: bool,
}

/// Texts in double quotes that name a variable in reach as if it were filled in.
pub(super) fn unfilled(text: &str) -> Vec<Finding> {
    let found = tokens(text);
    let mut reading = Reading {
        text,
        tokens: &found,
        parameters: parameters(text, &found),
        exported: exported(text, &found),
        scopes: vec![Scope {
            names: vec![],
            is_function: false,
        }],
        coming: vec![],
        function_comes: false,
        findings: vec![],
    };
    for at in 0..found.len() {
        reading.token(at);
    }
    reading.findings
}

struct Reading<'a> {
    text: &'a str,
    tokens: &'a [Token],
    parameters: BTreeSet<&'a str>,
    exported: BTreeSet<&'a str>,
    scopes: Vec<Scope<'a>>,
    /// Names that the next block begins with.
    coming: Vec<&'a str>,
    function_comes: bool,
    findings: Vec<Finding>,
}

impl<'a> Reading<'a> {
    fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| &self.text[t.span.clone()])
    }

    fn is(&self, at: usize, mark: char) -> bool {
        self.tokens.get(at).is_some_and(|t| t.is(mark))
    }

    fn token(&mut self, at: usize) {
        match self.tokens[at].kind {
            Kind::Word => self.declaration(at),
            Kind::Quoted => self.quoted(at),
            Kind::Mark('{') => {
                let is_function = std::mem::take(&mut self.function_comes);
                let names = std::mem::take(&mut self.coming);
                self.scopes.push(Scope { names, is_function });
            }
            Kind::Mark('}') if self.scopes.len() > 1 => {
                self.scopes.pop();
            }
            Kind::Mark('|') if self.begins_a_closure(at) => {
                let names = self.words_until(at + 1, '|');
                let end = (at + 1..self.tokens.len()).find(|&i| self.is(i, '|'));
                let has_block = end.is_some_and(|end| self.is(end + 1, '{'));
                if has_block {
                    self.coming.extend(names);
                } else {
                    self.declare(names);
                }
            }
            _ => {}
        }
    }

    fn declaration(&mut self, at: usize) {
        match self.word(at) {
            "let" | "const" => self.declare(vec![self.word(at + 1)]),
            "for" if self.is(at + 1, '(') => {
                let names = self.words_until(at + 2, ')');
                self.coming.extend(names);
            }
            "for" => self.coming.push(self.word(at + 1)),
            "catch" if self.is(at + 1, '(') => self.coming.push(self.word(at + 2)),
            "fn" => {
                self.coming = self.words_until(at + 3, ')');
                self.function_comes = true;
            }
            _ => {}
        }
    }

    fn declare(&mut self, names: Vec<&'a str>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.extend(names);
        }
    }

    fn words_until(&self, from: usize, end: char) -> Vec<&'a str> {
        (from..self.tokens.len())
            .take_while(|&i| !self.is(i, end))
            .filter(|&i| self.tokens[i].kind == Kind::Word)
            .map(|i| self.word(i))
            .collect()
    }

    /// Elsewhere a bar is "or".
    fn begins_a_closure(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return true };
        match self.tokens[before].kind {
            Kind::Mark(mark) => matches!(mark, '(' | ',' | '=' | ':' | '{' | '}' | ';' | '[' | '>'),
            Kind::Word => self.word(before) == "return",
            _ => false,
        }
    }

    fn in_reach(&self, name: &str) -> bool {
        if GLOBALS.contains(&name) || self.parameters.contains(name) {
            return true;
        }
        for scope in self.scopes.iter().rev() {
            if scope.names.contains(&name) {
                return true;
            }
            if scope.is_function {
                return false;
            }
        }
        false
    }

    fn quoted(&mut self, at: usize) {
        let span = self.tokens[at].span.clone();
        let quoted = &self.text[span.clone()];
        for (start, _) in quoted.match_indices("${") {
            let inside = &quoted[start + 2..];
            let name_ends = inside
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(inside.len());
            let (name, rest) = inside.split_at(name_ends);
            // What else may follow is the shell's: `${name:-default}`.
            let is_ours = rest.starts_with(['}', '.', '[', '(', ' ']) && rest.contains('}');
            if !is_ours || !self.in_reach(name) || self.exported.contains(name) || sets(quoted, name) {
                continue;
            }
            let written = &inside[..inside.find('}').unwrap_or(name_ends)];
            let mut help = "write the text between backticks".to_string();
            let plain = &quoted[1..quoted.len().saturating_sub(1).max(1)];
            if !plain.contains(['`', '\\', '\n']) && plain.len() < 70 {
                help = format!("write the text between backticks: `{plain}`");
            }
            let place = place(self.text, span.start + start);
            self.findings.push(Finding {
                severity: Severity::Warning,
                code: "not-filled-in",
                message: format!("`${{{written}}}` is filled in only between backticks"),
                help: Some(help),
                line: place.line().unwrap_or(0),
                column: place.position().unwrap_or(1),
            });
        }
    }
}

/// Whether a line for the shell gives the variable its value itself.
fn sets(line: &str, name: &str) -> bool {
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '='));
    let mut before = "";
    words.any(|word| {
        let sets = word.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
            || (word == name && matches!(before, "for" | "read" | "export" | "local" | "declare"));
        before = word;
        sets
    })
}

/// The names in `param("name"`.
fn parameters<'a>(text: &'a str, tokens: &[Token]) -> BTreeSet<&'a str> {
    let windows = tokens.windows(3);
    let declared = windows.filter(|w| &text[w[0].span.clone()] == "param" && w[1].is('(') && w[2].kind == Kind::Quoted);
    declared.map(|w| text[w[2].span.clone()].trim_matches('"')).collect()
}

/// The variables that the script gives to its commands: `env.NAME = …`, `env: #{ NAME: … }`.
fn exported<'a>(text: &'a str, tokens: &[Token]) -> BTreeSet<&'a str> {
    let word = |at: usize| tokens.get(at).map_or("", |t: &Token| &text[t.span.clone()]);
    let mut names = BTreeSet::new();
    for at in (0..tokens.len()).filter(|&at| word(at) == "env") {
        if word(at + 1) == "." && word(at + 3) == "=" {
            names.insert(word(at + 2));
        }
        if word(at + 1) == ":" && word(at + 2) == "#" {
            let inside = (at + 4..tokens.len()).take_while(|&i| word(i) != "}");
            names.extend(inside.filter(|&i| word(i + 1) == ":").map(word));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::unfilled;

    fn places(text: &str) -> Vec<(usize, usize)> {
        unfilled(text).iter().map(|f| (f.line, f.column)).collect()
    }

    #[test]
    fn a_variable_in_reach_between_double_quotes_is_found_at_its_place() {
        assert_eq!(
            places("let seed = 3;\nphase(\"a\", || { shell(\"echo ${seed} ${HOME}\"); });"),
            [(2, 29)]
        );
        assert_eq!(places("for n in [1] { shell(\"${n}\"); }"), [(1, 23)]);
        assert_eq!(places("for (n, i) in [1] { shell(\"${i}\"); }"), [(1, 28)]);
        assert_eq!(places("let f = |x| shell(\"${x.a}\");"), [(1, 20)]);
        assert_eq!(places("fn f(x) { \"${x[0]}\" }"), [(1, 12)]);
        assert_eq!(places("log_info(\"${run.dir}\");"), [(1, 11)]);
        assert_eq!(places("param(\"lr\", 0.1); fn f() { \"${lr}\" }"), [(1, 29)]);
        assert_eq!(places("try { 1 } catch (e) { \"${e}\" }"), [(1, 24)]);
        assert_eq!(places("let seed = 3; `${f(\"${seed}\")}`"), [(1, 21)]);
    }

    #[test]
    fn what_the_shell_is_to_fill_in_is_left_alone() {
        for text in [
            "shell(\"echo ${HOME}\");",
            "let seed = 3; shell(`echo ${seed}`);",
            "let seed = 3; shell(\"seed=5; echo ${seed}\");",
            "let seed = 3; shell(\"for seed in 1 2; do echo ${seed}; done\");",
            "let seed = 3; shell(\"echo ${seed:-4}\");",
            "let seed = 3; shell(\"echo ${seed}\", #{ env: #{ seed: 3 } });",
            "let seed = 3; env.seed = 4; shell(\"echo ${seed}\");",
            "let seed = 3; fn f() { \"${seed}\" }",
            "if true { let seed = 3; } shell(\"echo ${seed}\");",
            "for n in [1] { } shell(\"echo ${n}\");",
            "fn f(n) { } shell(\"echo ${n}\");",
            "let a = 1 | 2; let n = a | 3; // \"${n}\"",
        ] {
            assert_eq!(places(text), [], "{text}");
        }
    }
}
