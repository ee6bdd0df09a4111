//! `jumar graph`: the plan as a drawing.

mod common;

use common::Workplace;

const SCRIPT: &str = r#"
    let seeds = param("seeds", [1, 2]);
    phase("prepare", || { shell("touch ran"); });
    phase("train", #{ after: "prepare", gpus: 1, number: 1 }, || {});
    for seed in seeds { phase(`eval_${seed}`, #{ after: "train" }, || {}); }
    phase("say \"<bye>\"", #{ after_any: seeds.map(|s| `eval_${s}`), after: "prepare" }, || {});
"#;

#[test]
fn mermaid_is_the_default_and_parameters_shape_the_plan() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let text = place.jumar(&["graph", "s.rhai", "-p", "seeds=[7]"]).code(0).stdout;
    assert_eq!(
        text,
        "flowchart LR\n    p0[\"prepare\"]\n    p1[\"train<br/>phase 1 · 1 GPU\"]\n    p2[\"eval_7\"]\n    p3[\"say #quot;#lt;bye#gt;#quot;\"]\n    \
         p0 --> p1\n    p1 --> p2\n    p0 --> p3\n    p2 -.-> p3\n"
    );
    assert!(
        !place.exists("ran") && !place.exists("runs"),
        "nothing is run or written"
    );
}

#[test]
fn dot_names_every_phase_and_arrow() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let text = place.jumar(&["graph", "--dot", "s.rhai"]).code(0).stdout;
    assert!(text.starts_with("digraph plan {") && text.ends_with("}\n"), "{text}");
    assert_eq!(text.matches(" -> ").count(), 6, "{text}");
    assert_eq!(text.matches("style=dashed").count(), 2, "{text}");
}

#[test]
fn svg_is_drawn_without_any_other_program() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let text = place.jumar(&["graph", "--svg", "s.rhai"]).code(0).stdout;
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}");
    assert_eq!(text.matches("<rect ").count(), 5);
    assert_eq!(
        text.matches("class=\"after\"").count() + text.matches("class=\"any\"").count(),
        6
    );
    assert!(text.contains("say &quot;&lt;bye&gt;&quot;"), "{text}");
}

#[test]
fn the_stock_pipeline_can_be_drawn() {
    let text = Workplace::new().jumar(&["graph"]).code(0).stdout;
    assert!(
        text.contains("training") && text.contains("aggregation") && text.contains("-->"),
        "{text}"
    );
}

#[test]
fn a_script_or_a_parameter_that_is_wrong_is_refused() {
    let place = Workplace::new();
    place.write("s.rhai", "phase(\"a\", #{ after: \"b\" }, || {});");
    place.jumar(&["graph", "s.rhai"]).code(3);
    place.write("t.rhai", SCRIPT);
    place.jumar(&["graph", "t.rhai", "-p", "sedes=[1]"]).code(2);
    place.jumar(&["graph", "--dot", "--svg", "t.rhai"]).code(2);
}

#[test]
fn programs_get_phases_and_what_they_wait_for() {
    let place = Workplace::new();
    place.write("s.rhai", SCRIPT);
    let text = place.jumar(&["graph", "--json", "s.rhai"]).code(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let phases = plan["phases"].as_array().expect("phases");
    assert_eq!(phases.len(), 5);
    assert_eq!(
        (&phases[1]["name"], &phases[1]["gpus"], &phases[1]["number"]),
        (&"train".into(), &1.into(), &1.into())
    );
    assert_eq!(phases[4]["after"], serde_json::json!(["prepare"]));
    assert_eq!(phases[4]["after_any"], serde_json::json!(["eval_1", "eval_2"]));
}

#[test]
fn the_plan_of_a_run_is_drawn_with_the_parameters_it_recorded() {
    let place = Workplace::new();
    place.write(
        "red.rhai",
        "let n = param(\"n\", 1);\nfor i in 0..n { phase(`p${i}`, || { shell(\"true\"); }); }\n",
    );
    place
        .jumar(&["run", "red.rhai", "-p", "n=3", "--run-dir", "runs/red_one"])
        .code(0);
    for asked in ["runs/red_one", "red_one", "runs/red_one/.experiment_state"] {
        let drawn = place.jumar(&["graph", asked]).code(0).stdout;
        assert!(drawn.contains("p0") && drawn.contains("p2"), "{drawn}");
    }
    let other = place.jumar(&["graph", "runs/red_one", "-p", "n=1"]).code(0).stdout;
    assert!(!other.contains("p2"), "{other}");
}
