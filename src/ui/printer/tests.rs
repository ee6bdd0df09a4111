use super::*;

/// A stream that fails every write with the same error.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn failing(kind: io::ErrorKind) -> Printer {
    let stream = || Stream::to_sink(Box::new(Failing(kind)), ColorChoice::Never, None);
    Printer::with_streams(Settings::default(), stream(), stream())
}

fn say_everything(printer: &Printer) {
    printer.result("6 phases");
    printer.json(&serde_json::json!({"phases": 6}));
    printer.info("starting");
    printer.detail("looking for python3");
    printer.warn("no GPU");
    printer.error("training failed");
    printer.hint("try again");
    printer.raw_stdout("raw out\n");
    printer.raw_stderr("raw err\n");
}

#[test]
fn results_go_to_standard_output_and_all_else_to_standard_error() {
    let settings = Settings {
        verbose: 1,
        ..Settings::default()
    };
    let (printer, captured) = Printer::captured(settings, None);
    say_everything(&printer);
    insta::assert_snapshot!(captured.stdout(), @r#"
    6 phases
    {
      "phases": 6
    }
    raw out
    "#);
    insta::assert_snapshot!(captured.stderr(), @"
    starting
    looking for python3
    warning: no GPU
    error: training failed
    hint: try again
    raw err
    ");
}

#[test]
fn quiet_keeps_results_warnings_and_errors() {
    let settings = Settings {
        quiet: true,
        verbose: 1,
        ..Settings::default()
    };
    let (printer, captured) = Printer::captured(settings, None);
    say_everything(&printer);
    assert!(captured.stdout().starts_with("6 phases\n"));
    insta::assert_snapshot!(captured.stderr(), @"
    warning: no GPU
    error: training failed
    hint: try again
    raw err
    ");
}

#[test]
fn a_detail_is_for_those_who_asked() {
    let (printer, captured) = Printer::captured(Settings::default(), None);
    printer.detail("looking for python3");
    assert_eq!(captured.stderr(), "");
}

#[test]
fn a_terminal_gets_colours_and_the_words_stay() {
    let (printer, captured) = Printer::captured(Settings::default(), Some(80));
    printer.warn("no GPU");
    printer.error("bad");
    printer.hint("look");
    assert_eq!(
        captured.stderr(),
        "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m no GPU\n\
         \u{1b}[1m\u{1b}[31merror:\u{1b}[0m bad\n\
         \u{1b}[36mhint:\u{1b}[0m look\n"
    );
}

#[test]
fn text_for_a_stream_without_colour_has_no_escape_codes() {
    let settings = Settings {
        color: ColorChoice::Never,
        verbose: 1,
        ..Settings::default()
    };
    let (printer, captured) = Printer::captured(settings, Some(80));
    say_everything(&printer);
    let painted = paint(Tone::Good, "completed", true);
    printer.result(&painted);
    printer.info(&painted);
    let all = captured.stdout() + captured.stderr().as_str();
    assert!(!all.contains('\u{1b}'), "{all:?}");
    assert!(captured.stdout().ends_with("completed\n"));
}

#[test]
fn a_message_cannot_act_on_the_terminal() {
    let (printer, captured) = Printer::captured(Settings::default(), Some(80));
    printer.error("cannot read `a\u{1b}[2Jb\u{7}`");
    assert!(
        captured.stderr().ends_with("cannot read `a␛[2Jb␇`\n"),
        "{:?}",
        captured.stderr()
    );
}

#[test]
fn a_closed_pipe_is_remembered_and_nothing_panics() {
    let printer = failing(io::ErrorKind::BrokenPipe);
    assert!(!printer.stdout_broken());
    say_everything(&printer);
    assert!(printer.stdout_broken());
    assert_eq!(printer.stdout_failure(), None);
}

#[test]
fn a_full_disk_behind_standard_output_is_worth_an_error() {
    let printer = failing(io::ErrorKind::StorageFull);
    printer.info("standard error alone does not count");
    assert!(!printer.stdout_broken());
    printer.result("6 phases");
    assert!(printer.stdout_broken());
    insta::assert_snapshot!(printer.stdout_failure().unwrap_or_default(), @"no storage space");
}

#[test]
fn a_logger_is_passed_on_line_by_line() {
    let (printer, captured) = Printer::captured(Settings::default(), None);
    let mut writer = printer.stderr_writer();
    write!(writer, "one\ntw").expect("never fails");
    assert_eq!(captured.stderr(), "one\n");
    write!(writer, "o\nthree").expect("never fails");
    assert_eq!(captured.stderr(), "one\ntwo\n");
    drop(writer);
    assert_eq!(captured.stderr(), "one\ntwo\nthree\n");
}

#[test]
fn only_a_terminal_has_a_width() {
    assert_eq!(Printer::captured(Settings::default(), None).0.stdout_width(), None);
    assert_eq!(
        Printer::captured(Settings::default(), Some(72)).0.stderr_width(),
        Some(72)
    );
}
