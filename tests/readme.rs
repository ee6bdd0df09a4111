//! README.md and docs/*.md say what is so: their scripts run, their commands print what is shown, and the reference names
//! everything that there is.
//!
//! A block is marked by the first word behind its fence:
//! - `rhai`: a whole script. It passes `check` without a warning and runs to its end; with `rhai check` it is only checked.
//! - `console`: commands behind `$ `, run in order in one scratch directory a document, which begins as a copy of
//!   `docs/example`. What stands below a command must be printed, in this order; `…` stands for anything. A command ends
//!   with 0 unless its last line says `(exit code N)`.
//! - `sh`: commands to adapt, with paths that are not there: they must parse, and name commands and options that exist.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Workplace;

struct Block {
    file: String,
    line: usize,
    language: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn documents() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("docs"))
        .expect("docs/ is there")
        .map(|entry| format!("docs/{}", entry.expect("an entry").file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    names.insert(0, "README.md".into());
    names
}

fn blocks_of(file: &str) -> Vec<Block> {
    let mut found = vec![];
    let mut open: Option<Block> = None;
    for (index, line) in read(file).lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block {
                    file: file.into(),
                    line: index + 1,
                    language: language.trim().into(),
                    text: String::new(),
                });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{file}: a block is not closed");
    found
}

fn blocks(language: &str) -> Vec<Block> {
    let all = documents().into_iter().flat_map(|file| blocks_of(&file));
    let chosen: Vec<Block> = all.filter(|b| b.language.split(' ').next() == Some(language)).collect();
    assert!(!chosen.is_empty(), "no document has a block of {language}");
    chosen
}

/// A scratch directory with the example's files, in which `jumar` is on the PATH.
fn example() -> Workplace {
    let workplace = Workplace::new();
    for entry in std::fs::read_dir(root().join("docs/example")).expect("docs/example is there") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, workplace.path().join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    workplace
}

fn shell(workplace: &Workplace, line: &str) -> (i32, String) {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_jumar"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a directory").display(),
        std::env::var("PATH").expect("a PATH")
    );
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .current_dir(workplace.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", workplace.path())
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn every_script_in_the_documents_passes_check_and_runs() {
    for block in blocks("rhai") {
        let at = format!("{}:{}\n{}", block.file, block.line, block.text);
        let workplace = example().env("CUDA_VISIBLE_DEVICES", "0,1");
        workplace.write("block.rhai", &block.text);
        let checked = workplace.jumar(&["check", "block.rhai"]);
        assert_eq!(checked.code, 0, "{at}\n{}{}", checked.stdout, checked.stderr);
        assert!(!checked.stdout.contains("warning"), "{at}\n{}", checked.stdout);
        if block.language != "rhai check" {
            let ran = workplace.jumar(&["run", "block.rhai"]);
            assert_eq!(ran.code, 0, "{at}\n{}{}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn every_console_block_in_the_documents_prints_what_it_shows() {
    for file in documents() {
        let workplace = example();
        for block in blocks_of(&file).into_iter().filter(|b| b.language == "console") {
            for command in format!("\n{}", block.text).split("\n$ ").skip(1) {
                let (line, shown) = command.split_once('\n').unwrap_or((command, ""));
                let (code, printed) = shell(&workplace, line);
                let at = format!("{}:{}: $ {line}\n{printed}", block.file, block.line);
                let mut lines = printed.lines().map(without_times);
                let mut expected = 0;
                for wanted in shown.lines().map(without_times).filter(|l| !l.is_empty() && l != "…") {
                    if let Some(number) = wanted.strip_prefix("(exit code ").and_then(|l| l.strip_suffix(')')) {
                        expected = number.parse().expect("a number");
                    } else {
                        assert!(lines.any(|l| l == wanted), "this is not printed there: {wanted}\n{at}");
                    }
                }
                assert_eq!(code, expected, "{at}");
            }
        }
    }
}

/// A line without what differs from run to run: dates, durations, the width of columns.
fn without_times(line: &str) -> String {
    let mut text = line.split_whitespace().collect::<Vec<_>>().join(" ");
    for (pattern, with) in [
        (r"\d{8}_\d{6}(_\d+)?", "DATE"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME"),
        (r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d{1,2} \d\d:\d\d:\d\d UTC \d{4}", "TIME"),
        (r"\b\d+m \d+s\b|\b\d+(\.\d+)? ?(ms|s)\b", "SPAN"),
        (r"\b(pid|process) \d+", "PID"),
        (r"(experiment_state):\d+:\d+", "$1:AT"),
    ] {
        let pattern = regex_lite::Regex::new(pattern).expect("a good pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn every_shell_command_in_the_documents_parses_and_names_options_that_exist() {
    let workplace = Workplace::new();
    for block in blocks("sh") {
        let at = format!("{}:{}\n{}", block.file, block.line, block.text);
        let file = workplace.write("block.sh", &block.text);
        let parsed = Command::new("bash").arg("-n").arg(file).status().expect("bash starts");
        assert!(parsed.success(), "{at}");
        for line in block.text.lines() {
            let line = line.split(" #").next().unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().skip_while(|w| *w != "jumar").skip(1).collect();
            let Some(command) = words.iter().find(|w| !w.starts_with('-')) else {
                continue;
            };
            let help = workplace.jumar(&[command, "--help"]);
            assert_eq!(help.code, 0, "jumar has no command {command}: {at}");
            for option in words.iter().filter(|w| w.starts_with("--")) {
                let name = option.split('=').next().unwrap_or(option);
                let known: BTreeSet<&str> = help.stdout.split([' ', ',', '\n']).collect();
                assert!(known.contains(name), "jumar {command} has no option {name}: {at}");
            }
        }
    }
}

#[test]
fn the_example_in_the_readme_is_the_one_in_the_repository() {
    let example = read("docs/example/pipeline.rhai");
    let shown = blocks_of("README.md")
        .into_iter()
        .find(|b| b.language.starts_with("rhai"));
    assert_eq!(shown.expect("a script in the README").text, example);
}

#[test]
fn the_reference_has_a_heading_for_every_primitive_and_no_other() {
    let reference = read("docs/script-reference.md");
    let section = reference
        .split("\n## ")
        .find(|s| s.starts_with("Primitives"))
        .expect("a section");
    let described: BTreeSet<String> = headings(section).collect();
    let handles = ["state", "env", "run"].map(String::from);
    let methods = ["contains", "keys", "remove", "to_map", "to_string", "to_debug"];
    let there: BTreeSet<String> = jumar::script::primitives()
        .into_iter()
        .map(|p| p.name)
        .filter(|name| !methods.contains(&name.as_str()))
        .chain(handles)
        .collect();
    assert_eq!(described, there);
}

#[test]
fn the_reference_has_a_heading_for_every_function_of_the_standard_modules_and_no_other() {
    let reference = read("docs/script-reference.md");
    for entry in std::fs::read_dir(root().join("stdlib")).expect("stdlib/ is there") {
        let path = entry.expect("an entry").path();
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).expect("a module");
        let there: BTreeSet<String> = source
            .lines()
            .filter_map(|line| {
                line.strip_prefix("fn ")?
                    .split_once('(')
                    .map(|(name, _)| name.to_string())
            })
            .collect();
        let begin = format!("std/{module}\n");
        let section = reference.split("\n## ").find(|s| s.starts_with(&begin));
        let described: BTreeSet<String> = headings(section.unwrap_or_default()).collect();
        assert_eq!(described, there, "std/{module}");
    }
}

/// The names in headings such as "### `shell(cmd, opts?)`" and "### `skip(why)`, `fail()`".
fn headings(section: &str) -> impl Iterator<Item = String> {
    let lines = section.lines().filter_map(|line| line.strip_prefix("### "));
    lines.flat_map(|line| {
        let named = line.split('`').skip(1).step_by(2);
        named.map(|code| code.split(['(', '.']).next().unwrap_or(code).to_string())
    })
}

#[test]
fn the_reference_names_every_option_of_a_primitive() {
    let reference = read("docs/script-reference.md");
    for primitive in jumar::script::primitives() {
        // The documentation names them in its paragraph that begins with "Options:".
        let Some((_, options)) = primitive.docs.split_once("Options:") else {
            continue;
        };
        let options = options.split("\n\n").next().unwrap_or(options);
        let heading = format!("`{}(", primitive.name);
        let section = reference.split("\n### ").find(|s| s.starts_with(&heading));
        let pieces: Vec<&str> = options.split('`').collect();
        // Text and names take turns; "see `retry`" names something else.
        for pair in pieces.chunks_exact(2).filter(|pair| !pair[0].ends_with("see ")) {
            let option = pair[1];
            let name = option.split(':').next().unwrap_or(option);
            let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(
                !is_name || section.unwrap_or_default().contains(&format!("| `{name}`")),
                "{} has the option {name}",
                primitive.name
            );
        }
    }
}

#[test]
fn the_readme_lists_the_exit_codes_that_the_help_lists() {
    let codes = |text: &str, split: &[char]| -> BTreeSet<u8> {
        text.split(split).filter_map(|word| word.trim().parse().ok()).collect()
    };
    let help = Workplace::new().jumar(&["help", "exit-codes"]).code(0).stdout;
    let first_words: Vec<&str> = help.lines().filter_map(|l| l.split_whitespace().next()).collect();
    let readme = read("README.md");
    let table = readme.split("| exit code |").nth(1).expect("a table of exit codes");
    let rows = table.lines().skip(2).take_while(|l| l.starts_with('|'));
    let first_cells: Vec<&str> = rows.filter_map(|l| l.split('|').nth(1)).collect();
    assert_eq!(
        codes(&first_cells.join(","), &[',']),
        codes(&first_words.join(","), &[','])
    );
}

#[test]
fn the_page_on_the_state_file_names_every_section_and_every_fixed_key_that_is_written() {
    let page = read("docs/state-file.md");
    let workplace = Workplace::new();
    workplace.write(
        "all.rhai",
        r#"
            let n = param("n", 1);
            phase("a", #{ on_failure: |f| retry(#{ params: #{ n: 2 } }) }, || {
                if param("n") == 1 { shell("exit 1") }
                shell("echo x > " + quote(run.dir + "/x"));
                checkpoint(run.dir + "/x");
                metric("m", 1);
                step("s", || 1);
                phase("child", || 1);
                7
            });
            phase("b", #{ on_failure: |f| skip("why") }, || { shell("exit 1") });
            phase("c", #{ after: "a", on_failure: |f| retry(#{ env: #{ X: 1 }, delay: "1h" }) }, || { throw "no" });
        "#,
    );
    let mut child = workplace.start(&["run", "all.rhai", "-p", "n=1"]);
    common::wait_until("the retry of c is recorded", || {
        let there = |run: &String| workplace.exists(&format!("{run}/.experiment_state"));
        workplace.runs().iter().any(there) && workplace.value("overrides", "c.next").is_some()
    });
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
    let mut section = String::new();
    let mut seen = BTreeSet::new();
    for line in workplace.state().lines().filter(|l| !l.starts_with('#')) {
        if line.starts_with('[') {
            section = line.into();
            seen.insert(section.clone());
            assert!(page.contains(&format!("| `{section}` |")), "the section {section}");
        } else if let Some((key, _)) = line.split_once('=')
            && ["[metadata]", "[failures]"].contains(&section.as_str())
        {
            assert!(page.contains(&format!("`{key}`")), "{section} {key}");
        }
    }
    let words = "metadata phases checkpoints failures params param_sources attempts steps results metrics overrides declared fingerprints";
    assert_eq!(seen, words.split(' ').map(|w| format!("[{w}]")).collect());
}

#[test]
fn the_picture_shows_what_a_terminal_shows() {
    let workplace = example();
    let mut shown = String::from("$ jumar run pipeline.rhai $ BATCH_SIZE=4 jumar resume ");
    for line in ["jumar run pipeline.rhai", "BATCH_SIZE=4 jumar resume"] {
        // script(1) gives it a terminal.
        let (_, printed) = shell(
            &workplace,
            &format!("script -qec 'stty cols 104; export TERM=xterm-256color; {line}' /dev/null"),
        );
        let escapes = regex_lite::Regex::new("\x1b\\[[0-9;?]*[a-zA-Z]").expect("a good pattern");
        shown.push_str(&escapes.replace_all(&printed, " "));
    }
    let shown = without_times(&shown);
    let picture = read("docs/run.svg");
    let texts = picture
        .split("</text>")
        .filter_map(|piece| piece.rsplit_once('>').map(|(_, text)| text));
    let mut count = 0;
    for text in texts.filter(|text| !text.trim().is_empty()) {
        let text = text
            .replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&#x27;", "'")
            .replace("&amp;", "&");
        let text = without_times(&text);
        assert!(shown.contains(&text), "not shown: {text}\nin: {shown}");
        count += 1;
    }
    assert!(count > 40, "{count} pieces of text: draw it anew with docs/picture.py");
}
