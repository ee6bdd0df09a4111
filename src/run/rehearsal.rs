//! A rehearsal from the inside: commands are replaced by short stand-ins that leave a trace, and one of them comes to
//! grief. The processes, the state and the recovery are real; `jumar rehearse` starts such runs and judges their traces.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exec::{Command, Program};

/// The variable that makes a run a rehearsal; it names the directory of its trace.
pub const REHEARSAL_VARIABLE: &str = "JUMAR_REHEARSAL";

/// How long a command may run that is to run out of time.
const SHORT_TIME: Duration = Duration::from_millis(300);

/// What a stand-in does. Its arguments: the trace, its own line in it, its fate, the file that says it was reached, what to run
/// instead, and the files it is expected to make.
const STAND_IN: &str = r#"
trace=$1 line=$2 fate=$3 reached=$4 instead=$5
shift 5
printf 'began\t%s\n' "$line" >> "$trace"
case $fate in
    exit) echo "stand-in: fails"; exit 1 ;;
    disk_full) echo "stand-in: No space left on device"; exit 1 ;;
    timeout) sleep 60 ;;
    wait)
        : > "$reached"
        left=1200
        while [ ! -e "$reached.on" ] && [ $left -gt 0 ]; do sleep 0.02; left=$((left - 1)); done ;;
esac
if [ -n "$instead" ]; then
    eval "$instead" || exit
else
    for file; do
        if [ ! -e "$file" ]; then
            mkdir -p "$(dirname "$file")"
            case ${file##*/} in
                *.json) echo '{}' > "$file" ;;
                *.*) echo 'stand-in' > "$file" ;;
                *) mkdir "$file" ;;
            esac
        fi
    done
fi
[ "$fate" != kill ] || kill -KILL $$
printf 'ended\t%s\n' "$line" >> "$trace"
"#;

/// What happens to one command of a rehearsed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It ends with status 1.
    Exit,
    /// It is killed when it has made its files, but before it could end.
    Kill,
    /// It complains of a full disk and ends with status 1.
    DiskFull,
    /// It runs until its time is over.
    Timeout,
    /// It says that it was reached, and waits for something to happen to the host.
    Wait,
}

/// Where a rehearsed run comes to grief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The phase.
    pub phase: String,
    /// Which of the commands of the phase, from 0.
    pub command: usize,
    /// What happens to it.
    pub fate: Fate,
}

/// A line of a trace: a stand-in began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// Whether it ended; it began otherwise.
    pub ended: bool,
    /// Its phase.
    pub phase: String,
    /// Its step; empty outside of steps.
    pub step: String,
    /// The command it stands in for.
    pub command: String,
}

/// The directory that a rehearsed run and whoever judges it have in common.
pub struct Rehearsal {
    directory: PathBuf,
    begun: Mutex<HashMap<String, usize>>,
}

impl Rehearsal {
    /// The rehearsal in this directory, which exists.
    pub fn new(directory: impl Into<PathBuf>) -> Rehearsal {
        Rehearsal {
            directory: directory.into(),
            begun: Mutex::default(),
        }
    }

    /// The rehearsal that this process is part of.
    pub fn of_this_process() -> Option<Rehearsal> {
        std::env::var_os(REHEARSAL_VARIABLE)
            .filter(|d| !d.is_empty())
            .map(Rehearsal::new)
    }

    /// Decides what is to happen. Each fault happens once, however often the run is taken up again.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn plan(&self, fault: &Fault) -> io::Result<()> {
        fs::write(self.file("fault"), serde_json::to_string(fault)?)
    }

    /// Whether the command that waits has been reached.
    pub fn is_reached(&self) -> bool {
        self.file("reached").exists()
    }

    /// Lets the command that waits go on.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn go_on(&self) -> io::Result<()> {
        fs::write(self.file("reached.on"), "")
    }

    /// What the stand-ins have written so far.
    pub fn trace(&self) -> Vec<TraceLine> {
        let text = fs::read(self.file("trace")).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(TraceLine::read)
            .collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Replaces a command by its stand-in. `instead` is the script's own word on what to run, `run_dirs` are the spellings of the run
    /// directory: what the command names in it, the stand-in makes.
    pub(super) fn replace(
        &self,
        command: &mut Command,
        phase: &str,
        step: Option<&str>,
        instead: Option<&str>,
        run_dirs: [&Path; 2],
    ) {
        let fate = self.fate_of_next(phase);
        if fate == Some(Fate::Timeout) {
            command.timeout = Some(SHORT_TIME);
        }
        let fate = fate.and_then(|f| serde_json::to_value(f).ok());
        let fate = fate.as_ref().and_then(|f| f.as_str()).unwrap_or("none");
        let line = [phase, step.unwrap_or_default(), &command.display()].join("\t");
        let mut words = vec!["sh".to_string(), "-c".into(), STAND_IN.into(), "stand-in".into()];
        words.push(self.file("trace").to_string_lossy().into_owned());
        words.push(line);
        words.push(fate.into());
        words.push(self.file("reached").to_string_lossy().into_owned());
        words.push(instead.unwrap_or_default().into());
        words.extend(made_by(&command.program, run_dirs));
        command.program = Program::Argv(words);
    }

    fn fate_of_next(&self, phase: &str) -> Option<Fate> {
        let number = {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            let count = begun.entry(phase.into()).or_default();
            *count += 1;
            *count - 1
        };
        let text = fs::read_to_string(self.file("fault")).ok()?;
        let fault: Fault = serde_json::from_str(&text).ok()?;
        if fault.phase != phase || fault.command != number {
            return None;
        }
        let first = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.file("struck"));
        first.is_ok().then_some(fault.fate)
    }
}

/// Makes a checkpoint that a stand-in could not know of.
///
/// # Errors
/// When it cannot be written.
pub fn make_checkpoint(path: &Path) -> io::Result<()> {
    let is_empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => fs::metadata(path).is_ok_and(|m| m.len() == 0),
    };
    if path.exists() && !is_empty {
        return Ok(());
    }
    if path.is_dir() {
        return fs::write(path.join("stand-in"), "stand-in\n");
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, "stand-in\n")
}

impl TraceLine {
    fn read(line: &str) -> Option<TraceLine> {
        let mut fields = line.splitn(4, '\t');
        let ended = match fields.next()? {
            "ended" => true,
            "began" => false,
            _ => return None,
        };
        Some(TraceLine {
            ended,
            phase: fields.next()?.into(),
            step: fields.next()?.into(),
            command: fields.next()?.into(),
        })
    }
}

/// The words of a command that name something in the run directory.
fn made_by(program: &Program, run_dirs: [&Path; 2]) -> Vec<String> {
    let words = match program {
        Program::Argv(words) => words.clone(),
        Program::Shell(line) => shlex::split(line).unwrap_or_default(),
    };
    let values = words.iter().map(|word| {
        word.split_once('=')
            .filter(|_| word.starts_with('-'))
            .map_or(word.as_str(), |(_, v)| v)
    });
    values
        .filter(|value| {
            let path = Path::new(value);
            run_dirs.iter().any(|dir| path.starts_with(dir) && path != *dir)
        })
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_fs::TempDir;

    fn words(program: &Program) -> Vec<String> {
        match program {
            Program::Argv(words) => words[4..].to_vec(),
            Program::Shell(line) => vec![line.clone()],
        }
    }

    #[test]
    fn a_stand_in_makes_what_its_command_names_in_the_run_directory() {
        let program = Program::Argv(
            [
                "python3",
                "t.py",
                "--out=runs/x/c",
                "runs/x/r.json",
                "runs/xy",
                "runs/x",
            ]
            .map(String::from)
            .to_vec(),
        );
        let dirs = [Path::new("runs/x"), Path::new("/w/runs/x")];
        assert_eq!(made_by(&program, dirs), ["runs/x/c", "runs/x/r.json"]);
        let line = Program::Shell("cat a > /w/runs/x/b.txt".into());
        assert_eq!(made_by(&line, dirs), ["/w/runs/x/b.txt"]);
    }

    #[test]
    fn a_fault_strikes_the_command_it_is_meant_for_and_once() {
        let dir = TempDir::new().expect("a temporary directory");
        let fault = Fault {
            phase: "b".into(),
            command: 1,
            fate: Fate::Kill,
        };
        let fates = |rehearsal: &Rehearsal| {
            ["a", "a", "b", "b", "b"].map(|phase| {
                let mut command = Command::new(Program::Shell("true".into()), "log");
                let here = Path::new("r");
                rehearsal.replace(&mut command, phase, None, None, [here, here]);
                words(&command.program)[2].clone()
            })
        };
        let rehearsal = Rehearsal::new(dir.path());
        rehearsal.plan(&fault).expect("written");
        assert_eq!(fates(&rehearsal), ["none", "none", "none", "kill", "none"]);
        assert_eq!(fates(&Rehearsal::new(dir.path())), ["none"; 5], "another host");
    }
}
