//! The container's terminal. It is allocated in the container's own devpts, and displayed by whoever gets its master.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid};
use rootling_sys as sys;
use rootling_sys::mount::{attach, clone_tree, open_in_root};
use rootling_sys::socket::send_fd;

use crate::attributes::Attributes;
use crate::error::{Context, Error, Result};

/// What becomes of the container's /dev/console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DevConsole {
    /// The terminal is bind-mounted over it.
    Cover,
    /// It stays as it is: it belongs to the container's first process.
    Leave,
}

/// Allocates the terminal, makes it the controlling terminal and the standard streams, and sends its master over
/// `socket`.
pub(crate) fn set_up(
    socket: &OwnedFd,
    root: &OwnedFd,
    process: &Attributes,
    console: DevConsole,
) -> Result<()> {
    let what = || "process.terminal: open the container's /dev/ptmx".to_owned();
    let master = open_in_root(root.as_fd(), Path::new("dev/ptmx"), OFlag::O_RDWR | OFlag::O_NOCTTY)
        .context(what)
        .map_err(|e| e.remedy("a terminal needs a devpts mount on /dev/pts"))?;
    let stat = fstat(master.as_raw_fd()).context(what)?;
    // The image may have put anything there (CVE-2025-52565).
    if !sys::file::is_char_device(&stat, (5, 2)) {
        return Err(Error::invalid(format!("{} is not a terminal multiplexer (5:2)", what())));
    }
    let slave =
        sys::terminal::open_peer(master.as_fd()).context(|| "process.terminal: ioctl(TIOCGPTPEER)")?;
    if let Some((rows, columns)) = process.console_size {
        sys::terminal::set_size(slave.as_fd(), rows, columns)
            .context(|| "process.consoleSize: ioctl(TIOCSWINSZ)")?;
    }
    nix::unistd::fchown(slave.as_raw_fd(), Some(Uid::from_raw(process.uid)), None::<Gid>)
        .context(|| format!("process.terminal: chown to uid {}", process.uid))?;
    if console == DevConsole::Cover {
        cover_console(root, &slave)?;
    }
    send_fd(socket.as_fd(), b"/dev/ptmx", master.as_fd())
        .context(|| "process.terminal: send the terminal")?;
    sys::terminal::make_controlling(slave.as_fd()).context(|| "process.terminal: ioctl(TIOCSCTTY)")?;
    for fd in 0..3 {
        sys::fds::install(&slave, fd).context(|| "process.terminal: dup2")?;
    }
    Ok(())
}

fn cover_console(root: &OwnedFd, slave: &OwnedFd) -> Result<()> {
    let what = || "process.terminal: cover /dev/console".to_owned();
    let dev =
        open_in_root(root.as_fd(), Path::new("dev"), OFlag::O_PATH | OFlag::O_DIRECTORY).context(what)?;
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    if let Ok(fd) = openat(Some(dev.as_raw_fd()), "console", flags, Mode::from_bits_truncate(0o620)) {
        drop(sys::fds::adopt(fd));
    }
    let console =
        open_in_root(dev.as_fd(), Path::new("console"), OFlag::O_PATH | OFlag::O_NOFOLLOW).context(what)?;
    let copy = clone_tree(slave.as_fd(), false).context(what)?;
    attach(copy.as_fd(), console.as_fd()).context(what)
}
