//! The script host: plan first, private copies, imports, module closures, and runs that are the same straight or resumed.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{Workplace, redact, value_in};

#[test]
fn the_whole_script_is_read_before_the_first_phase_runs() {
    let workplace = Workplace::with_script(
        r#"
        phase("late", #{ after: "early" }, || { shell("cat .order >> log.txt"); });
        phase("early", || { shell("echo early >> log.txt; echo late > .order"); });
        print("the plan has been read");
        "#,
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.read("log.txt"), "early\nlate\n");
    let read = ended.stderr.find("the plan has been read").expect("printed");
    assert!(read < ended.stderr.find("early").expect("named"), "{}", ended.stderr);
}

#[test]
fn an_error_at_the_end_of_the_script_keeps_every_phase_from_running() {
    let workplace = Workplace::with_script(r#"phase("one", || { shell("touch ran"); }); let x = [1][7];"#);
    workplace.jumar(&["run", "pipeline.rhai"]).code(3);
    assert!(!workplace.exists("ran"));
    assert!(!workplace.exists("runs"), "a refused script leaves no run behind");
}

#[test]
fn a_script_that_exits_at_the_top_level_runs_nothing() {
    let workplace = Workplace::with_script(r#"phase("one", || { shell("touch ran"); }); exit();"#);
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(3);
    assert!(
        ended
            .stderr
            .contains("the script ended before its end: nothing was run"),
        "{}",
        ended.stderr
    );
    assert!(!workplace.exists("ran") && !workplace.exists("runs"));
}

#[test]
fn a_phase_sees_what_it_captured_as_it_stood_when_it_was_declared() {
    let workplace = Workplace::with_script(
        r#"
        let word = "then";
        let list = [1];
        let map = #{ inner: #{ n: 1 } };
        phase("reader", || { state.seen.reader = word + list.len() + map.inner.n; });
        word = "now";
        list.push(2);
        map.inner.n = 2;
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("reader"), "then11");
}

#[test]
fn each_turn_of_a_loop_gives_its_phase_its_own_variable() {
    let workplace = Workplace::with_script(
        r#"
        for seed in [42, 123, 456] {
            phase(`eval_${seed}`, || { state.seen[`eval_${seed}`] = seed; });
        }
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    for seed in ["42", "123", "456"] {
        assert_eq!(workplace.seen(&format!("eval_{seed}")), seed);
    }
}

#[test]
fn what_a_phase_assigns_to_a_captured_variable_stays_in_it() {
    let workplace = Workplace::with_script(
        r#"
        let count = 0;
        let box = #{ list: [] };
        phase("one", || { count += 1; box.list.push(1); state.seen.one = `${count} ${box.list.len()}`; });
        phase("two", #{ after: "one" }, || { count += 1; state.seen.two = `${count} ${box.list.len()}`; });
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("one"), "1 1");
    assert_eq!(workplace.seen("two"), "1 0");
}

#[test]
fn a_phase_that_is_tried_again_begins_with_what_it_captured() {
    let workplace = Workplace::with_script(
        r#"
        let tries = 0;
        phase("flaky", #{ retries: 2 }, || {
            tries += 1;
            if run.attempt < 3 { throw "not yet"; }
            state.seen.tries = tries;
        });
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("tries"), "1");
}

#[test]
fn state_env_and_run_are_there_in_functions_closures_steps_policies_and_modules() {
    let workplace = Workplace::with_script(
        r#"
        import "parts/recorder" as recorder;
        fn note(key, value) { state.seen[key] = value; }
        note("top_level", run.name);
        env.COLOUR = "green";
        phase("main", #{ on_failure: |f| { note("policy", f.phase); skip("as planned") } }, || {
            note("phase", state.seen.top_level);
            let inner = || || state.seen.phase;
            note("closure", inner.call().call());
            step("part", || { note("step", env.COLOUR); [1].map(|x| { state.seen.each = x; }); });
            recorder::record("module", run.phase);
            throw "for the policy";
        });
        "#,
    );
    workplace.write(
        "parts/recorder.rhai",
        "fn record(key, value) { state.seen[key] = `${value} ${env.COLOUR}`; }",
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    for (key, value) in [
        ("top_level", "pipeline"),
        ("phase", "pipeline"),
        ("closure", "pipeline"),
        ("step", "green"),
        ("each", "1"),
        ("module", "main green"),
        ("policy", "main"),
    ] {
        assert_eq!(workplace.seen(key), value, "{key}");
    }
}

#[test]
fn closures_that_a_module_makes_keep_its_functions_imports_and_constants() {
    let workplace = Workplace::with_script(
        r#"
        import "lib/tools" as tools;
        fn local(x) { `local ${x}` }
        let make = tools::maker("a");
        let relayed = tools::relayed();
        phase("made", || { state.seen.made = make.call("b"); });
        phase("relayed", || { state.seen.relayed = relayed.call("c"); });
        phase("wrapped", tools::wrapped(|| local("main")));
        tools::declare("declared");
        phase("policy", #{ on_failure: tools::policy() }, || { throw "x"; });
        "#,
    );
    workplace.write(
        "lib/tools.rhai",
        r#"
        import "deep/names" as names;
        const SIGN = "!";
        private fn join(a, b) { a + names::dash() + b + global::SIGN }
        fn maker(a) { |b| join(a, b) }
        fn relayed() { names::maker() }
        fn wrapped(body) { || { state.seen.wrapped = join("wrapped", body.call()); } }
        fn declare(name) { phase(name, || { state.seen[name] = join("phase", name); }); }
        fn policy() { |failure| { state.seen.policy = join(failure.phase, failure.kind); skip("enough") } }
        "#,
    );
    workplace.write(
        "lib/deep/names.rhai",
        "fn dash() { \"-\" }\nfn maker() { |b| dash() + b }",
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("made"), "a-b!");
    assert_eq!(workplace.seen("relayed"), "-c");
    assert_eq!(workplace.seen("wrapped"), "wrapped-local main!");
    assert_eq!(workplace.seen("declared"), "phase-declared!");
    assert_eq!(workplace.seen("policy"), "policy-script!");
}

#[test]
fn module_closures_work_in_phases_that_run_side_by_side() {
    let workplace = Workplace::with_script(
        r#"
        import "tools" as tools;
        let work = tools::maker();
        for n in 0..8 { phase(`p${n}`, || { state.seen[`p${n}`] = work.call(n); }); }
        "#,
    );
    workplace.write("tools.rhai", "fn twice(n) { n * 2 }\nfn maker() { |n| twice(n) }");
    workplace.jumar(&["run", "pipeline.rhai", "-j", "4"]).code(0);
    for n in 0..8 {
        assert_eq!(workplace.seen(&format!("p{n}")), (n * 2).to_string());
    }
}

#[test]
fn an_import_is_looked_for_beside_the_file_that_imports() {
    let workplace = Workplace::new();
    workplace.write(
        "elsewhere/pipeline.rhai",
        "import \"lib/a\" as a;\nphase(\"p\", || { state.seen.text = a::text(); });",
    );
    workplace.write(
        "elsewhere/lib/a.rhai",
        "import \"b.rhai\" as b;\nfn text() { `a of ${b::text()}` }",
    );
    workplace.write("elsewhere/lib/b.rhai", "fn text() { \"b beside a\" }");
    workplace.write("lib/a.rhai", "fn text() { \"the wrong a\" }");
    workplace.write("b.rhai", "fn text() { \"the wrong b\" }");
    workplace.jumar(&["run", "elsewhere/pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("text"), "a of b beside a");
}

#[test]
fn a_resumed_run_finds_its_imports_from_another_directory() {
    let workplace = Workplace::new();
    workplace.write(
        "pipeline.rhai",
        "import \"lib/a\" as a;\nphase(\"p\", || { shell(\"test -e ready\"); state.seen.text = a::text(); });",
    );
    workplace.write("lib/a.rhai", "fn text() { \"found\" }");
    workplace.write("other/place", "");
    workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    workplace.write("ready", "");
    let state_file = workplace.path().join(workplace.run()).join(".experiment_state");
    let mut resume = workplace.command(&["resume", &state_file.to_string_lossy()]);
    let ended = resume
        .current_dir(workplace.path().join("other"))
        .output()
        .expect("jumar starts");
    common::Ended::from(ended).code(0);
    assert_eq!(workplace.seen("text"), "found");
}

#[test]
fn all_modules_of_std_can_be_imported_together() {
    let workplace = Workplace::with_script(
        r#"
        import "std/gpu" as gpu;
        import "std/python" as python;
        import "std/recovery" as recovery;
        import "std/failures" as failures;
        gpu::setup();
        on_failure(recovery::standard());
        phase("p", || {
            state.seen.python = python::is_there() == (which("python3") != ());
            state.seen.gpus = gpu::count();
            state.seen.patterns = failures::patterns().len() > 5;
            state.seen.unbuffered = env.PYTHONUNBUFFERED;
        });
        "#,
    )
    .env("CUDA_VISIBLE_DEVICES", "3,5");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("python"), "true");
    assert_eq!(workplace.seen("gpus"), "2");
    assert_eq!(workplace.seen("patterns"), "true");
    assert_eq!(
        value_in(&workplace.state(), "seen", "unbuffered").as_deref(),
        Some("\"1\"")
    );
}

#[test]
fn a_script_with_a_shebang_is_executed_directly_with_its_parameters() {
    let workplace = Workplace::with_script(
        "#!/usr/bin/env jumar\nlet word = param(\"word\", \"nothing\");\nphase(\"p\", || { shell([\"echo\", word], #{ log: \"said.log\" }); });\n",
    );
    let script = workplace.path().join("pipeline.rhai");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_jumar"))
        .parent()
        .expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("a PATH"));
    let mut command = Command::new("./pipeline.rhai");
    command
        .args(["--word", "directly"])
        .current_dir(workplace.path())
        .env("PATH", path);
    common::Ended::from(command.output().expect("the script starts")).code(0);
    let said = workplace.read(&format!("{}/logs/said.log", workplace.run()));
    assert!(said.lines().any(|line| line == "directly"), "{said}");
}

#[test]
fn a_script_with_a_byte_order_mark_and_windows_line_ends_runs() {
    let workplace = Workplace::with_script(
        "\u{feff}#!/usr/bin/env jumar\r\nphase(\"p\", || {\r\n    state.seen.ran = 1;\r\n});\r\n",
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("ran"), "1");
}

#[test]
fn a_phase_declared_inside_a_running_phase_joins_the_plan() {
    let workplace = Workplace::with_script(
        r#"
        phase("plan", || {
            for n in [1, 2] {
                phase(`part_${n}`, #{ after: "plan" }, || { state.seen[`part_${n}`] = n * 10; n * 10 });
            }
            phase("sum", #{ after: ["part_1", "part_2"] }, || { state.seen.sum = result("part_1") + result("part_2"); });
        });
        "#,
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai", "-j", "2", "--json"]).code(0);
    assert_eq!(workplace.seen("sum"), "30");
    for name in ["plan", "part_1", "part_2", "sum"] {
        assert_eq!(workplace.value("phases", name).as_deref(), Some("completed"), "{name}");
        assert!(ended.stdout.contains(&format!("\"{name}\"")), "{}", ended.stdout);
    }
}

#[test]
fn a_phase_declared_inside_a_phase_with_a_bad_dependency_fails_the_declaring_phase_only() {
    let workplace = Workplace::with_script(
        r#"
        phase("plan", || { phase("part", #{ after: "nobody" }, || ()); });
        phase("other", || ());
        "#,
    );
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(1);
    assert!(ended.stderr.contains("no phase has that name"), "{}", ended.stderr);
    assert_eq!(workplace.value("phases", "plan").as_deref(), Some("failed"));
    assert_eq!(workplace.value("phases", "other").as_deref(), Some("completed"));
    assert_eq!(workplace.value("phases", "part"), None);
}

/// A pipeline with results, a sweep that a result decides, steps and a module policy; it fails where `stop_at` says.
const SWEEP: &str = r#"
    let base = param("base", 2);
    let names = ["a"];
    phase("measure", || {
        names.push("b");
        let found = parse_int(shell("echo 3", #{ capture: true }).stdout);
        shell(`test ! -e stop_measure`);
        for n in 0..found {
            phase(`try_${n}`, #{ after: "measure" }, || {
                let half = step("half", || { shell(`echo half_${n} >> done.txt`); n * base });
                shell(`test ! -e stop_try_${n}`);
                state.seen[`try_${n}`] = `${half} ${names.len()} ${result("measure")}`;
                half + 1
            });
        }
        phase("best", #{ after: ["try_0", "try_1", "try_2"] }, || {
            shell("test ! -e stop_best");
            metric("best", result("try_2"));
            state.seen.best = [result("try_0"), result("try_1"), result("try_2")];
            names.len()
        });
        found
    });
    phase("report", #{ after: "measure" }, || { state.seen.report = result("measure"); names });
"#;

/// What of a state file must be the same however often the run was stopped.
fn essence(workplace: &Workplace) -> String {
    let text = workplace.state();
    let mut section = "";
    let mut lines = vec![];
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        }
        if ["[phases]", "[results]", "[steps]", "[seen]", "[metrics]", "[params]"].contains(&section)
            && !line.is_empty()
        {
            lines.push(format!("{section}{line}"));
        }
    }
    // A resumed run learns of phases in another order than a straight one may write its values.
    lines.sort();
    redact(&lines.join("\n"), workplace)
}

#[test]
fn a_run_that_was_stopped_anywhere_and_resumed_ends_as_a_straight_one_does() {
    let straight = Workplace::with_script(SWEEP);
    straight.jumar(&["run", "pipeline.rhai", "--base", "5"]).code(0);
    let expected = essence(&straight);
    assert!(
        expected.contains("best=[1, 6, 11]") || expected.contains("best=[1,6,11]"),
        "{expected}"
    );
    for stop_at in ["stop_measure", "stop_try_0", "stop_try_2", "stop_best"] {
        let resumed = Workplace::with_script(SWEEP);
        resumed.write(stop_at, "");
        resumed.jumar(&["run", "pipeline.rhai", "--base", "5"]).code(1);
        std::fs::remove_file(resumed.path().join(stop_at)).expect("removed");
        resumed.jumar(&["resume"]).code(0);
        assert_eq!(essence(&resumed), expected, "stopped by {stop_at}");
        assert_eq!(
            resumed.read("done.txt"),
            straight.read("done.txt"),
            "{stop_at}: each step is done once"
        );
    }
}

#[test]
fn a_second_resume_of_a_finished_sweep_runs_nothing() {
    let workplace = Workplace::with_script(SWEEP);
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    let done = workplace.read("done.txt");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("done.txt"), done);
}

#[test]
fn result_at_the_top_level_is_refused_since_a_resumed_run_would_see_something_else() {
    let workplace = Workplace::with_script("phase(\"a\", || 1);\nlet x = result(\"a\");");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(3);
    assert!(
        ended.stderr.contains("result() runs inside a phase"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_captured_closure_works_in_phases_side_by_side() {
    let workplace = Workplace::with_script(
        r#"
        let scale = 3;
        let work = |n| n * scale;
        for n in 0..6 { phase(`p${n}`, || { state.seen[`p${n}`] = work.call(n); }); }
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai", "-j", "6"]).code(0);
    for n in 0..6 {
        assert_eq!(workplace.seen(&format!("p{n}")), (n * 3).to_string());
    }
}

#[test]
fn what_a_script_prints_goes_to_standard_error() {
    let workplace =
        Workplace::with_script("print(\"a word\"); debug(\"another\"); phase(\"p\", || { print(\"inside\"); });");
    let ended = workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    for word in ["a word", "another", "inside"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
        assert!(!ended.stdout.contains(word), "{}", ended.stdout);
    }
}

#[test]
fn a_name_of_jumars_own_cannot_be_a_variable() {
    for text in ["let state = 1;", "const run = 1;", "phase(\"p\", || { let env = 1; });"] {
        let workplace = Workplace::with_script(text);
        let ended = workplace.jumar(&["run", "pipeline.rhai"]);
        assert!([1, 3].contains(&ended.code), "{text}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("is jumar's own; choose another name"),
            "{text}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_phase_that_is_tried_again_declares_its_phases_once() {
    let workplace = Workplace::with_script(
        r#"
        phase("plan", #{ retries: 1 }, || {
            for n in 0..2 { phase(`part_${n}`, #{ after: "plan" }, || { shell(`echo ${n} >> done`); }); }
            if run.attempt == 1 { throw "again"; }
            phase("inner", || { phase("innermost", || { shell("echo innermost >> done"); }); });
        });
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.read("done"), "0\n1\ninnermost\n");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(
        workplace.read("done"),
        "0\n1\ninnermost\n",
        "a resumed run knows them all"
    );
}

#[test]
fn a_body_may_be_a_named_function() {
    let workplace = Workplace::with_script(
        r#"
        fn body() { state.seen[run.phase] = 1; }
        phase("by_name", body);
        phase("by_pointer", Fn("body"));
        "#,
    );
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("by_name") + &workplace.seen("by_pointer"), "11");
}

#[test]
fn a_module_imported_inside_a_phase_works() {
    let workplace = Workplace::with_script(
        "phase(\"p\", || { import \"lib\" as lib; let f = lib::maker(); state.seen.x = f.call(2); });",
    );
    workplace.write("lib.rhai", "fn maker() { |n| n + 1 }");
    workplace.jumar(&["run", "pipeline.rhai"]).code(0);
    assert_eq!(workplace.seen("x"), "3");
}

#[test]
fn a_script_that_fails_after_it_asked_for_the_run_directory_leaves_none_behind() {
    for text in [
        "let d = run.dir; throw \"no\";",
        "let d = run.dir; phase(\"a\", #{ after: \"b\" }, || ());",
    ] {
        let workplace = Workplace::with_script(text);
        workplace.jumar(&["run", "pipeline.rhai"]).code(3);
        workplace
            .jumar(&["run", "pipeline.rhai", "--run-dir", "mine/here"])
            .code(3);
        assert!(!workplace.exists("runs") && !workplace.exists("mine"), "{text}");
    }
}
