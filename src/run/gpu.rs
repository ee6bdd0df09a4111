//! Which GPUs there are, and which of them a phase holds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::exec::{Program, StopSignal, look_up};

/// The devices of this machine: those of `CUDA_VISIBLE_DEVICES` when it is set, else what nvidia-smi lists; none when
/// there is no nvidia-smi or it does not answer within 10 s.
pub fn detect_gpus() -> Vec<String> {
    if let Ok(list) = std::env::var("CUDA_VISIBLE_DEVICES") {
        // An empty list, or -1, is how people hide all devices.
        return list
            .split(',')
            .map(str::trim)
            .take_while(|d| *d != "-1")
            .filter(|d| !d.is_empty())
            .map(String::from)
            .collect();
    }
    let query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        .map(String::from)
        .to_vec();
    match look_up(
        &Program::Argv(query),
        None,
        &[],
        Duration::from_secs(10),
        &StopSignal::new(),
    ) {
        Ok(answer) if answer.success() => answer
            .stdout
            .lines()
            .map(|l| l.trim().to_string())
            .filter(|l| !l.is_empty())
            .collect(),
        _ => vec![],
    }
}

/// The devices, and which are free.
pub struct GpuPool {
    all: Vec<String>,
    free: Mutex<Vec<String>>,
}

impl GpuPool {
    /// All of `devices` are free.
    pub fn new(devices: Vec<String>) -> GpuPool {
        GpuPool {
            free: Mutex::new(devices.clone()),
            all: devices,
        }
    }

    /// All devices, held or free.
    pub fn all(&self) -> &[String] {
        &self.all
    }

    /// Takes `count` devices, or none when there are not so many free. [`GpuPool::give_back`] them.
    pub fn lease(&self, count: usize) -> Option<Vec<String>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        (count <= free.len()).then(|| free.drain(..count).collect())
    }

    /// Takes exactly these devices; `false` when one of them is not there or not free.
    pub fn lease_these(&self, wanted: &[String]) -> bool {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let all_free = wanted.iter().all(|device| free.contains(device));
        if all_free {
            free.retain(|device| !wanted.contains(device));
        }
        all_free
    }

    /// Returns leased devices.
    pub fn give_back(&self, devices: Vec<String>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(devices);
        free.sort_by_key(|d| self.all.iter().position(|a| a == d));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_are_asked_for_by_name_are_given_whole_or_not_at_all() {
        let devices = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
        let pool = GpuPool::new(devices(&["0", "1", "2"]));
        assert!(pool.lease_these(&devices(&["1"])));
        assert!(!pool.lease_these(&devices(&["1", "2"])));
        assert_eq!(pool.lease(2), Some(devices(&["0", "2"])));
        pool.give_back(devices(&["1"]));
        assert!(!pool.lease_these(&devices(&["3"])));
        assert!(pool.lease_these(&devices(&["1"])));
    }
}
