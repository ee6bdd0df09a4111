//! `jumar runs` with columns of one's choice.

mod common;

use common::Workplace;

fn three_runs() -> Workplace {
    let place = Workplace::new();
    for (start, lr, accuracy, status) in [
        (1, "0.1", "0.8", "completed"),
        (2, "0.2", "0.9", "failed"),
        (3, "0.3", "0.7", "completed"),
    ] {
        place.write(
            &format!("runs/r{start}/.experiment_state"),
            &format!(
                "[metadata]\njumar=0.1.0\nstart_time={start}\n[phases]\ne={status}\n[params]\nlr={lr}\nsame=1\nnote=\"a,b\"\n\
                 [metrics]\ne.accuracy={accuracy}\n[failures]\nlast_failure=e\n"
            ),
        );
    }
    place
}

#[test]
fn chosen_columns_are_shown_for_each_run() {
    let place = three_runs();
    let text = place.jumar(&["runs", "--columns", "status,accuracy,lr"]).code(0).stdout;
    assert_eq!(
        text,
        "run  status     accuracy   lr\nr1   completed       0.8  0.1\nr2   failed          0.9  0.2\nr3   completed       0.7  0.3\n"
    );
}

#[test]
fn a_group_stands_for_its_facts_that_differ() {
    let place = three_runs();
    let text = place.jumar(&["runs", "--columns", "params,metrics"]).code(0).stdout;
    assert_eq!(
        text,
        "run   lr  e.accuracy\nr1   0.1         0.8\nr2   0.2         0.9\nr3   0.3         0.7\n"
    );
}

#[test]
fn runs_are_sorted_by_a_metric_either_way() {
    let place = three_runs();
    let order = |key: &str| -> Vec<String> {
        let text = place.jumar(&["runs", "--sort", key]).code(0).stdout;
        text.lines().skip(1).map(|l| l[..2].to_string()).collect()
    };
    assert_eq!(order("accuracy"), ["r3", "r1", "r2"]);
    assert_eq!(order("-accuracy"), ["r2", "r1", "r3"]);
}

#[test]
fn csv_holds_everything_and_quotes_what_needs_it() {
    let place = three_runs();
    let text = place.jumar(&["runs", "--csv"]).code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "run,status,started,time,phases,trouble,e.accuracy,lr,same,note"
    );
    assert_eq!(lines[2], "runs/r2,failed,1970-01-01T00:00:02Z,,0/1,e,0.9,0.2,1,\"a,b\"");
}

#[test]
fn json_has_the_chosen_columns_as_values() {
    let place = three_runs();
    let text = place
        .jumar(&["runs", "--columns", "accuracy,status", "--json"])
        .code(0)
        .stdout;
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        all[1],
        serde_json::json!({ "run": "runs/r2", "accuracy": 0.9, "status": "failed" })
    );
}

#[test]
fn a_column_that_no_run_has_is_refused_by_name() {
    let ended = three_runs().jumar(&["runs", "--columns", "acuracy"]).code(2);
    assert!(ended.stderr.contains("no run has `acuracy`"), "{}", ended.stderr);
}

#[test]
fn a_run_that_cannot_be_read_does_not_hide_the_others() {
    let place = three_runs();
    place.write("runs/r4/.experiment_state", "[phases]\ne=nonsense\n");
    let text = place.jumar(&["runs"]).code(0).stdout;
    assert!(text.contains("unreadable") && text.contains("r1"), "{text}");
    let ended = place.jumar(&["runs", "--columns", "lr"]).code(0);
    assert!(
        ended.stdout.contains("r3") && ended.stderr.contains("runs/r4"),
        "{}",
        ended.stderr
    );
}
