//! State files that the bash runner 3.1.0 really wrote: each loads, resumes, stays readable for its tools and stays in its format.

mod common;

use std::collections::BTreeMap;

use common::stock::PHASES;
use common::{Ended, Workplace, value_in};

/// A file that the bash runner wrote, how each phase stands in it, and which phases a resume has to run.
struct Fixture {
    name: &'static str,
    text: &'static str,
    to_run: &'static [&'static str],
}

const EVALUATIONS: &[&str] = &[
    "phase2_linear_probe",
    "phase3_baselines",
    "phase4_efficiency",
    "aggregation",
];

macro_rules! fixture {
    ($name:literal, $to_run:expr) => {
        Fixture {
            name: $name,
            text: include_str!(concat!("fixtures/bash-3.1.0/", $name, ".experiment_state")),
            to_run: $to_run,
        }
    };
}

const FIXTURES: [Fixture; 5] = [
    fixture!("all_completed", &[]),
    fixture!("dry_run", &PHASES),
    fixture!("killed_in_phase2", EVALUATIONS),
    fixture!(
        "phase2_only",
        &[
            "training",
            "phase1_statistical",
            "phase3_baselines",
            "phase4_efficiency",
            "aggregation"
        ]
    ),
    fixture!("training_failed", &PHASES),
];

impl Fixture {
    fn directory(&self) -> String {
        value_in(self.text, "metadata", "base_output_dir").expect("the bash runner writes it")
    }

    fn state_file(&self) -> String {
        format!("{}/.experiment_state", self.directory())
    }

    /// The LatentWire repository in which the bash runner wrote this file, with this text in its place.
    fn place_with(&self, text: &str) -> Workplace {
        let place = Workplace::latentwire().env("SEEDS", "42").env("DATASETS", "sst2 squad");
        place.write(&self.state_file(), text);
        place.write(
            &format!("{}.log", self.state_file()),
            "2026-11-23 15:27:49 - Updated: training=in_progress\n",
        );
        if let Some(checkpoint) = value_in(text, "checkpoints", "checkpoint_path").filter(|path| !path.is_empty()) {
            place.write(&format!("{checkpoint}/model.bin"), "weights");
        }
        place
    }

    fn place(&self) -> Workplace {
        self.place_with(self.text)
    }

    /// Resumes it. A dry run of the bash runner called a training completed that never was: that has to run.
    fn resume(&self, place: &Workplace) -> Ended {
        let file = self.state_file();
        let rerun: &[&str] = if self.name == "dry_run" {
            &["--rerun", "training"]
        } else {
            &[]
        };
        place.jumar(&[&["run", "--resume", &file], rerun].concat()).code(0)
    }
}

/// Section by section, the keys and values of a text.
fn contents(text: &str) -> BTreeMap<(String, String), String> {
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name.into(),
            None => {
                let (key, value) = line.split_once('=').expect("an assignment");
                let twice = found.insert((section.clone(), key.into()), value.into());
                assert_eq!(twice, None, "{key} stands twice in [{section}]:\n{text}");
            }
        }
    }
    found
}

/// A text without its values: what must not change its order.
fn skeleton(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| {
            if line.starts_with('#') {
                line
            } else {
                line.split('=').next().unwrap_or(line)
            }
        })
        .collect()
}

/// Whether all of `part` stands in `whole`, in its order.
fn is_in_order(part: &[&str], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|line| rest.any(|other| other == line))
}

#[test]
fn status_shows_every_file_and_leaves_it_as_it_is() {
    for fixture in FIXTURES {
        let place = fixture.place();
        let before = place.listing();
        let shown = place.jumar(&["status", &fixture.state_file()]).code(0).stdout;
        for phase in PHASES {
            let standing = value_in(fixture.text, "phases", phase).expect("the bash runner writes it");
            let row = shown.lines().find(|line| line.starts_with(phase)).unwrap_or_default();
            let words: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(words, [phase, &standing], "{}:\n{shown}", fixture.name);
        }
        place.jumar(&["resume", &fixture.directory(), "-n"]).code(0);
        assert_eq!(place.listing(), before, "{}", fixture.name);
    }
}

#[test]
fn every_file_resumes_with_the_phases_that_are_missing_and_stays_readable_for_grep_and_cut() {
    for fixture in FIXTURES {
        let place = fixture.place();
        fixture.resume(&place);
        assert_eq!(
            place.runs(),
            [fixture.directory()],
            "{}: no second run directory is made",
            fixture.name
        );
        assert_eq!(place.standing(), ["completed"; 6], "{}", fixture.name);
        let attempts = place.attempts();
        let ran: Vec<&str> = PHASES
            .iter()
            .zip(&attempts)
            .filter(|(_, attempts)| **attempts > 0)
            .map(|(phase, _)| *phase)
            .collect();
        assert_eq!(ran, fixture.to_run, "{}", fixture.name);
        let trained = place
            .recorded()
            .iter()
            .filter(|call| call.argv[0] == "latentwire/train.py")
            .count();
        assert_eq!(
            trained,
            usize::from(fixture.to_run.contains(&"training")),
            "{}",
            fixture.name
        );

        let file = fixture.state_file();
        let get = |key: &str| {
            place
                .bash(&format!("grep '^{key}=' {file} | cut -d= -f2-"))
                .code(0)
                .stdout
        };
        for phase in PHASES {
            assert_eq!(get(phase), "completed\n", "{}: {phase}", fixture.name);
        }
        let checkpoint = format!("{}/checkpoint/epoch23", fixture.directory());
        for (key, value) in [
            ("version", "3.1.0"),
            ("base_output_dir", &fixture.directory()),
            ("checkpoint_path", &checkpoint),
            ("final_epoch", "23"),
            (
                "start_time",
                &value_in(fixture.text, "metadata", "start_time").expect("the bash runner writes it"),
            ),
            (
                "failure_count",
                &value_in(fixture.text, "failures", "failure_count").expect("the bash runner writes it"),
            ),
        ] {
            assert_eq!(get(key), format!("{value}\n"), "{}: {key}", fixture.name);
        }
    }
}

#[test]
fn every_file_keeps_its_version_its_comments_its_order_and_what_others_wrote_into_it() {
    for fixture in FIXTURES {
        let text = fixture
            .text
            .replace("[phases]\n", "# Müller: do not touch\n[phases]\n")
            .replace("training=", "  # indented\ntraining=")
            .replace("[datasets]\n", "[datasets]\nmine_eval=who knows = 1\n")
            + "\n[notes]\nwho=me\nempty=\n; a comment of another kind\n";
        let place = fixture.place_with(&text);
        fixture.resume(&place);
        let after = place.read(&fixture.state_file());
        assert!(
            is_in_order(&skeleton(&text), &skeleton(&after)),
            "{}:\n{after}",
            fixture.name
        );

        let (was, is) = (
            contents(&text.replace("  #", "#").replace("; ", "# ")),
            contents(&after.replace("  #", "#").replace("; ", "# ")),
        );
        let ours = |section: &str, key: &str| match section {
            "metadata" => key.starts_with("last_"),
            "datasets" => ["sst2_eval", "squad_eval"].contains(&key),
            "phases" | "checkpoints" => true,
            _ => false,
        };
        for ((section, key), value) in &was {
            let now = is.get(&(section.clone(), key.clone()));
            assert!(now.is_some(), "{}: [{section}] {key} is gone", fixture.name);
            if !ours(section, key) {
                assert_eq!(now, Some(value), "{}: [{section}] {key}", fixture.name);
            }
        }
        assert_eq!(
            value_in(&after, "metadata", "version").as_deref(),
            Some("3.1.0"),
            "{}",
            fixture.name
        );
        let log = place.read(&format!("{}.log", fixture.state_file()));
        assert_eq!(
            log, "2026-11-23 15:27:49 - Updated: training=in_progress\n",
            "the runner's own log is not ours"
        );
    }
}

#[test]
fn a_run_that_the_bash_runner_left_in_the_middle_of_a_phase_says_so() {
    let fixture = &FIXTURES[2];
    let place = fixture.place();
    let status = place.jumar(&["status", &fixture.directory()]).code(0).stdout;
    assert!(status.contains("jumar ended in the middle of a phase"), "{status}");
    let resumed = fixture.resume(&place);
    assert!(
        resumed.stderr.contains("phase2_linear_probe was in progress"),
        "{}",
        resumed.stderr
    );
}

#[test]
fn a_training_that_a_dry_run_called_completed_is_found_out_and_run_when_it_is_asked_for() {
    let fixture = &FIXTURES[1];
    let place = fixture.place();
    let failed = place.jumar(&["resume", &fixture.directory()]).code(1);
    let why = "no checkpoint has been recorded; run the phase that makes it, or give one with --checkpoint PATH";
    assert!(failed.stderr.contains(why), "{}", failed.stderr);
    assert_eq!(place.value("phases", "phase1_statistical").as_deref(), Some("failed"));
    let grepped = place
        .bash(&format!(
            "grep '^last_failure=' {} | cut -d= -f2-",
            fixture.state_file()
        ))
        .stdout;
    assert_eq!(grepped.lines().count(), 1, "{grepped}");

    place
        .bash(&format!(
            "sed -i 's/^training=.*/training=pending/' {}",
            fixture.state_file()
        ))
        .code(0);
    place.jumar(&["resume", &fixture.directory()]).code(0);
    assert_eq!(place.standing(), ["completed"; 6]);
}

#[test]
fn a_failure_is_written_where_the_bash_runner_wrote_it() {
    let fixture = &FIXTURES[4];
    let place = fixture.place();
    place.break_program("train", 1);
    place.jumar(&["resume", &fixture.directory()]).code(1);
    let after = place.read(&fixture.state_file());
    assert_eq!(
        value_in(&after, "failures", "failure_count").as_deref(),
        Some("2"),
        "it counts on"
    );
    assert_eq!(
        value_in(&after, "failures", "last_failure").as_deref(),
        Some("training")
    );
    let time = value_in(&after, "failures", "last_failure_time").expect("it is written");
    assert_ne!(
        Some(&time),
        value_in(fixture.text, "failures", "last_failure_time").as_ref()
    );
    let is_date =
        regex_lite::Regex::new(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}$").expect("a pattern");
    assert!(is_date.is_match(&time), "the time is spelled as date(1) does: {time}");
    assert!(value_in(&after, "failures", "last_failure_error").is_some());
}

#[test]
fn windows_line_ends_and_a_missing_last_one_are_no_hindrance() {
    let fixture = &FIXTURES[2];
    let text = fixture.text.trim_end().replace('\n', "\r\n");
    let place = fixture.place_with(&text);
    fixture.resume(&place);
    let after = place.read(&fixture.state_file());
    assert!(
        after.contains("[phases]\r\n") && after.contains("phase2_linear_probe=completed\r\n"),
        "{after:?}"
    );
    assert!(after.lines().count() > text.lines().count());
}
