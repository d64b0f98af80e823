//! A pseudoterminal as a terminal emulator has it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::fchown;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

use crate::{Account, Cmd, LIMIT, sys};

/// Both ends of a pseudoterminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: OwnedFd,
}

impl Terminal {
    /// Opens one of the given size.
    pub fn open(rows: u16, columns: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).expect("open a pseudoterminal");
        Self { master: pair.master.into(), slave: pair.slave }
    }

    /// Makes this the controlling terminal and the three standard streams of `command`.
    #[must_use]
    pub fn attach(&self, command: Cmd) -> Cmd {
        self.streams(command.under(&["setsid", "-c"]))
    }

    /// Makes this the three standard streams of `command`.
    #[must_use]
    pub fn streams(&self, command: Cmd) -> Cmd {
        let stream = || self.slave.try_clone().expect("duplicate the terminal");
        command.stdin(stream()).stdout(stream()).stderr(stream())
    }

    /// Makes an account its owner, as a login does: the owner may open it again.
    pub fn give_to(&self, account: &Account) {
        fchown(&self.slave, Some(account.uid), Some(account.gid)).expect("chown of the terminal");
    }

    /// The end at which a user types and reads.
    pub fn master(&self) -> &File {
        &self.master
    }

    /// Changes the size, as a window manager would.
    pub fn resize(&self, rows: u16, columns: u16) {
        sys::set_window_size(&self.master, rows, columns).expect("resize the terminal");
    }

    /// The line settings.
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.slave).expect("settings of the terminal")
    }

    /// Whether keys reach the program unprocessed.
    pub fn is_raw(&self) -> bool {
        !self.settings().local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// Reads until `text` has arrived, and returns everything that was read.
    pub fn read_until(&self, text: &str) -> String {
        read_until(&self.master, text)
    }
}

/// Reads from a terminal's master until `text` has arrived, and returns everything that was read.
pub fn read_until(mut master: &File, text: &str) -> String {
    let start = Instant::now();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        assert!(start.elapsed() < LIMIT, "{text:?} did not come, only {seen:?}");
        let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        let pause = PollTimeout::try_from(Duration::from_millis(100)).expect("a short pause");
        if poll(&mut ready, pause).expect("poll the terminal") == 0 {
            continue;
        }
        // EIO: nobody has the other end open.
        match master.read(&mut buffer) {
            Ok(length) => seen.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) => panic!("{text:?} did not come, only {seen:?}, then: {error}"),
        }
    }
    seen
}
