//! The host's own signals: which of them ask for a stop, and which must not kill it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exec::StopSignal;

/// Makes interrupt (Ctrl-C), terminate and hang-up requests on `stop` instead of the end of the host, and a write beyond the
/// file size limit an error of that write (`EFBIG`) instead of a killing signal. To be called once, early in `main`.
///
/// A host that was started with interrupts or hang-ups ignored (`nohup`, a script's background job) goes on ignoring them.
/// Commands do not inherit any of this.
///
/// # Errors
///
/// When the system refuses to install a handler.
pub fn install_signal_handlers(stop: &StopSignal) -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        if signal != libc::SIGTERM && is_ignored(signal) {
            continue;
        }
        let stop = stop.clone();
        // SAFETY: the handler performs atomic operations only, which a signal handler may.
        unsafe { handle(signal, move || stop.request_by_signal(signal))? };
    }
    survive(libc::SIGXFSZ)
}

/// Takes away what a signal does to this process, for good. Commands keep the default.
pub(super) fn survive(signal: i32) -> io::Result<()> {
    // A handler, not SIG_IGN: handlers end at exec, while SIG_IGN would be inherited.
    // SAFETY: a handler may do nothing.
    unsafe { handle(signal, || ()) }
}

/// The signals that this process handles, a bit for each.
pub(super) fn handled() -> u64 {
    HANDLED.load(Ordering::SeqCst)
}

static HANDLED: AtomicU64 = AtomicU64::new(0);

/// The one place where handlers are installed.
///
/// # Safety
///
/// The action may only do what a signal handler may.
unsafe fn handle(signal: i32, action: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    // Before there is a handler: a process that is started in the same moment must not run it.
    HANDLED.fetch_or(1 << signal, Ordering::SeqCst);
    // SAFETY: what an action may do, the caller answers for.
    unsafe { signal_hook::low_level::register(signal, action)? };
    Ok(())
}

/// Makes an interrupt (Ctrl-C) set a flag instead of ending the host: for a host that answers lines and goes on.
///
/// # Errors
///
/// When the system refuses to install a handler.
pub fn interrupt_flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGINT, Arc::clone(&flag))?;
    Ok(flag)
}

/// Whether this process ignores a signal at present; false when the system does not say.
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the old one is written to memory that is large enough and ours.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    if asked != 0 {
        return false;
    }
    // SAFETY: zeroed memory is a valid `sigaction`, and the call above has filled it in.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// A signal as people call it, with its number where that says more: `SIGTERM`.
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::StopLevel;
    use std::process::Command;

    #[test]
    fn signals_become_stop_requests_and_commands_do_not_inherit_the_handlers() {
        let stop = StopSignal::new();
        install_signal_handlers(&stop).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        assert_eq!(stop.level(), StopLevel::Graceful);
        assert_eq!(stop.signal(), Some(libc::SIGTERM));

        let status = Command::new("grep")
            .args(["-E", "^Sig(Ign|Cgt)", "/proc/self/status"])
            .output()
            .unwrap();
        let text = String::from_utf8(status.stdout).unwrap();
        for line in text.lines() {
            let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            assert_eq!(mask & (1 << (libc::SIGXFSZ - 1)), 0, "{text}");
        }
    }
}
