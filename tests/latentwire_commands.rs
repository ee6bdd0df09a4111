//! In a LatentWire repository the stock pipeline runs exactly the bash runner's commands, with its defaults and its environment.

mod common;

use common::stock::{Call, PHASES, only};
use common::{Workplace, value_in};
use serde_json::Value;

const SOURCE: &str = "meta-llama/Meta-Llama-3.1-8B-Instruct";

/// The commands of the bash runner, in order; RUN stands for the run directory. `EVAL DS SEED` is an evaluation.
const COMMANDS: &str = r#"
latentwire/train.py --llama_id meta-llama/Meta-Llama-3.1-8B-Instruct --qwen_id Qwen/Qwen2.5-7B-Instruct --dataset squad --samples 87599 --epochs 24 --batch_size 8 --latent_len 32 --d_z 256 --output_dir RUN/checkpoint --sequential_models --warm_anchor_text "Answer: " --first_token_ce_weight 0.5
EVAL latentwire/eval_sst2.py sst2
EVAL latentwire/eval_agnews.py agnews
EVAL telepathy/eval_telepathy_trec.py trec
EVAL latentwire/eval.py squad
scripts/statistical_testing.py --results_dir RUN/results --bootstrap_samples 10000 --output_file RUN/results/statistical_summary.json
PROBE sst2
PROBE agnews
PROBE trec
PROBE squad
llmlingua.py
latentwire/eval.py --mode token_budget --dataset squad --token_budget 32 --samples 200 --output_dir RUN/results/phase3_token_budget
scripts/benchmark_efficiency.py --checkpoint RUN/checkpoint/epoch23 --dataset squad --samples 100 --warmup_runs 3 --benchmark_runs 10 --output_file RUN/results/phase4_efficiency_squad.json
scripts/analyze_all_results.py --results_dir RUN/results --output_file RUN/final_results.json
"#;

/// [`COMMANDS`] as argument lists, with the evaluations and probes written out.
fn expected(run: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for line in COMMANDS.trim().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "EVAL" => commands.extend([42, 123, 456].map(|seed| {
                let (program, set) = (words[1], words[2]);
                format!(
                    "{program} --ckpt RUN/checkpoint/epoch23 --dataset {set} --seed {seed} --batch_size 16 \
                     --output_file RUN/results/{set}_seed{seed}.json --sequential_eval --fresh_eval"
                )
            })),
            "PROBE" => commands.push(format!(
                "latentwire/linear_probe_baseline.py --source_model {SOURCE} --dataset {} --layer 16 --cv_folds 5 \
                 --output_dir RUN/results/phase2_linear_probe --batch_size 16",
                words[1]
            )),
            _ => commands.push(line.to_string()),
        }
    }
    commands
        .iter()
        .map(|c| shlex::split(&c.replace("RUN", run)).expect("quotes match"))
        .collect()
}

fn argv(calls: &[Call]) -> Vec<Vec<String>> {
    calls.iter().map(|call| call.argv.clone()).collect()
}

#[test]
fn a_whole_run_is_the_commands_of_the_bash_runner_in_its_order_and_a_dry_run_shows_them() {
    let place = Workplace::latentwire();
    let planned = place
        .jumar(&["run", "-n", "--json", "--run-dir", "runs/here"])
        .code(0)
        .stdout;
    let planned: Value = serde_json::from_str(&planned).expect("a plan is JSON");
    let phases = planned["phases"].as_array().expect("phases");
    let planned = phases
        .iter()
        .flat_map(|phase| phase["commands"].as_array().expect("commands"));
    let planned: Vec<Vec<String>> = planned
        .map(|c| shlex::split(c["command"].as_str().expect("text")).expect("quotes match"))
        .collect();
    assert!(place.recorded().is_empty(), "a dry run starts nothing");

    place.jumar(&["run"]).code(0);
    let run = place.run();
    assert!(run.starts_with("runs/latentwire_unified_"), "{run}");
    let calls = place.recorded();
    let expected_commands = expected(&run);
    for (call, expected) in calls.iter().zip(&expected_commands) {
        assert_eq!(&call.argv, expected);
    }
    assert_eq!(calls.len(), expected_commands.len());

    let with_program: Vec<Vec<String>> = expected("runs/here")
        .into_iter()
        .map(|command| match command[0].as_str() {
            "llmlingua.py" => [
                "DATASET=squad",
                "OUTPUT_DIR=runs/here/results/phase3_llmlingua",
                "SAMPLES=200",
                "bash",
                "scripts/run_llmlingua_baseline.sh",
            ]
            .map(String::from)
            .to_vec(),
            _ => [vec!["python3".to_string()], command].concat(),
        })
        .collect();
    assert_eq!(planned, with_program, "the dry run shows what is run");

    assert_eq!(place.standing(), ["completed"; 6]);
    assert_eq!(
        place.value("checkpoints", "checkpoint_path"),
        Some(format!("{run}/checkpoint/epoch23"))
    );
    assert_eq!(place.value("checkpoints", "final_epoch").as_deref(), Some("23"));
    let logs = place.bash(&format!("cd {run}/logs && ls")).code(0).stdout;
    let training = logs
        .lines()
        .find(|log| log.starts_with("training_"))
        .expect("a log of the training");
    assert_eq!(training.len(), "training_20260101_120000.log".len(), "{training}");
    for log in [
        "eval_sst2_seed42.log",
        "eval_trec_seed456.log",
        "eval_squad_seed123.log",
    ] {
        assert!(logs.lines().any(|l| l == log), "{log}: {logs}");
    }
}

#[test]
fn more_than_one_gpu_makes_the_training_distributed() {
    let gpus = |count: usize| {
        let list: String = (0..count).map(|n| format!("echo {n}\n")).collect();
        Workplace::latentwire().stand_in("nvidia-smi", &format!("#!/bin/sh\n{list}"))
    };
    for (place, distributed, devices, nccl) in [
        (Workplace::latentwire(), false, None, None),
        (gpus(1), false, Some("0"), None),
        (gpus(4), true, Some("0,1,2,3"), Some("WARN")),
        (
            gpus(4).env("CUDA_VISIBLE_DEVICES", "2,3"),
            true,
            Some("2,3"),
            Some("WARN"),
        ),
        (gpus(4).env("CUDA_VISIBLE_DEVICES", "3"), false, Some("3"), None),
        (gpus(4).env("NUM_GPUS", "1"), false, Some("0,1,2,3"), Some("WARN")),
        (gpus(2).env("NCCL_DEBUG", "INFO"), true, Some("0,1"), Some("INFO")),
    ] {
        place.jumar(&["run", "--phase", "training"]).code(0);
        let calls = place.recorded();
        let call = only(&calls, "train.py");
        assert_eq!(
            call.argv.last().is_some_and(|word| word == "--distributed"),
            distributed,
            "{call:?}"
        );
        assert_eq!(call.env.get("CUDA_VISIBLE_DEVICES").map(String::as_str), devices);
        assert_eq!(call.env.get("NCCL_DEBUG").map(String::as_str), nccl);
    }
}

#[test]
fn commands_get_the_environment_for_gpu_work_and_what_the_user_exported_wins() {
    let place = Workplace::latentwire().env("PYTHONPATH", "/mine");
    place.jumar(&["run", "--phase", "training"]).code(0);
    let calls = place.recorded();
    let env = &only(&calls, "train.py").env;
    let root = place.path().canonicalize().expect("the workplace is there");
    assert_eq!(env["PYTHONPATH"], format!("{}:/mine", root.display()));
    for (name, value) in [
        ("PYTHONUNBUFFERED", "1"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("PYTORCH_ENABLE_MPS_FALLBACK", "1"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(
        env["OMP_NUM_THREADS"].parse::<u32>().is_ok_and(|threads| threads > 0),
        "{}",
        env["OMP_NUM_THREADS"]
    );

    let place = Workplace::latentwire()
        .env("TOKENIZERS_PARALLELISM", "true")
        .env("OMP_NUM_THREADS", "3")
        .env("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128");
    place.jumar(&["run", "--phase", "training"]).code(0);
    let calls = place.recorded();
    let env = &only(&calls, "train.py").env;
    assert_eq!(env["TOKENIZERS_PARALLELISM"], "true");
    assert_eq!(env["OMP_NUM_THREADS"], "3");
    assert_eq!(env["PYTORCH_CUDA_ALLOC_CONF"], "max_split_size_mb:128");
}

#[test]
fn a_given_checkpoint_is_evaluated_and_nothing_is_trained() {
    for words in [vec!["run"], vec!["run", "eval"], vec!["run", "--skip-train"]] {
        let place = Workplace::latentwire().env("SEEDS", "42").env("DATASETS", "sst2");
        place.write("given/epoch5/model.bin", "weights");
        place
            .jumar(&[words.clone(), vec!["--checkpoint", "given/epoch5"]].concat())
            .code(0);
        let calls = place.recorded();
        assert!(
            calls.iter().all(|call| call.argv[0] != "latentwire/train.py"),
            "{words:?}"
        );
        assert_eq!(
            only(&calls, "eval_sst2.py").option("--ckpt"),
            "given/epoch5",
            "{words:?}"
        );
        assert_eq!(
            only(&calls, "benchmark_efficiency.py").option("--checkpoint"),
            "given/epoch5",
            "{words:?}"
        );
        assert_eq!(
            place.value("checkpoints", "checkpoint_path").as_deref(),
            Some("given/epoch5"),
            "{words:?}"
        );
    }
}

#[test]
fn a_failed_evaluation_leaves_the_others_running_and_a_resume_does_only_what_is_missing() {
    let place = Workplace::latentwire()
        .env("SEEDS", "42 123")
        .env("DATASETS", "sst2 trec");
    place.break_program("eval_telepathy_trec", 1);
    place.jumar(&["run"]).code(1);
    let state = place.state();
    let standing: Vec<Option<String>> = PHASES.iter().map(|phase| value_in(&state, "phases", phase)).collect();
    let standing: Vec<&str> = standing.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        standing,
        [
            "completed",
            "failed",
            "completed",
            "completed",
            "completed",
            "completed"
        ]
    );

    place.mend_program("eval_telepathy_trec");
    let before = place.recorded().len();
    place.jumar(&["resume"]).code(0);
    let again = argv(&place.recorded()[before..]);
    let programs: Vec<&str> = again.iter().map(|command| command[0].as_str()).collect();
    let expected = [
        "telepathy/eval_telepathy_trec.py",
        "telepathy/eval_telepathy_trec.py",
        "scripts/statistical_testing.py",
        "scripts/analyze_all_results.py",
    ];
    assert_eq!(programs, expected, "{again:?}");
}

#[test]
fn what_is_missing_is_said_before_anything_starts() {
    let place = Workplace::latentwire();
    place.write("missing", "torch accelerate");
    let warned = place.jumar(&["run", "-n"]).code(0);
    assert!(
        warned.stderr.contains("torch") && warned.stderr.contains("accelerate"),
        "{}",
        warned.stderr
    );
    assert!(!warned.stderr.contains("transformers"), "{}", warned.stderr);
    let asked = place.jumar(&["run", "-n", "--num-gpus", "2"]).code(0);
    assert!(
        asked.stderr.contains("2 GPUs are asked for, 0 are there"),
        "{}",
        asked.stderr
    );

    for missing in ["git", "python3"] {
        let place = Workplace::latentwire();
        let other = if missing == "git" { "python3" } else { "git" };
        place.write("only/sh", "");
        let target = which::which(other).expect("it is installed");
        std::os::unix::fs::symlink(target, place.path().join("only").join(other)).expect("a link is made");
        let only = place.path().join("only");
        let refused = place.jumar_with(&[("PATH", &only.to_string_lossy())], &["run"]);
        assert_eq!(refused.code, 3, "{}", refused.stderr);
        assert!(
            refused
                .stderr
                .contains(&format!("{missing} is needed and not on the PATH")),
            "{}",
            refused.stderr
        );
        assert!(place.runs().is_empty(), "nothing was made");
    }
}
