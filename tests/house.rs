//! House rules that a machine can check. `ARCHITECTURE.md` says why they are rules.
//!
//! The source is read as text: code of test modules (files called `tests.rs`, folders called `tests`, and what follows
//! `#[cfg(test)]`) is left out where a rule is about what ships.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, and for each the rooms below it that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "cli",
        &["report", "compare", "script", "run", "plan", "exec", "state", "ui"],
    ),
    ("report", &["compare", "run", "plan", "state", "ui"]),
    ("compare", &["run", "plan", "state", "ui"]),
    ("script", &["run", "plan", "exec", "state", "ui"]),
    ("run", &["plan", "exec", "state"]),
    ("plan", &[]),
    ("ui", &[]),
    ("exec", &[]),
    ("state", &[]),
];

/// More lines than this are two files.
const MOST_LINES: usize = 600;

struct Source {
    /// From `src/`, with `/`: `state/disk.rs`.
    path: String,
    text: String,
}

impl Source {
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    fn is_test(&self) -> bool {
        // The simulated disk is there for the tests alone.
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.contains("disk/simulated")
    }

    /// The lines of code that ship, with their numbers: no comments, no tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let shipped = if self.is_test() {
            ""
        } else {
            self.text
                .split("\n#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default()
        };
        let numbered = shipped.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let base = root().join("src");
    let mut paths = vec![];
    files(&base, "rs", &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the source is there");
    let read = |path: PathBuf| Source {
        path: path
            .strip_prefix(&base)
            .expect("below src")
            .to_string_lossy()
            .into_owned(),
        text: fs::read_to_string(&path).expect("a source file"),
    };
    paths.into_iter().map(read).collect()
}

/// All lines that ship and break a rule, as `path:line: text`.
fn offences(rule: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let sources = sources();
    let mut found = vec![];
    for source in &sources {
        let broken = source.code().filter(|(_, line)| rule(source, line));
        found.extend(broken.map(|(number, line)| format!("src/{}:{number}: {}", source.path, line.trim())));
    }
    found
}

#[track_caller]
fn none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// The rooms that a line names: `crate::state::…`, `crate::{plan, run}`.
fn rooms_named(line: &str) -> Vec<&str> {
    let mut named = vec![];
    for after in line.split("crate::").skip(1) {
        let group = after.strip_prefix('{').map_or(
            after
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or(after),
            |g| g.split('}').next().unwrap_or(g),
        );
        let words = group.split(',').map(|w| w.trim().split("::").next().unwrap_or(w));
        named.extend(words.filter(|w| ARROWS.iter().any(|(room, _)| room == w)));
    }
    named
}

#[test]
fn rooms_use_only_rooms_below_them() {
    none(offences(|source, line| {
        let allowed = ARROWS
            .iter()
            .find(|(room, _)| *room == source.room())
            .map(|(_, below)| *below);
        allowed.is_some_and(|below| {
            // A list over several lines would hide what it names.
            let hidden = line.trim_end().ends_with("crate::{");
            let upward = |named: &&str| *named != source.room() && !below.contains(named);
            hidden || rooms_named(line).iter().any(upward)
        })
    }));
}

#[test]
fn every_folder_of_the_source_is_a_room_and_nothing_lies_beside_the_rooms() {
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).chain(["lib", "main"]).collect();
    let strangers = sources().into_iter().filter(|s| !rooms.contains(&s.room()));
    none(strangers.map(|s| s.path).collect());
}

#[test]
fn only_the_script_room_knows_rhai() {
    let names = |line: &str| line.contains("rhai::") || line.contains("use rhai");
    none(offences(|source, line| source.room() != "script" && names(line)));
}

#[test]
fn only_the_terminal_rooms_write_to_the_terminal() {
    let writes = |line: &str| {
        ["println!", "eprintln!", "print!", "eprint!", "io::stdout", "io::stderr"]
            .iter()
            .any(|call| line.contains(call))
    };
    none(offences(|source, line| {
        !["ui", "cli"].contains(&source.room()) && writes(line)
    }));
}

#[test]
fn signal_handlers_are_installed_in_one_place_which_tells_what_must_be_reset_for_commands() {
    let installs = |line: &str| {
        ["signal_hook::", "sigaction(", "libc::signal("]
            .iter()
            .any(|call| line.contains(call))
    };
    // One asks what is ignored, the other sets defaults.
    let may = ["exec/signals.rs", "exec/local/spawn.rs", "exec/local/children.rs"];
    none(offences(|source, line| {
        installs(line) && !may.contains(&source.path.as_str())
    }));
}

#[test]
fn nothing_that_ships_unwraps() {
    none(offences(|_, line| line.contains(".unwrap()")));
}

#[test]
fn in_the_state_room_only_the_disk_touches_files() {
    let does = |line: &str| {
        ["fs::", "File::open", "File::create", "OpenOptions"]
            .iter()
            .any(|call| line.contains(call))
    };
    none(offences(|source, line| {
        source.room() == "state"
            && !source.path.starts_with("state/disk")
            && does(line)
            && line.trim() != "use std::fs::File;"
    }));
}

#[test]
fn no_source_file_is_longer_than_can_be_read() {
    let long = sources().into_iter().filter(|s| s.text.lines().count() > MOST_LINES);
    none(
        long.map(|s| format!("src/{} has {} lines", s.path, s.text.lines().count()))
            .collect(),
    );
}

#[test]
fn every_function_of_the_standard_modules_says_what_it_does() {
    let mut paths = vec![];
    files(&root().join("stdlib"), "rhai", &mut paths);
    assert!(!paths.is_empty(), "there are standard modules");
    let mut silent = vec![];
    for path in paths {
        let text = fs::read_to_string(&path).expect("a module");
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let documented = index > 0 && lines[index - 1].starts_with("///");
            if (line.starts_with("fn ") || line.starts_with("private fn ")) && !documented {
                silent.push(format!("{}:{}: {line}", path.display(), index + 1));
            }
        }
    }
    none(silent);
}

#[test]
fn every_file_of_the_source_begins_by_saying_what_it_is() {
    // Tests belong to the file that they test.
    let silent = sources()
        .into_iter()
        .filter(|s| !s.is_test() && !s.text.starts_with("//!"));
    none(silent.map(|s| format!("src/{}", s.path)).collect());
}

#[test]
fn the_binary_carries_every_standard_module_and_stock_script() {
    let embedded = fs::read_to_string(root().join("src/script/embedded.rs")).expect("a source file");
    let mut paths = vec![];
    files(&root().join("stdlib"), "rhai", &mut paths);
    files(&root().join("scripts"), "rhai", &mut paths);
    files(&root().join("scripts/small"), "py", &mut paths);
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    // The test of recovery is run from a clone.
    let wanted = paths.iter().map(name).filter(|name| name != "test_recovery.rhai");
    let missing = wanted.filter(|name| !embedded.contains(name.as_str()));
    none(missing.collect());
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let mut pages = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CHANGELOG.md"),
    ];
    files(&root().join("docs"), "md", &mut pages);
    let mut missing = vec![];
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let code = text.split('`').skip(1).step_by(2);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let here = page.parent().expect("a folder");
        let ours = ["src/", "docs/", "stdlib/", "scripts/", "tests/", ".ci/"];
        let named = code
            .filter(|c| ours.iter().any(|o| c.starts_with(o)) && !c.contains([' ', '*']))
            .map(|c| root().join(c));
        let linked = links.filter(|l| !l.contains("://")).map(|l| here.join(l));
        let gone = named.chain(linked).filter(|path| !path.exists());
        missing.extend(gone.map(|path| format!("{}: {}", page.display(), path.display())));
    }
    none(missing);
}
