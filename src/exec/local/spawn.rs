//! Starts a process as `posix_spawn` does, with less around it.
//!
//! The new process borrows our memory until it has become another program, and this thread stands still meanwhile
//! (`CLONE_VM | CLONE_VFORK`, clone(2)). So its start costs the same whatever the size of this process. glibc's `posix_spawn`
//! works in that way, too, but asks the kernel about each of 64 signals in the new process, before the command can begin, and
//! makes and unmakes a stack for it, which interrupts the other processor: together a tenth of what a short command takes. Here
//! only the signals are reset that this program handles, and the stack is a piece of the heap.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, WaitOptions};

use crate::exec::signals;

/// What is started, and what is around it.
pub(super) struct Spawn<'a> {
    /// The program's file.
    pub(super) file: &'a CStr,
    /// Its arguments, the name that it is told to be called first.
    pub(super) arguments: &'a [CString],
    /// Its whole environment: entries of the form `NAME=value`.
    pub(super) environment: &'a [&'a CStr],
    pub(super) cwd: Option<&'a CStr>,
    /// Its standard input, output and error. None of them may be one of the first three descriptors of this process.
    pub(super) standard: [BorrowedFd<'a>; 3],
}

/// What the new process reads, and the one thing that it writes.
struct Shared {
    file: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    cwd: *const c_char,
    standard: [c_int; 3],
    /// A bit for each signal that is set to its default.
    reset: u64,
    /// Why it did not become the program.
    errno: AtomicI32,
}

/// How much stack the new process has, in units of 16 bytes: it calls nothing that needs more than a few hundred.
const STACK: usize = (32 << 10) / size_of::<u128>();

/// Starts a process that leads its own process group, blocks no signal, and handles none: what we ignore it goes on ignoring, save
/// for a broken pipe, which this language's runtime ignores without having been asked. Of our descriptors it has those three
/// and the inheritable ones. Returns its process id; the caller has to reap it.
pub(super) fn spawn(spawn: &Spawn<'_>) -> io::Result<Pid> {
    let arguments = null_terminated(spawn.arguments.iter().map(CString::as_c_str));
    let environment = null_terminated(spawn.environment.iter().copied());
    let shared = Shared {
        file: spawn.file.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        cwd: spawn.cwd.map_or(ptr::null(), CStr::as_ptr),
        standard: spawn.standard.map(|descriptor| descriptor.as_raw_fd()),
        reset: signals::handled() | 1 << libc::SIGPIPE,
        errno: AtomicI32::new(0),
    };
    if shared
        .standard
        .iter()
        .any(|&descriptor| descriptor <= libc::STDERR_FILENO)
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut stack: Vec<u128> = Vec::with_capacity(STACK);
    let mut old_mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the sets are ours, and `sigfillset` makes one of any memory. `become_program` gets a stack of its own, which grows
    // downward from its aligned end, and a pointer to what lives until this thread goes on, which is when the new process has let
    // go of our memory. No handler can run in it, as all signals are blocked until it has none.
    let (pid, error) = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old_mask.as_mut_ptr());
        let pid = libc::clone(
            become_program,
            stack.as_mut_ptr().add(STACK).cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            ptr::from_ref(&shared).cast_mut().cast(),
        );
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, old_mask.as_ptr(), ptr::null_mut());
        (pid, error)
    };
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else {
        return Err(error);
    };
    match shared.errno.load(Ordering::Relaxed) {
        0 => Ok(pid),
        errno => {
            // It has ended already.
            while let Err(rustix::io::Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

fn null_terminated<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// The new process, from its first instruction. It shares memory with a thread that stands still and others that do not, so it
/// only makes system calls: it allocates nothing, takes no lock and cannot panic.
extern "C" fn become_program(shared: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a pointer to a `Shared` that outlives this process's use of it, with pointers to strings and to
    // null-terminated lists of them. Every call is a plain system call.
    unsafe {
        let shared = &*shared.cast_const().cast::<Shared>();
        let errno = match prepare(shared) {
            Ok(()) => {
                libc::execve(shared.file, shared.arguments, shared.environment);
                last_errno()
            }
            Err(errno) => errno,
        };
        shared.errno.store(errno, Ordering::Relaxed);
        libc::_exit(127)
    }
}

/// Everything before the program.
///
/// # Safety
///
/// Only to be called in a process whose own memory this is not, by [`become_program`].
unsafe fn prepare(shared: &Shared) -> Result<(), c_int> {
    let done = |result: c_int| if result < 0 { Err(last_errno()) } else { Ok(()) };
    // SAFETY: plain system calls, on memory that is ours or that the caller answers for. Zeroed memory is a valid `sigaction`
    // and means the default.
    unsafe {
        let default: libc::sigaction = MaybeUninit::zeroed().assume_init();
        let mut left = shared.reset;
        while left != 0 {
            done(libc::sigaction(
                left.trailing_zeros() as c_int,
                &default,
                ptr::null_mut(),
            ))?;
            left &= left - 1;
        }
        done(libc::setpgid(0, 0))?;
        for (target, descriptor) in (0..).zip(shared.standard) {
            done(libc::dup2(descriptor, target))?;
        }
        if !shared.cwd.is_null() {
            done(libc::chdir(shared.cwd))?;
        }
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        done(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()))
    }
}

fn last_errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
