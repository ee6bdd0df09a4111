//! Commands that an earlier host left running: found by variables in their environment, and waited for.

use std::fs;
use std::thread;
use std::time::Duration;

use super::launch::COMMAND_ID_VARIABLE;
use super::process_table::{self, Variable};
use crate::exec::{ProcessName, StopSignal};

/// How often it is looked whether one has ended.
const GLANCE: Duration = Duration::from_millis(100);

/// A process that goes on without the host that started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// Its process id.
    pub pid: i32,
    /// Its command line, its words separated by blanks.
    pub command: String,
    started: u64,
    /// The process that started it.
    parent: i32,
    /// The ids of the commands that it is part of, joined by slashes.
    mark: String,
}

/// The processes whose environment has all of these variables, with these values. Those of other users cannot be seen,
/// nor those that have cleared their environment.
pub fn living_with(variables: &[(&str, &str)]) -> Vec<Living> {
    let own = std::process::id() as i32;
    let processes = process_table::read_all().unwrap_or_default();
    let marked = processes.into_iter().filter(|p| p.pid != own && !p.ended).filter(|p| {
        variables
            .iter()
            .all(|(name, value)| process_table::environment_variable(p.pid, name) == Variable::Value((*value).into()))
    });
    marked.map(|p| Living::of(p.pid, p.started, p.parent)).collect()
}

/// Of these processes those that none of the others started: what a person would call the command.
pub fn topmost(living: &[Living]) -> Vec<&Living> {
    let is_below = |process: &&Living| living.iter().any(|other| other.pid == process.parent);
    living.iter().filter(|process| !is_below(process)).collect()
}

impl Living {
    fn of(pid: i32, started: u64, parent: i32) -> Living {
        let mark = match process_table::environment_variable(pid, COMMAND_ID_VARIABLE) {
            Variable::Value(mark) => mark,
            Variable::Missing | Variable::Unreadable => String::new(),
        };
        Living {
            pid,
            command: command_line(pid),
            started,
            parent,
            mark,
        }
    }

    /// The process of that name, if it still runs.
    pub fn named(process: ProcessName) -> Option<Living> {
        let living = Living::of(process.pid, process.started, 0);
        living.is_alive().then_some(living)
    }

    /// Whether it was started by the command with this id, or by what that one had started.
    pub fn is_part_of(&self, command_id: &str) -> bool {
        self.mark.split('/').any(|id| id == command_id)
    }

    /// Whether it still runs. A process that was given its id meanwhile is not taken for it.
    pub fn is_alive(&self) -> bool {
        // When nothing can be learned it must not be taken for gone.
        match process_table::read_one(self.pid) {
            Ok(Some(process)) => process.started == self.started && !process.ended,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Waits until it has ended; `false` when a stop was requested first.
    pub fn wait(&self, stop: &StopSignal) -> bool {
        while self.is_alive() {
            if stop.is_requested() {
                return false;
            }
            thread::sleep(GLANCE);
        }
        true
    }
}

fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = words
        .split(|&b| b == 0)
        .filter(|w| !w.is_empty())
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_its_environment_and_is_gone_when_it_has_ended() {
        let mark = format!("living-{}", std::process::id());
        assert_eq!(living_with(&[("JUMAR_TEST_MARK", &mark)]), []);
        let mut child = Command::new("sleep")
            .arg("60")
            .env("JUMAR_TEST_MARK", &mark)
            .env("JUMAR_COMMAND_ID", "outer/inner")
            .spawn()
            .expect("sleep starts");
        let mut found = vec![];
        while found.is_empty() {
            found = living_with(&[("JUMAR_TEST_MARK", &mark)]);
        }
        assert_eq!(found[0].pid, child.id() as i32);
        assert_eq!(living_with(&[("JUMAR_TEST_MARK", &mark), ("JUMAR_OTHER", "x")]), []);
        assert!(found[0].is_alive());
        assert!(found[0].is_part_of("inner") && found[0].is_part_of("outer") && !found[0].is_part_of("out"));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert!(found[0].wait(&StopSignal::new()));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let pid = child.id() as i32;
        let started = process_table::read_one(pid).expect("readable").expect("there").started;
        let stop = StopSignal::new();
        stop.request();
        assert!(
            !Living::named(ProcessName { pid, started })
                .expect("it runs")
                .wait(&stop)
        );
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}
