//! Options that are not jumar's own: a script's parameters. They are taken out before clap reads the rest.

use std::path::Path;

use clap::Command;

use crate::plan::RawOption;
use crate::script::STOCK_MODES;

/// Splits the command line into what clap reads and the options of the script. A script or a mode of the stock pipeline in
/// the place of a command means `run`.
pub(super) fn split(program: &Command, mut words: Vec<String>) -> (Vec<String>, Vec<RawOption>) {
    let Some(at) = (1..words.len()).find(|&i| !words[i].starts_with('-')) else {
        return (words, vec![]);
    };
    if words[at] == "help" && words.get(at + 1).is_some_and(|w| w == "exit-codes") {
        words.splice(at..=at + 1, ["exit-codes".to_string()]);
        return (words, vec![]);
    }
    let known = |word: &str| word == "help" || program.get_subcommands().any(|c| c.get_name() == word);
    let script = |word: &str| STOCK_MODES.contains(&word) || word.ends_with(".rhai") || Path::new(word).is_file();
    if !known(&words[at]) && script(&words[at]) {
        words.insert(at, "run".into());
    }
    match program
        .find_subcommand(&words[at])
        .filter(|c| matches!(c.get_name(), "run" | "resume" | "rehearse" | "check"))
    {
        Some(command) => split_run(program, command, words, at),
        None => (words, vec![]),
    }
}

fn split_run(program: &Command, command: &Command, words: Vec<String>, at: usize) -> (Vec<String>, Vec<RawOption>) {
    let own: Vec<&clap::Arg> = command.get_arguments().chain(program.get_arguments()).collect();
    let long = |name: &str| {
        own.iter()
            .find(|a| a.get_long() == Some(name) || a.get_all_aliases().is_some_and(|all| all.contains(&name)))
    };
    let short = |letter: char| own.iter().find(|a| a.get_short() == Some(letter));
    let valued = |argument: &clap::Arg| argument.get_action().takes_values();
    let mut rest = words[at + 1..].iter().cloned().peekable();
    let mut kept = words[..=at].to_vec();
    let mut raw: Vec<RawOption> = Vec::new();
    let mut positionals = 0;
    while let Some(word) = rest.next() {
        if word == "--" {
            kept.push(word);
            kept.extend(rest.by_ref());
        } else if let Some(body) = word.strip_prefix("--") {
            let (name, inline) = body
                .split_once('=')
                .map_or((body, None), |(n, v)| (n, Some(v.to_string())));
            // Help is clap's own where the command has none of its own.
            if name == "help" && long(name).is_none() {
                kept.push(word);
                continue;
            }
            match long(name) {
                Some(argument) => {
                    let wants = valued(argument) && inline.is_none();
                    kept.push(word.clone());
                    kept.extend(rest.next_if(|_| wants));
                }
                None => {
                    let name = name.to_string();
                    let following = if inline.is_none() {
                        rest.next_if(|next| is_value(next))
                    } else {
                        None
                    };
                    raw.push(RawOption {
                        name,
                        inline,
                        following,
                    });
                }
            }
        } else if word.len() > 1 && word.starts_with('-') {
            // Of `-vj 4` the last letter decides about the word after it.
            let wants = word
                .chars()
                .skip(1)
                .position(|c| short(c).is_some_and(|a| valued(a)))
                .is_some_and(|p| p + 2 == word.chars().count());
            kept.push(word);
            kept.extend(rest.next_if(|_| wants));
        } else {
            positionals += 1;
            kept.push(word);
        }
    }
    if positionals == 0 {
        // `run --switch script.rhai`: the word behind the switch is no value but the script.
        if let Some(script) = raw
            .iter_mut()
            .find_map(|o| o.following.take_if(|f| f.ends_with(".rhai") && Path::new(f).is_file()))
        {
            kept.push(script);
        }
    }
    (kept, raw)
}

/// A word that may be an option's value: anything but an option, and a negative number is no option.
fn is_value(word: &str) -> bool {
    !word.starts_with('-') || word == "-" || word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn split_line(line: &str) -> (String, Vec<String>) {
        let words = line.split(' ').map(String::from).collect();
        let (kept, raw) = split(&super::super::args::Arguments::command(), words);
        let shown = |o: RawOption| format!("{}={:?}/{:?}", o.name, o.inline, o.following);
        (kept.join(" "), raw.into_iter().map(shown).collect())
    }

    #[test]
    fn the_scripts_options_are_taken_out_wherever_they_stand() {
        let (kept, raw) = split_line("jumar run --lr 0.1 s.rhai --batch-size=4 -j 2 --phase 3 --shift -1");
        assert_eq!(kept, "jumar run s.rhai -j 2 --phase 3");
        assert_eq!(
            raw,
            [
                r#"lr=None/Some("0.1")"#,
                r#"batch-size=Some("4")/None"#,
                r#"shift=None/Some("-1")"#
            ]
        );
    }

    #[test]
    fn a_mode_or_a_script_in_the_place_of_a_command_means_run() {
        assert_eq!(
            split_line("jumar experiment --phase 1").0,
            "jumar run experiment --phase 1"
        );
        assert_eq!(split_line("jumar -q mine.rhai").0, "jumar -q run mine.rhai");
        assert_eq!(split_line("jumar statsu").0, "jumar statsu");
    }

    #[test]
    fn other_commands_are_left_alone() {
        assert_eq!(
            split_line("jumar status --nonsense 3"),
            ("jumar status --nonsense 3".into(), vec![])
        );
    }
}
