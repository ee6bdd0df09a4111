//! `jumar report`: pages that need nothing else and show whatever a run holds as text.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::Workplace;

const HOSTILE: &str = "<script>document.title='owned'</script>\"'><img src=x onerror=\"document.title='owned'\">";

/// What headless Chromium makes of a page: its document, and what it said. `None`, loudly, where there is no Chromium.
fn in_chromium(place: &Workplace, page: &Path) -> Option<(String, String)> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(chromium) = names.iter().find_map(|name| which::which(name).ok()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no Chromium here; the page was not looked at in a browser"
        );
        return None;
    };
    let file = |name: &str| std::fs::File::create(place.path().join(name)).expect("a file");
    let mut child = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", place.path().join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stdout(file("chromium.out"))
        .stderr(file("chromium.err"))
        .spawn()
        .expect("chromium starts");
    if wait_timeout::ChildExt::wait_timeout(&mut child, Duration::from_secs(60))
        .expect("waited")
        .is_none()
    {
        child.kill().expect("killed");
        child.wait().expect("waited");
        panic!("chromium did not end:\n{}", place.read("chromium.err"));
    }
    Some((place.read("chromium.out"), place.read("chromium.err")))
}

/// Answers every request with nothing, and counts them.
fn counting_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, count)
}

fn page(place: &Workplace, arguments: &[&str]) -> String {
    let mut all = vec!["report"];
    all.extend(arguments);
    place.jumar(&all).code(0).stdout
}

/// A failed run with a retry, steps, metrics and text that would like to be markup.
fn eventful() -> Workplace {
    let place = Workplace::new().env("EVIL", HOSTILE);
    let script = r#"
        let evil = env.EVIL;
        let text = param("text", "plain");
        phase("first", #{ retries: 1 }, || {
            step("load", || { shell("sleep 0.1"); });
            shell("echo first attempt says hello; test -e again || { touch again; exit 3; }");
            metric("accuracy", 0.75, #{ better: "higher" });
            state.notes.evil = env.EVIL;
            env.EVIL
        });
        phase("<b>second</b>", #{ after: "first" }, || { shell("echo \"$EVIL\"; echo the very last words; exit 9"); });
        phase("third", #{ after: "<b>second</b>" }, || { shell("true"); });
    "#;
    place.write("s.rhai", script);
    place
        .jumar(&[
            "run",
            "s.rhai",
            "--run-dir",
            "runs/one",
            "-p",
            &format!("text={HOSTILE}"),
        ])
        .code(1);
    place
}

#[test]
fn a_report_tells_how_each_attempt_ended_with_the_end_of_its_own_log() {
    let place = eventful();
    let text = page(&place, &["one"]);
    assert!(
        text.contains("1 of 3 phases completed; failed: &lt;b&gt;second&lt;/b&gt;; something was tried again once."),
        "{text}"
    );
    let failures = &text[text.find("<h2>Failures").expect("failures")..text.find("<h2>Timeline").expect("a timeline")];
    let (now, before) = failures.split_once("a later attempt completed").expect("both failures");
    assert!(now.contains("the very last words") && now.contains("status 9"), "{now}");
    assert!(
        now.find("second").expect("named") < now.find("first").expect("named"),
        "what is still broken comes first"
    );
    assert_eq!(
        before.matches("first attempt says hello").count(),
        4,
        "the message, the command, and both in the log; not the second attempt's"
    );
    assert!(text.contains("jumar resume runs/one"), "{text}");
    assert!(
        text.contains("first.accuracy") && text.contains("higher is better"),
        "{text}"
    );
    for class in ["completed", "failed", "step"] {
        assert!(text.contains(&format!("<rect class=\"{class}\"")), "{class}");
    }
}

#[test]
fn nothing_that_a_run_holds_becomes_markup() {
    let place = eventful();
    let text = page(&place, &["one"]);
    assert!(
        !text.contains("<script") && !text.contains("<img") && !text.contains("<b>second"),
        "{text}"
    );
    assert!(
        text.matches("&lt;script&gt;document.title=&#39;owned&#39;").count() >= 4,
        "state, parameter, log, environment"
    );
    for outside in ["http://", "https://", "src=", "url(", "@import"] {
        let inside = text.replace("src=x onerror", "").replace("&lt;img ", "");
        assert!(!inside.contains(outside), "{outside}");
    }
}

#[test]
fn a_browser_fetches_nothing_runs_nothing_and_has_nothing_to_complain_of() {
    let place = eventful();
    let (port, count) = counting_server();
    place.write(
        "runs/two/.experiment_state",
        &format!(
            "[metadata]\njumar=0.1.0\n[phases]\np=failed\n[params]\nx=<img src=\"http://127.0.0.1:{port}/x\">{HOSTILE}\n\
             [failures]\nlast_failure=p\nlast_failure_error=<link rel=stylesheet href=\"http://127.0.0.1:{port}/y\">\n"
        ),
    );
    // That the browser would tell of an error, if there were one, and would fetch, if it were asked to.
    let control = format!("<title>c</title><script>nothing.there()</script><img src='http://127.0.0.1:{port}/seen'>");
    let control = place.write("control.html", &control);
    let Some((_, said)) = in_chromium(&place, &control) else {
        return;
    };
    assert!(said.contains("CONSOLE"), "{said}");
    assert!(count.load(Ordering::SeqCst) > 0, "the control page fetches");
    for (name, runs) in [
        ("one.html", vec!["one"]),
        ("two.html", vec!["two"]),
        ("both.html", vec!["one", "two"]),
    ] {
        let path = place.path().join(name);
        let mut arguments = vec!["report", "-o", name];
        arguments.extend(&runs);
        place.jumar(&arguments).code(0);
        let before = count.load(Ordering::SeqCst);
        let (document, said) = in_chromium(&place, &path).expect("it was there before");
        assert!(document.contains("</footer>"), "{name}: {document}");
        assert!(!said.contains("CONSOLE"), "{name}: {said}");
        assert!(!document.contains("<title>owned"), "{name}");
        assert_eq!(count.load(Ordering::SeqCst), before, "{name} fetched something");
    }
}

#[test]
fn a_run_that_is_on_is_reported_as_running_and_not_disturbed() {
    let place = Workplace::new();
    place.write(
        "s.rhai",
        "phase(\"a\", || { shell(\"touch on; until test -e off; do sleep 0.02; done\"); });",
    );
    place.write("off", "");
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/earlier"]).code(0);
    std::fs::remove_file(place.path().join("off")).expect("taken away");
    std::fs::remove_file(place.path().join("on")).expect("taken away");
    let mut child = place.start(&["run", "s.rhai", "--run-dir", "runs/live"]);
    common::wait_until("the run is on", || place.exists("on"));
    let before = place.state_while_a_command_runs("runs/live");
    let text = page(&place, &[]);
    assert!(
        text.contains("class=\"pill running\"") && text.contains("<rect class=\"running\""),
        "{text}"
    );
    assert!(text.contains(" so far</td>"), "the phase that is on has a time: {text}");
    assert!(text.contains("<dt>rest, as earlier runs</dt>"), "{text}");
    assert!(!text.contains("jumar resume"), "{text}");
    assert_eq!(place.read("runs/live/.experiment_state"), before);
    place.write("off", "");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn files_of_the_bash_runner_and_empty_ones_are_reported_too() {
    let place = Workplace::new();
    for name in ["training_failed", "all_completed", "killed_in_phase2"] {
        let file = format!(
            "{}/tests/fixtures/bash-3.1.0/{name}.experiment_state",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = page(&place, &[&file]);
        assert!(
            text.contains("phase2_linear_probe") && text.contains("No attempt is recorded"),
            "{text}"
        );
        assert_eq!(text.contains("<h2>Failures</h2>"), name == "training_failed", "{name}");
    }
    place.write("runs/empty/.experiment_state", "");
    assert!(page(&place, &["empty"]).contains("everything is pending"));
}

#[test]
fn several_runs_are_compared_on_one_page() {
    let place = eventful();
    place.jumar(&["run", "s.rhai", "--run-dir", "runs/two"]).code(1);
    let text = page(&place, &["one", "two"]);
    assert!(
        text.contains("2 runs compared") && text.contains("<h2>Timelines</h2>"),
        "{text}"
    );
    assert!(text.contains("<h2 class=\"cap\">parameters</h2>"), "{text}");
    let of_diff = place.jumar(&["diff", "--html", "one", "two"]).code(1).stdout;
    let without_time = |page: &str| page[..page.find("<footer>").expect("a foot")].to_string();
    assert_eq!(without_time(&of_diff), without_time(&text));
    assert_eq!(text.matches("<details class=\"run\">").count(), 2);
    let compared = &text[..text.find("<details class=\"run\">").expect("each run")];
    assert_eq!(
        compared.matches("<p class=\"key\">").count(),
        1,
        "one key for all timelines"
    );
}

#[test]
fn runs_on_a_page_stand_in_the_order_that_was_asked_for_and_names_break_where_their_parts_meet() {
    let place = Workplace::new();
    for (name, accuracy) in [("lesser", 0.1), ("greater", 0.9)] {
        place.write(
            &format!("runs/{name}/.experiment_state"),
            &format!("[metadata]\njumar=0.1.0\nstart_time=1\n[phases]\ne=completed\n[metrics]\nevaluation.the_accuracy={accuracy}\n"),
        );
    }
    let text = page(&place, &["lesser", "greater", "--sort", "-evaluation.the_accuracy"]);
    assert!(text.find("greater") < text.find("lesser"), "{text}");
    assert!(text.contains("evaluation.<wbr>the_<wbr>accuracy"), "{text}");
    place
        .jumar(&["report", "lesser", "greater", "--sort", "nothing"])
        .code(2);
}

#[test]
fn one_command_is_one_command() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", || { shell(\"true\"); });");
    place.jumar(&["run", "s.rhai"]).code(0);
    assert!(page(&place, &[]).contains("<summary>1 command</summary>"));
}

#[test]
fn a_report_can_be_written_to_a_file_and_says_when_it_cannot() {
    let place = eventful();
    place.jumar(&["report", "one", "-o", "page.html"]).code(0);
    assert!(place.read("page.html").starts_with("<!doctype html>"));
    let refused = place.jumar(&["report", "one", "-o", "nowhere/page.html"]).code(4);
    assert!(
        refused.stderr.contains("cannot write nowhere/page.html"),
        "{}",
        refused.stderr
    );
    place.jumar(&["report", "nothing_like_it"]).code(2);
}

#[test]
fn the_same_is_told_to_programs() {
    let place = eventful();
    let text = place.jumar(&["report", "one", "--json"]).code(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let run = &told["runs"][0];
    assert_eq!(run["status"], "failed");
    let accuracy = &run["facts"]["metrics"][0];
    assert_eq!(accuracy["name"], "first.accuracy");
    assert_eq!(
        (&accuracy["value"], &accuracy["better"]),
        (&0.75.into(), &"higher".into())
    );
    let phases = run["phases"].as_array().expect("phases");
    assert_eq!(phases.len(), 3);
    let first = phases[0]["attempts"].as_array().expect("attempts");
    assert_eq!(
        (&first[0]["outcome"], &first[1]["outcome"]),
        (&"failed".into(), &"completed".into())
    );
    assert!(first[1]["log_tail"].is_null(), "only what failed is to be read up");
    let steps = first[0]["activities"].as_array().expect("activities");
    assert!(
        steps.iter().any(|a| a["what"] == "step" && a["step"] == "load"),
        "{steps:?}"
    );
    let tail = phases[1]["attempts"][0]["log_tail"]["lines"].to_string();
    assert!(tail.contains("the very last words"), "{tail}");

    place.jumar(&["report", "one", "--json", "-o", "told.json"]).code(0);
    let written: serde_json::Value = serde_json::from_str(&place.read("told.json")).expect("it is JSON");
    assert_eq!(written, told);
    let refused = place.jumar(&["report", "nothing_like_it", "--json"]).code(2).stdout;
    let refusal: serde_json::Value = serde_json::from_str(&refused).expect("refusals are JSON, too");
    assert_eq!(refusal["error"]["code"], 2);
}
