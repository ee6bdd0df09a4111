//! What tests of the stock pipeline need besides: a small experiment, bash as users type it, stand-ins for programs, listings.

use std::collections::BTreeMap;
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

/// One call of python3 that was written down.
#[derive(Debug, serde::Deserialize)]
pub struct Call {
    /// Its arguments.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

impl Call {
    /// The value behind an option.
    pub fn option(&self, name: &str) -> &str {
        let at = self.argv.iter().position(|word| word == name);
        &self.argv[at.unwrap_or_else(|| panic!("no {name} in {:?}", self.argv)) + 1]
    }
}

/// The call of a program; there must be just one.
pub fn only<'a>(calls: &'a [Call], program: &str) -> &'a Call {
    let found: Vec<&Call> = calls.iter().filter(|call| call.argv[0].ends_with(program)).collect();
    assert_eq!(found.len(), 1, "one call of {program}: {calls:?}");
    found[0]
}

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

    /// Gives the small experiment a python3 that writes down which programs ran, fails in one that is broken, and waits in
    /// one that is held up; else it is the real one.
    pub fn breakable(self) -> Workplace {
        let here = self.path().display().to_string();
        let python = which::which("python3").expect("there is a python3");
        let text = format!(
            "#!/bin/sh\nname=$(basename \"$1\" .py)\necho \"$name\" >> {here}/calls\n\
             while [ -e {here}/held_up/\"$name\" ]; do sleep 0.02; done\n\
             if [ -e {here}/broken/\"$name\" ]; then\n  echo \"$name: broken by the test\" >&2\n  \
             exit \"$(cat {here}/broken/\"$name\")\"\nfi\nexec {} \"$@\"\n",
            python.display()
        );
        self.stand_in("python3", &text)
    }

    /// From now on the program ends with this exit status.
    pub fn break_program(&self, name: &str, status: u8) {
        self.write(&format!("broken/{name}"), &status.to_string());
    }

    /// From now on the program does what it should.
    pub fn mend_program(&self, name: &str) {
        fs::remove_file(self.path().join("broken").join(name)).expect("it was broken");
    }

    /// From now on the program waits when it is started, until it is let go.
    pub fn hold_up(&self, name: &str) {
        self.write(&format!("held_up/{name}"), "");
    }

    /// Lets a program go that was held up.
    pub fn let_go(&self, name: &str) {
        fs::remove_file(self.path().join("held_up").join(name)).expect("it was held up");
    }

    /// How often a program was started.
    pub fn calls(&self, name: &str) -> usize {
        let calls = fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == name).count()
    }

    /// The root of a LatentWire repository, with programs that do nothing, and a python3 that writes down how it was called
    /// and leaves the files that the real programs would: see `latentwire_python.py`.
    pub fn latentwire() -> Workplace {
        let place = Workplace::new();
        place.write("latentwire/train.py", "");
        place.write(
            "scripts/run_llmlingua_baseline.sh",
            "exec python3 llmlingua.py \"$@\"\n",
        );
        let python = which::which("python3").expect("there is a python3");
        let text = format!("#!{} -S\n{}", python.display(), include_str!("latentwire_python.py"));
        place
            .stand_in("python3", &text)
            .stand_in("nvidia-smi", "#!/bin/sh\necho no devices >&2\nexit 9\n")
    }

    /// The calls of the LatentWire repository's programs, in order.
    pub fn recorded(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.path().join("calls.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a call is JSON"))
            .collect()
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
        // A file of a hundred megabytes is not read: its size and its time of change must do.
        let contents = if metadata.is_file() && metadata.len() < 1 << 24 {
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
