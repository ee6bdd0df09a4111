//! A terminal for tests: jumar sits at one end of a pseudo-terminal, the test at the other.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long a test waits for a text before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program at a terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    seen: usize,
}

impl Terminal {
    /// Starts a program whose input, output and error are one terminal.
    pub fn start(command: &mut Command) -> Terminal {
        Terminal::start_with_rows(command, 40)
    }

    /// As [`Terminal::start`], at a terminal of so many rows.
    pub fn start_with_rows(command: &mut Command, rows: u16) -> Terminal {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&controller)
            .and_then(|()| unlockpt(&controller))
            .expect("it is ours");
        let size = Winsize {
            ws_row: rows,
            ws_col: 160,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&controller, size).expect("it has a size");
        let name = ptsname(&controller, Vec::new())
            .expect("it has a name")
            .into_string()
            .expect("text");
        let user = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("its other end");
        let end = || Stdio::from(user.try_clone().expect("a descriptor"));
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it starts");
        let keyboard = File::from(controller);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, shared) = (keyboard.try_clone().expect("a descriptor"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when nobody is at the other end any more.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                shared.lock().expect("the screen").push_str(&text);
            }
        });
        Terminal {
            child,
            keyboard,
            screen,
            seen: 0,
        }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it is there");
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.keys(line);
        self.keys("\r");
    }

    /// Sends the program what Ctrl-C sends where there is a controlling terminal.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    }

    /// Waits until a text comes that has not been waited for yet; returns everything up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen.lock().expect("the screen").clone();
            if let Some(at) = screen[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let part = screen[self.seen..end].to_string();
                self.seen = end;
                return part;
            }
            let rest = screen[self.seen..].to_string();
            assert!(
                began.elapsed() < PATIENCE,
                "waited in vain for {text:?}; there was:\n{rest}\n({rest:?})"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end of the program; returns its exit code.
    #[track_caller]
    pub fn end(mut self) -> i32 {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let screen = self.screen.lock().expect("the screen").clone();
        panic!("it does not end; there was:\n{}", &screen[self.seen..]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
