//! What a failed run says last: what failed, why, and how to go on. The heading and the three
//! lines are those that users of the bash runner know.

use super::duration::human_duration;
use super::harmless::{as_terminal_line, cut_to_width, visible};
use super::style::{Tone, paint};

const HEADING: &str = "FAILURE RECOVERY INSTRUCTIONS";
const MOST_LOG_LINES: usize = 20;
const LONGEST_LOG_LINE: usize = 500;
/// Where the values of `Phase:`, `Kind:` … begin.
const VALUE_COLUMN: usize = 9;

/// One phase that failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failure<'a> {
    /// The phase's name.
    pub phase: &'a str,
    /// The step within the phase, if it failed in one.
    pub step: Option<&'a str>,
    /// Which attempt it was, from 1.
    pub attempt: u64,
    /// How long that attempt took, in seconds.
    pub seconds: f64,
    /// The failure's kind, such as `oom_host`.
    pub kind: &'a str,
    /// What went wrong, in words; may be empty.
    pub message: &'a str,
    /// The command that failed, if a command did.
    pub command: Option<&'a str>,
    /// Where the whole log is, if there is one.
    pub log: Option<&'a str>,
    /// The end of the log. At most the last 20 are shown, without escape codes.
    pub last_lines: &'a [String],
    /// The script's own error, drawn, when the script is at fault; shown whole.
    pub diagnostic: Option<&'a str>,
}

/// All that the banner shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Banner<'a> {
    /// The phases that failed, in the order to show.
    pub failures: &'a [Failure<'a>],
    /// Advice, each printed as `hint: …`.
    pub hints: &'a [String],
    /// The literal command that resumes the run, quoted for the shell.
    pub resume_command: &'a str,
}

/// The banner as lines, each ended by a newline; without escape codes unless `colored`.
pub fn failure_banner(banner: &Banner<'_>, colored: bool) -> String {
    let mut text = format!(
        "{}\n========================================\n\
         The experiment has failed but state has been saved.\n",
        paint(Tone::Bad, HEADING, colored)
    );
    for failure in banner.failures {
        text.push('\n');
        text += &section(failure, colored);
    }
    if !banner.hints.is_empty() {
        text.push('\n');
    }
    for hint in banner.hints {
        text += &format!("{} {}\n", paint(Tone::Accent, "hint:", colored), visible(hint));
    }
    text += &format!(
        "\nTo resume from where it failed, run:\n  {}\n\n\
         This will:\n  \
         1. Skip already completed phases\n  \
         2. Re-attempt the failed phase\n  \
         3. Continue with remaining phases\n",
        paint(Tone::Bold, &visible(banner.resume_command), colored)
    );
    text
}

fn section(failure: &Failure<'_>, colored: bool) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        text += &paint(Tone::Bold, name, colored);
        text += &" ".repeat(VALUE_COLUMN.saturating_sub(name.len()));
        text += &indented(value);
        text.push('\n');
    };
    let took = human_duration(failure.seconds);
    field(
        "Phase:",
        &format!("{}  (attempt {}, after {took})", failure.phase, failure.attempt),
    );
    if let Some(step) = failure.step {
        field("Step:", step);
    }
    if failure.message.trim().is_empty() {
        field("Kind:", failure.kind);
    } else {
        field("Kind:", &format!("{}: {}", failure.kind, failure.message));
    }
    if let Some(command) = failure.command {
        field("Command:", command);
    }
    if let Some(log) = failure.log {
        field("Log:", log);
    }
    if let Some(diagnostic) = failure.diagnostic {
        text.push('\n');
        for line in diagnostic.lines() {
            text += format!("  {}", as_terminal_line(line)).trim_end();
            text.push('\n');
        }
    }
    text += &log_lines(failure.last_lines, colored);
    text
}

fn log_lines(lines: &[String], colored: bool) -> String {
    let shown = &lines[lines.len().saturating_sub(MOST_LOG_LINES)..];
    if shown.is_empty() {
        return String::new();
    }
    let bar = paint(Tone::Dim, "|", colored);
    let mut text = "\nLast lines of the log:\n".to_owned();
    for line in shown {
        let line = as_terminal_line(line);
        let line = format!("  {bar} {}", cut_to_width(&line, LONGEST_LOG_LINE));
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A value of several lines, its later lines under its first.
fn indented(value: &str) -> String {
    let continued = format!("\n{}", " ".repeat(VALUE_COLUMN));
    visible(value.trim_end()).replace('\n', &continued)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_memory(lines: &[String]) -> Failure<'_> {
        Failure {
            phase: "training",
            attempt: 1,
            seconds: 3.2,
            kind: "oom_host",
            message: "MemoryError: cannot allocate 4096 MiB",
            command: Some("python3 small/train.py --batch-size 64"),
            log: Some("runs/small_20260101_120000/logs/training_1.log"),
            last_lines: lines,
            ..Failure::default()
        }
    }

    #[test]
    fn one_failed_phase() {
        let lines = [
            "epoch 1 loss 0.69".to_owned(),
            String::new(),
            "\u{1b}[31mMemoryError\u{1b}[0m\r".to_owned(),
        ];
        let banner = Banner {
            failures: &[out_of_memory(&lines)],
            hints: &["a smaller batch needs less memory: `BATCH_SIZE=4`".to_owned()],
            resume_command: "jumar resume runs/small_20260101_120000",
        };
        insta::assert_snapshot!(failure_banner(&banner, false), @"
        FAILURE RECOVERY INSTRUCTIONS
        ========================================
        The experiment has failed but state has been saved.

        Phase:   training  (attempt 1, after 3.2s)
        Kind:    oom_host: MemoryError: cannot allocate 4096 MiB
        Command: python3 small/train.py --batch-size 64
        Log:     runs/small_20260101_120000/logs/training_1.log

        Last lines of the log:
          | epoch 1 loss 0.69
          |
          | MemoryError

        hint: a smaller batch needs less memory: `BATCH_SIZE=4`

        To resume from where it failed, run:
          jumar resume runs/small_20260101_120000

        This will:
          1. Skip already completed phases
          2. Re-attempt the failed phase
          3. Continue with remaining phases
        ");
    }

    #[test]
    fn several_failed_phases_share_one_command_to_resume() {
        let script = Failure {
            phase: "phase3_baselines",
            step: Some("sst2"),
            attempt: 3,
            seconds: 185.0,
            kind: "script",
            message: "`accuracy` is missing\nin results.json",
            ..Failure::default()
        };
        let bare = Failure {
            phase: "phase4_efficiency",
            attempt: 1,
            kind: "timeout",
            ..script
        };
        let bare = Failure {
            step: None,
            message: "",
            ..bare
        };
        let banner = Banner {
            failures: &[script, bare],
            hints: &[],
            resume_command: "jumar resume 'runs/my run'",
        };
        insta::assert_snapshot!(failure_banner(&banner, false), @"
        FAILURE RECOVERY INSTRUCTIONS
        ========================================
        The experiment has failed but state has been saved.

        Phase:   phase3_baselines  (attempt 3, after 3m 05s)
        Step:    sst2
        Kind:    script: `accuracy` is missing
                 in results.json

        Phase:   phase4_efficiency  (attempt 1, after 3m 05s)
        Kind:    timeout

        To resume from where it failed, run:
          jumar resume 'runs/my run'

        This will:
          1. Skip already completed phases
          2. Re-attempt the failed phase
          3. Continue with remaining phases
        ");
    }

    #[test]
    fn at_most_the_last_twenty_lines_are_shown() {
        let lines: Vec<String> = (1..=25).map(|number| format!("line {number}")).collect();
        let banner = Banner {
            failures: &[out_of_memory(&lines)],
            ..Banner::default()
        };
        let text = failure_banner(&banner, false);
        let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("  | ")).collect();
        assert_eq!(shown.len(), 20);
        assert_eq!((shown[0], shown[19]), ("  | line 6", "  | line 25"));
    }

    #[test]
    fn an_endless_log_line_is_cut() {
        let lines = ["x".repeat(100_000)];
        let banner = Banner {
            failures: &[out_of_memory(&lines)],
            ..Banner::default()
        };
        let text = failure_banner(&banner, false);
        assert!(text.lines().all(|line| line.chars().count() < 510));
        assert!(text.contains("xxx…\n"));
    }

    #[test]
    fn colours_say_nothing_that_the_words_do_not() {
        let lines = ["one".to_owned()];
        let banner = Banner {
            failures: &[out_of_memory(&lines)],
            hints: &["look".to_owned()],
            resume_command: "jumar resume",
        };
        let colored = failure_banner(&banner, true);
        let plain = failure_banner(&banner, false);
        assert!(!plain.contains('\u{1b}'));
        assert_ne!(colored, plain);
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
    }

    #[test]
    fn nothing_in_a_failure_can_act_on_the_terminal() {
        let failure = Failure {
            phase: "a\u{1b}[2J",
            kind: "exit",
            message: "\u{7}",
            command: Some("printf '\u{1b}c'"),
            log: Some("\u{9b}x"),
            ..Failure::default()
        };
        let banner = Banner {
            failures: &[failure],
            resume_command: "jumar \u{1b}",
            hints: &[],
        };
        let text = failure_banner(&banner, false);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
