//! The host's side: starting a keeper, and running commands through it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FlockOperation;

use super::KEEPER_ARGUMENT;
use super::message::{Reply, Request, Run};
use super::wire::Wire;
use crate::exec::local::watch::Limits;
use crate::exec::logbook::End;
use crate::exec::{StopLevel, StopSignal};

/// How a run's commands are kept.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// This program, which becomes the keeper when it is started with [`KEEPER_ARGUMENT`].
    pub program: PathBuf,
    /// What the process list shows of it.
    pub title: String,
    /// The file that a keeper locks while it may start something; it is made when it is not there.
    pub lock: PathBuf,
}

/// How long a keeper that has lost its host may take to notice.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a new keeper may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long a keeper that is not needed any more is waited for.
const GOODBYE: Duration = Duration::from_millis(200);
/// How long a keeper that has closed a connection may take to end.
const DYING_PATIENCE: Duration = Duration::from_secs(2);
/// How often a lock is asked for.
const LOCK_GLANCE: Duration = Duration::from_millis(2);

/// Waits until the keeper of an earlier host, if there is one, starts nothing more: from here on its logbooks tell of
/// everything that it has started. Returns `false` when a stop is requested first.
///
/// # Errors
///
/// When the lock cannot be looked at, or the keeper does not let go of it for ten seconds.
pub fn settle(lock: &Path, stop: &StopSignal) -> io::Result<bool> {
    match File::open(lock) {
        Ok(file) => take_lock(&file, stop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn take_lock(file: &File, stop: &StopSignal) -> io::Result<bool> {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::AGAIN) if stop.is_requested() => return Ok(false),
            Err(rustix::io::Errno::AGAIN) if Instant::now() < deadline => thread::sleep(LOCK_GLANCE),
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            // A file system without locks: a keeper has noticed long before anybody can type a command.
            Err(rustix::io::Errno::NOLCK | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The keeper of this host: started when it is first needed, and again when it was killed.
#[derive(Debug)]
pub(in crate::exec::local) struct KeeperOfHost {
    keeping: Keeping,
    running: Mutex<Option<Running>>,
}

/// A keeper that runs.
#[derive(Debug)]
struct Running {
    process: Option<Child>,
    /// Never carries a command: it only opens further connections.
    first: Wire,
    /// Connections that no command needs at present.
    idle: Vec<Wire>,
    /// Which keeper of this host it is.
    generation: u64,
}

impl KeeperOfHost {
    /// Lets the keeper go.
    pub(in crate::exec::local) fn dismiss(&self) {
        let Some(Running {
            process: Some(mut process),
            first,
            idle,
            ..
        }) = self.lock().take()
        else {
            return;
        };
        drop((first, idle));
        // It goes at once when no command is left, and not every system has somebody who reaps it for us.
        ends_within(&mut process, GOODBYE);
    }
}

impl Drop for KeeperOfHost {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// Whether a process ends before the time is over; it is reaped then.
fn ends_within(process: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while let Ok(None) = process.try_wait() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    true
}

/// A connection to a keeper for one command.
#[derive(Debug)]
struct Connection {
    wire: Wire,
    generation: u64,
}

/// A command that was handed to a keeper.
pub(in crate::exec::local) struct KeptRun<'a> {
    keeper: &'a KeeperOfHost,
    connection: Connection,
}

/// What a keeper is given to start a command.
pub(in crate::exec::local) struct Handover<'a> {
    pub(in crate::exec::local) run: Box<Run>,
    pub(in crate::exec::local) stdin: Option<&'a File>,
    pub(in crate::exec::local) captured: Option<&'a File>,
    pub(in crate::exec::local) log: &'a File,
    pub(in crate::exec::local) logbook: Option<&'a File>,
}

/// Why a kept command gives no end.
#[derive(Debug)]
pub(in crate::exec::local) enum LostTrack {
    /// The system refused to start it.
    Refused(io::Error),
    /// It cannot be ended.
    Unkillable(i32),
    /// The keeper is gone. It has been reaped: what it had started and what still lives is ours now.
    KeeperGone,
    /// Something else went wrong on this side.
    Failed(io::Error),
}

impl KeeperOfHost {
    pub(in crate::exec::local) fn new(keeping: Keeping) -> Self {
        KeeperOfHost {
            keeping,
            running: Mutex::default(),
        }
    }

    /// Hands a command over. An error means that nothing was started: it can be run in another way.
    pub(in crate::exec::local) fn run(&self, handover: Handover<'_>) -> io::Result<KeptRun<'_>> {
        let mut descriptors = Vec::with_capacity(4);
        descriptors.extend(handover.stdin.map(File::as_fd));
        descriptors.extend(handover.captured.map(File::as_fd));
        descriptors.push(handover.log.as_fd());
        descriptors.extend(handover.logbook.map(File::as_fd));
        let request = Request::Run(handover.run);
        // A keeper that was killed since the last command is only noticed now; a new one is no worse.
        for attempt in 0..2 {
            let connection = self.connection()?;
            match connection.wire.send(&request, &descriptors) {
                Ok(()) => {
                    return Ok(KeptRun {
                        keeper: self,
                        connection,
                    });
                }
                Err(error) if attempt == 0 && error.kind() == io::ErrorKind::BrokenPipe => {
                    self.bury(connection.generation);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// A keeper that is a thread of this process: everything but the process of its own.
    #[cfg(test)]
    pub(in crate::exec::local) fn in_this_process(lock: PathBuf) -> Self {
        let (first, theirs) = Wire::pair().expect("a pair of sockets");
        thread::spawn(move || super::keep_in_this_process(theirs.into()).expect("the keeper ends well"));
        KeeperOfHost {
            keeping: Keeping {
                program: "/no/such/program".into(),
                title: String::new(),
                lock,
            },
            running: Mutex::new(Some(Running {
                process: None,
                first,
                idle: Vec::new(),
                generation: 0,
            })),
        }
    }

    fn connection(&self) -> io::Result<Connection> {
        let mut running = self.lock();
        let generation = match &*running {
            Some(keeper) => keeper.generation,
            None => {
                let keeper = self.start()?;
                let generation = keeper.generation;
                *running = Some(keeper);
                generation
            }
        };
        let Some(keeper) = &mut *running else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let wire = match keeper.idle.pop() {
            Some(wire) => wire,
            None => {
                let (ours, theirs) = Wire::pair()?;
                keeper.first.send(&Request::Connect, &[theirs.as_fd()])?;
                ours
            }
        };
        Ok(Connection { wire, generation })
    }

    fn give_back(&self, connection: Connection) {
        if let Some(keeper) = &mut *self.lock()
            && keeper.generation == connection.generation
        {
            keeper.idle.push(connection.wire);
        }
    }

    /// Forgets a keeper that is gone, and reaps it: what it had started is ours from then on.
    fn bury(&self, generation: u64) {
        let mut running = self.lock();
        if running.as_ref().is_none_or(|keeper| keeper.generation != generation) {
            return;
        }
        if let Some(mut keeper) = running.take()
            && let Some(mut process) = keeper.process.take()
        {
            drop((keeper.first, keeper.idle));
            // One that has closed a connection is dying, if it is not dead. One that is not has lost its way: what it keeps is
            // safer with us.
            if !ends_within(&mut process, DYING_PATIENCE) {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
    }

    fn start(&self) -> io::Result<Running> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static GENERATION: AtomicU64 = AtomicU64::new(0);

        let (first, theirs) = Wire::pair()?;
        let lock = self.lock_file()?;
        let mut command = Command::new(&self.keeping.program);
        command
            .arg0(&self.keeping.title)
            .arg(KEEPER_ARGUMENT)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: `setsid` is a plain system call that is allowed between fork and exec, and touches no memory.
        unsafe {
            command.pre_exec(|| {
                // Before the first instruction of the keeper: no signal of the terminal may meet it.
                rustix::process::setsid()?;
                Ok(())
            });
        }
        let mut process = command.spawn()?;
        drop(command);
        let greeted = first
            .send(&Request::Hello, &[lock.as_fd()])
            .and_then(|()| wait_for(&first, START_PATIENCE))
            .and_then(
                |ready| match ready.then(|| first.receive::<Reply>()).transpose()?.flatten() {
                    Some((Reply::Ready, _)) => Ok(()),
                    _ => Err(io::Error::other("it does not answer")),
                },
            );
        if let Err(error) = greeted {
            let _ = process.kill();
            let _ = process.wait();
            return Err(error);
        }
        tracing::debug!(pid = process.id(), "keeper started");
        Ok(Running {
            process: Some(process),
            first,
            idle: Vec::new(),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The lock, taken: whoever has a descriptor of this open file holds it.
    fn lock_file(&self) -> io::Result<File> {
        if let Some(parent) = self.keeping.lock.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&self.keeping.lock)?;
        take_lock(&file, &StopSignal::new())?;
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptRun<'_> {
    /// Waits until the command has ended, and has it ended when it passes a limit.
    pub(in crate::exec::local) fn wait(self, limits: &Limits<'_>) -> Result<End, LostTrack> {
        match self.wait_for_reply(limits) {
            Ok(Some(reply)) => {
                self.keeper.give_back(self.connection);
                match reply {
                    Reply::Ended(end) => Ok(end),
                    Reply::Refused { errno, message } => Err(LostTrack::Refused(
                        errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error),
                    )),
                    Reply::Unkillable(pid) => Err(LostTrack::Unkillable(pid)),
                    Reply::Ready => Err(LostTrack::Failed(io::ErrorKind::InvalidData.into())),
                }
            }
            Ok(None) => {
                self.keeper.bury(self.connection.generation);
                Err(LostTrack::KeeperGone)
            }
            Err(error) => Err(LostTrack::Failed(error)),
        }
    }

    fn wait_for_reply(&self, limits: &Limits<'_>) -> io::Result<Option<Reply>> {
        let wire = &self.connection.wire;
        let began = Instant::now();
        let mut asked = StopLevel::None;
        loop {
            if wait_for(wire, limits.next_look(began))? {
                return Ok(wire.receive::<Reply>()?.map(|(reply, _)| reply));
            }
            // A connection that is closed says so at the next look.
            match asked {
                StopLevel::None => {
                    if let Some((why, grace)) = limits.passed(began)? {
                        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                        let _ = wire.send(&Request::Stop { grace_ms, why }, &[]);
                        asked = StopLevel::Graceful;
                    }
                }
                StopLevel::Graceful if limits.stop.level() == StopLevel::AtOnce => {
                    let _ = wire.send(&Request::Hurry, &[]);
                    asked = StopLevel::AtOnce;
                }
                StopLevel::Graceful | StopLevel::AtOnce => {}
            }
        }
    }
}

/// Waits until a connection has something to say, or is closed; false when the time is over first.
fn wait_for(wire: &Wire, limit: Duration) -> io::Result<bool> {
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(wire, PollFlags::IN)], Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
