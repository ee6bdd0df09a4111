//! Power loss on real file systems: `tests/power/lose_power.py` does it, on a loop device. It says there how, and what it needs.

mod common;

use std::process::Command;

use common::skipped;
use serde_json::Value;

/// Loses power so many times; what came of it, or nothing when this machine cannot do it, which is said.
fn lose_power(fs: &str, rounds: u32, more: &[&str]) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/lose_power.py");
    let output = Command::new("python3")
        .arg(script)
        .args([env!("CARGO_BIN_EXE_jumar"), fs, "--rounds", &rounds.to_string()])
        .args(more)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("power loss on {fs}: python3: {error}"));
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skipped(&format!("POWER LOSS ON {fs} WAS NOT TRIED: {}", said.trim()));
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let verdict = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str::<Value>(line).ok());
    let mut verdict = verdict.unwrap_or_else(|| panic!("{text}{said}"));
    verdict["said"] = text.lines().collect();
    Some(verdict)
}

#[track_caller]
fn nothing_is_lost(fs: &str, rounds: u32) {
    let Some(verdict) = lose_power(fs, rounds, &[]) else {
        return;
    };
    assert_eq!(verdict["rounds_that_lost"], 0, "{verdict}");
    assert!(verdict["looked_for"].as_u64() > Some(0), "{verdict}");
}

#[test]
fn what_was_told_is_there_after_a_loss_of_power_on_ext4() {
    nothing_is_lost("ext4", 10);
}

#[test]
fn what_was_told_is_there_after_a_loss_of_power_on_xfs() {
    nothing_is_lost("xfs", 10);
}

#[test]
fn what_was_told_is_there_after_a_loss_of_power_on_btrfs() {
    nothing_is_lost("btrfs", 30);
}

/// The proof that the others prove something.
#[test]
fn a_host_that_only_believes_that_it_synced_loses_what_it_told() {
    for fs in ["ext4", "btrfs"] {
        let Some(verdict) = lose_power(fs, 4, &["--without-syncs"]) else {
            continue;
        };
        assert!(verdict["rounds_that_lost"].as_u64() > Some(0), "{verdict}");
    }
}
