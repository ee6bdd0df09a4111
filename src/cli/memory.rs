//! What the system's allocator is told at the start.

/// The least that it asks the system for at a time, in bytes.
const STEP: i32 = 1 << 20;

/// One heap for all threads, which grows in large steps. Ours wait more than they allocate; but the script runs on a thread of
/// its own, whose heap glibc would make larger by one page at a time: a system call for every four kilobytes of a large plan.
pub(super) fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (option, value) in [(libc::M_ARENA_MAX, 1), (libc::M_TOP_PAD, STEP)] {
        // SAFETY: no other thread is there yet. What is refused stays as it was.
        unsafe { libc::mallopt(option, value) };
    }
}
