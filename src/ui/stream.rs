//! The two streams beneath the printer: real file descriptors, or buffers in a test.
//!
//! Writes go straight to the descriptor. The standard library's handles would panic through
//! `println!`, buffer a last half line, and give up on a descriptor that someone made non-blocking.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::color::{ColorChoice, can_move_the_cursor};

/// Columns and rows assumed for a terminal that does not tell its size.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// One stream with what is known of it. All its writers share the lock.
pub(super) struct Stream {
    sink: Mutex<Box<dyn Write + Send>>,
    size: Size,
    pub(super) terminal: bool,
    pub(super) colored: bool,
    /// A terminal on which lines can be redrawn.
    pub(super) animated: bool,
}

enum Size {
    Asked(fn() -> BorrowedFd<'static>),
    Fixed(usize, usize),
}

impl Stream {
    /// A stream of this process, looked up through `descriptor` each time its size is wanted.
    pub(super) fn of_process(
        descriptor: fn() -> BorrowedFd<'static>,
        color: ColorChoice,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let terminal = rustix::termios::isatty(descriptor());
        Self {
            sink: Mutex::new(Box::new(Descriptor(descriptor))),
            size: Size::Asked(descriptor),
            terminal,
            colored: color.decide(terminal, &environment),
            animated: terminal && can_move_the_cursor(&environment),
        }
    }

    /// A stream that ends in `sink`, as wide as `terminal` says when it is one.
    pub(super) fn to_sink(sink: Box<dyn Write + Send>, color: ColorChoice, terminal: Option<usize>) -> Self {
        let environment = |name: &str| (name == "TERM").then(|| OsString::from("xterm"));
        Self {
            sink: Mutex::new(sink),
            size: Size::Fixed(terminal.unwrap_or(USUAL_SIZE.0), USUAL_SIZE.1),
            terminal: terminal.is_some(),
            colored: color.decide(terminal.is_some(), environment),
            animated: terminal.is_some(),
        }
    }

    /// Writes all of `bytes` before any other writer gets its turn.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut sink = locked(&self.sink);
        sink.write_all(bytes)?;
        sink.flush()
    }

    /// Columns and rows of the terminal, never zero.
    pub(super) fn size(&self) -> (usize, usize) {
        let (columns, rows) = match self.size {
            Size::Fixed(columns, rows) => (columns, rows),
            Size::Asked(descriptor) => rustix::termios::tcgetwinsize(descriptor())
                .map_or(USUAL_SIZE, |size| (size.ws_col.into(), size.ws_row.into())),
        };
        let known = |told: usize, usual| if told == 0 { usual } else { told };
        (known(columns, USUAL_SIZE.0), known(rows, USUAL_SIZE.1))
    }
}

/// A lock that a panicking thread cannot spoil: what it guards here is valid after every statement.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Descriptor(fn() -> BorrowedFd<'static>);

impl Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_patiently((self.0)(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes some of `bytes`, waiting for room as long as it takes: a child may have made the shared
/// terminal non-blocking.
fn write_patiently(descriptor: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(descriptor, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
                match poll(&mut room, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            other => return Ok(other?),
        }
    }
}

/// What a printer made by [`Printer::captured`](super::Printer::captured) has written so far.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    pub(super) stdout: Buffer,
    pub(super) stderr: Buffer,
}

impl Captured {
    /// Everything written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.0)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_tells_no_size_is_taken_for_a_usual_one() {
        let stream = Stream::to_sink(Box::new(Buffer::default()), ColorChoice::Auto, Some(0));
        assert_eq!(stream.size(), USUAL_SIZE);
    }

    #[test]
    fn a_full_non_blocking_pipe_is_waited_for() {
        use std::io::Read;
        use std::os::fd::AsFd;

        let (mut reader, writer) = io::pipe().expect("a pipe");
        let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("set");

        let expected = 1 << 20;
        let writing = std::thread::spawn(move || {
            let mut sent = 0;
            while sent < expected {
                sent += write_patiently(writer.as_fd(), &vec![b'x'; expected - sent])?;
            }
            io::Result::Ok(())
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).expect("readable");
        writing.join().expect("no panic").expect("no error");
        assert_eq!(received.len(), expected);
    }
}
