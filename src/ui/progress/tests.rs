use super::*;
use crate::ui::{ColorChoice, Settings};

fn progress(settings: Settings, terminal: Option<usize>) -> (Progress, Printer, crate::ui::Captured) {
    let (printer, captured) = Printer::captured(settings, terminal);
    (Progress::new(&printer, 6), printer, captured)
}

fn run_three(progress: &Progress) {
    let training = progress.start("training", "");
    progress.detail(training, "python3 train.py");
    progress.last_line(training, "epoch 1\u{1b}[K");
    progress.finish(training, Outcome::Completed, 3.2, "");
    let statistical = progress.start("phase1_statistical", "attempt 2");
    progress.note("trying again");
    progress.finish(statistical, Outcome::Failed, 185.0, "oom_host");
    let efficiency = progress.start("phase4_efficiency", "");
    progress.finish(efficiency, Outcome::Interrupted, 12.0, "");
}

#[test]
fn a_pipe_gets_plain_lines() {
    let (progress, _, captured) = progress(Settings::default(), None);
    run_three(&progress);
    progress.clear();
    insta::assert_snapshot!(captured.stderr(), @"
    [1/6] training started
    [1/6] training completed in 3.2s
    [2/6] phase1_statistical started (attempt 2)
    trying again
    [2/6] phase1_statistical failed after 3m 05s (oom_host)
    [3/6] phase4_efficiency started
    [3/6] phase4_efficiency interrupted after 12s
    ");
    assert_eq!(captured.stdout(), "");
}

#[test]
fn colours_do_not_make_a_pipe_a_terminal() {
    let settings = Settings {
        color: ColorChoice::Always,
        ..Settings::default()
    };
    let (progress, _, captured) = progress(settings, None);
    run_three(&progress);
    assert!(!captured.stderr().contains('\u{1b}'), "{:?}", captured.stderr());
}

#[test]
fn a_pipe_hears_of_details_when_asked() {
    let (progress, _, captured) = progress(
        Settings {
            verbose: 1,
            ..Settings::default()
        },
        None,
    );
    let training = progress.start("training", "");
    progress.detail(training, "python3 train.py\n");
    assert!(captured.stderr().ends_with("[1/6] training: python3 train.py␊\n"));
}

#[test]
fn quiet_tells_only_of_failures() {
    let quiet = Settings {
        quiet: true,
        ..Settings::default()
    };
    for terminal in [None, Some(80)] {
        let (progress, _, captured) = progress(quiet, terminal);
        run_three(&progress);
        assert_eq!(
            captured.stderr(),
            "[2/6] phase1_statistical failed after 3m 05s (oom_host)\n"
        );
    }
}

#[test]
fn another_attempt_keeps_its_number() {
    let (progress, _, captured) = progress(Settings::default(), None);
    for name in ["a", "b", "a"] {
        let id = progress.start(name, "");
        progress.finish(id, Outcome::Completed, 1.0, "");
    }
    assert_eq!(captured.stderr().matches("[1/6] a started").count(), 2);
    assert!(captured.stderr().contains("[2/6] b started"));
}

#[test]
fn a_phase_ends_once() {
    let (progress, _, captured) = progress(Settings::default(), None);
    let id = progress.start("a", "");
    progress.finish(id, Outcome::Completed, 1.0, "");
    progress.finish(id, Outcome::Failed, 1.0, "");
    progress.detail(id, "late");
    progress.last_line(id, "late");
    assert!(captured.stderr().ends_with("[1/6] a completed in 1.0s\n"));
}

#[test]
fn a_terminal_keeps_one_line_for_each_phase_that_ended() {
    let settings = Settings {
        color: ColorChoice::Never,
        ..Settings::default()
    };
    let (progress, printer, captured) = progress(settings, Some(80));
    run_three(&progress);
    printer.warn("said while nothing runs");
    drop(progress);
    insta::assert_snapshot!(on_screen(&captured.stderr()), @"
    ✓ training  completed  3.2s
    trying again
    ✗ phase1_statistical  failed  3m 05s  oom_host
    ! phase4_efficiency  interrupted  12s
    warning: said while nothing runs
    ");
}

#[test]
fn messages_appear_above_the_running_phases() {
    let settings = Settings {
        color: ColorChoice::Never,
        ..Settings::default()
    };
    let (progress, printer, captured) = progress(settings, Some(80));
    let first = progress.start("first", "step one");
    let _second = progress.start("second", "step two");
    printer.warn("no GPU");
    printer.raw_stderr("a line without end");
    progress.finish(first, Outcome::Completed, 1.0, "");
    printer.info("one is left");
    // The spinner and the time depend on the clock; the order of the lines does not.
    let screen = on_screen(&captured.stderr());
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "warning: no GPU",
            "a line without end",
            "✓ first  completed  1.0s",
            "one is left"
        ]
    );
    assert!(lines[4].contains("[2/6] second"), "{screen}");
    assert!(lines[4].ends_with("step two"), "{screen}");
    assert_eq!(lines.len(), 5, "{screen}");
    progress.clear();
    assert_eq!(on_screen(&captured.stderr()).lines().count(), 4);
}

#[test]
fn leaving_at_once_wipes_what_is_drawn() {
    let settings = Settings {
        color: ColorChoice::Never,
        ..Settings::default()
    };
    let (progress, printer, captured) = progress(settings, Some(80));
    let first = progress.start("first", "");
    let _second = progress.start("second", "");
    printer.info("before");
    printer.end_progress();
    assert_eq!(on_screen(&captured.stderr()), "before\n");
    progress.finish(first, Outcome::Interrupted, 1.0, "");
    assert_eq!(on_screen(&captured.stderr()), "before\n! first  interrupted  1.0s\n");
}

#[test]
fn an_older_progress_does_not_end_a_newer_one() {
    let settings = Settings {
        color: ColorChoice::Never,
        ..Settings::default()
    };
    let (older, printer, captured) = progress(settings, Some(80));
    older.start("old", "");
    let newer = Progress::new(&printer, 1);
    newer.start("new", "");
    drop(older);
    printer.info("above");
    let screen = on_screen(&captured.stderr());
    assert!(screen.starts_with("above\n"), "{screen}");
    assert!(screen.contains("[1/1] new") && !screen.contains("old"), "{screen}");
}

#[test]
fn a_line_leaves_room_for_an_echoed_interrupt() {
    let settings = Settings {
        color: ColorChoice::Never,
        ..Settings::default()
    };
    let (progress, _, captured) = progress(settings, Some(40));
    let id = progress.start("training", "");
    progress.last_line(id, &"x".repeat(100_000));
    redraw(&progress);
    let screen = on_screen(&captured.stderr());
    let drawn = screen.lines().last().unwrap_or_default();
    assert!(drawn.ends_with("xx…"), "{drawn}");
    assert_eq!(drawn.chars().count(), 37);
}

#[test]
fn the_cursor_is_never_hidden() {
    let (progress, _, captured) = progress(Settings::default(), Some(80));
    run_three(&progress);
    progress.start("left running", "");
    drop(progress);
    assert!(!captured.stderr().contains("\u{1b}[?25l"));
}

#[test]
fn any_thread_may_report() {
    let (progress, _, captured) = progress(Settings::default(), Some(80));
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let progress = progress.clone();
            scope.spawn(move || {
                for round in 0..20 {
                    let id = progress.start(&format!("w{worker}r{round}"), "");
                    progress.last_line(id, "working");
                    progress.finish(id, Outcome::Completed, 0.1, "");
                }
            });
        }
    });
    drop(progress);
    assert_eq!(on_screen(&captured.stderr()).matches("completed").count(), 160);
}

/// Draws now what the next tick would draw.
fn redraw(progress: &Progress) {
    let lines: Vec<Line> = locked(&progress.shared.phases).running.values().cloned().collect();
    for bar in lines.into_iter().filter_map(|line| line.bar) {
        bar.force_draw();
    }
}

/// What a tall terminal would show after these bytes: enough of one for what a progress sends.
fn on_screen(bytes: &str) -> String {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = bytes.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => (row, column) = (row + 1, 0),
            '\r' => column = 0,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let mut count = String::new();
                let action = chars.by_ref().find(|c| {
                    count.push(*c);
                    c.is_ascii_alphabetic()
                });
                let count: usize = count[..count.len() - 1].parse().unwrap_or(1);
                match action {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('K') => rows[row].clear(),
                    Some('m') => {}
                    other => panic!("unexpected code {other:?}"),
                }
            }
            c => {
                let length = rows[row].len().max(column + 1);
                rows[row].resize(length, ' ');
                rows[row][column] = c;
                column += 1;
            }
        }
        rows.resize(rows.len().max(row + 1), Vec::new());
    }
    let lines: Vec<String> = rows.into_iter().map(String::from_iter).collect();
    format!("{}\n", lines.join("\n").trim_end())
}
