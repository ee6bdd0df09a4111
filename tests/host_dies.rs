//! The host may die; the work goes on. Real processes and real kills.
//!
//! `JUMAR_KILLS` says how many hosts are killed in the middle of forty commands; 40 when it is not set.

mod common;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::processes::{Process, keepers_in, kill, processes};
use common::{Workplace, wait_until};

/// Forty commands, each of which leaves a line when it begins and another when it ends.
const ONE_PHASE: &str = r#"
phase("work", || {
    for i in 0..40 {
        let pause = if i % 3 == 0 { "0.03" } else { "0" };
        if i % 5 == 4 {
            let said = shell(`echo begin ${i} >> effects; sleep ${pause}; echo end ${i} >> effects; echo said ${i}`, #{ capture: true });
            if said.stdout != "said " + i + "\n" { throw `heard ${said.stdout}`; }
        } else if i % 7 == 3 {
            step(`step ${i}`, || { shell(`echo begin ${i} >> effects; sleep ${pause}; echo end ${i} >> effects`); });
        } else if i % 11 == 6 {
            let failed = shell(`echo begin ${i} >> effects; sleep ${pause}; echo end ${i} >> effects; exit 7`, #{ check: false });
            if failed.code != 7 { throw `status ${failed.code}`; }
        } else {
            shell(`echo begin ${i} >> effects; sleep ${pause}; echo end ${i} >> effects`);
        }
    }
});
"#;

/// The same in four phases side by side.
const FOUR_PHASES: &str = r#"
for p in 0..4 {
    let first = p * 10;
    phase(`work${p}`, || {
        for n in 0..10 {
            let i = first + n;
            let pause = if i % 3 == 0 { "0.06" } else { "0.01" };
            shell(`echo begin ${i} >> effects; sleep ${pause}; echo end ${i} >> effects`);
        }
    });
}
"#;

/// What a series of kills came to.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    kills: usize,
    lost: usize,
    doubled: usize,
}

#[test]
fn forty_commands_have_every_effect_once_however_often_their_host_is_killed() {
    let wanted = std::env::var("JUMAR_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(40);
    let mut random = Random::new();
    for (script, jobs) in [(ONE_PHASE, "1"), (FOUR_PHASES, "4")] {
        let mut tally = Tally::default();
        while tally.kills < wanted / 2 {
            run_once_with_kills(script, jobs, wanted / 2 - tally.kills, &mut random, &mut tally);
        }
        report(&format!(
            "-j {jobs}: kills {}, effects lost {}, doubled {}",
            tally.kills, tally.lost, tally.doubled
        ));
        assert_eq!((tally.lost, tally.doubled), (0, 0), "seed {}", random.seed);
    }
}

#[allow(clippy::print_stderr, reason = "the figures are what the test is run for")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// One run from its start to its end, its hosts killed at random moments; at most `most` of them.
fn run_once_with_kills(script: &str, jobs: &str, most: usize, random: &mut Random, tally: &mut Tally) {
    let workplace = Workplace::new();
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai", "-j", jobs]);
    wait_until("a command has begun", || workplace.exists("effects"));
    let mut killed = 0;
    while killed < most {
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        if host.try_wait().expect("the host can be asked").is_some() {
            break;
        }
        kill(&mut host);
        killed += 1;
        host = workplace.start(&["resume", "-j", jobs]);
    }
    let ended = common::Ended::from(host.wait_with_output().expect("the last host ends"));
    tally.kills += killed;
    ended.code(0);
    let effects = workplace.read("effects");
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in effects.lines() {
        *counts.entry(line.into()).or_default() += 1;
    }
    for i in 0..40 {
        for effect in [format!("begin {i}"), format!("end {i}")] {
            match counts.remove(&effect).unwrap_or(0) {
                0 => tally.lost += 1,
                n => tally.doubled += n - 1,
            }
        }
    }
    assert!(counts.is_empty(), "{counts:?}");
    if (tally.lost, tally.doubled) != (0, 0) {
        report(&format!("{effects}\n{}", workplace.state()));
    }
}

#[test]
fn a_training_goes_on_as_the_same_process_when_its_host_is_killed() {
    let workplace = Workplace::new();
    let mut host = workplace.start(&["run", "quick", "--training-epochs", "40", "--phase", "training"]);
    let training = || {
        processes()
            .into_iter()
            .find(|p| p.arguments.contains("train.py") && p.cwd == workplace.path().canonicalize().unwrap())
    };
    wait_until("the training runs", || training().is_some());
    let before = training().unwrap();
    wait_until("an epoch is done", || {
        workplace.exists(&format!("{}/checkpoint/epoch1", workplace.run()))
    });
    kill(&mut host);
    let resumed = workplace.start(&["resume", "--phase", "training"]);
    wait_until("the training has ended", || {
        let now = training();
        assert!(now.is_none_or(|now| now.name() == before.name()), "a second training");
        !before.is_alive()
    });
    let ended = common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    assert!(
        ended.stderr.contains("waiting for what the last jumar had started"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.value("phases", "training").as_deref(), Some("completed"));
    assert_eq!(workplace.value("attempts", "training.2"), None);
    assert!(workplace.exists(&format!("{}/checkpoint/epoch39", workplace.run())));
}

#[test]
fn the_exit_status_of_a_command_that_ended_unseen_by_a_host_is_taken() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo once >> effects; until test -e go || ! test -e effects; do sleep 0.01; done; echo the end; exit 9");
    });"#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the command runs", || workplace.exists("effects"));
    kill(&mut host);
    workplace.write("go", "");
    wait_until("the keeper has gone", || keepers_in(&workplace).is_empty());
    let ended = workplace.jumar(&["resume"]).code(1);
    assert!(
        ended.stderr.contains("ended with status 9: the end"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.read("effects"), "once\n");
    assert!(workplace.value("attempts", "work.1").unwrap().contains(r#""code":9"#));
}

#[test]
fn a_keeper_that_is_killed_takes_nothing_with_it() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        let r = shell("echo one >> effects; until test -e go || ! test -e effects; do sleep 0.01; done; echo end one >> effects; exit 5", #{ check: false });
        if r.code != 5 { throw `status ${r.code}`; }
        shell("echo two >> effects");
    });"#;
    workplace.write("work.rhai", script);
    let host = workplace.start(&["run", "work.rhai"]);
    wait_until("the command runs", || workplace.exists("effects"));
    let keeper = keepers_in(&workplace).remove(0);
    assert_ne!(keeper.session, host.id() as i32);
    assert_eq!(keeper.session, keeper.pid, "it leads a session of its own");
    assert!(
        keeper.arguments.starts_with("jumar keeper: runs/work_"),
        "{}",
        keeper.arguments
    );
    keeper.kill();
    workplace.write("go", "");
    common::Ended::from(host.wait_with_output().unwrap()).code(0);
    assert_eq!(workplace.read("effects"), "one\nend one\ntwo\n");
    assert_eq!(workplace.value("attempts", "work.2"), None);
}

#[test]
fn a_command_that_a_killed_keeper_had_not_come_to_is_started_once() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo one >> effects");
        state.seen.first = "ended";
        sleep(1);
        shell("echo two >> effects");
    });"#;
    workplace.write("work.rhai", script);
    let host = workplace.start(&["run", "work.rhai"]);
    // Not until it has written: a keeper that is stopped a moment earlier never tells of its end.
    wait_until("the first command has ended", || {
        workplace.exists("effects") && workplace.state().contains("first=ended")
    });
    let keeper = keepers_in(&workplace).remove(0);
    keeper.stop();
    let log = format!("{}/logs/work.log", workplace.run());
    wait_until("the second one is handed over", || {
        workplace.read(&log).contains("$ echo two")
    });
    std::thread::sleep(Duration::from_millis(100));
    keeper.kill();
    common::Ended::from(host.wait_with_output().unwrap()).code(0);
    assert_eq!(workplace.read("effects"), "one\ntwo\n");
}

#[test]
fn what_host_and_keeper_left_is_waited_for_and_then_run_again_and_the_record_says_so() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo first >> effects");
        shell("echo begin >> effects; until test -e go || ! test -e effects; do sleep 0.01; done; echo end >> effects");
    });"#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the command runs", || {
        workplace.exists("effects") && workplace.read("effects").ends_with("begin\n")
    });
    keepers_in(&workplace).remove(0).stop();
    kill(&mut host);
    keepers_in(&workplace).remove(0).kill();
    let resumed = workplace.start(&["resume"]);
    wait_until("the new host waits", || {
        workplace.state().contains("went on with it") || resumed_by_lock(&workplace)
    });
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        workplace.read("effects"),
        "first\nbegin\n",
        "no second copy beside a living one"
    );
    workplace.write("go", "");
    let ended = common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    assert!(ended.stderr.contains("nobody saw how"), "{}", ended.stderr);
    assert_eq!(workplace.read("effects"), "first\nbegin\nend\nbegin\nend\n");
    let record = workplace.value("attempts", "work.1").unwrap();
    assert!(
        record.contains("it runs again") && record.contains("completed"),
        "{record}"
    );
}

#[test]
fn no_command_meets_a_second_copy_of_itself_however_often_host_and_keeper_are_killed() {
    let workplace = Workplace::new();
    let script = r#"
        for p in 0..3 {
            let first = p * 8;
            phase(`work${p}`, || {
                for n in 0..8 {
                    let i = first + n;
                    let pause = if i % 2 == 0 { "0.08" } else { "0" };
                    shell(`mkdir lock${i} || echo ${i} >> met; echo ${i} >> effects; sleep ${pause}; rmdir lock${i}`);
                }
            });
        }
    "#;
    workplace.write("work.rhai", script);
    let mut random = Random::new();
    let mut host = workplace.start(&["run", "work.rhai", "-j", "3"]);
    wait_until("a command has begun", || workplace.exists("effects"));
    for _ in 0..6 {
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        if host.try_wait().expect("the host can be asked").is_some() {
            break;
        }
        let keepers = keepers_in(&workplace);
        kill(&mut host);
        keepers.iter().for_each(Process::kill_if_alive);
        host = workplace.start(&["resume", "-j", "3"]);
    }
    common::Ended::from(host.wait_with_output().unwrap()).code(0);
    assert!(
        !workplace.exists("met"),
        "seed {}: {}",
        random.seed,
        workplace.read("met")
    );
    let effects = workplace.read("effects");
    for i in 0..24 {
        assert!(effects.lines().any(|line| line == i.to_string()), "{i} is lost");
    }
}

#[test]
fn a_retry_and_a_phase_that_was_set_back_run_their_commands_again() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo first >> effects");
        shell("echo second >> effects; until test -e go || ! test -e effects; do sleep 0.01; done");
    });"#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the second command runs, as the file says", || {
        workplace.exists("effects")
            && workplace.read("effects").ends_with("second\n")
            && workplace.state().contains("work=in_progress")
    });
    kill(&mut host);
    let file = format!("{}/.experiment_state", workplace.run());
    workplace.write(&file, &workplace.state().replace("work=in_progress", "work=pending"));
    let resumed = workplace.start(&["resume"]);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        workplace.read("effects"),
        "first\nsecond\n",
        "no second copy beside a living one"
    );
    workplace.write("go", "");
    let ended = common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    assert!(
        ended.stderr.contains("which the last jumar left running"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.read("effects"), "first\nsecond\nfirst\nsecond\n");
    assert!(workplace.value("attempts", "work.1").unwrap().contains("interrupted"));
    assert!(workplace.value("attempts", "work.2").unwrap().contains("completed"));
}

#[test]
fn a_phase_that_is_set_back_while_the_next_host_is_on_is_done_anew() {
    let workplace = Workplace::new();
    let script = r#"
        for n in 1..3 {
            phase(`work${n}`, || { shell(`echo ${n} >> effects; until test -e go${n} || ! test -e effects; do sleep 0.01; done`); });
        }
    "#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai", "-j", "2"]);
    wait_until("both commands run", || {
        workplace.exists("effects") && workplace.read("effects").lines().count() == 2
    });
    kill(&mut host);
    let resumed = workplace.start(&["resume"]);
    wait_until("the new host goes on, as the file says", || {
        let state = workplace.state();
        state.contains("another one went on") && state.contains("work2=in_progress")
    });
    let file = format!("{}/.experiment_state", workplace.run());
    workplace.write(&file, &workplace.state().replace("work2=in_progress", "work2=pending"));
    workplace.write("go1", "");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        workplace.read("effects").lines().count(),
        2,
        "no second copy beside a living one"
    );
    workplace.write("go2", "");
    common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    let effects = workplace.read("effects");
    assert_eq!(effects.lines().filter(|line| *line == "2").count(), 2, "{effects}");
    assert_eq!(effects.lines().filter(|line| *line == "1").count(), 1, "{effects}");
    assert!(workplace.value("attempts", "work2.1").unwrap().contains("interrupted"));
}

#[test]
fn from_a_command_that_has_changed_on_everything_runs_again_and_that_is_said() {
    let workplace = Workplace::new();
    let script = |second: &str| {
        format!(
            r#"phase("work", || {{
                shell("echo first >> effects");
                shell("echo {second} >> effects");
                shell("echo third >> effects; until test -e go || ! test -e effects; do sleep 0.01; done");
            }});"#
        )
    };
    workplace.write("work.rhai", &script("second"));
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the third command runs", || {
        workplace.exists("effects") && workplace.read("effects").ends_with("third\n")
    });
    kill(&mut host);
    workplace.write("work.rhai", &script("changed"));
    let resumed = workplace.start(&["resume"]);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        workplace.read("effects"),
        "first\nsecond\nthird\n",
        "the living one is waited for"
    );
    workplace.write("go", "");
    let ended = common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    assert!(
        ended.stderr.contains("is not what it was when jumar died"),
        "{}",
        ended.stderr
    );
    assert_eq!(workplace.read("effects"), "first\nsecond\nthird\nchanged\nthird\n");
}

#[test]
fn the_gpu_of_a_living_command_is_given_to_nobody_else() {
    let workplace = Workplace::new().env("CUDA_VISIBLE_DEVICES", "7");
    let script = r#"
        phase("first", #{ gpus: 1 }, || { shell("echo first $CUDA_VISIBLE_DEVICES >> effects"); });
        phase("second", #{ gpus: 1 }, || {
            shell("echo second $CUDA_VISIBLE_DEVICES >> effects; until test -e go || ! test -e effects; do sleep 0.01; done");
        });
    "#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai", "-j", "2"]);
    wait_until("the second phase runs, as the file says", || {
        workplace.exists("effects")
            && workplace.read("effects").ends_with("second 7\n")
            && workplace.state().contains("first=completed")
    });
    kill(&mut host);
    let file = format!("{}/.experiment_state", workplace.run());
    workplace.write(&file, &workplace.state().replace("first=completed", "first=pending"));
    let resumed = workplace.start(&["resume", "-j", "2"]);
    wait_until("the new host goes on", || {
        workplace.state().contains("another one went on")
    });
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(workplace.read("effects"), "first 7\nsecond 7\n");
    workplace.write("go", "");
    common::Ended::from(resumed.wait_with_output().unwrap()).code(0);
    assert_eq!(workplace.read("effects"), "first 7\nsecond 7\nfirst 7\n");
}

#[test]
fn the_time_that_a_command_had_run_is_taken_from_its_phases_limit_once() {
    let workplace = Workplace::new();
    workplace.write(
        "work.rhai",
        r#"phase("work", #{ timeout: "12s" }, || { shell("sleep 4; touch half; sleep 5; touch whole"); });"#,
    );
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("a part of it is done", || workplace.exists("half"));
    kill(&mut host);
    workplace.jumar(&["resume"]).code(0);
    assert!(workplace.exists("whole"));
}

#[test]
fn after_a_reboot_the_attempt_simply_runs_again() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo first >> effects");
        shell("echo second >> effects; test -e go || exec sleep 300");
    });"#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the second command runs", || {
        workplace.exists("effects") && workplace.read("effects").ends_with("second\n")
    });
    kill(&mut host);
    // A reboot ends every process and gives the machine another boot id.
    let left = processes();
    let left = left
        .iter()
        .filter(|p| p.cwd == workplace.path().canonicalize().unwrap());
    left.for_each(Process::kill);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let books = workplace
        .path()
        .join(workplace.run())
        .join(".experiment_state.d/commands");
    for book in std::fs::read_dir(books).unwrap() {
        let file = book.unwrap().path().join("commands");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(boot.trim()));
        std::fs::write(&file, text.replace(boot.trim(), "an earlier one")).unwrap();
    }
    workplace.write("go", "");
    let ended = workplace.jumar(&["resume"]).code(0);
    assert!(ended.stderr.contains("it is pending again"), "{}", ended.stderr);
    assert_eq!(workplace.read("effects"), "first\nsecond\nfirst\nsecond\n");
    assert!(workplace.value("attempts", "work.2").unwrap().contains("completed"));
}

#[test]
fn a_dry_run_tells_what_resume_would_go_on_with_and_changes_nothing() {
    let workplace = Workplace::new();
    let script = r#"phase("work", || {
        shell("echo first >> effects");
        shell("echo second >> effects; until test -e go || ! test -e effects; do sleep 0.01; done");
    });"#;
    workplace.write("work.rhai", script);
    let mut host = workplace.start(&["run", "work.rhai"]);
    wait_until("the second command runs", || {
        workplace.exists("effects") && workplace.read("effects").ends_with("second\n")
    });
    kill(&mut host);
    let before = workplace.state();
    let looked = workplace.jumar(&["resume", "-n"]).code(0);
    assert!(
        looked
            .stderr
            .contains("going on with it: 1 command had ended, 1 had not"),
        "{}",
        looked.stderr
    );
    assert_eq!(workplace.state(), before);
    workplace.write("go", "");
    workplace.jumar(&["resume"]).code(0);
    assert_eq!(workplace.read("effects"), "first\nsecond\n");
}

fn resumed_by_lock(workplace: &Workplace) -> bool {
    workplace.state().contains("last_resume")
}

/// Kills exactly the host, with what it cannot catch.
/// Moments that are different each time; the seed is told when something goes wrong.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let seed = now.as_nanos() as u64 | 1;
        Random { seed, state: seed }
    }

    /// A number below `limit`: xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }
}
