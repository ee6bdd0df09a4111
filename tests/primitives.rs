//! Each primitive of the script, as a pipeline uses it.

mod common;

use common::{Ended, Workplace, value_in};

/// Runs a script of which every phase must complete.
fn completed(text: &str) -> Workplace {
    let workplace = Workplace::with_script(text);
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    workplace
}

/// Runs a script of which a phase must fail.
fn failed(text: &str) -> (Workplace, Ended) {
    let workplace = Workplace::with_script(text);
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    (workplace, ended)
}

#[test]
fn a_step_is_done_once_however_often_its_phase_is_tried() {
    let workplace = completed(
        r#"
        phase("p", #{ retries: 2 }, || {
            let value = step("a", || { shell("echo a >> done"); #{ n: 1, list: [1.5, "x"] } });
            for name in ["x", "y"] {
                step(name, || {
                    step("part", || { shell(`echo ${name} >> done`); });
                    if name == "y" && run.attempt < 3 { throw "again"; }
                });
            }
            state.seen.value = value;
        });
        "#,
    );
    assert_eq!(workplace.read("done"), "a\nx\ny\n");
    assert_eq!(workplace.seen("value"), r#"{"list":[1.5,"x"],"n":1}"#);
    assert_eq!(workplace.value("attempts", "p.4"), None);
    assert!(workplace.value("attempts", "p.3").is_some());
}

#[test]
fn a_step_is_done_once_over_resumes_and_again_when_the_phase_is_asked_for_anew() {
    let workplace = Workplace::with_script(
        r#"phase("p", || {
            step("a", || { shell("echo a >> done"); });
            shell("test -e ready");
        });"#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    workplace.write("ready", "");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("done"), "a\n");
    workplace.jumar(&["resume", "--rerun", "p"]).code(0);
    assert_eq!(workplace.read("done"), "a\na\n");
}

#[test]
fn a_step_that_fails_is_named() {
    let (workplace, ended) =
        failed("phase(\"p\", || { step(\"outer\", || { step(\"inner\", || { shell(\"exit 4\"); }); }); });");
    assert!(ended.stderr.contains("outer/inner"), "{}", ended.stderr);
    let record = workplace.value("attempts", "p.1").expect("recorded");
    assert!(record.contains("\"step\":\"outer/inner\""), "{record}");
}

#[test]
fn two_steps_of_one_name_are_refused_and_so_is_a_value_that_cannot_be_kept() {
    let (_, ended) = failed("phase(\"p\", || { step(\"a\", || 1); step(\"a\", || 2); });");
    assert!(
        ended.stderr.contains("step `a` appears twice in phase `p`"),
        "{}",
        ended.stderr
    );
    let (_, ended) = failed("phase(\"p\", || { step(\"a\", || #{ f: || 1 }); });");
    assert!(
        ended.stderr.contains("the value of step `a` cannot be kept"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_checkpoint_that_is_missing_or_empty_is_refused() {
    for (make, why) in [
        ("", "checkpoint ckpt does not exist"),
        (": > ckpt", "checkpoint ckpt is empty"),
        ("mkdir ckpt; : > ckpt/model", "checkpoint ckpt is empty"),
    ] {
        let (workplace, ended) = failed(&format!(
            "phase(\"p\", || {{ shell(\"{make}\"); checkpoint(\"ckpt\"); }});"
        ));
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(
            workplace.value("checkpoints", "checkpoint_path").as_deref(),
            Some(""),
            "nothing is recorded"
        );
    }
    let (_, ended) = failed("phase(\"p\", || { checkpoint(newest(\"epoch*\")); });");
    assert!(ended.stderr.contains("there is no file to record"), "{}", ended.stderr);
}

#[test]
fn the_newest_checkpoint_that_still_verifies_is_used_and_a_damaged_one_is_named() {
    let workplace = Workplace::with_script(
        r#"
        phase("train", || {
            for n in 1..=3 {
                shell(`mkdir -p epoch${n}; echo weights ${n} > epoch${n}/model`);
                checkpoint(`epoch${n}`, #{ loss: 1.0 / n });
            }
        });
        phase("eval", #{ after: "train" }, || { shell("test -e ready"); state.seen.used = checkpoint(); });
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    assert_eq!(
        workplace.value("checkpoints", "checkpoint_path").as_deref(),
        Some("epoch3")
    );
    workplace.write("epoch3/model", "weights");
    std::fs::remove_dir_all(workplace.path().join("epoch2")).expect("removed");
    workplace.write("ready", "");
    let ended = workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.seen("used"), "epoch1");
    assert!(
        ended
            .stderr
            .contains("checkpoint epoch3 has changed since it was recorded"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("checkpoint epoch2 does not exist; falling back to epoch1"),
        "{}",
        ended.stderr
    );
    let kept = workplace.value("checkpoints", "train.checkpoint.2").expect("recorded");
    assert!(kept.contains("\"loss\":0.5"), "{kept}");
}

#[test]
fn asking_for_a_checkpoint_when_there_is_none_says_how_to_get_one() {
    let (_, ended) = failed("phase(\"eval\", || { shell([\"cat\", checkpoint()]); });");
    assert!(
        ended.stderr.contains("no checkpoint has been recorded"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--checkpoint PATH"), "{}", ended.stderr);
}

#[test]
fn state_is_on_disk_when_the_assignment_returns() {
    let workplace = completed(
        r#"
        state.planned.word = "at the top";
        phase("p", || {
            state.fresh.count = 1;
            let before = read_text(run.dir + "/.experiment_state");
            state.seen.count = before.contains("[fresh]\ncount=1");
            state.fresh.count += 1;
            state.seen.again = read_text(run.dir + "/.experiment_state").contains("count=2");
            state.seen.planned = state.planned.word;
        });
        "#,
    );
    assert_eq!(workplace.seen("count"), "true");
    assert_eq!(workplace.seen("again"), "true");
    assert_eq!(workplace.seen("planned"), "at the top");
}

#[test]
fn a_value_comes_back_from_the_state_as_what_it_was() {
    let workplace = completed(
        r#"
        phase("write", || {
            state.mine.int = 42; state.mine.float = 2.0; state.mine.tiny = 1e-300; state.mine.text = "42"; state.mine.yes = true;
            state.mine.empty = ""; state.mine.blanks = "  a  "; state.mine.lines = "a\nb=c;#d\r"; state.mine.word = "true";
            state.mine.list = [1, "two", [3.5]]; state.mine.map = #{ a: #{ b: 1 } }; state.mine.odd = "ünï ❤ \\ \" ' [x]";
            state.mine["a key"] = 1;
            state.other = #{ x: 1, y: "2" };
        });
        phase("read", #{ after: "write" }, || {
            let m = state.mine;
            let ok = [
                m.int == 42 && type_of(m.int) == "i64", m.float == 2.0 && type_of(m.float) == "f64", m.tiny == 1e-300,
                m.text == "42" && type_of(m.text) == "string", m.yes == true, m.empty == "", m.blanks == "  a  ",
                m.lines == "a\nb=c;#d\r", m.word == "true" && type_of(m.word) == "string", m.list == [1, "two", [3.5]],
                m.map.a.b == 1, m.odd == "ünï ❤ \\ \" ' [x]", m["a key"] == 1, state.other.x == 1, state.other.y == "2",
                m.nothing == (), state.nowhere.key == (), "int" in m, !("nothing" in m), state.other.keys() == ["x", "y"],
            ];
            m.remove("int");
            ok += [m.int == (), !("int" in m)];
            for (good, at) in ok { if !good { throw `number ${at} is wrong`; } }
        });
        "#,
    );
    assert_eq!(workplace.value("mine", "int"), None);
    assert_eq!(workplace.value("mine", "float").as_deref(), Some("2.0"));
}

#[test]
fn lists_and_maps_in_the_state_can_be_changed_in_place() {
    let workplace = completed(
        r#"phase("p", || {
            state.mine.list = [1];
            state.mine.list.push(2);
            state.mine.list[0] = 9;
            state.mine.map = #{};
            state.mine.map.deep = #{ n: 1 };
            state.mine.map.deep.n += 1;
        });"#,
    );
    assert_eq!(workplace.value("mine", "list").as_deref(), Some("[9,2]"));
    assert_eq!(workplace.value("mine", "map").as_deref(), Some(r#"{"deep":{"n":2}}"#));
}

#[test]
fn what_would_break_the_state_file_is_refused() {
    for (assignment, why) in [
        ("state.phases.p = \"done\"", "is no status of a phase"),
        ("state.mine = 3", "is a section of the state file"),
        ("state[\"a]b\"].x = 1", "cannot be a section of the state file"),
        ("state.mine[\"a=b\"] = 1", "cannot be a key of the state file"),
        ("state.mine[\"[a\"] = 1", "cannot be a key of the state file"),
        ("state.mine[\"a\\nb\"] = 1", "cannot be a key of the state file"),
    ] {
        let (_, ended) = failed(&format!("phase(\"p\", || {{ {assignment}; }});"));
        assert!(ended.stderr.contains(why), "{assignment}: {}", ended.stderr);
    }
}

#[test]
fn a_phase_that_a_script_marks_as_completed_is_not_run() {
    let workplace = completed(
        r#"
        phase("decide", || { state.phases.train = "completed"; });
        phase("train", #{ after: "decide" }, || { shell("touch trained"); });
        phase("eval", #{ after: "train" }, || { shell("touch evaluated"); });
        "#,
    );
    assert!(!workplace.exists("trained") && workplace.exists("evaluated"));
}

#[test]
fn the_value_of_a_phase_is_its_result() {
    let workplace = completed(
        r#"
        phase("make", || #{ acc: 0.5, names: ["a", "b"], none: () });
        phase("nothing", || {});
        phase("use", #{ after: ["make", "nothing"] }, || {
            state.seen.acc = result("make").acc;
            state.seen.names = result("make").names.len();
            state.seen.nothing = result("nothing") == ();
            state.seen.later = result("late") == ();
        });
        phase("late", #{ after: "use" }, || 1);
        "#,
    );
    for (key, value) in [("acc", "0.5"), ("names", "2"), ("nothing", "true"), ("later", "true")] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
    let (_, ended) = failed("phase(\"make\", || 1); phase(\"use\", #{ after: \"make\" }, || result(\"mk\" + \"ae\"));");
    assert!(
        ended.stderr.contains("no phase is named `mkae`; did you mean `make`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_last_value_of_a_metric_counts() {
    let workplace =
        completed("phase(\"p\", || { metric(\"loss\", 1); metric(\"loss\", 0.25); metric(\"steps\", 10); });");
    assert_eq!(workplace.value("metrics", "p.loss").as_deref(), Some("0.25"));
    assert_eq!(workplace.value("metrics", "p.steps").as_deref(), Some("10"));
}

#[test]
fn run_tells_what_the_run_is() {
    let workplace = Workplace::with_script(
        r#"
        run.name = "named";
        let planned = run.dir;
        phase("p", #{ retries: 1 }, || {
            if run.attempt == 1 { throw "again"; }
            state.seen.dir = run.dir == planned;
            state.seen.name = run.name;
            state.seen.phase = run.phase;
            state.seen.attempt = run.attempt;
            state.seen.dry = run.dry;
            state.seen.checkpoint = run.checkpoint;
            state.seen.id = run.id.len() > 4;
        });
        "#,
    );
    workplace.write("given", "weights");
    workplace
        .jumar(&["run", "pipeline.rhai", "--checkpoint", "given"])
        .code(0);
    assert!(workplace.run().starts_with("runs/named_"), "{}", workplace.run());
    for (key, value) in [
        ("dir", "true"),
        ("name", "named"),
        ("phase", "p"),
        ("attempt", "2"),
        ("dry", "false"),
        ("checkpoint", "given"),
        ("id", "true"),
    ] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
    let (_, ended) = failed("phase(\"p\", || run.nmae);");
    assert!(
        ended.stderr.contains("run has no property `nmae`; it has dir"),
        "{}",
        ended.stderr
    );
}

#[test]
fn files_are_found_and_read() {
    let workplace = Workplace::with_script(
        r#"phase("p", || {
            state.seen.glob = glob("epoch*");
            state.seen.none = glob("nothing*");
            state.seen.newest = newest("epoch*");
            state.seen.no_newest = newest("nothing*") == ();
            state.seen.json = read_json("data.json").list[1].name;
            state.seen.float = type_of(read_json("data.json").one);
            state.seen.text = read_text("data.json").len() > 10;
            state.seen.exists = `${exists("data.json")} ${exists("folder")} ${exists("nothing")}`;
            try { read_text("nothing") } catch (f) { state.seen.missing = f.kind; }
            try { read_json("epoch2") } catch (f) { state.seen.no_json = f.message; }
        });"#,
    );
    for name in ["epoch10", "epoch2", "epoch9"] {
        workplace.write(name, "x");
        let file = std::fs::File::options()
            .write(true)
            .open(workplace.path().join(name))
            .expect("opened");
        let age = std::time::Duration::from_secs(if name == "epoch9" { 10 } else { 100 });
        file.set_modified(std::time::SystemTime::now() - age).expect("set");
    }
    workplace.write("data.json", r#"{"list": [1, {"name": "b"}], "one": 1.0}"#);
    workplace.write("folder/file", "");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    for (key, value) in [
        ("glob", r#"["epoch2","epoch9","epoch10"]"#),
        ("none", "[]"),
        ("newest", "epoch9"),
        ("no_newest", "true"),
        ("json", "b"),
        ("float", "f64"),
        ("text", "true"),
        ("exists", "true true false"),
        ("missing", "not_found"),
    ] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
    assert!(
        workplace.seen("no_json").contains("line 1 column 1"),
        "{}",
        workplace.seen("no_json")
    );
}

#[test]
fn quote_makes_one_word_of_any_text() {
    let workplace = completed(
        r#"phase("p", || {
            let odd = "it's $HOME; `date` \"x\" *\n!";
            state.seen.same = shell(`printf %s ${quote(odd)}`, #{ capture: true }).stdout == odd;
            state.seen.list = quote(["a b", 7, "c"]);
            state.seen.empty = quote("");
        });"#,
    );
    assert_eq!(workplace.seen("same"), "true");
    assert_eq!(workplace.seen("list"), "'a b' 7 c");
    assert_eq!(workplace.seen("empty"), "''");
}

#[test]
fn which_finds_a_program_or_nothing() {
    let workplace = completed(
        "let sh = which(\"sh\"); phase(\"p\", || { state.seen.sh = sh.ends_with(\"/sh\"); state.seen.none = which(\"no-such-program-here\") == (); });",
    );
    assert_eq!(workplace.seen("sh"), "true");
    assert_eq!(workplace.seen("none"), "true");
}

#[test]
fn sleep_takes_seconds_or_a_text_and_waits_inside_a_phase_only() {
    let workplace = completed("phase(\"p\", || { sleep(\"20ms\"); sleep(0.01); sleep(0); state.seen.slept = true; });");
    assert_eq!(workplace.seen("slept"), "true");
    let (_, ended) = failed("phase(\"p\", || { sleep(\"a while\"); });");
    assert!(ended.stderr.contains("`a while` is not a duration"), "{}", ended.stderr);
    let ended = Workplace::with_script("sleep(1); phase(\"p\", || ());");
    let ended = ended.jumar(&["run", "pipeline.rhai"]).code(3);
    assert!(ended.stderr.contains("sleep() runs inside a phase"), "{}", ended.stderr);
}

#[test]
fn log_lines_go_to_standard_error_also_when_quiet_if_they_are_errors() {
    let workplace =
        Workplace::with_script("phase(\"p\", || { log_info(\"one\"); log_warn(\"two\"); log_error(\"three\"); });");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    for line in ["one\n", "warning: two\n", "error: three\n"] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    let ended = workplace.jumar(&["run", "pipeline.rhai", "-q"]).code(0);
    assert!(
        !ended.stderr.contains("one") && ended.stderr.contains("three"),
        "{}",
        ended.stderr
    );
}

#[test]
fn gpus_are_those_of_the_environment_and_a_phase_holds_as_many_as_it_asked_for() {
    let workplace = Workplace::with_script(
        r#"
        let all = gpus();
        phase("one", #{ gpus: 1 }, || { state.seen.one = `${gpus().len()} ${shell("echo $CUDA_VISIBLE_DEVICES", #{ capture: true }).stdout}`; });
        phase("two", #{ gpus: 2 }, || { state.seen.two = gpus(); });
        phase("none", || { state.seen.none = gpus() == all; });
        "#,
    )
    .env("CUDA_VISIBLE_DEVICES", "4,7");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert!(
        workplace.seen("one").contains("1 4") || workplace.seen("one").contains("1 7"),
        "{}",
        workplace.seen("one")
    );
    assert_eq!(workplace.seen("two"), r#"["4","7"]"#);
    assert_eq!(workplace.seen("none"), "true");
}

#[test]
fn asking_for_more_gpus_than_there_are_fails_before_anything_starts() {
    let workplace =
        Workplace::with_script("phase(\"a\", || { shell(\"touch ran\"); });\nphase(\"b\", #{ gpus: 3 }, || ());")
            .env("CUDA_VISIBLE_DEVICES", "0,1");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(2);
    assert!(
        ended.stderr.contains("phase `b` asks for 3 GPUs, and there are 2"),
        "{}",
        ended.stderr
    );
    assert!(!workplace.exists("ran") && !workplace.exists("runs"));
}

#[test]
fn phases_side_by_side_never_hold_the_same_gpu() {
    let workplace = Workplace::with_script(
        r#"
        for n in 0..6 {
            phase(`p${n}`, #{ gpus: 1 }, || {
                // mkdir fails when somebody else holds the device.
                shell("mkdir held_$CUDA_VISIBLE_DEVICES; sleep 0.05; rmdir held_$CUDA_VISIBLE_DEVICES");
            });
        }
        "#,
    )
    .env("CUDA_VISIBLE_DEVICES", "0,1");
    workplace.jumar(&["run", "pipeline.rhai", "-j", "4"]).code(0);
}

#[test]
fn after_waits_for_completion_and_after_any_for_the_end() {
    let (workplace, ended) = failed(
        r#"
        phase("bad", || { shell("exit 1"); });
        phase("good", || ());
        phase("needs_both", #{ after: ["bad", "good"] }, || { shell("touch needs_both"); });
        phase("cleanup", #{ after_any: "bad", after: "good" }, || { shell("touch cleanup"); });
        phase("further", #{ after: "needs_both" }, || { shell("touch further"); });
        phase("last", #{ after_any: ["needs_both", "bad"] }, || { shell("touch last"); });
        "#,
    );
    assert!(workplace.exists("cleanup"), "{}", ended.stderr);
    assert!(!workplace.exists("needs_both") && !workplace.exists("further"));
    for (name, status) in [
        ("bad", "failed"),
        ("good", "completed"),
        ("needs_both", "pending"),
        ("cleanup", "completed"),
        ("further", "pending"),
    ] {
        assert_eq!(workplace.value("phases", name).as_deref(), Some(status), "{name}");
    }
    assert!(ended.stderr.contains("bad failed"), "{}", ended.stderr);
}

#[test]
fn a_phase_is_retried_as_often_as_it_says_and_no_more() {
    let (workplace, _) = failed("phase(\"p\", #{ retries: 2 }, || { shell(\"echo x >> tries; exit 1\"); });");
    assert_eq!(workplace.read("tries"), "x\nx\nx\n");
    let text = workplace.state();
    assert!(value_in(&text, "attempts", "p.3").is_some() && value_in(&text, "attempts", "p.4").is_none());
    assert_eq!(workplace.value("failures", "failure_count").as_deref(), Some("3"));
}

#[test]
fn a_phase_is_meant_by_its_number_and_its_help_is_shown() {
    let workplace = Workplace::with_script(
        r#"
        phase("train", #{ number: 3, help: "fits the weights" }, || { shell("touch trained"); });
        phase("eval", #{ number: 4, after: "train" }, || { shell("touch evaluated"); });
        "#,
    );
    let help = workplace.jumar(&["run", "pipeline.rhai", "--help"]).code(0);
    assert!(help.stdout.contains("fits the weights"), "{}", help.stdout);
    workplace.jumar(&["run", "pipeline.rhai", "--phase", "3"]).code(0);
    assert!(workplace.exists("trained") && !workplace.exists("evaluated"));
    let ended = workplace.jumar(&["run", "pipeline.rhai", "--phase", "9"]).code(2);
    assert!(
        ended.stderr.contains('9') && ended.stderr.contains("train"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_stale_phase_is_run_again_only_when_it_asks_for_it() {
    let workplace = Workplace::with_script(
        r#"
        phase("data", || { shell("echo data >> order"); });
        phase("plain", #{ after: "data" }, || { shell("echo plain >> order"); });
        phase("eager", #{ after: "data", rerun: "stale" }, || { shell("echo eager >> order"); });
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    workplace
        .jumar(&["resume", "--rerun", "data", "--phase", "data"])
        .code(0);
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("order"), "data\nplain\neager\ndata\neager\n");
}

#[test]
fn what_a_script_says_in_a_phase_is_in_the_phases_log_too() {
    let workplace = Workplace::with_script(
        r#"
        log_info("planning");
        phase("talk", || { log_info("hello"); shell("echo between"); log_warn("careful"); log_error("oh"); });
        phase("silent", || {});
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    let log = workplace.jumar(&["logs", "talk"]).code(0).stdout;
    assert_eq!(log, "hello\n$ echo between\nbetween\nwarning: careful\nerror: oh\n");
    let none = workplace.jumar(&["logs", "silent"]).code(0);
    assert_eq!(none.stdout, "");
    assert!(
        none.stderr.contains("silent ran no command in this attempt"),
        "{}",
        none.stderr
    );
}
