//! Waiting until GPUs have given back the memory of what died on them: a driver takes a while to clean up after a kill,
//! and a second attempt that begins too early runs out of memory for the first one's sake.

use std::thread;
use std::time::{Duration, Instant};

use crate::exec::{Program, StopSignal, look_up};

/// How long it waits.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long nvidia-smi may take for an answer.
const LOOK: Duration = Duration::from_secs(10);
/// How often it looks again.
const PAUSE: Duration = Duration::from_millis(500);
/// What a device may hold more than before, in MiB: the driver's own use goes up and down a little.
const TOLERANCE: u64 = 64;

/// The memory that devices held before anything of ours ran on them.
pub(super) struct MemoryBefore {
    devices: Vec<String>,
    used: Vec<u64>,
}

/// A device that has not given its memory back in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StillHeld {
    /// Its number.
    pub device: String,
    /// MiB more than before.
    pub more: u64,
    /// The processes on it, as nvidia-smi names them; none when it cannot see them, as in a container.
    pub by: Vec<String>,
}

impl MemoryBefore {
    /// Looks at the devices now; `None` when nvidia-smi is not there or does not know them.
    pub(super) fn of(devices: &[String], stop: &StopSignal) -> Option<MemoryBefore> {
        let used = used(devices, stop)?;
        Some(MemoryBefore {
            devices: devices.to_vec(),
            used,
        })
    }

    /// Waits until every device holds no more than before, or a stop is requested.
    ///
    /// # Errors
    /// The devices that still hold more after 50 s.
    pub(super) fn wait_until_given_back(&self, stop: &StopSignal) -> Result<(), Vec<StillHeld>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(now) = used(&self.devices, stop) else {
                return Ok(());
            };
            let more: Vec<(usize, u64)> = now
                .iter()
                .zip(&self.used)
                .map(|(now, before)| now.saturating_sub(*before))
                .enumerate()
                .filter(|(_, more)| *more > TOLERANCE)
                .collect();
            if more.is_empty() || stop.is_requested() {
                return Ok(());
            }
            if Instant::now() >= until {
                let held = |(place, more): (usize, u64)| StillHeld {
                    device: self.devices[place].clone(),
                    more,
                    by: holders(&self.devices[place], stop),
                };
                return Err(more.into_iter().map(held).collect());
            }
            thread::sleep(PAUSE);
        }
    }
}

fn used(devices: &[String], stop: &StopSignal) -> Option<Vec<u64>> {
    let answer = ask("--query-gpu=memory.used", &devices.join(","), stop)?;
    let used: Option<Vec<u64>> = answer.lines().map(|line| line.trim().parse().ok()).collect();
    used.filter(|used| used.len() == devices.len())
}

fn holders(device: &str, stop: &StopSignal) -> Vec<String> {
    let answer = ask("--query-compute-apps=pid,process_name,used_memory", device, stop).unwrap_or_default();
    let lines = answer.lines().filter_map(|line| {
        let mut words = line.split(',').map(str::trim);
        let (pid, name, memory) = (words.next()?, words.next()?, words.next()?);
        Some(format!("process {pid} ({name}, {memory} MiB)"))
    });
    lines.collect()
}

fn ask(query: &str, devices: &str, stop: &StopSignal) -> Option<String> {
    let words = ["nvidia-smi", query, "--format=csv,noheader,nounits", "-i", devices];
    let program = Program::Argv(words.map(String::from).to_vec());
    let answer = look_up(&program, None, &[], LOOK, stop).ok()?;
    answer.success().then_some(answer.stdout)
}
