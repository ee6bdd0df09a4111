//! The Python programs of the small experiment have a check of their own; here it is part of `cargo test`.

use std::process::Command;

#[test]
fn the_small_experiment_passes_its_own_check() {
    let output = Command::new("python3")
        .arg("tests/small/test_small.py")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("SMALL_MEMORY_MB")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
