//! The keeper's own process: it starts commands, waits for them and writes down how they ended, until its host has gone and its
//! last command has ended.
//!
//! One thread does all of it, woken by its connections and by the ends of commands; only stopping a command, which takes as long
//! as its time of grace, has a thread of its own.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::message::{Noted, Reply, Request, Run};
use super::wire::Wire;
use crate::exec::StopSignal;
use crate::exec::local::ending::{Beginning, own_name};
use crate::exec::local::launch::{self, Around, Started};
use crate::exec::local::oom::OomCounters;
use crate::exec::local::watch::Watched;
use crate::exec::local::{children, tree};
use crate::exec::logbook::{self, Line, Start, Why};

/// Serves connections until all are closed and no command is left.
pub(super) struct Keeper {
    slots: Vec<Slot>,
    next_slot: u64,
    /// Held while somebody may still ask for a command to be started.
    lock: Option<OwnedFd>,
    oom_counters: OomCounters,
    stopped: (Sender<StopDone>, Receiver<StopDone>),
    wake: (PipeReader, PipeWriter),
    /// Whether what commands left behind may still have to be reaped.
    orphans: bool,
}

/// The number of a slot whose command was stopped, and what of it could not be ended.
type StopDone = (u64, io::Result<Vec<i32>>);

/// A connection and the command that was started over it; either may be gone.
struct Slot {
    number: u64,
    wire: Option<Wire>,
    command: Option<Kept>,
}

/// What has happened, by the places of the slots it happened to.
struct News {
    /// Their connections have something to say, or are closed.
    heard: Vec<usize>,
    /// Their commands have ended, or may have.
    ended: Vec<usize>,
}

struct Kept {
    id: String,
    started: Arc<Started>,
    beginning: Beginning,
    log: File,
    logbook: Option<File>,
    /// What is not written down yet.
    unwritten: Option<Line>,
    stopping: Option<(Why, StopSignal)>,
}

/// How often ended commands are looked for where the kernel does not tell of them.
const GLANCE: Duration = Duration::from_millis(20);

impl Keeper {
    pub(super) fn new(wire: Wire) -> io::Result<Keeper> {
        let mut keeper = Keeper {
            slots: Vec::new(),
            next_slot: 0,
            lock: None,
            oom_counters: OomCounters::open(),
            stopped: channel(),
            wake: io::pipe()?,
            orphans: false,
        };
        keeper.add(wire);
        Ok(keeper)
    }

    fn add(&mut self, wire: Wire) {
        self.slots.push(Slot {
            number: self.next_slot,
            wire: Some(wire),
            command: None,
        });
        self.next_slot += 1;
    }

    /// Returns when there is nobody to serve and nothing to wait for.
    pub(super) fn serve(mut self) -> io::Result<()> {
        while !self.slots.is_empty() {
            let news = self.wait()?;
            for slot in news.heard {
                self.attend(slot);
            }
            self.take_stopped();
            for slot in news.ended {
                self.reap(slot);
            }
            self.slots.retain(|slot| slot.wire.is_some() || slot.command.is_some());
            if self.slots.iter().all(|slot| slot.wire.is_none()) {
                self.lock = None;
            }
            if self.orphans {
                self.orphans = children::reap_orphans_now_and_then();
            }
        }
        Ok(())
    }

    /// Waits until something happens.
    fn wait(&mut self) -> io::Result<News> {
        let mut watched = vec![PollFd::new(&self.wake.0, PollFlags::IN)];
        let (mut speakers, mut leaders, mut unwatched) = (Vec::new(), Vec::new(), Vec::new());
        let mut limit = self.orphans.then_some(children::LOOK_INTERVAL);
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(wire) = &slot.wire {
                speakers.push((watched.len(), index));
                watched.push(PollFd::new(wire, PollFlags::IN));
            }
            // The end of one that is being stopped is for the thread that stops it.
            if let Some(command) = slot.command.as_ref().filter(|command| command.stopping.is_none()) {
                match command.started.leader.pidfd() {
                    Some(pidfd) => {
                        leaders.push((watched.len(), index));
                        watched.push(PollFd::new(pidfd, PollFlags::IN));
                    }
                    None => {
                        unwatched.push(index);
                        limit = Some(GLANCE);
                    }
                }
            }
        }
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        match poll(&mut watched, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let speaks = |place: usize| !watched[place].revents().is_empty();
        let those = |of: Vec<(usize, usize)>| {
            of.into_iter()
                .filter(|(place, _)| speaks(*place))
                .map(|(_, index)| index)
        };
        let news = News {
            heard: those(speakers).collect(),
            ended: those(leaders).chain(unwatched).collect(),
        };
        if speaks(0) {
            let _ = self.wake.0.read(&mut [0; 64]);
        }
        Ok(news)
    }

    fn attend(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Some(wire) = &slot.wire else { return };
        match wire.receive::<Request>() {
            // What cannot be read was not sent by a host of ours.
            Ok(None) | Err(_) => slot.wire = None,
            Ok(Some((Request::Hello, mut descriptors))) => {
                self.lock = descriptors.pop();
                answer(slot, &Reply::Ready);
            }
            Ok(Some((Request::Connect, descriptors))) => {
                for descriptor in descriptors {
                    self.add(descriptor.into());
                }
            }
            Ok(Some((Request::Run(run), descriptors))) => match start(*run, descriptors, &self.oom_counters) {
                Ok(kept) => {
                    slot.command = Some(kept);
                    self.note_start(index);
                }
                Err(error) => answer(
                    slot,
                    &Reply::Refused {
                        errno: error.raw_os_error(),
                        message: error.to_string(),
                    },
                ),
            },
            Ok(Some((Request::Stop { grace_ms, why }, _))) => self.stop(index, Duration::from_millis(grace_ms), why),
            Ok(Some((Request::Hurry, _))) => {
                if let Some((_, signal)) = slot.command.as_ref().and_then(|command| command.stopping.as_ref()) {
                    signal.request();
                }
            }
        }
    }

    fn stop(&mut self, index: usize, grace: Duration, why: Why) {
        let slot = &mut self.slots[index];
        // It may have ended while the request was on its way: its end is then on the way, too.
        let Some(command) = slot.command.as_mut().filter(|command| command.stopping.is_none()) else {
            return;
        };
        let signal = StopSignal::new();
        signal.request();
        command.stopping = Some((why, signal.clone()));
        if let Some(logbook) = &command.logbook {
            let id = command.id.clone();
            let _ = logbook::append(logbook, [&Line::Stop { id, why }]);
        }
        let (started, sender, number) = (Arc::clone(&command.started), self.stopped.0.clone(), slot.number);
        let work = {
            let wake = self.wake.1.try_clone();
            move || {
                let ended = tree::end(&started, grace, &signal);
                drop(started);
                let _ = sender.send((number, ended));
                if let Ok(mut wake) = wake {
                    let _ = wake.write(b"!");
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("stop".into()).spawn(work) {
            let _ = self.stopped.0.send((slot.number, Err(error)));
            let _ = self.wake.1.write(b"!");
        }
    }

    /// Takes in what the threads that stop commands have come to.
    fn take_stopped(&mut self) {
        while let Ok((number, ended)) = self.stopped.1.try_recv() {
            let Some(slot) = self.slots.iter_mut().find(|slot| slot.number == number) else {
                continue;
            };
            let Some(command) = slot.command.take() else { continue };
            let pid = command.started.leader.pid().as_raw_nonzero().get();
            match ended {
                Ok(survivors) if !survivors.contains(&pid) => {
                    self.orphans = true;
                    conclude(slot, command, survivors, &self.oom_counters);
                }
                _ => {
                    answer(slot, &Reply::Unkillable(pid));
                    // Its end is still worth writing down, whenever it comes; nobody waits for it over this connection.
                    let command = Kept {
                        stopping: None,
                        ..command
                    };
                    self.slots.push(Slot {
                        number: self.next_slot,
                        wire: None,
                        command: Some(command),
                    });
                    self.next_slot += 1;
                }
            }
        }
    }

    /// Writes down that a command was started. It runs whether or not that is possible: on a full disk its end is lost to a
    /// later host, and to nobody else. Of one that has ended before we were given a processor again both is written at once.
    fn note_start(&mut self, index: usize) {
        self.reap(index);
        if let Some(command) = &mut self.slots[index].command
            && let (Some(logbook), Some(start)) = (&command.logbook, command.unwritten.take())
        {
            let _ = logbook::append(logbook, [&start]);
        }
    }

    /// Concludes a command that seems to have ended by itself.
    fn reap(&mut self, index: usize) {
        // Somebody may have asked for it to be stopped in the same moment: then its end is for the thread that stops it.
        let ended = self.slots[index].command.take_if(|command| {
            command.stopping.is_none() && command.started.leader.wait(Duration::ZERO).unwrap_or(false)
        });
        if let Some(command) = ended {
            self.orphans = true;
            conclude(&mut self.slots[index], command, Vec::new(), &self.oom_counters);
        }
    }
}

/// Starts a command; that it was is still to be written down.
fn start(run: Run, descriptors: Vec<OwnedFd>, oom_counters: &OomCounters) -> io::Result<Kept> {
    let mut descriptors = descriptors.into_iter().map(File::from);
    let mut next = || descriptors.next().ok_or(io::Error::from(io::ErrorKind::InvalidData));
    let stdin = run.has_input.then(&mut next).transpose()?;
    let captured = run.captured.then(&mut next).transpose()?;
    let log = next()?;
    let logbook = run.noted.is_some().then(&mut next).transpose()?;
    let around = Around {
        cwd: run.cwd.as_deref(),
        env: &run.env,
        stdin: stdin.as_ref(),
        stdout: captured.as_ref().unwrap_or(&log),
        stderr: &log,
    };
    let began = Beginning::now();
    let started = launch::launch(&run.program, &around, run.id.clone())?;
    let unwritten = run.noted.and_then(|noted| start_line(&run.id, noted, &started, &began));
    // It has hardly begun, and this machine has no time to lose before it does.
    let beginning = began.with_kills(oom_counters);
    Ok(Kept {
        id: run.id,
        started: Arc::new(started),
        beginning,
        log,
        logbook,
        unwritten,
        stopping: None,
    })
}

fn start_line(id: &str, noted: Noted, started: &Started, beginning: &Beginning) -> Option<Line> {
    Some(Line::Start(Start {
        id: id.to_owned(),
        label: noted.label,
        process: started.leader.name()?,
        keeper: own_name(),
        began: beginning.since_boot(),
        log: noted.log,
        log_start: noted.log_start,
        capture: noted.capture,
    }))
}

/// Reaps a command that has ended, writes its end down, and only then tells the host.
fn conclude(slot: &mut Slot, command: Kept, survivors: Vec<i32>, oom_counters: &OomCounters) {
    let Some(started) = Arc::into_inner(command.started) else {
        return;
    };
    let why = command.stopping.map(|(why, _)| why);
    let watched = Watched { why, survivors };
    let Ok(end) = command.beginning.end(started, watched, &command.log, oom_counters) else {
        // Somebody else has reaped it. The host sees the connection close.
        slot.wire = None;
        return;
    };
    if let Some(logbook) = &command.logbook {
        let line = Line::End {
            id: command.id,
            end: end.clone(),
        };
        let _ = logbook::append(logbook, command.unwritten.iter().chain([&line]));
    }
    answer(slot, &Reply::Ended(end));
}

/// Tells the host, if it is still there.
fn answer(slot: &mut Slot, reply: &Reply) {
    if let Some(wire) = &slot.wire
        && wire.send(reply, &[]).is_err()
    {
        slot.wire = None;
    }
}
