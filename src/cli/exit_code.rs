//! Exit codes: each is defined here once, with what it means.

/// Everything that was asked for is done.
pub(super) const DONE: u8 = 0;
/// A phase failed.
pub(super) const FAILED: u8 = 1;
/// The command line makes no sense.
pub(super) const USAGE: u8 = 2;
/// The script is at fault.
pub(super) const SCRIPT: u8 = 3;
/// The state, or a result, cannot be read or written.
pub(super) const STATE: u8 = 4;
/// Another process has the run in use.
pub(super) const LOCKED: u8 = 5;

/// jumar itself is at fault.
pub(super) const OUR_FAULT: u8 = 70;

/// What `jumar help exit-codes` prints.
pub(super) const TABLE: &str = "  0  all done
  1  a phase failed
  2  usage: the command line makes no sense
  3  script error: nothing was started
  4  the state cannot be read or written
  5  the run is locked by another process
 70  jumar itself is at fault
 75  stopped by preemption; resume will go on
129  stopped by a hangup (HUP)
130  interrupted (Ctrl-C)
143  terminated (TERM)
";

/// The code of a run that a signal stopped: what a shell makes of a process that the signal itself ended.
pub(super) fn stopped_by(signal: Option<i32>) -> u8 {
    u8::try_from(128 + signal.unwrap_or(2)).unwrap_or(130)
}
