//! The clock that the process table is written by: the time since boot, suspended time included.

use std::time::Duration;

/// What it shows now.
pub(super) fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to memory of ours of the right type; the clock exists on every Linux of this century.
    unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time);
    }
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// The clock tick that a time falls into, counted as field 22 of `/proc/PID/stat` is (proc_pid_stat(5)): whole ticks since boot.
pub(super) fn tick(time: Duration) -> u64 {
    let tick = 1_000_000_000 / u128::from(rustix::param::clock_ticks_per_second().max(1));
    u64::try_from(time.as_nanos() / tick.max(1)).unwrap_or(u64::MAX)
}
