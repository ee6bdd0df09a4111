//! What tests of the stock pipeline need besides: a small experiment, bash as users type it, stand-ins for programs, listings.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{Ended, Workplace, value_in};

/// The phases, in order.
pub const PHASES: [&str; 6] = [
    "training",
    "phase1_statistical",
    "phase2_linear_probe",
    "phase3_baselines",
    "phase4_efficiency",
    "aggregation",
];

impl Workplace {
    /// A workplace in which the stock pipeline is a matter of two seconds: two data sets, one seed, two epochs.
    pub fn small() -> Workplace {
        Workplace::new()
            .env("TRAINING_EPOCHS", "2")
            .env("TRAINING_SAMPLES", "100")
            .env("SEEDS", "42")
            .env("DATASETS", "clean noisy")
            .env("BOOTSTRAP_SAMPLES", "100")
    }

    /// Runs jumar to its end with more variables.
    pub fn jumar_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        Ended::from(command.output().expect("jumar starts"))
    }

    /// Runs what a user would type into a shell, `jumar` being on the PATH.
    pub fn bash(&self, script: &str) -> Ended {
        let directory = Path::new(env!("CARGO_BIN_EXE_jumar"))
            .parent()
            .expect("a program has a directory");
        let mut command = self.program("bash");
        command
            .arg("-c")
            .arg(format!("PATH={}:$PATH\n{script}", directory.display()));
        Ended::from(command.output().expect("bash starts"))
    }

    /// Puts a program of the test's own before all others on the PATH.
    pub fn stand_in(mut self, name: &str, text: &str) -> Workplace {
        let file = self.write(&format!("bin/{name}"), text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the mode is set");
        let path = std::env::var("PATH").expect("there is a PATH");
        let path = format!("{}:{path}", self.path().join("bin").display());
        self.environment.push(("PATH".into(), path));
        self
    }

    /// Makes the experiment's programs breakable: `python3 …/NAME.py` fails while [`Workplace::break_program`] says so.
    pub fn breakable(self) -> Workplace {
        let python = which::which("python3").expect("there is a python3");
        let text = format!(
            "#!/bin/sh\nname=$(basename \"$1\" .py)\nif [ -e \"broken/$name\" ]; then\n  \
             echo \"$name: broken by the test\" >&2\n  exit 3\nfi\nexec {} \"$@\"\n",
            python.display()
        );
        self.stand_in("python3", &text)
    }

    /// From now on the program fails.
    pub fn break_program(&self, name: &str) {
        self.write(&format!("broken/{name}"), "");
    }

    /// From now on the program does what it should.
    pub fn mend_program(&self, name: &str) {
        fs::remove_file(self.path().join("broken").join(name)).expect("it was broken");
    }

    /// Everything there is, with size, time of change and a hash of the contents: equal listings mean that nothing was touched.
    pub fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        list(self.path(), &mut lines);
        lines.sort();
        lines
    }

    /// The state file of the only run, as a path below the workplace.
    pub fn state_file(&self) -> String {
        format!("{}/.experiment_state", self.run())
    }

    /// How the phases of the only run stand, in the order of the pipeline; `-` for a phase that is not in the file.
    pub fn standing(&self) -> Vec<String> {
        let state = self.state();
        PHASES
            .iter()
            .map(|phase| value_in(&state, "phases", phase).unwrap_or_else(|| "-".into()))
            .collect()
    }

    /// How many attempts at each phase the only run has recorded, in the order of the pipeline.
    pub fn attempts(&self) -> Vec<usize> {
        let state = self.state();
        let count = |phase: &&str| {
            (1..)
                .take_while(|n| value_in(&state, "attempts", &format!("{phase}.{n}")).is_some())
                .count()
        };
        PHASES.iter().map(count).collect()
    }
}

fn list(directory: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = path.symlink_metadata().expect("metadata");
        let contents = if metadata.is_file() {
            fs::read(&path).expect("a file")
        } else {
            vec![]
        };
        lines.push(format!(
            "{} {:o} {} {}.{} {}",
            path.display(),
            metadata.mode(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            blake3::hash(&contents)
        ));
        if metadata.is_dir() {
            list(&path, lines);
        }
    }
}
