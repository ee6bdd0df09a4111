//! Phases that run at the same time.

mod common;

use common::Workplace;

#[test]
fn with_fail_fast_a_failure_stops_its_neighbours_gracefully_and_they_are_pending_again() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("bad", || { shell("until [ -e ready ]; do sleep 0.05; done; exit 1"); });
        phase("polite", || { shell("trap 'echo saved; exit 0' TERM; touch ready; sleep 60 & wait"); });
        phase("later", #{ after_any: ["bad", "polite"] }, || { });
        "#,
    );
    let ended = place.jumar(&["run", "p.rhai", "-j", "2", "--fail-fast"]).code(1);
    let run = place.run();
    assert!(place.read(&format!("{run}/logs/polite.log")).contains("saved"));
    assert_eq!(
        place.value("phases", "bad").as_deref(),
        Some("failed"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.value("phases", "polite").as_deref(), Some("pending"));
    assert_eq!(place.value("phases", "later").as_deref(), Some("pending"));
    for words in [
        "bad failed, and --fail-fast stops everything: waiting up to 30 s for polite to end",
        "stopped early: bad failed, and --fail-fast starts nothing more",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn what_a_script_says_in_phases_side_by_side_names_the_phase_and_a_long_list_of_those_waited_for_is_cut() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        let all = [];
        for n in 0..7 {
            let number = n;
            all.push(`p${number}`);
            phase(`p${number}`, || { log_info("here"); if number < 5 { throw "no"; } });
        }
        phase("sum", #{ after: all }, || { });
        "#,
    );
    let ended = place.jumar(&["run", "p.rhai", "-j", "2"]).code(1);
    assert!(ended.stderr.contains("\np6: here\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("p0, p1 and 3 more failed"), "{}", ended.stderr);
}

#[test]
fn a_failing_phase_does_not_disturb_its_neighbours_and_their_logs_do_not_mix() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        for n in 0..4 {
            let number = n;
            phase(`p${number}`, || {
                shell(`for i in $(seq 200); do echo "${number} $i"; done`);
                if number == 1 { shell("exit 9"); }
            });
        }
        "#,
    );
    place.jumar(&["run", "p.rhai", "-j", "4"]).code(1);
    let run = place.run();
    for number in 0..4 {
        let log = place.read(&format!("{run}/logs/p{number}.log"));
        let output: Vec<&str> = log.lines().filter(|l| !l.starts_with('$')).collect();
        let expected: Vec<String> = (1..=200).map(|i| format!("{number} {i}")).collect();
        assert_eq!(output, expected, "the log of p{number}");
        let status = if number == 1 { "failed" } else { "completed" };
        assert_eq!(place.value("phases", &format!("p{number}")).as_deref(), Some(status));
    }
}

#[test]
fn a_sweep_declares_a_phase_for_each_combination_and_names_them_all() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        import "std/sweep" as sweep;
        let trained = sweep::grid("train", #{ lr: [0.1, 0.01], seed: [1, 2] }, #{ help: "one point" }, |point| {
            shell(["echo", point.lr, point.seed]);
            metric("product", point.lr * point.seed);
        });
        phase("compare", #{ after: trained }, || { });
        sweep::grid("eval", #{ set: ["a b"] }, |point| { shell(["echo", point.set]); });
        "#,
    );
    place.jumar(&["run", "p.rhai", "-j", "3"]).code(0);
    for (lr, seed, product) in [
        ("0.1", 1, "0.1"),
        ("0.1", 2, "0.2"),
        ("0.01", 1, "0.01"),
        ("0.01", 2, "0.02"),
    ] {
        let key = format!("train_lr{lr}_seed{seed}.product");
        assert_eq!(place.value("metrics", &key).as_deref(), Some(product));
    }
    assert_eq!(place.value("phases", "compare").as_deref(), Some("completed"));
    assert_eq!(place.value("phases", "eval_seta-b").as_deref(), Some("completed"));
}

#[test]
fn with_verbose_each_line_of_output_begins_with_its_phase() {
    let place = Workplace::with_script(
        r#"for name in ["a", "b"] { let own = name; phase(name, || { shell(`echo from ${own}; echo again`); }); }"#,
    );
    let ended = place.jumar(&["run", "pipeline.rhai", "-v", "-j", "2"]).code(0);
    for line in ["\na: from a\n", "\nb: from b\n", "a: again\n", "b: again\n"] {
        assert!(ended.stderr.contains(line), "{line:?} in {}", ended.stderr);
    }
    let alone = place.jumar(&["run", "pipeline.rhai", "-v"]).code(0);
    assert!(alone.stderr.contains("\nfrom a\n"), "{}", alone.stderr);
}
