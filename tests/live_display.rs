//! What a run draws on a terminal while it is on.

mod common;

use common::Workplace;
use common::terminal::Terminal;

#[test]
fn a_program_that_draws_over_one_line_is_shown_where_it_stands() {
    let workplace = Workplace::with_script(
        r#"phase("train", || { shell("printf '\\r 10%%|#   |\\r\\033[32m 42%%|####|\\033[0m'; until test -e go; do sleep 0.02; done"); });"#,
    );
    let mut terminal = Terminal::start(workplace.command(&["run", "pipeline.rhai"]).env("TERM", "xterm"));
    let drawn = terminal.expect("42%|####|");
    assert!(!drawn.contains("10%|#"), "only where it stands now: {drawn}");
    workplace.write("go", "");
    terminal.expect("completed");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn phases_for_which_the_terminal_has_no_row_are_counted() {
    let workplace = Workplace::with_script(
        r#"for n in 0..8 { let name = `p${n}`; phase(name, || { shell("until test -e go; do sleep 0.05; done"); }); }"#,
    );
    let arguments = ["run", "pipeline.rhai", "-j", "8"];
    let mut terminal = Terminal::start_with_rows(workplace.command(&arguments).env("TERM", "xterm"), 3);
    terminal.expect("and 6 more");
    workplace.write("go", "");
    assert_eq!(terminal.end(), 0);
}
