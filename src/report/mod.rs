//! Reports: one or more runs as a single page that needs nothing else, neither network nor scripts.
//!
//! The page is plain HTML with its style and drawings inside. It runs no JavaScript and says so to the browser (a content
//! security policy that allows nothing but inline style), so that whatever a log, a parameter or a name holds stays text. Everything that
//! comes from a run passes through [`html::Html::text`].
//!
//! Arrows: this room knows `compare` (facts and differences), `run` (records) and `state`; of `ui` it uses how durations
//! and amounts are said. It reads logs and never writes; `cli` decides where the page goes.

mod compared;
mod failures;
mod html;
mod json;
mod log_tail;
mod overview;
mod reported;
mod span;
mod tables;
mod timeline;

use compared::compared;
use html::Html;
pub use json::to_json;
pub use reported::Reported;

const STYLE: &str = include_str!("style.css");
/// Nothing is fetched and nothing is run, whatever the page holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page about some runs, of which there is at least one: of one everything that is known, of several how they differ, then
/// each of them.
pub fn page(runs: &[Reported]) -> String {
    let mut page = Html::new();
    let title = match runs {
        [one] => one.facts.name(),
        many => format!("{} runs compared", many.len()),
    };
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.open_with(
        "meta",
        &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)],
    );
    // Without one, a browser asks the server for an icon.
    page.raw("\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    page.text(&title);
    page.raw("</title>\n<style>\n");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n<body>\n<main>\n");
    match runs {
        [one] => whole(&mut page, one),
        many => {
            compared(&mut page, many);
            for (position, run) in many.iter().enumerate() {
                page.raw("<details class=\"run\"><summary>");
                page.element("b", "letter", &compared::letter(position));
                page.raw(" ");
                page.text(&run.facts.name());
                page.raw("</summary>\n");
                whole(&mut page, run);
                page.raw("</details>\n");
            }
        }
    }
    page.raw("</main>\n<footer>");
    let made = runs
        .first()
        .map(|run| run.now.to_zoned_datetime(jiff::tz::TimeZone::system()));
    let made = made
        .map(|t| t.strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
        .unwrap_or_default();
    page.text(&format!("jumar {} · {made}", env!("CARGO_PKG_VERSION")));
    page.raw("</footer>\n</body>\n</html>\n");
    page.finish()
}

/// Everything about one run.
fn whole(page: &mut Html, run: &Reported) {
    overview::overview(page, run);
    failures::failures(page, run);
    timeline::section(page, run);
    tables::phases(page, run);
    tables::metrics(page, run);
    tables::parameters(page, run);
    tables::rest(page, run);
}
