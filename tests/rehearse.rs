//! `rehearse`: recovery is proved before the long run.

mod common;

use common::Workplace;

const GOOD: &str = r#"
phase("prepare", || {
    for part in 0..3 {
        shell(["sh", "-c", "echo", `${run.dir}/part${part}.txt`]);
    }
});
phase("train", #{ after: "prepare" }, || {
    shell(["train", "--out", run.dir + "/ckpt"]);
    checkpoint(run.dir + "/ckpt/epoch1");
});
phase("eval", #{ after: "train" }, || {
    for seed in [1, 2, 3] {
        let number = seed;
        step(`seed${number}`, || {
            let out = `${run.dir}/${number}.json`;
            shell(["eval", "--ckpt", checkpoint(), "--out", out], #{ stand_in: `echo '{"accuracy": 0.5}' > ${out}` });
            metric(`accuracy${number}`, read_json(out).accuracy);
        });
    }
});
"#;

#[test]
fn a_good_pipeline_survives_every_fault_in_every_phase() {
    let place = Workplace::new();
    place.write("p.rhai", GOOD);
    let ended = place.jumar(&["rehearse", "p.rhai"]).code(0);
    assert!(
        ended
            .stdout
            .contains("all 21 survived: nothing lost, no completed phase or step done twice"),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
    assert!(place.runs().is_empty(), "a rehearsal leaves no run behind");
}

#[test]
fn of_a_phase_that_is_not_repeatable_it_says_which_and_why() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("good", || { shell("true"); });
        phase("counts", || {
            if state.mine.count == () { state.mine.count = 0; }
            state.mine.count += 1;
            shell("count");
        });
        phase("makes_once", || {
            if exists(run.dir + "/made") { throw "it is made already"; }
            shell(["make", run.dir + "/made"]);
            shell("use");
        });
        phase("makes_a_directory", || { shell("train", #{ stand_in: "mkdir " + quote(run.dir + "/model") }); });
        "#,
    );
    let ended = place.jumar(&["rehearse", "p.rhai"]).code(1);
    let told = &ended.stdout;
    assert!(
        told.contains("counts is not repeatable: [mine] count is 2 afterwards, and 1 without the fault"),
        "{told}"
    );
    assert!(
        told.contains("attempt 2 at makes_once failed: script: p.rhai:9:44: it is made already"),
        "{told}"
    );
    assert!(
        told.contains("makes_a_directory") && told.contains("mkdir: cannot create directory"),
        "its command cannot meet its own half-done work: {told}"
    );
    let good = told.lines().find(|l| l.starts_with("good")).unwrap_or_default();
    assert_eq!(good.matches("survived").count(), 7, "{told}");
    let kept = ended
        .stderr
        .lines()
        .find_map(|l| l.split_once("are kept in "))
        .map(|(_, path)| path);
    let kept = kept.expect("the place of what did not survive is named");
    std::fs::remove_dir_all(kept).expect("it is there");
}

#[test]
fn what_is_wrong_with_a_script_is_said_before_anything_is_started() {
    let place = Workplace::new();
    place.write("broken.rhai", "phase(\"a\", || { shell(\"x\") ;");
    place.jumar(&["rehearse", "broken.rhai"]).code(3);
    place.write(
        "reads.rhai",
        r#"phase("a", || { shell("x"); read_json("not-there.json").value });"#,
    );
    let ended = place.jumar(&["rehearse", "reads.rhai"]).code(3);
    assert!(
        ended
            .stderr
            .contains("does not get to its end with stand-ins, even without a fault")
            && ended.stderr.contains("stand_in"),
        "{}",
        ended.stderr
    );
    place.write("idle.rhai", r#"phase("a", || { });"#);
    let ended = place.jumar(&["rehearse", "idle.rhai"]).code(2);
    assert!(
        ended.stderr.contains("there is nothing to rehearse"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_report_is_json_when_asked() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"let n = param("n", 1); phase("a", || { for i in 0..n { shell("x"); } });"#,
    );
    let ended = place.jumar(&["rehearse", "p.rhai", "--n", "3", "--json"]).code(0);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let scenarios = report["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 7);
    assert!(
        scenarios.iter().all(|s| s["survived"] == true && s["phase"] == "a"),
        "{report}"
    );
    let killed = scenarios
        .iter()
        .find(|s| s["fault"] == "command_killed")
        .expect("one of them");
    assert_eq!(
        killed["repeated_commands"], 1,
        "the phase was run again from its beginning"
    );
}

#[test]
fn the_example_of_the_readme_survives_a_rehearsal() {
    let place = Workplace::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example/pipeline.rhai");
    place.write("p.rhai", &std::fs::read_to_string(example).expect("it is there"));
    let told = place.jumar(&["rehearse", "p.rhai"]).code(0).stdout;
    assert!(told.contains("all 28 survived"), "{told}");
}

#[test]
fn a_script_that_cannot_be_rehearsed_is_told_at_which_line_after_which_command_and_what_to_add() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        "phase(\"a\", || {\n    shell(\"evaluate --all\");\n    let n = read_json(run.dir + \"/x.json\").n;\n});\nphase(\"b\", || { shell(\"y\"); throw \"later\"; });\n",
    );
    let told = place.jumar(&["rehearse", "p.rhai"]).code(3).stderr;
    for words in [
        "a failed: not_found: p.rhai:3:13: cannot read ",
        "/x.json: there is no such file",
        "the command before that in a: evaluate --all",
        "shell(…, #{ stand_in: `echo '{}' > ${run.dir}/x.json` })",
    ] {
        assert!(told.contains(words), "this is not said: {words}\n{told}");
    }
    place.write(
        "p.rhai",
        "phase(\"a\", || { read_text(run.dir + \"/x\") });\nphase(\"b\", || { shell(\"y\"); });\n",
    );
    let told = place.jumar(&["rehearse", "p.rhai"]).code(3).stderr;
    assert!(told.contains("no command of a has run before it reads"), "{told}");
    place.write(
        "p.rhai",
        "phase(\"a\", || { shell(\"y\"); shell([\"cat\", newest(run.dir + \"/e*\")]); });\n",
    );
    let told = place.jumar(&["rehearse", "p.rhai"]).code(3).stderr;
    assert!(told.contains("`newest` finds only what a stand-in makes"), "{told}");
}

#[test]
fn what_a_script_asks_of_files_that_only_stand_ins_made_is_answered_honestly_until_it_records_them() {
    let place = Workplace::new();
    place.write(
        "p.rhai",
        r#"
        phase("train", || {
            if newest(run.dir + "/ckpt/epoch*") != () { throw "nothing has made it yet"; }
            if exists(run.dir + "/ckpt") { throw "nor this"; }
            if glob(run.dir + "/*.bin").len() > 0 { throw "nor these"; }
            shell(["train", "--out", run.dir + "/ckpt", run.dir + "/r.json"]);
            let last = newest(run.dir + "/ckpt/epoch*");
            checkpoint(last, #{ loss: 1 });
            metric("loss", read_json(run.dir + "/r.json").loss);
        });
        "#,
    );
    let ended = place.jumar(&["rehearse", "p.rhai"]);
    // A second attempt finds what the first one left: this script is not repeatable, and is told so.
    assert!(
        ended.stdout.contains("nothing has made it yet") || ended.stdout.contains("nor this"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
}
